import type { CdrItem } from "./cdr-state.ts"
import { type CsvPieceName, parseCsvPiecePath } from "./csv-pieces.ts"

/** Raw rows of one account and day, each once, as they stood in one file. */
export interface CsvState {
  readonly name: CsvPieceName
  /** Whole pieces, or what of a piece no other has; in the order of the file. */
  readonly bytes: Buffer
}

/**
 * The rows that pieces of files of call detail records add up to, in whatever order the pieces are given: a range of a file that was read
 * more than once counts once. Items that are no such pieces are passed over.
 */
export function* csvState(items: Iterable<CdrItem>): Generator<CsvState> {
  const groups = new Map<string, CsvState[]>()
  for (const { path, bytes } of items) {
    const name = parseCsvPiecePath(path)
    if (name === null) continue
    const key = [name.file, name.origin, name.stableId, name.day].join("\0")
    const group = groups.get(key) ?? []
    group.push({ name, bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) })
    groups.set(key, group)
  }
  for (const group of groups.values()) yield* withoutRepeats(group)
}

// The longest ranges first: what was read again reaches from where it began at least as far as what had been read before.
function* withoutRepeats(pieces: readonly CsvState[]): Generator<CsvState> {
  const taken: CsvState[] = []
  for (const piece of pieces.toSorted((a, b) => lengthOf(b) - lengthOf(a))) {
    const around = taken.filter(({ name }) => name.from < piece.name.to && piece.name.from < name.to)
    const bytes = around.length === 0 ? piece.bytes : linesNotIn(piece.bytes, around)
    if (bytes.length > 0) taken.push({ name: piece.name, bytes })
  }
  yield* taken.toSorted((a, b) => a.name.from - b.name.from)
}

function lengthOf({ name }: CsvState): number {
  return name.to - name.from
}

// A file that was written anew behind our back may have other rows in the same place: only what is there in so many words is a repeat.
function linesNotIn(bytes: Buffer, others: readonly CsvState[]): Buffer {
  const there = new Map<string, number>()
  for (const other of others) for (const line of linesOf(other.bytes)) there.set(line, (there.get(line) ?? 0) + 1)
  const left = linesOf(bytes).filter((line) => {
    const times = there.get(line) ?? 0
    there.set(line, times - 1)
    return times <= 0
  })
  return Buffer.from(left.join(""), "latin1")
}

function linesOf(bytes: Buffer): string[] {
  return bytes.toString("latin1").match(/[^\n]*\n|[^\n]+$/g) ?? []
}
