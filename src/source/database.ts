import { mkdtemp, rm } from "node:fs/promises"
import { join } from "node:path"
import { anyOf } from "../abort.ts"
import type { Database, SequenceValue, Snapshot } from "../database/database.ts"
import type { LeadPlace } from "../database/rows.ts"
import { sha256 } from "../digest.ts"
import { count } from "../units.ts"
import { accountPath } from "./account-path.ts"
import { type AccountPart, AccountRows } from "./account-rows.ts"
import { Fingerprints } from "./fingerprints.ts"
import { lostTables } from "./lost-tables.ts"
import { byLead } from "./merge.ts"
import { PieceNames } from "./piece-names.ts"
import type { RowPiece } from "./row-pieces.ts"
import { runsOf } from "./run-frames.ts"
import type { CaptureOptions, Found, Source, SourceItem } from "./source.ts"
import { RowSpool, type TableLines } from "./spool.ts"
import { planTables, type TableOwner, type TablePlan, type TablePlans } from "./tables.ts"
import type { Tenancy } from "./tenancy.ts"

export interface DatabaseSourceSettings {
  /** The database's name in the configuration. */
  readonly name: string
  readonly tenancy: Tenancy
  /** by account: rows split by customer; whole: one dump in the server's own format, under `mixed`. */
  readonly ways: readonly ("accounts" | "whole")[]
  /** Tables read at once: as many connections. */
  readonly readers: number
}

/** A larger table is not copied to this host's disk first; an account has a piece of its own for it. */
const spooledBytesMax = 256 * 1024 ** 2
export type OpenDatabase = (options: { readonly scratch: string; readonly signal: AbortSignal }) => Promise<Database>

/**
 * A database as of one moment: each account's rows as items of its own, with their fingerprints, and where it is wanted the whole as its
 * server's own dump. Every table must be in a line of the tenancy map. A server that goes away fails the source: what was read is no
 * snapshot then.
 */
export function databaseSource(settings: DatabaseSourceSettings, open: OpenDatabase): Source {
  return { description: `database ${settings.name}`, capture: (options) => capture(settings, open, options) }
}

async function* capture(settings: DatabaseSourceSettings, open: OpenDatabase, options: CaptureOptions): AsyncGenerator<Found> {
  await using database = await open(options)
  await using snapshot = await database.snapshot({ readers: settings.readers })
  const work = new DatabaseCapture(settings, database, snapshot, options)
  yield* work.found()
}

class DatabaseCapture {
  readonly #settings: DatabaseSourceSettings
  readonly #database: Database
  readonly #snapshot: Snapshot
  readonly #options: CaptureOptions
  readonly #fingerprints = new Fingerprints()
  readonly #names = new PieceNames()

  constructor(settings: DatabaseSourceSettings, database: Database, snapshot: Snapshot, options: CaptureOptions) {
    this.#settings = settings
    this.#database = database
    this.#snapshot = snapshot
    this.#options = options
  }

