import { muchSlowerSeconds, muchSlowerTimes } from "../limits.ts"
import type { Cost, RankedSite, Speed } from "../report/ranking.ts"
import { count, formatDuration, formatSize } from "../units.ts"

/** What counts among sites that are equally good: `order` is the one given, whatever else is known. */
export type Prefer = "price" | "speed" | "order"

export interface Preference {
  /** Absent: the cheapest, unless it is much slower. */
  readonly prefer?: Prefer | undefined
  /** How long the restore may take, where something was promised; what takes longer is much slower. */
  readonly rtoSeconds?: number | undefined
}

/** What is known of a site for one restore. */
export type Standing = Omit<RankedSite, "why"> & {
  /** Why it did not answer; empty where it did. */
  readonly reason: string
}

/** One thing that sites are told apart by: less is better. */
interface Criterion {
  of(site: Standing): number
  /** Why the one with more comes after. */
  why(site: Standing): string
}

/**
 * The sites, best first: one that answers before one that does not, then by how much it lacks, then by what of it is known to be rotten;
 * among those that are left, the cheapest that is not much slower than the fastest, or as the preference says; among equals the order given.
 */
export function rank(sites: readonly Standing[], preference: Preference, now: Date): RankedSite[] {
  const criteria = preference.prefer === "order" ? [] : [...soundness, ...liking(sites, preference)]
  const ranked = sites.toSorted((a, b) => deciding(a, b, criteria)?.sign ?? 0)
  return ranked.map(({ reason, ...site }, index) => {
    const before = ranked[index - 1]
    const after = before === undefined ? "" : `${afterWhy(before, { ...site, reason }, criteria, preference)}; `
    const facts = site.answers ? factsOf(site, now).join(", ") : reason
    return { ...site, why: site.answers ? `${after}${facts}` : `asked last: ${facts}` }
  })
}

const soundness: readonly Criterion[] = [
  { of: ({ answers }) => (answers ? 0 : 1), why: () => "does not answer" },
  { of: ({ holds, of }) => of - holds, why: () => "lacks more" },
  { of: ({ rotten }) => rotten, why: () => "has more that is rotten" },
]

const byPrice: Criterion = {
  of: ({ cost }) => cost?.amount ?? Number.POSITIVE_INFINITY,
  why: ({ cost }) => (cost === null ? "has no price that is known" : "costs more"),
}
const bySpeed: Criterion = { of: ({ seconds }) => seconds, why: () => "is slower" }

function liking(sites: readonly Standing[], { prefer, rtoSeconds }: Preference): readonly Criterion[] {
  if (prefer === "price") return [byPrice]
  if (prefer === "speed") return [bySpeed, byPrice]
  const fastest = Math.min(...sites.filter(({ answers, holds, of }) => answers && holds === of).map(({ seconds }) => seconds))
  const enough = rtoSeconds ?? Math.max(fastest * muchSlowerTimes, fastest + muchSlowerSeconds)
  const isSlow = ({ seconds }: Standing) => seconds > enough
  return [
    {
      of: (site) => (isSlow(site) ? 1 : 0),
      why: () => (rtoSeconds === undefined ? "is much slower" : `would take longer than the ${formatDuration(rtoSeconds * 1000)} promised`),
    },
    // Where nothing is fast enough, money does not matter any more.
    { ...bySpeed, of: (site) => (isSlow(site) ? site.seconds : 0) },
    byPrice,
  ]
}

function deciding(a: Standing, b: Standing, criteria: readonly Criterion[]): { sign: number; criterion: Criterion } | undefined {
  for (const criterion of criteria) {
    const [left, right] = [criterion.of(a), criterion.of(b)]
    if (left !== right) return { sign: left < right ? -1 : 1, criterion }
  }
  return undefined
}

function afterWhy(before: Standing, site: Standing, criteria: readonly Criterion[], { prefer }: Preference): string {
  const decided = deciding(before, site, criteria)
  if (decided !== undefined) return `after ${before.name}, as it ${decided.criterion.why(site)}`
  return prefer === "order" ? `after ${before.name}, as asked` : `after ${before.name}, its equal, as configured`
}

function factsOf({ holds, of, rotten, provenAt, cost, speed }: Omit<RankedSite, "why">, now: Date): string[] {
  const proof = provenAt === null ? "never hashed from here" : `hashed ${ageOf(provenAt, now)} ago`
  return [
    holds === of ? `holds all ${count(of, "pack")}` : `lacks ${(of - holds).toLocaleString("en-US")} of ${count(of, "pack")}`,
    ...(rotten > 0 ? [`${count(rotten, "pack")} known to be rotten`] : [proof]),
    costText(cost),
    speedText(speed),
  ]
}

function ageOf(time: string, now: Date): string {
  return formatDuration(Math.max(0, now.getTime() - Date.parse(time)))
}

function costText(cost: Cost | null): string {
  if (cost === null) return "price not known"
  if (cost.amount === 0) return "free"
  return cost.amount < 0.01 ? `less than 0.01 ${cost.currency}` : `about ${cost.amount.toFixed(2)} ${cost.currency}`
}

function speedText({ bytesPerSecond, measured }: Speed): string {
  const rate = `${formatSize(Math.round(bytesPerSecond))}/s`
  return measured === "before" ? rate : measured === "now" ? `${rate} in a small read` : `its speed not measured`
}
