import type { Catalog } from "./catalog.ts"
import { nullable, numberOf, textOf } from "./rows.ts"

/** How far a site was behind with a dataset when a run of it ended. */
export interface Lag {
  readonly site: string
  readonly dataset: string
  /** When the run ended. */
  readonly time: string
  /** Commits the site lacks; null where it could not say. */
  readonly commits: number | null
  /** When the oldest of them was written; null where none is lacking. */
  readonly since: string | null
}

export function rememberLag(catalog: Catalog, { site, dataset, time, commits, since }: Lag): void {
  const sql = "INSERT OR REPLACE INTO site_lag (site, dataset, time, commits, since) VALUES (?, ?, ?, ?, ?)"
  catalog.run(sql, site, dataset, time, commits, since)
}

export function rememberedLags(catalog: Catalog): Lag[] {
  return catalog.all("SELECT * FROM site_lag ORDER BY site, dataset").map((row) => ({
    site: textOf(row, "site"),
    dataset: textOf(row, "dataset"),
    time: textOf(row, "time"),
    commits: nullable(row, "commits", numberOf),
    since: nullable(row, "since", textOf),
  }))
}
