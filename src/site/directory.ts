import type { Dirent } from "node:fs"
import { constants, type FileHandle, lstat, open, readdir, rename } from "node:fs/promises"
import { dirname, join } from "node:path"
import { SiteError } from "../errors.ts"
import { isMissing } from "../files.ts"
import { takeRoom } from "../memory.ts"
import type { Random } from "../random.ts"
import { siteErrorOf } from "./errno.ts"
import { type Mount, openMount } from "./mount.ts"
import { openedReadOnly } from "./readonly.ts"
import { checkBytes, checkKey, checkPrefix, checkRange, compareKeys, isSegment } from "./rules.ts"
import type { CallOptions, GetOptions, ObjectInfo, OpenedSite, PutOptions, Site } from "./site.ts"

export interface DirectorySiteOptions {
  readonly name: string
  /** An existing directory: a disk, an NFS export or any mount. It is never created: a missing mount would look like an empty site. */
  readonly path: string
  /** Nothing is written, not even to see whether it could be. */
  readonly readOnly?: boolean | undefined
}

/**
 * A directory as a site: one file per object, its path below the root is the key. It computes no checksums and has no clock that
 * counts for retention. Names that start with a dot are the site's own and no objects. Symbolic links below the root are refused.
 */
export async function directorySite(options: DirectorySiteOptions, random: Random): Promise<OpenedSite> {
  const site = new DirectorySite(options.name, await openMount(options.name, options.path, random))
  const opened: OpenedSite = {
    site,
    createOnly: options.readOnly === true || (await site.prepare()),
    ownClock: false,
    replace: (key, bytes, putOptions) => site.replace(key, bytes, putOptions),
    serverTime: (callOptions) => site.serverTime(callOptions),
  }
  if (options.readOnly !== true) return opened
  return { ...openedReadOnly(opened), serverTime: (callOptions) => site.refuseTime(callOptions) }
}

/** Files asked for their size at once while listing. */
const listBatch = 64
// Never through a link, and never waiting for the other end of a pipe that someone put there.
const readFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

class DirectorySite implements Site {
  readonly name: string
  readonly #mount: Mount

  constructor(name: string, mount: Mount) {
    this.name = name
    this.#mount = mount
  }

