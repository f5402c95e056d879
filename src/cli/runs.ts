import type { Command } from "commander"
import { findRuns, listRuns, type RunRow } from "../catalog/runs.ts"
import { ConfigError, JobError } from "../errors.ts"
import { markOf, runText } from "../report/run-text.ts"
import { readStoredRun } from "../report/stored-run.ts"
import { table } from "../report/table.ts"
import { count, formatDuration, formatSize } from "../units.ts"
import { loadJob } from "../wiring/jobs.ts"
import type { Bench } from "./bench.ts"
import { manual } from "./manual.ts"

export function addRunsCommands(runs: Command, bench: Bench): void {
  runs.description("Lists and shows what this host's runs did, from its own memory.")
  addList(runs, bench)
  addShow(runs, bench)
}

function addList(runs: Command, bench: Bench): void {
  const command = runs
    .command("list")
    .summary("list past runs, newest first")
    .description("Lists the runs of this host, newest first.")
    .option("--job <name>", "only runs of this job")
    .option("--limit <n>", "how many", "20")
    .action((options: { job?: string; limit: string }) => list(options, bench))
  manual(command, {
    examples: [
      ["holdline runs list", "the last twenty"],
      ["holdline runs list --job cdrs --limit 100", "of one job"],
    ],
    reads: "this host's catalog; no site",
    writes: "nothing",
    exits: ["done", "usage", "notFound"],
  })
}

async function list({ job, limit }: { job?: string; limit: string }, bench: Bench): Promise<void> {
  if (!/^[1-9]\d{0,5}$/.test(limit)) throw new ConfigError("config/usage", `--limit ${limit}: expected a whole number from 1 on`)
  const loaded = await bench.load()
  if (job !== undefined) loadJob(loaded, job)
  using catalog = await bench.openCatalog()
  const rows = catalog === null ? [] : listRuns(catalog, { limit: Number(limit), ...(job === undefined ? {} : { job }) })
  if (rows.length === 0) bench.note("no runs yet", bench.notePaint.next(`holdline run ${job ?? "JOB"}`))
  else
    bench.out(
      ...table(
        ["RUN", "JOB", "STARTED", ">TOOK", ">FILES", ">STORED", "OUTCOME"],
        rows.map((row) => cells(row, bench)),
      ),
    )
  for (const row of rows) bench.record("run", recordOf(row))
  bench.record("summary", { command: "runs list", runs: rows.length })
}

function cells(row: RunRow, bench: Bench): string[] {
  const report = row.report === null ? null : readStoredRun(row.report)
  const amounts = report === null ? ["", "", ""] : amountsOf(report)
  return [row.id.slice(0, 12), row.job, bench.moment(row.started), ...amounts, outcomeText(row, bench)]
}

function amountsOf({ seconds, captured, stored }: { seconds: number; captured: { files: number }; stored: { bytes: number } }): string[] {
  return [formatDuration(seconds * 1000), captured.files.toLocaleString("en-US"), formatSize(stored.bytes)]
}

/** A run without an end is under way, or its process died; the next run of the job clears up after it. */
function outcomeText({ outcome }: RunRow, { paint }: Bench): string {
  if (outcome === "ok" || outcome === "partial" || outcome === "failed") return paint.status(markOf[outcome], outcome)
  return paint.status("none", "no end recorded")
}

function recordOf({ id, job, started, ended, outcome }: RunRow): object {
  return { run: id, job, started, ended, outcome }
}

function addShow(runs: Command, bench: Bench): void {
  const command = runs
    .command("show")
    .summary("show what a run did")
    .description("Shows what a run did, with examples of what it missed.")
    .argument("<run>", "the beginning of its id, or JOB@latest")
    .action((reference: string) => showRun(reference, bench))
  manual(command, {
    examples: [
      ["holdline runs show call-recordings@latest", "the newest run of a job"],
      ["holdline runs show 3f9a0c21 --json", "the whole report as JSON"],
    ],
    reads: "this host's catalog; no site",
    writes: "nothing",
    exits: ["done", "notFound"],
  })
}

async function showRun(reference: string, bench: Bench): Promise<void> {
  await bench.load()
  using catalog = await bench.openCatalog()
  const [job, latest] = reference.split("@")
  const isLatest = latest === "latest" && job !== undefined
  const found = catalog === null ? [] : isLatest ? listRuns(catalog, { job, limit: 1 }) : findRuns(catalog, reference)
  const [row, ...others] = found
  if (row === undefined)
    throw new JobError("job/not-found", `no run ${reference} on this host`, { hint: "list them with `holdline runs list`" })
  if (others.length > 0 && row.id !== reference) {
    throw new JobError("job/not-found", `${reference} is the beginning of ${count(found.length, "run")}`, { hint: "give more of the id" })
  }
  const report = row.report === null ? null : readStoredRun(row.report)
  bench.out(...rowText(row, bench))
  if (report !== null) bench.out(...runText(report, { paint: bench.paint, paths: true }))
  bench.record("run", report ?? recordOf(row))
  bench.record("summary", { command: "runs show", run: row.id, outcome: row.outcome })
}

function rowText(row: RunRow, bench: Bench): string[] {
  const end = row.ended === null ? "no end recorded: under way, or its process died" : `ended ${bench.moment(row.ended)}`
  return [`run ${row.id} of ${row.job}`, `started ${bench.moment(row.started)}, ${end}`]
}
