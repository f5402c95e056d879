import { createHash, type Hash, hash } from "node:crypto"
import { JobError } from "../errors.ts"

/** Consecutive rows of one stream whose lead fields are the same. */
export interface RowRun {
  /** The lead fields as they stand in the line, without the tab that follows the last; one character a byte. */
  readonly lead: string
  /** The rows without their lead fields. Valid until the next run is asked for. */
  readonly bytes: Uint8Array
  /** Rows that ended in these bytes. A row longer than `rowRunBytes` comes in several runs and is counted by its last. */
  readonly rows: number
  /** Sums of what `bytes` ended, to be added to the fingerprint of whoever owns the rows. */
  readonly sum: RowSum
  /**
   * Ends of rows in `bytes` where a piece may end: about one row in `cutRows`, chosen by the row's own content, so that a row that comes
   * or goes changes one piece and not all that follow.
   */
  readonly cuts: readonly number[]
  /** Whether `bytes` end in the middle of a row. */
  readonly open: boolean
}

/** Of so many rows one is the last of its piece. */
const cutRows = 1024

/** How much one run holds at most; longer rows are cut. */
export const rowRunBytes = 1024 * 1024

/**
 * What a set of rows sums up to, whatever their order: how many there are, and the sum modulo 2^256 of the SHA-256 of each row's line
 * without its newline. Two tables with the same rows, each as often, have the same sum.
 */
export class RowSum {
  rows = 0
  readonly #words = new Uint32Array(8)

  /** Adds one row; gives 16 bits of its digest. */
  add(line: Uint8Array): number {
    const digest = hash("sha256", line, "binary")
    this.#addDigest(digest)
    return digest.charCodeAt(0) | (digest.charCodeAt(1) << 8)
  }

  /** Adds one row whose bytes were hashed piece by piece. */
  addHashed(line: Hash): void {
    this.#addDigest(line.digest("binary"))
  }

