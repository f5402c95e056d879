import PQueue from "p-queue"
import type { Digest } from "../digest.ts"
import { FormatError, SiteError, VaultError } from "../errors.ts"
import type { Extent } from "../format/manifest.ts"
import { type PackName, packKey } from "../format/names.ts"
import { packsRetrievedMax, retrievedBytesMax } from "../limits.ts"
import type { ExtractResult, ExtractTask, OpenedRung } from "../stream/task.ts"
import { type Failover, type Fetched, type FetchOptions, fetch, unanswered } from "../vault/fetch.ts"
import { ByteBudget } from "./budget.ts"
import { Delivery } from "./delivery.ts"
import { failoverTeller } from "./logs.ts"
import {
  extractSegment,
  halves,
  inSegments,
  isWithin,
  type Need,
  type Run,
  rangesFor,
  runsOf,
  type SegmentNeeds,
  segmentsFor,
  segmentsIn,
  type Wanted,
} from "./ranges.ts"
import type { World } from "./world.ts"

export type Retrieved =
  | { readonly outcome: "done" }
  /** No site has good bytes of it. */
  | { readonly outcome: "lost"; readonly rung: OpenedRung | "hashed"; readonly detail: string }
  /** No site that answers has good bytes of it, and one that does not answer may. */
  | { readonly outcome: "unreachable"; readonly detail: string }
  /** The target cannot take it. */
  | { readonly outcome: "refused"; readonly code: string; readonly detail: string }

export interface RetrieveOptions {
  /** null: files are hashed only. */
  readonly target: string | null
  readonly owners: boolean
  onResult(wanted: Wanted, result: Retrieved): void
}

/** The road home, from the sites to the target: ranged reads from the best site, and from another where one fails or its bytes are rotten. */
export class Retrieval {
  readonly #world: World
  readonly #options: RetrieveOptions
  readonly #inFlight = new ByteBudget(retrievedBytesMax)
  /** What was fetched, by site. */
  readonly deliveries = new Map<string, Delivery>()

  constructor(world: World, options: RetrieveOptions) {
    this.#world = world
    this.#options = options
  }

  /** Every file given gets exactly one result. */
  async bring(files: readonly Wanted[]): Promise<void> {
    const queue = new PQueue({ concurrency: packsRetrievedMax })
    const listed = files.filter((file) => this.#isListed(file))
    const whole = listed.filter((file) => segmentsIn(file.item.at) === 1)
    const split = listed.filter((file) => segmentsIn(file.item.at) > 1)
    const work = [
      ...byPack(whole).map(
        ({ pack, needs }) =>
          () =>
            this.#bringPack(pack, needs),
      ),
      ...split.map((file) => () => this.#bringSplit(file)),
    ]
    try {
      await queue.addAll(
        work.map((task) => async () => {
          this.#world.signal.throwIfAborted()
          await task()
        }),
      )
    } catch (error) {
      // What has begun ends before the caller goes on: it would still write into a target that was given up.
      queue.clear()
      await queue.onIdle()
      throw error
    }
  }

  // A commit lists every pack it needs; what its manifests name besides may be gone at any time, and is nobody's promise.
  #isListed(wanted: Wanted): boolean {
    if (wanted.item.at.every(({ pack }) => wanted.packs.has(pack))) return true
    const detail = "its manifest names a pack that the commit does not list"
    this.#options.onResult(wanted, { outcome: "lost", rung: "hashed", detail })
    return false
  }

  async #bringPack(pack: PackName, needs: readonly Need[]): Promise<void> {
    const results = await this.#extract(pack, needs, null)
    for (const { wanted, result } of results) this.#options.onResult(wanted, result)
  }

