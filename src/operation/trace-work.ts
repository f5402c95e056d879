import { existsSync } from "node:fs"
import { mkdtemp, rm } from "node:fs/promises"
import { join } from "node:path"
import { traceBatchBytes } from "../limits.ts"
import type { FoundCall, SearchedTable } from "../report/trace.ts"
import { count } from "../units.ts"
import { type ChosenItem, itemsOf, type Loss } from "./contents.ts"
import type { Snapshot } from "./history.ts"
import { RestoreWork } from "./restore-work.ts"
import type { SnapshotPartition } from "./select.ts"
import { numberColumns } from "./trace-number.ts"
import { type CallPiece, type CallTable, parseCallPiece } from "./trace-piece.ts"
import type { TracePlaces } from "./trace-places.ts"
import { type CallFilter, type RowReader, readerOf } from "./trace-row.ts"
import { callsOf, type PieceFile } from "./trace-scan.ts"
import { TableDescriptions } from "./trace-tables.ts"
import type { World } from "./world.ts"

export interface TraceWorkOptions {
  readonly filter: CallFilter
  readonly scratch: string
  readonly places: TracePlaces
}

interface ChosenPiece extends ChosenItem {
  readonly piece: CallPiece
}

/** A search under way: what it fetches lies in the scratch directory only while it is read. */
export class TraceWork {
  readonly losses: Loss[] = []
  readonly #world: World
  readonly #options: TraceWorkOptions
  readonly #searched = new Map<string, SearchedTable>()
  readonly #left = new Set<string>()
  readonly #snapshots = new Set<Snapshot>()
  #partitions = 0
  #pieces = 0
  #rows = 0
  #bytes = 0

  constructor(world: World, options: TraceWorkOptions) {
    this.#world = world
    this.#options = options
  }

