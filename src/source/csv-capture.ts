import { type Digest, sha256 } from "../digest.ts"
import { count } from "../units.ts"
import { dayOfMoment } from "./cdr-moment.ts"
import { bytesItem, cutOf, descriptionPath } from "./cdr-pieces.ts"
import { ownerNamed } from "./cdr-table.ts"
import type { CsvFile } from "./csv-file.ts"
import { type CsvMemory, gapsBetween, type Slice, tailBytes, tailOf } from "./csv-memory.ts"
import { csvPiecePath, fileFamily, originOf } from "./csv-pieces.ts"
import { type CsvFormat, csvRowBytesMax, firstCsvRow, nextCsvRow } from "./csv-rows.ts"
import { type RowsOfFile, slicesOf } from "./csv-slices.ts"
import type { Profile } from "./profile.ts"
import type { CaptureOptions, Found } from "./source.ts"

/** What a profile says of files of call detail records. */
export type CsvRules = NonNullable<Profile["csv"]>[string]

export interface CsvSourceSettings {
  /** The entry's name in the profile's `csv`. */
  readonly name: string
  readonly rules: CsvRules
  /** The account of a PBX of one customer. */
  readonly single: string | undefined
  /** Of dates that do not say otherwise. */
  readonly timezone: string
}

interface CsvWork {
  /** What the file is called, or was when it was last read. */
  readonly name: string
  /** Whether it grows no more. */
  readonly final: boolean
  readonly settings: CsvSourceSettings
  readonly memory: CsvMemory
  readonly options: CaptureOptions
}

/** What a file begins with. */
interface Head {
  readonly columns: readonly string[]
  readonly format: CsvFormat
  /** Up to the end of the first row of data. */
  readonly bytes: Buffer
  /** Where rows begin: after the names of the columns. */
  readonly start: number
}

interface Rows {
  readonly stableId: string
  readonly day: string
  readonly parts: Buffer[]
  broken: number
  unattributed: number
}

/** One file, recognised, and what is not kept of it. */
export class CdrCsvFile {
  readonly id: Buffer
  readonly description: { readonly bytes: Buffer; readonly sha256: Digest; readonly short: string }
  readonly #file: CsvFile
  readonly #work: CsvWork
  readonly #head: Head
  readonly #family: string

