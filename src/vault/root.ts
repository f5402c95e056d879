import { BackupError, KeyError, SiteError } from "../errors.ts"
import { repositoryPrefix, trustPrefix } from "../format/names.ts"
import { decodeRepository, decodeTrust, type Repository, type TrustList, verifyTrustChain } from "../format/trust.ts"
import type { LogOptions } from "./log.ts"
import { fetchNamed } from "./named.ts"
import { unreachable } from "./unreachable.ts"
import type { Vault } from "./vault.ts"

/** What the root signed, as found at the sites. */
export interface RootObjects {
  readonly repository: Repository
  readonly repositoryBytes: Uint8Array
  /** Oldest first, an unbroken chain. */
  readonly lists: readonly TrustList[]
}

/**
 * Finds the repository object and the trust lists that the root with this fingerprint signed. Objects signed by others may lie
 * beside them and are passed over; without any of ours it is a KeyError.
 */
export async function readRoot(vault: Vault, rootFingerprint: string, options: LogOptions): Promise<RootObjects> {
  const found = await signedByRoot(vault, repositoryPrefix, options, (bytes) => ({
    bytes,
    repository: decodeRepository(bytes, rootFingerprint),
  }))
  const [first] = found.values
  if (first === undefined) throw found.foreign ?? nothing(rootFingerprint)
  const lists = await signedByRoot(vault, trustPrefix, options, (bytes) => decodeTrust(bytes, rootFingerprint))
  return {
    repository: first.repository,
    repositoryBytes: first.bytes,
    lists: verifyTrustChain(lists.values, first.repository.id),
  }
}

/** Trust lists at the sites that the root signed; unlike readRoot, none is needed. */
export async function readTrustLists(vault: Vault, rootFingerprint: string, options: LogOptions): Promise<readonly TrustList[]> {
  return (await signedByRoot(vault, trustPrefix, options, (bytes) => decodeTrust(bytes, rootFingerprint))).values
}

interface Signed<T> {
  readonly values: T[]
  /** Why one was passed over. */
  readonly foreign?: BackupError
}

async function signedByRoot<T>(vault: Vault, prefix: string, options: LogOptions, decode: (bytes: Uint8Array) => T): Promise<Signed<T>> {
  const values: T[] = []
  let foreign: BackupError | undefined
  for (const [key, sites] of await keysAt(vault, prefix, options)) {
    try {
      values.push(decode((await fetchNamed(vault, key, { ...options, from: sites })).bytes))
    } catch (error) {
      if (!(error instanceof BackupError)) throw error
      foreign = error
    }
  }
  return { values, ...(foreign === undefined ? {} : { foreign }) }
}

async function keysAt(vault: Vault, prefix: string, { signal }: LogOptions): Promise<Map<string, string[]>> {
  const keys = new Map<string, string[]>()
  const errors: SiteError[] = []
  for (const { name, opened } of vault.sites) {
    try {
      for await (const { key } of opened.site.list(prefix, { signal })) keys.set(key, [...(keys.get(key) ?? []), name])
    } catch (error) {
      if (!(error instanceof SiteError)) throw error
      errors.push(error)
    }
  }
  if (errors.length === vault.sites.length) throw unreachable(errors)
  return keys
}

function nothing(rootFingerprint: string): KeyError {
  return new KeyError("key/untrusted", `no repository signed by ${rootFingerprint} is at these sites`, {
    hint: "check the fingerprint on the escrow sheet, and the sites' paths",
  })
}
