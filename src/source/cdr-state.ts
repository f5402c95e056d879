import { hash } from "node:crypto"
import { z } from "zod"
import { FormatError } from "../errors.ts"
import { type CdrPieceName, parseCdrPiecePath, parseDescriptionPath } from "./cdr-pieces.ts"
import { bucketOf, CdrSpill, type SpillSettings } from "./cdr-spill.ts"

/** An item of a dataset of call detail records, as it was kept. */
export interface CdrItem {
  readonly path: Uint8Array
  /** Asked for once for each time that all is read, and not held: it may be a getter that reads a file. */
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

interface Piece {
  readonly name: CdrPieceName
  readonly item: CdrItem
}

/** A table's columns at some time, and the pieces written then. */
interface Edition {
  readonly columns: readonly string[]
  readonly key: readonly string[]
  readonly pieces: Piece[]
}

/** A part of an edition's rows: all that might be one another's earlier images. */
interface EditionRows extends Pick<Edition, "columns" | "key"> {
  readonly lines: () => Iterable<Line>
}

/** What is kept of a table, by the names of its pieces alone. */
export interface CdrTableKept {
  /** "schema.table". */
  readonly table: string
  /** Those of all times, in the order in which they came. */
  readonly columns: readonly string[]
  readonly stableIds: readonly string[]
}

/** Which tables the pieces hold rows of; no piece is read. */
export function cdrTables(items: Iterable<CdrItem>): CdrTableKept[] {
  return [...tablesOf(items)].map(([table, editions]) => {
    const stableIds = new Set(editions.flatMap(({ pieces }) => pieces.map(({ name }) => name.stableId)))
    return { table, columns: [...new Set(editions.flatMap(({ columns }) => columns))], stableIds: [...stableIds] }
  })
}

/**
 * The rows that pieces of call detail records add up to, whatever order the pieces are given in and however often a row was captured: by
 * key its latest image; without a key each different row, as often as it was ever there at once. Give it the descriptions of the tables
 * together with the pieces; other items are passed over. Throws a FormatError where a piece is damaged or its description is missing.
 *
 * All rows of a table are held at once, some kilobyte each, unless `spill` says in how many parts they are to be sorted on disk first:
 * then those of one part are.
 */
export function* cdrState(items: Iterable<CdrItem>, spill?: SpillSettings): Generator<CdrStateRow> {
  for (const editions of tablesOf(items).values()) {
    if (spill === undefined || spill.buckets <= 1) yield* rowsOf(editions.map((edition) => ({ ...edition, lines: () => linesOf(edition) })))
    else yield* spilled(editions, spill)
  }
}

function rowsOf(editions: readonly EditionRows[]): Generator<CdrStateRow> {
  const key = editions.at(-1)?.key ?? []
  return key.length > 0 ? byKey(editions, key) : byContent(editions)
}

// What tells two rows apart tells their parts apart, too: all images of a row are in one.
function* spilled(editions: readonly Edition[], settings: SpillSettings): Generator<CdrStateRow> {
  const key = editions.at(-1)?.key ?? []
  const common = (editions[0]?.columns ?? []).filter((column) => editions.every(({ columns }) => columns.includes(column)))
  using spill = new CdrSpill(settings)
  const names: CdrPieceName[] = []
  const editionOf: Edition[] = []
  for (const edition of editions) {
    const idOf = key.length > 0 ? keyOf(edition, key) : textOf(edition, common)
    for (const piece of edition.pieces) {
      const index = names.push(piece.name) - 1
      editionOf.push(edition)
      for (const { line, times } of linesOfPiece(piece, edition)) spill.add(bucketOf(idOf(line), settings.buckets), { index, line, times })
    }
  }
  for (let bucket = 0; bucket < settings.buckets; bucket++) {
    const rows = Map.groupBy(spill.take(bucket), ({ index }) => editionOf[index])
    const lines = (edition: Edition): Line[] =>
      (rows.get(edition) ?? []).flatMap(({ index, line, times }) => {
        const name = names[index]
        return name === undefined ? [] : [{ name, line, times }]
      })
    yield* rowsOf(editions.map((edition) => ({ ...edition, lines: () => lines(edition) })))
  }
}

/** The editions of each table, the one that was written last at the end. */
function tablesOf(items: Iterable<CdrItem>): ReadonlyMap<string, readonly Edition[]> {
  const descriptions = new Map<string, z.infer<typeof descriptionSchema>>()
  const tables = new Map<string, Piece[]>()
  for (const item of items) {
    const described = parseDescriptionPath(item.path)
    if (described !== null) descriptions.set(`${described.table}\0${described.description}`, descriptionOf(item.bytes))
    const name = parseCdrPiecePath(item.path)
    if (name === null) continue
    const pieces = tables.get(name.table) ?? []
    pieces.push({ name, item })
    tables.set(name.table, pieces)
  }
  const editions = [...tables].map(([table, pieces]): [string, readonly Edition[]] => [
    table,
    editionsOf(pieces, (description) => descriptions.get(`${table}\0${description}`)),
  ])
  return new Map(editions)
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

function editionsOf(pieces: readonly Piece[], describe: (description: string) => z.infer<typeof descriptionSchema> | undefined): Edition[] {
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

function* linesOf(edition: Edition): Generator<Line> {
  for (const piece of edition.pieces) yield* linesOfPiece(piece, edition)
}

function* linesOfPiece({ name, item }: Piece, { key }: Edition): Generator<Line> {
  const bytes = checked(name, item.bytes)
  let start = 0
  for (let end = bytes.indexOf(0x0a); end !== -1; end = bytes.indexOf(0x0a, start)) {
    const text = bytes.toString("latin1", start, end)
    start = end + 1
    const tab = key.length > 0 ? -1 : text.indexOf("\t")
    yield { name, line: text.slice(tab + 1), times: tab === -1 ? 1 : Number(text.slice(0, tab)) }
  }
  if (start < bytes.length) throw new FormatError("format/malformed", `${name.table} of ${name.day}: a piece ends within a row`)
}

/** What tells a row of a table with a key apart. */
function keyOf({ columns }: Pick<Edition, "columns">, key: readonly string[]): (line: string) => string {
  const indexes = key.map((column) => columns.indexOf(column))
  if (indexes.includes(-1)) return (line) => `line\0${line}`
  return (line) => {
    const fields = line.split("\t")
    return `key\0${indexes.map((index) => fields[index]).join("\t")}`
  }
}

/** What a row has in some columns. */
function textOf({ columns }: Pick<Edition, "columns">, common: readonly string[]): (line: string) => string {
  const indexes = common.map((column) => columns.indexOf(column))
  return (line) => {
    const fields = line.split("\t")
    return indexes.map((index) => fields[index]).join("\t")
  }
}

// Rows of one run that have one key are all kept: the rules took for a key what is none.
function* byKey(editions: readonly EditionRows[], key: readonly string[]): Generator<CdrStateRow> {
  const latest = new Map<string, { readonly cut: string; readonly rows: CdrStateRow[] }>()
  for (const edition of editions) {
    const idOf = keyOf(edition, key)
    for (const each of edition.lines()) {
      const id = idOf(each.line)
      const row = { ...rowOf(each, edition), times: 1 }
      const known = latest.get(id)
      if (known === undefined || known.cut < each.name.cut) latest.set(id, { cut: each.name.cut, rows: [row] })
      else if (known.cut === each.name.cut && known.rows.every(({ line }) => line !== row.line)) known.rows.push(row)
    }
  }
  for (const { rows } of latest.values()) yield* rows
}

function* byContent(editions: readonly EditionRows[]): Generator<CdrStateRow> {
  const newer: { readonly edition: EditionRows; readonly rows: readonly CdrStateRow[] }[] = []
  for (const edition of editions.toReversed()) {
    const rows = new Map<string, CdrStateRow>()
    for (const each of edition.lines()) {
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
  newer: { readonly edition: EditionRows; readonly rows: readonly CdrStateRow[] },
  older: EditionRows,
  rows: readonly CdrStateRow[],
): CdrStateRow[] {
  const common = older.columns.filter((column) => newer.edition.columns.includes(column))
  const [ofNewer, ofOlder] = [textOf(newer.edition, common), textOf(older, common)]
  const there = new Map<string, number>()
  for (const row of newer.rows) {
    const id = ofNewer(row.line)
    there.set(id, (there.get(id) ?? 0) + row.times)
  }
  return rows.flatMap((row) => {
    const id = ofOlder(row.line)
    const same = Math.min(there.get(id) ?? 0, row.times)
    there.set(id, (there.get(id) ?? 0) - same)
    return same === row.times ? [] : [{ ...row, times: row.times - same }]
  })
}

function rowOf({ name, line, times }: Line, { columns }: Pick<Edition, "columns">): CdrStateRow {
  return { stableId: name.stableId, table: name.table, day: name.day, columns, line, times }
}
