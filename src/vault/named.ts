import { FormatError, SiteError, VaultError } from "../errors.ts"
import { fitsName, hashInName } from "../format/names.ts"
import { type Fetched, type FetchOptions, fetch } from "./fetch.ts"
import type { Vault } from "./vault.ts"

/** Reads an object whose key carries its hash; a site whose bytes have another is rotten, and the next one is asked. */
export async function fetchNamed(vault: Vault, key: string, options: Omit<FetchOptions, "range" | "sha256">): Promise<Fetched> {
  if (hashInName(key) === null) throw new FormatError("format/malformed", `${key}: its name carries no hash`)
  const excluded = new Set(options.exclude)
  const rotten: SiteError[] = []
  for (;;) {
    const fetched = await fetchUnlessRotten(vault, key, { ...options, exclude: excluded }, rotten)
    if (fitsName(key, fetched.bytes)) return fetched
    excluded.add(fetched.site)
    const error = new SiteError(fetched.site, "site/corrupt", `get ${key}: the bytes are not what its name says`)
    rotten.push(error)
    options.onFailover?.({ key, error, next: null })
  }
}

// Where no other site is left, those that had rotten bytes are the reason.
async function fetchUnlessRotten(vault: Vault, key: string, options: FetchOptions, rotten: readonly SiteError[]): Promise<Fetched> {
  try {
    return await fetch(vault, key, options)
  } catch (error) {
    if (!(error instanceof VaultError) || rotten.length === 0) throw error
    const reasons = rotten.map(({ message }) => message).join("; ")
    const { hint } = error
    throw new VaultError("vault/lost", `${error.message}; ${reasons}`, { cause: error, ...(hint === undefined ? {} : { hint }) })
  }
}
