import { createReadStream } from "node:fs"
import { readFile } from "node:fs/promises"
import { z } from "zod"
import { escapeField, unescapeField } from "../database/rows.ts"
import { FormatError } from "../errors.ts"
import { parseWith } from "../format/lines.ts"
import { parseCdrPiecePath } from "../source/cdr-pieces.ts"
import { parseCsvPiecePath } from "../source/csv-pieces.ts"
import { firstCsvRow, nextCsvRow } from "../source/csv-rows.ts"

/** What a reader of a table's pieces needs, as the capture kept it beside them. */
export interface CallTable {
  /** "schema.table"; of files: the file's name. */
  readonly name: string
  readonly columns: readonly { readonly name: string; readonly type: string }[]
  /** Columns that tell rows apart; empty where only their content does, and each line begins with how often it is there. */
  readonly key: readonly string[]
  /** When the call was. */
  readonly day: { readonly column: string; readonly stored: "instant" | "local" | "epoch"; readonly timezone: string }
  /** How the lines of files are written; absent of tables. */
  readonly csv?: { readonly delimiter: string; readonly quote: string }
}

/** Where a piece of call records stands: whose calls, of which table or file, of which day, as which run captured them. */
export interface CallPiece {
  readonly stableId: string
  readonly table: string
  readonly day: string
  /** "20261120T140500Z". Pieces of a later cut have the later state of a row. */
  readonly cut: string
  /** The beginning of the digest of its table's description. */
  readonly description: string
  readonly kind: "tsv" | "csv"
}

/** What the path of an item says; null where it is no piece of call records. */
export function parseCallPiece(path: Uint8Array): CallPiece | null {
  const rows = parseCdrPiecePath(path)
  if (rows !== null) {
    const { stableId, table, day, cut, description } = rows
    return { stableId, table, day, cut, description, kind: "tsv" }
  }
  const lines = parseCsvPiecePath(path)
  if (lines === null) return null
  const { stableId, file, day, cut, description } = lines
  return { stableId, table: file, day, cut, description, kind: "csv" }
}

const day = z.object({ column: z.string(), stored: z.enum(["instant", "local", "epoch"]), timezone: z.string() })
const tableSchema = z.object({
  v: z.literal(1),
  schema: z.string(),
  name: z.string(),
  columns: z.array(z.object({ name: z.string(), type: z.string() })),
  key: z.array(z.string()),
  day,
})
const fileSchema = z.object({
  v: z.literal(1),
  file: z.string(),
  columns: z.array(z.string()),
  delimiter: z.string().length(1),
  quote: z.string().length(1),
  day,
})

/** Reads the description of a table or of a family of files. Throws a FormatError where it is none. */
export function parseDescription(bytes: Uint8Array): CallTable {
  const what = "description of call records"
  let json: unknown
  try {
    json = JSON.parse(Buffer.from(bytes).toString("utf8"))
  } catch (cause) {
    throw new FormatError("format/malformed", `${what}: is no JSON`, { cause })
  }
  const file = fileSchema.safeParse(json)
  if (file.success) {
    const { file: name, columns, delimiter, quote } = file.data
    return {
      name,
      columns: columns.map((column) => ({ name: column, type: "text" })),
      key: [],
      day: file.data.day,
      csv: { delimiter, quote },
    }
  }
  const { schema, name, columns, key, day: when } = parseWith(tableSchema, json, what)
  return { name: `${schema}.${name}`, columns, key, day: when }
}

/** A line of a piece, taken apart. */
export interface CallRow {
  /** One character a byte; of tables still escaped: most rows are looked at in few fields. */
  readonly raw: readonly string[]
  readonly isEscaped: boolean
  /** How often the row is there; 1 for a row with a key. */
  readonly times: number
}

/** The text of a field, one character a byte; null for NULL, and where the row has no such field. */
export function fieldOf({ raw, isEscaped }: CallRow, index: number): string | null {
  const field = raw[index] ?? null
  return field === null || !isEscaped ? field : unescapeField(field)
}

/** Longer rows are cut: what no row of calls has, and what would fill the memory. */
const rowBytesMax = 16 * 1024 * 1024

/**
 * The rows of files in this order, which may be cut anywhere between and within them. `counted`: each line begins with how often its row
 * is there.
 */
export async function* tsvRows(paths: readonly string[], { counted }: { readonly counted: boolean }): AsyncGenerator<CallRow> {
  for await (const line of linesOf(paths)) {
    const raw = line.split("\t")
    const times = counted ? Number(raw.shift()) : 1
    yield { raw, isEscaped: true, times: Number.isSafeInteger(times) && times > 0 ? times : 1 }
  }
}

/** The rows of a piece of a file, at most a pack; a line that is no row is one of a single field. */
export async function* csvRows(path: string, table: CallTable | null): AsyncGenerator<CallRow> {
  const bytes = await readFile(path)
  const { delimiter, quote } = table?.csv ?? { delimiter: ",", quote: '"' }
  const written = { delimiter: delimiter.charCodeAt(0), quote: quote.charCodeAt(0) }
  const fields = table?.columns.length ?? firstCsvRow(bytes, written)?.fields.length ?? 1
  for (let at = 0; at < bytes.length; ) {
    const row = nextCsvRow(bytes, at, { ...written, fields }, { final: true })
    if (row === null) return
    yield { raw: row.fields ?? [bytes.toString("latin1", at, row.end).trimEnd()], isEscaped: false, times: 1 }
    at = row.end
  }
}

async function* linesOf(paths: readonly string[]): AsyncGenerator<string> {
  let held: Buffer[] = []
  let heldBytes = 0
  const hold = (bytes: Buffer): void => {
    if (heldBytes < rowBytesMax) held.push(bytes)
    heldBytes += bytes.length
  }
  const take = (): string => {
    const line = Buffer.concat(held).toString("latin1", 0, Math.min(heldBytes, rowBytesMax))
    held = []
    heldBytes = 0
    return line
  }
  for (const path of paths) {
    for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
      const bytes = z.instanceof(Buffer).parse(chunk)
      let start = 0
      for (let end = bytes.indexOf(0x0a); end !== -1; end = bytes.indexOf(0x0a, start)) {
        hold(bytes.subarray(start, end))
        start = end + 1
        yield take()
      }
      if (start < bytes.length) hold(Buffer.from(bytes.subarray(start)))
    }
  }
  if (heldBytes > 0) yield take()
}

/** The text of a field for people: what the bytes say in UTF-8. */
export function readable(field: string | null): string | null {
  return field === null ? null : Buffer.from(field, "latin1").toString("utf8")
}

/** What tells a row apart: its key, or all of it where it has none. */
export function identityOf({ raw, isEscaped }: CallRow, table: CallTable | null): string {
  const indexes = table === null ? [] : table.key.map((column) => table.columns.findIndex(({ name }) => name === column))
  const telling = indexes.length === 0 || indexes.includes(-1) ? raw : indexes.map((index) => raw[index] ?? "")
  return (isEscaped ? telling : telling.map(escapeField)).join("\t")
}
