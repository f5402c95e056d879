import { timestamp } from "../clock.ts"
import type { FoundCall } from "../report/trace.ts"
import { momentMs } from "../source/cdr-moment.ts"
import { holdsNumber, numberColumns, partyColumns, type SoughtNumber } from "./trace-number.ts"
import { type CallPiece, type CallRow, type CallTable, fieldOf, readable } from "./trace-piece.ts"

/** Which calls are wanted. */
export interface CallFilter {
  /** A call with any of them; none: whatever number it has. */
  readonly numbers: readonly SoughtNumber[]
  readonly since?: Date | undefined
  /** Including this moment. */
  readonly until?: Date | undefined
}

/** How rows of one table are looked at. */
export interface RowReader {
  readonly table: CallTable | null
  /** Fields that are held against the numbers; null: all of them. */
  readonly indexes: readonly number[] | null
}

/** Looks at the columns whose names say that they hold numbers; at all where the table is not known, or none does and `anyField`. */
export function readerOf(table: CallTable | null, { anyField }: { readonly anyField: boolean }): RowReader {
  if (table === null || anyField) return { table, indexes: null }
  const names = new Set(numberColumns(table.columns))
  return { table, indexes: table.columns.flatMap(({ name }, index) => (names.has(name) ? [index] : [])) }
}

/** Names of the fields that hold a number that is looked for; null where the call is not wanted. */
export function matchOf(row: CallRow, piece: CallPiece, reader: RowReader, filter: CallFilter): readonly string[] | null {
  const { numbers } = filter
  const matched: string[] = []
  for (const index of numbers.length === 0 ? [] : (reader.indexes ?? row.raw.keys())) {
    const field = fieldOf(row, index)
    if (field !== null && numbers.some((number) => holdsNumber(field, number))) matched.push(nameOf(index, reader))
  }
  if (numbers.length > 0 && matched.length === 0) return null
  return inTime(row, piece, reader, filter) ? matched : null
}

function nameOf(index: number, { table }: RowReader): string {
  return table?.columns[index]?.name ?? `field ${String(index + 1)}`
}

function inTime(row: CallRow, { day }: CallPiece, reader: RowReader, { since, until }: CallFilter): boolean {
  const ms = timeOf(row, reader)
  if (ms !== null) return (since === undefined || ms >= since.getTime()) && (until === undefined || ms <= until.getTime())
  return (since === undefined || day >= timestamp(since).slice(0, 10)) && (until === undefined || day <= timestamp(until).slice(0, 10))
}

/** When the call was; null where the row does not say, or nothing says which of its fields would. */
function timeOf(row: CallRow, { table }: RowReader): number | null {
  if (table === null) return null
  const { column, stored, timezone } = table.day
  const index = table.columns.findIndex(({ name }) => name === column)
  return momentMs(fieldOf(row, index), stored, timezone)
}

/** What a row says of its call, for people and programs. */
export function saidBy(row: CallRow, reader: RowReader): Pick<FoundCall, "time" | "from" | "to" | "seconds" | "times" | "row"> {
  const columns = row.raw.map((_, index) => [nameOf(index, reader), readable(fieldOf(row, index))] as const)
  const named = new Map(columns)
  const ms = timeOf(row, reader)
  const parties = partyColumns(numberColumns(reader.table?.columns ?? []))
  const [from, to] = [parties.from, parties.to].map((name) => (name === undefined ? null : (named.get(name) ?? null)))
  const seconds = durationOf(named)
  return {
    ...(ms === null ? {} : { time: timestamp(new Date(ms)) }),
    ...(typeof from === "string" && from !== "" && { from }),
    ...(typeof to === "string" && to !== "" && { to }),
    ...(seconds === null ? {} : { seconds }),
    ...(row.times > 1 && { times: row.times }),
    row: Object.fromEntries(columns),
  }
}

const durations = ["duration", "time_talking", "billsec", "call_duration", "length_in_sec"] as const

function durationOf(row: ReadonlyMap<string, string | null>): number | null {
  for (const name of durations) {
    const text = row.get(name) ?? ""
    if (/^\d{1,9}(?:\.\d+)?$/.test(text)) return Number(text)
  }
  return null
}

/** Names of columns that say where a medium is. */
const mediumColumn = /record|media|path|file|audio|voicemail|fax|location/i
const mediumName = /\.(?:wav|wave|wav49|mp3|gsm|ogg|opus|oga|flac|m4a|aac|au|raw|sln(?:16)?|ulaw|alaw|g722|g729|tiff?|pdf|mkv|mp4|webm)$/i
const mediumBytesMax = 4096

/** The media that a row points at, as it has them: a whole path where one column has the directory and another the name. */
export function mediaOf({ row }: Pick<FoundCall, "row">): string[] {
  const columns = Object.entries(row).filter(([name]) => mediumColumn.test(name))
  const folders = columns.flatMap(([, value]) => (value?.startsWith("/") === true && !mediumName.test(value) ? [value] : []))
  const [folder] = folders
  const media = columns.flatMap(([, value]) => (value !== null && value.length <= mediumBytesMax && mediumName.test(value) ? [value] : []))
  return [...new Set(media.map((name) => (name.includes("/") || folder === undefined ? name : `${folder.replace(/\/+$/, "")}/${name}`)))]
}
