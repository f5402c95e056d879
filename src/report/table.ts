import { stripVTControlCharacters } from "node:util"

/**
 * Columns under their headings, two spaces apart, as wide as their widest cell; no trailing spaces. Columns headed `>NAME` are aligned
 * to the right, for numbers.
 */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const right = headings.map((heading) => heading.startsWith(">"))
  const all = [headings.map((heading) => heading.replace(/^>/, "")), ...rows]
  const widths = headings.map((_, column) => Math.max(...all.map((row) => widthOf(row[column] ?? ""))))
  return all.map((row) => {
    const cells = row.map((cell, column) => {
      const padding = " ".repeat((widths[column] ?? 0) - widthOf(cell))
      return right[column] === true ? padding + cell : cell + padding
    })
    return cells.join("  ").trimEnd()
  })
}

function widthOf(cell: string): number {
  return [...stripVTControlCharacters(cell)].length
}
