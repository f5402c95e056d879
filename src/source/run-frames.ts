import { closeSync, openSync, readSync, writeSync } from "node:fs"
import { type RowRun, RowSum } from "../database/rows.ts"
import { JobError, reasonOf } from "../errors.ts"

/**
 * Runs of rows one after the other as bytes, for files and messages that do not outlive their process. Each is a frame: its length and
 * counts, the sum of its rows, its lead, its cuts, its rows.
 */
const headerBytes = 5 * 4 + RowSum.bytes
const isOpen = 0x8000_0000

/** Writes frames into a buffer of its own. */
export class RunFrames {
  #buffer: Buffer<ArrayBuffer>
  #filled = 0

  constructor(bytes: number) {
    this.#buffer = Buffer.allocUnsafeSlow(bytes)
  }

  /** Whether a run fits beside what is there. */
  fits(run: RowRun): boolean {
    return this.#filled + frameBytes(run) <= this.#buffer.length
  }

  add(run: RowRun): void {
    const bytes = frameBytes(run)
    if (this.#filled + bytes > this.#buffer.length) this.#grow(this.#filled + bytes)
    const frame = this.#buffer
    let at = this.#filled
    at = frame.writeUInt32LE(bytes, at)
    at = frame.writeUInt32LE(run.rows, at)
    at = frame.writeUInt32LE(run.lead.length, at)
    at = frame.writeUInt32LE(run.cuts.length, at)
    at = frame.writeUInt32LE(run.open ? run.bytes.length + isOpen : run.bytes.length, at)
    run.sum.write(frame, at)
    at += RowSum.bytes
    at += frame.write(run.lead, at, "latin1")
    for (const cut of run.cuts) at = frame.writeUInt32LE(cut, at)
    frame.set(run.bytes, at)
    this.#filled += bytes
  }

  /** What was added; valid until something is added again. */
  take(): Buffer<ArrayBuffer> {
    const taken = this.#buffer.subarray(0, this.#filled)
    this.#filled = 0
    return taken
  }

  #grow(wanted: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(wanted, 2 * this.#buffer.length))
    larger.set(this.#buffer.subarray(0, this.#filled))
    this.#buffer = larger
  }
}

function frameBytes({ lead, cuts, bytes }: RowRun): number {
  return headerBytes + lead.length + 4 * cuts.length + bytes.length
}

/** Reads the run whose frame begins at `at`, which is there whole; its sum is read into `sum`, its rows are not copied. */
function runAt(frames: Buffer, at: number, sum: RowSum): RowRun {
  const leads = at + headerBytes
  const cutsAt = leads + frames.readUInt32LE(at + 8)
  const count = frames.readUInt32LE(at + 12)
  const length = frames.readUInt32LE(at + 16)
  const open = length >= isOpen
  const from = cutsAt + 4 * count
  sum.read(frames, at + 20, frames.readUInt32LE(at + 4))
  return {
    lead: frames.toString("latin1", leads, cutsAt),
    bytes: frames.subarray(from, from + (open ? length - isOpen : length)),
    rows: sum.rows,
    sum,
    cuts: count === 0 ? noCuts : Array.from({ length: count }, (_, index) => frames.readUInt32LE(cutsAt + 4 * index)),
    open,
  }
}

const noCuts: readonly number[] = []

/** The runs in these frames; each, with its sum, is valid until the next is asked for. */
export function* runsIn(frames: Uint8Array): Generator<RowRun> {
  const bytes = Buffer.from(frames.buffer, frames.byteOffset, frames.length)
  const sum = new RowSum()
  for (let at = 0; at < bytes.length; at += bytes.readUInt32LE(at)) yield runAt(bytes, at, sum)
}

/** A new private file of frames. */
export class RunFile {
  readonly #file: number
  readonly #frames = new RunFrames(fileWriteBytes)

  constructor(path: string) {
    this.#file = written(() => openSync(path, "wx", 0o600))
  }

  add(run: RowRun): void {
    if (!this.#frames.fits(run)) this.#flush()
    this.#frames.add(run)
  }

  end(): void {
    this.#flush()
    this.close()
  }

  close(): void {
    closeSync(this.#file)
  }

  #flush(): void {
    for (let rest = this.#frames.take(); rest.length > 0; ) {
      const bytes = rest
      rest = bytes.subarray(written(() => writeSync(this.#file, bytes)))
    }
  }
}

function written(write: () => number): number {
  try {
    return write()
  } catch (cause) {
    throw new JobError("job/source", `a copy of a table cannot be written: ${reasonOf(cause)}`, {
      cause,
      hint: "make room where the state directory is: rows wait there until those of each account are together",
    })
  }
}

const fileWriteBytes = 256 * 1024

/**
 * The runs of a file that a RunFile wrote; each, with its sum, is valid until the next is asked for. It was just written, and many are
 * read side by side: so it is read from memory, without waiting in turn.
 */
export function* runsOf(path: string): Generator<RowRun> {
  const file = openSync(path, "r")
  try {
    const sum = new RowSum()
    let buffer = Buffer.allocUnsafeSlow(fileReadBytes)
    let [at, end] = [0, 0]
    for (;;) {
      const wanted = end - at < 4 ? 4 : buffer.readUInt32LE(at)
      if (wanted > 4 && at + wanted <= end) {
        yield runAt(buffer, at, sum)
        at += wanted
        continue
      }
      const next = wanted <= buffer.length ? buffer : Buffer.allocUnsafeSlow(wanted)
      end = buffer.copy(next, 0, at, end)
      at = 0
      buffer = next
      const read = readSync(file, buffer, end, buffer.length - end, null)
      if (read === 0 && end === 0) return
      if (read === 0) throw new Error("a copy of a table was cut off: this is a bug")
      end += read
    }
  } finally {
    closeSync(file)
  }
}

/** A hundred files are open at once; most runs are shorter, and what a longer one needs is taken then. */
const fileReadBytes = 64 * 1024
