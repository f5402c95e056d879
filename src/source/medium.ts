import type { ProfileMedia } from "./profile.ts"

/**
 * Where the medium of a row may be, below the root of its files, the likeliest first; none where a column it is made of is NULL or empty.
 * Texts have one character a byte. A path outside the root stays absolute, so that it is counted as missing and not forgotten.
 */
export function mediaPaths(
  media: ProfileMedia,
  root: string,
  row: { readonly day: string; column(name: string): string | null },
): Buffer[] {
  const base = `${Buffer.from(media.root ?? root, "utf8").toString("latin1")}/`.replace(/\/+$/, "/")
  const paths = daysAround(row.day, media.days ?? 0).flatMap((day) => {
    const path = filled(media.path, day, row.column)
    return path === null ? [] : [path.startsWith(base) ? path.slice(base.length) : path]
  })
  return [...new Set(paths)].map((path) => Buffer.from(path, "latin1"))
}

function filled(path: string, day: string, column: (name: string) => string | null): string | null {
  const dates = new Map([
    ["yyyy", day.slice(0, 4)],
    ["MM", day.slice(5, 7)],
    ["dd", day.slice(8, 10)],
  ])
  let text = ""
  for (const piece of path.split(/(\{[^{}]*\})/)) {
    const inner = piece.startsWith("{") ? piece.slice(1, -1) : undefined
    const value = inner === undefined ? piece : (dates.get(inner) ?? column(inner))
    if (inner !== undefined && (value === null || value === "")) return null
    text = inner !== undefined && value?.startsWith("/") === true ? value : text + (value ?? "")
  }
  return text.replace(/\/{2,}/g, "/")
}

/** The day, then those before and after it, nearest first. */
function daysAround(day: string, distance: number): string[] {
  const noon = Date.parse(`${day}T12:00:00Z`)
  const shifts = Array.from({ length: distance }, (_, index) => [-index - 1, index + 1]).flat()
  return [0, ...shifts].map((shift) => new Date(noon + shift * 86_400_000).toISOString().slice(0, 10))
}
