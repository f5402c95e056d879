import type { CapturedItem, Items, RecordedPack } from "../catalog/items.ts"
import { utcDay } from "../clock.ts"
import type { Digest } from "../digest.ts"
import { JobError } from "../errors.ts"
import type { Extent } from "../format/manifest.ts"
import { packKey } from "../format/names.ts"
import type { SourceItem, SourceMiss } from "../source/source.ts"
import type { PackPlan } from "../stream/plan.ts"
import type { PackDone, PackedPart, PartExtent, PartResult } from "../stream/task.ts"
import { place } from "../vault/place.ts"
import { isDurable, type Vault } from "../vault/vault.ts"
import type { Tally } from "./tally.ts"
import type { AgentWorld } from "./world.ts"

/** An item on its way: what the source said, and to whom it belongs. */
export interface Departure {
  readonly item: SourceItem
  readonly account: string
  readonly epoch: string
  /** Known at once for files; for a stream, when its last piece is cut. */
  size: number | null
  pieces: number | null
  /** Pieces of a file of several. */
  arrived: Map<number, readonly Extent[]> | null
  sha256: Digest | null
  flags: readonly string[]
}

/** A site that fails this often in a row is left out for the rest of the run; it is completed when commits are placed, or by the next run. */
const failuresMax = 2

/** One for each worker of a small machine; more would only wait, with their bytes. */
const carryingMax = 2

export interface Sending {
  readonly class: string
  readonly items: Items
  readonly run: number
  readonly tally: Tally
  /** An item that changed while it was read. */
  onMiss(departure: Departure, miss: SourceMiss): void
}

/**
 * Builds packs in the workers, places them at all sites at once, and remembers what they hold. At most as many packs are under way as
 * there are buffers; the first failure stops the flow and is thrown at the next call.
 */
export class Sender {
  readonly #world: AgentWorld
  readonly #sending: Sending
  readonly #departures = new Map<number, Departure>()
  readonly #underWay = new Set<Promise<void>>()
  /** Those whose content is in memory already, beside the pack that is made of it. */
  readonly #carrying = new Set<Promise<void>>()
  readonly #failures = new Map<string, number>()
  #failed: { readonly error: unknown } | null = null
  #bytes = 0

  constructor(world: AgentWorld, sending: Sending) {
    this.#world = world
    this.#sending = sending
  }

  /** Bytes of packs placed so far. */
  get bytes(): number {
    return this.#bytes
  }

  announce(id: number, departure: Departure): void {
    this.#departures.set(id, departure)
  }

  /** What still arrives of an item is not kept. */
  forget(id: number): void {
    this.#departures.delete(id)
  }

