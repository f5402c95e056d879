import { hash } from "node:crypto"
import type { RowRun } from "../database/rows.ts"
import { unescapeField } from "../database/rows.ts"
import { JobError } from "../errors.ts"
import { roughMomentMs } from "./cdr-moment.ts"
import type { CdrPlan } from "./cdr-table.ts"

/** A row, or as many equal ones as there are, of a table of call detail records. */
export interface CdrRow {
  /** As it stands before the row: account and day. */
  readonly lead: string
  /** What tells it apart, 16 bytes. */
  readonly key: Buffer
  /** What must be remembered of it: the digest of its content, 16 bytes; without a key, how often it is there. */
  readonly value: Buffer
  /** What is kept: the line with its newline; without a key, how often it is there and a tab before. */
  readonly line: Buffer
  /** The latest of its moments, a day's worth of time zones exactly; -Infinity where it has none. */
  readonly latestMs: number
  /** Whether all its moments are NULL: then it is found by no moment. */
  readonly undated: boolean
}

export interface CdrBatch {
  readonly rows: readonly CdrRow[]
  /** Rows larger than any piece, by their leads. */
  readonly tooLong: readonly { readonly lead: string; readonly bytes: number }[]
}

/** So many are looked up in the memory together: more of them, and their bytes would outlive the nursery of the heap. */
const batchRows = 250
const batchBytes = 4 * 1024 * 1024
/** A piece is one value in memory, of a pack's size at most; a call has some kilobytes. */
const cdrRowBytesMax = 15 * 1024 * 1024
/** Equal rows stand together, so these are the different rows of one second. */
const countedBytesMax = 64 * 1024 * 1024

/** Cuts what a table's query gives into rows, batch by batch; equal rows of a table without a key are one row with its number. */
export async function* cdrRows(runs: AsyncIterable<RowRun>, plan: CdrPlan): AsyncGenerator<CdrBatch> {
  const reader = new RowReader(plan)
  for await (const run of runs) {
    reader.read(run)
    if (reader.isFull) yield reader.take()
  }
  reader.end()
  yield reader.take()
}

/** The text of each of these fields, one character a byte, null for NULL; the indexes in ascending order. */
export function fieldsOf(line: Buffer, indexes: readonly number[]): (string | null)[] {
  const fields: (string | null)[] = []
  let start = 0
  let field = 0
  for (const index of indexes) {
    for (; field < index && start !== -1; field++) start = after(line, start)
    fields.push(start === -1 ? null : unescapeField(line.toString("latin1", start, endOf(line, start))))
  }
  return fields
}

function after(line: Buffer, start: number): number {
  const tab = line.indexOf(0x09, start)
  return tab === -1 ? -1 : tab + 1
}

function endOf(line: Buffer, start: number): number {
  const tab = line.indexOf(0x09, start)
  if (tab !== -1) return tab
  return line.at(-1) === 0x0a ? line.length - 1 : line.length
}

class RowReader {
  readonly #plan: CdrPlan
  readonly #columns: Buffer
  readonly #wanted: readonly number[]
  #rows: CdrRow[] = []
  #tooLong: { lead: string; bytes: number }[] = []
  #bytes = 0
  /** A row that began in an earlier run; what is too long of it is only counted. */
  #begun: Buffer[] = []
  #begunBytes = 0
  #previous = ""
  /** Rows of one lead and one moment, by their content. */
  readonly #counted = new Map<string, { readonly row: CdrRow; times: number }>()
  #countedBytes = 0
  #counting = ""

  constructor(plan: CdrPlan) {
    this.#plan = plan
    this.#columns = Buffer.from(plan.description.columns, "hex").subarray(0, digestBytes)
    this.#wanted = [...new Set([...plan.key, ...plan.moments.map(({ index }) => index)])].toSorted((a, b) => a - b)
  }

  get isFull(): boolean {
    return this.#rows.length >= batchRows || this.#bytes >= batchBytes
  }

