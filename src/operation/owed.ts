import { type Commit, isBackup, isControl, isKeyRecord, lostKeysOf, packNameOf } from "../format/commit.ts"
import { packKey, parseKeyObjectKey } from "../format/names.ts"
import type { AgentLog, ReadCommit } from "./logs.ts"
import type { RootObject, UpkeepWorld } from "./world.ts"

/** An object that some sites must have. */
export interface OwedObject {
  readonly key: string
  /** As far as it is known without reading it. */
  readonly length?: number
  /** Of a data pack: what its storage class is chosen by. */
  readonly class?: string
  /** It was said to be lost: it is brought where it is lacking, should it be found, and missed nowhere. */
  readonly mayBeGone?: boolean
}

export interface OwedCommit extends OwedObject {
  readonly agent: string
  readonly seq: number
  /** Data packs and meta packs that must be there before it. */
  readonly packs: readonly OwedObject[]
  /** Key objects that it registers, but for those that were said to be lost. */
  readonly registers: readonly string[]
  readonly sites: ReadonlySet<string>
  /** Sites that listed it when its log was read. */
  readonly listedAt: ReadonlySet<string>
  /** Of a state: its packs may be listed by other commits too. */
  readonly isState: boolean
}

/** Everything that the sites of a vault must have, as the logs of all agents and the root say it. */
export interface Owed {
  /** What the root signed, and what is kept with it: every site has it. */
  readonly roots: readonly RootObject[]
  /** Key objects that the registers list, in the order of their registering: every site has them. */
  readonly keys: readonly OwedObject[]
  /** In the order in which sites first had them, and none before those that its agent wrote earlier. */
  readonly commits: readonly OwedCommit[]
  /** Dataset and agent of snapshots that a site in `filled` does not get, because this host's jobs keep them elsewhere. */
  readonly elsewhere: readonly string[]
}

/**
 * What must be where. A snapshot belongs to the sites that this host's jobs name for its dataset, or, of another host's, to those that
 * have any snapshot of that dataset and to those in `filled`; and always to those that list it, so that what is listed is whole.
 */
export function owedOf(logs: readonly AgentLog[], world: UpkeepWorld, filled: readonly string[]): Owed {
  const everywhere = world.vault.sites.map(({ name }) => name)
  const believed = logs.flatMap(({ commits }) => commits.filter((commit) => commit.believed))
  const holding = holdingOf(believed)
  const elsewhere = new Set<string>()

  function sitesOf({ commit, entry }: ReadCommit): ReadonlySet<string> {
    if (!isBackup(commit)) return new Set(everywhere)
    const { agent, dataset } = commit.body
    const homes = world.homesOf(agent, dataset)
    if (homes === null) return new Set([...(holding.get(`${agent}/${dataset}`) ?? []), ...entry.sites, ...filled])
    if (filled.some((site) => !homes.includes(site) && !entry.sites.includes(site))) elsewhere.add(`${agent}/${dataset}`)
    return new Set([...homes, ...entry.sites])
  }

  const lost = new Map(
    logs.map(({ agent }) => [agent, lostKeysOf(believed.flatMap(({ commit }) => (commit.body.agent === agent ? [commit] : [])))]),
  )
  const keys = new Map<string, OwedObject>()
  const commits = believed.toSorted(byTime).map((read): OwedCommit => {
    const { commit, entry } = read
    const { agent, seq } = entry
    const isState = isBackup(commit) && commit.body.mode === "state"
    const registered = registeredBy(commit)
    const gone = lost.get(agent) ?? new Set()
    for (const object of registered) keys.set(object, gone.has(object) ? { key: object, mayBeGone: true } : { key: object })
    return {
      key: entry.key,
      agent,
      seq,
      packs: packsOf(commit),
      registers: registered.filter((object) => !gone.has(object)),
      sites: sitesOf(read),
      listedAt: new Set(entry.sites),
      isState,
    }
  })
  return { roots: world.rootObjects, keys: [...keys.values()], commits, elsewhere: [...elsewhere].toSorted() }
}

function holdingOf(commits: readonly ReadCommit[]): Map<string, Set<string>> {
  const holding = new Map<string, Set<string>>()
  for (const { commit, entry } of commits) {
    if (!isBackup(commit)) continue
    const dataset = `${commit.body.agent}/${commit.body.dataset}`
    const sites = holding.get(dataset) ?? new Set()
    holding.set(dataset, sites)
    for (const site of entry.sites) sites.add(site)
  }
  return holding
}

function byTime({ entry: a }: ReadCommit, { entry: b }: ReadCommit): number {
  return a.storedAt.getTime() - b.storedAt.getTime() || (a.agent < b.agent ? -1 : a.agent > b.agent ? 1 : 0) || a.seq - b.seq
}

function packsOf({ body }: Commit): OwedObject[] {
  return body.packs.map((listed) => {
    const name = packNameOf(body.agent, listed)
    return { key: packKey(name), length: name.bytes, ...(name.kind === "pack" ? { class: name.class } : {}) }
  })
}

// An agent writes into its register what it likes: only what is a key object's name is one.
function registeredBy(commit: Commit): string[] {
  if (!isControl(commit)) return []
  return commit.body.records.filter(isKeyRecord).flatMap(({ object }) => (parseKeyObjectKey(object) === null ? [] : [object]))
}

/** Some commits, and every pack that they list with all the sites that must have it for one or another of them. */
export interface Portion {
  readonly commits: readonly OwedCommit[]
  readonly packs: readonly OwedPack[]
}

export interface OwedPack extends OwedObject {
  readonly sites: ReadonlySet<string>
  /** Listed by a state, and so perhaps by other portions too. */
  readonly shared: boolean
}

/** Commits in their order, so few at a time that what they list can be asked for at once; one alone may list more. */
export function* portionsOf(commits: readonly OwedCommit[], packsMax: number): Generator<Portion> {
  let portion: OwedCommit[] = []
  let packs = 0
  for (const commit of commits) {
    if (portion.length > 0 && packs + commit.packs.length > packsMax) {
      yield portionOf(portion)
      portion = []
      packs = 0
    }
    portion.push(commit)
    packs += commit.packs.length
  }
  if (portion.length > 0) yield portionOf(portion)
}

function portionOf(commits: readonly OwedCommit[]): Portion {
  const packs = new Map<string, OwedObject & { readonly sites: Set<string>; readonly shared: boolean }>()
  for (const { packs: listed, sites, isState } of commits) {
    for (const pack of listed) {
      const known = packs.get(pack.key)
      if (known === undefined) packs.set(pack.key, { ...pack, sites: new Set(sites), shared: isState })
      else for (const site of sites) known.sites.add(site)
    }
  }
  return { commits, packs: [...packs.values()] }
}
