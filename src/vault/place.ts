import { SiteError } from "../errors.ts"
import type { Vault, VaultSite } from "./vault.ts"

export interface VaultObject {
  readonly key: string
  readonly bytes: Uint8Array
  /** Lower-case hex SHA-256 of the bytes. */
  readonly sha256: string
  /** The provider's storage class, by site name; absent: the bucket's default. */
  readonly tiers?: Readonly<Record<string, string>>
}

export interface PlaceOptions {
  readonly signal: AbortSignal
}

export interface Placement {
  /** Names of the sites that keep the object, in the vault's order. */
  readonly held: readonly string[]
  /** Sites that did not take the object; repair copies it to them later. */
  readonly missed: readonly SiteError[]
}

/**
 * Puts one object at every site at once. A site that fails disturbs no other, and is no failure of the whole: whether the placement
 * is durable is for the caller to judge with isDurable(). Rejects only with the signal's reason, or with what is a bug.
 */
export async function place(vault: Vault, object: VaultObject, options: PlaceOptions): Promise<Placement> {
  options.signal.throwIfAborted()
  const outcomes = await Promise.allSettled(vault.sites.map((site) => placeAt(vault, site, object, options)))
  const held: string[] = []
  const missed: SiteError[] = []
  for (const [index, outcome] of outcomes.entries()) {
    const site = vault.sites[index]
    if (outcome.status === "fulfilled" && site !== undefined) held.push(site.name)
    else if (outcome.status === "rejected" && outcome.reason instanceof SiteError) missed.push(outcome.reason)
    else if (outcome.status === "rejected") throw outcome.reason
  }
  return { held, missed }
}

async function placeAt(vault: Vault, { name, opened }: VaultSite, object: VaultObject, { signal }: PlaceOptions): Promise<void> {
  const { key, bytes, sha256, tiers } = object
  try {
    await opened.site.put(key, bytes, { sha256, signal, tier: tiers?.[name] })
    vault.health.succeeded(name)
  } catch (error) {
    if (error instanceof SiteError && error.retryable) vault.health.failed(name)
    throw error
  }
}
