import type { Catalog, Row } from "./catalog.ts"
import { nullable, numberOf, textOf } from "./rows.ts"

/** How far the scheduler is with a job. Times are milliseconds since 1970. */
export interface ScheduleProgress {
  readonly job: string
  /** Of which schedule these are due times. */
  readonly schedule: string
  /** Every due time up to here was run, or is remembered as missed. */
  readonly handled: number
  /** Of a run that was begun and has not ended; it may have been killed. */
  readonly begun: { readonly due: number; readonly at: number; readonly attempts: number } | null
}

const missedReasons = [
  "down", // nothing ran here then
  "running", // the run before had not ended
  "waiting", // its turn had not come before the next due time did
  "blackout", // no run starts then
  "killed", // its run was begun and did not survive
] as const

/** Why a due time was not run. */
export type MissedReason = (typeof missedReasons)[number]

export interface MissedDue {
  readonly first: number
  readonly last: number
  /** Null: too many to have been counted. */
  readonly count: number | null
  readonly reason: MissedReason
}

/** Rows of missed due times that are remembered of a job: those of one outage are one. */
const missedRowsMax = 100

export function scheduleProgress(catalog: Catalog): Map<string, ScheduleProgress> {
  return new Map(catalog.all("SELECT * FROM schedule").map((row) => [textOf(row, "job"), progressOf(row)]))
}

function progressOf(row: Row): ScheduleProgress {
  const due = nullable(row, "due", timeOf)
  const at = nullable(row, "begun", timeOf)
  return {
    job: textOf(row, "job"),
    schedule: textOf(row, "schedule"),
    handled: timeOf(row, "handled"),
    begun: due === null || at === null ? null : { due, at, attempts: numberOf(row, "attempts") },
  }
}

function timeOf(row: Row, column: string): number {
  return Date.parse(textOf(row, column))
}

function text(ms: number): string {
  return new Date(ms).toISOString()
}

/** Begins to count the due times of a schedule after a moment: what was before is none of it. */
export function beginSchedule(catalog: Catalog, job: string, { schedule, handled }: { schedule: string; handled: number }): void {
  const sql = "INSERT OR REPLACE INTO schedule (job, schedule, handled, due, begun, attempts) VALUES (?, ?, ?, NULL, NULL, 0)"
  catalog.run(sql, job, schedule, text(handled))
}

/** Sets down that a run for a due time begins now: before it does. */
export function beginDue(catalog: Catalog, job: string, begun: { due: number; at: number; attempts: number }): void {
  const sql = "UPDATE schedule SET due = ?, begun = ?, attempts = ? WHERE job = ?"
  catalog.run(sql, text(begun.due), text(begun.at), begun.attempts, job)
}

/** The run has ended, whatever came of it: its due time is not run again. */
export function endDue(catalog: Catalog, job: string, due: number): void {
  const sql = "UPDATE schedule SET handled = max(handled, ?2), due = NULL, begun = NULL, attempts = 0 WHERE job = ?1"
  catalog.run(sql, job, text(due))
}

/** The run has not been, after all: its due time is still to be run. */
export function giveBackDue(catalog: Catalog, job: string): void {
  catalog.run("UPDATE schedule SET due = NULL, begun = NULL, attempts = 0 WHERE job = ?", job)
}

/** Whether a run of the job that began at or after a moment has ended. */
export function hasEndedSince(catalog: Catalog, job: string, since: number): boolean {
  const sql = "SELECT 1 FROM run WHERE job = ? AND started >= ? AND ended IS NOT NULL LIMIT 1"
  return catalog.get(sql, job, text(since)) !== undefined
}

/** Remembers due times that are not run; those that follow the last ones, and for the same reason, are added to them. */
export function noteMissed(catalog: Catalog, job: string, { first, last, count, reason }: MissedDue): void {
  catalog.transaction(() => {
    const before = catalog.get("SELECT * FROM missed WHERE job = ? ORDER BY first DESC LIMIT 1", job)
    const progress = catalog.get("SELECT handled, due FROM schedule WHERE job = ?", job)
    const isNext = before?.reason === reason && before.last === progress?.handled && text(first) > textOf(before, "last")
    // A due time between them is being run.
    const isApart = isNext && typeof progress?.due === "string" && progress.due > textOf(before, "last")
    if (isNext && !isApart) {
      const sql = "UPDATE missed SET last = ?, count = count + ? WHERE job = ? AND first = ?"
      catalog.run(sql, text(last), count, job, textOf(before, "first"))
    } else {
      catalog.run(
        "INSERT OR REPLACE INTO missed (job, first, last, count, reason) VALUES (?, ?, ?, ?, ?)",
        job,
        text(first),
        text(last),
        count,
        reason,
      )
      const oldest = "SELECT first FROM missed WHERE job = ?1 ORDER BY first DESC LIMIT 1 OFFSET ?2"
      catalog.run(`DELETE FROM missed WHERE job = ?1 AND first < (${oldest})`, job, missedRowsMax)
    }
    catalog.run("UPDATE schedule SET handled = max(handled, ?2) WHERE job = ?1", job, text(last))
  })
}

/** What was missed of a job since a moment, oldest first. */
export function missedSince(catalog: Catalog, job: string, since: number): MissedDue[] {
  return catalog.all("SELECT * FROM missed WHERE job = ? AND last > ? ORDER BY first", job, text(since)).map((row) => ({
    first: timeOf(row, "first"),
    last: timeOf(row, "last"),
    count: nullable(row, "count", numberOf),
    reason: reasonOf(textOf(row, "reason")),
  }))
}

function reasonOf(word: string): MissedReason {
  for (const reason of missedReasons) if (reason === word) return reason
  throw new TypeError(`catalog: ${word} is no reason`)
}
