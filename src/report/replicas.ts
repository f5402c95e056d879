/** Which site has how much of what: the replica matrix. */
export interface ReplicaReport {
  readonly sites: readonly ReplicaSite[]
  /** The register of keys of each agent, and each of its datasets. */
  readonly rows: readonly ReplicaRow[]
  /** What waits on this host for sites. */
  readonly spool: { readonly objects: number; readonly bytes: number }
  readonly warnings: readonly string[]
}

export interface ReplicaSite {
  readonly name: string
  readonly provider: string
  readonly zone: string
  /** `resting`: it failed a few times in a row and is left alone until `restUntil`. */
  readonly state: "answers" | "silent" | "resting"
  /** Why it could not be asked. */
  readonly reason?: string
  readonly restUntil?: string
  readonly failingSince?: string
  /** The last scrub from this host; null where there was none. */
  readonly scrub: { readonly outcome: "ok" | "findings" | "unreadable"; readonly started: string; readonly readSince: string | null } | null
}

export interface ReplicaRow {
  readonly agent: string
  /** null: what every site has: the agent's register of keys, and what people approved. */
  readonly dataset: string | null
  /** When the newest of its commits was written. */
  readonly newest: string
  readonly at: Readonly<Record<string, Replica>>
}

/** What one site has of a row. */
export interface Replica {
  /** Commits that the site must hold; 0 where the dataset is not kept there. */
  readonly owed: number
  /** null where the site could not say. */
  readonly held: number | null
  /** When the oldest commit that it lacks was written; null where it lacks none. */
  readonly behindSince: string | null
}
