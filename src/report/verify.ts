/** The ladder: how far a proof goes. A green light names its rung, never a bare "OK". */
export const rungs = ["present", "checksummed", "hashed", "decrypted", "decoded", "loaded", "linked", "matched"] as const
export type Rung = (typeof rungs)[number]

export interface RungReport {
  readonly rung: Rung
  /** `not-applicable`: it means nothing here; `not-checked`: it was not asked for, or could not be, for the reason given. */
  readonly result: "passed" | "failed" | "not-applicable" | "not-checked"
  /** What was counted: objects, segments or files. */
  readonly checked: number
  readonly failed: number
  readonly detail: string
}

export interface VerifyReport {
  readonly dataset: string
  readonly outcome: "ok" | "findings"
  /** The highest rung that everything asked about reached, with none below it failed; null where not even the first was. */
  readonly proven: Rung | null
  readonly snapshots: number
  readonly newest: { readonly run: string; readonly sha256: string; readonly storedAt: string; readonly complete: boolean }
  readonly packs: number
  readonly bytes: number
  readonly files: number
  readonly rungs: readonly RungReport[]
  readonly sites: readonly SiteProof[]
  readonly findings: readonly Finding[]
  readonly findingCount: number
  readonly started: string
  readonly seconds: number
  readonly warnings: readonly string[]
}

export interface SiteProof {
  readonly name: string
  readonly packs: number
  readonly missing: number
  readonly rotten: number
  /** Why it could not be asked. */
  readonly unreadable?: string
}

export interface Finding {
  readonly rung: Rung
  /** Absent where it concerns every site. */
  readonly site?: string
  /** A key, or the path of a file. */
  readonly object: string
  readonly detail: string
}
