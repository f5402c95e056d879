import type { Catalog, Row } from "./catalog.ts"
import { nullable, numberOf, textOf } from "./rows.ts"

export interface RunRow {
  readonly number: number
  readonly id: string
  readonly job: string
  readonly started: string
  readonly ended: string | null
  readonly outcome: string | null
  /** The report as JSON. */
  readonly report: string | null
  /** The number of the lease under which it wrote. */
  readonly fence: number
}

export function beginRun(catalog: Catalog, run: Pick<RunRow, "id" | "job" | "started" | "fence">): number {
  catalog.run("INSERT INTO run (id, job, started, fence) VALUES (?, ?, ?, ?)", run.id, run.job, run.started, run.fence)
  const row = catalog.get("SELECT number FROM run WHERE id = ?", run.id)
  if (row === undefined) throw new Error("catalog: a run just begun is not there")
  return numberOf(row, "number")
}

export function endRun(
  catalog: Catalog,
  number: number,
  end: { readonly ended: string; readonly outcome: string; readonly report: string },
): void {
  catalog.transaction(() => {
    catalog.run("UPDATE run SET ended = ?, outcome = ?, report = ? WHERE number = ?", end.ended, end.outcome, end.report, number)
  }, "durable")
}

/** Newest first. */
export function listRuns(catalog: Catalog, options: { readonly job?: string; readonly limit: number }): RunRow[] {
  const rows =
    options.job === undefined
      ? catalog.all("SELECT * FROM run ORDER BY number DESC LIMIT ?", options.limit)
      : catalog.all("SELECT * FROM run WHERE job = ? ORDER BY number DESC LIMIT ?", options.job, options.limit)
  return rows.map(runOf)
}

/** When the newest run of a job began that captured all it was asked to. */
export function newestGood(catalog: Catalog, job: string): string | undefined {
  const row = catalog.get("SELECT started FROM run WHERE job = ? AND outcome = 'ok' ORDER BY number DESC LIMIT 1", job)
  return row === undefined ? undefined : textOf(row, "started")
}

/** Newest first, one by one. */
export function* runsOf(catalog: Catalog, job: string): Generator<RunRow> {
  for (const row of catalog.each("SELECT * FROM run WHERE job = ? ORDER BY number DESC", job)) yield runOf(row)
}

/** The newest run of any job, begun at or after a moment, that fits. */
export function findRunOf(catalog: Catalog, since: string, fits: (run: RunRow) => boolean): RunRow | undefined {
  for (const row of catalog.each("SELECT * FROM run WHERE started >= ? ORDER BY number DESC", since)) {
    const run = runOf(row)
    if (fits(run)) return run
  }
  return undefined
}

/** Newest first, all whose id begins so. */
export function findRuns(catalog: Catalog, idPrefix: string): RunRow[] {
  return catalog.all("SELECT * FROM run WHERE substr(id, 1, length(?1)) = ?1 ORDER BY number DESC LIMIT 20", idPrefix).map(runOf)
}

function runOf(row: Row): RunRow {
  return {
    number: numberOf(row, "number"),
    id: textOf(row, "id"),
    job: textOf(row, "job"),
    started: textOf(row, "started"),
    ended: nullable(row, "ended", textOf),
    outcome: nullable(row, "outcome", textOf),
    report: nullable(row, "report", textOf),
    fence: numberOf(row, "fence"),
  }
}
