import type { CsvFile } from "./csv-file.ts"
import { type CsvFormat, nextCsvRow } from "./csv-rows.ts"

/** Whole rows as they stand in a file one after the other. */
export interface RowsOfFile {
  readonly from: number
  readonly to: number
  readonly bytes: Buffer
  readonly rows: readonly { readonly bytes: Buffer; readonly fields: readonly string[] | null }[]
}

/** Slices end here, counted from the file's beginning, so that whoever reads a file again cuts it in the same places. */
const gridBytes = 4 * 1024 * 1024

/**
 * The rows between two offsets of a file, in slices of some MiB. A row that has not ended yet is left for the next run, unless `final`
 * says that the file grows no more. With `to`, exactly the bytes up to it are read.
 */
export async function* slicesOf(
  file: CsvFile,
  range: { readonly from: number; readonly to: number | null },
  format: CsvFormat,
  options: { readonly final: boolean },
): AsyncGenerator<RowsOfFile> {
  const cutter = new SliceCutter(range.from, format)
  for await (const chunk of file.read(range.from)) {
    const left = range.to === null ? chunk.length : Math.max(0, range.to - cutter.end)
    yield* cutter.cut(chunk.subarray(0, left), false)
    if (range.to !== null && cutter.end >= range.to) break
  }
  yield* cutter.cut(Buffer.alloc(0), options.final || range.to !== null)
  yield* cutter.rest()
}

class SliceCutter {
  readonly #format: CsvFormat
  #from: number
  #rows: { readonly bytes: Buffer; readonly fields: readonly string[] | null }[] = []
  /** Where the next row begins, and the bytes from there on. */
  #at: number
  #pending: Buffer = Buffer.alloc(0)

  constructor(from: number, format: CsvFormat) {
    this.#from = from
    this.#at = from
    this.#format = format
  }

  /** Where the bytes given so far end. */
  get end(): number {
    return this.#at + this.#pending.length
  }

  *cut(chunk: Buffer, final: boolean): Generator<RowsOfFile> {
    const bytes = Buffer.concat([this.#pending, chunk])
    let start = 0
    for (;;) {
      const row = nextCsvRow(bytes, start, this.#format, { final })
      if (row === null) break
      if (Math.floor(this.#at / gridBytes) !== Math.floor(this.#from / gridBytes)) yield* this.rest()
      this.#rows.push({ bytes: bytes.subarray(start, row.end), fields: row.fields })
      this.#at += row.end - start
      start = row.end
    }
    this.#pending = bytes.subarray(start)
  }

  *rest(): Generator<RowsOfFile> {
    if (this.#rows.length > 0) {
      yield { from: this.#from, to: this.#at, bytes: Buffer.concat(this.#rows.map(({ bytes }) => bytes)), rows: this.#rows }
    }
    this.#rows = []
    this.#from = this.#at
  }
}