  get counts() {
    return {
      ...{ snapshots: this.#snapshots.size, partitions: this.#partitions, pieces: this.#pieces, rows: this.#rows, bytes: this.#bytes },
      searched: [...this.#searched.values()],
      left: [...this.#left].toSorted(),
    }
  }

  /** The calls of a dataset's partitions, some days at a time, oldest first. `snapshots`: all of the dataset, for what describes its tables. */
  async *search(dataset: string, snapshots: readonly Snapshot[], partitions: readonly SnapshotPartition[]): AsyncGenerator<FoundCall[]> {
    const { places } = this.#options
    const bring = (items: readonly ChosenItem[], directory: string) => this.#bring(items, directory)
    const tables = new TableDescriptions(places, snapshots, bring, this.#options.scratch)
    for (const batch of batchesOf(partitions, places)) {
      this.#world.signal.throwIfAborted()
      const pieces = await this.#list(batch)
      await tables.learn(new Set(pieces.map(({ piece }) => piece.description)))
      const readers = this.#readersOf(dataset, pieces, tables)
      const wanted = pieces.filter(({ piece }) => readers.has(readerKey(piece)))
      const calls = await this.#read(dataset, wanted, readers)
      if (calls.length > 0) yield calls.toSorted(byTime)
    }
  }

  async #list(partitions: readonly SnapshotPartition[]): Promise<ChosenPiece[]> {
    const contents = { ...this.#options.places.contents(), losses: this.losses }
    // Of several pieces of one path, captured again after a memory was lost, the newest is as whole as any.
    const byPath = new Map<string, ChosenPiece>()
    for (const partition of partitions) {
      this.#partitions += 1
      this.#snapshots.add(partition.snapshot)
      for await (const item of itemsOf(contents, partition)) {
        const piece = parseCallPiece(item.path)
        if (piece === null) continue
        if (item.missing !== undefined) {
          const what = `a piece of ${piece.table} of ${piece.day}`
          this.losses.push({ what, detail: `missing when it was captured: ${item.missing.reason}`, files: 1, unreachable: false })
          continue
        }
        const known = byPath.get(`${partition.snapshot.commit.body.agent} ${item.path.toString("latin1")}`)
        if (known !== undefined && known.partition.snapshot.entry.storedAt > partition.snapshot.entry.storedAt) continue
        byPath.set(`${partition.snapshot.commit.body.agent} ${item.path.toString("latin1")}`, { item, partition, piece })
      }
      this.#tell()
    }
    return [...byPath.values()]
  }

  /** How the rows of each table are read; none for tables whose columns hold no number, unless that is so of all. */
  #readersOf(dataset: string, pieces: readonly ChosenPiece[], tables: TableDescriptions): ReadonlyMap<string, RowReader> {
    const known = new Map<string, { readonly piece: CallPiece; readonly table: CallTable | null }>()
    for (const { piece } of pieces) known.set(readerKey(piece), { piece, table: tables.get(piece) })
    const telling = [...known.values()].some(({ table }) => table === null || numberColumns(table.columns).length > 0)
    const readers = new Map<string, RowReader>()
    for (const [key, { piece, table }] of known) {
      const reader = readerOf(table, { anyField: !telling })
      if (reader.indexes?.length === 0) {
        this.#left.add(piece.table)
        continue
      }
      readers.set(key, reader)
      const columns = (reader.indexes ?? []).flatMap((index) => table?.columns[index]?.name ?? [])
      this.#searched.set(`${dataset} ${piece.table}`, { dataset, table: piece.table, columns })
    }
    return readers
  }

  async #read(dataset: string, pieces: readonly ChosenPiece[], readers: ReadonlyMap<string, RowReader>): Promise<FoundCall[]> {
    const calls: FoundCall[] = []
    // Two agents may keep pieces of the same path: each gets a directory of its own.
    for (const [agent, own] of Map.groupBy(pieces, ({ partition }) => partition.snapshot.commit.body.agent)) {
      const directory = await mkdtemp(join(this.#options.scratch, "pieces-"))
      try {
        await this.#bring(own, directory)
        this.#pieces += own.length
        for (const files of Map.groupBy(own, tableAndDay).values()) {
          calls.push(...(await this.#scan(dataset, agent, files, { directory, readers })))
        }
      } finally {
        await rm(directory, { recursive: true, force: true })
      }
    }
    return calls
  }

  async #scan(
    dataset: string,
    agent: string,
    pieces: readonly ChosenPiece[],
    { directory, readers }: { readonly directory: string; readonly readers: ReadonlyMap<string, RowReader> },
  ): Promise<FoundCall[]> {
    const files = pieces.map(({ item, partition, piece }): PieceFile => {
      const { snapshot, line } = partition
      const path = item.path.toString()
      const kept = { run: snapshot.commit.body.run, sites: snapshot.entry.sites, path }
      return { piece, reader: readers.get(readerKey(piece)), file: join(directory, path), account: line.account, kept }
    })
    // What could not be brought home is a loss already.
    const there = files.filter(({ file }) => existsSync(file))
    const { calls, rows } = await callsOf(there, this.#options.filter, this.#world.signal)
    this.#rows += rows
    return calls.map((call) => ({ dataset, agent, ...call }))
  }

  /** Brings items home into a directory, as a restore does: only with the SHA-256 that their manifests say. */
  async #bring(items: readonly ChosenItem[], directory: string): Promise<void> {
    if (items.length === 0) return
    const { places } = this.#options
    const expected = { files: items.length, bytes: items.reduce((sum, { item }) => sum + item.size, 0) }
    // The progress of the parts is not that of the search.
    const world: World = { ...this.#world, tell: (event) => (event.type === "progress" ? undefined : this.#world.tell(event)) }
    const work = new RestoreWork(world, { root: directory, owners: false, resuming: false }, expected)
    try {
      await work.bring(places.contents(), items)
      await work.flush()
      await work.settled()
      work.finish()
    } finally {
      await this.#world.pool.abandon()
      work.close()
    }
    const { lost, unreachable, refused, fetched, lostCount, unreachableCount, refusedCount } = work.outcome()
    this.#bytes += fetched.reduce((sum, { bytes }) => sum + bytes, 0)
    const named = [...lost, ...unreachable, ...refused]
    const unnamed = lostCount + unreachableCount + refusedCount - named.length
    if (unnamed > 0) this.losses.push({ what: count(unnamed, "more piece"), detail: "as those before", files: unnamed, unreachable: false })
    for (const { path, detail } of named) {
      const piece = parseCallPiece(Buffer.from(path))
      const what = piece === null ? "the description of a table" : `a piece of ${piece.table} of ${piece.day}`
      this.losses.push({ what, detail, files: 1, unreachable: false })
    }
  }

  #tell(): void {
    const progress = { phase: "searching", files: this.#partitions, bytes: this.#bytes, unchanged: 0, noun: "partition" }
    this.#world.tell({ type: "progress", progress })
  }
}

function readerKey({ table, description, kind }: CallPiece): string {
  return `${kind} ${description} ${table}`
}

function tableAndDay({ piece }: ChosenPiece): string {
  return JSON.stringify([piece.stableId, piece.table, piece.day])
}

/**
 * Partitions in groups that are fetched together, oldest day first: about so many bytes, and never half of one customer's day, as a later
 * piece may say what became of a row of an earlier one.
 */
function* batchesOf(partitions: readonly SnapshotPartition[], places: TracePlaces): Generator<SnapshotPartition[]> {
  const days = Map.groupBy(partitions, ({ line }) => JSON.stringify([line.partition, places.customerOf(line.account)]))
  let batch: SnapshotPartition[] = []
  let bytes = 0
  for (const [, ofDay] of [...days].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const more = ofDay.reduce((sum, { line }) => sum + line.bytes, 0)
    if (batch.length > 0 && bytes + more > traceBatchBytes) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(...ofDay)
    bytes += more
  }
  if (batch.length > 0) yield batch
}

function byTime(a: FoundCall, b: FoundCall): number {
  const [left, right] = [a.time ?? a.day, b.time ?? b.day]
  return left < right ? -1 : left > right ? 1 : 0
}
