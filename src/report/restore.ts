import type { RankedSite } from "./ranking.ts"

/** What a restore would do, before it does it. */
export interface RestorePlan {
  readonly dataset: string
  readonly mode: "archive" | "state"
  /** The moment whose state is restored; absent: the newest. */
  readonly asOf?: string
  readonly snapshots: number
  /** The newest snapshot among them. */
  readonly newest: { readonly run: string; readonly sha256: string; readonly storedAt: string; readonly complete: boolean }
  readonly accounts: number
  readonly files: number
  readonly bytes: number
  /** Bytes to fetch, with what lies between; an estimate where only some files are wanted. */
  readonly fetchBytes: number
  /** Best first: bytes come from the first, and from the next where it fails. */
  readonly sites: readonly RankedSite[]
  readonly estimatedSeconds: number
  readonly warnings: readonly string[]
}

export interface RestoreReport {
  readonly dataset: string
  readonly target: string
  readonly outcome: "ok" | "partial" | "failed"
  readonly started: string
  readonly ended: string
  readonly seconds: number
  readonly asOf?: string
  readonly snapshots: readonly { readonly run: string; readonly sha256: string; readonly storedAt: string; readonly complete: boolean }[]
  /** Restored now, and equal to the SHA-256 taken at the source. */
  readonly restored: { readonly files: number; readonly bytes: number }
  /** Already there, and equal. */
  readonly present: { readonly files: number; readonly bytes: number }
  readonly directories: number
  readonly links: number
  /** Files of which no site has good bytes. */
  readonly lost: readonly ProblemFile[]
  readonly lostCount: number
  /** Files of which no site that answers has good bytes, while one that does not answer may: a later run may bring them. */
  readonly unreachable: readonly ProblemFile[]
  readonly unreachableCount: number
  /** Files that the target cannot take. */
  readonly refused: readonly ProblemFile[]
  readonly refusedCount: number
  /** Items that were missing already when the snapshot was taken. */
  readonly missingAtSource: number
  /** Unfinished files of an earlier restore into this target, which were removed. */
  readonly leftovers: number
  readonly fetched: readonly { readonly site: string; readonly bytes: number }[]
  /** In which order sites were asked, best first, and why; empty where there was one only. */
  readonly sites: readonly RankedSite[]
  readonly failovers: readonly FailoverReport[]
  readonly warnings: readonly string[]
}

export interface ProblemFile {
  readonly path: string
  readonly detail: string
}

/** That another site was asked, because one did not deliver. */
export interface FailoverReport {
  readonly from: string
  /** null: no other was left. */
  readonly to: string | null
  /** How often; such as once for each object that is missing there. */
  readonly times: number
  /** What was said the first time. */
  readonly reason: string
}
