import { mkdir, rmdir, unlink } from "node:fs/promises"
import { dirname, join } from "node:path"
import { errnoOf, SiteError } from "../errors.ts"
import type { Random } from "../random.ts"
import { directorySite } from "../site/directory.ts"
import type { ByteRange, ObjectInfo, Site } from "../site/site.ts"

export interface SpoolOptions {
  /** A directory of its own; made when something is first kept. */
  readonly path: string
  /** Bytes of data packs that may wait; what makes them a snapshot is small and always taken. */
  readonly maxBytes: number
  readonly random: Random
}

/**
 * What waits on this host until enough sites hold it: ciphertext and signed commits, under the names they have at the sites. Other sites are
 * filled from it like from a site, but it is no copy: it is lost with the source.
 */
export class Spool {
  readonly #options: SpoolOptions
  #opened: Promise<Opened> | null = null

  constructor(options: SpoolOptions) {
    this.#options = options
  }

  /** Keeps an object over a crash of this host. False where there is no room for it. */
  async keep(key: string, bytes: Uint8Array, sha256: string): Promise<boolean> {
    const { site, objects } = await this.#open()
    if (objects.has(key)) return true
    if (isData(key) && total(objects) + bytes.length > this.#options.maxBytes) return false
    try {
      objects.set(key, await site.put(key, bytes, { sha256 }))
      return true
    } catch (error) {
      if (error instanceof SiteError && error.code === "site/full") return false
      throw error
    }
  }

  /** The object, or a part of it; null where it does not wait here. */
  async recall(key: string, range?: ByteRange): Promise<Uint8Array | null> {
    const { site, objects } = await this.#open()
    return objects.has(key) ? await site.get(key, { range }) : null
  }

  /** What waits under names that begin so, in the order of its names. */
  async waiting(prefix = ""): Promise<readonly ObjectInfo[]> {
    const { objects } = await this.#open()
    return [...objects.values()].filter(({ key }) => key.startsWith(prefix)).toSorted((a, b) => (a.key < b.key ? -1 : 1))
  }

  /** Bytes of everything that waits. */
  async bytes(): Promise<number> {
    return total((await this.#open()).objects)
  }

  /** Lets an object go that enough sites hold. */
  async evict(key: string): Promise<void> {
    const { objects } = await this.#open()
    if (!objects.delete(key)) return
    await unlink(join(this.#options.path, key))
    await this.#removeEmpty(dirname(key))
  }

  // Folders carry dates: those that are empty would add up.
  async #removeEmpty(folder: string): Promise<void> {
    try {
      for (let path = folder; path !== "."; path = dirname(path)) await rmdir(join(this.#options.path, path))
    } catch (error) {
      if (errnoOf(error) === undefined) throw error
    }
  }

  #open(): Promise<Opened> {
    this.#opened ??= openSpool(this.#options)
    return this.#opened
  }
}

interface Opened {
  readonly site: Site
  readonly objects: Map<string, ObjectInfo>
}

async function openSpool({ path, random }: SpoolOptions): Promise<Opened> {
  await mkdir(path, { recursive: true, mode: 0o700 })
  const { site } = await directorySite({ name: "spool", path }, random)
  const objects = new Map<string, ObjectInfo>()
  for await (const info of site.list("")) objects.set(info.key, info)
  return { site, objects }
}

function isData(key: string): boolean {
  return /^v1\/[^/]+\/pack\//.test(key)
}

function total(objects: ReadonlyMap<string, ObjectInfo>): number {
  return [...objects.values()].reduce((sum, { bytes }) => sum + bytes, 0)
}
