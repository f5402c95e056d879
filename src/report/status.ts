import { count, formatDuration } from "../units.ts"
import { type AnomalyReport, anomalyText } from "./anomaly.ts"
import type { Mark, Paint } from "./paint.ts"
import { table } from "./table.ts"
import { visible } from "./visible.ts"

/** How one job stands. `late` is older than its objective; `degraded` is within it, but something needs a look. */
export interface StatusJob {
  readonly name: string
  readonly lastGood: string | null
  readonly ageSeconds: number | null
  /** Null where no objective was promised. */
  readonly rpoSeconds: number | null
  readonly sites: readonly { readonly name: string; readonly held: boolean }[]
  /** How far up the ladder of proof it came, and how long ago. */
  readonly proven: { readonly rung: string; readonly ageSeconds: number } | null
  /** What runs found and nobody has lifted: nothing of the dataset expires. */
  readonly anomalies: readonly AnomalyReport[]
  readonly state: "ok" | "degraded" | "late" | "never"
  readonly why: string | null
  /** The command to go on with. */
  readonly next: string | null
}

export interface Status {
  readonly jobs: readonly StatusJob[]
  /** Names of jobs whose files are wrong: they cannot run. */
  readonly wrong: readonly string[]
  readonly next: { readonly job: string; readonly at: Date } | null
}

export interface StatusTextOptions {
  readonly paint: Paint
  readonly now: Date
  moment(time: Date | string): string
}

const marks: Readonly<Record<StatusJob["state"], Mark>> = { ok: "good", degraded: "attention", late: "bad", never: "bad" }

/** The status as a person wants to see it at three in the morning: the answer first, then each job, then what to do. */
export function statusText(status: Status, options: StatusTextOptions): string[] {
  const { jobs, wrong } = status
  if (jobs.length + wrong.length === 0) return [`${options.paint.status("none", "NOTHING")}  no job is configured: nothing is backed up`]
  return [headline(status, options), "", ...jobTable(status, options), ...anomalyLines(status, options), ...advice(status, options)]
}

function headline({ jobs, wrong, next }: Status, { paint, now, moment }: StatusTextOptions): string {
  const total = jobs.length + wrong.length
  const within = jobs.filter(({ state }) => state === "ok" || state === "degraded").length
  const degraded = jobs.filter(({ state }) => state === "degraded").length
  const parts = [`${String(within)} of ${count(total, "job")} within objective`]
  if (degraded > 0) parts.push(`${String(degraded)} degraded`)
  if (next !== null) parts.push(`next: ${next.job} in ${formatDuration(next.at.getTime() - now.getTime())} (${moment(next.at)})`)
  const verdict = within === total ? paint.status("good", "SAFE") : paint.status("bad", "AT RISK")
  return `${verdict}  ${parts.join(" · ")}`
}

function jobTable({ jobs, wrong }: Status, { paint, moment }: StatusTextOptions): string[] {
  const rows = jobs.map((job) => [
    job.name,
    job.lastGood === null ? "never" : moment(job.lastGood),
    job.ageSeconds === null ? "" : formatDuration(job.ageSeconds * 1000),
    job.rpoSeconds === null ? "" : formatDuration(job.rpoSeconds * 1000),
    job.sites.map(({ name, held }) => (held ? name : "·")).join(" "),
    job.proven === null ? "" : `${job.proven.rung}, ${formatDuration(job.proven.ageSeconds * 1000)} ago`,
    paint.status(marks[job.state], job.why === null ? job.state : `${job.state}: ${job.why}`),
  ])
  const faulty = wrong.map((name) => [name, "", "", "", "", "", paint.status("bad", "wrong: its file cannot be followed")])
  return table(["JOB", "LAST GOOD", ">AGE", ">RPO", "SITES", "PROVEN", "STATE"], [...rows, ...faulty])
}

function anomalyLines({ jobs }: Status, { paint, moment }: StatusTextOptions): string[] {
  const lines = jobs.flatMap(({ anomalies }) =>
    anomalies.map((anomaly) => {
      const found = `${moment(anomaly.time)}: ${visible(anomalyText(anomaly))}; nothing of it expires`
      return `${paint.status("attention", "anomaly")}  ${anomaly.id.slice(0, 12)}  ${anomaly.dataset}, ${found}`
    }),
  )
  return lines.length === 0 ? [] : ["", ...lines]
}

function advice({ jobs, wrong }: Status, { paint }: StatusTextOptions): string[] {
  const commands = jobs.flatMap(({ name, state, next }) => {
    if (state === "never" && next === null) return [`holdline run ${name}`]
    if (state === "late" && next === null) return [`holdline run ${name}`]
    return next === null ? [] : [next]
  })
  if (wrong.length > 0) commands.push("holdline config validate")
  const once = [...new Set(commands)]
  return once.length === 0 ? [] : ["", ...once.map((command) => paint.next(command))]
}
