import type { Environment } from "../program.ts"
import type { Secret } from "../secret.ts"
import type { DatabaseKind } from "./settings.ts"

/**
 * A Database is one database of a Postgres or MariaDB server, as whoever captures or restores it sees it. What is read comes from one
 * snapshot; rows travel as text, so that what is kept can be loaded by hand with `COPY … FROM` or `LOAD DATA`:
 *
 *  - one row a line, ended by "\n"; fields separated by "\t"; NULL is "\N"
 *  - "\\", tab, newline, carriage return and NUL inside a field are "\\\\", "\\t", "\\n", "\\r" and "\\0" (Postgres has no NUL)
 *  - Postgres: COPY's text format, in UTF-8 where the database has an encoding, with DateStyle ISO, intervals in postgres style, UTC,
 *    extra_float_digits 3 and bytea in hex; MariaDB: the column's raw bytes, without any conversion of character sets
 *
 * What every Database promises:
 *  - Consistent: everything one Snapshot gives is as of one moment.
 *  - Complete or failed: a stream that was cut, a server that went away and a program that failed reject; they never end early.
 *  - Typed failure: every rejection is a JobError ("job/source", "job/command" or "job/target") or the signal's reason.
 *  - No secret reaches an argument list, a log or an error.
 */
export interface Database extends AsyncDisposable {
  readonly kind: DatabaseKind
  /** For reports, such as "postgres fusionpbx at db.example.net"; without user or password. */
  readonly description: string
  about(): Promise<About>
  /** Begins a snapshot that `readers` statements can read at once. */
  snapshot(options: { readonly readers: number }): Promise<Snapshot>
}

export interface DatabaseAccess {
  readonly password: Secret | undefined
  /** PATH and the like for the programs that are started; no secrets. */
  readonly environment: Environment
  /** A private directory for password files and the like; whoever gave it removes it. */
  readonly scratch: string
  readonly signal: AbortSignal
}

export interface About {
  /** As the server says it, such as "15.20" or "10.11.19-MariaDB". */
  readonly serverVersion: string
  /** Of the program that dumps the schema, such as "15.20". */
  readonly clientVersion: string
  readonly encoding: string
  /** Name and version. */
  readonly extensions: readonly (readonly [name: string, version: string])[]
  /** Objects outside all tables, which only the whole holds (Postgres). */
  readonly largeObjects: number
}

export interface Table {
  /** Postgres: the schema; MariaDB: the database. */
  readonly schema: string
  readonly name: string
  readonly columns: readonly Column[]
  /** Columns of the primary key, or of a unique key without NULLs; empty where there is none. */
  readonly key: readonly string[]
  readonly references: readonly Reference[]
  /** As the server estimates them; -1 where it does not know. */
  readonly rowsEstimate: number
  readonly bytesEstimate: number
  /** False for MyISAM and the like, which no snapshot covers. */
  readonly transactional: boolean
}

export interface Column {
  readonly name: string
  /** As the server writes it, such as "timestamp with time zone" or "varchar(80)". */
  readonly type: string
  readonly nullable: boolean
  /** Computed by the server: not read, not loaded. */
  readonly generated: boolean
}

/** A foreign key. */
export interface Reference {
  readonly columns: readonly string[]
  readonly schema: string
  readonly table: string
  readonly toColumns: readonly string[]
}

export interface SequenceValue {
  /** "schema.name". */
  readonly name: string
  readonly value: bigint
  /** Whether `value` was given out already. */
  readonly called: boolean
}

/** One moment of a database. Ends when it is disposed of. */
export interface Snapshot extends AsyncDisposable {
  /** What is not as one would expect, one sentence each: tables that no snapshot covers, fewer readers than were asked for. */
  readonly notes: readonly string[]
  /** Every table that holds rows of its own: not views, not foreign tables; a partitioned table once, without its partitions. */
  tables(): Promise<readonly Table[]>
  sequences(): Promise<readonly SequenceValue[]>
  /** The rows asked for, in lines as above, cut anywhere; each piece is valid until the next is asked for. Waits for a reader where all are busy. */
  rows(query: RowsQuery, signal: AbortSignal): AsyncIterable<Uint8Array>
  /** Everything but rows, for `pg_restore` (custom format) or the `mariadb` client (plain, with its sandbox line). */
  schema(signal: AbortSignal): AsyncIterable<Uint8Array>
  /** The whole database in the format of the server's own tool: pg_dump's custom format, mariadb-dump's SQL. */
  whole(signal: AbortSignal): AsyncIterable<Uint8Array>
}

export interface RowsQuery {
  readonly table: Pick<Table, "schema" | "name">
  /** Fields put before the columns, in this order. */
  readonly lead: readonly Lead[]
  readonly columns: readonly string[]
  /** Only rows for which one of these holds; absent: all. */
  readonly where?: readonly Condition[]
  /** Beside those of `where`, the rows in which all of these columns are NULL; absent: none. */
  readonly undated?: readonly string[]
  /**
   * Sorted by the lead fields as bytes (NULL last), then by these columns as the server sorts them; absent: as they come. A table
   * without a key is sorted by all its columns, so that equal rows give equal bytes.
   */
  readonly order?: readonly string[]
}

export type Lead =
  /** The column of the table itself, or of the one at the end of the joins. */
  | { readonly kind: "value"; readonly column: string; readonly via: readonly Join[] }
  /** The day (yyyy-mm-dd) of a moment, in a time zone known to the server. */
  | { readonly kind: "day"; readonly column: string; readonly stored: MomentStored; readonly timezone: string }

/** How a moment stands in a column: a date and time with a zone, one without (its zone is given beside it), seconds since 1970. */
export type MomentStored = "instant" | "local" | "epoch"

/** From a table to the one its account stands in: `column` here equals `key` there. The key must be unique there. */
export interface Join {
  readonly column: string
  readonly schema: string
  readonly table: string
  readonly key: string
}

/** `column` at or after a moment; NULL never is. `value` is text: ISO 8601 in UTC, or seconds since 1970 for "epoch". */
export interface Condition {
  readonly column: string
  readonly stored: MomentStored
  readonly timezone: string
  readonly from: Date
}