  join(other: RowSum): void {
    this.rows += other.rows
    let carry = 0
    for (let word = 0; word < 8; word++) {
      const sum = (this.#words[word] ?? 0) + (other.#words[word] ?? 0) + carry
      this.#words[word] = sum
      carry = sum > 0xffffffff ? 1 : 0
    }
  }

  /** The sum as 64 hexadecimal characters, least significant word first. */
  digest(): string {
    return Array.from(this.#words, (word) => word.toString(16).padStart(8, "0")).join("")
  }

  /** What `write` writes. */
  static readonly bytes = 32

  /** Writes the sum as 32 bytes, whose hexadecimal characters `digest` gives. */
  write(bytes: Buffer, at: number): void {
    for (let word = 0; word < 8; word++) bytes.writeUInt32BE(this.#words[word] ?? 0, at + 4 * word)
  }

  /** Takes on a sum that `write` wrote, of so many rows. */
  read(bytes: Buffer, at: number, rows: number): void {
    this.rows = rows
    for (let word = 0; word < 8; word++) this.#words[word] = bytes.readUInt32BE(at + 4 * word)
  }

  /** Becomes the sum of no rows again. */
  clear(): void {
    this.rows = 0
    this.#words.fill(0)
  }

  // Once for each row of a table: no closure, no array.
  #addDigest(digest: string): void {
    this.rows += 1
    let carry = 0
    for (let word = 0; word < 8; word++) {
      const at = 4 * word
      const low = digest.charCodeAt(at) | (digest.charCodeAt(at + 1) << 8) | (digest.charCodeAt(at + 2) << 16)
      const sum = (this.#words[word] ?? 0) + ((low | (digest.charCodeAt(at + 3) << 24)) >>> 0) + carry
      this.#words[word] = sum
      carry = sum > 0xffffffff ? 1 : 0
    }
  }
}

const nothing = Buffer.alloc(0)
const tab = 0x09
const newline = 0x0a

/** How many lead fields each line begins with, or which of the row's own fields, from 0, is its lead. */
export type LeadPlace = number | { readonly field: number }

/**
 * Cuts a stream of lines into runs of rows with the same lead. Rejects with a JobError where the stream ends within a row. `what` names
 * the stream in errors.
 */
export async function* rowRuns(chunks: AsyncIterable<Uint8Array>, leads: LeadPlace, what: string): AsyncGenerator<RowRun> {
  const cutter = new RowCutter(leads, rowRunBytes)
  for await (const chunk of chunks) yield* cutter.cut(chunk)
  yield* cutter.end(what)
}

/** The same for who has the chunks one by one; a run holds at most `runBytes`. */
export class RowCutter {
  readonly #leads: number
  /** The lead among the row's own fields; null where it comes before them. */
  readonly #field: number | null
  readonly #out: Buffer
  #filled = 0
  #rows = 0
  #sum = new RowSum()
  /** Lead of the run being filled. */
  #lead = ""
  #begun = false
  #cuts: number[] = []
  #pending = nothing
  #long: Hash | null = null
  /** Of the row looked at: its lead, and where what is kept of it begins. */
  #leadStart = 0
  #leadEnd = 0
  #body = 0

  constructor(leads: LeadPlace, runBytes: number) {
    this.#leads = typeof leads === "number" ? leads : 0
    this.#field = typeof leads === "number" ? null : leads.field
    this.#out = Buffer.allocUnsafeSlow(runBytes)
  }

  *cut(chunk: Uint8Array): Generator<RowRun> {
    const bytes = asBuffer(chunk)
    let at = 0
    if (this.#long !== null) at = yield* this.#continueLong(bytes)
    else if (this.#pending.length > 0) {
      // Only the row that was begun is put together: most of the chunk is looked at where it is.
      at = bytes.indexOf(newline) + 1
      const begun = Buffer.concat([this.#pending, at === 0 ? bytes : bytes.subarray(0, at)])
      this.#pending = nothing
      yield* this.#lines(begun, 0)
      if (at === 0) return
    }
    yield* this.#lines(bytes, at)
  }

  *#lines(bytes: Buffer, from: number): Generator<RowRun> {
    let at = from
    while (at < bytes.length) {
      const end = bytes.indexOf(newline, at)
      if (end === -1) break
      this.#look(bytes, at, end)
      // Once for each row of a table: a generator for each would cost more than its hash.
      if (this.#continues(bytes) && this.#filled + end + 1 - this.#body <= this.#out.length) this.#append(bytes, end)
      else yield* this.#row(bytes, end)
      at = end + 1
    }
    const rest = bytes.subarray(at)
    if (rest.length > this.#out.length) yield* this.#beginLong(rest)
    else this.#pending = rest.length === 0 ? nothing : Buffer.from(rest)
  }

  *end(what: string): Generator<RowRun> {
    yield* this.#flush()
    if (this.#pending.length > 0 || this.#long !== null) throw new JobError("job/source", `${what}: the stream ended within a row`)
  }

  #append(bytes: Buffer, end: number): void {
    bytes.copy(this.#out, this.#filled, this.#body, end + 1)
    this.#filled += end + 1 - this.#body
    this.#rows += 1
    if (this.#sum.add(bytes.subarray(this.#body, end)) % cutRows === 0) this.#cuts.push(this.#filled)
  }

  *#row(bytes: Buffer, end: number): Generator<RowRun> {
    yield* this.#begin(bytes)
    if (end + 1 - this.#body > this.#out.length) yield* this.#pieces(bytes.subarray(this.#body, end + 1), createHash("sha256"))
    else this.#append(bytes, end)
  }

  *#begin(bytes: Buffer): Generator<RowRun> {
    yield* this.#flush()
    this.#lead = bytes.toString("latin1", this.#leadStart, this.#leadEnd)
    this.#begun = true
  }

  *#beginLong(bytes: Buffer): Generator<RowRun> {
    this.#look(bytes, 0, bytes.length)
    yield* this.#begin(bytes)
    this.#long = createHash("sha256")
    yield* this.#longBytes(bytes.subarray(this.#body), this.#long)
  }

  *#continueLong(bytes: Buffer): Generator<RowRun, number> {
    const long = this.#long
    if (long === null) return 0
    const end = bytes.indexOf(newline)
    if (end === -1) {
      yield* this.#longBytes(bytes, long)
      return bytes.length
    }
    this.#long = null
    yield* this.#pieces(bytes.subarray(0, end + 1), long)
    return end + 1
  }

  /** The last bytes of a long row, with its newline. */
  *#pieces(bytes: Buffer, hashed: Hash): Generator<RowRun> {
    yield* this.#longBytes(bytes.subarray(0, -1), hashed)
    if (this.#filled === this.#out.length) yield* this.#flush(true)
    this.#out[this.#filled] = newline
    this.#filled += 1
    this.#cuts.push(this.#filled)
    this.#rows += 1
    this.#sum.addHashed(hashed)
  }

  *#longBytes(bytes: Buffer, hashed: Hash): Generator<RowRun> {
    hashed.update(bytes)
    for (let at = 0; at < bytes.length; ) {
      if (this.#filled === this.#out.length) yield* this.#flush(true)
      const taken = bytes.copy(this.#out, this.#filled, at, at + this.#out.length - this.#filled)
      this.#filled += taken
      at += taken
    }
  }

  *#flush(open = false): Generator<RowRun> {
    const run = this.#take(open)
    if (run !== null) yield run
  }

  #take(open: boolean): RowRun | null {
    if (this.#filled === 0) return null
    const bytes = this.#out.subarray(0, this.#filled)
    const run = { lead: this.#lead, bytes, rows: this.#rows, sum: this.#sum, cuts: this.#cuts, open }
    this.#filled = 0
    this.#rows = 0
    this.#sum = new RowSum()
    this.#cuts = []
    return run
  }

  /** Finds the lead of a row, and where what is kept of it begins. */
  #look(bytes: Buffer, start: number, end: number): void {
    this.#leadStart = start
    if (this.#field === null) {
      let at = start - 1
      for (let lead = 0; lead < this.#leads; lead++) at = tabAfter(bytes, at, end)
      this.#leadEnd = Math.max(start, at)
      this.#body = at + 1
      return
    }
    this.#body = start
    for (let field = 0; field < this.#field; field++) this.#leadStart = tabAfter(bytes, this.#leadStart - 1, end) + 1
    const next = bytes.indexOf(tab, this.#leadStart)
    this.#leadEnd = next === -1 || next > end ? end : next
  }

  #continues(bytes: Buffer): boolean {
    const length = this.#leadEnd - this.#leadStart
    if (!this.#begun || this.#lead.length !== length) return false
    for (let index = 0; index < length; index++) if (bytes[this.#leadStart + index] !== this.#lead.charCodeAt(index)) return false
    return true
  }
}

function tabAfter(bytes: Buffer, at: number, end: number): number {
  const found = bytes.indexOf(tab, at + 1)
  if (found === -1 || found >= end) throw new JobError("job/source", "a row without its lead fields: this is a bug")
  return found
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** The text of one field; null for NULL. The bytes are as the database gave them, one character a byte. */
export function unescapeField(field: string): string | null {
  if (field === "\\N") return null
  return field.includes("\\") ? field.replace(/\\(.)/gs, (_, escaped: string) => escapes.get(escaped) ?? escaped) : field
}

const escapes: ReadonlyMap<string, string> = new Map([
  ["n", "\n"],
  ["t", "\t"],
  ["r", "\r"],
  ["0", "\0"],
  ["b", "\b"],
  ["f", "\f"],
  ["v", "\v"],
])

const toEscape: ReadonlyMap<string, string> = new Map([
  ["\\", "\\\\"],
  ["\n", "\\n"],
  ["\t", "\\t"],
  ["\r", "\\r"],
  ["\0", "\\0"],
])

/** The field that stands for a text, one character a byte; null for NULL. */
export function escapeField(text: string | null): string {
  return text === null ? "\\N" : text.replace(/[\\\n\t\r\0]/g, (character) => toEscape.get(character) ?? character)
}
