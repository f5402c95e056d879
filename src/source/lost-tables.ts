import type { CaptureOptions, SourceNote } from "./source.ts"

/**
 * Tables that held rows and hold none, of all that a run counted: each run says so again, until the table is filled or a person accepted
 * it. What is remembered is held by `database.json`, which every run yields.
 */
export function* lostTables(
  counts: Iterable<readonly [name: string, rows: number]>,
  { memory, now, emptyAccepted }: CaptureOptions,
): Generator<{ readonly note: SourceNote }> {
  const tables = [...counts].map(([name, rows]) => ({ name, rows, key: Buffer.from(name) }))
  const before = memory.recall(
    collection,
    tables.map(({ key }) => key),
  )
  const remembered: (readonly [Uint8Array, Uint8Array])[] = []
  for (const [index, { name, rows, key }] of tables.entries()) {
    const { had, since } = parsed(before[index] ?? null)
    const accepted = since !== undefined && emptyAccepted !== undefined && new Date(since) <= emptyAccepted
    const lost = rows === 0 && had > 0 && !accepted
    const when = since === undefined ? "" : ` since ${since}`
    if (lost) yield { note: { kind: "emptied", path: key, detail: `${name}: holds no row${when}, and held ${String(had)} before` } }
    remembered.push([key, Buffer.from(lost ? `${String(had)} ${since ?? now.toISOString()}` : String(rows))])
  }
  memory.remember(collection, remembered, { path: Buffer.from("database.json"), day: "" })
}

const collection = "table-rows"

/** How many rows a table held when it last held any, and since when it holds none. */
function parsed(value: Uint8Array | null): { readonly had: number; readonly since: string | undefined } {
  const [had = "0", since] = Buffer.from(value ?? [])
    .toString()
    .split(" ")
  return { had: Number(had), since }
}
