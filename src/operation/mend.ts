import PQueue from "p-queue"
import { flawedAt, forgetFlaw, rememberFlaw } from "../catalog/scrubs.ts"
import { timestamp } from "../clock.ts"
import { sha256 } from "../digest.ts"
import { SiteError, VaultError } from "../errors.ts"
import { parseCommitKey } from "../format/names.ts"
import { inFlightBytesMax, packBytesMax, unreadInARowMax } from "../limits.ts"
import { release } from "../memory.ts"
import type { RemainingObject, SiteRepair } from "../report/repair.ts"
import { unanswered } from "../vault/fetch.ts"
import { bring, examine, type Flaw, findGood, replaceAt } from "../vault/heal.ts"
import { heldAt } from "../vault/presence.ts"
import type { VaultSite } from "../vault/vault.ts"
import { failoverTeller } from "./logs.ts"
import type { OwedObject } from "./owed.ts"
import type { UpkeepWorld } from "./world.ts"

export interface MendOptions {
  /** Sites to repair; bytes may come from every site of the vault. */
  readonly targets: readonly VaultSite[]
  /** Reads and says; writes nothing. */
  readonly dryRun: boolean
  /** Every copy is read; else only those that are suspected. */
  readonly full: boolean
}

/** An object and the sites that must have it; absent: all. */
export interface Mendable extends OwedObject {
  readonly sites?: ReadonlySet<string>
  /** Its bytes, where they are at hand. */
  readonly bytes?: Uint8Array | undefined
}

interface Target {
  readonly site: VaultSite
  readonly name: string
  /** Copies that a scrub found bad, or that something else speaks against. */
  readonly suspected: Set<string>
  /** What is not, or not good, at the site after all that was tried. */
  readonly lacking: Set<string>
  away: string | null
  failuresInARow: number
  copied: number
  replaced: number
  bytes: number
  commits: number
}

/** A site's copy that is missing, or not good. */
interface Wound {
  readonly target: Target
  readonly kind: Flaw["kind"] | "suspected"
}

const examplesMax = 200

/**
 * Brings sites what they lack, and good bytes in place of bad ones, from whichever site has them. Everything is asked of the sites
 * themselves, and done so that doing it again, or only half, harms nothing.
 */
export class Mending {
  readonly #world: UpkeepWorld
  readonly #options: MendOptions
  readonly #targets: readonly Target[]
  readonly #queue = new PQueue({ concurrency: Math.floor(inFlightBytesMax / packBytesMax) })
  readonly remaining: RemainingObject[] = []
  remainingCount = 0
  readonly lost = new Map<string, string>()

