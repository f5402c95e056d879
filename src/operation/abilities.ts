import { hash32, sha256 } from "../digest.ts"
import { SiteError } from "../errors.ts"
import type { OpenedSite, Probe } from "../site/site.ts"

/** One thing that a site should be able to do, and what came of trying it. */
export interface Ability {
  readonly ability: string
  /** "unknown" where the credentials do not reach as far as to find out. */
  readonly answer: "yes" | "no" | "unknown"
  /** What was seen, or what follows. */
  readonly text: string
  /** Somebody should act on it. */
  readonly isFinding: boolean
}

export interface AbilityOptions {
  /** Below whose prefix the objects are kept. */
  readonly agent: string
  /** What the configuration promises. */
  readonly lock?: "governance" | "compliance" | undefined
  readonly signal: AbortSignal
}

/**
 * Tries at a real site what is relied on. A few small objects below `v1/<agent>/check/` stay behind, the same ones each time:
 * nothing here may be deleted, and a lock would not let it.
 */
export async function tryAbilities(opened: OpenedSite, options: AbilityOptions): Promise<readonly Ability[]> {
  const objects = ["A", "Z_", "a-b", "a.b"].map((name) => checkObject(options.agent, name))
  const trial: Trial = { opened, objects, folder: `v1/${options.agent}/check/`, ...options }
  const abilities = await tried("keeps and gives back what it is given", () => keeping(trial))
  // Where nothing can be kept there is nothing to ask about.
  if (abilities.answer !== "yes") return [abilities]
  return [
    abilities,
    await tried("lists at once, in the order of the keys", () => listing(trial)),
    await tried("gives back exactly the part asked for", () => ranges(trial)),
    await tried("refuses a name that is taken", () => createOnly(trial)),
    await tried("refuses bytes that do not fit their checksum", () => checksums(trial)),
    await tried("keeps the versions behind a name", () => versions(trial)),
    await tried("locks what it is given", () => locks(trial)),
    await tried("refuses these credentials to delete", () => deletion(trial)),
  ]
}

interface CheckObject {
  readonly key: string
  readonly bytes: Uint8Array
}

interface Trial extends AbilityOptions {
  readonly opened: OpenedSite
  readonly objects: readonly CheckObject[]
  readonly folder: string
}

type Outcome = Omit<Ability, "ability">

function checkObject(agent: string, name: string): CheckObject {
  const bytes = Buffer.from(`${JSON.stringify({ holdline: "site check", name, text: "left by a check; it means nothing" })}\n`)
  return { key: `v1/${agent}/check/${name}-${hash32(bytes)}.json`, bytes }
}

async function tried(ability: string, attempt: () => Promise<Outcome>): Promise<Ability> {
  try {
    return { ability, ...(await attempt()) }
  } catch (error) {
    if (!(error instanceof SiteError)) throw error
    if (error.code === "site/denied") return { ability, ...unknown(error.message) }
    return { ability, ...no(error.message, { isFinding: true }) }
  }
}

function yes(text = ""): Outcome {
  return { answer: "yes", text, isFinding: false }
}

function no(text: string, { isFinding }: { readonly isFinding: boolean }): Outcome {
  return { answer: "no", text, isFinding }
}

function unknown(text: string): Outcome {
  return { answer: "unknown", text, isFinding: false }
}

async function keeping({ opened: { site }, objects, signal }: Trial): Promise<Outcome> {
  for (const { key, bytes } of objects) {
    await site.put(key, bytes, { sha256: sha256(bytes), signal })
    if (Buffer.compare(await site.get(key, { signal }), bytes) !== 0) return no("other bytes came back", { isFinding: true })
  }
  return yes()
}

async function listing({ opened: { site }, objects, folder, signal }: Trial): Promise<Outcome> {
  const ours = new Set(objects.map(({ key }) => key))
  const listed = await Array.fromAsync(site.list(folder, { signal }), ({ key }) => key)
  const found = listed.filter((key) => ours.has(key))
  if (found.join() === objects.map(({ key }) => key).join()) return yes()
  if (found.length < objects.length) {
    return no("what was just kept is not listed yet: it counts as missing, and is looked for again", { isFinding: true })
  }
  return no("another order would hide what is there", { isFinding: true })
}

