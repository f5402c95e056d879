import { createCipheriv, hash, randomBytes } from "node:crypto"
import { closeSync, fsyncSync, openSync, readSync, rmSync, writeSync } from "node:fs"
import { join } from "node:path"
import { constants, zstdCompressSync } from "node:zlib"

/** What the machine can do by itself, with one thread, in megabytes (10^6 bytes) a second. */
export interface Primitives {
  readonly sha256: number
  /** In chunks of 64 KiB, as age does it. */
  readonly chacha20Poly1305: number
  /** Of bytes that do not compress. */
  readonly zstd3: number
  /** Within memory. */
  readonly copy: number
  /** From the page cache. */
  readonly fileRead: number
  /** Written and synced. */
  readonly fileWrite: number
}

const blockBytes = 16 * 1024 * 1024
const chunkBytes = 64 * 1024
const repeats = 5

/** The median of several rounds of 16 MiB each. */
export function measurePrimitives(folder: string): Primitives {
  const block = randomBytes(blockBytes)
  const other = Buffer.alloc(blockBytes)
  const path = join(folder, "primitive")
  const fileWrite = speed(() => write(path, block))
  const fileRead = speed(() => read(path, other))
  rmSync(path)
  return {
    sha256: speed(() => hash("sha256", block, "hex")),
    chacha20Poly1305: speed(() => seal(block)),
    zstd3: speed(() => zstdCompressSync(block, { params: { [constants.ZSTD_c_compressionLevel]: 3 } })),
    copy: speed(() => other.set(block)),
    fileRead,
    fileWrite,
  }
}

function speed(work: () => unknown): number {
  work()
  const seconds = Array.from({ length: repeats }, () => {
    const started = performance.now()
    work()
    return (performance.now() - started) / 1000
  })
  return blockBytes / 1e6 / median(seconds)
}

function seal(block: Uint8Array): void {
  const key = randomBytes(32)
  for (let at = 0; at < block.length; at += chunkBytes) {
    const nonce = Buffer.alloc(12)
    nonce.writeUInt32BE(at / chunkBytes, 7)
    const cipher = createCipheriv("chacha20-poly1305", key, nonce, { authTagLength: 16 })
    cipher.update(block.subarray(at, at + chunkBytes))
    cipher.final()
    cipher.getAuthTag()
  }
}

function write(path: string, block: Uint8Array): void {
  const file = openSync(path, "w")
  writeSync(file, block)
  fsyncSync(file)
  closeSync(file)
}

function read(path: string, into: Uint8Array): void {
  const file = openSync(path, "r")
  readSync(file, into, 0, into.length, 0)
  closeSync(file)
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const [low, high] = [sorted[middle - (sorted.length % 2 === 0 ? 1 : 0)], sorted[middle]]
  if (low === undefined || high === undefined) throw new Error("the median of nothing")
  return (low + high) / 2
}

/** Seconds of one thread that a first backup of so many bytes cannot do without: read, hash each file, seal, hash each pack, write. */
export function leastSeconds(bytes: number, { sha256, chacha20Poly1305, fileRead, fileWrite }: Primitives): number {
  return (bytes / 1e6) * (1 / fileRead + 2 / sha256 + 1 / chacha20Poly1305 + 1 / fileWrite)
}
