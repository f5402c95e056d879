import PQueue from "p-queue"
import type { Digest } from "../digest.ts"
import { FormatError, SiteError, VaultError } from "../errors.ts"
import { chunkBytes, tagBytes } from "../format/age.ts"
import type { Extent, ManifestItem } from "../format/manifest.ts"
import { type PackName, packKey } from "../format/names.ts"
import { blockBytes } from "../format/tar.ts"
import { fetchGapBytesMax, packsInFlightMax, segmentHeaderBytesMax, wholeSegmentBytesMax } from "../limits.ts"
import type { ExtractFile, ExtractResult, ExtractSegment, ExtractTask, OpenedRung } from "../stream/task.ts"
import { fetch } from "../vault/fetch.ts"
import { failoverTeller } from "./history.ts"
import type { PackNames } from "./select.ts"
import type { World } from "./world.ts"

/** A file to bring home, and what opens it. */
export interface Wanted {
  readonly id: number
  readonly item: ManifestItem
  readonly packs: PackNames
  /** Identities of its account. */
  readonly identities: readonly string[]
}

export type Retrieved =
  | { readonly outcome: "done" }
  /** No site has good bytes of it. */
  | { readonly outcome: "lost"; readonly rung: OpenedRung | "hashed"; readonly detail: string }
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
  /** Bytes fetched, by site. */
  readonly fetched = new Map<string, number>()

  constructor(world: World, options: RetrieveOptions) {
    this.#world = world
    this.#options = options
  }

  /** Every file given gets exactly one result. */
  async bring(files: readonly Wanted[]): Promise<void> {
    const queue = new PQueue({ concurrency: packsInFlightMax })
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
    let needs = all
    let rot: Rot = new Map()
    while (needs.length > 0) {
      let attempt: Attempt
      try {
        attempt = await this.#attempt(pack, needs, { exclude, affinity })
      } catch (error) {
        if (!(error instanceof VaultError)) throw error
        settled.push(...(await this.#withoutSite(pack, needs, { error, rot, affinity })))
        break
      }
      rot = new Map(attempt.rotten.map((result) => [result.id, result]))
      for (const { wanted } of needs) {
        const result = attempt.settled.get(wanted.id)
        if (result !== undefined) settled.push({ wanted, result })
      }
      needs = needs.filter(({ wanted }) => rot.has(wanted.id))
      exclude.add(attempt.site)
      const [first] = attempt.rotten
      if (first !== undefined) this.#tellRot(pack, attempt.site, first.detail, exclude)
    }
    return settled
  }

  // No site is left to ask. Where some had the pack, only not all of it, one part may still be good where another is not.
  async #withoutSite(pack: PackName, needs: readonly Need[], { error, rot, affinity }: Failure): Promise<Settled[]> {
    const [some, others] = isDamaged(error, rot) ? halves(needs) : [needs, []]
    if (others.length === 0) return needs.map(({ wanted }) => ({ wanted, result: lost(error, rot.get(wanted.id)) }))
    return [...(await this.#extract(pack, some, affinity)), ...(await this.#extract(pack, others, affinity))]
  }

  async #attempt(pack: PackName, needs: readonly Need[], { exclude, affinity }: AttemptOptions): Promise<Attempt> {
    const { vault, signal, pool } = this.#world
    const key = packKey(pack)
    const segments = segmentsFor(needs)
    const onFailover = failoverTeller(this.#world)
    const [first, ...others] = rangesFor(segments)
    if (first === undefined) throw new Error("nothing to fetch")
    // All runs of one attempt come from one site, so that rot can be laid at its door.
    const { site, bytes } = await fetch(vault, key, { range: first, exclude, signal, onFailover })
    const runs = [{ offset: first.offset, bytes }]
    const unread: { readonly range: Run; readonly error: VaultError }[] = []
    for (const range of others) {
      try {
        runs.push({ offset: range.offset, bytes: (await fetch(vault, key, { range, from: [site], signal })).bytes })
      } catch (error) {
        if (!(error instanceof VaultError)) throw error
        unread.push({ range, error })
      }
    }
    const rotten = segments.flatMap((segment) => {
      const failure = unread.find(({ range }) => runsOf(segment).some((run) => isWithin(run, range)))
      return failure === undefined ? [] : segment.needs.map(({ wanted }) => unreadable(wanted, failure.error))
    })
    const ids = new Set(rotten.map(({ id }) => id))
    const readable = segments.filter(({ needs: [need] }) => need !== undefined && !ids.has(need.wanted.id))
    const total = runs.reduce((sum, run) => sum + run.bytes.length, 0)
    this.fetched.set(site, (this.fetched.get(site) ?? 0) + total)
    const { target, owners } = this.#options
    const task: ExtractTask = { type: "extract", fetched: runs, segments: readable.map(extractSegment), target, owners, audit: false }
    const { files } = await (affinity === null ? pool.extract(task) : pool.extract(task, affinity))
    rotten.push(...files.filter((file) => file.outcome === "rotten"))
    return { site, rotten, settled: new Map(files.flatMap((file) => (file.outcome === "rotten" ? [] : [[file.id, settledOf(file)]]))) }
  }

  #tellRot(pack: PackName, site: string, detail: string, exclude: ReadonlySet<string>): void {
    const { sites, health } = this.#world.vault
    const next = health.order(sites).find(({ name }) => !exclude.has(name))?.name ?? null
    this.#world.tell({
      type: "failover",
      key: packKey(pack),
      site,
      message: `${site}: ${packKey(pack)} is rotten: ${detail}`,
      next,
    })
  }
}

