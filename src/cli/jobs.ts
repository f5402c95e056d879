import type { Command } from "commander"
import { table } from "../report/table.ts"
import { formatDuration } from "../units.ts"
import type { Job } from "../wiring/jobs.ts"
import type { Bench } from "./bench.ts"
import { manual } from "./manual.ts"

export function addJobsCommand(program: Command, bench: Bench): void {
  const command = program
    .command("jobs")
    .helpGroup("Backups")
    .summary("list the jobs")
    .description("Lists the jobs of this host: what each captures, when, where to, and what was promised for it.")
    .action(() => listJobs(bench))
  manual(command, {
    examples: [
      ["holdline jobs", "all jobs"],
      ["holdline jobs --json", "one JSON line for each, then a summary"],
    ],
    reads: "the configuration and the job files",
    writes: "nothing",
    exits: ["done", "usage"],
  })
}

async function listJobs(bench: Bench): Promise<void> {
  const { jobs, invalidJobs, jobsPath } = await bench.load()
  const { paint } = bench
  const rows = [...jobs.values()].map((job) => {
    const { objective } = job
    const promise = objective === undefined ? ["", ""] : [formatDuration(objective.rpo), formatDuration(objective.rto)]
    return [job.name, job.mode, job.source.kind, job.class, job.sites.join(" "), scheduleText(job), ...promise]
  })
  const wrong = [...invalidJobs.keys()].map((name) => [name, paint.status("bad", "wrong")])
  if (rows.length + wrong.length > 0) {
    const headings = ["JOB", "MODE", "SOURCE", "CLASS", "SITES", "SCHEDULE", ">RPO", ">RTO"]
    bench.out(...table(headings, [...rows, ...wrong].toSorted(byName)))
  }
  for (const job of jobs.values()) {
    const { name, dataset, mode, source, sites, schedule, timezone, objective, durable } = job
    const seconds = objective === undefined ? undefined : { rpo: objective.rpo / 1000, rto: objective.rto / 1000 }
    bench.record("job", {
      name,
      dataset,
      mode,
      source: source.kind,
      class: job.class,
      sites,
      schedule,
      timezone,
      objective: seconds,
      durable,
    })
  }
  for (const [name, { code, message }] of invalidJobs) bench.record("invalid-job", { name, code, message })
  bench.record("summary", { command: "jobs", jobs: jobs.size, invalidJobs: invalidJobs.size })

  if (rows.length + wrong.length === 0) bench.note(`no jobs in ${jobsPath}`, bench.notePaint.next("holdline init job"))
  if (wrong.length > 0) bench.note(bench.notePaint.next("holdline config validate"))
}

function scheduleText({ schedule, timezone }: Job): string {
  return schedule === undefined ? "by hand" : `${schedule} ${timezone}`
}

function byName([a = ""]: readonly string[], [b = ""]: readonly string[]): number {
  return a < b ? -1 : 1
}
