import { mkdir } from "node:fs/promises"
import { join } from "node:path"
import { type Command, Option } from "commander"
import { Document, isSeq } from "yaml"
import { ConfigError, errnoOf } from "../errors.ts"
import { writeAtomically } from "../files.ts"
import { randomId } from "../random.ts"
import type { Loaded } from "../wiring/config.ts"
import { parseJob } from "../wiring/jobs.ts"
import { nameSchema } from "../wiring/schema.ts"
import { oneOf } from "../wiring/suggest.ts"
import type { Bench } from "./bench.ts"
import { Questions } from "./init-ask.ts"
import { manual } from "./manual.ts"

interface JobOptions {
  readonly mode?: string
  readonly source?: string
  readonly path?: string
  readonly template?: string
  readonly sourceTimezone?: string
  readonly settle?: string
  readonly account?: string
  readonly program?: readonly string[]
  readonly file?: string
  readonly class?: string
  readonly sites?: readonly string[]
  readonly schedule?: string
  readonly rpo?: string
  readonly rto?: string
}

export function addInitJobCommand(init: Command, bench: Bench): void {
  const command = init
    .command("job")
    .summary("write a job file")
    .description("Writes one job file, after a few questions on a terminal; what is given here is not asked. It never overwrites a file.")
    .argument("[name]", "the job's name, such as call-recordings")
    .addOption(new Option("--mode <mode>", "the source only gains things, or is a whole that changes").choices(["archive", "state"]))
    .addOption(new Option("--source <kind>", "where data is read").choices(["directory", "sqlite", "command"]))
    .option("--path <path>", "directory, sqlite: what to read")
    .option("--template <template>", "archive: where account and day stand in a path, such as {account}/{yyyy}/{MM}/{dd}/{name}")
    .option("--source-timezone <zone>", "archive: the time zone of the dates in paths")
    .option("--settle <duration>", "archive: how long a file must be unchanged before it counts as finished")
    .option("--account <id>", "state: whose all of it is, such as platform")
    .option("--program <word...>", "command: the program and its arguments")
    .option("--file <name>", "command, sqlite: the captured file's name")
    .option("--class <class>", "a class of the configuration")
    .option("--sites <site...>", "sites of the configuration (default: all)")
    .option("--schedule <cron>", 'five cron fields, such as "*/30 * * * *" (default: only by hand)')
    .option("--rpo <duration>", "how old the newest snapshot may get; with --rto")
    .option("--rto <duration>", "how long a restore may take; with --rpo")
    .action((name: string | undefined, options: JobOptions) => writeJob(name, options, bench))
  manual(command, {
    examples: [
      ["holdline init job", "asks for everything"],
      ["holdline init job switch-config --mode state --source directory --path /etc/freeswitch --account platform --class state-35", ""],
    ],
    reads: "the configuration",
    writes: "one file in the jobs directory",
    exits: ["done", "usage", "notFound"],
  })
}

async function writeJob(given: string | undefined, options: JobOptions, bench: Bench): Promise<void> {
  const loaded = await bench.load()
  const questions = new Questions(bench)
  const name = given ?? (await questions.ask("Name of the job", "its first argument"))
  if (!nameSchema.safeParse(name).success) {
    throw new ConfigError("config/usage", "the job's name: expected 1 to 63 lower-case letters, digits and dashes")
  }
  const path = join(loaded.jobsPath, `${name}.yaml`)
  if (loaded.jobs.has(name) || loaded.invalidJobs.has(name)) throw taken(path)
  const text = yamlOf(await answers(options, loaded, questions))
  parseJob(Buffer.from(text), path, loaded.config, bench.cwd)
  await mkdir(loaded.jobsPath, { recursive: true, mode: 0o750 })
  try {
    const temporary = join(loaded.jobsPath, `.${randomId(bench.random)}`)
    await writeAtomically(path, Buffer.from(text), { temporary, mode: 0o644, replace: false })
  } catch (error) {
    if (errnoOf(error) === "EEXIST") throw taken(path)
    throw error
  }
  bench.out(`${bench.paint.status("good", "written")}  ${path}`, "", ...text.trimEnd().split("\n"))
  bench.note("", bench.notePaint.next(`holdline run ${name}`))
  bench.record("summary", { command: "init job", job: name, file: path })
}

