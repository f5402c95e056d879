import { escapeField, unescapeField } from "./rows.ts"

/**
 * Rows of several tables in one file: each table's rows follow a line "\.schema.table". No row begins like that: in COPY's and LOAD DATA's
 * text a backslash is never followed by a dot.
 */
export function sectionHeader(table: string): Uint8Array {
  return Buffer.from(`\\.${escapeField(table)}\n`, "utf8")
}

/** Rows of one table within a file. */
export interface Section {
  readonly table: string
  /** Of the first row, and behind the last. */
  readonly from: number
  readonly to: number
}

/**
 * Finds the sections of a file. Where the file goes on within a row, its beginning belongs to the table of `continued`. Null where there
 * are rows of no table.
 */
export function sectionsIn(bytes: Buffer, continued: string | null): Section[] | null {
  const sections: Section[] = []
  let table = continued
  let from = 0
  if (continued === null) {
    if (bytes.length > 0 && !bytes.subarray(0, 2).equals(mark)) return null
    ;[table, from] = headerAt(bytes, 0)
  }
  for (;;) {
    const next = bytes.indexOf(newlineAndMark, Math.max(0, from - 1))
    const to = next === -1 ? bytes.length : next + 1
    if (table !== null && to > from) sections.push({ table, from, to })
    if (next === -1) return sections
    ;[table, from] = headerAt(bytes, to)
  }
}

const mark = Buffer.from("\\.")
const newlineAndMark = Buffer.from("\n\\.")

function headerAt(bytes: Buffer, at: number): [table: string | null, rows: number] {
  const newline = bytes.indexOf(0x0a, at)
  const end = newline === -1 ? bytes.length : newline
  return [unescapeField(bytes.toString("utf8", at + mark.length, end)), Math.min(bytes.length, end + 1)]
}
