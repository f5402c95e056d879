import type { LedgerEvent } from "../ledger/entry.ts"
import type { RunReport } from "../report/run.ts"

/** What happens, while it happens: progress bars, log lines and JSON lines are drawn from these. */
export type Event =
  | { readonly type: "run-started"; readonly job: string; readonly run: string; readonly source: string; readonly sites: readonly string[] }
  | { readonly type: "progress"; readonly progress: Progress }
  | { readonly type: "missed"; readonly path: string; readonly reason: string; readonly detail: string }
  | { readonly type: "warning"; readonly message: string }
  | { readonly type: "site-missed"; readonly site: string; readonly message: string }
  | { readonly type: "failover"; readonly key: string; readonly site: string; readonly message: string; readonly next: string | null }
  | { readonly type: "committed"; readonly seq: number; readonly held: readonly string[]; readonly durable: boolean }
  | { readonly type: "run-ended"; readonly report: RunReport }
  | { readonly type: "deed"; readonly deed: Deed }

/** What the ledger keeps of an operation that is over, but for who asked for it. A run is told by its own event. */
export type Deed = Omit<LedgerEvent, "who">

/** Counts so far; `totalFiles` and `totalBytes` where they are known before the end. */
export interface Progress {
  readonly phase: string
  readonly files: number
  readonly bytes: number
  readonly unchanged: number
  readonly totalFiles?: number
  readonly totalBytes?: number
  /** What `files` counts, where these are no files. */
  readonly noun?: string
}
