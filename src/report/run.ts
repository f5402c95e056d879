import type { AnomalyReport } from "./anomaly.ts"
import type { LinksReport } from "./links.ts"

/** How a run ended. `partial` did not capture everything it was asked to; `failed` promises nothing beyond what it says is kept. */
export type Outcome = "ok" | "partial" | "failed"

/** What a run did, as data: the terminal, the JSON lines and the catalog's history are made from it. */
export interface RunReport {
  readonly job: string
  readonly dataset: string
  readonly mode: "archive" | "state"
  readonly run: string
  readonly outcome: Outcome
  readonly started: string
  readonly ended: string
  readonly seconds: number
  readonly source: string
  /** Files read, encrypted and placed by this run. */
  readonly captured: Amount
  /** Files that did not change since they were captured. */
  readonly unchanged: Amount
  readonly accounts: number
  /** Counted by reason; the first few are named. */
  readonly missed: readonly MissedItems[]
  /** Counted by kind: settling, unmatched, excluded, and so on. */
  readonly notes: Readonly<Record<string, number>>
  readonly stored: { readonly packs: number; readonly bytes: number }
  readonly commits: readonly CommitReport[]
  readonly sites: readonly SiteReport[]
  /** Accounts whose identity was born in this run. */
  readonly born: number
  /** Sentences a person should read: a site that was left out, a log that was forked, a clock that differs. */
  readonly warnings: readonly string[]
  /** That it is kept for longer than other runs of its job: the class, its days, and the day, week, month or year whose first run it is. */
  readonly promoted?: { readonly name: string; readonly days: number; readonly rung: string; readonly period: string }
  /** What rows point at, held against the media that are kept; where the job says whose rows. */
  readonly links?: LinksReport
  /** Anomalies of the dataset that are open, found by this run or before: nothing of it expires. */
  readonly anomalies?: readonly AnomalyReport[]
  /** What is beside what the job reads and no job captures, a sentence each, the first few of them; absent: nothing, or nobody knows. */
  readonly uncovered?: readonly string[]
  /** Why it failed. */
  readonly failure?: { readonly code: string; readonly message: string; readonly hint?: string }
}

export interface Amount {
  readonly files: number
  readonly bytes: number
}

export interface MissedItems {
  /** A MissReason of the source. */
  readonly reason: string
  readonly count: number
  /** At most a few, for a person to start with; the manifests have all. */
  readonly examples: readonly { readonly path: string; readonly detail: string }[]
}

export interface CommitReport {
  readonly seq: number
  readonly sha256: string
  readonly held: readonly string[]
  readonly durable: boolean
  /** Whether it waits on the host, with what it needs, for the sites that do not hold it. */
  readonly waits: boolean
}

export interface SiteReport {
  readonly name: string
  readonly provider: string
  readonly zone: string
  /** Whether it holds every commit of this run. */
  readonly held: boolean
  readonly reason?: string
  readonly sameDevice: boolean
}
