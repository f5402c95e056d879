import PQueue from "p-queue"
import { flawedAt, forgetFlaw, forgetFlawsBefore, rememberFlaw, rememberScrub, type ScrubProgress } from "../catalog/scrubs.ts"
import { timestamp } from "../clock.ts"
import { SiteError } from "../errors.ts"
import { hashInName } from "../format/names.ts"
import { unreadInARowMax } from "../limits.ts"
import { release } from "../memory.ts"
import type { SiteScrub } from "../report/scrub.ts"
import type { ObjectInfo } from "../site/site.ts"
import { examine, type Flaw } from "../vault/heal.ts"
import { heldAt } from "../vault/presence.ts"
import type { VaultSite } from "../vault/vault.ts"
import type { Ladder } from "./ladder.ts"
import type { OwedObject } from "./owed.ts"
import { type Before, type Reading, type Slice, sliceOf } from "./rolling.ts"
import type { UpkeepWorld } from "./world.ts"

export interface LookOptions {
  readonly world: UpkeepWorld
  readonly ladder: Ladder
  readonly started: Date
  readonly reading: Reading
  readonly before: (Before & ScrubProgress) | undefined
  /** Objects of this site in memory at once. */
  readonly readers: number
}

/** A scrub's look at one site: what is there, and of the part whose turn it is, whether it is good. */
export class SiteLook {
  readonly name: string
  readonly #site: VaultSite
  readonly #options: LookOptions
  readonly #slice: Slice
  /** Copies found bad before are read again each time, whether or not it is their turn. */
  readonly #flawed: Set<string>
  readonly #queue: PQueue
  readonly #counts = { objects: 0, bytes: 0, read: 0, readBytes: 0, missing: 0, cut: 0, rotten: 0, unread: 0 }
  #good = new Set<string>()
  #unreadable: string | null = null
  #unreadInARow = 0

  constructor(site: VaultSite, options: LookOptions) {
    this.name = site.name
    this.#site = site
    this.#options = options
    this.#slice = sliceOf(options.reading, options.started, options.before)
    this.#flawed = flawedAt(options.world.catalog, site.name)
    this.#queue = new PQueue({ concurrency: options.readers })
  }

  get unreadable(): string | null {
    return this.#unreadable
  }

  /** Objects looked at, and objects read, so far. */
  get seen(): { readonly objects: number; readonly read: number; readonly readBytes: number } {
    return this.#counts
  }

  /** Whether the object was there when last looked for, and nothing is known against it. */
  hasGood(key: string): boolean {
    return this.#good.has(key)
  }

  /** Looks for these and no longer remembers which of the earlier ones were good. A site that does not answer is not asked again. */
  async at(objects: readonly OwedObject[]): Promise<void> {
    this.#good = new Set()
    if (this.#unreadable !== null || objects.length === 0) return
    const { signal } = this.#options.world
    try {
      const { present, missing } = await heldAt(
        this.#site.opened.site,
        objects.map(({ key }) => key),
        { signal },
      )
      this.#counts.objects += objects.length
      for (const key of missing) this.#miss(key)
      const suspects = objects.filter((object) => this.#meet(object, present.get(object.key)))
      await this.#readAll(suspects)
    } catch (error) {
      if (!(error instanceof SiteError)) throw error
      this.giveUp(error.message)
    }
  }

  /** What could not be asked for is not missing: nothing more is said of this site, but that. */
  giveUp(reason: string): void {
    if (this.#unreadable !== null) return
    this.#unreadable = reason
    this.#options.ladder.failed({ rung: "present", site: this.name, object: "listing", detail: reason })
  }

  /** Remembers what was found. */
  end(): SiteScrub {
    const { world, started, before } = this.#options
    const { missing, cut, rotten, unread } = this.#counts
    const bad = missing + cut + rotten + unread > 0
    // A round goes on where it was, unless all of its part was read.
    const { readSince, ...progress } = this.#unreadable === null ? this.#slice.after : unchanged(before, started)
    const scrub: SiteScrub = {
      ...{ site: this.name, started: timestamp(started), seconds: (world.clock.now().getTime() - started.getTime()) / 1000 },
      outcome: this.#unreadable !== null ? "unreadable" : bad ? "findings" : "ok",
      ...this.#counts,
      unreadable: this.#unreadable,
      readSince,
    }
    if (this.#unreadable === null) forgetFlawsBefore(world.catalog, this.name, timestamp(started))
    rememberScrub(world.catalog, { ...scrub, ...progress })
    return scrub
  }

  #miss(key: string): void {
    this.#counts.missing += 1
    this.#options.ladder.failed({ rung: "present", site: this.name, object: key, detail: "is not there" })
    if (this.#flawed.has(key)) forgetFlaw(this.#options.world.catalog, this.name, key)
  }

  /** Whether the object has to be read. */
  #meet({ key, length }: OwedObject, info: ObjectInfo | undefined): boolean {
    if (info === undefined) return false
    const { ladder } = this.#options
    this.#counts.bytes += info.bytes
    this.#good.add(key)
    ladder.passed("present")
    const whole = length === undefined || info.bytes === length
    return !this.#checksum(key, info) || !whole || this.#flawed.has(key) || this.#slice.includes(key)
  }

  /** False where the provider's own checksum is that of other bytes. One that cannot be held against the name says nothing. */
  #checksum(key: string, { checksum }: ObjectInfo): boolean {
    const { ladder } = this.#options
    if (checksum?.algorithm !== "sha256") return true
    if (checksum.value.startsWith(hashInName(key) ?? "none")) {
      ladder.passed("checksummed")
      return true
    }
    ladder.failed({ rung: "checksummed", site: this.name, object: key, detail: "the provider's own checksum is another" })
    return false
  }

  async #readAll(objects: readonly OwedObject[]): Promise<void> {
    try {
      await this.#queue.addAll(objects.map((object) => () => this.#read(object)))
    } finally {
      // After a failure nothing may go on behind it.
      this.#queue.clear()
      await this.#queue.onIdle()
    }
  }

  async #read({ key, length }: OwedObject): Promise<void> {
    const { world, ladder } = this.#options
    world.signal.throwIfAborted()
    if (this.#unreadable !== null) return
    const found = await examine(this.#site, key, { signal: world.signal, length, released: true })
    if (!(found instanceof Uint8Array)) {
      this.#fail(key, found)
      return
    }
    this.#unreadInARow = 0
    this.#counts.read += 1
    this.#counts.readBytes += found.length
    release(found)
    ladder.passed("hashed")
    if (this.#flawed.has(key)) forgetFlaw(world.catalog, this.name, key)
  }

  #fail(key: string, { kind, detail }: Flaw): void {
    const { world, ladder } = this.#options
    this.#good.delete(key)
    this.#counts[kind] += 1
    ladder.failed({ rung: kind === "missing" ? "present" : "hashed", site: this.name, object: key, detail })
    if (kind === "missing") return
    rememberFlaw(world.catalog, { site: this.name, key, kind, detail }, timestamp(world.clock.now()))
    this.#unreadInARow = kind === "unread" ? this.#unreadInARow + 1 : 0
    if (this.#unreadInARow >= unreadInARowMax) this.giveUp(detail)
  }
}

function unchanged(before: LookOptions["before"], started: Date): ScrubProgress & { readonly readSince: string | null } {
  if (before === undefined) return { cursor: 0, round: timestamp(started), readSince: null }
  return { cursor: before.cursor, round: before.round, readSince: before.readSince }
}
