import type { Database } from "../database/database.ts"
import { RowSum, rowRuns } from "../database/rows.ts"
import type { FingerprintDifference } from "../report/database-restore.ts"
import { stableIdOfLead } from "../source/tables.ts"
import { type Fingerprint, type KeptFiles, type KeptTable, leadOf, tableName } from "./database-files.ts"
import { inParallel } from "./database-parallel.ts"

/** Rows and their sum by table and account. */
export type Prints = ReadonlyMap<string, ReadonlyMap<string, RowSum>>

/** Reads tables back and sums up what each account has, as the capture did: with its rights, from one snapshot. */
export async function readPrints(
  database: Database,
  tables: readonly KeptTable[],
  options: { readonly readers: number; readonly signal: AbortSignal },
): Promise<Prints> {
  await using snapshot = await database.snapshot({ readers: options.readers })
  const prints = new Map<string, ReadonlyMap<string, RowSum>>()
  await inParallel(tables, options.readers, async (table) => {
    const lead = leadOf(table)
    const { owner } = table
    const accounts = new Map<string, RowSum>()
    const columns = table.columns.map(({ name }) => name)
    const rows = snapshot.rows({ table, lead: lead === null ? [] : [lead], columns }, options.signal)
    for await (const run of rowRuns(rows, lead === null ? 0 : 1, tableName(table))) {
      const account = owner.kind === "one" ? owner.stableId : stableIdOfLead(run.lead, owner.ofNull)
      const sum = accounts.get(account) ?? new RowSum()
      accounts.set(account, sum)
      sum.join(run.sum)
    }
    prints.set(tableName(table), accounts)
  })
  return prints
}

const shownMax = 100

/** Collects what differs: all is counted, the first are named. */
export class Differences {
  readonly shown: FingerprintDifference[] = []
  count = 0

  /** Compares one account's part of a table, or with `null` all of it. */
  compare(table: string, account: string | null, kept: Fingerprint | undefined, there: RowSum | undefined): void {
    const rowsKept = kept?.rows ?? 0
    const rowsThere = there?.rows ?? 0
    if (rowsKept === rowsThere && (rowsKept === 0 || kept?.sum === there?.digest())) return
    this.count += 1
    if (this.shown.length < shownMax) this.shown.push({ table, account, rowsKept, rowsThere })
  }
}

/** Compares whole tables and each account's part of them with what was captured. */
export async function compareAll(files: KeptFiles, tables: readonly KeptTable[], prints: Prints, differences: Differences): Promise<void> {
  for (const table of tables) differences.compare(tableName(table), null, table, total(prints.get(tableName(table))))
  for (const account of await files.accounts()) {
    const kept = await files.fingerprint(account)
    if (kept === null) continue
    for (const table of tables.map(tableName)) differences.compare(table, account, kept.get(table), prints.get(table)?.get(account))
  }
}

function total(accounts: ReadonlyMap<string, RowSum> | undefined): RowSum {
  const sum = new RowSum()
  for (const one of accounts?.values() ?? []) sum.join(one)
  return sum
}