  async *found(): AsyncGenerator<Found> {
    const { ways, tenancy, name } = this.#settings
    const plans = planTables(tenancy, await this.#snapshot.tables(), `database ${name}`)
    for (const detail of this.#snapshot.notes) yield { note: { kind: "snapshot", path: Buffer.alloc(0), detail } }
    const { largeObjects } = await this.#database.about()
    if (largeObjects > 0 && !ways.includes("whole"))
      yield { note: { kind: "large-objects", path: Buffer.alloc(0), detail: `${String(largeObjects)} large objects are in no table` } }
    if (ways.includes("accounts")) {
      for (const { name: path, why } of plans.ignored) yield { note: { kind: "not-covered", path: Buffer.from(path), detail: why } }
      yield this.#stream("platform", this.#database.kind === "postgres" ? "schema.dump" : "schema.sql", (signal) =>
        this.#snapshot.schema(signal),
      )
      yield* this.#rows(plans.captured)
      yield* this.#accountFingerprints()
      yield* this.#lostTables(plans)
      yield await this.#description(plans)
    }
    if (ways.includes("whole"))
      yield this.#stream("mixed", this.#database.kind === "postgres" ? "whole.dump" : "whole.sql", (signal) => this.#snapshot.whole(signal))
  }

  /**
   * Each account's rows together, whatever table they are in: small tables are read into files first, a few at a time, and these side by
   * side. A large table is read alone, and not copied.
   */
  async *#rows(plans: readonly TablePlan[]): AsyncGenerator<Found> {
    const byName = plans.toSorted((a, b) => (a.name < b.name ? -1 : 1))
    const small = byName.filter(({ table }) => table.bytesEstimate <= spooledBytesMax)
    // Not one that a run left behind which was killed.
    const folder = await mkdtemp(join(this.#options.scratch, "rows-"))
    try {
      await this.#spool(small, folder)
      const tables = small.map((plan, index) => ({ table: plan, runs: runsOf(join(folder, String(index))) }))
      const rows = new AccountRows(this.#fingerprints, this.#names)
      for (const { table, run } of byLead(tables)) for (const part of rows.add(table, run)) yield this.#found(part)
      for (const part of rows.end()) yield this.#found(part)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
    await using spool = new RowSpool()
    for (const plan of byName.filter((one) => !small.includes(one))) {
      const rows = new AccountRows(this.#fingerprints, this.#names)
      for await (const run of spool.runs(this.#lines(plan, this.#options.signal)))
        for (const part of rows.add(plan, run)) yield this.#found(part)
      for (const part of rows.end()) yield this.#found(part)
    }
  }

  async #spool(plans: readonly TablePlan[], folder: string): Promise<void> {
    const stop = new AbortController()
    const signal = anyOf(stop.signal, this.#options.signal)
    // The largest first: none is left to be read alone at the end.
    const waiting = [...plans.entries()].toSorted(([, a], [, b]) => b.table.bytesEstimate - a.table.bytesEstimate)
    await using spool = new RowSpool()
    const reader = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const [index, plan] = next
        await spool.write(join(folder, String(index)), this.#lines(plan, signal))
      }
    }
    const readers = Array.from({ length: this.#settings.readers }, reader)
    try {
      await Promise.all(readers)
    } catch (error) {
      // The others end before their files are removed.
      waiting.length = 0
      stop.abort(error)
      await Promise.allSettled(readers)
      throw error
    }
  }

  #found(part: AccountPart): Found {
    if ("piece" in part) return { item: this.#bytes(part.stableId, accountPath(part.stableId, "rows", part.name), part.piece) }
    if ("names" in part) return { account: part }
    const detail = `${part.table}: ${count(part.rows, "row")} of no account`
    return { note: { kind: "unattributed", path: Buffer.from(part.table), detail } }
  }

  #lines(plan: TablePlan, signal: AbortSignal): TableLines {
    return { chunks: this.#read(plan, signal), leads: leadsOf(plan), what: plan.name }
  }

  #read(plan: TablePlan, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const { table, columns, owner } = plan
    const names = columns.map(({ name }) => name)
    const own = ownLead(plan)
    if (own !== null) return this.#snapshot.rows({ table, lead: [], columns: names, order: [names[own] ?? "", ...table.key] }, signal)
    const lead = owner.kind === "one" ? [] : [owner.lead]
    return this.#snapshot.rows({ table, lead, columns: names, order: table.key }, signal)
  }

  *#accountFingerprints(): Generator<Found> {
    for (const { stableId, tables } of this.#fingerprints.accounts()) {
      const json = { v: 1, tables: Object.fromEntries(tables.map(({ table, rows, sum }) => [table, { rows, sum }])) }
      yield { item: this.#json(stableId, accountPath(stableId, "fingerprint.json"), json) }
    }
  }

  /** A table that had rows when it was last captured and has none now. */
  *#lostTables({ captured }: TablePlans): Generator<Found> {
    const counts = captured.map(({ name }) => [name, this.#fingerprints.total(name).rows] as const)
    yield* lostTables(counts, this.#options)
  }

  async #description(plans: TablePlans): Promise<Found> {
    const { kind } = this.#database
    const [about, sequences] = await Promise.all([this.#database.about(), this.#snapshot.sequences()])
    const tables = plans.captured.map(({ table, name, columns, owner }) => {
      const total = this.#fingerprints.total(name)
      return {
        ...{ schema: table.schema, name: table.name, key: table.key, owner: shownOwner(owner), rows: total.rows, sum: total.digest() },
        columns: columns.map((column) => ({ name: column.name, type: column.type })),
      }
    })
    return {
      item: this.#json("platform", Buffer.from("database.json"), { v: 1, kind, about, tables, sequences: sequences.map(shownSequence) }),
    }
  }

  #json(stableId: string, path: Buffer, value: unknown): SourceItem {
    const bytes = Buffer.from(`${JSON.stringify(value, null, 1)}\n`)
    return this.#bytes(stableId, path, { bytes, sha256: sha256(bytes) })
  }

  #bytes(stableId: string, path: Buffer, { bytes, sha256: digest }: Pick<RowPiece, "bytes" | "sha256">): SourceItem {
    return { ...this.#item(stableId, path), size: bytes.length, content: { kind: "bytes", bytes, sha256: digest } }
  }

  #stream(stableId: string, name: string, open: (signal: AbortSignal) => AsyncIterable<Uint8Array>): Found {
    return { item: { ...this.#item(stableId, Buffer.from(name)), size: null, content: { kind: "stream", open } } }
  }

  #item(stableId: string, path: Buffer): Omit<SourceItem, "size" | "content"> {
    const mtimeNs = BigInt(this.#options.now.getTime()) * 1_000_000n
    return { stableId, day: "", path, type: "file", mtimeNs, mode: 0o600, uid: 0, gid: 0, compressible: true, flags: [] }
  }
}

function shownOwner(owner: TableOwner) {
  if (owner.kind === "one" || owner.lead.kind !== "value") return owner
  return { kind: "column", column: owner.lead.column, via: owner.lead.via, ofNull: owner.ofNull }
}

function leadsOf(plan: TablePlan): LeadPlace {
  const field = ownLead(plan)
  if (field !== null) return { field }
  return plan.owner.kind === "one" ? 0 : 1
}

/**
 * Where among a row's own fields its account stands, if it need not come before them: a uuid is written in one way, and sorted as it is
 * written. That saves the server and this host a fifth of the bytes.
 */
function ownLead({ table, columns, owner }: TablePlan): number | null {
  if (owner.kind === "one" || owner.lead.kind !== "value" || owner.lead.via.length > 0 || table.key.length === 0) return null
  const { column } = owner.lead
  const at = columns.findIndex(({ name, type }) => name === column && type === "uuid")
  return at === -1 ? null : at
}

function shownSequence({ name, value, called }: SequenceValue) {
  return { name, value: String(value), called }
}
