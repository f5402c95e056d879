import { expiryGraceDays } from "../limits.ts"
import type { Paint } from "../report/paint.ts"
import { table } from "../report/table.ts"
import { visible } from "../report/visible.ts"
import type { ClassCalendar, DatasetCalendar, Drop } from "../retention/calendar.ts"
import { localDay } from "../retention/period.ts"
import { count, formatSize } from "../units.ts"

export interface CalendarOptions {
  readonly paint: Paint
  readonly timezone: string
  /** What the job says of how long it keeps, a sentence each. */
  readonly rules: readonly string[]
}

/** Months shown day by day; of what is older, only the table of classes tells. */
const monthsMax = 36
/** Lines of what goes next. */
const dropsMax = 24

/** One dataset: what is kept, on which days there is something, what goes next, and what stays beyond its time. */
export function calendarText(calendar: DatasetCalendar, { paint, timezone, rules }: CalendarOptions): string[] {
  const { agent, dataset, snapshots, bytes, classes, drops, keepers } = calendar
  return [
    paint.strong(`${dataset} of ${agent}: ${count(snapshots, "snapshot")}, ${formatSize(bytes)}`),
    ...rules.map((rule) => `   ${visible(rule)}`),
    ...block(classRows(classes, timezone)),
    ...block(monthRows(calendar)),
    ...block(dropRows(drops, classes, timezone)),
    ...block(keepers.map(({ reason, snapshots: many }) => paint.status("attention", `${stays(many)}: ${visible(reason.text)}`))),
  ]
}

/** Why nothing can go at all now. */
export function standstillText(doubts: readonly string[], paint: Paint): string[] {
  if (doubts.length === 0) return []
  const shown = doubts.slice(0, 10).map((doubt) => `   ${visible(doubt)}`)
  const rest = doubts.length > shown.length ? [`   and ${String(doubts.length - shown.length)} more`] : []
  return [paint.status("attention", "nothing can expire now: not everything at the sites could be read"), ...shown, ...rest]
}

function stays(snapshots: number): string {
  return snapshots === 1 ? "1 snapshot stays, whatever its class says" : `${count(snapshots, "snapshot")} stay, whatever their class says`
}

function block(lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ["", ...lines.map((line) => `   ${line}`.trimEnd())]
}

function classRows(classes: readonly ClassCalendar[], timezone: string): string[] {
  if (classes.length === 0) return []
  return table(
    ["CLASS", "KEPT", ">SNAPSHOTS", ">SIZE", "STORED", "FIRST GOES"],
    classes.map(({ class: name, days, snapshots, bytes, oldest, newest, next }) => [
      name,
      days === null ? "for ever" : count(days, "day"),
      String(snapshots),
      formatSize(bytes),
      spanText(oldest, newest, timezone),
      next === null ? "none" : localDay(next, timezone),
    ]),
  )
}

/** A line for each month, a letter for each day: the class that is kept longest of what was stored then. */
function monthRows({ days, classes }: DatasetCalendar): string[] {
  const letters = new Map(classes.map(({ class: name }, index) => [name, letterOf(index)]))
  const byDay = new Map(days.map(({ day, class: name }) => [day, letters.get(name) ?? "?"]))
  const months = [...new Set(days.map(({ day }) => day.slice(0, 7)))]
  const shown = months.slice(-monthsMax)
  if (shown.length === 0) return []
  const rows = shown.map(
    (month) =>
      `${month}   ${daysOf(month)
        .map((day) => byDay.get(day) ?? "·")
        .join("")}`,
  )
  const older = months.length - shown.length
  return [
    "          1   5    10   15   20   25   30",
    ...rows,
    ...(older === 0 ? [] : [`and ${count(older, "month")} before`]),
    `${[...letters].map(([name, letter]) => `${letter} ${name}`).join(", ")}, · nothing stored`,
  ]
}

function letterOf(index: number): string {
  return "abcdefghijklmnopqrstuvwxyz".charAt(Math.min(index, 25))
}

function daysOf(month: string): string[] {
  const [year = 0, number = 1] = month.split("-").map(Number)
  const last = new Date(Date.UTC(year, number, 0)).getUTCDate()
  return Array.from({ length: last }, (_, index) => `${month}-${String(index + 1).padStart(2, "0")}`)
}

function dropRows(drops: readonly Drop[], classes: readonly ClassCalendar[], timezone: string): string[] {
  if (drops.length === 0) return []
  const days = new Map(classes.map(({ class: name, days: kept }) => [name, kept]))
  const rows = drops.slice(0, dropsMax).map(({ when, class: name, snapshots, bytes, from, to }) => {
    const why = `${String(days.get(name) ?? 0)} days and ${String(expiryGraceDays)} of grace ${when === "now" ? "passed" : "pass"}`
    return [when, name, String(snapshots), formatSize(bytes), spanText(from, to, timezone), why]
  })
  const rest = drops.length - rows.length
  return [
    ...table(["GOES", "CLASS", ">SNAPSHOTS", ">FREES", "STORED", "BECAUSE"], rows),
    ...(rest === 0 ? [] : [`and so on until ${drops.at(-1)?.when ?? ""}`]),
  ]
}

function spanText(from: Date, to: Date, timezone: string): string {
  const [first, last] = [localDay(from, timezone), localDay(to, timezone)]
  return first === last ? first : `${first} … ${last}`
}
