export type RepairOutcome = "ok" | "partial" | "failed"

/** What a repair did at one site, or, of a dry run, would do. */
export interface SiteRepair {
  readonly site: string
  /** Objects that were not there. */
  readonly copied: number
  /** Copies that were there and not good. */
  readonly replaced: number
  /** Bytes of both, as far as they are known. */
  readonly bytes: number
  /** Commits among them: how many snapshots and registers are whole here now and were not listed before. */
  readonly commits: number
  /** Objects that are still missing or not good. */
  readonly remaining: number
  /** Why the site could not be asked, or was not asked any more. */
  readonly unreadable: string | null
}

export interface RemainingObject {
  readonly site: string
  readonly object: string
  readonly detail: string
}

export interface RepairReport {
  /** `partial`: another repair may do the rest; `failed`: something is lost, or no site could be reached. */
  readonly outcome: RepairOutcome
  readonly dryRun: boolean
  readonly sites: readonly SiteRepair[]
  /** The first of them. */
  readonly remaining: readonly RemainingObject[]
  readonly remainingCount: number
  /** Objects of which no site, and no older version, has good bytes, with the reason: the first of them. */
  readonly lost: readonly { readonly object: string; readonly detail: string }[]
  readonly lostCount: number
  /** Datasets ("agent/dataset") that were not brought to a site named, because the jobs here keep them elsewhere. */
  readonly elsewhere: readonly string[]
  readonly started: string
  readonly seconds: number
  readonly warnings: readonly string[]
}
