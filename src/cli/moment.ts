import { ConfigError } from "../errors.ts"

const minuteMs = 60_000
const dayMs = 86_400_000

/** "2026-11-21 18:40:00Z", or in another zone "2026-11-21 19:40:00+01:00": to the second, and never without its zone. */
export function formatMoment(moment: Date, timezone: string): string {
  const offsetMs = offsetAt(moment.getTime(), timezone)
  const local = new Date(moment.getTime() + offsetMs).toISOString()
  return `${local.slice(0, 10)} ${local.slice(11, 19)}${offsetText(offsetMs, timezone)}`
}

/** The last millisecond that a text such as "2026-11-20", "2026-11-20T14:00" or "2026-11-20T14:00:30+01:00" still means. */
export function endOfMoment(text: string, timezone: string): Date {
  return new Date(spanOf(text, timezone).endMs - 1)
}

/** The first millisecond that such a text means. */
export function startOfMoment(text: string, timezone: string): Date {
  return new Date(spanOf(text, timezone).startMs)
}

function spanOf(text: string, timezone: string): { readonly startMs: number; readonly endMs: number } {
  const match = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2})?(Z|[+-]\d{2}:\d{2})?)?$/.exec(text)
  const [, day, minutes, seconds, offset] = match ?? []
  if (day === undefined) throw notMoment(text)
  const startMs = Date.parse(`${day}T${minutes ?? "00:00"}${seconds ?? ":00"}${offset ?? "Z"}`)
  // A day such as 30 February is carried over into the next month by some readers.
  if (Number.isNaN(startMs) || (offset === undefined && !new Date(startMs).toISOString().startsWith(day))) throw notMoment(text)
  const lastsMs = minutes === undefined ? dayMs : seconds === undefined ? minuteMs : 1000
  const instantOf = (ms: number): number => (offset === undefined ? fromLocal(ms, timezone) : ms)
  return { startMs: instantOf(startMs), endMs: instantOf(startMs + lastsMs) }
}

function notMoment(text: string): ConfigError {
  return new ConfigError("config/usage", `${text}: no date or time`, {
    hint: "write 2026-11-20, 2026-11-20T14:00 or 2026-11-20T14:00+01:00; without an offset it is UTC, or the zone of --timezone",
  })
}

/** How far a zone's clocks are ahead of UTC at a moment, in milliseconds. */
function offsetAt(ms: number, timezone: string): number {
  const options = { timeZone: timezone, timeZoneName: "longOffset" } as const
  const name = new Intl.DateTimeFormat("en-US", options).formatToParts(ms).find(({ type }) => type === "timeZoneName")?.value ?? ""
  const [, sign, hours = "0", minutes = "0"] = /^GMT(?:([+-])(\d{2}):(\d{2}))?/.exec(name) ?? []
  return (Number(hours) * 60 + Number(minutes)) * minuteMs * (sign === "-" ? -1 : 1)
}

// Twice, because the first guess may lie on the other side of a change of summer time.
function fromLocal(localMs: number, timezone: string): number {
  const guess = localMs - offsetAt(localMs, timezone)
  return localMs - offsetAt(guess, timezone)
}

function offsetText(offsetMs: number, timezone: string): string {
  if (timezone === "UTC" || offsetMs === 0) return "Z"
  const minutes = Math.abs(offsetMs) / minuteMs
  const pad = (value: number): string => String(value).padStart(2, "0")
  return `${offsetMs < 0 ? "-" : "+"}${pad(Math.floor(minutes / 60))}:${pad(minutes % 60)}`
}
