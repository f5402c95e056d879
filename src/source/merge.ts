import type { RowRun } from "../database/rows.ts"

/** Rows of one table on their way, in the order of their lead fields. */
export interface TableRows<T> {
  readonly table: T
  readonly runs: Iterator<RowRun>
}

/** Some rows of one table. */
export interface TableRun<T> {
  readonly table: T
  readonly run: RowRun
}

/**
 * Reads several tables side by side, lead by lead, and within a lead table by table: what belongs to one account comes together. NULL
 * ("\\N") comes last. A table whose leads are in another order than bytes costs order, nothing else.
 */
export function* byLead<T>(tables: readonly TableRows<T>[]): Generator<TableRun<T>> {
  const heads = tables.map(({ table, runs }) => ({ table, runs, head: runs.next() }))
  let lead: string | null = null
  for (const { head } of heads) if (head.done !== true) lead = earlier(lead, head.value.lead)
  while (lead !== null) {
    let next: string | null = null
    for (const one of heads) {
      for (; one.head.done !== true && one.head.value.lead === lead; one.head = one.runs.next())
        yield { table: one.table, run: one.head.value }
      if (one.head.done !== true) next = earlier(next, one.head.value.lead)
    }
    lead = next
  }
}

const nullField = "\\N"

function earlier(known: string | null, lead: string): string {
  if (known === null || known === nullField) return lead
  return lead !== nullField && lead < known ? lead : known
}
