import type { MomentStored } from "../database/database.ts"
import { zoneOffsetMs } from "../time-zone.ts"
import { calendar } from "./calendar.ts"

const written = /^(\d{4})-(\d{2})-(\d{2})(?:[ T](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?\s*(Z|[+-]\d{2}(?::?\d{2})?)?)?$/
const epoch = /^\d{1,12}(?:\.\d+)?$/

/** Milliseconds since 1970 of a moment as a row has it; null for NULL, for a zero date, and for what is no moment. */
export function momentMs(text: string | null, stored: MomentStored, timezone: string): number | null {
  const rough = roughMomentMs(text, stored)
  return rough === null || stored !== "local" ? rough : instantOf(rough, timezone)
}

/** The same without its time zone, where it is a local one: at most 14 hours off, and fifty times as fast. */
export function roughMomentMs(text: string | null, stored: MomentStored): number | null {
  if (text === null) return null
  if (stored === "epoch") return epoch.test(text) ? Math.floor(Number(text) * 1000) : null
  const match = written.exec(text)
  if (match === null) return null
  const [, year, month, day, hour = "0", minute = "0", second = "0", fraction = "0", zone] = match
  const date = Date.UTC(Number(year), Number(month) - 1, Number(day))
  // Date.UTC moves what is no date on to the next that is, and years below 100 into the last century.
  const parts = new Date(date)
  if (parts.getUTCFullYear() !== Number(year) || parts.getUTCMonth() + 1 !== Number(month) || parts.getUTCDate() !== Number(day))
    return null
  const time = (Number(hour) * 60 + Number(minute)) * 60_000 + Number(second) * 1000 + Number(fraction.padEnd(3, "0").slice(0, 3))
  return date + time - (stored === "instant" ? offsetMs(zone) : 0)
}

/** The day of a moment, yyyy-mm-dd, in the time zone that its days are counted in; null where it is none. */
export function dayOfMoment(text: string | null, stored: MomentStored, timezone: string): string | null {
  const ms = roughMomentMs(text, stored)
  if (ms === null || text === null) return null
  return checkedDay(stored === "local" ? text.slice(0, 10) : calendarOf(timezone).dayOf(BigInt(ms) * 1_000_000n))
}

/** A day as a server gives it; null where it is NULL, or none that a call can have had: a zero date, a broken clock. */
export function checkedDay(text: string | null): string | null {
  if (text === null || !/^\d{4}-\d{2}-\d{2}$/.test(text) || text < "1970-01-01") return null
  const date = new Date(`${text}T00:00:00Z`)
  return Number.isNaN(date.getTime()) || date.toISOString().slice(0, 10) !== text ? null : text
}

function offsetMs(zone: string | undefined): number {
  if (zone === undefined || zone === "Z") return 0
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(3).replace(":", "") || "0")
  return (zone.startsWith("-") ? -minutes : minutes) * 60_000
}

// In the hour that comes twice, the first is taken; in the one that is left out, the moment an hour later.
function instantOf(local: number, timezone: string): number {
  const guess = local - zoneOffsetMs(local, timezone)
  return local - zoneOffsetMs(guess, timezone)
}

const calendars = new Map<string, ReturnType<typeof calendar>>()

function calendarOf(timezone: string): ReturnType<typeof calendar> {
  const known = calendars.get(timezone) ?? calendar(timezone)
  calendars.set(timezone, known)
  return known
}
