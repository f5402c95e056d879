import { zoneOffsetMs } from "../time-zone.ts"
import { minuteOfWeek, minutesLeft, type Window } from "../week.ts"

const minuteMs = 60_000

/** The first moment at or after `ms` that is in no window: by the clock on the wall, which may be set while it is one. */
export function freeFrom(ms: number, windows: readonly Window[], timezone: string): number {
  let at = ms
  // Each round leaves one window, or passes a change of the clock; windows that follow one another end within a week.
  for (let round = 0; round < 7 * windows.length + 4; round++) {
    const offset = zoneOffsetMs(at, timezone)
    const left = minutesLeft(windows, minuteOfWeek(at + offset))
    if (left === 0) return at
    const end = Math.floor(at / minuteMs) * minuteMs + left * minuteMs
    at = zoneOffsetMs(end, timezone) === offset ? end : changeBetween(at, end, timezone)
  }
  return at
}

/** The moment, to the minute, from which another offset holds. */
function changeBetween(from: number, to: number, timezone: string): number {
  const before = zoneOffsetMs(from, timezone)
  let [same, other] = [Math.floor(from / minuteMs), Math.ceil(to / minuteMs)]
  while (other - same > 1) {
    const middle = Math.floor((same + other) / 2)
    if (zoneOffsetMs(middle * minuteMs, timezone) === before) same = middle
    else other = middle
  }
  return other * minuteMs
}
