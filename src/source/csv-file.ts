import { constants } from "node:fs"
import { type FileHandle, open } from "node:fs/promises"
import { createGunzip } from "node:zlib"
import { JobError, reasonOf } from "../errors.ts"

/** A file of call detail records, opened: its bytes as they were at that moment, uncompressed. */
export interface CsvFile extends AsyncDisposable {
  readonly name: string
  /** What a file renamed keeps: device and inode. */
  readonly identity: string
  /** Uncompressed. Of a compressed file as its last bytes say, modulo 2^32. */
  readonly size: number
  readonly mtimeMs: number
  readonly compressed: boolean
  /** The bytes from an offset on, up to `size`; in pieces of any length. Rejects with a JobError where a compressed file is damaged. */
  read(from: number): AsyncGenerator<Buffer>
}

const chunkBytes = 256 * 1024

/** Opens a regular file without following a link; rejects with the system's error, or EINVAL for anything else. */
export async function openCsvFile(directory: string, name: string): Promise<CsvFile> {
  const file = await open(`${directory}/${name}`, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const stats = await file.stat({ bigint: true })
    if (!stats.isFile()) throw Object.assign(new Error("not a file"), { code: "EINVAL" })
    const compressed = name.endsWith(".gz")
    const stored = Number(stats.size)
    return {
      name,
      identity: `${String(stats.dev)}:${String(stats.ino)}`,
      size: compressed ? await sizeInside(file, stored) : stored,
      mtimeMs: Number(stats.mtimeMs),
      compressed,
      read: (from) => (compressed ? inflated(file, name, stored, from) : plain(file, from, stored)),
      [Symbol.asyncDispose]: () => file.close(),
    }
  } catch (error) {
    await file.close()
    throw error
  }
}

// What is written while it is read comes with the next run.
async function* plain(file: FileHandle, from: number, to: number): AsyncGenerator<Buffer> {
  for (let at = from; at < to; ) {
    const buffer = Buffer.allocUnsafeSlow(Math.min(chunkBytes, to - at))
    const { bytesRead } = await file.read(buffer, 0, buffer.length, at)
    if (bytesRead === 0) return
    yield buffer.subarray(0, bytesRead)
    at += bytesRead
  }
}

async function* inflated(file: FileHandle, name: string, stored: number, from: number): AsyncGenerator<Buffer> {
  const gunzip = createGunzip()
  const feeding = feed(gunzip, plain(file, 0, stored))
  let at = 0
  try {
    for await (const chunk of gunzip) {
      if (!(chunk instanceof Buffer)) throw new Error("a stream of bytes gave something else")
      const skip = Math.min(chunk.length, Math.max(0, from - at))
      at += chunk.length
      if (skip < chunk.length) yield chunk.subarray(skip)
    }
    await feeding
  } catch (cause) {
    throw new JobError("job/source", `${name}: cannot be uncompressed: ${reasonOf(cause)}`, { cause })
  } finally {
    gunzip.destroy()
    await feeding.catch(() => undefined)
  }
}

async function feed(gunzip: ReturnType<typeof createGunzip>, chunks: AsyncIterable<Buffer>): Promise<void> {
  for await (const chunk of chunks) {
    if (gunzip.destroyed) return
    if (!gunzip.write(chunk)) await Promise.race([drained(gunzip), closed(gunzip)])
  }
  gunzip.end()
}

function drained(gunzip: ReturnType<typeof createGunzip>): Promise<void> {
  return new Promise((resolve) => gunzip.once("drain", () => resolve()))
}

function closed(gunzip: ReturnType<typeof createGunzip>): Promise<void> {
  return new Promise((resolve) => gunzip.once("close", () => resolve()))
}

async function sizeInside(file: FileHandle, stored: number): Promise<number> {
  const trailer = Buffer.alloc(4)
  await file.read(trailer, 0, 4, Math.max(0, stored - 4))
  return trailer.readUInt32LE()
}
