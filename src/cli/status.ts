import type { Command } from "commander"
import { standingOf } from "../operation/standing.ts"
import { statusText } from "../report/status.ts"
import { timetable } from "../schedule/timetable.ts"
import type { Loaded } from "../wiring/config.ts"
import type { Bench } from "./bench.ts"
import { exitCodes } from "./exit.ts"
import { manual } from "./manual.ts"

export function addStatusCommand(command: Command, bench: Bench): void {
  command
    .description("Answers in one line whether every job is within what was promised for it, then says how each one stands.")
    .option("--check", "exit with 6 where a job is outside its objective, for monitoring")
    .action(({ check = false }: { check?: boolean }) => status({ check }, bench))
  manual(command, {
    examples: [
      ["holdline status", "are we safe now"],
      ["holdline status --check --quiet", "the same for monitoring: the exit code says it"],
    ],
    reads: "the configuration and this host's catalog; no site",
    writes: "nothing",
    exits: ["done", "usage", "notFound", "findings"],
  })
}

async function status({ check }: { check: boolean }, bench: Bench): Promise<void> {
  const loaded = await bench.load()
  using catalog = await bench.openCatalog()
  const now = bench.clock.now()
  const jobs = [...loaded.jobs.values()].map((job) => standingOf(job, catalog, now))
  const wrong = [...loaded.invalidJobs.keys()]
  const within = jobs.filter(({ state }) => state === "ok" || state === "degraded").length
  if (check && (within < jobs.length || wrong.length > 0)) bench.ends("findings")

  bench.out(...statusText({ jobs, wrong, next: nextRun(loaded, now) }, { paint: bench.paint, now, moment: (time) => bench.moment(time) }))
  for (const job of jobs) bench.record("job", job)
  for (const name of wrong) bench.record("job", { name, state: "wrong" })
  const counts = { jobs: jobs.length + wrong.length, within, degraded: jobs.filter(({ state }) => state === "degraded").length }
  bench.record("summary", { command: "status", exit: exitCodes[bench.exit].code, ...counts })
  if (jobs.length + wrong.length === 0) bench.note(bench.notePaint.next("holdline init job"))
}

/** The job that is due next by its schedule. */
function nextRun({ jobs }: Loaded, now: Date): { readonly job: string; readonly at: Date } | null {
  const due = [...jobs.values()].flatMap(({ name, schedule, timezone }) => {
    const at = schedule === undefined ? null : timetable(schedule.cron, timezone).after(now.getTime())
    return at === null ? [] : [{ job: name, at: new Date(at) }]
  })
  return due.toSorted((a, b) => a.at.getTime() - b.at.getTime())[0] ?? null
}
