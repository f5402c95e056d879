import { ConfigError } from "../errors.ts"
import type { Price } from "../site/price.ts"
import type { OpenedSite } from "../site/site.ts"
import { count } from "../units.ts"
import { guarded } from "./guard.ts"
import type { SiteHealth } from "./health.ts"
import type { Spool } from "./spool.ts"

/** All sites seen as one store, in the order of preference for reading. */
export interface Vault {
  readonly sites: readonly VaultSite[]
  readonly durable: Durable
  readonly health: SiteHealth
  /** What waits on this host for sites; readers have none. */
  readonly spool?: Spool | undefined
  /** How long a site is waited for while there are others to turn to; absent: as long as its own retries take. */
  readonly patience?: ReadPatience | undefined
}

/** For a reader who has other sites: milliseconds for an answer of a few bytes, and for one of many, at so many bytes a second. */
export interface ReadPatience {
  readonly answerMs: number
  readonly startMs: number
  readonly bytesPerSecond: number
}

export interface VaultSite {
  readonly name: string
  /** Who runs it. */
  readonly provider: string
  readonly region: string
  readonly zone?: string | undefined
  /** What reading out of it costs, as the configuration says; absent: as its provider's list does. */
  readonly egress?: Price | undefined
  readonly opened: OpenedSite
  /** False for a directory on the source's own device: a copy, but one that is lost with the source. */
  readonly countsAsProvider: boolean
  /** Whether it is on the source's own device, accepted or not: every report says so. */
  readonly sameDevice?: boolean | undefined
}

/** A vault whose sites are asked through their circuit breakers. */
export function openVault(vault: Vault): Vault {
  return { ...vault, sites: vault.sites.map((site) => guarded(site, vault.health)) }
}

/** When something is kept well enough: at `copies` sites of `providers` different providers. */
export interface Durable {
  readonly copies: number
  readonly providers: number
}

/** Whether what the sites named in `held` keep is durable. Names that are no site's of this vault, and repeated ones, do not count. */
export function isDurable(held: Iterable<string>, vault: Pick<Vault, "sites" | "durable">): boolean {
  const { copies, providers } = countCopies(held, vault)
  return copies >= vault.durable.copies && providers >= vault.durable.providers
}

/** How many copies at how many providers the sites named in `held` make. */
export function countCopies(held: Iterable<string>, { sites }: Pick<Vault, "sites">): Durable {
  const names = new Set(held)
  const holding = sites.filter((site) => names.has(site.name))
  const providers = new Set(holding.filter((site) => site.countsAsProvider).map((site) => site.provider))
  return { copies: holding.length, providers: providers.size }
}

/** Refuses a vault in which nothing could ever be durable, before the first byte is read. */
export function requireAttainable(vault: Pick<Vault, "sites" | "durable">): void {
  const names = vault.sites.map((site) => site.name)
  if (isDurable(names, vault)) return
  const { copies, providers } = countCopies(names, vault)
  const asked = `${count(vault.durable.copies, "copy", "copies")} at ${count(vault.durable.providers, "provider")}`
  const uncounted = vault.sites.filter((site) => !site.countsAsProvider).map((site) => site.name)
  const hint =
    uncounted.length === 0
      ? 'add a site, or ask for less in "durable"'
      : `${uncounted.join(", ")}: on the source's own device, so no provider; move it, or say "sameDevice: accepted" at the site`
  throw new ConfigError("config/invalid", `durable: ${asked} are asked for, the sites make ${String(copies)} at ${String(providers)}`, {
    hint,
  })
}

/** The site of that name; a ConfigError where the vault has none. */
export function siteNamed(vault: Pick<Vault, "sites">, name: string): VaultSite {
  const found = vault.sites.find((site) => site.name === name)
  if (found !== undefined) return found
  const known = vault.sites.map((site) => site.name).join(", ")
  throw new ConfigError("config/not-found", `${name}: no such site`, { hint: `the sites are ${known}` })
}

/** The sites of these names, each once; all of them where none is named. */
export function sitesChosen(vault: Pick<Vault, "sites">, names: readonly string[] | undefined): readonly VaultSite[] {
  return names === undefined ? vault.sites : [...new Set(names)].map((name) => siteNamed(vault, name))
}
