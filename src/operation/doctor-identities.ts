import { constants } from "node:fs"
import { lstat, open, opendir } from "node:fs/promises"
import { join } from "node:path"
import { errnoOf, KeyError } from "../errors.ts"
import { isMissing } from "../files.ts"
import { containsIdentity } from "../key/identity-file.ts"
import { parseSigningKey } from "../key/signing.ts"
import { identitySearchDepth, identitySearchEntriesMax, keyFileBytesMax } from "../limits.ts"

/** A file with a key that no backup host may have. */
export interface MisplacedKey {
  readonly path: string
  readonly kind: "identity" | "root key"
}

export interface IdentitySearch {
  /** In the order of their paths. */
  readonly found: readonly MisplacedKey[]
  /** Files and directories that this user may not read. */
  readonly unread: readonly string[]
  /** Whether there was more to look at than the limits allow. */
  readonly isCut: boolean
}

export interface SearchOptions {
  /** Directories not to look into. */
  readonly exclude: readonly string[]
  /** The root's public key, base64, to find its private half as well; it cannot be told where it is encrypted. */
  readonly root?: string | undefined
}

/**
 * Looks for identities in files, and in directories a few levels down. Nothing is followed out of them: links are left alone, and so
 * is what lies below `exclude`. What is not there is no matter. Files too large for a key are left out.
 */
export async function findIdentities(places: readonly string[], options: SearchOptions): Promise<IdentitySearch> {
  const search = new Search(options)
  for (const place of new Set(places)) await search.look(place)
  await search.work()
  const found = search.found.sort((a, b) => (a.path < b.path ? -1 : 1))
  return { found, unread: [...search.unread].sort(), isCut: search.isCut }
}

interface Waiting {
  readonly path: string
  readonly depth: number
}

class Search {
  readonly found: MisplacedKey[] = []
  readonly unread = new Set<string>()
  isCut = false
  readonly #exclude: ReadonlySet<string>
  readonly #root: string | undefined
  readonly #seen = new Set<string>()
  /** Nearest first, so that a large tree below one place hides nothing near another. */
  readonly #directories: Waiting[] = []
  #entries = 0

  constructor({ exclude, root }: SearchOptions) {
    this.#exclude = new Set(exclude)
    this.#root = root
  }

  async look(path: string, depth = 0): Promise<void> {
    if (this.#exclude.has(path) || this.#seen.has(path)) return
    this.#seen.add(path)
    await this.#readable(path, async () => {
      const status = await lstat(path)
      if (status.isDirectory()) this.#directories.push({ path, depth })
      else if (status.isFile() && status.size <= keyFileBytesMax) {
        const kind = await misplacedIn(path, this.#root)
        if (kind !== null) this.found.push({ path, kind })
      }
    })
  }

  async work(): Promise<void> {
    for (let next = this.#directories.shift(); next !== undefined; next = this.#directories.shift()) await this.#enter(next)
  }

  async #enter({ path, depth }: Waiting): Promise<void> {
    await this.#readable(path, async () => {
      for await (const entry of await opendir(path)) {
        if (this.#entries === identitySearchEntriesMax || depth === identitySearchDepth) {
          this.isCut = true
          return
        }
        this.#entries += 1
        if (entry.isDirectory() || entry.isFile()) await this.look(join(path, entry.name), depth + 1)
      }
    })
  }

  async #readable(path: string, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      // Gone meanwhile, or a link that took a file's place: nothing to find there.
      if (isMissing(error) || errnoOf(error) === "ELOOP") return
      if (errnoOf(error) === undefined) throw error
      this.unread.add(path)
    }
  }
}

async function misplacedIn(path: string, root: string | undefined): Promise<MisplacedKey["kind"] | null> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  const bytes = Buffer.alloc(keyFileBytesMax)
  let length = 0
  for (let read = -1; read !== 0 && length < bytes.length; length += read) read = (await file.read(bytes, length)).bytesRead
  const text = bytes.toString("latin1", 0, length)
  bytes.fill(0)
  if (containsIdentity(text)) return "identity"
  return root !== undefined && isPrivateHalf(text, root) ? "root key" : null
}

function isPrivateHalf(text: string, root: string): boolean {
  if (!text.includes("-----BEGIN PRIVATE KEY-----")) return false
  try {
    return parseSigningKey(text, "key").publicKey === root
  } catch (error) {
    // Some other program's key.
    if (error instanceof KeyError) return false
    throw error
  }
}
