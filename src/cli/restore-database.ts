import { resolve } from "node:path"
import { type Command, Option } from "commander"
import { openDatabase } from "../database/open.ts"
import { openLoader } from "../database/open-loader.ts"
import { ConfigError } from "../errors.ts"
import { isDate } from "../format/names.ts"
import { restoreAccount } from "../operation/database-account.ts"
import { type CdrTarget, restoreCdrs } from "../operation/database-cdrs.ts"
import { type DatabaseRequest, type DatabaseTarget, restoreDatabase } from "../operation/database-restore.ts"
import type { World } from "../operation/world.ts"
import { accountRestoreText, cdrRestoreText, databaseRestoreText } from "../report/database-restore-text.ts"
import { databaseAt } from "../wiring/databases.ts"
import { openScratch } from "../wiring/scratch.ts"
import { openReader } from "../wiring/world.ts"
import type { Bench } from "./bench.ts"
import { type Exit, exitCodes } from "./exit.ts"
import { manual } from "./manual.ts"
import { rendererFor } from "./progress.ts"
import { addReaderOptions, choiceOf, type ReaderOptions, readIdentities } from "./reader.ts"
import { parseReference } from "./reference.ts"

interface ScratchOptions extends ReaderOptions {
  readonly scratch?: string
}

interface TargetOptions extends ScratchOptions {
  readonly into: string
  readonly parallel: number
}

type WholeOptions = TargetOptions & { readonly fromAccounts?: true; readonly partial?: true }
type AccountOptions = TargetOptions & {
  readonly preview?: true
  readonly onConflict: "stop" | "keep" | "replace"
  readonly withShared?: true
  readonly triggers: "act" | "silent"
  readonly partial?: true
}
type CdrOptions = ScratchOptions & {
  readonly since: string
  readonly until: string
  readonly csv?: string
  readonly into?: string
  readonly table?: string
  readonly intoTable?: string
  readonly onConflict: "stop" | "keep"
}

const exits: readonly Exit[] = ["done", "failed", "usage", "partial", "denied", "notFound", "timeout", "interrupted", "terminated"]
const reference = "a snapshot: JOB@latest, JOB@2026-11-20 or the beginning of an id; `holdline help references`"

/** Adds `restore database`, `restore account` and `restore cdrs` to the group of restores. */
export function addDatabaseCommands(group: Command, bench: Bench): void {
  addWhole(group, bench)
  addAccount(group, bench)
  addCdrs(group, bench)
}

function addParallel(command: Command): Command {
  return command.addOption(new Option("--parallel <number>", "how much is loaded, and read back, at once").argParser(parallelOf).default(4))
}

function addScratch(command: Command): Command {
  command.option(
    "--scratch <directory>",
    "where files are put until they are loaded; they are removed again (default: below the state directory)",
  )
  return addReaderOptions(command)
}

function addWhole(group: Command, bench: Bench): void {
  const command = group
    .command("database")
    .summary("bring a whole database back, into an empty one")
    .description(
      "Brings a whole database back: its files first, each with the SHA-256 taken when it was captured, then all of it into an empty database, " +
        "then what is there is compared with the fingerprints of the source. It says how far that went: `loaded`, or `matched`. " +
        "The role that loads owns the database and nothing else: no SQL of a dump reaches a shell client, and none is run by a superuser.",
    )
    .argument("<snapshot>", reference)
    .requiredOption(
      "--into <database>",
      "a database of the configuration, by its name there, with the role that shall own it; it must be empty",
    )
    .option("--from-accounts", "from the rows that were captured account by account, even where there is a dump of the whole")
    .option("--partial", "the newest snapshot even if it is partial")
    .action((text: string, options: WholeOptions) => whole(text, options, bench))
  addScratch(addParallel(command))
  manual(command, {
    examples: [
      ["holdline restore database account-data@latest --into pbx-new --identity operations.identity", "the fastest way back"],
      [
        "holdline restore database account-data@2026-11-20 --into pbx-new --from-accounts --parallel 8 --identity -",
        "without the whole dump",
      ],
    ],
    reads: "logs, manifests and packs at the sites; afterwards the database",
    writes: "the database, which must be empty",
    exits,
  })
}

