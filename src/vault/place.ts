import type { SiteError } from "../errors.ts"
import { beginPatienceMs, placePatienceMs, placePatientBytesPerSecond } from "../limits.ts"
import { askSites } from "./ask.ts"
import { isDurable, type Vault } from "./vault.ts"

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
  /** Sites that did not take the object, or not in time; it is copied to them later. */
  readonly missed: readonly SiteError[]
}

/**
 * Puts one object at every site at once. A site that fails disturbs no other, and one that is much slower than those that make the object
 * durable is not waited for. That it is missed is no failure of the whole: whether the placement is durable is for the caller to judge
 * with isDurable(). Rejects only with the signal's reason, or with what is a bug.
 */
export async function place(vault: Vault, object: VaultObject, { signal }: PlaceOptions): Promise<Placement> {
  const { key, bytes, sha256, tiers } = object
  const patienceMs = placePatienceMs + (bytes.length / placePatientBytesPerSecond) * 1000
  const { answers, failures } = await askSites(
    vault.sites,
    ({ name, opened }, given) => opened.site.put(key, bytes, { sha256, signal: given, tier: tiers?.[name] }),
    {
      signal,
      enough: (held) => isDurable(held, vault),
      patienceMs: (site, waitedMs) => (vault.health.hasAnswered(site) ? patienceMs : beginPatienceMs) - waitedMs,
    },
  )
  return { held: [...answers.keys()], missed: failures }
}