  /** Resolves when there is room for the next pack. */
  async send(plan: PackPlan): Promise<void> {
    this.#throwFailure()
    this.#world.signal.throwIfAborted()
    const carries = plan.segments.some(({ parts }) => Array.isArray(parts) && parts.some(({ from }) => "bytes" in from))
    while (carries && this.#carrying.size >= carryingMax) await Promise.race(this.#carrying)
    const buffer = await this.#world.buffers.take()
    if (this.#failed !== null || this.#world.signal.aborted) {
      this.#world.buffers.giveBack(buffer)
      this.#throwFailure()
      this.#world.signal.throwIfAborted()
    }
    const work = this.#build(plan, buffer).catch((error: unknown) => {
      this.#failed ??= { error }
    })
    this.#underWay.add(work)
    if (carries) this.#carrying.add(work)
    void work.finally(() => {
      this.#underWay.delete(work)
      this.#carrying.delete(work)
    })
  }

  /** Resolves when everything sent has been placed and is remembered. */
  async settled(): Promise<void> {
    await Promise.all(this.#underWay)
    this.#throwFailure()
    this.#world.signal.throwIfAborted()
  }

  /** Waits for what is under way without judging it: buffers and workers are free afterwards. */
  async drained(): Promise<void> {
    await Promise.all(this.#underWay)
  }

  #throwFailure(): void {
    if (this.#failed !== null) throw this.#failed.error
  }

  async #build(plan: PackPlan, buffer: ArrayBuffer): Promise<void> {
    const { pool, buffers } = this.#world
    const reopen = plan.segments.some(({ kind }) => kind === "tar.zst") ? "all" : "sample"
    let done: PackDone
    try {
      done = await pool.pack({ type: "pack", segments: plan.segments, buffer, reopen }, plan.affinity)
    } catch (error) {
      // The buffer went to the worker and does not come back; without another, others would wait for it for ever.
      buffers.replace()
      throw error
    }
    let intact = false
    try {
      const placed = done.sha256 === null ? null : await this.#place(done, done.sha256)
      intact = placed?.intact ?? true
      this.#arrive(done.parts, placed?.pack ?? null)
    } finally {
      // A site that was too slow may still be reading the bytes it did not take.
      if (intact) buffers.giveBack(done.buffer)
      else buffers.replace()
    }
  }

  async #place(done: PackDone, sha256: Digest): Promise<{ readonly pack: RecordedPack; readonly intact: boolean }> {
    const { world, vault } = { world: this.#world, vault: this.#reachable() }
    const name = {
      agent: world.agent.id,
      kind: "pack" as const,
      class: this.#sending.class,
      date: utcDay(world.clock.now()),
      sha256,
    }
    const tiers = tiersFor(world, this.#sending.class)
    const bytes = new Uint8Array(done.buffer, 0, done.bytes)
    const { held, missed } = await place(vault, { key: packKey(name), bytes, sha256, tiers }, { signal: world.signal })
    for (const site of held) this.#failures.delete(site)
    for (const { site, message } of missed) this.#count(site, message)
    if (!isDurable(held, world.vault)) await this.#spool(packKey(name), bytes, sha256, held)
    this.#bytes += done.bytes
    this.#sending.tally.pack(done.bytes)
    return { pack: { ...name, bytes: done.bytes, listed: false }, intact: missed.length === 0 }
  }

  #count(site: string, message: string): void {
    const failures = (this.#failures.get(site) ?? 0) + 1
    this.#failures.set(site, failures)
    if (failures === failuresMax) this.#world.tell({ type: "site-missed", site, message: `${message}; left out until the commit` })
  }

  // What too few sites took waits here for others. Where there is no room, what no site took is as if it had not been read.
  async #spool(key: string, bytes: Uint8Array, sha256: Digest, held: readonly string[]): Promise<void> {
    const kept = await this.#world.everywhere.spool?.keep(key, bytes, sha256)
    if (kept === true) return
    const full = new JobError("job/spool-full", "too few sites answer, and the spool has no room for what they should hold", {
      hint: "bring a site back, then run again; spool.max says how much may wait",
    })
    if (held.length === 0) throw full
    this.#failed ??= { error: full }
  }

  /** Sites that answer; what those that do not are missing is copied to them when the commit is placed, or later. */
  #reachable(): Vault {
    const { vault } = this.#world
    const willing = vault.sites.filter(({ name }) => (this.#failures.get(name) ?? 0) < failuresMax)
    const answering = willing.filter(({ name }) => vault.health.hasAnswered(name))
    const names = answering.map(({ name }) => name)
    return { ...vault, sites: isDurable(names, vault) ? answering : willing }
  }

  #arrive(parts: Iterable<PartResult>, pack: RecordedPack | null): void {
    const finished: CapturedItem[] = []
    for (const part of parts) {
      const departure = this.#departures.get(part.id)
      if (departure === undefined) continue
      if ("miss" in part) {
        this.#departures.delete(part.id)
        const { stableId, day, path } = departure.item
        this.#sending.onMiss(departure, { stableId, day, path, reason: part.miss, detail: part.detail })
      } else if (pack !== null) {
        const item = this.#piece(departure, part, pack)
        if (item === null) continue
        this.#departures.delete(part.id)
        finished.push(item)
        this.#sending.tally.captured(item.size)
      }
    }
    if (pack !== null) this.#sending.items.record(finished, [pack], this.#sending.run)
  }

  #piece(departure: Departure, part: PackedPart, pack: RecordedPack): CapturedItem | null {
    const extents = part.extents.map((extent) => locatedIn(pack, extent))
    if (part.sha256 !== null) departure.sha256 = part.sha256
    if (part.flags.length > 0) departure.flags = part.flags
    const { sha256, size, pieces } = departure
    if (pieces === 1 && sha256 !== null && size !== null) return capturedItem(departure, this.#sending.class, { at: extents, sha256, size })
    departure.arrived ??= new Map()
    departure.arrived.set(part.piece, extents)
    if (sha256 === null || size === null || pieces !== departure.arrived.size) return null
    const at = [...departure.arrived].toSorted(([a], [b]) => a - b).flatMap(([, piece]) => piece)
    return capturedItem(departure, this.#sending.class, { at, sha256, size })
  }
}

function locatedIn({ sha256 }: RecordedPack, extent: PartExtent): Extent {
  const { segmentOffset, segmentLength, frameOffset, frameLength, skip, length } = extent
  return { pack: sha256, segmentOffset, segmentLength, frameOffset, frameLength, skip, length }
}

/** The storage class of a kind of pack at every site that has one for it. */
function tiersFor(world: AgentWorld, className: string): Record<string, string> {
  const pairs = world.vault.sites.map(({ name }) => [name, world.tierOf(name, className)] as const)
  return Object.fromEntries(pairs.flatMap(([name, tier]) => (tier === undefined ? [] : [[name, tier]])))
}

export function capturedItem(
  { item, account, epoch, flags }: Pick<Departure, "item" | "account" | "epoch" | "flags">,
  className: string,
  content: { readonly at: readonly Extent[]; readonly sha256?: Digest; readonly size: number },
): CapturedItem {
  const captured: CapturedItem = {
    path: item.path,
    type: item.type,
    size: content.size,
    mtimeNs: item.mtimeNs,
    mode: item.mode,
    uid: item.uid,
    gid: item.gid,
    at: content.at,
    flags: flags.length === 0 ? item.flags : [...item.flags, ...flags],
    account,
    epoch,
    day: item.day,
    class: className,
    ctimeNs: item.identity?.ctimeNs ?? null,
    inode: item.identity?.inode ?? null,
  }
  if (item.link !== undefined) return { ...captured, link: item.link }
  return content.sha256 === undefined ? captured : { ...captured, sha256: content.sha256 }
}