function addAccount(group: Command, bench: Bench): void {
  const command = group
    .command("account")
    .summary("give one account its rows back, in a database in use")
    .description(
      "Gives one account its rows back in a database that is in use. They are laid beside its tables and compared first: new, equal, different, " +
        "or taken by something else; then one transaction takes them, all or none. What the account has there besides stays, and no other account's row " +
        "is ever changed. Recordings and voicemail come back with `holdline restore run`.",
    )
    .argument("<snapshot>", reference)
    .argument("<account>", "the account: its id, the platform's own id, or the name people use, such as its domain")
    .requiredOption("--into <database>", "a database of the configuration, by its name there, with a role that may write to it")
    .option("--preview", "say what would be done, and change nothing")
    .addOption(
      new Option(
        "--on-conflict <what>",
        "where a row is there with other values: stop and change nothing, keep what is there, or replace it",
      )
        .choices(["stop", "keep", "replace"])
        .default("stop"),
    )
    .option("--with-shared", "also bring rows of no account that its rows refer to, where they are not there")
    .addOption(
      new Option("--triggers <what>", "whether triggers of the tables act on what comes; `silent` takes a right to it")
        .choices(["act", "silent"])
        .default("act"),
    )
    .option("--partial", "the newest snapshot even if it is partial")
    .action((text: string, account: string, options: AccountOptions) => giveAccount(text, account, options, bench))
  addScratch(addParallel(command))
  manual(command, {
    examples: [
      ["holdline restore account account-data@latest c-1042 --into pbx --preview --identity operations.identity", "what would come"],
      ["holdline restore account account-data@2026-11-20 c-1042 --into pbx --on-conflict replace --identity -", "as it was that day"],
    ],
    reads: "logs, manifests and packs at the sites; the account's rows in the database",
    writes: "with --preview nothing; without, the account's rows in the database",
    exits,
  })
}

function addCdrs(group: Command, bench: Bench): void {
  const command = group
    .command("cdrs")
    .summary("give call detail records of an account, as CSV or into a table")
    .description(
      "Gives the call detail records of an account and a range of days, as they were last captured: as a CSV file with a header, or into a table, " +
        "which is made where it is not there. Rows that are there already and equal are left alone, so that it can be run again.",
    )
    .argument("<job>", "the job, or dataset, that captures the records; `holdline help references`")
    .argument("<account>", "the account: its id, the platform's own id, or the name people use, such as its domain")
    .requiredOption("--since <day>", "from this day on, such as 2026-11-01")
    .requiredOption("--until <day>", "until the end of this day")
    .option("--csv <file>", "write this file; it must not be there yet")
    .option("--into <database>", "a database of the configuration, by its name there, with a role that may write to it")
    .option("--table <table>", "where the days hold rows of several tables: which, as it was captured, such as public.v_xml_cdr")
    .option("--into-table <table>", "the table to fill, where it is another than the captured one")
    .addOption(
      new Option("--on-conflict <what>", "where a row is there with other values: stop and change nothing, or keep what is there")
        .choices(["stop", "keep"])
        .default("stop"),
    )
    .action((job: string, account: string, options: CdrOptions) => giveCdrs(job, account, options, bench))
  addScratch(command)
  manual(command, {
    examples: [
      [
        "holdline restore cdrs cdrs c-1042 --since 2026-11-01 --until 2026-11-30 --csv november.csv --identity operations.identity",
        "a month",
      ],
      [
        "holdline restore cdrs cdrs c-1042 --since 2026-11-01 --until 2026-11-30 --table public.v_xml_cdr --into pbx --identity -",
        "into the table they are from",
      ],
    ],
    reads: "logs, manifests and packs at the sites",
    writes: "the file, or the table",
    exits,
  })
}

function parallelOf(text: string): number {
  const parallel = Number(text)
  if (/^\d{1,2}$/.test(text) && parallel >= 1 && parallel <= parallelMax) return parallel
  throw new ConfigError("config/usage", `--parallel ${text}: expected a number from 1 to ${parallelMax}`)
}

/** Each is a connection of the server; more do not make a disk faster. */
const parallelMax = 32

async function whole(text: string, options: WholeOptions, bench: Bench): Promise<void> {
  await reading(text, options, bench, async ({ request, world, target, ended }) => {
    const chosen = { fromAccounts: options.fromAccounts ?? false, jobs: options.parallel }
    const report = await restoreDatabase(request, target(options.into), chosen, world).catch((error: unknown) => {
      ended()
      if (bench.signal.aborted) bench.note("what was loaded until then stays: empty the database before the next try, which begins anew")
      throw error
    })
    ended()
    bench.out(...databaseRestoreText(report, { paint: bench.paint }))
    finish("restore database", report, bench)
  })
}

