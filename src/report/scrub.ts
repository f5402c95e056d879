import type { Finding, Rung, RungReport } from "./verify.ts"

/** What a scrub found at one site: what `site status` and a restore's plan show too. */
export interface SiteScrub {
  readonly site: string
  readonly started: string
  readonly seconds: number
  /** `unreadable`: it ended early, because the site did not answer. */
  readonly outcome: "ok" | "findings" | "unreadable"
  /** Objects that the site must have and that were looked for, and the bytes of those that are there. */
  readonly objects: number
  readonly bytes: number
  /** How many of them were read and hashed. */
  readonly read: number
  readonly readBytes: number
  readonly missing: number
  readonly cut: number
  readonly rotten: number
  /** What the site lists, and did not give back. */
  readonly unread: number
  /** Why the site could not be asked. */
  readonly unreadable: string | null
  /** Every object that was there then has been read since this moment; null while not all have. */
  readonly readSince: string | null
}

export interface ScrubReport {
  readonly outcome: "ok" | "findings"
  /** The highest rung that every object at every site reached; null where not even the first was. */
  readonly proven: Rung | null
  readonly sites: readonly SiteScrub[]
  /** Objects of which fewer good copies are left than were promised; null where not every site was looked at. */
  readonly short: number | null
  readonly rungs: readonly RungReport[]
  /** The first of them. */
  readonly findings: readonly Finding[]
  readonly findingCount: number
  readonly started: string
  readonly seconds: number
  readonly warnings: readonly string[]
}