  private constructor(file: CsvFile, work: CsvWork, head: Head, id: Buffer) {
    this.#file = file
    this.#work = work
    this.#head = head
    this.id = id
    this.#family = fileFamily(work.name)
    this.description = describe(this.#family, head, work.settings)
  }

  /** Null where the file has no whole row yet. */
  static async of(file: CsvFile, work: CsvWork): Promise<CdrCsvFile | null> {
    const head = await headOf(file, work)
    if (head === null) return null
    for (let life = 0; ; life++) {
      const id = originOf(work.settings.name, fileFamily(work.name), head.bytes, life)
      if (await isSame(file, work.memory.slices(id))) return new CdrCsvFile(file, work, head, id)
    }
  }

  async *found(): AsyncGenerator<Found> {
    const { final, memory, options } = this.#work
    for (const gap of gapsBetween(memory.slices(this.id), this.#head.start)) {
      if (gap.from >= this.#file.size) continue
      for await (const slice of slicesOf(this.#file, gap, this.#head.format, { final })) {
        options.signal.throwIfAborted()
        yield* this.#slice(slice)
      }
    }
  }

  /** Said again each day, so that it is kept for as long as the pieces that name it. */
  descriptionItem(): Found {
    const { now } = this.#work.options
    const path = descriptionPath(this.#family, this.description.short)
    return { item: bytesItem(this.description.bytes, { stableId: "platform", day: now.toISOString().slice(0, 10), path, now }) }
  }

  *#slice({ from, to, bytes, rows }: RowsOfFile): Generator<Found> {
    const { options, memory, name } = this.#work
    const groups = new Map<string, Rows>()
    for (const row of rows) this.#sort(row, groups)
    const slice: Slice = { from, to, tail: tailOf(bytes) }
    const known = { identity: this.#file.identity, name, readMs: options.now.getTime() }
    let index = 0
    for (const { stableId, day, parts, broken, unattributed } of groups.values()) {
      const at = { stableId, day, file: this.#family, cut: cutOf(options.now), origin: this.id.toString("hex").slice(0, 16), from, to }
      const path = csvPiecePath({ ...at, description: this.description.short })
      memory.remember(this.id, slice, { path, index, of: groups.size }, known)
      index += 1
      yield { item: bytesItem(Buffer.concat(parts), { stableId, day, path, now: options.now }) }
      if (broken > 0) yield { note: { kind: "unmatched", path, detail: `${name}: ${count(broken, "line")} that cannot be read as a row` } }
      if (unattributed > 0)
        yield { note: { kind: "unattributed", path, detail: `${name}: ${count(unattributed, "row")} of no known account` } }
    }
  }

  #sort(row: RowsOfFile["rows"][number], groups: Map<string, Rows>): void {
    const { settings, options } = this.#work
    const { rules } = settings
    const column = (wanted: string) => row.fields?.[this.#head.columns.indexOf(wanted)]
    const day = dayOfMoment(column(rules.day.column) ?? null, rules.day.stored, rules.day.timezone ?? settings.timezone)
    const owner = rules.account === undefined ? null : ownerNamed(column(rules.account) ?? null, rules.null ?? "mixed", options.memory)
    const broken = row.fields === null || day === null
    const stableId = broken ? "mixed" : (owner?.stableId ?? settings.single ?? "mixed")
    const key = `${day ?? ""} ${stableId}`
    const group = groups.get(key) ?? { stableId, day: day ?? options.now.toISOString().slice(0, 10), parts: [], broken: 0, unattributed: 0 }
    group.parts.push(row.bytes)
    if (broken) group.broken += 1
    else if (owner?.stableId === "mixed" && !(owner.none && rules.null !== undefined)) group.unattributed += 1
    groups.set(key, group)
  }
}

async function headOf(file: CsvFile, { settings, final }: CsvWork): Promise<Head | null> {
  const { rules } = settings
  const [delimiter = 0x2c] = Buffer.from(rules.delimiter ?? ",", "latin1")
  const [quote = 0x22] = Buffer.from(rules.quote ?? '"', "latin1")
  let bytes: Buffer = Buffer.alloc(0)
  for await (const chunk of file.read(0)) {
    bytes = Buffer.concat([bytes, chunk])
    const whole = bytes.length >= file.size
    const header = rules.columns === "header" ? firstCsvRow(bytes, { delimiter, quote }) : { end: 0, fields: rules.columns }
    if (header !== null) {
      const format = { delimiter, quote, fields: header.fields.length }
      const row = nextCsvRow(bytes, header.end, format, { final: final && whole })
      if (row !== null) return { columns: header.fields, format, bytes: bytes.subarray(0, row.end), start: header.end }
    }
    if (bytes.length > 2 * csvRowBytesMax) break
  }
  return null
}

/** Whether a file is the one whose slices these are: it still has what was read last. */
async function isSame(file: CsvFile, slices: readonly Slice[]): Promise<boolean> {
  const last = slices.reduce<Slice | null>((latest, slice) => (latest === null || slice.to > latest.to ? slice : latest), null)
  if (last === null) return true
  if (last.to > file.size) return false
  // A compressed file changes no more, and to look at its end is to uncompress all of it.
  if (file.compressed) return true
  const from = Math.max(last.from, last.to - tailBytes)
  const parts: Buffer[] = []
  for await (const chunk of file.read(from)) {
    const left = last.to - from - parts.reduce((sum, { length }) => sum + length, 0)
    parts.push(chunk.subarray(0, left))
    if (chunk.length >= left) break
  }
  return tailOf(Buffer.concat(parts)).equals(last.tail)
}

function describe(file: string, { columns, format }: Head, { rules, timezone }: CsvSourceSettings) {
  const { column, stored } = rules.day
  const json = {
    ...{ v: 1, file, columns, delimiter: String.fromCharCode(format.delimiter), quote: String.fromCharCode(format.quote) },
    ...{ account: rules.account ?? null, day: { column, stored, timezone: rules.day.timezone ?? timezone } },
  }
  const bytes = Buffer.from(`${JSON.stringify(json, null, 1)}\n`)
  const digest = sha256(bytes)
  return { bytes, sha256: digest, short: digest.slice(0, 16) }
}
