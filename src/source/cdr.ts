import { createHash, hash } from "node:crypto"
import type { Snapshot, Table } from "../database/database.ts"
import { rowRuns } from "../database/rows.ts"
import { JobError } from "../errors.ts"
import { count, formatSize } from "../units.ts"
import { CdrMemory, type GoneTable, type Pass, rememberGone, tablesGone } from "./cdr-memory.ts"
import { bytesItem, cdrPiecePath, cutOf, descriptionPath, runRecordPath } from "./cdr-pieces.ts"
import { cdrReferences, referenceRow } from "./cdr-references.ts"
import { type CdrRow, cdrRows, isKept } from "./cdr-rows.ts"
import { type CdrPlace, type CdrPlan, placeOf, planCdrTable, rowsQuery } from "./cdr-table.ts"
import type { OpenDatabase } from "./database.ts"
import { cdrTablesOf, databaseOf, type Profile } from "./profile.ts"
import type { CaptureOptions, Found, Source } from "./source.ts"

export interface CdrSourceSettings {
  /** The database's name in the configuration. */
  readonly name: string
  /** What the job made of its profile, and the database there that this one is. */
  readonly profile: Profile
  readonly database: string
  /** Of dates that do not say otherwise. */
  readonly timezone: string
  /** After so long the whole window of a table is read again and held against what is remembered. */
  readonly compareMs: number
}

/** How often a job that says nothing reads the whole window again. */
export const cdrCompareMsDefault = 24 * 3_600_000

/** Between two rows of one account and day, what is captured is cut here: small enough to be fetched for one call. */
const pieceBytesTarget = 2 * 1024 * 1024

/**
 * The call detail records of a database in archive mode: each run reads, from one snapshot, the rows of each table that came or changed
 * lately, once a day those of the whole window, and the first time all; what is not kept as it is becomes a new piece of its account and
 * day. Nothing moves on before all of a table was read, and what is remembered counts only while its piece is kept, so that a run that
 * broke off, or whose pieces were lost, is made good by the next. A row that is deleted stays kept. Rejects where the server goes away,
 * and with a ConfigError where the rules do not fit a table.
 */
export function cdrSource(settings: CdrSourceSettings, open: OpenDatabase): Source {
  return { description: `call detail records of database ${settings.name}`, capture: (options) => capture(settings, open, options) }
}

async function* capture(settings: CdrSourceSettings, open: OpenDatabase, options: CaptureOptions): AsyncGenerator<Found> {
  await using database = await open(options)
  await using snapshot = await database.snapshot({ readers: 1 })
  for (const detail of snapshot.notes) yield { note: { kind: "snapshot", path: Buffer.alloc(0), detail } }
  const plans = planned(settings, await snapshot.tables())
  for (const gone of tablesGone(options.memory, plans, options.now)) yield* goneFound(gone, options)
  for (const plan of plans) yield* new TableCapture(plan, settings, snapshot, options).found()
}

function* goneFound(gone: GoneTable, { memory, now, emptyAccepted }: CaptureOptions): Generator<Found> {
  const { table, sinceMs } = gone
  if (!isAccepted(sinceMs, emptyAccepted)) {
    yield {
      note: { kind: "emptied", path: Buffer.from(table), detail: `${table}: had call detail records of these days and is not there` },
    }
  }
  if (sinceMs !== null) return
  const path = runRecordPath(table, cutOf(now))
  rememberGone(memory, gone, path, now)
  const bytes = Buffer.from(`${JSON.stringify({ v: 1, table, gone: now.toISOString() }, null, 1)}\n`)
  yield { item: bytesItem(bytes, { stableId: "platform", day: now.toISOString().slice(0, 10), path, now }) }
}

function isAccepted(sinceMs: number | null, emptyAccepted: Date | undefined): boolean {
  return sinceMs !== null && emptyAccepted !== undefined && sinceMs <= emptyAccepted.getTime()
}

