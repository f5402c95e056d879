import { sha256 } from "../digest.ts"
import { SiteError, VaultError } from "../errors.ts"
import { packBytesTarget } from "../limits.ts"
import type { ByteRange } from "../site/site.ts"
import { siteNamed, type Vault, type VaultSite } from "./vault.ts"
import { within } from "./within.ts"

export interface FetchOptions {
  readonly signal: AbortSignal
  readonly range?: ByteRange | undefined
  /** As for a site's get: the caller releases the bytes. */
  readonly released?: boolean | undefined
  /** Lower-case hex SHA-256 of the whole object. Compared only where no range is given: of a part it says nothing. */
  readonly sha256?: string | undefined
  /** Only these sites, in this order. Absent: all, in the vault's order, those that failed lately last. */
  readonly from?: readonly string[] | undefined
  /** Sites not to ask: for a caller who found their bytes to be wrong, after decryption for instance. */
  readonly exclude?: Iterable<string> | undefined
  /** Whether the caller can turn to other sites itself: then the last of these is waited for no longer than the others. */
  readonly elsewhere?: boolean | undefined
  /** Told of every site that did not deliver, also where another did: a copy is missing or rotten, and someone must know. */
  readonly onFailover?: ((failover: Failover) => void) | undefined
}

export interface Fetched {
  readonly bytes: Uint8Array
  /** The name of the site they came from. */
  readonly site: string
}

export interface Failover {
  readonly key: string
  /** Carries the site's name. */
  readonly error: SiteError
  /** The site asked instead; null where none was left. */
  readonly next: string | null
}

/**
 * Reads an object, or a part of it, from the best site that delivers it. Any site's failure is another site's turn, and while there is
 * another, none is waited for longer than the vault's patience: one that froze must not use up all its retries first.
 */
export async function fetch(vault: Vault, key: string, options: FetchOptions): Promise<Fetched> {
  const waiting = await vault.spool?.recall(key, options.range)
  if (waiting !== undefined && waiting !== null) return { bytes: waiting, site: "spool" }
  const sites = candidates(vault, options)
  const errors: SiteError[] = []
  for (const [index, site] of sites.entries()) {
    try {
      const waits = options.elsewhere === true || index < sites.length - 1
      return { bytes: await fetchFrom(site, key, options, waits ? patienceMs(vault, options) : null), site: site.name }
    } catch (error) {
      options.signal.throwIfAborted()
      if (!(error instanceof SiteError)) throw error
      errors.push(error)
      options.onFailover?.({ key, error, next: sites[index + 1]?.name ?? null })
    }
  }
  throw nowhere(key, errors)
}

function candidates(vault: Vault, { from, exclude }: FetchOptions): readonly VaultSite[] {
  const excluded = new Set(exclude)
  const sites = from === undefined ? vault.health.order(vault.sites) : from.map((name) => siteNamed(vault, name))
  return sites.filter(({ name }) => !excluded.has(name))
}

function patienceMs({ patience }: Vault, { range }: FetchOptions): number | null {
  if (patience === undefined) return null
  return patience.startMs + ((range?.length ?? packBytesTarget) / patience.bytesPerSecond) * 1000
}

async function fetchFrom({ name, opened }: VaultSite, key: string, options: FetchOptions, waitMs: number | null): Promise<Uint8Array> {
  const { range, released, signal } = options
  const bytes = await within(waitMs, { site: name, what: `get ${key}`, signal }, (ended) =>
    opened.site.get(key, { range, released, signal: ended }),
  )
  if (options.sha256 !== undefined && options.range === undefined && sha256(bytes) !== options.sha256) {
    throw new SiteError(name, "site/corrupt", `get ${key}: the bytes do not have the SHA-256 ${options.sha256}`)
  }
  return bytes
}

/** What a site can say about an object itself; anything else says something about the site. */
const answers: ReadonlySet<string> = new Set(["site/not-found", "site/corrupt"])

function nowhere(key: string, errors: readonly SiteError[]): VaultError {
  const cause = new AggregateError(errors, `${key}: ${String(errors.length)} sites failed`)
  const reasons = errors.map((error) => error.message).join("; ")
  const silent = errors.filter((error) => !answers.has(error.code)).map((error) => error.site)
  if (errors.length > 0 && silent.length === errors.length) {
    return new VaultError("vault/unreachable", `${key}: no site answers: ${reasons}`, { cause, hint: "bring a site back, then try again" })
  }
  const message = `${key}: no site has good bytes: ${errors.length === 0 ? "no other site is left to ask" : reasons}`
  const hint = silent.length === 0 ? "look for another copy of a site" : `${silent.join(", ")} did not answer: try again when it does`
  return new VaultError("vault/lost", message, { cause, hint })
}

/** The sites that did not answer, and may have what was asked for all the same; none where all said that they have not. */
export function unanswered({ cause }: VaultError): readonly string[] {
  if (cause instanceof VaultError) return unanswered(cause)
  const errors = cause instanceof AggregateError ? cause.errors : []
  return errors.flatMap((error) => (error instanceof SiteError && !answers.has(error.code) ? [error.site] : []))
}
