import { Command } from "commander"
import { Bench, type Flags, type Process } from "./bench.ts"
import { commands } from "./commands.ts"
import { helpText } from "./manual.ts"
import { version } from "./version.ts"

/**
 * The command line. All commands are listed, and those that `words` name are loaded: the code of all of them takes longer to begin than
 * most commands to end. `bench` is asked for nothing before one of them runs.
 */
export async function programFor(outer: Process, words: readonly string[] | "all" = outer.argv): Promise<CommandLine> {
  const program = new Command("holdline")
  const bench = new Bench(outer, () => program.opts<Partial<Flags>>())
  addOptions(program, bench)
  const all = words === "all" || words.includes("completion")
  for (const { name, group, summary, load } of commands) {
    const command = program.command(name).helpGroup(group).summary(summary)
    if (all || words.includes(name)) (await load())(command, bench, program)
  }
  return { program, bench }
}

export interface CommandLine {
  readonly program: Command
  readonly bench: Bench
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
