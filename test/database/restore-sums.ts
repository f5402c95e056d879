import { RowSum } from "../../src/database/rows.ts"

/** The fingerprint of lines. */
export function rowSumOf(lines: Buffer): { readonly rows: number; readonly sum: string } {
  const sum = new RowSum()
  for (const line of lines.toString("latin1").split("\n").slice(0, -1)) sum.add(Buffer.from(line, "latin1"))
  return { rows: sum.rows, sum: sum.digest() }
}