  constructor(world: UpkeepWorld, options: MendOptions) {
    this.#world = world
    this.#options = options
    this.#targets = options.targets.map((site) => ({
      ...{ site, name: site.name, suspected: flawedAt(world.catalog, site.name), lacking: new Set<string>() },
      ...{ away: null, failuresInARow: 0, copied: 0, replaced: 0, bytes: 0, commits: 0 },
    }))
  }

  /** Whether a site's copy has to be looked at although the site lists it. */
  suspects(site: string, key: string): boolean {
    return this.#options.full || this.#targets.some(({ name, suspected }) => name === site && suspected.has(key))
  }

  /** Something speaks against a site's copy: it is read before it is believed. */
  suspect(site: string, key: string): void {
    this.#targets.find(({ name }) => name === site)?.suspected.add(key)
  }

  giveUp(site: string, reason: string): void {
    const target = this.#targets.find(({ name }) => name === site)
    if (target !== undefined) target.away ??= reason
  }

  /** Whether something that could not be mended is missing, or not good, at a site; also where the site does not answer. */
  lacks(site: string, key: string): boolean {
    const target = this.#targets.find(({ name }) => name === site)
    return target === undefined || target.away !== null || target.lacking.has(key)
  }

  /** Names of the sites to be repaired that still answer. */
  get reachable(): string[] {
    return this.#targets.filter(({ away }) => away === null).map(({ name }) => name)
  }

  /** Mends objects, of which none needs another to be there first. */
  async mend(objects: readonly Mendable[]): Promise<void> {
    const wounds = new Map<string, Wound[]>(objects.map(({ key }) => [key, []]))
    await Promise.all(this.#targets.map((target) => this.#diagnose(target, objects, wounds)))
    try {
      await this.#queue.addAll(objects.map((object) => () => this.#mendOne(object, wounds.get(object.key) ?? [])))
    } finally {
      // After a failure nothing may go on behind it.
      this.#queue.clear()
      await this.#queue.onIdle()
    }
  }

  /** What is said of an object that may not be brought to a site, because something else is not there. */
  postpone(site: string, key: string, detail: string): void {
    const target = this.#targets.find(({ name }) => name === site)
    if (target !== undefined) this.#leave({ key }, target, detail)
  }

  sites(): SiteRepair[] {
    return this.#targets.map(({ name, copied, replaced, bytes, commits, lacking, away }) => {
      return { site: name, copied, replaced, bytes, commits, remaining: lacking.size, unreadable: away }
    })
  }

  async #diagnose(target: Target, objects: readonly Mendable[], wounds: Map<string, Wound[]>): Promise<void> {
    const owed = objects.filter(({ sites }) => sites?.has(target.name) ?? true)
    if (target.away !== null || owed.length === 0) return
    try {
      const { present, missing } = await heldAt(
        target.site.opened.site,
        owed.map(({ key }) => key),
        { signal: this.#world.signal },
      )
      for (const key of missing) wounds.get(key)?.push({ target, kind: "missing" })
      for (const { key, length } of owed) {
        const info = present.get(key)
        if (info === undefined) continue
        const suspected = this.#options.full || target.suspected.has(key) || (length !== undefined && info.bytes !== length)
        if (suspected) wounds.get(key)?.push({ target, kind: "suspected" })
      }
    } catch (error) {
      if (!(error instanceof SiteError)) throw error
      target.away = error.message
    }
  }

  async #mendOne(object: Mendable, suspects: readonly Wound[]): Promise<void> {
    this.#world.signal.throwIfAborted()
    const judged = await Promise.all(suspects.map((wound) => this.#judge(object, wound)))
    const wounds = judged.flatMap((wound) => wound ?? [])
    if (wounds.length === 0) return
    const { dryRun } = this.#options
    // Where some site is left that may have it, a dry run takes its listing for it; else it has to be looked for.
    if (dryRun && wounds.length < this.#world.vault.sites.length) {
      for (const wound of wounds) this.#wouldHeal(object, wound)
      return
    }
    const good = await this.#goodBytesOf(object, wounds)
    if (good === null) return
    for (const wound of wounds) {
      if (dryRun) this.#wouldHeal(object, wound)
      else await this.#heal(object, wound, good)
    }
    if (good !== object.bytes) release(good)
  }

  /** Null where the copy turns out to be good. */
  async #judge({ key, length }: Mendable, { target, kind: known }: Wound): Promise<Wound | null> {
    if (known === "missing") return { target, kind: known }
    const { catalog, clock, signal } = this.#world
    const found = await examine(target.site, key, { signal, length })
    if (found instanceof Uint8Array) {
      release(found)
      target.failuresInARow = 0
      if (target.suspected.delete(key)) forgetFlaw(catalog, target.name, key)
      return null
    }
    const { kind, detail } = found
    if (kind === "missing") return { target, kind }
    rememberFlaw(catalog, { site: target.name, key, kind, detail }, timestamp(clock.now()))
    target.suspected.add(key)
    return { target, kind }
  }

  async #goodBytesOf(object: Mendable, wounds: Wound[]): Promise<Uint8Array | null> {
    if (object.bytes !== undefined) return object.bytes
    const { vault, signal } = this.#world
    const tell = failoverTeller(this.#world)
    // What a site would not give back may be given to the next who asks: only what was seen to be bad is not asked for.
    const exclude = wounds.filter(({ kind }) => kind !== "unread").map(({ target }) => target.name)
    try {
      const { bytes } = await findGood(vault, object.key, {
        ...{ signal, exclude },
        onFailover: (failover) => {
          tell(failover)
          if (failover.error.code === "site/corrupt") this.#wounded(object, failover.error, wounds)
        },
      })
      if (object.length === undefined || bytes.length === object.length) return bytes
      for (const { target } of wounds)
        this.#leave(object, target, `the commit that lists it says another length than the ${String(bytes.length)} bytes of it`)
      release(bytes)
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof VaultError)) throw error
      if (object.mayBeGone === true) return null
      const isLost = unanswered(error).length === 0
      if (isLost) this.lost.set(object.key, error.message)
      for (const { target } of wounds) this.#leave(object, target, isLost ? "no site has good bytes of it" : error.message)
    }
    return null
  }

  // A copy that was to be the source turned out to be rotten: it is one more to be mended.
  #wounded({ key, sites }: Mendable, { site, message }: SiteError, wounds: Wound[]): void {
    const target = this.#targets.find(({ name }) => name === site)
    if (target === undefined || sites?.has(site) === false) return
    rememberFlaw(this.#world.catalog, { site, key, kind: "rotten", detail: message }, timestamp(this.#world.clock.now()))
    target.suspected.add(key)
    wounds.push({ target, kind: "rotten" })
  }

  #wouldHeal({ key, length, bytes }: Mendable, { target, kind }: Wound): void {
    count(target, key, { bytes: length ?? bytes?.length ?? 0, done: kind === "missing" ? "copied" : "replaced" })
  }

  async #heal(object: Mendable, { target, kind }: Wound, bytes: Uint8Array): Promise<void> {
    const { signal, catalog, tierOf } = this.#world
    const { key } = object
    if (target.away !== null) return
    const options = { signal, sha256: sha256(bytes), tier: object.class === undefined ? undefined : tierOf(target.name, object.class) }
    try {
      const way = kind === "missing" ? bring : replaceAt
      count(target, key, { bytes: bytes.length, done: await way(target.site, key, bytes, options) })
      target.failuresInARow = 0
      target.lacking.delete(key)
      if (target.suspected.delete(key)) forgetFlaw(catalog, target.name, key)
      this.#tell()
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof SiteError)) throw error
      this.#leave(object, target, error.message)
      target.failuresInARow += 1
      if (target.failuresInARow >= unreadInARowMax) target.away = error.message
    }
  }

  #leave({ key }: Pick<Mendable, "key">, target: Target, detail: string): void {
    // A pack that many commits list is missed once.
    if (target.lacking.has(key)) return
    target.lacking.add(key)
    this.remainingCount += 1
    if (this.remaining.length < examplesMax) this.remaining.push({ site: target.name, object: key, detail })
  }

  #tell(): void {
    const sum = (of: (target: Target) => number): number => this.#targets.reduce((total, target) => total + of(target), 0)
    const files = sum(({ copied, replaced }) => copied + replaced)
    const progress = { phase: "repairing", files, bytes: sum(({ bytes }) => bytes), unchanged: 0, noun: "object" }
    this.#world.tell({ type: "progress", progress })
  }
}

function count(target: Target, key: string, { bytes, done }: { readonly bytes: number; readonly done: "copied" | "replaced" }): void {
  target[done] += 1
  target.bytes += bytes
  if (parseCommitKey(key) !== null) target.commits += 1
}
