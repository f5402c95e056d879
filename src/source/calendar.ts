import { ConfigError } from "../errors.ts"

/** Says on which calendar day of one time zone a moment falls. */
export interface Calendar {
  readonly timezone: string
  /** The local day of nanoseconds since 1970, as yyyy-mm-dd; moments outside the years 1970 to 9999 count as the nearest day inside. */
  dayOf(ns: bigint): string
}

const firstDay = "1970-01-01"
const lastSecond = 253_402_214_400n // 9999-12-31T00:00Z, so that no time zone reaches the year 10000

/** The calendar of an IANA time zone, both changes of summer time included. */
export function calendar(timezone: string): Calendar {
  const format = formatOf(timezone)
  return {
    timezone,
    dayOf(ns) {
      // Clocks were wrong and filesystems damaged before: a time stamp may be anything, and a day must come out all the same.
      const seconds = clamp(floorDivide(ns, 1_000_000_000n), 0n, lastSecond)
      const parts = new Map(format.formatToParts(Number(seconds) * 1000).map((part) => [part.type, part.value]))
      const day = `${parts.get("year") ?? ""}-${parts.get("month") ?? ""}-${parts.get("day") ?? ""}`
      return day < firstDay ? firstDay : day
    },
  }
}

function formatOf(timezone: string): Intl.DateTimeFormat {
  try {
    return new Intl.DateTimeFormat("en-US", {
      timeZone: timezone,
      calendar: "gregory",
      numberingSystem: "latn",
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
    })
  } catch (cause) {
    throw new ConfigError("config/invalid", `time zone "${timezone}": not known here`, {
      cause,
      hint: 'use a name of the IANA database such as "Europe/Berlin"',
    })
  }
}

function floorDivide(value: bigint, by: bigint): bigint {
  const quotient = value / by
  return value < 0n && quotient * by !== value ? quotient - 1n : quotient
}

function clamp(value: bigint, low: bigint, high: bigint): bigint {
  if (value < low) return low
  return value > high ? high : value
}
