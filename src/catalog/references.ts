import type { MediaReference, ToldOfMedia } from "../source/source.ts"
import type { Catalog, Row } from "./catalog.ts"
import { blobOf, numberOf, textOf } from "./rows.ts"

/** Remembers rows of a dataset that point at media, and forgets what rows pointed at that were captured again; in the order given. */
export function rememberReferences(catalog: Catalog, dataset: string, told: readonly ToldOfMedia[]): void {
  // By itself SQLite would take the key of the table, and read all of the dataset for each row.
  const forget = "DELETE FROM reference INDEXED BY reference_row WHERE dataset = ? AND row_key = ? AND row_key <> x''"
  catalog.transaction(() => {
    for (const each of told) {
      if ("reference" in each) remember(catalog, dataset, each.reference)
      else catalog.run(forget, dataset, each.unreferenced)
    }
  })
}

function remember(catalog: Catalog, dataset: string, { path, files, row, stableId, day, ended }: MediaReference): void {
  const sql = "INSERT OR REPLACE INTO reference (dataset, path, files, row_key, stable_id, day, ended) VALUES (?, ?, ?, ?, ?, ?, ?)"
  catalog.run(sql, dataset, path, files, row, stableId, day, ended.toISOString())
}

/** Forgets references of days that no run looks at any more. */
export function forgetReferencesBefore(catalog: Catalog, dataset: string, day: string): void {
  catalog.run("DELETE FROM reference WHERE dataset = ? AND day < ?", dataset, day)
}

export interface LinkedDatasets {
  /** The dataset of the rows. */
  readonly from: string
  /** The dataset of the media. */
  readonly media: string
  /** The profile's names of where these media are; undefined: whatever rows point at. */
  readonly files: readonly string[] | undefined
  /** Event day from which on rows and media are looked at. */
  readonly since: string
}

/** How many media rows of a dataset point at, from an event day on; one that several rows of a call point at is one. */
export function countReferences(catalog: Catalog, linked: Omit<LinkedDatasets, "media">): number {
  const { from, since, files } = linked
  const sql = `SELECT count(*) AS n FROM (SELECT 1 FROM reference WHERE dataset = ?1 AND day >= ?2 AND ${ofFiles} GROUP BY path)`
  const row = catalog.get(sql, from, since, filesValue(files))
  return row === undefined ? 0 : numberOf(row, "n")
}

const ofFiles = "(?3 IS NULL OR files IN (SELECT value FROM json_each(?3)))"

function filesValue(files: readonly string[] | undefined): string | null {
  return files === undefined ? null : JSON.stringify(files)
}

/** The references that lead to no path that is kept, by path; of several rows that point at one, that of the call which ended last. */
export function* unresolvedReferences(catalog: Catalog, { from, media, since, files }: LinkedDatasets): Generator<MediaReference> {
  // SQLite takes the other columns from the row that has the maximum.
  const sql = `SELECT path, files, row_key, stable_id, day, max(ended) AS ended FROM reference
    WHERE dataset = ?1 AND day >= ?2 AND ${ofFiles}
    AND NOT EXISTS (SELECT 1 FROM item WHERE item.dataset = ?4 AND item.path = reference.path AND item.missing IS NULL)
    GROUP BY path ORDER BY path`
  for (const row of catalog.each(sql, from, since, filesValue(files), media)) yield referenceOf(row)
}

/** Something kept: where, and of which account. */
export interface KeptMedium {
  readonly path: Buffer
  readonly account: string
}

/** What of a dataset is kept at a path, or at the first few that begin with it. */
export function keptMedia(catalog: Catalog, dataset: string, path: Buffer, how: "exactly" | "beginning"): KeptMedium[] {
  // No file name holds this byte, and no name in UTF-8 does.
  const end = how === "exactly" ? path : Buffer.concat([path, Buffer.of(0xff)])
  const sql =
    "SELECT path, account FROM item WHERE dataset = ? AND path BETWEEN ? AND ? AND missing IS NULL AND type <> 'directory' LIMIT 8"
  return catalog.all(sql, dataset, path, end).map((row) => ({ path: blobOf(row, "path"), account: textOf(row, "account") }))
}

/** The paths of the files kept of an archive from an event day on, by day and path. */
export function* keptPathsSince(catalog: Catalog, dataset: string, since: string): Generator<Buffer> {
  const sql = "SELECT path FROM item WHERE dataset = ? AND day <> '' AND day >= ? AND type = 'file' AND missing IS NULL"
  for (const row of catalog.each(sql, dataset, since)) yield blobOf(row, "path")
}

/** How many kept files no reference leads to; `truncated`: of these, those whose header says that nothing closed them. */
export function countOrphans(
  catalog: Catalog,
  { from, media, since, files }: LinkedDatasets,
): { readonly files: number; readonly truncated: number } {
  // The paths come from the index alone; only of those that are left is the row itself read.
  const orphans = `SELECT path FROM item WHERE dataset = ?4 AND day <> '' AND day >= ?2 AND type = 'file' AND missing IS NULL
    AND NOT EXISTS (SELECT 1 FROM reference WHERE reference.dataset = ?1 AND reference.path = item.path AND ${ofFiles})`
  const sql = `SELECT count(*) AS files, coalesce(sum(instr(flags, '"truncated-header"') > 0), 0) AS truncated
    FROM item WHERE dataset = ?4 AND path IN (${orphans})`
  const row = catalog.get(sql, from, since, filesValue(files), media)
  return row === undefined ? { files: 0, truncated: 0 } : { files: numberOf(row, "files"), truncated: numberOf(row, "truncated") }
}

function referenceOf(row: Row): MediaReference {
  return {
    path: blobOf(row, "path"),
    files: textOf(row, "files"),
    row: blobOf(row, "row_key"),
    stableId: textOf(row, "stable_id"),
    day: textOf(row, "day"),
    ended: new Date(textOf(row, "ended")),
  }
}
