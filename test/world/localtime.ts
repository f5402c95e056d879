/** A switch's own clock, as its paths and call records show it. */
export interface LocalTime {
  readonly year: number
  readonly month: number
  readonly day: number
  readonly hour: number
  readonly minute: number
  readonly second: number
}

const formats = new Map<string, Intl.DateTimeFormat>()

export function localTime(ms: number, timezone: string): LocalTime {
  const format = formats.get(timezone) ?? newFormat(timezone)
  formats.set(timezone, format)
  const parts = new Map(format.formatToParts(ms).map((part) => [part.type, Number(part.value)]))
  const part = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type) ?? 0
  return { year: part("year"), month: part("month"), day: part("day"), hour: part("hour"), minute: part("minute"), second: part("second") }
}

/** The moment at which a clock of this zone shows this time; where summer time begins, one it skips counts as an hour later. */
export function momentOf(time: LocalTime, timezone: string): number {
  const wanted = Date.UTC(time.year, time.month - 1, time.day, time.hour, time.minute, time.second)
  const first = wanted - offset(wanted, timezone)
  return wanted - offset(first, timezone)
}

function offset(ms: number, timezone: string): number {
  const shown = localTime(ms, timezone)
  return Date.UTC(shown.year, shown.month - 1, shown.day, shown.hour, shown.minute, shown.second) - Math.floor(ms / 1000) * 1000
}

function newFormat(timezone: string): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat("en-US", {
    timeZone: timezone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  })
}

export function two(n: number): string {
  return String(n).padStart(2, "0")
}

export function dayName(time: LocalTime): string {
  return `${String(time.year)}-${two(time.month)}-${two(time.day)}`
}

/** "2026-11-20 08:15:30", as call records write it. */
export function stamp(time: LocalTime): string {
  return `${dayName(time)} ${two(time.hour)}:${two(time.minute)}:${two(time.second)}`
}

export const monthNames = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"] as const
