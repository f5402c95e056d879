import { hash } from "node:crypto"
import { z } from "zod"
import { FormatError } from "../errors.ts"
import { type CdrPieceName, parseCdrPiecePath, parseDescriptionPath } from "./cdr-pieces.ts"

/** An item of a dataset of call detail records, as it was kept. */
export interface CdrItem {
  readonly path: Uint8Array
  readonly bytes: Uint8Array
}

/** A row as it was when it was last captured. */
export interface CdrStateRow {
  readonly stableId: string
  /** "schema.table". */
  readonly table: string
  readonly day: string
  /** The names of the line's fields. */
  readonly columns: readonly string[]
  /** Fields as in database.ts, one character a byte, without newline. */
  readonly line: string
  /** How often the table held it; 1 where rows have a key. */
  readonly times: number
}

const descriptionSchema = z.object({
  v: z.literal(1),
  columns: z.array(z.object({ name: z.string(), type: z.string() })).nonempty(),
  key: z.array(z.string()),
})

/** A table's columns at some time, and the pieces written then. */
interface Edition {
  readonly columns: readonly string[]
  readonly key: readonly string[]
  readonly pieces: { readonly name: CdrPieceName; readonly bytes: Buffer }[]
}

/**
 * The rows that pieces of call detail records add up to, whatever order the pieces are given in and however often a row was captured: by
 * key its latest image; without a key each different row, as often as it was ever there at once. Give it the descriptions of the tables
 * together with the pieces; other items are passed over. Throws a FormatError where a piece is damaged or its description is missing.
 */
export function* cdrState(items: Iterable<CdrItem>): Generator<CdrStateRow> {
  const descriptions = new Map<string, z.infer<typeof descriptionSchema>>()
  const tables = new Map<string, { readonly name: CdrPieceName; readonly bytes: Buffer }[]>()
  for (const { path, bytes } of items) {
    const described = parseDescriptionPath(path)
    if (described !== null) descriptions.set(`${described.table}\0${described.description}`, descriptionOf(bytes))
    const name = parseCdrPiecePath(path)
    if (name === null) continue
    const pieces = tables.get(name.table) ?? []
    pieces.push({ name, bytes: checked(name, bytes) })
    tables.set(name.table, pieces)
  }
  for (const [table, pieces] of tables) {
    const editions = editionsOf(pieces, (description) => descriptions.get(`${table}\0${description}`))
    const newest = editions.at(-1)
    if (newest === undefined) continue
    yield* newest.key.length > 0 ? byKey(editions, newest.key) : byContent(editions)
  }
}

function descriptionOf(bytes: Uint8Array): z.infer<typeof descriptionSchema> {
  const parsed = descriptionSchema.safeParse(jsonOf(bytes))
  if (parsed.success) return parsed.data
  throw new FormatError("format/malformed", "the description of a table of call detail records is none")
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8"))
  } catch {
    return null
  }
}

