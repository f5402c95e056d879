/** What a machine that captures nothing can say of a dataset, from the logs at the sites alone. */
export interface WitnessedDataset {
  readonly agent: string
  readonly dataset: string
  readonly rpoSeconds: number
  /**
   * `late`: its newest complete snapshot at enough sites is older than was promised; `never`: there is none; `unknown`: there may be one, at
   * sites that did not answer.
   */
  readonly state: "ok" | "late" | "never" | "unknown"
  readonly newest: WitnessedSnapshot | null
  /** Open anomalies of the dataset. */
  readonly anomalies: number
  readonly why: string | null
}

export interface WitnessedSnapshot {
  readonly seq: number
  readonly run: string
  /** By the sites' clocks, never by the agent's. */
  readonly storedAt: string
  readonly ageSeconds: number
  readonly held: readonly string[]
}

export interface WitnessReport {
  readonly datasets: readonly WitnessedDataset[]
  /** Sites that did not answer, with the reason. */
  readonly unreadable: readonly { readonly site: string; readonly message: string }[]
  /** What in the logs is not as it should be: objects that nobody signed, places that are missing, forks. */
  readonly findings: readonly string[]
}
