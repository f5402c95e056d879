import { pieceNumber } from "./account-path.ts"
import type { RowPiece } from "./row-pieces.ts"

/**
 * What the files of a database's rows are called. Whole rows are named by what they are, so that a piece that did not change is the same
 * item wherever it stands; the pieces of one long row are numbered, and come after all others. Equal rows in a table without a key give
 * equal pieces, and an account may come up again: no name is given twice.
 */
export class PieceNames {
  readonly #given = new Map<string, number>()
  #row = ""

  next(stableId: string, { sha256, part }: RowPiece): string {
    const short = sha256.slice(0, 16)
    if (part === 0) return `${this.#unmet(stableId, short)}.tsv`
    if (part === 1) this.#row = this.#unmet(stableId, `row-${short}`)
    return `${this.#row}-${pieceNumber(part)}.tsv`
  }

  #unmet(stableId: string, name: string): string {
    const key = `${stableId}/${name}`
    const given = (this.#given.get(key) ?? 0) + 1
    this.#given.set(key, given)
    return given === 1 ? name : `${name}.${String(given)}`
  }
}

/** Whether a file goes on within the row that the one before it by name ends in. */
export function goesOn(name: string): boolean {
  return /^row-[0-9a-f]{16}(?:\.\d+)?-(?!000001)\d{6}\.tsv$/.test(name)
}