  async put(key: string, bytes: Uint8Array, options: PutOptions): Promise<ObjectInfo> {
    return await this.#write(`put ${key}`, key, bytes, options, async (path) => {
      if (await this.#holds(key, path, bytes)) return
      await this.#mount.withTemporary(bytes, async (temporary) => {
        options.signal?.throwIfAborted()
        const outcome = await this.#mount.nameOnce(temporary, path)
        if (outcome === "named" || (await this.#holds(key, path, bytes))) return
        // Not create-only between these two calls, as `createOnly` says; names carry hashes, so that only the same bytes come here.
        await rename(temporary, path)
      })
    })
  }

  /** The name has some bytes at every moment, where the mount has hard links. */
  async replace(key: string, bytes: Uint8Array, options: PutOptions): Promise<ObjectInfo> {
    return await this.#write(`replace ${key}`, key, bytes, options, async (path) => {
      if (await this.#holdsGood(path, bytes)) return
      await this.#mount.withTemporary(bytes, async (temporary) => {
        options.signal?.throwIfAborted()
        await this.#mount.putAside(path)
        await rename(temporary, path)
      })
    })
  }

  async get(key: string, options: GetOptions = {}): Promise<Uint8Array> {
    return await this.#guarded(`get ${key}`, options, async () => {
      const path = this.#pathOf(key)
      await this.#mount.refuseLinks(dirname(path))
      const bytes = await this.#read(key, path, options)
      options.signal?.throwIfAborted()
      return bytes
    })
  }

  async head(key: string, options: CallOptions = {}): Promise<ObjectInfo | null> {
    return await this.#guarded(`head ${key}`, options, async () => {
      const path = this.#pathOf(key)
      try {
        await this.#mount.refuseLinks(dirname(path))
        return await this.#infoOf(key, path)
      } catch (error) {
        if (isMissing(error)) return null
        throw error
      }
    })
  }

  async *list(prefix: string, options: CallOptions = {}): AsyncGenerator<ObjectInfo> {
    const folder = prefix.slice(0, prefix.lastIndexOf("/") + 1)
    try {
      options.signal?.throwIfAborted()
      checkPrefix(this.name, prefix)
      await this.#mount.check()
      yield* this.#walk(folder, prefix.slice(folder.length), options.signal)
      // A mount that went away meanwhile makes directories look missing, and the listing whole.
      await this.#mount.check()
    } catch (error) {
      throw this.#translated(`list ${prefix}`, options.signal, error)
    }
  }

  async serverTime(options: CallOptions = {}): Promise<Date> {
    return await this.#guarded("time", options, () => this.#mount.time())
  }

  async refuseTime(options: CallOptions = {}): Promise<Date> {
    options.signal?.throwIfAborted()
    throw new SiteError(this.name, "site/unsupported", "time: a directory opened for reading only cannot be asked for its time")
  }

  /** Resolves to whether put is create-only here. */
  async prepare(): Promise<boolean> {
    try {
      const { namesOnce } = await this.#guarded("open", {}, () => this.#mount.prepare())
      return namesOnce
    } catch (error) {
      // A site that is full or write-protected can still be read, and nothing can be overwritten there.
      if (error instanceof SiteError && (error.code === "site/full" || error.code === "site/denied")) return true
      throw error
    }
  }

  async #write(
    what: string,
    key: string,
    bytes: Uint8Array,
    options: PutOptions,
    ensure: (path: string) => Promise<void>,
  ): Promise<ObjectInfo> {
    return await this.#guarded(what, options, async () => {
      const path = this.#pathOf(key)
      checkBytes(this.name, key, bytes, options.sha256)
      await this.#mount.makeDirectory(dirname(path))
      await ensure(path)
      // Also where the object was there before: whoever wrote it may have died before this line.
      await this.#mount.sync(dirname(path))
      const info = await this.#infoOf(key, path)
      if (info === null) throw new SiteError(this.name, "site/conflict", `${what}: a folder has this name`)
      return info
    })
  }

  async #guarded<T>(what: string, { signal }: CallOptions, call: () => Promise<T>): Promise<T> {
    try {
      signal?.throwIfAborted()
      await this.#mount.check()
      return await call()
    } catch (error) {
      throw this.#translated(what, signal, error)
    }
  }

  #translated(what: string, signal: AbortSignal | undefined, error: unknown): unknown {
    return signal?.aborted === true && error === signal.reason ? error : siteErrorOf(this.name, what, error)
  }

  #pathOf(key: string): string {
    checkKey(this.name, key)
    return join(this.#mount.root, key)
  }

  /** Whether these bytes are there already, and makes them durable; other bytes are a conflict. */
  async #holds(key: string, path: string, bytes: Uint8Array): Promise<boolean> {
    try {
      await using file = await open(path, readFlags)
      if (await isFileOf(file, bytes)) {
        await file.sync()
        return true
      }
    } catch (error) {
      if (isMissing(error)) return false
      throw error
    }
    throw new SiteError(this.name, "site/conflict", `put ${key}: other bytes are kept under this key`)
  }

  async #holdsGood(path: string, bytes: Uint8Array): Promise<boolean> {
    try {
      await using file = await open(path, readFlags)
      if ((await file.stat()).isDirectory()) throw new SiteError(this.name, "site/conflict", `${path}: a folder has this name`)
      if (!(await isFileOf(file, bytes))) return false
      await file.sync()
      return true
    } catch (error) {
      // What cannot be read is as rotten as what reads wrong.
      if (error instanceof SiteError) throw error
      return false
    }
  }

  async #read(key: string, path: string, { range, released }: GetOptions): Promise<Uint8Array> {
    await using file = await open(path, readFlags)
    const found = await file.stat()
    if (found.isDirectory()) throw new SiteError(this.name, "site/not-found", `get ${key}: no such object`)
    if (!found.isFile()) throw this.#mount.linkError(path)
    const { offset, length } = checkRange(this.name, key, found.size, range)
    const bytes = await readUpTo(file, offset, released === true ? takeRoom(length) : Buffer.allocUnsafeSlow(length))
    if (bytes.length < length) throw new SiteError(this.name, "site/corrupt", `get ${key}: the file became shorter while it was read`)
    return bytes
  }

  async #infoOf(key: string, path: string): Promise<ObjectInfo | null> {
    const found = await lstat(path)
    if (found.isDirectory()) return null
    if (!found.isFile()) throw this.#mount.linkError(path)
    return { key, bytes: found.size, storedAt: found.mtime }
  }

  async *#walk(folder: string, partial: string, signal: AbortSignal | undefined): AsyncGenerator<ObjectInfo> {
    const entries = await this.#entries(folder, partial)
    for (let start = 0; start < entries.length; start += listBatch) {
      signal?.throwIfAborted()
      const batch = entries.slice(start, start + listBatch)
      const infos = await Promise.all(batch.map((entry) => (entry.isDirectory() ? null : this.#infoIfThere(folder + entry.name))))
      for (const [index, entry] of batch.entries()) {
        const info = infos[index]
        if (entry.isDirectory()) yield* this.#walk(`${folder}${entry.name}/`, "", signal)
        else if (info) yield info
      }
    }
  }

  async #infoIfThere(key: string): Promise<ObjectInfo | null> {
    try {
      return await this.#infoOf(key, join(this.#mount.root, key))
    } catch (error) {
      if (isMissing(error)) return null
      throw error
    }
  }

  async #entries(folder: string, partial: string): Promise<Dirent[]> {
    const directory = join(this.#mount.root, folder).replace(/\/$/, "")
    try {
      await this.#mount.refuseLinks(directory)
      const entries = (await readdir(directory, { withFileTypes: true })).filter(({ name }) => isSegment(name) && name.startsWith(partial))
      return entries.sort((a, b) => compareKeys(sortName(a), sortName(b)))
    } catch (error) {
      if (isMissing(error)) return []
      throw error
    }
  }
}

// "a-b" comes before "a/b": a directory sorts by the keys that it holds.
function sortName(entry: Dirent): string {
  return entry.isDirectory() ? `${entry.name}/` : entry.name
}

async function isFileOf(file: FileHandle, bytes: Uint8Array): Promise<boolean> {
  const found = await file.stat()
  return (
    found.isFile() &&
    found.size === bytes.length &&
    Buffer.compare(await readUpTo(file, 0, Buffer.allocUnsafeSlow(found.size)), bytes) === 0
  )
}

/** Fills `bytes` from a file: as far as there are any from `offset` on. They have a buffer of their own, so that a worker can take it. */
async function readUpTo(file: FileHandle, offset: number, bytes: Uint8Array): Promise<Uint8Array> {
  let filled = 0
  while (filled < bytes.length) {
    const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, offset + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return filled === bytes.length ? bytes : bytes.subarray(0, filled)
}
