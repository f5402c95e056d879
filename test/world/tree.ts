import { closeSync, ftruncateSync, mkdirSync, openSync, utimesSync, writeFileSync, writeSync } from "node:fs"
import { setImmediate as nextTurn } from "node:timers/promises"
import { Dice } from "./dice.ts"

export interface TreeOptions {
  readonly seed: string
  readonly files: number
  /** Of all files together, about. */
  readonly bytes: number
  /** Default 1000. */
  readonly perDirectory?: number
  /** Seconds since 1970 of every file's last change. Default 1,700,000,000. */
  readonly mtime?: number
}

/** Many small files quickly: sizes exponential, bytes from one incompressible pool. Gives the bytes written. */
export async function buildTree(root: string, options: TreeOptions): Promise<number> {
  const { files, perDirectory = 1000, mtime = 1_700_000_000 } = options
  const dice = new Dice(options.seed)
  const mean = options.bytes / files
  const pool = dice.bytes(Math.max(poolBytesMin, Math.ceil(mean * 8)) * 2)
  let written = 0
  for (let index = 0; index < files; index++) {
    const directory = `${root}/d${String(Math.floor(index / perDirectory)).padStart(5, "0")}`
    if (index % perDirectory === 0) {
      mkdirSync(directory, { recursive: true })
      await nextTurn()
    }
    const size = Math.min(pool.length / 2, Math.round(-mean * Math.log(1 - dice.next())))
    const from = dice.between(0, pool.length - size)
    const path = `${directory}/f${String(index).padStart(8, "0")}.wav`
    writeFileSync(path, pool.subarray(from, from + size))
    utimesSync(path, mtime, mtime)
    written += size
  }
  return written
}

const poolBytesMin = 1024 * 1024

/** A file of this size that takes a few blocks: a hole with a little data at its beginning and at its end. */
export function buildSparse(path: string, bytes: number, mtime = 1_700_000_000): void {
  const file = openSync(path, "wx")
  try {
    ftruncateSync(file, bytes)
    writeSync(file, "begin", 0)
    writeSync(file, "end", bytes - 3)
  } finally {
    closeSync(file)
  }
  utimesSync(path, mtime, mtime)
}
