import { hash } from "node:crypto"
import type { ManifestItem } from "../format/manifest.ts"
import { type ChosenItem, type Contents, type ContentsRequest, itemsOf } from "./contents.ts"
import { itemFilter, type SnapshotPartition } from "./select.ts"

/** Items given at once: a partition of a million is never in memory whole. */
const givenItems = 2048

/** Lists that are fetched at once: those of a site far away come one after the other otherwise. */
const listsAhead = 8

/** What a restore brings home from one partition, or from a part of it. */
export interface Homecoming {
  readonly items: readonly ChosenItem[]
  /** Older items of paths that something else is restored under: of another agent, account or day, and with other bytes. */
  readonly displaced: readonly Displaced[]
}

export interface Displaced {
  readonly item: ManifestItem
  readonly detail: string
}

/**
 * Everything wanted, one item per path: of several, the newest, whichever account, day or agent it was captured for. What is missing is
 * given last, and only where no snapshot has it.
 */
export async function* homecomings(contents: Contents, request: ContentsRequest): AsyncGenerator<Homecoming> {
  const age = new Map(contents.snapshots.map((snapshot, index) => [snapshot, index]))
  const ageOf = ({ snapshot }: SnapshotPartition) => age.get(snapshot) ?? 0
  const groups = new Map(contents.groups.flatMap((group, index) => group.map((partition) => [partition, index] as const)))
  const wanted = itemFilter(request, contents.newest.commit.body.mode)
  const sorting: Sorting = { contents, wanted, paths: new MetPaths(), missing: new Map() }
  // Newest first: then a path that was met before is decided, and no manifest has to be read twice.
  const inOrder = [...groups].toSorted(([a], [b]) => ageOf(b) - ageOf(a))
  for (const [index, [partition, group]] of inOrder.entries()) {
    contents.listings.begin(inOrder.slice(index, index + listsAhead).map(([next]) => next))
    yield* sorted(sorting, partition, group)
  }
  const { missing, paths } = sorting
  yield { items: [...missing].filter(([path]) => !paths.has(path)).map(([, chosen]) => chosen), displaced: [] }
}

interface Sorting {
  readonly contents: Contents
  readonly wanted: (item: ManifestItem) => boolean
  readonly paths: MetPaths
  readonly missing: Map<string, ChosenItem>
}

async function* sorted(
  { contents, wanted, paths, missing }: Sorting,
  partition: SnapshotPartition,
  group: number,
): AsyncGenerator<Homecoming> {
  const items: ChosenItem[] = []
  const displaced: Displaced[] = []
  for await (const item of itemsOf(contents, partition)) {
    if (!wanted(item)) continue
    const path = item.path.toString("latin1")
    if (item.missing !== undefined) {
      // A directory that could not be listed is not in a later run; what is in it is.
      if (!paths.isAbove(path) && !missing.has(path)) missing.set(path, { item, partition })
      continue
    }
    const met = paths.meet(path, item, group)
    if (met === null) items.push({ item, partition })
    else if (met.differs) displaced.push({ item, detail: displacedBy(partition, contents.groups[met.group]?.[0] ?? partition) })
    if (items.length + displaced.length >= givenItems) yield { items: items.splice(0), displaced: displaced.splice(0) }
  }
  yield { items, displaced }
}

function displacedBy({ snapshot }: SnapshotPartition, by: SnapshotPartition): string {
  const { time, agent, dataset } = snapshot.commit.body
  const winner = by.snapshot.commit.body.agent
  if (winner === agent) return `captured ${time} for another account or day; a later capture of the same path is restored`
  return `captured ${time} by ${agent}; a later capture by ${winner} is restored: ask for ${agent}/${dataset} in a directory of its own`
}

/** Two numbers in one: the group a path was met in, and enough of its content's hash to tell another one. */
const contentValues = 2 ** 24
/** A Map holds 16 million entries. */
const shards = 256

/** The paths met so far, at about 100 bytes each, and all that is above them. */
class MetPaths {
  readonly #met = Array.from({ length: shards }, () => new Map<string, number>())
  readonly #gone = new Set<string>()
  readonly #above = new Set<string>()

  /** Null where nothing stands in the item's way; otherwise what does, and whether bytes are lost by it. */
  meet(path: string, item: ManifestItem, group: number): { readonly differs: boolean; readonly group: number } | null {
    const goneHere = `${String(group)} ${path}`
    if (item.gone === true) this.#gone.add(goneHere)
    if (this.#gone.has(goneHere)) return { differs: false, group }
    const key = keyOf(path)
    const content = contentOf(item)
    const met = this.#shard(key).get(key)
    if (met !== undefined) {
      const metIn = Math.floor(met / contentValues)
      return { differs: metIn !== group && met % contentValues !== content, group: metIn }
    }
    this.#shard(key).set(key, group * contentValues + content)
    for (let end = path.lastIndexOf("/"); end > 0; end = path.lastIndexOf("/", end - 1)) {
      const above = path.slice(0, end)
      if (this.#above.has(above)) break
      this.#above.add(above)
    }
    return null
  }

  has(path: string): boolean {
    const key = keyOf(path)
    return this.#shard(key).has(key)
  }

  isAbove(path: string): boolean {
    return this.#above.has(path)
  }

  #shard(key: string): Map<string, number> {
    const shard = this.#met[key.charCodeAt(0) % shards]
    if (shard === undefined) throw new RangeError("no such shard")
    return shard
  }
}

// Half a SHA-256: no two paths have the same.
function keyOf(path: string): string {
  return hash("sha256", Buffer.from(path, "latin1"), "buffer").toString("latin1", 0, 16)
}

function contentOf({ type, size, sha256, link }: ManifestItem): number {
  const said = `${type} ${String(size)} ${sha256 ?? ""} ${link?.toString("latin1") ?? ""}`
  return hash("sha256", said, "buffer").readUIntBE(0, 3)
}
