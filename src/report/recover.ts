/** What was found at the sites, beginning from nothing. */
export interface RecoverReport {
  readonly repository: string
  readonly rootFingerprint: string
  readonly trustLists: number
  readonly agents: readonly string[]
  readonly sites: readonly { readonly name: string; readonly readable: boolean; readonly reason?: string }[]
  readonly commits: number
  /** Objects in the logs that are not to be believed. */
  readonly refused: readonly { readonly key: string; readonly reason: string }[]
  readonly gaps: readonly { readonly agent: string; readonly missing: number }[]
  readonly accounts: number
  readonly datasets: readonly RecoveredDataset[]
  readonly seconds: number
  readonly warnings: readonly string[]
}

export interface RecoveredDataset {
  readonly dataset: string
  readonly mode: "archive" | "state"
  readonly agent: string
  readonly snapshots: number
  readonly files: number
  readonly bytes: number
  readonly newest: string
  readonly complete: boolean
  /** Items the catalog knows again, so that the next run does not send them a second time. */
  readonly remembered: number
}