function checked(name: CdrPieceName, bytes: Uint8Array): Buffer {
  if (hash("sha256", bytes, "hex").slice(0, 16) !== name.content) {
    throw new FormatError("format/mismatch", `${name.table} of ${name.day}, cut ${name.cut}: the piece does not hold what its name says`)
  }
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** A table's editions, the one that was written last at the end. */
function editionsOf(
  pieces: readonly { readonly name: CdrPieceName; readonly bytes: Buffer }[],
  describe: (description: string) => z.infer<typeof descriptionSchema> | undefined,
): Edition[] {
  const editions = new Map<string, Edition>()
  // Latest last: an edition's place is that of its latest piece.
  for (const piece of pieces.toSorted((a, b) => (a.name.cut < b.name.cut ? -1 : a.name.cut > b.name.cut ? 1 : 0))) {
    const { table, description } = piece.name
    const described = describe(description)
    if (described === undefined) {
      throw new FormatError("format/malformed", `${table}: the description ${description}, which its pieces name, is not there`, {
        hint: "descriptions are kept under the account `platform`; fetch them together with the pieces",
      })
    }
    const edition = editions.get(description) ?? { columns: described.columns.map(({ name }) => name), key: described.key, pieces: [] }
    edition.pieces.push(piece)
    editions.delete(description)
    editions.set(description, edition)
  }
  return [...editions.values()]
}

interface Line {
  readonly name: CdrPieceName
  readonly line: string
  readonly times: number
}

function* linesOf({ key, pieces }: Edition): Generator<Line> {
  for (const { name, bytes } of pieces) {
    let start = 0
    for (let end = bytes.indexOf(0x0a); end !== -1; end = bytes.indexOf(0x0a, start)) {
      const text = bytes.toString("latin1", start, end)
      start = end + 1
      const tab = key.length > 0 ? -1 : text.indexOf("\t")
      yield { name, line: text.slice(tab + 1), times: tab === -1 ? 1 : Number(text.slice(0, tab)) }
    }
    if (start < bytes.length) throw new FormatError("format/malformed", `${name.table} of ${name.day}: a piece ends within a row`)
  }
}

// Rows of one run that have one key are all kept: the rules took for a key what is none.
function* byKey(editions: readonly Edition[], key: readonly string[]): Generator<CdrStateRow> {
  const latest = new Map<string, { readonly cut: string; readonly rows: CdrStateRow[] }>()
  for (const edition of editions) {
    const indexes = key.map((column) => edition.columns.indexOf(column))
    for (const each of linesOf(edition)) {
      const fields = each.line.split("\t")
      const id = indexes.includes(-1) ? `line\0${each.line}` : `key\0${indexes.map((index) => fields[index]).join("\t")}`
      const row = { ...rowOf(each, edition), times: 1 }
      const known = latest.get(id)
      if (known === undefined || known.cut < each.name.cut) latest.set(id, { cut: each.name.cut, rows: [row] })
      else if (known.cut === each.name.cut && known.rows.every(({ line }) => line !== row.line)) known.rows.push(row)
    }
  }
  for (const { rows } of latest.values()) yield* rows
}

function* byContent(editions: readonly Edition[]): Generator<CdrStateRow> {
  const newer: { readonly edition: Edition; readonly rows: readonly CdrStateRow[] }[] = []
  for (const edition of editions.toReversed()) {
    const rows = new Map<string, CdrStateRow>()
    for (const each of linesOf(edition)) {
      const times = Math.max(each.times, rows.get(each.line)?.times ?? 0)
      rows.set(each.line, { ...rowOf(each, edition), times })
    }
    const left = newer.reduce((rest, later) => withoutThoseOf(later, edition, rest), [...rows.values()])
    newer.push({ edition, rows: left })
  }
  for (const { rows } of newer.toReversed()) yield* rows
}

/**
 * Rows of an older edition without those that a newer one has, too: a table that gains a column has all its rows once more, as new ones,
 * and rows without a key can be recognised only by the columns that both editions have.
 */
function withoutThoseOf(
  newer: { readonly edition: Edition; readonly rows: readonly CdrStateRow[] },
  older: Edition,
  rows: readonly CdrStateRow[],
): CdrStateRow[] {
  const common = older.columns.filter((column) => newer.edition.columns.includes(column))
  const shared = (edition: Edition, { line }: CdrStateRow) => {
    const fields = line.split("\t")
    return common.map((column) => fields[edition.columns.indexOf(column)]).join("\t")
  }
  const there = new Map<string, number>()
  for (const row of newer.rows) {
    const id = shared(newer.edition, row)
    there.set(id, (there.get(id) ?? 0) + row.times)
  }
  return rows.flatMap((row) => {
    const id = shared(older, row)
    const same = Math.min(there.get(id) ?? 0, row.times)
    there.set(id, (there.get(id) ?? 0) - same)
    return same === row.times ? [] : [{ ...row, times: row.times - same }]
  })
}

function rowOf({ name, line, times }: Line, { columns }: Edition): CdrStateRow {
  return { stableId: name.stableId, table: name.table, day: name.day, columns, line, times }
}
