import { hash } from "node:crypto"
import { utcDay } from "../clock.ts"
import type { SourceMemory } from "./source.ts"

/** Whole rows of a file, captured together: bytes from `from` up to `to`. */
export interface Slice {
  readonly from: number
  readonly to: number
  /** Of the last bytes before `to`, so that a file that was written anew is not taken for the one that was read. */
  readonly tail: Buffer
}

/** What is remembered of a file between runs, by what it is and not by its name. */
export interface KnownFile {
  /** Device and inode when it was last read. */
  readonly identity: string
  readonly name: string
  readonly readMs: number
}

/** So long what was read of files is remembered; a file that is kept longer is read once more. */
const rememberedMs = 400 * 86_400_000

/**
 * Which slices of which files are kept. A slice goes to as many pieces as it has accounts and days, and counts only while all of them are
 * kept: what is missing in a file's chain of slices is read again.
 */
export class CsvMemory {
  readonly #memory: SourceMemory
  readonly #slices: string
  readonly #files: string
  readonly #now: Date
  /** Read by this run. */
  readonly #read = new Map<string, Slice[]>()

  constructor(memory: SourceMemory, name: string, now: Date) {
    this.#memory = memory
    this.#slices = `csv-slice ${name}`
    this.#files = `csv-file ${name}`
    this.#now = now
  }

  /** The slices of a file that are kept, by where they begin. */
  slices(id: Buffer): Slice[] {
    const pieces = new Map<string, { slice: Slice; of: number; kept: number }>()
    for (const [key, value] of this.#memory.entries(this.#slices, id)) {
      const [numbers, content] = [Buffer.from(key).subarray(id.length), Buffer.from(value)]
      const slice = { from: Number(numbers.readBigUInt64BE(0)), to: Number(numbers.readBigUInt64BE(8)), tail: content.subarray(4) }
      const known = pieces.get(`${String(slice.from)} ${String(slice.to)}`) ?? { slice, of: content.readUInt32BE(0), kept: 0 }
      known.kept += 1
      pieces.set(`${String(slice.from)} ${String(slice.to)}`, known)
    }
    const whole = [...pieces.values()].filter(({ of, kept }) => kept >= of).map(({ slice }) => slice)
    return [...whole, ...(this.#read.get(id.toString("hex")) ?? [])].toSorted((a, b) => a.from - b.from || a.to - b.to)
  }

  /** Remembers one of the pieces of a slice, and with the last of them what the file is. */
  remember(id: Buffer, slice: Slice, piece: { readonly path: Buffer; readonly index: number; readonly of: number }, file: KnownFile): void {
    const held = { path: piece.path, day: utcDay(this.#now) }
    const key = Buffer.alloc(20)
    key.writeBigUInt64BE(BigInt(slice.from), 0)
    key.writeBigUInt64BE(BigInt(slice.to), 8)
    key.writeUInt32BE(piece.index, 16)
    const value = Buffer.alloc(4)
    value.writeUInt32BE(piece.of)
    this.#memory.remember(this.#slices, [[Buffer.concat([id, key]), Buffer.concat([value, slice.tail])]], held)
    if (piece.index + 1 < piece.of) return
    this.#memory.remember(this.#files, [[id, Buffer.from(JSON.stringify([file.identity, file.name, file.readMs]))]], held)
    this.#read.set(id.toString("hex"), [...(this.#read.get(id.toString("hex")) ?? []), slice])
  }

  /** Every file of which something is kept. */
  *files(): Generator<readonly [id: Buffer, file: KnownFile]> {
    for (const [id, value] of this.#memory.entries(this.#files, new Uint8Array())) {
      const [identity, name, readMs]: unknown[] = JSON.parse(Buffer.from(value).toString())
      yield [Buffer.from(id), { identity: String(identity), name: String(name), readMs: Number(readMs) }]
    }
  }

  forget(): void {
    const before = utcDay(new Date(this.#now.getTime() - rememberedMs))
    this.#memory.forgetBefore(this.#slices, before)
    this.#memory.forgetBefore(this.#files, before)
  }
}

/** What lies between slices that are kept, from `start` on; the last range is open. */
export function gapsBetween(slices: readonly Slice[], start: number): { readonly from: number; readonly to: number | null }[] {
  const gaps: { readonly from: number; readonly to: number | null }[] = []
  let at = start
  for (const { from, to } of slices) {
    if (from > at) gaps.push({ from: at, to: from })
    at = Math.max(at, to)
  }
  return [...gaps, { from: at, to: null }]
}

export const tailBytes = 4096

export function tailOf(bytes: Uint8Array): Buffer {
  return hash("sha256", bytes.subarray(-tailBytes), "buffer").subarray(0, 16)
}