function taken(path: string): ConfigError {
  return new ConfigError("config/usage", `${path}: there is such a job already, and no file is overwritten`, {
    hint: "choose another name, or edit the file",
  })
}

async function answers(options: JobOptions, { config }: Loaded, questions: Questions): Promise<object> {
  const choose = async (value: string | undefined, question: string, option: string, choices: readonly string[]): Promise<string> => {
    const answer =
      value ?? (await questions.ask(`${question} (${choices.join(", ")})`, option, questions.isPossible ? choices[0] : undefined))
    if (choices.includes(answer)) return answer
    throw new ConfigError("config/usage", `${option}: expected ${oneOf(choices)}`)
  }
  const kind = await choose(options.source, "Where data is read", "--source", ["directory", "sqlite", "command"])
  const mode =
    kind === "directory" ? await choose(options.mode, "How it is captured", "--mode", ["archive", "state"]) : (options.mode ?? "state")
  const source = await sourceOf(kind, mode, options, questions)
  const fitting = Object.entries(config.classes).sort(([, a], [, b]) =>
    mode === "state" ? b.reuseDays - a.reuseDays : a.reuseDays - b.reuseDays,
  )
  const className = await choose(
    options.class,
    "How long it is kept: the class",
    "--class",
    fitting.map(([each]) => each),
  )
  const schedule =
    options.schedule ?? (await questions.ask('When, as five cron fields such as "*/30 * * * *"; - only by hand', "--schedule", "-"))
  return {
    version: 1,
    mode,
    source,
    class: className,
    sites: options.sites ?? Object.keys(config.sites),
    ...(schedule === "-" ? {} : { schedule }),
    ...objectiveOf(options),
  }
}

function objectiveOf({ rpo, rto }: JobOptions): object {
  if (rpo === undefined && rto === undefined) return {}
  if (rpo !== undefined && rto !== undefined) return { objective: { rpo, rto } }
  throw new ConfigError("config/usage", "--rpo and --rto: give both or none")
}

async function sourceOf(kind: string, mode: string, options: JobOptions, questions: Questions): Promise<object> {
  const { sourceTimezone: timezone, settle, file, program } = options
  const account = async (): Promise<string> =>
    options.account ?? (await questions.ask("Whose it is: the customer's id, platform (no customer data) or mixed", "--account"))
  const path = async (): Promise<string> => options.path ?? (await questions.ask("Path", "--path"))
  if (kind === "command") {
    const command = program ?? (await questions.ask("Program and arguments, between blanks", "--program")).split(/\s+/)
    return { kind, command, account: await account(), name: file ?? (await questions.ask("Name of the captured file", "--file")) }
  }
  if (kind === "sqlite") return { kind, path: await path(), account: await account(), ...(file === undefined ? {} : { name: file }) }
  if (mode === "state") return { kind, path: await path(), account: await account() }
  const where = await path()
  const template =
    options.template ??
    (await questions.ask("Where account and day stand in a path, such as {account}/{yyyy}/{MM}/{dd}/{name}", "--template"))
  return { kind, path: where, template, ...(timezone === undefined ? {} : { timezone }), ...(settle === undefined ? {} : { settle }) }
}

function yamlOf(job: object): string {
  const document = new Document(job)
  document.commentBefore = " What each key means: holdline config explain job.KEY"
  for (const path of [["sites"], ["source", "command"]]) {
    const list = document.getIn(path)
    if (isSeq(list)) list.flow = true
  }
  return document.toString({ lineWidth: 0, flowCollectionPadding: false })
}
