import { Cron } from "croner"

/** The due times of one schedule, in milliseconds since 1970. Each is a whole minute. */
export interface Timetable {
  /** The first due time after a moment; null where there is none. */
  after(ms: number): number | null
  /** The last due time up to a moment, itself included; null where there is none. */
  upTo(ms: number): number | null
}

const minuteMs = 60_000

/**
 * The due times of five cron fields in a time zone. When clocks change: a time that is left out is due at the first moment after the gap; a
 * time that comes twice is due once, the first time. A schedule with `*` or a step in its minute or hour is by interval, and goes on in
 * real time: it is due in both passes through a repeated hour, and has nothing to make up for one that is left out.
 */
export function timetable(cron: string, timezone: string): Timetable {
  const pattern = new Cron(cron, { timezone, mode: "5-part", fixedTimeRule: "no-wildcard", paused: true })
  return {
    after: (ms) => pattern.nextRun(new Date(ms))?.getTime() ?? null,
    upTo(ms) {
      const nextMinute = Math.floor(ms / minuteMs) * minuteMs + minuteMs
      return pattern.previousRuns(1, new Date(nextMinute))[0]?.getTime() ?? null
    },
  }
}
