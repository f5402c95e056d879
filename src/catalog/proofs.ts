import type { Catalog } from "./catalog.ts"
import { textOf } from "./rows.ts"

/** How far the last verification of a dataset went: what `status` shows. */
export interface Proof {
  readonly dataset: string
  /** A rung of the ladder, or "none". */
  readonly rung: string
  readonly outcome: "ok" | "findings"
  readonly time: string
  readonly commit: string
}

export function rememberProof(catalog: Catalog, { dataset, rung, outcome, time, commit }: Proof): void {
  const sql = "INSERT INTO proof (dataset, rung, outcome, time, commit_sha) VALUES (?, ?, ?, ?, ?)"
  catalog.run(sql, dataset, rung, outcome, time, commit)
}

export function lastProof(catalog: Catalog, dataset: string): Proof | undefined {
  const row = catalog.get("SELECT * FROM proof WHERE dataset = ? ORDER BY time DESC LIMIT 1", dataset)
  if (row === undefined) return undefined
  const outcome = textOf(row, "outcome") === "ok" ? "ok" : "findings"
  return { dataset, rung: textOf(row, "rung"), outcome, time: textOf(row, "time"), commit: textOf(row, "commit_sha") }
}

/** Every commit that a verification of this host found whole, and how far it went. */
export function provenCommits(catalog: Catalog): { readonly commit: string; readonly rung: string }[] {
  const rows = catalog.all("SELECT DISTINCT commit_sha, rung FROM proof WHERE outcome = 'ok' AND rung <> 'none'")
  return rows.map((row) => ({ commit: textOf(row, "commit_sha"), rung: textOf(row, "rung") }))
}
