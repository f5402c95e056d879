import { JobError } from "../errors.ts"
import type { Reference, SequenceValue } from "./database.ts"
import type { DatabaseKind } from "./settings.ts"

/**
 * A Loader is one database that something kept is loaded into. It is handed files and lines that were checked against their SHA-256 and
 * knows nothing of snapshots or accounts.
 *
 * What every Loader promises:
 *  - Whole or failed: a load that resolves took every row it was given, unchanged; anything else rejects with a JobError.
 *  - No shell: no SQL of a dump reaches a shell client, and only a role that can reach nothing beyond its databases runs it.
 *  - No secret reaches an argument list, a log or an error, and no value of a row reaches an error of ours.
 */
export interface Loader extends AsyncDisposable {
  readonly kind: DatabaseKind
  /** For reports, such as "postgres fusionpbx at db.example.net"; without user or password. */
  readonly description: string
  /** Where all tables of such a database stand whatever the name they were kept under, as in MariaDB; null: in the schemas of that time. */
  readonly schema: string | null
  /** Names of what the database holds beside what its server and its extensions bring, such as "table public.cdr"; empty: none. */
  contents(): Promise<readonly string[]>
  /** Loads `whole.dump` or `whole.sql`. */
  loadWhole(file: string, options: LoadOptions): Promise<LoadNotes>
  /** Of `schema.dump` or `schema.sql`: what rows need, and then what checks them, acts on them or finds them. */
  loadSchema(file: string, part: "before rows" | "after rows", options: LoadOptions): Promise<LoadNotes>
  /** Appends rows to a table, in the lines of Database, and gives how many. May be called as often at once as `jobs` says. */
  loadRows(table: TableColumns, lines: AsyncIterable<Uint8Array>): Promise<number>
  setSequences(values: readonly SequenceValue[]): Promise<void>
  /** A session in which rows are laid beside tables that are in use, and merged into them. */
  session(): Promise<LoadSession>
}

export interface LoadOptions {
  /** How much is loaded at once. */
  readonly jobs: number
}

export interface LoadNotes {
  /** What of the dump was not loaded, and why; such as "owners and grants: all belongs to the role that loads". */
  readonly leftOut: readonly string[]
}

export interface TableColumns {
  readonly schema: string
  readonly name: string
  /** In the order of the fields. */
  readonly columns: readonly string[]
}

/** A table that rows are kept of, without its rules. */
export interface TableDescription {
  readonly schema: string
  readonly name: string
  readonly columns: readonly { readonly name: string; readonly type: string }[]
  readonly key: readonly string[]
}

/** One session. What it stages is seen by nobody else, and gone with it. Statements wait for each other. */
export interface LoadSession extends AsyncDisposable {
  readonly dialect: Dialect
  /** Tables of these names as they are now; one that is not there is left out. */
  tables(names: readonly { readonly schema: string; readonly name: string }[]): Promise<readonly TargetTable[]>
  /** The rows of a statement, values as text. */
  rows(statement: string): Promise<readonly (readonly (string | null)[])[]>
  execute(statement: string): Promise<void>
  /** Runs an INSERT, UPDATE or DELETE and gives how many rows it changed. */
  change(statement: string): Promise<number>
  /** Makes a table as it was described. Rejects with a JobError where a type is none of the server's, or something of that name is there. */
  create(table: TableDescription): Promise<void>
  /** Makes an empty private table of these columns of a table, and of a field for who merges; gives its name as SQL writes it. */
  stage(table: TableColumns): Promise<string>
  /** Appends lines to a staged table and gives how many there were. Every row is taken as it is, or all reject. */
  fill(staged: string, columns: readonly string[], lines: AsyncIterable<Uint8Array>): Promise<number>
  /** Lets staged rows be found by these columns. */
  index(staged: string, columns: readonly string[]): Promise<void>
  /** Sets the counters of a table forward beyond its rows, never back; gives the names of those it moved. */
  advance(table: TargetTable): Promise<readonly string[]>
  /** Lets no trigger of the tables act in this session. Rejects with a JobError where the role may not. */
  silenceTriggers(): Promise<void>
}

/** Where the two languages differ. */
export interface Dialect {
  name(identifier: string): string
  table(table: { readonly schema: string; readonly name: string }): string
  literal(text: string): string
  /** The text of a value, as the lines of Database have it but for escapes; equal texts are equal bytes. */
  text(expression: string): string
  /** A number or text that tells two rows apart that differ in any of these texts or NULLs. */
  print(expressions: readonly string[]): string
  /** Whether two expressions have the same value, or are both NULL. */
  same(one: string, other: string): string
  insert(into: string, columns: readonly string[], select: string): string
  /** Sets columns of `target` (alias t) from `source` (alias s). */
  update(change: {
    readonly target: string
    readonly source: string
    readonly on: string
    readonly set: readonly (readonly [column: string, value: string])[]
    readonly where: string
  }): string
  /** Begins a transaction whose statements see what others committed before each, and in which the database's own triggers find their tables. */
  readonly begin: readonly string[]
  /** Whether a statement's foreign keys are checked when it ends, so that its rows may refer to each other in any order. */
  readonly checksAfterStatement: boolean
  /** Puts off to the end of the transaction what can be put off. */
  readonly deferAll: string | null
}

/** A table as it is in the database that is loaded into. */
export interface TargetTable {
  readonly schema: string
  readonly name: string
  readonly columns: readonly TargetColumn[]
  /** Columns of the primary key, or of a unique key without NULLs; empty where there is none. */
  readonly key: readonly string[]
  /** What else no two rows may share. */
  readonly uniques: readonly { readonly name: string; readonly columns: readonly string[] }[]
  readonly references: readonly TargetReference[]
  /** Triggers that act when rows come or change. */
  readonly triggers: readonly string[]
}

export interface TargetColumn {
  readonly name: string
  readonly type: string
  readonly nullable: boolean
  /** Whether a row must bring a value. */
  readonly required: boolean
  readonly generated: boolean
}

export interface TargetReference extends Reference {
  readonly name: string
  /** Whether it can be checked at the end of the transaction. */
  readonly deferrable: boolean
}

/** The field of staged rows that says what becomes of them, and the one that numbers them. */
export const fateColumn = "holdline_fate"
export const numberColumn = "holdline_number"
/** Of what kept account staged rows are: "account" or "shared". */
export const originColumn = "holdline_origin"

/**
 * The statement that makes a described table. A type's text goes into it as it is, so one that is more than a type, as `types` tells, is
 * refused with a JobError: descriptions are data of whoever made the snapshot.
 */
export function createStatement(
  { schema, name, columns, key }: TableDescription,
  { dialect, types }: { readonly dialect: Dialect; readonly types: RegExp },
): string {
  const strange = columns.find(({ type }) => !types.test(type))
  if (strange !== undefined)
    throw new JobError("job/target", `${schema}.${name}: column ${strange.name} is of a type that cannot be made from its description`)
  const parts = columns.map((column) => `${dialect.name(column.name)} ${column.type}${key.includes(column.name) ? " NOT NULL" : ""}`)
  if (key.length > 0) parts.push(`PRIMARY KEY (${key.map((column) => dialect.name(column)).join(", ")})`)
  return `CREATE TABLE ${dialect.table({ schema, name })} (${parts.join(", ")})`
}