async function ranges({ opened: { site }, objects, signal }: Trial): Promise<Outcome> {
  for (const { key, bytes } of objects) {
    const part = await site.get(key, { range: { offset: 5, length: 20 }, signal })
    if (Buffer.compare(part, bytes.subarray(5, 25)) !== 0) return no("other bytes came back", { isFinding: true })
  }
  return yes()
}

const overwritten = "two writers of one name are not kept apart; names are hashes, so that no bytes are lost by it"

async function createOnly(trial: Trial): Promise<Outcome> {
  const { probe, createOnly: counted } = trial.opened
  if (probe === undefined) return counted ? yes() : no(overwritten, { isFinding: false })
  const outcome = await conditional(probe, trial)
  if (outcome === "not-free") return yes(counted ? "" : "`createOnly: false` is not needed")
  return no(counted ? `${overwritten}; say \`createOnly: false\`` : overwritten, { isFinding: counted })
}

// The same bytes, so that a store which does overwrite loses none. One that does not know conditions may say so.
async function conditional(probe: Probe, { objects, signal }: Trial): Promise<string> {
  const [object] = objects
  if (object === undefined) return "nothing kept"
  try {
    return await probe.upload(object.key, object.bytes, { checksum: "right", signal })
  } catch (error) {
    if (error instanceof SiteError && error.code === "site/unsupported") return "not known"
    throw error
  }
}

async function checksums({ opened: { site, probe }, agent, signal }: Trial): Promise<Outcome> {
  if (probe === undefined) return no("it computes none: this host compares what was written", { isFinding: false })
  const { key, bytes } = checkObject(agent, "wrong-checksum")
  // A store that took it once has it still, and would take it again.
  const isThere = (await site.head(key, { signal })) !== null
  const outcome = isThere ? "taken" : await probe.upload(key, bytes, { checksum: "wrong", signal })
  if (outcome === "refused") return yes()
  return no("a bit that changes on the way is found by the signature where it covers the bytes, else by reading back: verify", {
    isFinding: false,
  })
}

async function versions({ opened, objects, folder, signal }: Trial): Promise<Outcome> {
  const lost = "what is overwritten is gone, and rotten bytes cannot be put aside"
  if (opened.versions === undefined) {
    return opened.replace === undefined
      ? no(lost, { isFinding: false })
      : no("rotten bytes are put aside by renaming", { isFinding: false })
  }
  const [first] = objects
  const listed = await Array.fromAsync(opened.versions.list(folder, { signal }))
  const ours = listed.find(({ key }) => key === first?.key)
  if (ours === undefined || ours.version === "null") return no(lost, { isFinding: false })
  const posture = await opened.posture?.({ signal })
  const kept = posture?.packs.versioning
  return kept !== undefined && "value" in kept && !kept.value ? no(`only the newest has one: ${lost}`, { isFinding: false }) : yes()
}

async function locks({ opened: { site }, objects, lock, signal }: Trial): Promise<Outcome> {
  const [first] = objects
  const found = first === undefined ? null : await site.head(first.key, { signal })
  if (found?.lockedUntil !== undefined) return yes(`until ${found.lockedUntil.toISOString().slice(0, 16)}Z`)
  return no("whoever may delete here can delete every backup", { isFinding: lock !== undefined })
}

async function deletion({ opened: { site, versions }, objects, lock, signal }: Trial): Promise<Outcome> {
  const last = objects.at(-1)
  const version = last === undefined ? undefined : (await site.head(last.key, { signal }))?.version
  if (versions === undefined || last === undefined || version === undefined) return unknown("it has no versions to try it on")
  try {
    await versions.remove(last.key, version, { signal })
  } catch (error) {
    if (error instanceof SiteError && error.code === "site/denied") return yes()
    throw error
  }
  const consequence = "who takes over a host that holds them can delete what is not locked: right for a keeper, wrong for an agent"
  return no(consequence, { isFinding: lock !== undefined })
}
