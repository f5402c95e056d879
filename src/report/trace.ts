/** A call, or a leg of one, that was looked for: its row as it was captured, and where that is kept. Names customers and numbers. */
export interface FoundCall {
  readonly dataset: string
  readonly agent: string
  /** Holdline's own id of the account, and its platform's. */
  readonly account: string
  readonly stableId: string
  /** "schema.table", or a file's name. */
  readonly table: string
  /** The event day it is kept under. */
  readonly day: string
  /** When it was, in UTC; absent where the row's columns are not known. */
  readonly time?: string
  readonly from?: string
  readonly to?: string
  readonly seconds?: number
  /** Columns that hold a number that was looked for; of fields without names, "field 3". Empty where no number was asked for. */
  readonly matched: readonly string[]
  /** "earlier": the row held the number when it was captured first, and no longer does; shown is its latest state. */
  readonly version: "latest" | "earlier"
  /** How often the platform has the same row; absent: once. */
  readonly times?: number
  /** Every column; of fields without names, "field 1" and so on. */
  readonly row: Readonly<Record<string, string | null>>
  readonly kept: KeptAt
  readonly recordings: readonly FoundRecording[]
}

export interface KeptAt {
  readonly run: string
  readonly sites: readonly string[]
  /** Below its dataset's root. */
  readonly path: string
}

/** A medium that a row points at. */
export interface FoundRecording {
  /** As the row has it. */
  readonly said: string
  /**
   * kept: a snapshot has it. missing: a snapshot names it, and it could not be read then. not-kept: no dataset of recordings has it for this
   * account, at most a day away. unknown: not everything that might say so could be read.
   */
  readonly state: "kept" | "missing" | "not-kept" | "unknown"
  readonly dataset?: string
  readonly day?: string
  readonly bytes?: number
  readonly kept?: KeptAt
  /** What should be known, such as that it is kept under another extension. */
  readonly note?: string
}

/** What a trace looked at: counts, and names of tables and files. */
export interface TraceReport {
  readonly outcome: "ok" | "partial"
  readonly datasets: readonly string[]
  readonly snapshots: number
  readonly partitions: number
  readonly pieces: number
  readonly rows: number
  /** Bytes of pieces that were fetched from the sites, with what lay between them. */
  readonly bytes: number
  readonly seconds: number
  readonly calls: number
  readonly recordings: { readonly kept: number; readonly others: number }
  /** Which columns of each table were held against the numbers; empty: every field, as nothing says which hold numbers. */
  readonly searched: readonly SearchedTable[]
  /** Tables that were left out, as none of their columns holds a number by its name. */
  readonly left: readonly string[]
  /** What could not be read, by what it is; calls may be in it. */
  readonly losses: readonly string[]
  readonly warnings: readonly string[]
}

export interface SearchedTable {
  readonly dataset: string
  readonly table: string
  readonly columns: readonly string[]
}