async function giveAccount(text: string, account: string, options: AccountOptions, bench: Bench): Promise<void> {
  const { onConflict, triggers, parallel: jobs, preview = false, withShared = false } = options
  await reading(text, options, bench, async ({ request, world, target, ended }) => {
    const chosen = { account, preview, onConflict, withShared, triggers, jobs }
    const report = await restoreAccount(request, target(options.into), chosen, world)
    ended()
    bench.out(...accountRestoreText(report, { paint: bench.paint }))
    if (report.changed && report.outcome !== "failed")
      bench.note(bench.notePaint.next(`holdline restore run RECORDINGS-JOB --account ${account} --to DIRECTORY …`))
    else if (preview && report.outcome === "ok" && report.stops.length === 0)
      bench.note(bench.notePaint.next(`holdline restore account ${text} ${account} --into ${options.into} …`))
    finish("restore account", report, bench)
  })
}

async function giveCdrs(job: string, account: string, options: CdrOptions, bench: Bench): Promise<void> {
  const { since, until, csv, into, table, intoTable, onConflict } = options
  for (const [flag, day] of [["--since", since] as const, ["--until", until] as const]) {
    if (!isDate(day)) throw new ConfigError("config/usage", `${flag} ${day}: expected a day such as 2026-11-20`)
  }
  if (since > until) throw new ConfigError("config/usage", `--since ${since} is after --until ${until}`)
  if ((csv === undefined) === (into === undefined)) throw new ConfigError("config/usage", "give either --csv FILE or --into DATABASE")
  await reading(job, options, bench, async ({ request, world, target, scratch, ended }) => {
    const to: CdrTarget =
      into === undefined
        ? { form: "csv", file: resolve(bench.cwd, csv ?? ""), scratch }
        : { form: "table", into: intoTable, onConflict, scratch, openLoader: target(into).openLoader }
    const report = await restoreCdrs(request, to, { account, since, until, table }, world)
    ended()
    bench.out(...cdrRestoreText(report, { paint: bench.paint }))
    finish("restore cdrs", report, bench)
  })
}

function finish(command: string, report: { readonly outcome: "ok" | "partial" | "failed" }, bench: Bench): void {
  if (report.outcome !== "ok") bench.ends(report.outcome === "partial" ? "partial" : "failed")
  bench.record("summary", { command, exit: exitCodes[bench.exit].code, ...report })
}

interface Reading {
  readonly request: DatabaseRequest
  readonly world: World
  readonly scratch: string
  target(name: string): DatabaseTarget
  /** Clears the progress before text is printed. */
  ended(): void
}

/** Opens the sites for reading and a private directory, and finds the snapshot and the database that were named. */
async function reading(
  text: string,
  options: ScratchOptions & { readonly into?: string; readonly partial?: true },
  bench: Bench,
  work: (reading: Reading) => Promise<void>,
): Promise<void> {
  bench.limitTime(options.timeout)
  const named = parseReference(text, bench.timezone)
  const loaded = await bench.load()
  const renderer = rendererFor(bench, `restore ${text}`)
  const io = bench.io(renderer)
  const target = (name: string, scratch: string): DatabaseTarget => {
    const { settings, access } = databaseAt(loaded, name, io)
    return {
      scratch,
      openLoader: async (folder) => await openLoader(settings, await access({ scratch: folder, signal: io.signal })),
      openDatabase: async (folder) => await openDatabase(settings, await access({ scratch: folder, signal: io.signal })),
    }
  }
  // A name that is none is said before an identity is asked for.
  if (options.into !== undefined) target(options.into, "")
  const identities = await readIdentities(options.identity, bench)
  try {
    const sites = options.from.length === 0 ? undefined : options.from
    await using session = await openReader(loaded, { io, sites })
    await using scratch = await openScratch(options.scratch === undefined ? loaded.config.state : resolve(bench.cwd, options.scratch))
    const choice = await choiceOf(named, session.world, { allowPartial: options.partial ?? false })
    const request = { ...choice, prefer: sites === undefined ? undefined : ("order" as const), identities }
    const { path } = scratch
    await work({ request, world: session.world, scratch: path, target: (name) => target(name, path), ended: () => renderer.end() })
  } finally {
    renderer.end()
  }
}
