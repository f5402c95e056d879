/** Whether this machine knows the time zone. */
export function isTimeZone(text: string): boolean {
  // The first question loads the calendars of all languages; most commands need no other zone.
  if (text === "UTC") return true
  try {
    return new Intl.DateTimeFormat("en", { timeZone: text }).format(0) !== ""
  } catch {
    return false
  }
}

const formats = new Map<string, Intl.DateTimeFormat>()

/** How far the local time of an IANA zone is ahead of UTC at a moment, in milliseconds. */
export function zoneOffsetMs(ms: number, timezone: string): number {
  const format =
    formats.get(timezone) ??
    new Intl.DateTimeFormat("en-US", {
      ...{ timeZone: timezone, calendar: "gregory", numberingSystem: "latn", hourCycle: "h23" },
      ...{ year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" },
    })
  formats.set(timezone, format)
  const part = new Map(format.formatToParts(ms).map(({ type, value }) => [type, Number(value)]))
  const of = (type: Intl.DateTimeFormatPartTypes) => part.get(type) ?? 0
  const local = Date.UTC(of("year"), of("month") - 1, of("day"), of("hour"), of("minute"), of("second"))
  return local - Math.floor(ms / 1000) * 1000
}
