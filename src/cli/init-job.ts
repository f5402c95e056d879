import { mkdir } from "node:fs/promises"
import { join } from "node:path"
import { type Command, Option } from "commander"
import { Document, isSeq } from "yaml"
import { ConfigError, errnoOf } from "../errors.ts"
import { writeAtomically } from "../files.ts"
import { randomId } from "../random.ts"
import type { Loaded } from "../wiring/config.ts"
import { parseJob } from "../wiring/jobs.ts"
import { shippedProfiles } from "../wiring/profiles.ts"
import { oneOf } from "../wiring/suggest.ts"
import { nameSchema } from "../wiring/values.ts"
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
  readonly database?: string
  readonly profile?: string
  readonly files?: string
  readonly like?: string
  readonly capture?: readonly string[]
  readonly class?: string
  readonly sites?: readonly string[]
  readonly schedule?: string
  readonly rpo?: string
  readonly rto?: string
}

const kinds = ["directory", "sqlite", "command", "database", "cdrs", "csv"]

export function addInitJobCommand(init: Command, bench: Bench): void {
  const command = init
    .command("job")
    .summary("write a job file")
    .description("Writes one job file, after a few questions on a terminal; what is given here is not asked. It never overwrites a file.")
    .argument("[name]", "the job's name, such as call-recordings")
    .addOption(new Option("--mode <mode>", "the source only gains things, or is a whole that changes").choices(["archive", "state"]))
    .addOption(new Option("--source <kind>", "where data is read").choices(kinds))
    .option("--path <path>", "directory, sqlite, csv: what to read")
    .option("--template <template>", "archive: where account and day stand in a path, such as {account}/{yyyy}/{MM}/{dd}/{name}")
    .option("--source-timezone <zone>", "archive: the time zone of the dates in paths, of local times in rows, and of days")
    .option("--settle <duration>", "archive: how long a file must be unchanged before it counts as finished")
    .option("--account <id>", "whose all of it is, such as platform; in archive mode where no path says it")
    .option("--program <word...>", "command: the program and its arguments")
    .option("--file <name>", "command, sqlite: the captured file's name")
    .option("--database <name>", "database, cdrs: a database of the configuration")
    .option("--profile <profile>", "the telephony platform, such as fusionpbx, or the path of a profile of your own")
    .option("--files <entry>", "directory, csv: which of the profile's, such as recordings")
    .option("--like <database>", "database, cdrs: which of the profile's databases it is, where it has several")
    .addOption(
      new Option("--capture <way...>", "database: by account, or the whole, or both (default: accounts)").choices(["accounts", "whole"]),
    )
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
      ["holdline init job account-data --source database --database pbx --profile fusionpbx --class state-35", ""],
      ["holdline init job recordings --mode archive --source directory --profile fusionpbx --files recordings --class recordings-90", ""],
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
  await parseJob(Buffer.from(text), path, { config: loaded.config, cwd: bench.cwd })
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
  const kind = await choose(options.source, "Where data is read", "--source", kinds)
  const only = kind === "cdrs" || kind === "csv" ? "archive" : "state"
  const mode =
    kind === "directory" ? await choose(options.mode, "How it is captured", "--mode", ["archive", "state"]) : (options.mode ?? only)
  const databases = Object.keys(config.databases)
  if ((kind === "database" || kind === "cdrs") && databases.length === 0)
    throw new ConfigError("config/usage", "the configuration has no database", { hint: "add it under `databases`" })
  const source =
    kind === "database" || kind === "cdrs"
      ? await databaseOf(kind, await choose(options.database, "Which database", "--database", databases), options, questions)
      : await sourceOf(kind, mode, options, questions)
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

async function databaseOf(kind: "database" | "cdrs", database: string, options: JobOptions, questions: Questions): Promise<object> {
  const { like, capture, sourceTimezone: timezone } = options
  const profile = await profileOf(options, questions)
  return { kind, database, profile, ...given({ like, ...(kind === "database" ? { capture } : { timezone }) }) }
}

async function profileOf({ profile }: JobOptions, questions: Questions): Promise<string> {
  return profile ?? (await questions.ask(`Platform (${(await shippedProfiles()).join(", ")}), or the path of a profile`, "--profile"))
}

async function sourceOf(kind: string, mode: string, options: JobOptions, questions: Questions): Promise<object> {
  const { sourceTimezone: timezone, settle, file, program, profile, files } = options
  const account = async (): Promise<string> =>
    options.account ?? (await questions.ask("Whose it is: the customer's id, platform (no customer data) or mixed", "--account"))
  const path = async (): Promise<string> => options.path ?? (await questions.ask("Path", "--path"))
  const entry = async (): Promise<string> => files ?? (await questions.ask("Which of the profile's", "--files"))
  if (kind === "command") {
    const command = program ?? (await questions.ask("Program and arguments, between blanks", "--program")).split(/\s+/)
    return { kind, command, account: await account(), name: file ?? (await questions.ask("Name of the captured file", "--file")) }
  }
  if (kind === "sqlite") return { kind, path: await path(), account: await account(), ...given({ name: file }) }
  if (kind === "csv")
    return { kind, profile: await profileOf(options, questions), files: await entry(), ...given({ path: options.path, timezone }) }
  if (profile !== undefined) {
    const own = { path: options.path, template: options.template, account: options.account, timezone, settle }
    return { kind, profile, files: await entry(), ...given(own) }
  }
  if (mode === "state") return { kind, path: await path(), account: await account() }
  const where = await path()
  const template =
    options.template ??
    (await questions.ask("Where account and day stand in a path, such as {account}/{yyyy}/{MM}/{dd}/{name}", "--template"))
  return { kind, path: where, template, ...given({ account: options.account, timezone, settle }) }
}

/** What was given of it. */
function given(keys: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(Object.entries(keys).filter(([, value]) => value !== undefined))
}

function yamlOf(job: object): string {
  const document = new Document(job)
  document.commentBefore = " What each key means: holdline config explain job.KEY"
  for (const path of [["sites"], ["source", "command"], ["source", "capture"]]) {
    const list = document.getIn(path)
    if (isSeq(list)) list.flow = true
  }
  return document.toString({ lineWidth: 0, flowCollectionPadding: false })
}
