import type { RowRun } from "../database/rows.ts"
import { sectionHeader } from "../database/sections.ts"
import { type Digest, sha256 } from "../digest.ts"

/** Rows that are kept as one item. */
export interface RowPiece {
  readonly bytes: Uint8Array
  readonly sha256: Digest
  /** The number of the piece within a row that takes several; 0 where the piece is whole rows. */
  readonly part: number
}

/** No piece is smaller, unless it is the last: every one costs a line of a manifest. */
const pieceBytesMin = 128 * 1024
/** No piece is larger, whatever its rows say. */
export const rowPieceBytesMax = 4 * 1024 * 1024
const none: readonly RowPiece[] = []
/** Names of a schema and a table, every byte of them escaped, and what is around them. */
const headerBytesMax = 4 * 1024

/**
 * Cuts the rows of one account, table by table, into pieces, at rows that their own content chooses: the same rows give the same pieces,
 * and a row that changes gives one other piece. Every piece says itself whose table its rows are, but for one that goes on within a row.
 */
export class RowPieces {
  /** Filled again for each piece: what is given out is a copy, and the only garbage. */
  readonly #held = Buffer.allocUnsafeSlow(rowPieceBytesMax + headerBytesMax)
  #bytes = 0
  /** Of the rows held last. */
  #table: string | null = null
  /** Whether what is held ends, and whether it begins, in the middle of a row. */
  #within = false
  #began = false
  #part = 0
  readonly #headers = new Map<string, Uint8Array>()

  /** Adds rows; gives the pieces that are full now. Most runs fill none, so this is no generator. */
  add(table: string, run: RowRun): readonly RowPiece[] {
    const { bytes, cuts, open } = run
    if (cuts.length === 0 && bytes.length > 0 && this.#bytes + bytes.length <= rowPieceBytesMax) {
      this.#rows(table, bytes, open)
      return none
    }
    const full: RowPiece[] = []
    let from = 0
    for (const to of [...cuts, bytes.length]) {
      if (to === from) continue
      if (this.#bytes > 0 && this.#bytes + to - from > rowPieceBytesMax) full.push(this.#take())
      this.#rows(table, bytes.subarray(from, to), open && to === bytes.length)
      from = to
      const chosen = to !== bytes.length || cuts.at(-1) === to
      if (chosen && this.#bytes >= pieceBytesMin) full.push(this.#take())
    }
    return full
  }

  /** What is left of the account; the next rows are another's. */
  end(): readonly RowPiece[] {
    return this.#bytes > 0 ? [this.#take()] : none
  }

  #rows(table: string, bytes: Uint8Array, open: boolean): void {
    if (this.#table !== table && !this.#within) {
      this.#table = table
      this.#hold(this.#header(table))
    }
    this.#hold(bytes)
    this.#within = open
  }

  #header(table: string): Uint8Array {
    const known = this.#headers.get(table) ?? sectionHeader(table)
    this.#headers.set(table, known)
    return known
  }

  #hold(bytes: Uint8Array): void {
    this.#held.set(bytes, this.#bytes)
    this.#bytes += bytes.length
  }

  #take(): RowPiece {
    const bytes = Buffer.from(this.#held.subarray(0, this.#bytes))
    this.#part = this.#began || this.#within ? this.#part + 1 : 0
    const part = this.#part
    if (!this.#within) {
      this.#part = 0
      this.#table = null
    }
    this.#began = this.#within
    this.#bytes = 0
    return { bytes, sha256: sha256(bytes), part }
  }
}
