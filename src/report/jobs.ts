import { count, formatDuration } from "../units.ts"
import type { Mark, Paint } from "./paint.ts"
import { table } from "./table.ts"

/** When a job ran, when it will, and how far that is from what was promised. */
export interface JobStanding {
  readonly name: string
  /** In words: cron fields and their zone. */
  readonly schedule: string | null
  readonly last: { readonly run: string; readonly started: string; readonly outcome: LastOutcome } | null
  /** When it starts next; where it was due already and has not started, that it is overdue since. */
  readonly next: { readonly at: string; readonly overdue: boolean } | null
  /** How old the newest run is that was good; null where there is none. */
  readonly lagSeconds: number | null
  /** Null where no objective was promised. */
  readonly rpoSeconds: number | null
  readonly state: "ok" | "late" | "never" | "unpromised"
  /** By how much it is older than promised. */
  readonly lateSeconds: number
  /** Due times since the newest good run that were not run; null: more than were counted. */
  readonly missed: number | null
  readonly missedReasons: readonly string[]
}

/** `running` is under way; `killed` is one whose end nobody wrote down. */
export type LastOutcome = "ok" | "partial" | "failed" | "running" | "killed"

export interface JobsTextOptions {
  readonly paint: Paint
  moment(time: string): string
}

const marks: Readonly<Record<JobStanding["state"], Mark>> = { ok: "good", late: "bad", never: "bad", unpromised: "none" }
const outcomeMarks: Readonly<Record<LastOutcome, Mark>> = {
  ok: "good",
  partial: "attention",
  failed: "bad",
  running: "none",
  killed: "bad",
}

const reasons: Readonly<Record<string, string>> = {
  down: "nothing ran here then",
  running: "the run before had not ended",
  waiting: "other jobs came first",
  blackout: "in a blackout",
  killed: "the run was killed",
}

/** A table of all jobs, those whose files are wrong too. */
export function jobsText(jobs: readonly JobStanding[], wrong: readonly string[], { paint, moment }: JobsTextOptions): string[] {
  if (jobs.length + wrong.length === 0) return []
  const rows = jobs.map((job) => [
    job.name,
    job.schedule ?? "by hand",
    job.last === null ? "never" : `${moment(job.last.started)} ${paint.status(outcomeMarks[job.last.outcome], job.last.outcome)}`,
    nextText(job, moment),
    job.lagSeconds === null ? "" : formatDuration(job.lagSeconds * 1000),
    job.rpoSeconds === null ? "" : formatDuration(job.rpoSeconds * 1000),
    paint.status(marks[job.state], stateText(job)),
  ])
  const faulty = wrong.map((name) => [name, "", "", "not scheduled", "", "", paint.status("bad", "wrong: its file cannot be followed")])
  return table(["JOB", "SCHEDULE", "LAST RUN", "NEXT", ">LAG", ">RPO", "STATE"], [...rows, ...faulty].toSorted(byName))
}

function nextText({ next, schedule }: JobStanding, moment: (time: string) => string): string {
  if (schedule === null) return "not scheduled"
  if (next === null) return "never"
  return next.overdue ? `due since ${moment(next.at)}` : moment(next.at)
}

function stateText({ state, lateSeconds, missed, missedReasons }: JobStanding): string {
  const words = {
    ok: "ok",
    late: `late by ${formatDuration(lateSeconds * 1000)}`,
    never: "no good run yet",
    unpromised: "nothing promised",
  }
  if (missed === 0) return words[state]
  const why = missedReasons.map((reason) => reasons[reason] ?? reason).join("; ")
  return `${words[state]}; ${missed === null ? "many due times" : count(missed, "due time")} missed since: ${why}`
}

function byName([a = ""]: readonly string[], [b = ""]: readonly string[]): number {
  return a < b ? -1 : 1
}
