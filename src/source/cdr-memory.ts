import { hash } from "node:crypto"
import { z } from "zod"
import { utcDay } from "../clock.ts"
import { unlistedPackDaysMax } from "../limits.ts"
import { cutOf } from "./cdr-pieces.ts"
import type { CdrRow } from "./cdr-rows.ts"
import type { CdrPlan } from "./cdr-table.ts"
import type { SourceMemory } from "./source.ts"

const dayMs = 86_400_000

/**
 * What a run reads of a table. everything: all its rows. compare: the rows that came or changed in the window, held against what is
 * remembered. recent: those since the last run, with an overlap.
 */
export interface Pass {
  readonly kind: "everything" | "compare" | "recent"
  /** Rows with a moment at or after this; null for all. */
  readonly from: Date | null
  /** The cut of this run: later than that of every run before it. */
  readonly cut: string
}

/** How a run over a table ended, remembered as held by its own small item: a run of which that was not kept moved nothing on. */
const recordSchema = z.object({
  /** When its snapshot was. */
  read: z.number(),
  /** When the last snapshot was whose whole window was read. */
  compared: z.number(),
  /** Pieces of rows older than the window, cut on `since` or later. */
  old: z.number(),
  since: z.string(),
  /** The latest moment of any row read so far; null where there was none. */
  newest: z.number().nullable(),
  /** Since when rows are missing that should be there; absent where they are not. */
  emptied: z.number().optional(),
})
type RunRecord = z.infer<typeof recordSchema>

/** What a pass over a table came to. */
interface EndedRun {
  readonly oldPieces: number
  readonly newestMs: number
  readonly emptiedMs: number | null
}

/**
 * A pack that no commit lists may be lost for so long after it was captured. A compare looks back this much further than the window, so
 * that it still meets the rows of a piece that was lost after they left it.
 */
const lateMs = (unlistedPackDaysMax + 1) * dayMs
/** Moments are read without their time zones. */
const zoneMs = 2 * dayMs

/**
 * What is remembered of one table. Four collections: each row of the window, held by its piece; each row without any moment, which is of
 * no window, for ever; each piece of older rows by its content, held by itself, for rows too many to be remembered one by one; and how
 * the last runs ended.
 */
export class CdrMemory {
  readonly #memory: SourceMemory
  readonly #plan: CdrPlan
  readonly #now: Date
  readonly #rows: string
  readonly #undated: string
  readonly #pieces: string
  readonly #runs: string
  readonly #last: { readonly cut: string; readonly record: RunRecord } | null
  /** Pieces of old rows that were kept when the run began. */
  #oldKept = 0

  constructor(memory: SourceMemory, plan: CdrPlan, now: Date) {
    this.#memory = memory
    this.#plan = plan
    this.#now = now
    // Rows told apart by other columns are other rows: nothing remembered before counts.
    const table = `${plan.name} ${hash("sha256", plan.key.map((index) => plan.columns[index]).join("\0"), "hex").slice(0, 8)}`
    this.#rows = `cdr-row ${table}`
    this.#undated = `cdr-undated ${table}`
    this.#pieces = `cdr-piece ${table}`
    this.#runs = `cdr-run ${table}`
    this.#last = this.#lastRun()
  }

  /** Whether a run over this table ended before. */
  get isKnown(): boolean {
    return this.#last !== null
  }

