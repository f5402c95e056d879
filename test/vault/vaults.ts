import { type Clock, systemClock } from "../../src/clock.ts"
import { sha256 } from "../../src/digest.ts"
import { type MemoryObjects, memorySite } from "../../src/site/memory.ts"
import type { OpenedSite, Site } from "../../src/site/site.ts"
import { SiteHealth } from "../../src/vault/health.ts"
import { type Durable, openVault, type Vault, type VaultSite } from "../../src/vault/vault.ts"

export const { signal: never } = new AbortController()

/** A site of a vault, in memory, whose objects a test can look at and damage. */
export interface TestSite extends VaultSite {
  readonly objects: MemoryObjects
}

export interface TestSiteOptions {
  readonly provider?: string
  readonly countsAsProvider?: boolean
  readonly wrap?: (site: Site) => Site
}

export function testSite(name: string, { provider = name, countsAsProvider = true, wrap }: TestSiteOptions = {}): TestSite {
  const objects: MemoryObjects = new Map()
  const memory = memorySite(name, systemClock, objects)
  const opened: OpenedSite = wrap === undefined ? memory : { ...memory, site: wrap(memory.site) }
  return { name, provider, region: "here", opened, countsAsProvider, objects }
}

export function vaultOf(sites: readonly VaultSite[], durable: Durable = { copies: 2, providers: 2 }, clock: Clock = systemClock): Vault {
  return openVault({ sites, durable, health: new SiteHealth(clock) })
}

export function objectOf(key: string, text = key): { key: string; bytes: Uint8Array; sha256: string } {
  const bytes = Buffer.from(text)
  return { key, bytes, sha256: sha256(bytes) }
}

/** Changes one bit of what a site keeps. */
export function rot({ objects }: TestSite, key: string): void {
  const bytes = objects.get(key)?.bytes
  if (bytes === undefined) throw new Error(`${key}: nothing there to rot`)
  bytes[0] = (bytes[0] ?? 0) ^ 1
}
