import { Command } from "commander"
import { addAnomalyCommands } from "./anomaly.ts"
import { Bench, type Process } from "./bench.ts"
import { addCompletionCommand } from "./completion.ts"
import { addConfigCommands } from "./config.ts"
import { addDoctorCommand } from "./doctor.ts"
import { addHelpCommand } from "./help.ts"
import { addInitCommands } from "./init-commands.ts"
import { addJobsCommand } from "./jobs.ts"
import { addKeyCommands } from "./key.ts"
import { helpText } from "./manual.ts"
import { addRecoverCommand } from "./recover.ts"
import { addRepairCommand } from "./repair.ts"
import { addRestoreCommands } from "./restore.ts"
import { addRunCommand } from "./run.ts"
import { addRunsCommands } from "./runs.ts"
import { addScrubCommand } from "./scrub.ts"
import { addSiteCommands } from "./site.ts"
import { addFindCommand } from "./snapshot-files.ts"
import { addSnapshotsCommands } from "./snapshots.ts"
import { addSourceCommands } from "./source.ts"
import { addStatusCommand } from "./status.ts"
import { addVerifyCommand } from "./verify.ts"
import { version } from "./version.ts"

/** The command line with all its commands; `bench` is asked for nothing before one of them runs. */
export function programFor(outer: Process): { readonly program: Command; readonly bench: Bench } {
  const program = new Command("holdline")
  const bench = new Bench(outer, () => program.opts())
  addOptions(program, bench)
  addCommands(program, bench)
  return { program, bench }
}

function addOptions(program: Command, bench: Bench): void {
  program
    .description("Backups that voice providers can prove: account data, call detail records and call recordings.")
    .option("--config <file>", "the configuration to use instead of the one that is found")
    .option("--jobs <directory>", "where the job files are")
    .option("--state <directory>", "where the catalog is; wins over the configuration's `state`")
    .option("--agent <name>", "this host's name as an agent; wins over the configuration's `agent`")
    .option("--timezone <zone>", "the zone of times that are shown and given (default: UTC)")
    .option("--json", "typed JSON lines instead of text; the last one is the summary")
    .option("--quiet", "only data and errors, no messages and no progress")
    .option("--no-color", "no colour; NO_COLOR and TERM=dumb say the same")
    .version(version(), "--version", "print the version")
    .helpOption("-h, --help", "print the help of a command")
    .helpCommand(false)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => bench.stdout.write(text),
      writeErr: (text) => bench.stderr.write(text),
      // sayFailure says it, with a hint, or as JSON.
      outputError: () => undefined,
    })
    .configureHelp({ formatHelp: (command) => helpText(command, bench.paint) })
}

// In the order in which the help lists them.
function addCommands(program: Command, bench: Bench): void {
  addStatusCommand(program, bench)
  addRunCommand(program, bench)
  addRunsCommands(program, bench)
  addJobsCommand(program, bench)
  addSnapshotsCommands(program, bench)
  addAnomalyCommands(program, bench)
  addFindCommand(program, bench)
  addRestoreCommands(program, bench)
  addVerifyCommand(program, bench)
  addRecoverCommand(program, bench)
  addSiteCommands(program, bench)
  addScrubCommand(program, bench)
  addRepairCommand(program, bench)
  addInitCommands(program, bench)
  addDoctorCommand(program, bench)
  addSourceCommands(program, bench)
  addKeyCommands(program, bench)
  addConfigCommands(program, bench)
  addHelpCommand(program, bench)
  addCompletionCommand(program, bench)
}
