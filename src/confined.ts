import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
  unlinkSync,
} from "node:fs"
import { type FileAttributes, type HeldDirectory, isLeftover, NewFile, setAttributes, taken } from "./confined-file.ts"
import { sha256 } from "./digest.ts"
import { errnoOf, JobError } from "./errors.ts"
import { nameBytesMax, pathBytesMax } from "./limits.ts"
import { type Random, systemRandom } from "./random.ts"

const directoryFlags = constants.O_RDONLY | (constants.O_DIRECTORY ?? 0) | (constants.O_NOFOLLOW ?? 0)
const existingFlags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)
const openDirectoriesMax = 60

/**
 * A directory that nothing restored into it can leave. Paths are raw bytes below the root; every component on the way is opened
 * without following links, and on Linux each is reached through the descriptor of the one before, so that a link which takes a
 * directory's place meanwhile is not followed either. Names that exist are never overwritten.
 */
export class ConfinedTree {
  readonly #root: Buffer
  readonly #random: Random
  /** In the name of every unfinished file: no other tree has the same. */
  readonly #mark: string
  /** Directories by path, the least recently used first. */
  readonly #open = new Map<string, OpenDirectory>()

  constructor(root: string, random: Random = systemRandom) {
    this.#root = Buffer.from(root)
    this.#random = random
    this.#mark = sha256(this.#root).slice(0, 16)
  }

  /** Opens a new file for writing under a temporary name; `settle` gives it its own. It does not need the tree any longer. */
  create(path: Buffer): NewFile {
    const { parents, name } = split(path)
    const directory = this.#hold(parents, openOrMake)
    try {
      return new NewFile({ directory, name, path, mark: this.#mark }, this.#random)
    } catch (error) {
      directory.release()
      throw error
    }
  }

  /** Opens a file for reading; null where there is none, or none that can be got at, such as through a link. Makes nothing. */
  openExisting(path: Buffer): number | null {
    try {
      const { parents, name } = split(path)
      return this.#within(parents, openDirectory, (directory) => openSync(directory.at(name), existingFlags))
    } catch (error) {
      const code = errnoOf(error)
      if (code === "EMFILE" || code === "ENFILE" || (code === undefined && !(error instanceof JobError))) throw error
      // Whoever creates it is told what stands in the way.
      return null
    }
  }

  /** Removes what a process that was killed left unfinished in the directory of this path, in this very tree; how many these were. */
  removeLeftovers(path: Buffer): number {
    try {
      return this.#within(split(path).parents, openDirectory, (directory) => {
        const names = readdirSync(directory.at(Buffer.from("."))).filter((name) => isLeftover(name, this.#mark))
        const files = names
          .map((name) => directory.at(Buffer.from(name)))
          .filter((at) => lstatSync(at, { throwIfNoEntry: false })?.isFile())
        for (const file of files) unlinkSync(file)
        return files.length
      })
    } catch (error) {
      if (errnoOf(error) === undefined && !(error instanceof JobError)) throw error
      // Where there is no such directory, or none that may be changed, whoever writes there is told.
      return 0
    }
  }

  isEmptyFile(path: Buffer): boolean {
    const descriptor = this.openExisting(path)
    if (descriptor === null) return false
    const stat = fstatSync(descriptor)
    closeSync(descriptor)
    return stat.isFile() && stat.size === 0
  }

  makeDirectory(path: Buffer): void {
    this.#hold(components(path), openOrMake).release()
  }

  /** Sets what a directory looks like, once everything below it is there. */
  setDirectory(path: Buffer, attributes: FileAttributes): void {
    this.#within(components(path), openOrMake, ({ descriptor }) => setAttributes(descriptor, attributes))
  }

  /** A link is only ever made, never followed; the same one twice is one. */
  makeSymlink(path: Buffer, target: Buffer): void {
    const { parents, name } = split(path)
    this.#within(parents, openOrMake, (directory) => {
      try {
        symlinkSync(target, directory.at(name))
      } catch (error) {
        if (errnoOf(error) === "EEXIST" && isLinkTo(directory.at(name), target)) return
        throw taken(error, path)
      }
    })
  }

  close(): void {
    for (const directory of this.#open.values()) directory.release()
    this.#open.clear()
  }

  #within<T>(parts: readonly Buffer[], open: OpenStep, work: (directory: OpenDirectory) => T): T {
    const directory = this.#hold(parts, open)
    try {
      return work(directory)
    } finally {
      directory.release()
    }
  }

