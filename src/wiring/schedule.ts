import { Cron } from "croner"
import { z } from "zod"
import { durationSchema } from "../source/duration.ts"
import { coverWeek, weekdays } from "../week.ts"

const minuteMs = 60_000

const cron = z.string().superRefine((text, context) => {
  const refused = cronProblem(text)
  if (refused !== undefined) context.addIssue({ code: "custom", message: refused })
})

export const timeOfDay = z
  .string()
  .regex(/^(?:[01]\d|2[0-3]):[0-5]\d$|^24:00$/, 'expected a time of day from "00:00" to "24:00"')
  .transform((text) => Number(text.slice(0, 2)) * 60 + Number(text.slice(3)))

export const weeklyWindow = z
  .strictObject({
    days: z
      .array(z.enum(weekdays))
      .nonempty()
      .prefault([...weekdays])
      .meta({ description: "the days on which it begins; default: every day", examples: [["mon", "tue", "wed", "thu", "fri"]] }),
    from: timeOfDay.meta({ title: "time of day", description: "when it begins, in `timezone`", examples: ["08:00"] }),
    to: timeOfDay.meta({
      title: "time of day",
      description: "when it is over; on the next day where that is earlier than `from`",
      examples: ["18:00"],
    }),
  })
  .refine(({ from, to }) => from !== to && from < 1440 && to > 0, {
    error: "expected a window that begins before it ends",
    path: ["to"],
    when: hasNoIssues,
  })

const details = z.strictObject({
  cron: cron.meta({
    title: "cron schedule",
    description: "when it runs, as five cron fields: minute, hour, day of month, month, day of week",
    examples: ["*/30 * * * *"],
  }),
  catchUp: z
    .enum(["latest", "all", "none"])
    .prefault("latest")
    .meta({
      description:
        "what is done about due times that passed while nothing ran here. `latest`: one run for all of them; `all`: one for each of the last 24; `none`: they stay missed. What is not run is recorded",
      examples: ["latest"],
    }),
  jitter: durationSchema
    .refine((ms) => ms <= 6 * 3_600_000, "expected at most 6h")
    .prefault("0s")
    .meta({
      title: "duration",
      description:
        "each agent starts this job later than it is due by a time of its own below this, always the same, so that a fleet does not come all at once; never by more than half the time to the next due time",
      examples: ["5m"],
    }),
  blackout: z
    .array(weeklyWindow)
    .max(20)
    .refine((windows) => !coverWeek(windows), { error: "expected windows that leave some time in the week", when: hasNoIssues })
    .prefault([])
    .meta({
      description: "windows of each week in which it does not start; a run that began before goes on",
      examples: [[{ days: ["mon", "tue", "wed", "thu", "fri"], from: "08:00", to: "18:00" }]],
    }),
  inBlackout: z
    .enum(["postpone", "skip"])
    .prefault("postpone")
    .meta({
      description: "what becomes of a start in a window. `postpone`: one run when the window is over; `skip`: it is missed, and recorded",
      examples: ["postpone"],
    }),
  timeLimit: durationSchema
    .refine((ms) => ms >= minuteMs && ms <= 7 * 86_400_000, "expected 1m to 7d")
    .prefault("24h")
    .meta({
      title: "duration",
      description: "a run that takes longer is ended, and fails; the next one goes on where it was. 1m to 7d",
      examples: ["4h"],
    }),
  after: z
    .array(z.string())
    .refine((names) => new Set(names).size === names.length, "expected each job once")
    .prefault([])
    .meta({
      description:
        "jobs whose runs that are due at the same time or before come first, such as the database before its media; waited for up to 6 hours",
      examples: [["cdrs"]],
    }),
  priority: z
    .int()
    .min(0)
    .max(100)
    .prefault(50)
    .meta({ description: "of jobs that could start, the one with the highest number does; 0 to 100", examples: [50] }),
})

export const scheduleSchema = z
  .union([cron.meta({ title: "cron schedule" }).transform((text) => details.parse({ cron: text })), details])
  .meta({
    description:
      "when it runs: five cron fields (minute, hour, day of month, month, day of week), or a map that says more; without it only by hand",
    examples: ["*/30 * * * *"],
  })

function hasNoIssues({ issues }: z.core.ParsePayload): boolean {
  return issues.length === 0
}

function cronProblem(text: string): string | undefined {
  const expected = 'expected five cron fields (minute, hour, day of month, month, day of week) such as "*/30 * * * *"'
  if (text.trim().split(/\s+/).length !== 5) return expected
  try {
    const next = new Cron(text, { paused: true, mode: "5-part", timezone: "UTC" }).nextRun(new Date(0))
    return next === null ? "this schedule never comes: expected one that does" : undefined
  } catch (error) {
    // Only the name of the field is taken over: the message quotes the text, and messages never do.
    const field = error instanceof Error ? /^CronPattern: Invalid value for (\w+)/.exec(error.message)?.[1] : undefined
    return field === undefined ? expected : `${expected}; the ${field} cannot be`
  }
}
