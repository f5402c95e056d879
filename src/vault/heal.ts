import { SiteError, VaultError } from "../errors.ts"
import { fitsName } from "../format/names.ts"
import { packBytesMax } from "../limits.ts"
import { release } from "../memory.ts"
import type { CallOptions, Versions } from "../site/site.ts"
import { type Failover, unanswered } from "./fetch.ts"
import { fetchNamed } from "./named.ts"
import type { Vault, VaultSite } from "./vault.ts"

/**
 * What is wrong with a copy. `cut`: of another length than what was listed; `rotten`: other bytes than its name says; `unread`: the
 * site would not give it back, which may be the site's fault or the copy's.
 */
export interface Flaw {
  readonly kind: "missing" | "cut" | "rotten" | "unread"
  readonly detail: string
}

export interface ExamineOptions {
  readonly signal: AbortSignal
  /** How long a commit says that it is, where one does. */
  readonly length?: number | undefined
  /** As for a site's get. */
  readonly released?: boolean | undefined
}

/** Reads one site's copy and judges it by its name. The bytes are the caller's, who may release them. */
export async function examine({ opened }: VaultSite, key: string, options: ExamineOptions): Promise<Uint8Array | Flaw> {
  const { signal, length, released } = options
  try {
    const bytes = await opened.site.get(key, { signal, released })
    if (fitsName(key, bytes)) return bytes
    const found = bytes.length
    release(bytes)
    if (length === undefined || found === length) return { kind: "rotten", detail: "its bytes do not have the SHA-256 of its name" }
    return { kind: "cut", detail: `it has ${String(found)} bytes of ${String(length)}` }
  } catch (error) {
    signal.throwIfAborted()
    if (!(error instanceof SiteError)) throw error
    if (error.code === "site/not-found") return { kind: "missing", detail: "is not there" }
    return { kind: error.code === "site/corrupt" ? "rotten" : "unread", detail: error.message }
  }
}

export interface GoodBytes {
  readonly bytes: Uint8Array
  /** The site they came from. */
  readonly from: string
  /** Of an older version there, where the bytes that everybody sees are not good at any site. */
  readonly version?: string
}

export interface FindOptions {
  readonly signal: AbortSignal
  /** Sites whose bytes, as everybody sees them, are known not to be good. */
  readonly exclude: readonly string[]
  readonly onFailover?: ((failover: Failover) => void) | undefined
}

/** The bytes that a key names, from any site that has them, or from behind what a site shows now. Rejects with a VaultError where none has. */
export async function findGood(vault: Vault, key: string, options: FindOptions): Promise<GoodBytes> {
  try {
    const { bytes, site } = await fetchNamed(vault, key, options)
    return { bytes, from: site }
  } catch (error) {
    if (!(error instanceof VaultError)) throw error
    const { found, failed } = await findOlder(vault, key, options)
    if (found !== null) return found
    if (failed.length === 0 || unanswered(error).length > 0) throw error
    // What could not be looked at may be there all the same.
    const message = `${error.message}; older versions: ${failed.map((failure) => failure.message).join("; ")}`
    throw new VaultError(error.code, message, { cause: new AggregateError(failed, "older versions"), hint: "see why, then try again" })
  }
}

interface Older {
  readonly found: GoodBytes | null
  /** Sites that keep versions, and did not let them be looked at. */
  readonly failed: readonly SiteError[]
}

/** A PUT over a locked object shadows it, and so does a deletion: what was there before is still behind it. */
async function findOlder({ sites }: Vault, key: string, { signal }: FindOptions): Promise<Older> {
  const failed: SiteError[] = []
  for (const { name, opened } of sites) {
    const { versions } = opened
    if (versions === undefined) continue
    try {
      for await (const { key: found, version, latest, deleteMarker, bytes: size } of versions.list(key, { signal })) {
        // The key itself comes first of all that begin with it.
        if (found !== key) break
        if (latest || deleteMarker || size > packBytesMax) continue
        const bytes = await readVersion(versions, key, version, { signal })
        if (bytes !== null) return { found: { bytes, from: name, version }, failed }
      }
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof SiteError)) throw error
      failed.push(error)
    }
  }
  return { found: null, failed }
}

/** The bytes of one version; null where they are not what the key names. What is wrong with one version says nothing of those before it. */
export async function readVersion(versions: Versions, key: string, version: string, options: CallOptions): Promise<Uint8Array | null> {
  try {
    const bytes = await versions.get(key, version, options)
    return fitsName(key, bytes) ? bytes : null
  } catch (error) {
    if (error instanceof SiteError && (error.code === "site/corrupt" || error.code === "site/not-found")) return null
    throw error
  }
}

export interface BringOptions {
  readonly signal: AbortSignal
  /** Lower-case hex SHA-256 of the bytes. */
  readonly sha256: string
  /** The storage class at the site; absent: the bucket's default. */
  readonly tier?: string | undefined
}

/** Puts good bytes where there are none. Bytes that lie there all the same make it a replacement. */
export async function bring(site: VaultSite, key: string, bytes: Uint8Array, options: BringOptions): Promise<"copied" | "replaced"> {
  try {
    await site.opened.site.put(key, bytes, options)
    return "copied"
  } catch (error) {
    if (!(error instanceof SiteError && error.code === "site/conflict")) throw error
    return await replaceAt(site, key, bytes, options)
  }
}

/** Puts good bytes over a flawed copy, which the site puts aside, and reads them back: what rots once may rot again at once. */
export async function replaceAt(site: VaultSite, key: string, bytes: Uint8Array, options: BringOptions): Promise<"replaced"> {
  const { name, opened } = site
  if (opened.replace === undefined) {
    throw new SiteError(name, "site/unsupported", `${key}: what is there is not good, and cannot be replaced`)
  }
  await opened.replace(key, bytes, options)
  const found = await examine(site, key, options)
  if (!(found instanceof Uint8Array)) throw new SiteError(name, "site/corrupt", `${key}: replaced, but ${found.detail}`)
  release(found)
  return "replaced"
}
