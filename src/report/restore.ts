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
  readonly sites: readonly { readonly name: string; readonly holds: number; readonly of: number }[]
  /** From which site bytes come first. */
  readonly from: string
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
  /** Files that the target cannot take. */
  readonly refused: readonly ProblemFile[]
  readonly refusedCount: number
  /** Items that were missing already when the snapshot was taken. */
  readonly missingAtSource: number
  readonly fetched: readonly { readonly site: string; readonly bytes: number }[]
  readonly warnings: readonly string[]
}

export interface ProblemFile {
  readonly path: string
  readonly detail: string
}
