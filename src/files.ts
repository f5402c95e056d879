import { link, open, rename, rm, unlink } from "node:fs/promises"
import { dirname } from "node:path"
import { errnoOf } from "./errors.ts"

/** Writes a new file and syncs its bytes; fails where the path exists. */
export async function writeDurably(path: string, bytes: Uint8Array, mode: number): Promise<void> {
  await using file = await open(path, "wx", mode)
  await file.writeFile(bytes)
  await file.sync()
}

/** Makes the directory's entries survive a crash. A no-op where the platform cannot (Windows). */
export async function syncDirectory(path: string): Promise<void> {
  if (process.platform === "win32") return
  await using directory = await open(path, "r")
  await directory.sync()
}

/**
 * A file that is either there whole or not at all: temporary name, sync, then a name.
 * `replace: false` fails with EEXIST where the name is taken; `temporary` must be a fresh name on the same filesystem.
 */
export async function writeAtomically(path: string, bytes: Uint8Array, options: AtomicWrite): Promise<void> {
  try {
    await writeDurably(options.temporary, bytes, options.mode)
    if (options.replace) await rename(options.temporary, path)
    else await linkOrRefuse(options.temporary, path)
    await syncDirectory(dirname(path))
  } catch (error) {
    await rm(options.temporary, { force: true })
    throw error
  }
}

export interface AtomicWrite {
  readonly temporary: string
  readonly mode: number
  readonly replace: boolean
}

// link, unlike rename, fails when the name exists, which makes a write once-only.
async function linkOrRefuse(temporary: string, path: string): Promise<void> {
  await link(temporary, path)
  await unlink(temporary)
}

/** Whether an error says that nothing is there. */
export function isMissing(error: unknown): boolean {
  const code = errnoOf(error)
  return code === "ENOENT" || code === "ENOTDIR"
}
