import { resolve } from "node:path"
import { type Command, Option } from "commander"
import { planRestore } from "../operation/plan.ts"
import { type RestoreRequest, restore } from "../operation/restore.ts"
import type { World } from "../operation/world.ts"
import { planText, restoreText } from "../report/restore-text.ts"
import type { Loaded } from "../wiring/config.ts"
import { openReader } from "../wiring/world.ts"
import type { Bench } from "./bench.ts"
import { type Exit, exitCodes } from "./exit.ts"
import { manual } from "./manual.ts"
import { rendererFor } from "./progress.ts"
import {
  addReaderOptions,
  addSelectionOptions,
  choiceOf,
  type ReaderOptions,
  readIdentities,
  type SelectionOptions,
  selectionOf,
} from "./reader.ts"
import { parseReference } from "./reference.ts"
import { addDatabaseCommands } from "./restore-database.ts"

type PlanOptions = ReaderOptions & SelectionOptions & { readonly prefer?: "price" | "speed" }
type RunOptions = PlanOptions & { readonly to: string; readonly owners?: boolean }

export function addRestoreCommands(group: Command, bench: Bench): void {
  group.description("Brings files back from any site, with one of the organisation's identities.")
  addPlan(group, bench)
  addRun(group, bench)
  addDatabaseCommands(group, bench)
}

/** How sites are told apart that are equally sound. */
const liking = "among these the cheapest is first, unless it would break the job's rto or, without one, is much slower than the fastest"

function addPreference(command: Command): Command {
  return command.addOption(
    new Option("--prefer <what>", "what counts among sites that are equally sound; without it the cheapest that is quick enough").choices([
      "price",
      "speed",
    ]),
  )
}

const reference = "a snapshot: JOB@latest, JOB@2026-11-20 or the beginning of an id; `holdline help references`"
const exits: readonly Exit[] = ["done", "failed", "usage", "denied", "notFound", "timeout", "interrupted", "terminated"]

function addPlan(group: Command, bench: Bench): void {
  const command = group
    .command("plan")
    .summary("say what a restore would do")
    .description(
      "Says what a restore would bring back, from which site and why, about how long it would take and what it would cost. " +
        `Sites that answer come before those that do not, then those that hold everything, then those where nothing is known to be rotten; ${liking}.`,
    )
    .argument("<snapshot>", reference)
    .action((text: string, options: PlanOptions) => plan(text, options, bench))
  addReaderOptions(addSelectionOptions(addPreference(command)))
  manual(command, {
    examples: [
      ["holdline restore plan call-recordings@latest --identity operations.identity", "everything"],
      ["holdline restore plan switch-config@2026-11-20 --identity -", "as it was that day; the identity from standard input"],
    ],
    reads: "logs, inventories and manifests at the sites, and up to 1 MiB of data at each whose speed is not known",
    writes: "nothing",
    exits,
  })
}

function addRun(group: Command, bench: Bench): void {
  const command = group
    .command("run")
    .summary("restore into a directory")
    .description(
      "Restores into a directory: only files whose SHA-256 is the one taken at the source, nothing outside the directory, and nothing there is overwritten. " +
        "Any one site suffices: `restore plan` says which is asked first, and another takes over where one fails. " +
        "Run it again after an interruption, or when a site was away: what is there already and equal is left alone.",
    )
    .argument("<snapshot>", reference)
    .requiredOption("--to <directory>", "where to put the files; made if it is not there")
    .option("--owners", "give files their original owners; needs the right to")
    .action((text: string, options: RunOptions) => run(text, options, bench))
  addReaderOptions(addSelectionOptions(addPreference(command)))
  manual(command, {
    examples: [
      ["holdline restore run call-recordings@latest --to out --identity operations.identity", "everything"],
      ["holdline restore run switch-config@latest --prefer speed --to out --identity -", "whatever it costs"],
      ["holdline restore run call-recordings --account c-1042 --since 2026-11-01 --to out --identity -", "one customer's November"],
      ["holdline restore run switch-config@2026-11-20T14:00 --from gcs-bru --to out --identity -", "from one site only"],
    ],
    reads: "logs, manifests and packs at the sites",
    writes: "the directory, and nothing else",
    exits: [...exits, "partial"],
  })
}

async function plan(text: string, options: PlanOptions, bench: Bench): Promise<void> {
  await reading(text, options, bench, async (request, world) => {
    const planned = await planRestore(request, world)
    bench.out(...planText(planned, { paint: bench.paint, moment: (time) => bench.moment(time) }))
    bench.note(bench.notePaint.next(`holdline restore run ${text} --to DIRECTORY …`))
    bench.record("summary", { command: "restore plan", exit: 0, ...planned })
  })
}

async function run(text: string, options: RunOptions, bench: Bench): Promise<void> {
  const { to, owners = false } = options
  await reading(text, options, bench, async (request, world, ended) => {
    const report = await restore(request, { path: resolve(bench.cwd, to), owners }, world)
    ended()
    bench.out(...restoreText(report, { paint: bench.paint, moment: (time) => bench.moment(time) }))
    if (report.outcome !== "ok") bench.ends(report.outcome === "partial" ? "partial" : "failed")
    bench.record("summary", { command: "restore run", exit: exitCodes[bench.exit].code, ...report })
  })
}

/** Opens the sites for reading, finds what was named, and lets `work` use it; `ended` clears the progress before text is printed. */
async function reading(
  text: string,
  options: PlanOptions,
  bench: Bench,
  work: (request: RestoreRequest, world: World, ended: () => void) => Promise<void>,
): Promise<void> {
  bench.limitTime(options.timeout)
  const named = parseReference(text, bench.timezone)
  const selection = selectionOf(options)
  const identities = await readIdentities(options.identity, bench)
  const loaded = await bench.load()
  const renderer = rendererFor(bench, `restore ${text}`)
  try {
    const sites = options.from.length === 0 ? undefined : options.from
    await using session = await openReader(loaded, { io: bench.io(renderer), sites })
    const choice = await choiceOf(named, session.world, { allowPartial: options.partial ?? false })
    const preference = { prefer: sites === undefined ? options.prefer : ("order" as const), rtoSeconds: rtoOf(choice.dataset, loaded) }
    await work({ ...choice, ...selection, ...preference, identities }, session.world, () => renderer.end())
  } finally {
    renderer.end()
  }
}

/** The shortest time promised for a dataset by this host's jobs. */
function rtoOf(dataset: string, { jobs }: Loaded): number | undefined {
  const promised = [...jobs.values()].flatMap((job) => (job.dataset === dataset && job.objective !== undefined ? [job.objective.rto] : []))
  return promised.length === 0 ? undefined : Math.min(...promised) / 1000
}