function planned({ name, profile, database, timezone }: CdrSourceSettings, tables: readonly Table[]): CdrPlan[] {
  const { single } = databaseOf(profile, database)
  const media = ({ files }: { readonly files: string }) => profile.files?.[files]?.path ?? "/"
  const known = new Map(tables.map((table) => [`${table.schema}.${table.name}`, table]))
  const chosen = cdrTablesOf(profile, database, [...known.keys()])
  if (chosen.length === 0) {
    throw new JobError("job/source", `database ${name}: holds none of the tables of call detail records that ${profile.platform} has`, {
      hint: "check the database's name, what its role may read, and `cdrs` of the profile",
    })
  }
  return chosen.flatMap(({ table, rules }) => {
    const found = known.get(table)
    return found === undefined ? [] : [planCdrTable(found, rules, { single, timezone, media })]
  })
}

/** Rows on their way into one item. */
interface OpenPiece {
  readonly lead: string
  readonly place: CdrPlace
  /** Whether the piece is remembered as a whole. */
  readonly old: boolean
  readonly rows: CdrRow[]
  /** Of these, rows with media of which an earlier image is kept. */
  readonly again: Set<CdrRow>
  bytes: number
}

class TableCapture {
  readonly #plan: CdrPlan
  readonly #options: CaptureOptions
  readonly #snapshot: Snapshot
  readonly #memory: CdrMemory
  readonly #pass: Pass
  /** Of one lead at most two: rows of the window and older ones. */
  readonly #open = new Map<boolean, OpenPiece>()
  #rows = 0
  #captured = 0
  #pieces = 0
  #oldPieces = 0
  #newestMs = Number.NEGATIVE_INFINITY

  constructor(plan: CdrPlan, settings: CdrSourceSettings, snapshot: Snapshot, options: CaptureOptions) {
    this.#plan = plan
    this.#options = options
    this.#snapshot = snapshot
    this.#memory = new CdrMemory(options.memory, plan, options.now)
    this.#pass = this.#memory.pass(settings.compareMs)
  }

