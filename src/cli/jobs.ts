import { join } from "node:path"
import type { Command } from "commander"
import type { Catalog } from "../catalog/catalog.ts"
import { heldFence } from "../catalog/lock.ts"
import { listRuns, newestGood, type RunRow } from "../catalog/runs.ts"
import { missedSince, type ScheduleProgress, scheduleProgress } from "../catalog/schedule.ts"
import { type JobStanding, jobsText, type LastOutcome } from "../report/jobs.ts"
import type { Job } from "../wiring/jobs.ts"
import type { Bench } from "./bench.ts"
import { manual } from "./manual.ts"
import { scheduledJob } from "./scheduled.ts"

export function addJobsCommand(command: Command, bench: Bench): void {
  command
    .description(
      "Lists the jobs of this host: when each ran last and how that ended, when it runs next, and how old its newest good run is.",
    )
    .action(() => listJobs(bench))
  manual(command, {
    examples: [
      ["holdline jobs", "all jobs"],
      ["holdline jobs --json", "one JSON line for each, with what it captures and where to, then a summary"],
    ],
    reads: "the configuration, the job files and this host's catalog; no site",
    writes: "nothing",
    exits: ["done", "usage", "notFound"],
  })
}

async function listJobs(bench: Bench): Promise<void> {
  const { jobs, invalidJobs, jobsPath, config } = await bench.load()
  using catalog = await bench.openCatalog()
  const progress = catalog === null ? new Map<string, ScheduleProgress>() : scheduleProgress(catalog)
  const now = bench.clock.now().getTime()
  const fence = heldFence(join(config.state, "lock"))
  const standings = [...jobs.values()].map((job) => standingOf(job, { catalog, progress, now, fence, agent: config.agent }))
  const wrong = [...invalidJobs.keys()]
  bench.out(...jobsText(standings, wrong, { paint: bench.paint, moment: (time) => bench.moment(time) }))
  for (const [index, job] of [...jobs.values()].entries()) bench.record("job", { ...describe(job), ...standings[index] })
  for (const [name, { code, message }] of invalidJobs) bench.record("invalid-job", { name, code, message })
  const served = heldFence(join(config.state, "serve-lock")) !== null
  bench.record("summary", { command: "jobs", jobs: jobs.size, invalidJobs: invalidJobs.size, served })

  if (jobs.size + wrong.length === 0) bench.note(`no jobs in ${jobsPath}`, bench.notePaint.next("holdline init job"))
  if (wrong.length > 0) bench.note(bench.notePaint.next("holdline config validate"))
  const scheduled = standings.some(({ schedule }) => schedule !== null)
  if (scheduled && !served) bench.note(bench.notePaint.next("holdline serve   runs them when they are due; nothing here does now"))
}

function describe({ dataset, mode, source, sites, timezone, durable, class: name, objective, schedule }: Job): object {
  const seconds = objective === undefined ? undefined : { rpo: objective.rpo / 1000, rto: objective.rto / 1000 }
  return { dataset, mode, source: source.kind, class: name, sites, timezone, objective: seconds, durable, settings: schedule }
}

interface Known {
  readonly catalog: Catalog | null
  readonly progress: ReadonlyMap<string, ScheduleProgress>
  readonly now: number
  /** Of the lease under which a run is under way. */
  readonly fence: number | null
  readonly agent: string
}

function standingOf(job: Job, known: Known): JobStanding {
  const { catalog, now } = known
  const good = catalog === null ? undefined : newestGood(catalog, job.name)
  const [last] = catalog === null ? [] : listRuns(catalog, { job: job.name, limit: 1 })
  const goodMs = good === undefined ? null : Date.parse(good)
  const lagSeconds = goodMs === null ? null : Math.max(0, now - goodMs) / 1000
  const rpoSeconds = job.objective === undefined ? null : job.objective.rpo / 1000
  const lateSeconds = lagSeconds === null || rpoSeconds === null ? 0 : Math.max(0, lagSeconds - rpoSeconds)
  const missed = catalog === null ? [] : missedSince(catalog, job.name, goodMs ?? 0)
  const isCounted = missed.every(({ count }) => count !== null)
  return {
    name: job.name,
    schedule: job.schedule === undefined ? null : `${job.schedule.cron} ${job.timezone}`,
    last: last === undefined ? null : { run: last.id, started: last.started, outcome: outcomeOf(last, known.fence) },
    next: nextOf(job, known),
    ...{ lagSeconds, rpoSeconds, lateSeconds },
    state: rpoSeconds === null ? "unpromised" : lagSeconds === null ? "never" : lateSeconds > 0 ? "late" : "ok",
    missed: isCounted ? missed.reduce((sum, { count }) => sum + (count ?? 0), 0) : null,
    missedReasons: [...new Set(missed.map(({ reason }) => reason))],
  }
}

function outcomeOf({ outcome, fence }: RunRow, held: number | null): LastOutcome {
  if (outcome === "ok" || outcome === "partial" || outcome === "failed") return outcome
  return fence === held ? "running" : "killed"
}

function nextOf(job: Job, { progress, now, agent }: Known): JobStanding["next"] {
  const scheduled = scheduledJob(job, agent)
  if (scheduled === null) return null
  const known = progress.get(job.name)
  const isKnown = known?.schedule === scheduled.schedule
  // While it runs, the due time it runs for is handled.
  const handled = isKnown ? Math.max(known.handled, known.begun?.due ?? 0) : now
  const due = scheduled.timetable.after(handled)
  if (due === null) return null
  const wanted = due + scheduled.jitterMs
  const start = scheduled.inBlackout === "postpone" ? scheduled.freeFrom(wanted) : wanted
  return start <= now ? { at: new Date(due).toISOString(), overdue: true } : { at: new Date(start).toISOString(), overdue: false }
}