  take(): CdrBatch {
    const batch = { rows: this.#rows, tooLong: this.#tooLong }
    this.#rows = []
    this.#tooLong = []
    this.#bytes = 0
    return batch
  }

  read(run: RowRun): void {
    const bytes = Buffer.from(run.bytes.buffer, run.bytes.byteOffset, run.bytes.byteLength)
    let start = 0
    for (let end = bytes.indexOf(0x0a); end !== -1; end = bytes.indexOf(0x0a, start)) {
      this.#line(run.lead, bytes.subarray(start, end + 1))
      start = end + 1
    }
    if (start < bytes.length) this.#begin(bytes.subarray(start))
  }

  end(): void {
    this.#flush()
  }

  #begin(bytes: Buffer): void {
    this.#begunBytes += bytes.length
    if (this.#begunBytes > cdrRowBytesMax) this.#begun = []
    else this.#begun.push(Buffer.from(bytes))
  }

  #line(lead: string, end: Buffer): void {
    if (this.#begunBytes + end.length > cdrRowBytesMax) {
      this.#tooLong.push({ lead, bytes: this.#begunBytes + end.length })
    } else {
      const line = Buffer.concat([...this.#begun, end])
      if (this.#plan.key.length > 0) this.#keyed(lead, line)
      else this.#count(lead, line)
    }
    this.#begun = []
    this.#begunBytes = 0
  }

  #keyed(lead: string, line: Buffer): void {
    const { key: indexes, name } = this.#plan
    const texts = fieldsOf(line, this.#wanted)
    const id = indexes.map((index) => escapedPart(texts[this.#wanted.indexOf(index)])).join("\t")
    if (this.#previous === `${lead}\0${id}`) {
      throw new JobError("job/source", `${name}: two rows have the same key, so the rules name a key that tells no rows apart`, {
        hint: "correct `key` in the rules of this table; `[]` tells rows apart by their content",
      })
    }
    this.#previous = `${lead}\0${id}`
    this.#add(new KeyedRow(lead, line, this.#when(texts), { id, columns: this.#columns }))
  }

  // Equal rows have equal moments, so that rows of the same moment are all that must be held at once, in whatever order they come.
  #count(lead: string, line: Buffer): void {
    const texts = fieldsOf(line, this.#wanted)
    const counting = `${lead}\0${texts[this.#wanted.indexOf(this.#plan.day.index)] ?? ""}`
    if (counting !== this.#counting) this.#flush()
    this.#counting = counting
    const key = contentDigest(line, this.#columns)
    const id = key.toString("latin1")
    const known = this.#counted.get(id)
    if (known !== undefined) {
      known.times += 1
      return
    }
    this.#counted.set(id, { row: { lead, key, value: key, line, ...this.#when(texts) }, times: 1 })
    this.#countedBytes += line.length
    if (this.#countedBytes <= countedBytesMax) return
    throw new JobError("job/source", `${this.#plan.name}: too many rows of one moment to count those that are equal`, {
      hint: `look at its column ${this.#plan.day.column}, or name a \`key\` in the rules of this table`,
    })
  }

  #flush(): void {
    for (const { row, times } of this.#counted.values()) {
      const value = Buffer.alloc(4)
      value.writeUInt32BE(times)
      this.#add({ ...row, value, line: Buffer.concat([Buffer.from(`${String(times)}\t`), row.line]) })
    }
    this.#counted.clear()
    this.#countedBytes = 0
  }

  #add(row: CdrRow): void {
    this.#rows.push(row)
    this.#bytes += row.line.length
  }

  #when(texts: readonly (string | null)[]): Pick<CdrRow, "latestMs" | "undated"> {
    let latestMs = Number.NEGATIVE_INFINITY
    let undated = true
    for (const { index, stored } of this.#plan.moments) {
      const text = texts[this.#wanted.indexOf(index)] ?? null
      if (text === null) continue
      undated = false
      const ms = roughMomentMs(text, stored)
      if (ms !== null && ms > latestMs) latestMs = ms
    }
    return { latestMs, undated }
  }
}

/** A row of a table with a key. Of the millions that nobody asks the memory for, none is hashed. */
class KeyedRow implements CdrRow {
  readonly lead: string
  readonly line: Buffer
  readonly latestMs: number
  readonly undated: boolean
  readonly #from: { readonly id: string; readonly columns: Buffer }
  #key: Buffer | null = null
  #value: Buffer | null = null

  constructor(
    lead: string,
    line: Buffer,
    { latestMs, undated }: Pick<CdrRow, "latestMs" | "undated">,
    from: { readonly id: string; readonly columns: Buffer },
  ) {
    this.lead = lead
    this.line = line
    this.latestMs = latestMs
    this.undated = undated
    this.#from = from
  }

  get key(): Buffer {
    this.#key ??= digestOf(this.#from.id)
    return this.#key
  }

  get value(): Buffer {
    this.#value ??= contentDigest(this.line, this.#from.columns)
    return this.#value
  }
}

function contentDigest(line: Buffer, columns: Buffer): Buffer {
  const digest = digestOf(line.subarray(0, -1))
  for (let index = 0; index < digestBytes; index++) digest[index] = (digest[index] ?? 0) ^ (columns[index] ?? 0)
  return digest
}

/**
 * Of a SHA-256: among 10^10 rows two are the same by chance once in 10^19 tries, and who wants to make two of their own rows the same, so
 * that a change of one is overlooked, needs 2^64 hashes.
 */
const digestBytes = 16

function digestOf(bytes: Uint8Array | string): Buffer {
  return hash("sha256", bytes, "buffer").subarray(0, digestBytes)
}

function escapedPart(field: string | null | undefined): string {
  return field === null || field === undefined ? "\\N" : field.replaceAll("\\", "\\\\").replaceAll("\t", "\\t")
}

/** Whether what is remembered of a row says that it is kept as it is. */
export function isKept({ value }: CdrRow, remembered: Uint8Array | null, plan: CdrPlan): boolean {
  if (remembered === null || remembered.length !== value.length) return false
  const kept = Buffer.from(remembered.buffer, remembered.byteOffset, remembered.byteLength)
  return plan.key.length > 0 ? kept.equals(value) : kept.readUInt32BE() >= value.readUInt32BE()
}
