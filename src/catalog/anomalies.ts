import { z } from "zod"
import type { Catalog, Row } from "./catalog.ts"
import { nullable, numberOf, textOf } from "./rows.ts"

/** What a run of this host found that may be damage, as its log has it, or will. */
export interface RememberedAnomaly {
  readonly id: string
  readonly dataset: string
  readonly kind: string
  readonly time: string
  readonly numbers: Readonly<Record<string, number>>
  /** When a person lifted it; null while it is open. */
  readonly lifted: string | null
  /** Whether a site has it. Before that only this host knows of it. */
  readonly recorded: boolean
}

export function rememberAnomaly(catalog: Catalog, { id, dataset, kind, time, numbers, lifted, recorded }: RememberedAnomaly): void {
  const sql = "INSERT OR REPLACE INTO anomaly (id, dataset, kind, time, numbers, state, lifted) VALUES (?, ?, ?, ?, ?, ?, ?)"
  catalog.run(sql, id, dataset, kind, time, JSON.stringify(numbers), !recorded ? 0 : lifted === null ? 1 : 2, lifted)
}

/** Oldest first: of one dataset, or of all. */
export function rememberedAnomalies(catalog: Catalog, dataset?: string): RememberedAnomaly[] {
  const sql = "SELECT * FROM anomaly WHERE ? IS NULL OR dataset = ? ORDER BY time, id"
  return catalog.all(sql, dataset ?? null, dataset ?? null).map(anomalyOf)
}

const numbersSchema = z.record(z.string(), z.number())

function anomalyOf(row: Row): RememberedAnomaly {
  return {
    id: textOf(row, "id"),
    dataset: textOf(row, "dataset"),
    kind: textOf(row, "kind"),
    time: textOf(row, "time"),
    numbers: numbersSchema.parse(JSON.parse(textOf(row, "numbers"))),
    lifted: nullable(row, "lifted", textOf),
    recorded: numberOf(row, "state") > 0,
  }
}

/** The files of one event day that an archive keeps. */
export interface DayKept {
  readonly files: number
  /** Of these, captured by the run that was asked about. */
  readonly captured: number
}

/** What is kept of an archive's files, by day, from an event day on. */
export function keptByDay(catalog: Catalog, dataset: string, since: string, run: number): Map<string, DayKept> {
  const sql = `SELECT day, count(*) AS files, sum(run = ?) AS captured FROM item
    WHERE dataset = ? AND day <> '' AND day >= ? AND type = 'file' AND missing IS NULL GROUP BY day`
  const rows = catalog.all(sql, run, dataset, since)
  return new Map(rows.map((row) => [textOf(row, "day"), { files: numberOf(row, "files"), captured: numberOf(row, "captured") }]))
}

/** How many files of each day the source of an archive held when it was last read whole. */
export function rememberedPresence(catalog: Catalog, dataset: string): Map<string, number> {
  const rows = catalog.all("SELECT day, files FROM presence WHERE dataset = ?", dataset)
  return new Map(rows.map((row) => [textOf(row, "day"), numberOf(row, "files")]))
}

/** Of how many recent files how many went or changed since a moment. */
export interface Upheaval {
  readonly since: string
  readonly files: number
  readonly lost: number
}

export function rememberedUpheaval(catalog: Catalog, dataset: string): Upheaval | undefined {
  const row = catalog.get("SELECT since, files, lost FROM upheaval WHERE dataset = ?", dataset)
  return row === undefined ? undefined : { since: textOf(row, "since"), files: numberOf(row, "files"), lost: numberOf(row, "lost") }
}

/** Takes the place of what was remembered; without an upheaval the next one begins anew. */
export function rememberPresence(catalog: Catalog, dataset: string, days: ReadonlyMap<string, number>, upheaval: Upheaval | null): void {
  catalog.transaction(() => {
    for (const table of ["presence", "upheaval"]) catalog.run(`DELETE FROM ${table} WHERE dataset = ?`, dataset)
    for (const [day, files] of days) catalog.run("INSERT INTO presence (dataset, day, files) VALUES (?, ?, ?)", dataset, day, files)
    if (upheaval === null) return
    const { since, files, lost } = upheaval
    catalog.run("INSERT INTO upheaval (dataset, since, files, lost) VALUES (?, ?, ?, ?)", dataset, since, files, lost)
  })
}