interface AttemptOptions {
  readonly exclude: ReadonlySet<string>
  readonly affinity: number | null
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
  readonly affinity: number | null
}

/** What of one segment a file needs. */
interface Need {
  readonly wanted: Wanted
  readonly extents: readonly Extent[]
  readonly first: boolean
  readonly last: boolean
}

interface SegmentNeeds {
  readonly offset: number
  readonly length: number
  readonly needs: Need[]
}

function settledOf(file: Exclude<ExtractResult, { outcome: "rotten" }>): Retrieved {
  return file.outcome === "done" ? { outcome: "done" } : { outcome: "refused", code: file.code, detail: file.detail }
}

function lost(error: VaultError, rot: Rotten | undefined): Retrieved {
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

function isWithin(run: Run, range: Run): boolean {
  return range.offset <= run.offset && run.offset < range.offset + range.length
}

/** What lies in the first and in the second half of the segments; nothing in the second where there is only one. */
function halves(needs: readonly Need[]): readonly [readonly Need[], readonly Need[]] {
  const segments = segmentsFor(needs)
  const middle = segments.length >> 1
  if (middle === 0) return [needs, []]
  return [segments.slice(0, middle).flatMap((segment) => segment.needs), segments.slice(middle).flatMap((segment) => segment.needs)]
}

function segmentsIn(extents: readonly Extent[]): number {
  return inSegments(extents).length
}

/** A file's extents, grouped by the segments they lie in, in file order. */
function inSegments(extents: readonly Extent[]): Extent[][] {
  const groups: Extent[][] = []
  for (const extent of extents) {
    const last = groups.at(-1)
    const before = last?.[0]
    if (last !== undefined && before?.pack === extent.pack && before.segmentOffset === extent.segmentOffset) last.push(extent)
    else groups.push([extent])
  }
  return groups
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

function segmentsFor(needs: readonly Need[]): SegmentNeeds[] {
  const segments = new Map<string, SegmentNeeds>()
  for (const need of needs) {
    const [extent] = need.extents
    if (extent === undefined) continue
    // By its length too: a manifest that lies about one file's segment must not take along the others in it.
    const id = `${String(extent.segmentOffset)} ${String(extent.segmentLength)}`
    const segment = segments.get(id) ?? { offset: extent.segmentOffset, length: extent.segmentLength, needs: [] }
    segments.set(id, segment)
    segment.needs.push(need)
  }
  return [...segments.values()].toSorted((a, b) => a.offset - b.offset)
}

function extractSegment({ offset, length, needs }: SegmentNeeds): ExtractSegment {
  return { offset, length, identities: needs[0]?.wanted.identities ?? [], files: needs.map(extractFile) }
}

function extractFile({ wanted, extents, first, last }: Need): ExtractFile {
  const { item, id } = wanted
  if (item.sha256 === undefined) throw new FormatError("format/malformed", "manifest: a file without SHA-256")
  const { path, mode, mtimeNs, uid, gid } = item
  return { id, path, sha256: item.sha256, mode, mtimeNs, uid, gid, extents: extents.map(frameRange), first, last }
}

function frameRange({ frameOffset, frameLength, skip, length }: Extent) {
  return { frameOffset, frameLength, skip, length }
}

interface Run {
  readonly offset: number
  readonly length: number
}

/** The runs of a pack's bytes that hold what is needed of its segments, each with the tar header before its segment. */
function rangesFor(segments: readonly SegmentNeeds[]): Run[] {
  const runs = segments.flatMap(runsOf).toSorted((a, b) => a.offset - b.offset)
  const merged: { offset: number; length: number }[] = []
  for (const run of runs) {
    const last = merged.at(-1)
    if (last !== undefined && run.offset <= last.offset + last.length + fetchGapBytesMax) {
      last.length = Math.max(last.length, run.offset + run.length - last.offset)
    } else merged.push({ ...run })
  }
  return merged
}

const sealedChunkBytes = chunkBytes + tagBytes

function runsOf({ offset, length, needs }: SegmentNeeds): Run[] {
  const whole = [{ offset: offset - blockBytes, length: length + blockBytes }]
  if (length <= wholeSegmentBytesMax) return whole
  const head = { offset: offset - blockBytes, length: blockBytes + segmentHeaderBytesMax }
  const chunks = needs.flatMap(({ extents }) => extents.map((extent) => chunksOf(extent, offset, length)))
  const bytes = chunks.reduce((sum, run) => sum + run.length, 0)
  return bytes * 4 > length * 3 ? whole : [head, ...chunks]
}

// The header's length is not known yet, so the run is widened by as much as it can be.
function chunksOf({ frameOffset, frameLength }: Extent, segmentOffset: number, segmentLength: number): Run {
  const first = Math.floor(frameOffset / chunkBytes)
  const last = Math.floor((frameOffset + Math.max(1, frameLength) - 1) / chunkBytes)
  const start = Math.min(first * sealedChunkBytes, segmentLength)
  const end = Math.min((last + 1) * sealedChunkBytes + segmentHeaderBytesMax, segmentLength)
  return { offset: segmentOffset + start, length: end - start }
}
