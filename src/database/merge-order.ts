import { JobError } from "../errors.ts"
import type { TargetReference, TargetTable } from "./loader.ts"

/** In which order tables take rows, and which foreign keys cannot be followed by any order. */
export interface MergeOrder {
  readonly tables: readonly TargetTable[]
  /** By table: columns that are NULL at first, and set once every table has its rows. */
  readonly late: ReadonlyMap<TargetTable, readonly string[]>
}

/**
 * Parents before children. Where tables lead to each other in a circle, it is opened at a key that can be checked at the end of the
 * transaction, or whose columns can be NULL until then. Throws a JobError with the names where neither is possible.
 */
export function mergeOrder(tables: readonly TargetTable[], checksAfterStatement: boolean): MergeOrder {
  const late = new Map<TargetTable, readonly string[]>()
  const opened = new Set<TargetReference>()
  const ordered: TargetTable[] = []
  for (const table of tables) {
    for (const reference of table.references) {
      if (parentOf(reference, tables) !== table || reference.deferrable || checksAfterStatement) continue
      openAt(table, reference, late)
      opened.add(reference)
    }
  }
  let left = [...tables]
  while (left.length > 0) {
    const waits = (table: TargetTable): readonly TargetReference[] =>
      table.references.filter((reference) => !opened.has(reference) && ![table, undefined].includes(parentOf(reference, left)))
    const ready = left.filter((table) => waits(table).length === 0)
    ordered.push(...ready)
    left = left.filter((table) => !ready.includes(table))
    if (ready.length > 0 || left.length === 0) continue
    const [table, reference] = circleEnd(left, waits)
    if (!reference.deferrable) openAt(table, reference, late)
    opened.add(reference)
  }
  return { tables: ordered, late }
}

/** The table that a foreign key leads to, where it is one of these. */
export function parentOf<T extends { readonly schema: string; readonly name: string }>(
  reference: TargetReference,
  tables: readonly T[],
): T | undefined {
  return tables.find(({ schema, name }) => schema === reference.schema && name === reference.table)
}

type Waits = (table: TargetTable) => readonly TargetReference[]

/** Where a circle is best opened: a table that only waits for what leads to one is in none, so this follows the keys until one repeats. */
function circleEnd(left: readonly TargetTable[], waits: Waits): readonly [TargetTable, TargetReference] {
  const edges = circle(left, waits)
  const best =
    edges.find(([, { deferrable }]) => deferrable) ??
    edges.find(([table, reference]) => nullable(table, reference).length > 0 && table.key.length > 0) ??
    null
  if (best !== null) return best
  const names = edges.map(([table, reference]) => `${table.schema}.${table.name} ${reference.name}`)
  throw circular(names)
}

function circle(left: readonly TargetTable[], waits: Waits): readonly (readonly [TargetTable, TargetReference])[] {
  const path: (readonly [TargetTable, TargetReference])[] = []
  let table = left[0]
  while (table !== undefined) {
    const at: TargetTable = table
    const met = path.findIndex(([one]) => one === at)
    if (met !== -1) return path.slice(met)
    const [reference] = waits(at)
    if (reference === undefined) break
    path.push([at, reference])
    table = parentOf(reference, left)
  }
  return path
}

function openAt(table: TargetTable, reference: TargetReference, late: Map<TargetTable, readonly string[]>): void {
  const columns = nullable(table, reference)
  if (columns.length === 0 || table.key.length === 0) throw circular([`${table.schema}.${table.name} ${reference.name}`])
  late.set(table, [...new Set([...(late.get(table) ?? []), ...columns])])
}

/** One column without a value is enough for a key not to be checked; those of the primary key stay. */
function nullable(table: TargetTable, { columns }: TargetReference): readonly string[] {
  return columns.filter((column) => table.columns.some(({ name, nullable: may }) => name === column && may) && !table.key.includes(column))
}

function circular(names: readonly string[]): JobError {
  return new JobError("job/target", `foreign keys that lead in a circle and can neither wait nor be empty: ${names.join(", ")}`, {
    hint: "make one of them DEFERRABLE or its column nullable, and restore again",
  })
}