  /** The directory, held for the caller, who releases it. */
  #hold(parts: readonly Buffer[], open: OpenStep): OpenDirectory {
    let key = ""
    let directory = this.#remember(key, () => new OpenDirectory(openSync(this.#root, directoryFlags), this.#root))
    for (const part of parts) {
      const parent = directory
      key += `/${part.toString("latin1")}`
      try {
        directory = this.#remember(key, () => parent.open(part, open))
      } finally {
        parent.release()
      }
    }
    return directory
  }

  #remember(key: string, open: () => OpenDirectory): OpenDirectory {
    const directory = this.#open.get(key) ?? open()
    directory.hold()
    this.#open.delete(key)
    this.#open.set(key, directory)
    for (const [oldest, old] of this.#open) {
      if (this.#open.size <= openDirectoriesMax) break
      this.#open.delete(oldest)
      old.release()
    }
    return directory
  }
}

/** Opens a directory in another; `shown` is its path for people. */
type OpenStep = (path: Buffer, shown: Buffer) => number

/** A directory's descriptor, closed when the last who holds it lets go: whoever makes one holds it. */
class OpenDirectory implements HeldDirectory {
  readonly descriptor: number
  readonly #path: Buffer
  #holders = 1

  constructor(descriptor: number, path: Buffer) {
    this.descriptor = descriptor
    this.#path = path
  }

  // On Linux a path through the descriptor; elsewhere the path itself, whose components were checked one by one.
  at(name: Buffer): Buffer {
    const base = process.platform === "linux" ? Buffer.from(`/proc/self/fd/${String(this.descriptor)}`) : this.#path
    return Buffer.concat([base, Buffer.from("/"), name])
  }

  open(name: Buffer, step: OpenStep): OpenDirectory {
    const path = Buffer.concat([this.#path, Buffer.from("/"), name])
    return new OpenDirectory(step(this.at(name), path), path)
  }

  hold(): void {
    this.#holders += 1
  }

  release(): void {
    this.#holders -= 1
    if (this.#holders === 0) closeSync(this.descriptor)
  }
}

function isLinkTo(path: Buffer, target: Buffer): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  return stat?.isSymbolicLink() === true && readlinkSync(path, { encoding: "buffer" }).equals(target)
}

function openOrMake(path: Buffer, shown: Buffer): number {
  try {
    return openDirectory(path, shown)
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error
    makeDirectory(path)
    return openDirectory(path, shown)
  }
}

function openDirectory(path: Buffer, shown: Buffer): number {
  try {
    return openSync(path, directoryFlags)
  } catch (error) {
    const code = errnoOf(error)
    if (code !== "ELOOP" && code !== "ENOTDIR") throw error
    throw new JobError("job/unconfined", `${shown.toString()}: a link or a file stands where a directory must be`, {
      hint: "restore into an empty directory",
    })
  }
}

function makeDirectory(path: Buffer): void {
  try {
    mkdirSync(path, 0o700)
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error
  }
}

/** A path below the root as the directories on the way and the last name. */
function split(path: Buffer): { readonly parents: readonly Buffer[]; readonly name: Buffer } {
  const parents = components(path)
  const name = parents.pop()
  if (name === undefined) throw unconfined(path, "empty")
  return { parents, name }
}

/** The components of a path below a root; refuses every path that could mean anything else. */
function components(path: Buffer): Buffer[] {
  if (path.length === 0 || path.length > pathBytesMax) throw unconfined(path, "empty or too long")
  if (path.includes(0)) throw unconfined(path, "it contains a zero byte")
  const parts: Buffer[] = []
  let start = 0
  for (let i = 0; i <= path.length; i++) {
    if (i < path.length && path[i] !== 0x2f) continue
    parts.push(path.subarray(start, i))
    start = i + 1
  }
  for (const part of parts) {
    const text = part.toString("latin1")
    if (text === "" || text === "." || text === ".." || part.length > nameBytesMax)
      throw unconfined(path, "a component is empty, a dot or too long")
  }
  return parts
}

function unconfined(path: Buffer, why: string): JobError {
  return new JobError("job/unconfined", `path ${JSON.stringify(path.toString())}: refused: ${why}`)
}
