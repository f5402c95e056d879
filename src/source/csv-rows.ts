/** How a file of call detail records is written; delimiter and quote are single bytes. */
export interface CsvFormat {
  readonly delimiter: number
  readonly quote: number
  /** Fields of a row. */
  readonly fields: number
}

export interface CsvRow {
  /** Where the next row begins. */
  readonly end: number
  /** One character a byte; null where the bytes are no row of so many fields. */
  readonly fields: readonly string[] | null
}

/** A longer row is none: a quote that nothing closes must not swallow what follows. */
export const csvRowBytesMax = 1024 * 1024

const newline = 0x0a
const carriageReturn = 0x0d

/**
 * The row that begins at `start`; null where the bytes end before it does and more may come. A field in quotes may hold newlines. Some
 * switches write what callers are called without doubling its quotes: a quote ends a field only where a delimiter or the row's end follows,
 * and a row over several lines that has not as many fields as it must is taken for a broken line, so that no more than that one is lost
 * for its account. With `final` nothing more comes, and what is left is taken as it is.
 */
export function nextCsvRow(bytes: Buffer, start: number, format: CsvFormat, options: { readonly final: boolean }): CsvRow | null {
  if (start >= bytes.length) return null
  const line = bytes.indexOf(newline, start)
  const parsed = parse(bytes, start, format)
  if (parsed !== null && parsed.fields.length === format.fields) return parsed
  if (parsed !== null && line !== -1) return { end: line + 1, fields: null }
  if (!options.final && bytes.length - start <= csvRowBytesMax) return null
  return { end: line === -1 ? bytes.length : line + 1, fields: null }
}

/** The fields of the first row, however many; null where it has not ended yet. */
export function firstCsvRow(
  bytes: Buffer,
  format: Pick<CsvFormat, "delimiter" | "quote">,
): { readonly end: number; readonly fields: readonly string[] } | null {
  return parse(bytes, 0, format)
}

function parse(
  bytes: Buffer,
  start: number,
  format: Pick<CsvFormat, "delimiter" | "quote">,
): { readonly end: number; readonly fields: readonly string[] } | null {
  const fields: string[] = []
  for (let at = start; ; ) {
    const field = bytes[at] === format.quote ? quoted(bytes, at, format) : plain(bytes, at, format)
    if (field === null) return null
    fields.push(field.text)
    if (bytes[field.end] === format.delimiter) at = field.end + 1
    else return { end: bytes.indexOf(newline, field.end) + 1, fields }
  }
}

interface Field {
  readonly text: string
  /** Where the delimiter after it is, or the end of the row. */
  readonly end: number
}

function plain(bytes: Buffer, start: number, { delimiter }: Pick<CsvFormat, "delimiter">): Field | null {
  const line = bytes.indexOf(newline, start)
  const next = bytes.indexOf(delimiter, start)
  if (next !== -1 && (line === -1 || next < line)) return { text: bytes.toString("latin1", start, next), end: next }
  if (line === -1) return null
  const end = bytes[line - 1] === carriageReturn && line > start ? line - 1 : line
  return { text: bytes.toString("latin1", start, end), end }
}

function quoted(bytes: Buffer, start: number, { delimiter, quote }: Pick<CsvFormat, "delimiter" | "quote">): Field | null {
  let text = ""
  let from = start + 1
  for (let at = bytes.indexOf(quote, from); at !== -1; at = bytes.indexOf(quote, from)) {
    const next = bytes[at + 1]
    if (next === undefined) return null
    text += bytes.toString("latin1", from, at)
    if (next === delimiter || next === newline || (next === carriageReturn && bytes[at + 2] === newline)) return { text, end: at + 1 }
    text += String.fromCharCode(quote)
    from = next === quote ? at + 2 : at + 1
  }
  return null
}
