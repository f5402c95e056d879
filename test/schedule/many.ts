import type { ScheduledJob } from "../../src/schedule/scheduler.ts"
import { timetable } from "../../src/schedule/timetable.ts"
import { Dice } from "../world/dice.ts"
import { every, hourMs, jobOf, minuteMs } from "./clockwork.ts"

/** Jobs as a large host may have them, the same each time: some by a real calendar, all ways of catching up, some after others. */
export function manyJobs(count: number): ScheduledJob[] {
  const dice = new Dice("jobs")
  const real = timetable("15 */4 * * *", "Europe/Berlin")
  return Array.from({ length: count }, (_, index) => {
    const periodMs = dice.pick([hourMs, 3 * hourMs, 6 * hourMs, 24 * hourMs])
    const table = index % 50 === 0 ? real : every(periodMs, dice.between(0, 719) * minuteMs)
    return jobOf(`job-${String(index)}`, table, {
      catchUp: dice.pick(["latest", "latest", "all", "none"] as const),
      jitterMs: dice.between(0, 10) * minuteMs,
      priority: dice.between(0, 100),
      after: index % 10 === 9 ? [`job-${String(index - 1)}`] : [],
    })
  })
}

export function dueOf({ timetable: table }: ScheduledJob, from: number, to: number): number[] {
  const due: number[] = []
  for (let next = table.after(from); next !== null && next <= to; next = table.after(next)) due.push(next)
  return due
}
