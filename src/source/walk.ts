import type { BigIntStats } from "node:fs"
import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readlinkSync } from "node:fs"
import { setImmediate as nextTurn } from "node:timers/promises"
import { errnoOf, JobError, reasonOf } from "../errors.ts"
import { pathBytesMax, walkSliceEntries } from "../limits.ts"
import type { MissReason } from "./source.ts"

/** What stands at one place below the root. */
export interface Entry {
  readonly path: Buffer
  /** The directory it is in: the same buffer for all that are in one. */
  readonly parent: Buffer
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
 * The calls are synchronous: an lstat costs 1.4 µs so, and 16 µs behind a promise.
 */
export function* walkNow(root: Buffer, options: Leaving): Generator<Walked> {
  const rootStats = lstatSync(root, { bigint: true })
  yield* below(root, { path: Buffer.alloc(0), device: rootStats.dev, inode: rootStats.ino }, options)
}

type Leaving = Pick<WalkOptions, "skip">

/** The same, with a turn for the event loop every few entries. */
export async function* walk(root: Buffer, options: WalkOptions): AsyncGenerator<Walked> {
  const turns = new Turns(options.signal)
  for (const walked of walkNow(root, options)) {
    if (turns.isDue()) await turns.take()
    yield walked
  }
}

/** When the event loop is to have a turn; asked for each entry, so that only the entries between which it has one wait. */
export class Turns {
  readonly #signal: AbortSignal
  #since = 0

  constructor(signal: AbortSignal) {
    this.#signal = signal
  }

  isDue(): boolean {
    this.#since += 1
    return this.#since >= walkSliceEntries
  }

  async take(): Promise<void> {
    this.#since = 0
    await nextTurn()
    this.#signal.throwIfAborted()
  }
}

/** A directory as it was when its parent was listed. */
interface Directory {
  readonly path: Buffer
  readonly device: bigint
  readonly inode: bigint
}

function* below(root: Buffer, top: Directory, options: Leaving): Generator<Walked> {
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

function* list(root: Buffer, directory: Directory, options: Leaving): Generator<Walked> {
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
    const { path: parent } = directory
    const prefix = parent.length === 0 ? "" : `${parent.toString("latin1")}/`
    // What an absolute path below the root may have at most.
    const pathBytes = pathBytesMax - root.length - 1
    for (const name of names)
      yield look({ parent, path: Buffer.from(prefix + name, "latin1"), here: within(place, name), pathBytes }, options)
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
function anchor(descriptor: number, root: Buffer, path: Buffer): string | Buffer {
  if (process.platform !== "linux") return Buffer.concat([absolute(root, path), slash])
  return `/proc/self/fd/${String(descriptor)}/`
}

// One character per byte: half the memory of buffers, and sorting strings of bytes is sorting bytes.
function namesIn(place: string | Buffer, path: Buffer): string[] | Hindrance {
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

interface Place {
  readonly parent: Buffer
  readonly path: Buffer
  /** Where it is looked at. */
  readonly here: string | Buffer
  readonly pathBytes: number
}

function look({ parent, path, here, pathBytes }: Place, options: Leaving): Walked {
  if (options.skip(path)) return { skipped: path }
  try {
    const stats = lstatSync(here, { bigint: true })
    if (path.length > pathBytes) return { hindrance: { path, reason: "unreadable", detail: "its path is longer than the system can open" } }
    if (stats.isFile() || stats.isDirectory()) return { entry: { path, parent, stats } }
    if (stats.isSymbolicLink()) return { entry: { path, parent, stats, link: readlinkSync(here, { encoding: "buffer" }) } }
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

// A string costs less than its bytes, and says the same as long as each is a character of its own.
function within(place: string | Buffer, name: string): string | Buffer {
  if (typeof place === "string" && !notAscii.test(name)) return place + name
  return Buffer.concat([Buffer.from(place), Buffer.from(name, "latin1")])
}

const notAscii = /[\x80-\xff]/

/** Where a path below the root is. */
export function absolute(root: Buffer, path: Buffer): Buffer {
  return path.length === 0 ? root : Buffer.concat([root, slash, path])
}
