import { holdMarginDays } from "../limits.ts"

const dayMs = 86_400_000

/** What a legal hold names; absent is: all of them. */
export interface HoldScope {
  readonly dataset?: string | undefined
  /** Random ids of accounts. What is stored does not say whose it is, so whoever cannot decrypt keeps all that may be theirs. */
  readonly accounts?: readonly string[] | undefined
  /** UTC days: what a site stored from this one on, and until the end of that one. */
  readonly from?: string | undefined
  readonly to?: string | undefined
}

export interface Hold extends HoldScope {
  readonly id: string
  readonly by: string
  readonly reason: string
  /** When it was placed. */
  readonly time: string
}

/** What a hold is asked about: a snapshot's dataset, when a site first stored it and when it says that it was made. */
export interface Holdable {
  readonly dataset: string
  readonly acceptedAt: Date
  readonly claimedAt: Date
}

/** Whether a hold names a snapshot. One that it may name, it names: a day is taken as a day in any time zone. */
export function isHeld({ dataset, from, to }: HoldScope, held: Holdable): boolean {
  if (dataset !== undefined && dataset !== held.dataset) return false
  const startMs = from === undefined ? Number.NEGATIVE_INFINITY : Date.parse(from) - holdMarginDays * dayMs
  const endMs = to === undefined ? Number.POSITIVE_INFINITY : Date.parse(to) + (1 + holdMarginDays) * dayMs
  // What cannot be compared is not outside.
  return [held.acceptedAt, held.claimedAt].some((moment) => !(moment.getTime() < startMs) && !(moment.getTime() >= endMs))
}

/** "cdrs, stored from 2026-03-01 on", for lists. */
export function scopeText({ dataset, accounts, from, to }: HoldScope): string {
  const what = dataset ?? "every dataset"
  const whose = accounts === undefined ? [] : [`all that may be of ${accounts.map((id) => id.slice(0, 12)).join(", ")}`]
  const stored =
    from !== undefined && to !== undefined
      ? [`stored ${from} to ${to}`]
      : [...(from === undefined ? [] : [`stored from ${from} on`]), ...(to === undefined ? [] : [`stored until ${to}`])]
  return [what, ...whose, ...stored].join(", ")
}