  /** A file in several segments: one after the other, in one worker, which hashes it as it comes. */
  async #bringSplit(wanted: Wanted): Promise<void> {
    const parts = inSegments(wanted.item.at)
    for (const [index, extents] of parts.entries()) {
      const place = { first: index === 0, last: index === parts.length - 1 }
      const pack = packOf(wanted, extents)
      const [outcome] = await this.#extract(pack, [{ wanted, extents, ...place }], wanted.id)
      if (outcome === undefined) throw new Error("a part of a file had no result")
      if (outcome.result.outcome !== "done" || place.last) {
        this.#options.onResult(wanted, outcome.result)
        return
      }
    }
  }

  // Asks one site after the other until every file is whole, or none is left to ask.
  async #extract(pack: PackName, all: readonly Need[], affinity: number | null): Promise<Settled[]> {
    const settled: Settled[] = []
    const exclude = new Set<string>()
    const silent = new Map<number, string>()
    let needs = all
    let rot: Rot = new Map()
    while (needs.length > 0) {
      let attempt: Attempt
      try {
        attempt = await this.#attempt(pack, needs, { exclude, affinity })
      } catch (error) {
        if (!(error instanceof VaultError)) throw error
        settled.push(...(await this.#withoutSite(pack, needs, { error, rot, silent, affinity })))
        break
      }
      rot = new Map(attempt.rotten.map((result) => [result.id, result]))
      for (const { id, code } of attempt.rotten) if (code === "vault/unreachable") silent.set(id, attempt.site)
      for (const { wanted } of needs) {
        const result = attempt.settled.get(wanted.id)
        if (result !== undefined) settled.push({ wanted, result })
      }
      needs = needs.filter(({ wanted }) => rot.has(wanted.id))
      exclude.add(attempt.site)
      const [first] = attempt.rotten
      if (first !== undefined) this.#tellFlaw(pack, attempt.site, first, exclude)
    }
    return settled
  }

  // No site is left to ask. Where some had the pack, only not all of it, one part may still be good where another is not.
  async #withoutSite(pack: PackName, needs: readonly Need[], failure: Failure): Promise<Settled[]> {
    const { error, rot, affinity } = failure
    const [some, others] = isDamaged(error, rot) ? halves(needs) : [needs, []]
    if (others.length === 0) return needs.map(({ wanted }) => ({ wanted, result: missed(wanted, failure) }))
    return [...(await this.#extract(pack, some, affinity)), ...(await this.#extract(pack, others, affinity))]
  }

  async #attempt(pack: PackName, needs: readonly Need[], options: AttemptOptions): Promise<Attempt> {
    const segments = segmentsFor(needs)
    const ranges = rangesFor(segments)
    const bytes = ranges.reduce((sum, { length }) => sum + length, 0)
    return await this.#inFlight.within(bytes, () => this.#read(pack, { segments, ranges }, options))
  }

  async #read(pack: PackName, { segments, ranges }: Reading, { exclude, affinity }: AttemptOptions): Promise<Attempt> {
    const { vault, signal, pool } = this.#world
    const key = packKey(pack)
    const [first, ...others] = ranges
    if (first === undefined) throw new Error("nothing to fetch")
    const onFailover = failoverTeller(this.#world)
    // All runs of one attempt come from one site, so that rot can be laid at its door.
    const { site, bytes } = await this.#timed(key, { range: first, exclude, signal, onFailover })
    const elsewhere = vault.sites.some(({ name }) => name !== site && !exclude.has(name))
    const unread: { readonly range: Run; readonly error: VaultError }[] = []
    const rest = await Promise.all(
      others.map(async (range) => {
        try {
          return [{ offset: range.offset, bytes: (await this.#timed(key, { range, from: [site], elsewhere, signal })).bytes }]
        } catch (error) {
          if (!(error instanceof VaultError)) throw error
          unread.push({ range, error })
          return []
        }
      }),
    )
    const runs = [{ offset: first.offset, bytes }, ...rest.flat()]
    const rotten = segments.flatMap((segment) => {
      const failure = unread.find(({ range }) => runsOf(segment).some((run) => isWithin(run, range)))
      return failure === undefined ? [] : segment.needs.map(({ wanted }) => unreadable(wanted, failure.error))
    })
    const ids = new Set(rotten.map(({ id }) => id))
    const readable = segments.filter(({ needs: [need] }) => need !== undefined && !ids.has(need.wanted.id))
    const { target, owners } = this.#options
    const task: ExtractTask = { type: "extract", fetched: runs, segments: readable.map(extractSegment), target, owners, audit: false }
    const { files } = await (affinity === null ? pool.extract(task) : pool.extract(task, affinity))
    rotten.push(...files.filter((file) => file.outcome === "rotten"))
    return { site, rotten, settled: new Map(files.flatMap((file) => (file.outcome === "rotten" ? [] : [[file.id, settledOf(file)]]))) }
  }

  /** How long it took counts for the site's speed, unless others were waited for first. */
  async #timed(key: string, options: FetchOptions): Promise<Fetched> {
    const { vault, clock } = this.#world
    const began = clock.now().getTime()
    let others = 0
    const onFailover = (failover: Failover) => {
      others += 1
      options.onFailover?.(failover)
    }
    const fetched = await fetch(vault, key, { ...options, released: true, onFailover })
    const delivery = this.deliveries.get(fetched.site) ?? new Delivery()
    this.deliveries.set(fetched.site, delivery)
    delivery.add(fetched.bytes.length, others === 0 ? { began, ended: clock.now().getTime() } : null)
    return fetched
  }

  #tellFlaw(pack: PackName, site: string, { code, detail }: Rotten, exclude: ReadonlySet<string>): void {
    const { sites, health } = this.#world.vault
    const next = health.order(sites).find(({ name }) => !exclude.has(name))?.name ?? null
    const key = packKey(pack)
    const what = code === "vault/unreachable" ? "was not delivered whole" : "is rotten"
    this.#world.tell({ type: "failover", key, site, message: `${site}: ${key} ${what}: ${detail}`, next })
  }
}

interface AttemptOptions {
  readonly exclude: ReadonlySet<string>
  readonly affinity: number | null
}

interface Reading {
  readonly segments: readonly SegmentNeeds[]
  readonly ranges: readonly Run[]
}

interface Attempt {
  readonly site: string
  readonly rotten: readonly Rotten[]
  readonly settled: ReadonlyMap<number, Retrieved>
}

type Rotten = Extract<ExtractResult, { outcome: "rotten" }>
type Rot = ReadonlyMap<number, Rotten>

interface Settled {
  readonly wanted: Wanted
  readonly result: Retrieved
}

interface Failure {
  readonly error: VaultError
  /** What the last site asked had wrong. */
  readonly rot: Rot
  /** The site that stopped answering in the middle of a file, and may have it whole. */
  readonly silent: ReadonlyMap<number, string>
  readonly affinity: number | null
}

function settledOf(file: Exclude<ExtractResult, { outcome: "rotten" }>): Retrieved {
  return file.outcome === "done" ? { outcome: "done" } : { outcome: "refused", code: file.code, detail: file.detail }
}

function missed({ id }: Wanted, { error, rot: found, silent }: Failure): Retrieved {
  const stopped = silent.get(id)
  const away = new Set([...(stopped === undefined ? [] : [stopped]), ...unanswered(error)])
  if (away.size > 0) return { outcome: "unreachable", detail: `${[...away].join(", ")} did not answer` }
  const rot = found.get(id)
  if (rot === undefined) return { outcome: "lost", rung: "hashed", detail: error.message }
  return { outcome: "lost", rung: rot.rung, detail: rot.detail }
}

/** Whether some site has the object, only not the bytes that were asked for. */
function isDamaged({ cause }: VaultError, rot: Rot): boolean {
  if ([...rot.values()].some(({ code }) => code === "vault/lost")) return true
  return cause instanceof AggregateError && cause.errors.some((error) => error instanceof SiteError && error.code === "site/corrupt")
}

function unreadable({ id }: Wanted, { message, code }: VaultError): Rotten {
  return { id, outcome: "rotten", rung: "decrypted", detail: message, code }
}

function packOf({ packs }: Wanted, [extent]: readonly Extent[]): PackName {
  const name = extent === undefined ? undefined : packs.get(extent.pack)
  if (name === undefined) throw new FormatError("format/malformed", "manifest: names a pack that its commit does not list")
  return name
}

function byPack(files: readonly Wanted[]): { readonly pack: PackName; readonly needs: Need[] }[] {
  const packs = new Map<Digest, { readonly pack: PackName; readonly needs: Need[] }>()
  for (const wanted of files) {
    const extents = wanted.item.at
    const pack = packOf(wanted, extents)
    const entry = packs.get(pack.sha256) ?? { pack, needs: [] }
    packs.set(pack.sha256, entry)
    entry.needs.push({ wanted, extents, first: true, last: true })
  }
  return [...packs.values()]
}
