import type { BigIntStats } from "node:fs"
import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readlinkSync } from "node:fs"
import { setImmediate as nextTurn } from "node:timers/promises"
import { errnoOf, JobError, reasonOf } from "../errors.ts"
import { pathBytesMax, walkSliceEntries } from "../limits.ts"
import type { MissReason } from "./source.ts"

/** What stands at one place below the root. */
export interface Entry {
  readonly path: Buffer
  readonly absolute: Buffer
  readonly stats: BigIntStats
  /** The target, where it is a symbolic link. */
  readonly link?: Buffer
}

/** What could not be looked at, or is nothing a backup can hold. */
export interface Hindrance {
  readonly path: Buffer
  readonly reason: MissReason
  readonly detail: string
}

export type Walked = { readonly entry: Entry } | { readonly hindrance: Hindrance } | { readonly skipped: Buffer }

export interface WalkOptions {
  readonly signal: AbortSignal
  /** Leaves out an entry and, where it is a directory, all that is below it. Gets the path relative to the root. */
  readonly skip: (path: Buffer) => boolean
}

/**
 * Everything below `root`, each directory's entries in the order of their names' bytes, then what is in its subdirectories in that
 * order. Follows no link, not even one that takes a directory's place while it walks, stays on the root's filesystem, and holds the
 * names of one directory at a time and the paths of the subdirectories still to come. Rejects where the root itself cannot be listed.
 *
 * The calls are synchronous: an lstat costs 1.4 µs so, and 16 µs behind a promise. The event loop gets a turn every few entries.
 */
export async function* walk(root: Buffer, options: WalkOptions): AsyncGenerator<Walked> {
  const rootStats = lstatSync(root, { bigint: true })
  let sinceTurn = 0
  for (const walked of below(root, { path: Buffer.alloc(0), device: rootStats.dev, inode: rootStats.ino }, options)) {
    sinceTurn += 1
    if (sinceTurn >= walkSliceEntries) {
      sinceTurn = 0
      await nextTurn()
      options.signal.throwIfAborted()
    }
    yield walked
  }
}

/** A directory as it was when its parent was listed. */
interface Directory {
  readonly path: Buffer
  readonly device: bigint
  readonly inode: bigint
}

function* below(root: Buffer, top: Directory, options: WalkOptions): Generator<Walked> {
  const pending = [top]
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    const children: Directory[] = []
    for (const walked of list(root, directory, options)) {
      if ("entry" in walked && walked.entry.stats.isDirectory()) {
        const { path, stats } = walked.entry
        if (stats.dev === top.device) children.push({ path, device: stats.dev, inode: stats.ino })
        else {
          yield { hindrance: { path, reason: "refused", detail: "another filesystem is mounted here" } }
          continue
        }
      }
      yield walked
    }
    for (const child of children.toReversed()) pending.push(child)
  }
}

function* list(root: Buffer, directory: Directory, options: WalkOptions): Generator<Walked> {
  const opened = openDirectory(root, directory)
  if (typeof opened !== "number") {
    yield { hindrance: opened }
    return
  }
  try {
    const place = anchor(opened, root, directory.path)
    const names = namesIn(place, directory.path)
    if (!Array.isArray(names)) {
      yield { hindrance: names }
      return
    }
    for (const name of names) yield look(root, place, within(directory.path, name), Buffer.from(name, "latin1"), options)
  } finally {
    closeSync(opened)
  }
}

function openDirectory(root: Buffer, directory: Directory): number | Hindrance {
  let descriptor: number | undefined
  try {
    descriptor = openSync(absolute(root, directory.path), constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
    const stats = fstatSync(descriptor, { bigint: true })
    if (stats.dev === directory.device && stats.ino === directory.inode) return descriptor
    const { path } = directory
    const detail = "another directory took its place while the tree was read"
    if (path.length === 0) throw new JobError("job/source", `the source's root: ${detail}`, { hint: "run it again" })
    closeSync(descriptor)
    return { path, reason: "torn", detail }
  } catch (error) {
    if (descriptor !== undefined) closeSync(descriptor)
    if (error instanceof JobError) throw error
    return unlistable(directory.path, error)
  }
}

// Through the descriptor an entry is looked up in the directory that was checked, whatever its path leads to by now.
function anchor(descriptor: number, root: Buffer, path: Buffer): Buffer {
  return process.platform === "linux" ? Buffer.from(`/proc/self/fd/${String(descriptor)}/`) : Buffer.concat([absolute(root, path), slash])
}

// One character per byte: half the memory of buffers, and sorting strings of bytes is sorting bytes.
function namesIn(place: Buffer, path: Buffer): string[] | Hindrance {
  try {
    return readdirSync(place, { encoding: "latin1" }).sort()
  } catch (error) {
    return unlistable(path, error)
  }
}

function unlistable(path: Buffer, error: unknown): Hindrance {
  if (path.length === 0) {
    throw new JobError("job/source", `the source's root cannot be listed: ${reasonOf(error)}`, {
      cause: error,
      hint: "give the user Holdline runs as read and search permission on it",
    })
  }
  return hindrance(path, error)
}

function look(root: Buffer, place: Buffer, path: Buffer, name: Buffer, options: WalkOptions): Walked {
  if (options.skip(path)) return { skipped: path }
  try {
    const here = Buffer.concat([place, name])
    const stats = lstatSync(here, { bigint: true })
    const where = absolute(root, path)
    if (where.length > pathBytesMax)
      return { hindrance: { path, reason: "unreadable", detail: "its path is longer than the system can open" } }
    if (stats.isFile() || stats.isDirectory()) return { entry: { path, absolute: where, stats } }
    if (stats.isSymbolicLink()) return { entry: { path, absolute: where, stats, link: readlinkSync(here, { encoding: "buffer" }) } }
    return { hindrance: { path, reason: "refused", detail: `a ${kindOf(stats)} holds nothing that could be kept` } }
  } catch (error) {
    return { hindrance: hindrance(path, error) }
  }
}

function hindrance(path: Buffer, error: unknown): Hindrance {
  const code = errnoOf(error)
  if (code === "ENOENT") return { path, reason: "vanished", detail: "gone between listing and reading" }
  // Replaced by a link or a file after its parent was listed: what stands there now was not captured, and is not gone either.
  if (code === "ELOOP" || code === "ENOTDIR") return { path, reason: "torn", detail: "replaced while the tree was read" }
  return { path, reason: "unreadable", detail: code ?? reasonOf(error) }
}

function kindOf(stats: BigIntStats): string {
  if (stats.isSocket()) return "socket"
  if (stats.isFIFO()) return "pipe"
  return "device"
}

const slash = Buffer.from("/")

function within(path: Buffer, name: string): Buffer {
  const bytes = Buffer.from(name, "latin1")
  return path.length === 0 ? bytes : Buffer.concat([path, slash, bytes])
}

function absolute(root: Buffer, path: Buffer): Buffer {
  return path.length === 0 ? root : Buffer.concat([root, slash, path])
}
