import { hash } from "node:crypto"
import { closeSync, fstatSync, mkdirSync, openSync, readSync, rmSync, writeSync } from "node:fs"
import { join } from "node:path"
import { errnoOf, JobError, reasonOf } from "../errors.ts"

export interface SpillSettings {
  /** A private directory that is not there yet, on a disk with room for all rows; it is removed at the end. */
  readonly directory: string
  /** Into how many parts the rows are sorted; those of one part are held at once. */
  readonly buckets: number
}

/** A row on its way through a file: which piece it is from, its line, and how often it was there. */
export interface SpilledRow {
  readonly index: number
  readonly line: string
  readonly times: number
}

/** The part that everything with this text belongs to. */
export function bucketOf(text: string, buckets: number): number {
  return hash("sha256", text, "buffer").readUInt32BE() % buckets
}

/** Rows sorted into files, to be read part by part. */
export class CdrSpill implements Disposable {
  readonly #directory: string
  readonly #files: number[] = []
  readonly #waiting: { parts: Buffer[]; bytes: number }[] = []

  constructor({ directory, buckets }: SpillSettings) {
    this.#directory = directory
    mkdirSync(directory, { mode: 0o700 })
    for (let bucket = 0; bucket < buckets; bucket++) {
      this.#files.push(openSync(join(directory, String(bucket)), "wx+", 0o600))
      this.#waiting.push({ parts: [], bytes: 0 })
    }
  }

  add(bucket: number, { index, line, times }: SpilledRow): void {
    const record = Buffer.allocUnsafe(headBytes + line.length)
    record.writeUInt32BE(index, 0)
    record.writeUInt32BE(line.length, 4)
    record.writeDoubleBE(times, 8)
    record.write(line, headBytes, "latin1")
    const waiting = this.#waiting[bucket]
    if (waiting === undefined) throw new RangeError(`there is no part ${String(bucket)}`)
    waiting.parts.push(record)
    waiting.bytes += record.length
    if (waiting.bytes >= waitingBytesMax) this.#write(bucket)
  }

  /** All rows of a part, in the order they were added; the part is gone after that. */
  *take(bucket: number): Generator<SpilledRow> {
    this.#write(bucket)
    const file = this.#files[bucket]
    if (file === undefined) return
    const bytes = Buffer.allocUnsafe(fstatSync(file).size)
    for (let at = 0; at < bytes.length; ) {
      const read = readSync(file, bytes, at, bytes.length - at, at)
      if (read === 0) throw new JobError("job/target", `${this.#directory}: a file of ours there was cut`)
      at += read
    }
    rmSync(join(this.#directory, String(bucket)))
    for (let at = 0; at < bytes.length; ) {
      const end = at + headBytes + bytes.readUInt32BE(at + 4)
      yield { index: bytes.readUInt32BE(at), times: bytes.readDoubleBE(at + 8), line: bytes.toString("latin1", at + headBytes, end) }
      at = end
    }
  }

  #write(bucket: number): void {
    const waiting = this.#waiting[bucket]
    const file = this.#files[bucket]
    if (waiting === undefined || file === undefined || waiting.bytes === 0) return
    const bytes = Buffer.concat(waiting.parts)
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at)
    } catch (cause) {
      throw new JobError("job/target", `${this.#directory}: ${errnoOf(cause) ?? reasonOf(cause)}`, {
        cause,
        hint: "name a directory on a disk with room for all rows, with --scratch",
      })
    }
    waiting.parts = []
    waiting.bytes = 0
  }

  [Symbol.dispose](): void {
    for (const file of this.#files) closeSync(file)
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

const headBytes = 16
/** Of each part; there are some hundred. */
const waitingBytesMax = 64 * 1024
