import type { FoundCall, KeptAt } from "../report/trace.ts"
import { type CallPiece, type CallRow, csvRows, fieldOf, identityOf, tsvRows } from "./trace-piece.ts"
import { type CallFilter, matchOf, type RowReader, saidBy } from "./trace-row.ts"

/** A piece that was brought home. */
export interface PieceFile {
  readonly piece: CallPiece
  readonly reader: RowReader | undefined
  /** Where it is now. */
  readonly file: string
  readonly account: string
  readonly kept: KeptAt
}

/** A call without what all calls of a search have in common. */
export type ScannedCall = Omit<FoundCall, "dataset" | "agent">

/** A row that matched when some piece held it, as the latest piece has it. */
interface Version {
  readonly row: CallRow
  readonly reader: RowReader
  readonly from: PieceFile
  readonly matched: readonly string[]
  readonly isEarlier: boolean
}

/**
 * The wanted calls among the pieces of one customer's table and day. A row with a key is as its latest piece has it; one that held the
 * number earlier, and no longer does, is given too, and said to be. Of equal rows without a key, as many are there as the piece with most
 * of them says.
 */
export async function callsOf(
  files: readonly PieceFile[],
  filter: CallFilter,
  signal: AbortSignal,
): Promise<{ readonly calls: readonly ScannedCall[]; readonly rows: number }> {
  const versions = new Map<string, Version>()
  let rows = 0
  // The pieces of one cut are one stream: a row may begin in one and end in the next.
  for (const chain of chainsOf(files)) {
    const [first] = chain
    if (first?.reader === undefined) continue
    const { piece, reader } = first
    const keyed = reader.table !== null && reader.table.key.length > 0
    const paths = chain.map(({ file }) => file)
    const read = piece.kind === "csv" ? csvRows(first.file, reader.table) : tsvRows(paths, { counted: reader.table !== null && !keyed })
    for await (const row of read) {
      rows += 1
      if (rows % rowsPerLook === 0) signal.throwIfAborted()
      take(versions, { row, first, reader, filter })
    }
  }
  return { calls: newestEdition([...versions.values()]).map(callOf), rows }
}

/**
 * A table that gains a column has its rows once more. Without a key they are recognised by the columns that both editions have, and the
 * older ones are left out.
 */
function newestEdition(versions: readonly Version[]): readonly Version[] {
  const editions = Map.groupBy(versions, ({ reader }) => reader.table)
  if (editions.size < 2) return versions
  const newer: Version[] = []
  for (const [table, ofEdition] of [...editions].toReversed()) {
    newer.push(
      ...ofEdition.filter((version) => table === null || table.key.length > 0 || !newer.some((other) => isSameRow(version, other))),
    )
  }
  return newer.toReversed()
}

function isSameRow(older: Version, newer: Version): boolean {
  const [old, young] = [older, newer].map(({ reader, row }) => {
    return new Map((reader.table?.columns ?? []).map(({ name }, index) => [name, fieldOf(row, index)]))
  })
  if (old === undefined || young === undefined || older.reader.table === newer.reader.table) return false
  const common = [...old.keys()].filter((name) => young.has(name))
  return common.length > 0 && common.every((name) => old.get(name) === young.get(name))
}

const rowsPerLook = 4096

interface Looked {
  readonly row: CallRow
  readonly first: PieceFile
  readonly reader: RowReader
  readonly filter: CallFilter
}

function take(versions: Map<string, Version>, { row, first, reader, filter }: Looked): void {
  const matched = matchOf(row, first.piece, reader, filter)
  if (matched === null && versions.size === 0) return
  const identity = identityOf(row, reader.table)
  const known = versions.get(identity)
  if (known === undefined) {
    if (matched !== null) versions.set(identity, { row, reader, from: first, matched, isEarlier: false })
    return
  }
  const times = Math.max(row.times, known.row.times)
  const isEarlier = matched === null
  versions.set(identity, { row: { ...row, times }, reader, from: first, matched: matched ?? known.matched, isEarlier })
}

function callOf({ row, reader, from, matched, isEarlier }: Version): ScannedCall {
  const { stableId, table, day } = from.piece
  return {
    ...{ account: from.account, stableId, table, day, matched, version: isEarlier ? ("earlier" as const) : ("latest" as const) },
    ...saidBy(row, reader),
    ...{ kept: from.kept, recordings: [] },
  }
}

function chainsOf(files: readonly PieceFile[]): PieceFile[][] {
  const sorted = files.toSorted((a, b) => (a.kept.path < b.kept.path ? -1 : a.kept.path > b.kept.path ? 1 : 0))
  const chains = Map.groupBy(sorted, ({ piece, kept }) => (piece.kind === "csv" ? kept.path : `${piece.cut} ${piece.description}`))
  return [...chains].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, chain]) => chain)
}