  async *found(): AsyncGenerator<Found> {
    const query = rowsQuery(this.#plan, this.#pass.from, { undated: this.#pass.kind === "compare" })
    const lines = this.#snapshot.rows(query, this.#options.signal)
    for await (const batch of cdrRows(rowRuns(lines, query.lead.length, this.#plan.name), this.#plan)) {
      for (const { lead, bytes } of batch.tooLong) yield this.#tooLong(lead, bytes)
      yield* this.#new(batch.rows)
    }
    yield* this.#close()
    yield* this.#ended()
  }

  *#new(rows: readonly CdrRow[]): Generator<Found> {
    this.#rows += rows.length
    const asked = rows.filter((row) => this.#memory.isRemembered(row, this.#pass))
    const remembered = new Map(this.#memory.recall(asked).map((value, index) => [asked[index], value]))
    for (const row of rows) {
      this.#newestMs = Math.max(this.#newestMs, row.latestMs)
      const known = remembered.get(row) ?? null
      if (!isKept(row, known, this.#plan)) yield* this.#add(row, { again: known !== null })
    }
  }

  *#add(row: CdrRow, { again }: { readonly again: boolean }): Generator<Found> {
    const old = this.#memory.isOld(row)
    const [first] = this.#open.values()
    if (first !== undefined && first.lead !== row.lead) yield* this.#close()
    let piece = this.#open.get(old)
    if (piece !== undefined && piece.bytes > 0 && piece.bytes + row.line.length > pieceBytesTarget) {
      yield* this.#send(piece)
      piece = undefined
    }
    if (piece === undefined) {
      piece = { lead: row.lead, place: placeOf(row.lead, this.#plan, this.#options.memory), old, rows: [], again: new Set(), bytes: 0 }
      this.#open.set(old, piece)
    }
    piece.rows.push(row)
    // Without a key it is another row, and what the old one said stays.
    if (again && this.#plan.media.length > 0 && this.#plan.key.length > 0) piece.again.add(row)
    piece.bytes += row.line.length
  }

  *#close(): Generator<Found> {
    for (const piece of this.#open.values()) yield* this.#send(piece)
    this.#open.clear()
  }

  *#send({ lead, place, old, rows, again }: OpenPiece): Generator<Found> {
    const { name, description } = this.#plan
    const { now } = this.#options
    const { stableId, day = null } = place
    const bytes = Buffer.concat(rows.map(({ line }) => line))
    const whole = old ? createHash("sha256").update(`${lead}\n${description.columns}\n`).update(bytes).digest() : null
    if (whole !== null && this.#memory.isPieceKept(whole)) return
    this.#pieces += 1
    if (whole !== null) this.#oldPieces += 1
    this.#captured += rows.length
    if (this.#pieces === 1) yield this.#description()
    const cutDay = now.toISOString().slice(0, 10)
    const at = { stableId, table: name, day: day ?? cutDay, cut: this.#pass.cut, number: this.#pieces, description: description.short }
    const content = hash("sha256", bytes, "hex").slice(0, 16)
    const path = cdrPiecePath({ ...at, content })
    this.#memory.remember(path, this.#pass.cut, { rows: rows.filter((row) => this.#memory.isRemembered(row, this.#pass)), content: whole })
    yield { item: bytesItem(bytes, { stableId, day: at.day, path, now }) }
    if (place.unattributed)
      yield { note: { kind: "unattributed", path, detail: `${name}: ${count(rows.length, "row")} of no known account` } }
    for (const row of rows) {
      if (again.has(row)) yield { unreferenced: referenceRow(row, this.#plan) }
      for (const reference of cdrReferences(row, { ...place, day: at.day }, this.#plan)) yield { reference }
    }
  }

  // Each day's runs say again what their pieces are made of, so that it is kept for as long as they are.
  #description(): Found {
    const { name, description } = this.#plan
    const { now } = this.#options
    const path = descriptionPath(name, description.short)
    return { item: bytesItem(description.bytes, { stableId: "platform", day: now.toISOString().slice(0, 10), path, now }) }
  }

  #tooLong(lead: string, bytes: number): Found {
    const { stableId, day } = placeOf(lead, this.#plan, this.#options.memory)
    const { now } = this.#options
    const detail = `${this.#plan.name}: a row of ${formatSize(bytes)} is larger than any that a piece can hold`
    const path = Buffer.from(`tables/${this.#plan.name}`)
    return { miss: { stableId, day: day ?? now.toISOString().slice(0, 10), path, reason: "failed", detail } }
  }

  /** What moves the next run on; nothing does where nothing was new and the window not read. */
  *#ended(): Generator<Found> {
    const { name, description } = this.#plan
    const { now } = this.#options
    const { cut, kind, from } = this.#pass
    const emptiedMs = this.#rows === 0 ? this.#memory.emptiedMs(this.#pass) : null
    if (emptiedMs !== null && !isAccepted(emptiedMs, this.#options.emptyAccepted)) {
      yield { note: { kind: "emptied", path: Buffer.from(name), detail: `${name}: had rows of these days and has none now` } }
    }
    if (this.#pieces === 0 && kind === "recent") return
    const path = runRecordPath(name, cut)
    const read = { read: now.toISOString(), pass: kind, from: from?.toISOString() ?? null, description: description.short }
    const record = { v: 1, table: name, cut, ...read, rows: this.#rows, captured: this.#captured, pieces: this.#pieces }
    this.#memory.rememberRun(path, this.#pass, { oldPieces: this.#oldPieces, newestMs: this.#newestMs, emptiedMs })
    const bytes = Buffer.from(`${JSON.stringify(record, null, 1)}\n`)
    yield { item: bytesItem(bytes, { stableId: "platform", day: now.toISOString().slice(0, 10), path, now }) }
  }
}
