import { flawedAt } from "../catalog/scrubs.ts"
import { lastSpeed, siteProvenAt } from "../catalog/site-memory.ts"
import { SiteError } from "../errors.ts"
import { assumedBytesPerSecond, assumedFilesPerSecond, holdingMsPerKey, speedBytesMin, speedMemoryMs, speedProbeBytes } from "../limits.ts"
import type { Cost, Speed } from "../report/ranking.ts"
import { listPrice } from "../site/price.ts"
import { heldAt } from "../vault/presence.ts"
import type { VaultSite } from "../vault/vault.ts"
import { within } from "../vault/within.ts"
import type { NeededPack, Needs } from "./needs.ts"
import type { Standing } from "./rank.ts"
import type { World } from "./world.ts"

/** Asks every site at once how it stands for a restore. None is waited for longer than the vault's patience. */
export async function appraise(needs: Needs, world: World): Promise<Standing[]> {
  return await Promise.all(world.vault.sites.map((site) => appraiseSite(site, needs, world)))
}

async function appraiseSite(site: VaultSite, needs: Needs, world: World): Promise<Standing> {
  const { name, opened } = site
  const { clock, signal, catalog, vault } = world
  const answerMs = vault.patience?.answerMs ?? null
  const flawed = flawedAt(catalog, name)
  const known = {
    name,
    of: needs.packs.size,
    rotten: [...needs.packs.keys()].filter((key) => flawed.has(key)).length,
    provenAt: siteProvenAt(catalog, name, needs.dataset) ?? null,
    cost: costOf(site, needs, world),
  }
  try {
    const asked = clock.now()
    await within(answerMs, { site: name, what: "first call", signal }, (ended) => opened.site.head(needs.commitKey, { signal: ended }))
    const roundTripMs = clock.now().getTime() - asked.getTime()
    const listMs = answerMs === null ? null : answerMs + needs.packs.size * holdingMsPerKey
    const listing = { site: name, what: "which packs it holds", signal }
    const { present } = await within(listMs, listing, (ended) => heldAt(opened.site, needs.packs.keys(), { signal: ended }))
    const speed = rememberedSpeed(site, world) ?? (await probedSpeed(site, needs, { world, roundTripMs, present })) ?? unmeasured
    return { ...known, answers: true, reason: "", roundTripMs, holds: present.size, speed, seconds: secondsFor(needs, speed) }
  } catch (error) {
    signal.throwIfAborted()
    if (!(error instanceof SiteError)) throw error
    const reason = error.message.replace(`${name}: `, "")
    const speed = rememberedSpeed(site, world) ?? unmeasured
    return { ...known, answers: false, reason, roundTripMs: null, holds: 0, speed, seconds: secondsFor(needs, speed) }
  }
}

/** By the site's own setting or its provider's list, each class in its tier; null where the price is not known. */
function costOf({ name, provider, egress }: VaultSite, { packs, fetchBytes }: Needs, world: World): Cost | null {
  const data = [...packs.values()].filter(({ kind }) => kind === "pack")
  const stored = data.reduce((sum, { bytes }) => sum + bytes, 0)
  let amount = 0
  let currency = egress?.currency ?? "USD"
  for (const [className, bytes] of bytesByClass(data)) {
    const price = egress ?? listPrice(provider, world.tierOf(name, className))
    if (price === null) return null
    currency = price.currency
    amount += (price.perGiB * bytes * (fetchBytes / stored)) / 1024 ** 3
  }
  return { amount, currency }
}

function bytesByClass(packs: readonly NeededPack[]): Map<string, number> {
  const sums = new Map<string, number>()
  for (const pack of packs) sums.set(pack.class, (sums.get(pack.class) ?? 0) + pack.bytes)
  return sums
}

function rememberedSpeed({ name }: VaultSite, { catalog, clock }: World): Speed | undefined {
  const last = lastSpeed(catalog, name)
  if (last === undefined || clock.now().getTime() - Date.parse(last.time) > speedMemoryMs) return undefined
  return { bytesPerSecond: last.bytesPerSecond, measured: "before" }
}

interface Probe {
  readonly world: World
  readonly roundTripMs: number
  readonly present: ReadonlyMap<string, unknown>
}

/** Reads the beginning of a pack; what a call takes anyway is not counted. Undefined where there is nothing long enough to read. */
async function probedSpeed(
  { name, opened }: VaultSite,
  { packs }: Needs,
  { world, roundTripMs, present }: Probe,
): Promise<Speed | undefined> {
  const found = [...packs].find(([key, { bytes }]) => present.has(key) && bytes >= speedBytesMin)
  if (found === undefined) return undefined
  const [key, pack] = found
  const range = { offset: 0, length: Math.min(pack.bytes, speedProbeBytes) }
  const asked = world.clock.now()
  const answerMs = world.vault.patience?.answerMs ?? null
  const listening = { site: name, what: `${String(range.length)} bytes of a pack`, signal: world.signal }
  await within(answerMs, listening, (ended) => opened.site.get(key, { range, signal: ended }))
  const ms = world.clock.now().getTime() - asked.getTime()
  return { bytesPerSecond: (range.length / Math.max(1, ms - roundTripMs)) * 1000, measured: "now" }
}

const unmeasured: Speed = { bytesPerSecond: assumedBytesPerSecond, measured: "never" }

function secondsFor({ fetchBytes, files }: Needs, { bytesPerSecond }: Speed): number {
  return 1 + fetchBytes / bytesPerSecond + files / assumedFilesPerSecond
}
