import type { Command } from "commander"
import { BackupError } from "../errors.ts"
import { backup } from "../operation/backup.ts"
import type { RunReport } from "../report/run.ts"
import { runText } from "../report/run-text.ts"
import { openAgent } from "../wiring/world.ts"
import type { Bench } from "./bench.ts"
import { type Exit, exitCodes, exitOfAbort, exitOfError } from "./exit.ts"
import { isInterruption, sayFailure } from "./failure.ts"
import { manual } from "./manual.ts"
import { rendererFor } from "./progress.ts"

export function addRunCommand(command: Command, bench: Bench): void {
  command
    .description("Captures what has changed, encrypts it and places it at the job's sites.")
    .argument("<job...>", "names of jobs, such as call-recordings; several run one after the other")
    .option("--timeout <duration>", "end after this long, such as 2h; the next run goes on where this one ended")
    .action((names: string[], { timeout }: { timeout?: string }) => {
      bench.limitTime(timeout)
      return runJobs(names, bench)
    })
  manual(command, {
    examples: [
      ["holdline run call-recordings", "what has settled since the last run"],
      ["holdline run account-data cdrs", "two jobs in turn; the worst outcome decides the exit code"],
      ["holdline run --timeout 2h --json cdrs", "for a scheduler: JSON lines, and an end after two hours"],
    ],
    reads: "the job's source; the logs of this agent at the sites",
    writes: "packs, manifests and one signed commit at every site of the job; the catalog. It deletes nothing, anywhere",
    exits: ["done", "failed", "usage", "partial", "denied", "notFound", "busy", "timeout", "interrupted", "terminated"],
  })
}

async function runJobs(names: readonly string[], bench: Bench): Promise<void> {
  const loaded = await bench.load()
  const outcomes: object[] = []
  for (const name of new Set(names)) {
    if (bench.signal.aborted) {
      const { reason } = bench.signal
      bench.ends(outcomes.length === 0 ? sayFailure(reason, bench, bench.flags) : exitOfAbort(reason))
      break
    }
    const renderer = rendererFor(bench, name)
    try {
      await using session = await openAgent(loaded, name, bench.io(renderer))
      const report = await backup(session.job, session.source, session.world)
      renderer.end()
      bench.ends(exitOfRun(report, bench.signal))
      outcomes.push(withoutPaths(report))
      printRun(report, bench)
    } catch (error) {
      renderer.end()
      if (!(error instanceof BackupError) && !isInterruption(error, bench.signal)) throw error
      const exit = sayFailure(error, bench, bench.flags)
      bench.ends(exit)
      const { code, message } = error instanceof BackupError ? error : { code: "job/interrupted", message: "interrupted" }
      outcomes.push({ job: name, outcome: "failed", failure: { code, message } })
    }
  }
  bench.record("summary", { command: "run", exit: exitCodes[bench.exit].code, runs: outcomes })
}

function printRun(report: RunReport, bench: Bench): void {
  const { paint, notePaint } = bench
  bench.out(...runText(report, { paint, paths: bench.stdout.isTerminal }))
  if (report.outcome === "ok" && report.captured.files > 0) {
    bench.note(notePaint.next(`holdline verify ${report.dataset}@latest   reads it back and compares`))
  }
}

function exitOfRun({ outcome, failure }: RunReport, signal: AbortSignal): Exit {
  if (outcome === "ok") return "done"
  if (outcome === "partial") return "partial"
  return failure?.code === "job/interrupted" && signal.aborted ? exitOfAbort(signal.reason) : exitOfError(failure ?? { code: "" })
}

/** A report that may go into a log: which paths were missed is asked with `runs show`. */
function withoutPaths(report: RunReport): object {
  return { ...report, missed: report.missed.map(({ reason, count }) => ({ reason, count })) }
}
