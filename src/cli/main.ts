import { JobError, reasonOf } from "../errors.ts"
import type { Bench, Process } from "./bench.ts"
import { exitCodes } from "./exit.ts"
import { sayFailure } from "./failure.ts"
import { programFor } from "./program.ts"

/** Runs one command line and gives the process's exit code. It never ends the process itself and never throws. */
export async function main(outer: Process): Promise<number> {
  const { program, bench } = await programFor(outer)
  try {
    await program.parseAsync(outer.argv, { from: "user" })
    refuseLostOutput(bench)
    return exitCodes[bench.exit].code
  } catch (error) {
    // A command line that could not be parsed has no flags yet.
    return exitCodes[sayFailure(error, bench, { json: outer.argv.includes("--json") })].code
  }
}

/** What a program did not get to read, it would take for nothing. */
function refuseLostOutput({ stdout }: Bench): void {
  if (stdout.failure === null) return
  throw new JobError("job/target", `standard output: ${reasonOf(stdout.failure)}`, {
    cause: stdout.failure,
    hint: "the work itself is done",
  })
}
