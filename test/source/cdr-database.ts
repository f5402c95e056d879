import type { Condition, Database, Lead, RowsQuery, Snapshot, Table } from "../../src/database/database.ts"
import { escapeField } from "../../src/database/rows.ts"
import { JobError } from "../../src/errors.ts"

export type FakeRow = Readonly<Record<string, string | null>>

/** A table of a fake database; moments in it are written in UTC, as "2026-11-22 09:30:00+00". */
export interface FakeTable {
  readonly schema: string
  readonly name: string
  columns: string[]
  readonly key: readonly string[]
  rows: FakeRow[]
}

export interface FakeDatabase {
  readonly tables: FakeTable[]
  /** The server goes away after so many rows of a stream; null: never. */
  diesAfterRows: number | null
  /** Rows given since the beginning. */
  given: number
  open(): Promise<Database>
}

/** A database in memory that gives what a server would, in small chunks. */
export function fakeDatabase(tables: FakeTable[]): FakeDatabase {
  const fake: FakeDatabase = { tables, diesAfterRows: null, given: 0, open: async () => databaseOf(fake) }
  return fake
}

function databaseOf(fake: FakeDatabase): Database {
  return {
    kind: "postgres",
    description: "fake",
    about: async () => ({ serverVersion: "0", clientVersion: "0", encoding: "UTF8", extensions: [], largeObjects: 0 }),
    snapshot: async () => snapshotOf(fake),
    [Symbol.asyncDispose]: async () => undefined,
  }
}

function snapshotOf(fake: FakeDatabase): Snapshot {
  const moment = structuredClone(fake.tables)
  return {
    notes: [],
    tables: async () => moment.map(tableOf),
    sequences: async () => [],
    async *rows(query) {
      let text = ""
      let given = 0
      for (const line of linesOf(query, moment)) {
        if (fake.diesAfterRows !== null && given >= fake.diesAfterRows) throw new JobError("job/source", "the server went away")
        text += line
        given += 1
        fake.given += 1
        if (text.length > 300) {
          yield Buffer.from(text, "utf8")
          text = ""
        }
      }
      if (fake.diesAfterRows !== null) throw new JobError("job/source", "the server went away")
      yield Buffer.from(text, "utf8")
    },
    schema: () => nothing(),
    whole: () => nothing(),
    [Symbol.asyncDispose]: async () => undefined,
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {
  yield Buffer.from("--\n")
}

function tableOf({ schema, name, columns, key }: FakeTable): Table {
  return {
    ...{ schema, name, key, references: [], rowsEstimate: -1, bytesEstimate: -1, transactional: true },
    columns: columns.map((column) => ({ name: column, type: "text", nullable: true, generated: false })),
  }
}

function linesOf(query: RowsQuery, tables: readonly FakeTable[]): string[] {
  const table = tables.find(({ schema, name }) => schema === query.table.schema && name === query.table.name)
  if (table === undefined) throw new JobError("job/source", `${query.table.name}: no such table`)
  const order = table.key.length > 0 ? (query.order ?? []) : query.columns
  return table.rows
    .filter((row) => query.where === undefined || query.where.some((condition) => holds(condition, row)) || isUndated(query, row))
    .map((row) => ({
      lead: query.lead.map((lead) => leadOf(lead, row)),
      sort: order.map((column) => row[column] ?? null),
      fields: query.columns.map((column) => row[column] ?? null),
    }))
    .toSorted((a, b) => compared([...a.lead, ...a.sort], [...b.lead, ...b.sort]))
    .map(({ lead, fields }) => `${[...lead, ...fields].map(escapeField).join("\t")}\n`)
}

function compared(a: readonly (string | null)[], b: readonly (string | null)[]): number {
  for (const [index, one] of a.entries()) {
    const other = b[index] ?? null
    if (one === other) continue
    if (one === null || other === null) return one === null ? 1 : -1
    return one < other ? -1 : 1
  }
  return 0
}

function leadOf(lead: Lead, row: FakeRow): string | null {
  const value = row[lead.column] ?? null
  if (lead.kind === "value" || value === null) return value
  return new Intl.DateTimeFormat("sv-SE", { timeZone: lead.timezone }).format(msOf(value))
}

function holds({ column, from }: Condition, row: FakeRow): boolean {
  const value = row[column] ?? null
  return value !== null && msOf(value) >= from.getTime()
}

function isUndated({ undated }: RowsQuery, row: FakeRow): boolean {
  return undated?.every((column) => (row[column] ?? null) === null) ?? false
}

function msOf(text: string): number {
  return Date.parse(text.replace(" ", "T").replace(/\+00$/, "Z"))
}

/** A moment as the fake's tables have it. */
export function stampOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")}+00`
}
