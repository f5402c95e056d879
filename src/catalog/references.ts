import type { MediaReference } from "../source/source.ts"
import type { Catalog, Row } from "./catalog.ts"
import { blobOf, numberOf, textOf } from "./rows.ts"

/** Remembers rows of a dataset that point at media. A row captured again takes the place of what it pointed at before. */
export function rememberReferences(catalog: Catalog, dataset: string, references: readonly MediaReference[]): void {
  catalog.transaction(() => {
    const sql = "INSERT OR REPLACE INTO reference (dataset, path, stable_id, day, ended) VALUES (?, ?, ?, ?, ?)"
    for (const { path, stableId, day, ended } of references) catalog.run(sql, dataset, path, stableId, day, ended.toISOString())
  })
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
  /** Event day from which on rows and media are looked at. */
  readonly since: string
}

/** How many references of a dataset there are from an event day on. */
export function countReferences(catalog: Catalog, { from, since }: Omit<LinkedDatasets, "media">): number {
  const row = catalog.get("SELECT count(*) AS n FROM reference WHERE dataset = ? AND day >= ?", from, since)
  return row === undefined ? 0 : numberOf(row, "n")
}

/** The references that lead to no path that is kept, by path. */
export function* unresolvedReferences(catalog: Catalog, { from, media, since }: LinkedDatasets): Generator<MediaReference> {
  const sql = `SELECT * FROM reference WHERE dataset = ? AND day >= ?
    AND NOT EXISTS (SELECT 1 FROM item WHERE item.dataset = ? AND item.path = reference.path AND item.missing IS NULL) ORDER BY path`
  for (const row of catalog.each(sql, from, since, media)) yield referenceOf(row)
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
  { from, media, since }: LinkedDatasets,
): { readonly files: number; readonly truncated: number } {
  // The paths come from the index alone; only of those that are left is the row itself read.
  const orphans = `SELECT path FROM item WHERE dataset = ?1 AND day <> '' AND day >= ?2 AND type = 'file' AND missing IS NULL
    AND NOT EXISTS (SELECT 1 FROM reference WHERE reference.dataset = ?3 AND reference.path = item.path)`
  const sql = `SELECT count(*) AS files, coalesce(sum(instr(flags, '"truncated-header"') > 0), 0) AS truncated
    FROM item WHERE dataset = ?1 AND path IN (${orphans})`
  const row = catalog.get(sql, media, since, from)
  return row === undefined ? { files: 0, truncated: 0 } : { files: numberOf(row, "files"), truncated: numberOf(row, "truncated") }
}

function referenceOf(row: Row): MediaReference {
  return {
    path: blobOf(row, "path"),
    stableId: textOf(row, "stable_id"),
    day: textOf(row, "day"),
    ended: new Date(textOf(row, "ended")),
  }
}
