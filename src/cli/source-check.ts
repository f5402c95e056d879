import type { Command } from "commander"
import { BackupError } from "../errors.ts"
import { type Finding, wrong } from "../operation/doctor.ts"
import type { SourceCheck } from "../operation/source-check.ts"
import { visible } from "../report/visible.ts"
import { type Job, loadJob } from "../wiring/jobs.ts"
import { checkSource } from "../wiring/source-check.ts"
import type { Bench } from "./bench.ts"
import { exitCodes } from "./exit.ts"
import { findingLines } from "./finding.ts"
import { manual } from "./manual.ts"

export function addSourceCheckCommand(source: Command, bench: Bench): void {
  const command = source
    .command("check")
    .summary("see whether what jobs read can be read, and what role it takes")
    .description(
      "Connects to databases as a run would, and says what their role lacks and has too much of, with the SQL that makes the right one; " +
        "holds the tenancy map against the tables that are there, with the lines to add; and tries a sample of the files of directories: " +
        "whether they can be read and fit their template. Nothing is captured and nothing is changed.",
    )
    .argument("[job...]", "names of jobs; without any, all")
    .option("--timeout <duration>", "end after this long, such as 1m")
    .action(async (names: string[], { timeout }: { timeout?: string }) => {
      bench.limitTime(timeout)
      await check(names, bench)
    })
  manual(command, {
    examples: [
      ["holdline source check account-data", "before the first run: the role, its grants, and whose each table is"],
      ["holdline source check", "every job, after an upgrade of the platform"],
      ["holdline --json source check cdrs", "for monitoring: findings, SQL and lines as data"],
    ],
    reads: "what a server says of itself, its roles and its tables; names and attributes of up to 2,000 files of each directory",
    writes: "nothing",
    exits: ["done", "usage", "notFound", "findings", "timeout", "interrupted"],
  })
}

async function check(names: readonly string[], bench: Bench): Promise<void> {
  const loaded = await bench.load()
  const jobs = names.length === 0 ? [...loaded.jobs.values()] : names.map((name) => loadJob(loaded, name))
  const io = bench.io({ tell: () => undefined })
  let findings = 0
  for (const job of jobs) {
    bench.signal.throwIfAborted()
    const checked = await checkedOr(job, () => checkSource(job, loaded, io))
    findings += checked.findings.filter(({ state }) => state === "wrong").length
    print(checked, bench)
    bench.record("source", checked)
  }
  // A job whose file is wrong is none that could be checked.
  for (const [name, error] of names.length === 0 ? loaded.invalidJobs : []) {
    findings += 1
    const finding = wrong("job", error.message, error.hint)
    print({ job: name, source: "", findings: [finding], sql: [], lines: [] }, bench)
    bench.record("source", { job: name, findings: [finding] })
  }
  if (jobs.length + loaded.invalidJobs.size === 0) bench.note(`there are no jobs in ${loaded.jobsPath}`)
  if (findings > 0) bench.ends("findings")
  bench.record("summary", { command: "source check", exit: exitCodes[bench.exit].code, jobs: jobs.length, findings })
}

async function checkedOr(job: Job, look: () => Promise<SourceCheck>): Promise<SourceCheck> {
  try {
    return await look()
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    return { job: job.name, source: "", findings: [wrong("job", error.message, error.hint)], sql: [], lines: [] }
  }
}

function print({ job, source, findings, sql, lines }: SourceCheck, bench: Bench): void {
  const { paint } = bench
  const checkWidth = Math.max(0, ...findings.map(({ check: name }: Finding) => name.length))
  bench.out(`${paint.strong(job)}${source === "" ? "" : `: ${visible(source)}`}`)
  for (const finding of findings) bench.out(...findingLines(finding, { paint, checkWidth }))
  if (lines.length > 0) bench.out("", "to add to the tenancy map, under `tables`:", ...lines.map((line) => `  ${visible(line)}`))
  const isRoleWrong = findings.some(({ check: name, state }) => state === "wrong" && (name === "connection" || name === "role"))
  if (sql.length > 0 && isRoleWrong)
    bench.out("", "the role it needs, for an administrator to make:", ...sql.map((line) => `  ${visible(line)}`))
  bench.out("")
}
