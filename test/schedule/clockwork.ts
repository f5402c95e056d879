import { Catalog } from "../../src/catalog/catalog.ts"
import { missedSince } from "../../src/catalog/schedule.ts"
import { type ScheduledJob, type ScheduleEvent, Scheduler, type Start } from "../../src/schedule/scheduler.ts"
import type { Timetable } from "../../src/schedule/timetable.ts"

export const minuteMs = 60_000
export const hourMs = 3_600_000
/** Sunday, 22 November 2026, midnight in UTC. */
export const midnight = Date.parse("2026-11-22T00:00:00Z")

/** Due every so often: what a schedule does, without the cost of a calendar. */
export function every(periodMs: number, phaseMs = 0): Timetable {
  const index = (ms: number) => Math.floor((ms - phaseMs) / periodMs)
  return { after: (ms) => (index(ms) + 1) * periodMs + phaseMs, upTo: (ms) => index(ms) * periodMs + phaseMs }
}

export function jobOf(name: string, timetable: Timetable, given: Partial<ScheduledJob> = {}): ScheduledJob {
  return {
    ...{ name, timetable, schedule: "given", catchUp: "latest", jitterMs: 0, freeFrom: (ms: number) => ms, inBlackout: "postpone" },
    ...{ timeLimitMs: hourMs, after: [], priority: 50 },
    ...given,
  }
}

/** A scheduler with a catalog, at a time of day such as "02:30", "+1 00:15" on the next day, or in milliseconds. */
export function schedulerOf(jobs: readonly ScheduledJob[], { concurrency = 10, from = "00:00" } = {}) {
  const catalog = Catalog.open(":memory:", () => undefined)
  const events: ScheduleEvent[] = []
  const options = { catalog, concurrency, tell: (event: ScheduleEvent) => void events.push(event) }
  let scheduler = new Scheduler(jobs, options, at(from))
  return {
    ...{ catalog, events },
    get scheduler() {
      return scheduler
    },
    /** What starts then, such as "cdrs 02:00". */
    starts: (time: string): string[] => scheduler.step(at(time)).starts.map(startText),
    wakeAt: (time: string): string => clockText(scheduler.step(at(time)).wakeAt),
    ends: (name: string, due: string) => scheduler.ended(name, at(due)),
    /** As after a kill: only the catalog is left. */
    again(time: string, others = jobs) {
      scheduler = new Scheduler(others, options, at(time))
    },
    missed: (name: string): string[] =>
      missedSince(catalog, name, 0).map(({ first, last, count, reason }) => {
        return `${clockText(first)}-${clockText(last)} ${count === null ? "many" : String(count)} ${reason}`
      }),
  }
}

export function at(time: string): number {
  const [, day = "0", hours, minutes, seconds = "0"] = /^(?:([+-]\d+) )?(\d\d):(\d\d)(?::(\d\d))?$/.exec(time) ?? []
  return midnight + Number(day) * 24 * hourMs + Number(hours) * hourMs + Number(minutes) * minuteMs + Number(seconds) * 1000
}

function startText({ job, due, attempts }: Start): string {
  return `${job.name} ${clockText(due)}${attempts === 1 ? "" : ` again (${String(attempts)})`}`
}

export function clockText(ms: number): string {
  if (!Number.isFinite(ms)) return "never"
  const day = Math.floor((ms - midnight) / (24 * hourMs))
  const time = new Date(ms).toISOString().slice(11, 19).replace(/:00$/, "")
  return day === 0 ? time : `${day > 0 ? "+" : ""}${String(day)} ${time}`
}