  /**
   * Since when rows are missing that a pass which met none should have met, in milliseconds: it was read so far back that they are in it,
   * or the last that was had met none either. Null where nothing is missing.
   */
  emptiedMs({ kind, from }: Pass): number | null {
    const { newest = null, emptied } = this.#last?.record ?? {}
    if (kind === "recent") return emptied ?? null
    const missing = newest !== null && (from === null || newest >= from.getTime() + zoneMs)
    return missing ? (emptied ?? this.#now.getTime()) : null
  }

  /** Decides what to read, and forgets what no run will ask for again. */
  pass(compareMs: number): Pass {
    const now = this.#now.getTime()
    const last = this.#last
    const cut = cutOf(new Date(Math.max(now, last === null ? 0 : momentOf(last.cut) + 1000)))
    if (last === null) {
      this.#oldKept = this.#oldPieces(this.#forgettable)
      return { kind: "everything", from: null, cut }
    }
    const { read, compared, old, since } = last.record
    // A clock that was wrong once must not put off what is due.
    if (compared <= now && now - compared < compareMs) {
      return { kind: "recent", from: new Date(Math.min(read, now) - this.#plan.overlapMs), cut }
    }
    this.#memory.forgetBefore(this.#rows, since)
    this.#memory.forgetBefore(this.#pieces, since)
    this.#memory.forgetBefore(this.#runs, dayOfCut(last.cut))
    this.#oldKept = this.#oldPieces(this.#forgettable)
    if (this.#oldPieces(since) < old) return { kind: "everything", from: null, cut }
    return { kind: "compare", from: new Date(Math.min(compared, now) - this.#plan.windowMs - lateMs), cut }
  }

  /** Whether a row is older than the window: its piece is then remembered as a whole. */
  isOld({ latestMs, undated }: CdrRow): boolean {
    return !undated && latestMs < this.#now.getTime() - this.#plan.windowMs
  }

  /** Whether a row is remembered one by one: a later run will read it again. */
  isRemembered(row: CdrRow, pass: Pass): boolean {
    return pass.kind !== "everything" || row.undated || row.latestMs >= this.#now.getTime() - this.#plan.windowMs - lateMs - zoneMs
  }

  recall(rows: readonly CdrRow[]): (Uint8Array | null)[] {
    const keys = rows.map(({ key }) => key)
    const known = this.#memory.recall(this.#rows, keys)
    if (!rows.some(({ undated }) => undated)) return known
    const undated = this.#memory.recall(this.#undated, keys)
    return rows.map((row, index) => (row.undated ? undated : known)[index] ?? null)
  }

  /** Whether a piece of old rows with this content is kept. */
  isPieceKept(content: Buffer): boolean {
    return this.#memory.recall(this.#pieces, [content])[0] !== null
  }

  /** Remembers what a piece holds: its rows, and itself where they are old. */
  remember(path: Buffer, cut: string, held: { readonly rows: readonly CdrRow[]; readonly content: Buffer | null }): void {
    const at = { path, day: dayOfCut(cut) }
    const [dated, undated] = [false, true].map((none) => held.rows.filter((row) => row.undated === none))
    if (dated !== undefined && dated.length > 0) this.#memory.remember(this.#rows, pairs(dated), at)
    if (undated !== undefined && undated.length > 0) this.#memory.remember(this.#undated, pairs(undated), at)
    if (held.content !== null) this.#memory.remember(this.#pieces, [[held.content, Buffer.from(at.day)]], at)
  }

  /** Remembers that a run ended, as held by its own item. */
  rememberRun(path: Buffer, pass: Pass, run: EndedRun): void {
    const now = this.#now.getTime()
    const before = pass.kind === "recent" ? this.#last?.record : undefined
    const newest = Math.max(Math.min(run.newestMs, now), this.#last?.record.newest ?? Number.NEGATIVE_INFINITY)
    const record: RunRecord = {
      read: now,
      compared: before?.compared ?? now,
      old: (before?.old ?? this.#oldKept) + run.oldPieces,
      since: before?.since ?? this.#forgettable,
      newest: Number.isFinite(newest) ? newest : null,
      ...(run.emptiedMs !== null && { emptied: run.emptiedMs }),
    }
    const at = { path, day: dayOfCut(pass.cut) }
    this.#memory.remember(this.#runs, [[Buffer.from(pass.cut), Buffer.from(JSON.stringify(record))]], at)
    const until = (record.newest ?? 0) + this.#plan.windowMs
    this.#memory.remember(tablesKnown, [[Buffer.from(this.#plan.name), Buffer.from(String(until))]], at)
  }

  /** What was captured before this day is never read again. */
  get #forgettable(): string {
    return utcDay(new Date(this.#now.getTime() - this.#plan.windowMs - lateMs - zoneMs))
  }

  #oldPieces(since: string): number {
    let pieces = 0
    for (const [, day] of this.#memory.entries(this.#pieces, new Uint8Array())) if (Buffer.from(day).toString() >= since) pieces += 1
    return pieces
  }

  #lastRun(): { readonly cut: string; readonly record: RunRecord } | null {
    let last: { readonly cut: string; readonly record: RunRecord } | null = null
    for (const [key, value] of this.#memory.entries(this.#runs, new Uint8Array())) {
      last = { cut: Buffer.from(key).toString(), record: recordSchema.parse(JSON.parse(Buffer.from(value).toString())) }
    }
    return last
  }
}

/** Of each table, until when it has rows of its window, and since when it is gone. */
const tablesKnown = "cdr-table"

export interface GoneTable {
  readonly table: string
  /** Until when it would have rows of its window. */
  readonly untilMs: number
  /** When a run first found it gone; null where this one does. */
  readonly sinceMs: number | null
}

/** Tables that are gone although they had rows of their window. */
export function tablesGone(memory: SourceMemory, plans: readonly CdrPlan[], now: Date): GoneTable[] {
  const here = new Set(plans.map(({ name }) => name))
  return [...memory.entries(tablesKnown, new Uint8Array())]
    .map(([table, value]) => {
      const [until = "", since] = Buffer.from(value).toString().split(" ")
      return { table: Buffer.from(table).toString(), untilMs: Number(until), sinceMs: since === undefined ? null : Number(since) }
    })
    .filter(({ table, untilMs }) => untilMs >= now.getTime() && !here.has(table))
}

/** Remembers since when a table is gone, as held by an item of its own. */
export function rememberGone(memory: SourceMemory, { table, untilMs }: GoneTable, path: Buffer, now: Date): void {
  const value = Buffer.from(`${String(untilMs)} ${String(now.getTime())}`)
  memory.remember(tablesKnown, [[Buffer.from(table), value]], { path, day: utcDay(now) })
}

function* pairs(rows: readonly CdrRow[]): Generator<readonly [Uint8Array, Uint8Array]> {
  for (const { key, value } of rows) yield [key, value]
}

function momentOf(cut: string): number {
  return Date.parse(cut.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"))
}

function dayOfCut(cut: string): string {
  return `${cut.slice(0, 4)}-${cut.slice(4, 6)}-${cut.slice(6, 8)}`
}
