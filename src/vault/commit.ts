import { sha256 } from "../digest.ts"
import { SiteError, VaultError } from "../errors.ts"
import { type PackName, packKey } from "../format/names.ts"
import { beginPatienceMs, laggardPatienceMs } from "../limits.ts"
import { askSites } from "./ask.ts"
import { copyTo } from "./copy.ts"
import { type Failover, fetch } from "./fetch.ts"
import { fetchNamed } from "./named.ts"
import type { Placement } from "./place.ts"
import { heldAt } from "./presence.ts"
import { type Durable, isDurable, siteNamed, type Vault } from "./vault.ts"

/** A commit and all that must be at a site before it may be. */
export interface CommitWithNeeds {
  readonly key: string
  readonly bytes: Uint8Array
  readonly packs: readonly NeededPack[]
  /** Names of the key objects registered in this agent's log so far, and then of the commits that register them. */
  readonly keys: readonly string[]
}

export interface NeededPack extends PackName {
  readonly bytes: number
}

export interface PlaceCommitOptions {
  readonly signal: AbortSignal
  /** Only at these sites; absent: at all. */
  readonly targets?: readonly string[] | undefined
  /** When it is kept well enough, so that slow sites are waited for only a while; absent: every site is waited for. */
  readonly durable?: Durable | undefined
  /** Asked right before the commit is put at a site; what it throws ends the placing. */
  readonly guard?: (() => void) | undefined
  tierOf(site: string, className: string): string | undefined
  readonly onFailover?: ((failover: Failover) => void) | undefined
}

/**
 * The write that makes a snapshot true, site by site: each site is asked whether it holds every pack and key object the commit needs,
 * what it lacks is copied to it from another, and only then the commit is put there (FORMAT S1). Nothing is believed from memory.
 */
export async function placeCommit(vault: Vault, commit: CommitWithNeeds, options: PlaceCommitOptions): Promise<Placement> {
  const digest = sha256(commit.bytes)
  const { health, sites } = vault
  const { durable } = options
  const { answers, failures } = await askSites(
    targetsOf(vault, options),
    async ({ name, opened }, signal) => {
      try {
        await complete(vault, name, commit, { ...options, signal })
        options.guard?.()
        await opened.site.put(commit.key, commit.bytes, { sha256: digest, signal })
      } catch (error) {
        signal.throwIfAborted()
        throw asSiteError(name, error)
      }
    },
    {
      signal: options.signal,
      enough: durable && ((held) => isDurable(held, { sites, durable })),
      // As long as it goes on answering: what it lacks is being copied to it. One that never has is for later.
      patienceMs: (site, waitedMs) =>
        health.hasAnswered(site) ? Math.min(health.patienceMs(site), laggardPatienceMs - waitedMs) : beginPatienceMs - waitedMs,
    },
  )
  return { held: [...answers.keys()], missed: failures }
}

function targetsOf({ sites }: Vault, { targets }: PlaceCommitOptions) {
  return targets === undefined ? sites : sites.filter(({ name }) => targets.includes(name))
}

/** Brings a site everything a commit needs and it lacks. */
async function complete(vault: Vault, site: string, commit: CommitWithNeeds, options: PlaceCommitOptions): Promise<void> {
  const { opened } = siteNamed(vault, site)
  const packs = new Map(commit.packs.map((name) => [packKey(name), name]))
  const { present, missing } = await heldAt(opened.site, [...packs.keys(), ...commit.keys], { signal: options.signal })
  for (const [key, { bytes }] of present) {
    const pack = packs.get(key)
    if (pack !== undefined && pack.bytes !== bytes) await replaceCut(vault, site, key, pack, options)
  }
  for (const key of missing) {
    const pack = packs.get(key)
    if (pack === undefined) await copyNamed(vault, site, key, options)
    else await copyTo(vault, site, key, pack.sha256, { ...options, tier: tierFor(site, pack, options) })
  }
}

// An object of another length under a pack's name is there, and is not the pack: a crash of the site, or an upload that was cut.
async function replaceCut(vault: Vault, site: string, key: string, pack: NeededPack, options: PlaceCommitOptions): Promise<void> {
  const { signal, onFailover } = options
  const { replace } = siteNamed(vault, site).opened
  if (replace === undefined) throw new SiteError(site, "site/corrupt", `${key}: is cut short there, and cannot be replaced`)
  const { bytes } = await fetch(vault, key, { sha256: pack.sha256, exclude: [site], signal, onFailover })
  await replace(key, bytes, { sha256: pack.sha256, signal, tier: tierFor(site, pack, options) })
}

function tierFor(site: string, pack: PackName, { tierOf }: PlaceCommitOptions): string | undefined {
  return pack.kind === "pack" ? tierOf(site, pack.class) : undefined
}

/** Copies an object whose key carries its hash32 to a site that lacks it. */
async function copyNamed(vault: Vault, site: string, key: string, options: PlaceCommitOptions): Promise<void> {
  const { bytes } = await fetchNamed(vault, key, { signal: options.signal, onFailover: options.onFailover, exclude: [site] })
  await siteNamed(vault, site).opened.site.put(key, bytes, { sha256: sha256(bytes), signal: options.signal })
}

function asSiteError(site: string, error: unknown): unknown {
  if (error instanceof SiteError && error.site === site) return error
  if (error instanceof SiteError || error instanceof VaultError) {
    return new SiteError(site, "site/unavailable", `cannot be completed: ${error.message}`, { cause: error })
  }
  return error
}
