import { isoWeek } from "../clock.ts"

/** How often a run is kept for longer than others, from the shortest to the longest. */
export const rungs = ["daily", "weekly", "monthly", "yearly"] as const
export type Rung = (typeof rungs)[number]

/** The day that people call it in a time zone, such as 2026-11-22. */
export function localDay(moment: Date, timezone: string): string {
  const parts = new Map(
    formatOf(timezone)
      .formatToParts(moment)
      .map(({ type, value }) => [type, value]),
  )
  return `${(parts.get("year") ?? "").padStart(4, "0")}-${parts.get("month") ?? ""}-${parts.get("day") ?? ""}`
}

/** The day, ISO week, month or year of a moment in a time zone: 2026-11-22, 2026w47, 2026-11 or 2026. */
export function periodOf(rung: Rung, moment: Date, timezone: string): string {
  const day = localDay(moment, timezone)
  switch (rung) {
    case "daily":
      return day
    case "weekly":
      return isoWeek(new Date(`${day}T00:00:00Z`))
    case "monthly":
      return day.slice(0, 7)
    case "yearly":
      return day.slice(0, 4)
  }
}

// Making one takes longer than using it, and a log has thousands of moments.
const formats = new Map<string, Intl.DateTimeFormat>()

function formatOf(timeZone: string): Intl.DateTimeFormat {
  const known = formats.get(timeZone)
  if (known !== undefined) return known
  const calendar = { calendar: "gregory", numberingSystem: "latn", year: "numeric", month: "2-digit", day: "2-digit" } as const
  const made = new Intl.DateTimeFormat("en-US", { ...calendar, timeZone })
  formats.set(timeZone, made)
  return made
}
