export const weekdays = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"] as const
export type Weekday = (typeof weekdays)[number]

/** Local times of every week; `to` may be on the next day. */
export interface Window {
  /** Of its beginning. */
  readonly days: readonly Weekday[]
  /** Minutes since midnight. */
  readonly from: number
  /** The first minute after it, up to 1440. */
  readonly to: number
}

const dayMinutes = 1440
const weekMinutes = 7 * dayMinutes

/** How many minutes windows still last from a minute of the week on, Sunday 00:00 being 0; 0 where it is in none. */
export function minutesLeft(windows: readonly Window[], minute: number): number {
  const left = windows.flatMap(({ days, from, to }) => {
    const lasts = to > from ? to - from : to + dayMinutes - from
    return days.map((day) => lasts - ((minute - weekdays.indexOf(day) * dayMinutes - from + 2 * weekMinutes) % weekMinutes))
  })
  return Math.max(0, ...left)
}

/** Whether windows leave no minute of the week free. */
export function coverWeek(windows: readonly Window[]): boolean {
  let minute = 0
  while (minute < weekMinutes) {
    const left = minutesLeft(windows, minute)
    if (left === 0) return false
    minute += left
  }
  return true
}

/** The minute of the week of a local time, given as milliseconds as if it were in UTC. 1 January 1970 was a Thursday. */
export function minuteOfWeek(localMs: number): number {
  const minute = Math.floor(localMs / 60_000) + 4 * dayMinutes
  return ((minute % weekMinutes) + weekMinutes) % weekMinutes
}
