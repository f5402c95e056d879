import { link, lstat, mkdir, readdir, realpath, rename, rm, stat, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { errnoOf, SiteError } from "../errors.ts"
import { isMissing, syncDirectory, writeDurably } from "../files.ts"
import { temporaryAgeMaxMs } from "../limits.ts"
import { type Random, randomId } from "../random.ts"
import { siteErrorOf } from "./errno.ts"

const temporaryFolder = ".holdline-tmp"
const rottenFolder = ".holdline-rotten"
const directoryMode = 0o750
const fileMode = 0o640
/** Directories remembered as durable; more are looked at again. */
const durableMax = 10_000
/** What link() answers where the mount has no hard links, or no more of them. */
const noLink: ReadonlySet<string | undefined> = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"])

/** The device a path is on. A site on its source's device is lost with it. */
export async function deviceOf(path: string): Promise<bigint> {
  const { dev } = await stat(path, { bigint: true })
  return dev
}

/** Opens the existing directory `path` for the site `name`. */
export async function openMount(name: string, path: string, random: Random): Promise<Mount> {
  const hint = "mount it, or create the directory by hand if it is meant to be on this file system"
  try {
    const root = await realpath(path)
    const found = await stat(root, { bigint: true })
    if (!found.isDirectory()) throw new SiteError(name, "site/unavailable", `${path}: not a directory`, { hint })
    return new Mount(name, root, found.dev, random)
  } catch (error) {
    if (!isMissing(error)) throw siteErrorOf(name, `open ${path}`, error)
    throw new SiteError(name, "site/unavailable", `${path}: no such directory`, { cause: error, hint })
  }
}

/**
 * A directory tree that is written durably and never left: every file under a temporary name first, every new directory synced,
 * no symbolic link followed. It rejects with what the system calls reject with; whoever uses it translates.
 */
export class Mount {
  /** Absolute and free of symbolic links. */
  readonly root: string
  readonly #site: string
  readonly #device: bigint
  readonly #random: Random
  /** Directories that this process made durable. */
  readonly #durable = new Set<string>()

  constructor(site: string, root: string, device: bigint, random: Random) {
    this.root = root
    this.#site = site
    this.#device = device
    this.#random = random
  }

  /** Refuses to go on where the mount went away: its mount point stays, an empty directory that must not be taken for the site. */
  async check(): Promise<void> {
    const now = await stat(this.root, { bigint: true }).catch((error: unknown) => {
      if (isMissing(error)) return undefined
      throw error
    })
    if (now?.dev === this.#device) return
    const hint = "check the mount, then start again"
    throw new SiteError(this.#site, "site/unavailable", `${this.root}: no longer the directory that was opened`, { hint })
  }

  async refuseLinks(directory: string): Promise<void> {
    if ((await realpath(directory)) !== directory) throw this.linkError(directory)
  }

  linkError(path: string): SiteError {
    const hint = "put a file or a directory (or a bind mount) in its place, or remove it"
    const message = `${path}: a symbolic link or a special file on the way, which a site never follows`
    return new SiteError(this.#site, "site/denied", message, { hint })
  }

  /** Makes a directory and those above it, so that they survive a crash. */
  async makeDirectory(directory: string): Promise<void> {
    if (this.#durable.size > durableMax) this.#durable.clear()
    try {
      await this.#makeDurable(directory)
      await this.refuseLinks(directory)
    } catch (error) {
      if (!isMissing(error)) throw error
      // Someone removed a directory this process made before.
      this.#durable.clear()
      await this.#makeDurable(directory)
      await this.refuseLinks(directory)
    }
  }

  /** Writes and syncs a file under a name that no listing shows, for `use` to give it another; the temporary name is gone afterwards. */
  async withTemporary<T>(bytes: Uint8Array, use: (temporary: string) => Promise<T>): Promise<T> {
    return await this.#withTemporary((temporary) => writeDurably(temporary, bytes, fileMode), use)
  }

  /** The same for an empty file that is only looked at: nobody needs it after a crash. */
  async #withProbe<T>(use: (temporary: string) => Promise<T>): Promise<T> {
    return await this.#withTemporary((temporary) => writeFile(temporary, "", { flag: "wx", mode: fileMode }), use)
  }

  async #withTemporary<T>(write: (temporary: string) => Promise<void>, use: (temporary: string) => Promise<T>): Promise<T> {
    const folder = join(this.root, temporaryFolder)
    await this.makeDirectory(folder)
    const temporary = join(folder, randomId(this.#random))
    try {
      await write(temporary)
      return await use(temporary)
    } finally {
      await rm(temporary, { force: true })
    }
  }

  /** Gives a file a name that must be free. Resolves to "unsupported", having done nothing, where the mount has no hard links. */
  async nameOnce(temporary: string, path: string): Promise<"named" | "taken" | "unsupported"> {
    try {
      // link, unlike rename, fails when the name is taken.
      await link(temporary, path)
      return "named"
    } catch (error) {
      if (errnoOf(error) === "EEXIST") return "taken"
      if (noLink.has(errnoOf(error))) return "unsupported"
      throw error
    }
  }

  /** Keeps what is at `path` below `.holdline-rotten/`, for a person to look at; where it can, it leaves it in its place as well. */
  async putAside(path: string): Promise<void> {
    const aside = `${join(this.root, rottenFolder, path.slice(this.root.length))}.${randomId(this.#random)}`
    await this.makeDirectory(dirname(aside))
    try {
      // A second name, so that a rename over the first leaves no moment without an object.
      if ((await this.nameOnce(path, aside)) !== "named") await rename(path, aside)
    } catch (error) {
      if (!isMissing(error)) throw error
    }
    await this.sync(dirname(aside))
  }

  async sync(directory: string): Promise<void> {
    try {
      await syncDirectory(directory)
    } catch (error) {
      // SMB and some FUSE file systems write directories through and say that there is nothing to sync.
      if (errnoOf(error) !== "EINVAL") throw error
    }
  }

  /** The time stamp of a fresh file: the server's clock, where the mount is a network's. */
  async time(): Promise<Date> {
    return await this.#withProbe(async (temporary) => (await stat(temporary)).mtime)
  }

  /** Removes what writers that died left behind, and resolves to whether a name can be given once only. */
  async prepare(): Promise<{ readonly namesOnce: boolean }> {
    return await this.#withProbe(async (temporary) => {
      const { mtimeMs } = await stat(temporary)
      await this.#removeLeftovers(mtimeMs - temporaryAgeMaxMs)
      const second = `${temporary}-2`
      try {
        return { namesOnce: (await this.nameOnce(temporary, second)) === "named" }
      } finally {
        await rm(second, { force: true })
      }
    })
  }

  // Each directory's entry in its parent is synced once, even if it was there before: whoever made it may have died.
  async #makeDurable(directory: string): Promise<void> {
    if (directory === this.root || this.#durable.has(directory)) return
    const parent = dirname(directory)
    await this.#makeDurable(parent)
    await mkdir(directory, directoryMode).catch((error: unknown) => {
      if (errnoOf(error) !== "EEXIST") throw error
    })
    const found = await lstat(directory)
    if (found.isFile()) throw new SiteError(this.#site, "site/conflict", `${directory}: an object, which cannot be a folder as well`)
    if (!found.isDirectory()) throw this.linkError(directory)
    await this.sync(parent)
    this.#durable.add(directory)
  }

  async #removeLeftovers(beforeMs: number): Promise<void> {
    const folder = join(this.root, temporaryFolder)
    for (const name of await readdir(folder)) {
      try {
        if ((await lstat(join(folder, name))).mtimeMs < beforeMs) await rm(join(folder, name))
      } catch (error) {
        // Gone: another process cleans up as well. Denied: another user's, whose next run can.
        if (!isMissing(error) && errnoOf(error) !== "EACCES" && errnoOf(error) !== "EPERM") throw error
      }
    }
  }
}
