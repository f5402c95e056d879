import {
  type BigIntStats,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  futimesSync,
  linkSync,
  lstatSync,
  openSync,
  renameSync,
  unlinkSync,
  writeSync,
  writevSync,
} from "node:fs"
import { errnoOf, JobError, reasonOf } from "./errors.ts"
import { type Random, randomId } from "./random.ts"

/** What a restored file looks like besides its bytes; `owner` only where the process may give files away. */
export interface FileAttributes {
  readonly mode: number
  readonly mtimeNs: bigint
  readonly owner?: { readonly uid: number; readonly gid: number }
}

/** A directory that stays open until it is released. */
export interface HeldDirectory {
  /** The path of one of its entries, good for as long as it is held. */
  at(name: Buffer): Buffer
  release(): void
}

interface NewFilePlace {
  /** Released when the file is settled or discarded. */
  readonly directory: HeldDirectory
  readonly name: Buffer
  /** As a person knows it. */
  readonly path: Buffer
  /** Of the tree it lies in: what its temporary name is known by. */
  readonly mark: string
}

const createFlags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | (constants.O_NOFOLLOW ?? 0)
/** Random names of 128 bits: a second attempt is rare, a third means something else is wrong. */
const attemptsMax = 10
/** Parts given to one call of the system, which takes 1024 at most (IOV_MAX). */
const vectorMax = 512
const permissionBits = 0o1777
const setIdBits = 0o6000

/** A file being restored: nothing is visible under its name until it settles, and never another's bytes. */
export class NewFile {
  readonly descriptor: number
  readonly #place: NewFilePlace
  readonly #temporary: Buffer
  /** As it was made: which file it is, and whose. */
  readonly #made: BigIntStats

  constructor(place: NewFilePlace, random: Random) {
    this.#place = place
    const { descriptor, path } = openNew(place, random)
    this.descriptor = descriptor
    this.#temporary = path
    this.#made = fstatSync(descriptor, { bigint: true })
  }

  /** Appends the parts, one after the other. */
  write(...parts: readonly Uint8Array[]): void {
    const [only] = parts
    if (parts.length === 1 && only !== undefined) this.#writeRest(only, 0)
    else for (let start = 0; start < parts.length; start += vectorMax) this.#writeVector(parts.slice(start, start + vectorMax))
  }

  // As a rule all is written at once; a full disk, or a network's, may take a part.
  #writeVector(parts: readonly Uint8Array[]): void {
    let written = writevSync(this.descriptor, parts)
    for (const part of parts) {
      if (written < part.length) this.#writeRest(part, written)
      written = Math.max(0, written - part.length)
    }
  }

  #writeRest(bytes: Uint8Array, from: number): void {
    for (let done = from; done < bytes.length; ) done += writeSync(this.descriptor, bytes, done)
  }

  settle(attributes: FileAttributes): void {
    const { directory, name, path } = this.#place
    try {
      setAttributes(this.descriptor, attributes, this.#made)
      this.#giveName(directory.at(name))
    } catch (error) {
      this.#unlinkTemporary()
      throw taken(error, path)
    } finally {
      this.#close()
    }
  }

  discard(): void {
    try {
      this.#unlinkTemporary()
    } finally {
      this.#close()
    }
  }

  // link refuses a name that exists, and one that differs only in case on a file system that does not tell them apart.
  #giveName(final: Buffer): void {
    if (!this.#is(this.#temporary)) throw replaced(this.#place.path)
    try {
      linkSync(this.#temporary, final)
    } catch (error) {
      const code = errnoOf(error)
      if (code !== "EPERM" && code !== "ENOTSUP" && code !== "EOPNOTSUPP" && code !== "ENOSYS") throw error
      if (lstatSync(final, { throwIfNoEntry: false }) !== undefined) throw Object.assign(new Error("exists"), { code: "EEXIST" })
      renameSync(this.#temporary, final)
    }
    if (!this.#is(final)) throw replaced(this.#place.path)
    this.#unlinkTemporary()
  }

  #is(path: Buffer): boolean {
    const found = lstatSync(path, { bigint: true, throwIfNoEntry: false })
    return found !== undefined && isSame(found, this.#made)
  }

  // Only what this file wrote: under its name there may be another by now.
  #unlinkTemporary(): void {
    if (this.#is(this.#temporary)) unlinkSync(this.#temporary)
  }

  #close(): void {
    closeSync(this.descriptor)
    this.#place.directory.release()
  }
}

/**
 * Sets mode, time and, where given, owner. The bits that make a program run as its owner or group, and those of directories, are set
 * only together with the owner: without it, they would be those of whoever restores. `now` is whose it is, where that is known.
 */
export function setAttributes(descriptor: number, attributes: FileAttributes, now?: Pick<BigIntStats, "uid" | "gid">): void {
  const { owner, mode, mtimeNs } = attributes
  if (owner !== undefined && !isOwner(owner, now)) fchownSync(descriptor, owner.uid, owner.gid)
  fchmodSync(descriptor, mode & (owner === undefined ? permissionBits : permissionBits | setIdBits))
  // Node keeps microseconds and cuts the rest off, so the middle of the microsecond is given.
  const seconds = (Number(mtimeNs / 1000n) + 0.5) / 1e6
  futimesSync(descriptor, seconds, seconds)
}

function isOwner({ uid, gid }: NonNullable<FileAttributes["owner"]>, now: Pick<BigIntStats, "uid" | "gid"> | undefined): boolean {
  return now !== undefined && now.uid === BigInt(uid) && now.gid === BigInt(gid)
}

/** The error for a name that cannot be given because it exists; any other error as it is. */
export function taken(error: unknown, path: Buffer): unknown {
  if (errnoOf(error) !== "EEXIST") return error
  return new JobError("job/target", `${path.toString()}: something else has this name in the target, or differs from it only in case`, {
    cause: error,
    hint: `restore into an empty directory on a file system that tells case apart (${reasonOf(error)})`,
  })
}

// A name that nothing has. What exists under a name of this kind may be a file that was captured, so it is never taken away.
function openNew({ directory, mark }: NewFilePlace, random: Random): { readonly descriptor: number; readonly path: Buffer } {
  for (let attempt = 1; ; attempt++) {
    const path = directory.at(Buffer.from(`.holdline-${mark}-${String(process.pid)}-${randomId(random)}`))
    try {
      return { descriptor: openSync(path, createFlags, 0o600), path }
    } catch (error) {
      if (errnoOf(error) !== "EEXIST" || attempt === attemptsMax) throw error
    }
  }
}

/**
 * Whether a name is one that a process which is gone gave to a file it had not finished, in the tree of this mark. This process's own
 * number counts as gone: in a container each process may get the same, and whoever asks has no file open there yet.
 */
export function isLeftover(name: string, mark: string): boolean {
  const [, of, pid] = /^\.holdline-([0-9a-f]{16})-([1-9]\d{0,9})-[0-9a-f]{32}$/.exec(name) ?? []
  return of === mark && !isOther(Number(pid))
}

/** Whether another process of that number runs. */
function isOther(pid: number): boolean {
  if (pid === process.pid) return false
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return errnoOf(error) !== "ESRCH"
  }
}

function isSame(a: BigIntStats, b: BigIntStats): boolean {
  return a.dev === b.dev && a.ino === b.ino
}

function replaced(path: Buffer): JobError {
  return new JobError("job/target", `${path.toString()}: replaced by another file while it was restored`, {
    hint: "restore into a directory where nobody else writes",
  })
}
