import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, statfsSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const memory = "/dev/shm"
const prefix = "holdline-tests-"
/** Many times what the tests have at once. */
const roomBytes = 2 * 1024 ** 3

let folder: string | undefined

/**
 * Where temporary files may lie: TMPDIR, or else in memory where there is room. What tests do most is to make and to remove small files
 * that are synced, and none asks a disk to survive a power cut.
 */
export function scratchParent(): string {
  return process.env.TMPDIR === undefined && hasRoom() ? memory : tmpdir()
}

/** Gives the tests a temporary directory of their own. */
export function setup(): void {
  const parent = scratchParent()
  removeAbandoned(parent)
  folder = mkdtempSync(join(parent, `${prefix}${String(process.pid)}-`))
  // Servers that run as users of their own have their folders in it.
  chmodSync(folder, 0o711)
  process.env.TMPDIR = folder
  process.env.HOLDLINE_TEST_TEMPLATES = mkdtempSync(join(folder, "templates-"))
  chmodSync(process.env.HOLDLINE_TEST_TEMPLATES, 0o711)
  // Types are stripped once, not by every process and thread that tests start; where bin/holdline keeps them too.
  process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, "../node_modules/.cache/holdline")
}

export function teardown(): void {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
}

function hasRoom(): boolean {
  if (!existsSync(memory)) return false
  const { bavail, bsize } = statfsSync(memory)
  return bavail * bsize >= roomBytes && process.availableMemory() >= 2 * roomBytes
}

/** What is in memory takes room until somebody removes it: tests that were killed could not. */
function removeAbandoned(parent: string): void {
  for (const name of readdirSync(parent).filter((name) => name.startsWith(prefix))) {
    const pid = name.slice(prefix.length).split("-")[0] ?? ""
    if (!existsSync(`/proc/${pid}`)) rmSync(join(parent, name), { recursive: true, force: true })
  }
}
