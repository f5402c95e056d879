import type { RestoreReport } from "./restore.ts"

/**
 * How far a restored database was proven: its rows went in; or they are equal to the fingerprints taken from the source when it was
 * captured. null: nothing was loaded.
 */
export type DatabaseRung = "loaded" | "matched" | null

/** What a restore of a whole database did. */
export interface DatabaseRestoreReport {
  readonly dataset: string
  /** Such as "postgres fusionpbx at db.example.net". */
  readonly into: string
  readonly outcome: "ok" | "partial" | "failed"
  readonly rung: DatabaseRung
  /** whole: from the server's own dump; accounts: from the rows that were captured account by account. */
  readonly way: "whole" | "accounts"
  readonly started: string
  readonly ended: string
  readonly seconds: number
  /** How the files came home, each equal to its SHA-256; null where none did. */
  readonly files: RestoreReport | null
  /** Why it failed; what was loaded until then stays in the database. */
  readonly failure?: string
  readonly tables: number
  /** Those that were loaded account by account, or compared; null where a whole dump was loaded and none was. */
  readonly rows: number | null
  readonly sequences: number
  readonly differences: readonly FingerprintDifference[]
  readonly differenceCount: number
  /** Tables and the like that the snapshot does not hold, or that were not loaded, and why. */
  readonly leftOut: readonly string[]
  readonly warnings: readonly string[]
}

/** A table, of one account or of all, that is not what was captured; counts, never values. */
export interface FingerprintDifference {
  readonly table: string
  /** null: of all accounts together. */
  readonly account: string | null
  readonly rowsKept: number
  readonly rowsThere: number
}

/** What a restore of one account into a database that is in use did, or would do. */
export interface AccountRestoreReport {
  readonly dataset: string
  readonly account: string
  readonly into: string
  readonly outcome: "ok" | "partial" | "failed"
  readonly rung: DatabaseRung
  /** Whether only the preview was asked for. */
  readonly preview: boolean
  /** Whether anything in the database was changed. */
  readonly changed: boolean
  readonly onConflict: "stop" | "keep" | "replace"
  readonly started: string
  readonly ended: string
  readonly seconds: number
  readonly files: RestoreReport | null
  readonly failure?: string
  /** Why nothing was, or would be, changed: conflicts, and keys that lead to nothing. */
  readonly stops: readonly string[]
  readonly tables: readonly AccountTable[]
  readonly dangling: readonly DanglingKey[]
  /** Triggers of the tables, such as "public.v_extensions: note_change". */
  readonly triggers: readonly string[]
  /** Whether they act on what comes. */
  readonly triggersAct: boolean
  /** Counters that were set forward. */
  readonly advanced: readonly string[]
  readonly differences: readonly FingerprintDifference[]
  readonly differenceCount: number
  readonly warnings: readonly string[]
}

export interface AccountTable {
  readonly table: string
  /** Rows of the account in the snapshot; of these new, equal, different, or under a key of another account's row. */
  readonly kept: number
  readonly new: number
  readonly equal: number
  readonly different: number
  readonly foreign: number
  /** Rows that share with another row what no two rows may, by the columns. */
  readonly clashes: readonly { readonly unique: string; readonly rows: number }[]
  /** Rows of `platform` that come with them. */
  readonly shared: number
  /** Rows the account has there that the snapshot does not; they stay. */
  readonly onlyThere: number
  readonly inserted: number
  readonly replaced: number
}

/** Rows that refer to rows which are neither there nor in the snapshot's rows of the account. */
export interface DanglingKey {
  readonly table: string
  readonly columns: readonly string[]
  readonly toTable: string
  readonly rows: number
  /** Whether the snapshot has rows of that table that are nobody's, which --with-shared brings where they are needed. */
  readonly keptAsShared: boolean
}

/** What a restore of an account's call detail records did. */
export interface CdrRestoreReport {
  readonly dataset: string
  readonly account: string
  readonly since: string
  readonly until: string
  readonly outcome: "ok" | "partial" | "failed"
  readonly started: string
  readonly ended: string
  readonly seconds: number
  readonly files: RestoreReport | null
  /** The file that was written, or the database and table the rows are in now. */
  readonly to: string
  readonly form: "csv" | "table"
  /** Whether the table was made. */
  readonly created: boolean
  /** As they were last captured; each as often as it was there. */
  readonly rows: number
  /** Of a table; in a file all are new. */
  readonly new: number
  readonly equal: number
  readonly different: number
  readonly inserted: number
  readonly onConflict: "stop" | "keep"
  readonly stops: readonly string[]
  readonly failure?: string
  readonly warnings: readonly string[]
}
