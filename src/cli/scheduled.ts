import { freeFrom } from "../schedule/blackout.ts"
import { jitterMs } from "../schedule/jitter.ts"
import type { ScheduledJob } from "../schedule/scheduler.ts"
import { timetable } from "../schedule/timetable.ts"
import type { Job } from "../wiring/jobs.ts"

/** A job as the scheduler needs it; null where it runs only by hand. */
export function scheduledJob({ name, schedule, timezone }: Job, agent: string): ScheduledJob | null {
  if (schedule === undefined) return null
  const { cron, blackout, catchUp, inBlackout, timeLimit, after, priority, jitter } = schedule
  return {
    ...{ name, catchUp, inBlackout, after, priority, timeLimitMs: timeLimit },
    schedule: `${cron} ${timezone}`,
    timetable: timetable(cron, timezone),
    jitterMs: jitterMs(agent, name, jitter),
    freeFrom: (ms) => (blackout.length === 0 ? ms : freeFrom(ms, blackout, timezone)),
  }
}
