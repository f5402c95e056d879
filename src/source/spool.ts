import { closeSync, openSync, readSync } from "node:fs"
import { type FileHandle, open } from "node:fs/promises"
import { JobError, reasonOf } from "../errors.ts"

/** Writes a stream into a new private file, so that it can be read later beside others. */
export async function spool(path: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  await using file = await open(path, "wx", 0o600)
  const waiting = Buffer.allocUnsafeSlow(spoolBytes)
  let filled = 0
  for await (const chunk of chunks) {
    if (filled + chunk.length > waiting.length) {
      await write(file, waiting.subarray(0, filled))
      filled = 0
    }
    if (chunk.length > waiting.length) await write(file, chunk)
    else {
      waiting.set(chunk, filled)
      filled += chunk.length
    }
  }
  await write(file, waiting.subarray(0, filled))
}

/** What a stream gives is small: written one by one, each would cost more than its bytes. */
const spoolBytes = 512 * 1024

async function write(file: FileHandle, bytes: Uint8Array): Promise<void> {
  try {
    await file.writeFile(bytes)
  } catch (cause) {
    throw new JobError("job/source", `a copy of a table cannot be written: ${reasonOf(cause)}`, {
      cause,
      hint: "make room where the state directory is: rows wait there until those of each account are together",
    })
  }
}

/**
 * Reads a spooled file in small chunks, each valid until the next is asked for. It was just written, and many are read side by side: so
 * it is read from memory, without waiting in turn.
 */
export function* unspool(path: string): Generator<Uint8Array> {
  const file = openSync(path, "r")
  try {
    const buffer = Buffer.allocUnsafeSlow(unspoolBytes)
    for (let read = readSync(file, buffer); read > 0; read = readSync(file, buffer)) yield buffer.subarray(0, read)
  } finally {
    closeSync(file)
  }
}

const unspoolBytes = 64 * 1024
