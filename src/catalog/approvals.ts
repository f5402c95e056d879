import { z } from "zod"
import { sha256 } from "../digest.ts"
import type { Catalog } from "./catalog.ts"
import { textOf } from "./rows.ts"

/** An approval as a control commit recorded it. */
export interface StoredApproval {
  readonly statement: string
  readonly signatures: readonly string[]
  /** Since when a site had it. */
  readonly storedAt: Date
}

export function rememberApproval(catalog: Catalog, { statement, signatures, storedAt }: StoredApproval): void {
  const sql = "INSERT OR IGNORE INTO approval (sha256, statement, signatures, stored_at) VALUES (?, ?, ?, ?)"
  const signed = JSON.stringify(signatures)
  catalog.run(sql, sha256(`${statement}\n${signed}`), statement, signed, storedAt.toISOString())
}

/** Oldest first. Their signatures are checked again by whoever reads them. */
export function rememberedApprovals(catalog: Catalog): StoredApproval[] {
  return catalog.all("SELECT * FROM approval ORDER BY stored_at, sha256").map((row) => ({
    statement: textOf(row, "statement"),
    signatures: z.array(z.string()).parse(JSON.parse(textOf(row, "signatures"))),
    storedAt: new Date(textOf(row, "stored_at")),
  }))
}
