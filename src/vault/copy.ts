import type { ObjectInfo } from "../site/site.ts"
import { type Failover, fetch } from "./fetch.ts"
import { siteNamed, type Vault } from "./vault.ts"

export interface CopyOptions {
  readonly signal: AbortSignal
  /** The storage class at the target; absent: the bucket's default. */
  readonly tier?: string | undefined
  readonly onFailover?: ((failover: Failover) => void) | undefined
}

export interface Copied {
  /** The site the bytes came from. */
  readonly from: string
  readonly info: ObjectInfo
}

/**
 * Brings one object to the site `target` from any other, after its bytes were found to be what `sha256` says: rot does not spread.
 * Rejects with a VaultError where no other site has good bytes, and with a SiteError where the target does not take them.
 */
export async function copyTo(vault: Vault, target: string, key: string, sha256: string, options: CopyOptions): Promise<Copied> {
  const { signal, tier, onFailover } = options
  const { opened } = siteNamed(vault, target)
  const { bytes, site } = await fetch(vault, key, { sha256, exclude: [target], signal, onFailover })
  return { from: site, info: await opened.site.put(key, bytes, { sha256, signal, tier }) }
}
