import { JobError } from "../../errors.ts"

/** From `from` on (seconds since 1970) the zone's clocks are `offset` seconds before UTC, until the next one. */
export interface ZonePeriod {
  readonly from: number
  readonly offset: number
}

/** The last second that a TIMESTAMP can hold, in the newest servers. */
const lastSecond = 2 ** 32 - 1
/** Two changes of one zone's clocks have never been closer since 1970. */
const stepSeconds = 7 * 86_400

const known = new Map<string, readonly ZonePeriod[]>()

/**
 * The periods of a time zone between 1970 and 2106, in order; the first one starts at 0. From this machine's own tables, because those
 * of the server are empty unless somebody loaded them. Throws a JobError for a zone that is not known here.
 */
export function zonePeriods(timezone: string): readonly ZonePeriod[] {
  const found = known.get(timezone)
  if (found !== undefined) return found
  const offsetAt = offsetsOf(timezone)
  const periods: ZonePeriod[] = [{ from: 0, offset: offsetAt(0) }]
  let offset = offsetAt(0)
  for (let at = 0; at < lastSecond; at += stepSeconds) {
    const next = Math.min(at + stepSeconds, lastSecond)
    if (offsetAt(next) === offset) continue
    const from = changeBetween(at, next, offsetAt)
    offset = offsetAt(next)
    periods.push({ from, offset })
  }
  known.set(timezone, periods)
  return periods
}

/** The first second after `low` whose offset is not that of `low`. */
function changeBetween(low: number, high: number, offsetAt: (second: number) => number): number {
  const before = offsetAt(low)
  let [same, other] = [low, high]
  while (other - same > 1) {
    const middle = Math.floor((same + other) / 2)
    if (offsetAt(middle) === before) same = middle
    else other = middle
  }
  return other
}

function offsetsOf(timezone: string): (second: number) => number {
  const format = formatOf(timezone)
  return (second) => {
    const parts = new Map(format.formatToParts(second * 1000).map(({ type, value }) => [type, Number(value)]))
    const at = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type) ?? 0
    const local = Date.UTC(at("year"), at("month") - 1, at("day"), at("hour"), at("minute"), at("second"))
    return local / 1000 - second
  }
}

function formatOf(timezone: string): Intl.DateTimeFormat {
  try {
    return new Intl.DateTimeFormat("en-US", {
      timeZone: timezone,
      calendar: "gregory",
      numberingSystem: "latn",
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    })
  } catch (cause) {
    throw new JobError("job/source", `time zone "${timezone}": not known here`, { cause })
  }
}

/**
 * An SQL expression for the zone's offset in seconds at a moment: halves of halves, so that a row costs seven comparisons. `before`
 * gives the condition that the moment is before a second.
 */
export function offsetExpression(timezone: string, before: (second: number) => string): string {
  const halve = (periods: readonly ZonePeriod[]): string => {
    const [first] = periods
    if (periods.length <= 1) return String(first?.offset ?? 0)
    const middle = Math.floor(periods.length / 2)
    return `IF(${before(periods[middle]?.from ?? 0)}, ${halve(periods.slice(0, middle))}, ${halve(periods.slice(middle))})`
  }
  return halve(zonePeriods(timezone))
}

/**
 * The earliest local time, in milliseconds as if it were UTC, that a moment at or after `from` can have been written down as: where
 * clocks are put back afterwards, up to the shift earlier than `from` itself.
 */
export function earliestLocalMs(timezone: string, from: Date): number {
  const second = from.getTime() / 1000
  const periods = zonePeriods(timezone)
  const current = periods.findLast((period) => period.from <= second) ?? periods[0]
  const own = second + (current?.offset ?? 0)
  const soon = periods.filter((period) => period.from > second && period.from <= second + 86_400).map(({ from: at, offset }) => at + offset)
  return Math.min(own, ...soon) * 1000
}
