import type { ScrubProgress } from "../catalog/scrubs.ts"
import { hashInName } from "../format/names.ts"

/** How much of what is there a scrub reads: all of it, a share from 0 to 1, or as much as has each object read within so many days. */
export type Reading = "full" | { readonly share: number } | { readonly withinDays: number }

/** The part of a site's objects that one scrub reads, and where the next one goes on. */
export interface Slice {
  /** From 0 to 1. */
  readonly share: number
  includes(key: string): boolean
  /** What to remember once all of it was read. */
  readonly after: ScrubProgress & { readonly readSince: string | null }
}

export interface Before extends ScrubProgress {
  readonly started: string
  readonly readSince: string | null
}

const dayMs = 86_400_000

/**
 * Objects are read in the order of their hashes, which are spread evenly over whatever comes and goes: so a share of the space of hashes
 * is that share of the objects, nothing has to be remembered of any of them, and each is read once in a round.
 */
export function sliceOf(reading: Reading, started: Date, before: Before | undefined): Slice {
  const now = started.toISOString()
  const from = before?.cursor ?? 0
  const share = shareOf(reading, started, before)
  if (share >= 1) return { share: 1, includes: () => true, after: { cursor: 0, round: now, readSince: now } }
  const end = from + share
  const round = before?.round ?? now
  // Beyond the end begins the next round.
  const after = end < 1 ? { cursor: end, round, readSince: before?.readSince ?? null } : { cursor: end - 1, round: now, readSince: round }
  return { share, includes: (key) => (positionOf(key) - from + 1) % 1 < share, after }
}

function shareOf(reading: Reading, started: Date, before: Before | undefined): number {
  if (reading === "full") return 1
  if ("share" in reading) return reading.share
  // As many days' worth as have passed since the last scrub; of the first nothing is known, and a day is usual.
  const days = before === undefined ? 1 : Math.max(0, (started.getTime() - Date.parse(before.started)) / dayMs)
  return days / reading.withinDays
}

/** Where in the space of hashes a name lies, from 0 to below 1. */
function positionOf(key: string): number {
  return Number.parseInt((hashInName(key) ?? "0").slice(0, 8), 16) / 2 ** 32
}
