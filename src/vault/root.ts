import { BackupError, KeyError } from "../errors.ts"
import { repositoryPrefix, trustPrefix } from "../format/names.ts"
import { decodeRepository, decodeTrust, type Repository, type TrustList, verifyTrustChain } from "../format/trust.ts"
import { askSites } from "./ask.ts"
import { type ListLogOptions, patienceOf } from "./log.ts"
import { fetchNamed } from "./named.ts"
import { unreachable } from "./unreachable.ts"
import { isDurable, type Vault } from "./vault.ts"

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
export async function readRoot(vault: Vault, rootFingerprint: string, options: ListLogOptions): Promise<RootObjects> {
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
export async function readTrustLists(vault: Vault, rootFingerprint: string, options: ListLogOptions): Promise<readonly TrustList[]> {
  return (await signedByRoot(vault, trustPrefix, options, (bytes) => decodeTrust(bytes, rootFingerprint))).values
}

interface Signed<T> {
  readonly values: T[]
  /** Why one was passed over. */
  readonly foreign?: BackupError
}

async function signedByRoot<T>(
  vault: Vault,
  prefix: string,
  options: ListLogOptions,
  decode: (bytes: Uint8Array) => T,
): Promise<Signed<T>> {
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

async function keysAt(vault: Vault, prefix: string, { signal, patienceMs }: ListLogOptions): Promise<Map<string, string[]>> {
  const { answers, failures } = await askSites(
    vault.sites,
    async ({ opened }, given) => {
      const keys: string[] = []
      for await (const { key } of opened.site.list(prefix, { signal: given })) keys.push(key)
      return keys
    },
    { signal, enough: (answered) => isDurable(answered, vault), ...patienceOf(vault, patienceMs) },
  )
  if (answers.size === 0) throw unreachable(failures)
  const found = new Map<string, string[]>()
  for (const [site, keys] of answers) for (const key of keys) found.set(key, [...(found.get(key) ?? []), site])
  return found
}

function nothing(rootFingerprint: string): KeyError {
  return new KeyError("key/untrusted", `no repository signed by ${rootFingerprint} is at these sites`, {
    hint: "check the fingerprint on the escrow sheet, and the sites' paths",
  })
}
