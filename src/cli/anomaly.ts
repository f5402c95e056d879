import type { Command } from "commander"
import { ConfigError } from "../errors.ts"
import { type Anomaly, anomalyToLift, liftAnomaly, ownAnomalies, readAnomalies } from "../operation/anomalies.ts"
import { anomalyText } from "../report/anomaly.ts"
import { table } from "../report/table.ts"
import { visible } from "../report/visible.ts"
import type { Loaded } from "../wiring/config.ts"
import { openAgentLog, openReader } from "../wiring/world.ts"
import type { Bench } from "./bench.ts"
import { Questions } from "./init-ask.ts"
import { manual } from "./manual.ts"
import { personFrom } from "./person.ts"
import { rendererFor } from "./progress.ts"

export function addAnomalyCommands(anomaly: Command, bench: Bench): void {
  anomaly.description(
    "Lists and lifts anomalies: a table or a source that became empty, a whole that shrank, recordings that went or changed by the " +
      "hundred, a copy that failed. While one is open, nothing of its dataset expires.",
  )
  addList(anomaly, bench)
  addLift(anomaly, bench)
}

interface ListOptions {
  readonly all?: boolean
  readonly timeout?: string
}

function addList(anomaly: Command, bench: Bench): void {
  const command = anomaly
    .command("list")
    .summary("list what is open, of every agent")
    .description("Lists the anomalies that are open, as the logs of all agents at the sites say, oldest first.")
    .option("--all", "also those that were lifted, with who lifted them and why")
    .option("--timeout <duration>", "end after this long, such as 5m")
    .action(async ({ all = false, timeout }: ListOptions) => {
      bench.limitTime(timeout)
      await list(all, bench)
    })
  manual(command, {
    examples: [
      ["holdline anomaly list", "what somebody has to look at"],
      ["holdline anomaly list --all", "also what was looked at"],
    ],
    reads: "the logs of all agents at the sites",
    writes: "nothing",
    exits: ["done", "failed", "usage", "denied", "notFound", "timeout", "interrupted"],
  })
}

async function list(all: boolean, bench: Bench): Promise<void> {
  const known = await readAll(await bench.load(), bench, "anomaly list")
  const open = known.filter(({ lifted }) => lifted === undefined)
  const shown = all ? known : open
  if (shown.length === 0) bench.note("no anomaly is open")
  else
    bench.out(
      ...table(
        ["ANOMALY", "AGENT", "DATASET", "SINCE", "FOUND", "STATE"],
        shown.map((anomaly) => cells(anomaly, bench)),
      ),
    )
  const [first] = open
  if (first !== undefined) bench.note("", bench.notePaint.next(`holdline anomaly lift ${first.id.slice(0, 12)} --reason "…"`))
  for (const anomaly of shown) bench.record("anomaly", anomaly)
  bench.record("summary", { command: "anomaly list", anomalies: shown.length, open: open.length })
}

function cells(anomaly: Anomaly, bench: Bench): string[] {
  const { id, agent, dataset, time, lifted } = anomaly
  const state =
    lifted === undefined ? bench.paint.status("attention", "open") : `lifted by ${visible(lifted.by)}: ${visible(lifted.reason)}`
  return [id.slice(0, 12), agent, dataset, bench.moment(time), visible(anomalyText(anomaly)), state]
}

async function readAll(loaded: Loaded, bench: Bench, command: string): Promise<Anomaly[]> {
  const renderer = rendererFor(bench, command)
  try {
    await using session = await openReader(loaded, { io: bench.io(renderer) })
    return await readAnomalies(session.world)
  } finally {
    renderer.end()
  }
}

interface LiftOptions {
  readonly reason: string
  readonly by?: string
  readonly yes?: boolean
  readonly timeout?: string
}

function addLift(anomaly: Command, bench: Bench): void {
  const command = anomaly
    .command("lift")
    .summary("let a dataset expire again, after looking at what was found")
    .description(
      "Records in this agent's log that somebody looked at an anomaly: that nothing is damaged, or that what was has been restored. From " +
        "then on the dataset expires again as its class says, and what the source holds now is what the next run compares with. The reason " +
        "and the name are kept in clear at every site: name no customer.",
    )
    .argument("<anomaly>", "the beginning of its id")
    .requiredOption("--reason <text>", "what was found to be the cause, for whoever reads it later")
    .option("--by <name>", "who lifts it (default: the user's name on this host)")
    .option("--yes", "do not ask; needed where there is no terminal")
    .option("--timeout <duration>", "end after this long, such as 5m")
    .action(async (id: string, options: LiftOptions) => {
      bench.limitTime(options.timeout)
      await lift(id, options, bench)
    })
  manual(command, {
    examples: [
      [
        'holdline anomaly lift 3f9a0c21aa00 --reason "the branch in Bonn was closed"',
        "after comparing what is there with the last snapshot",
      ],
      ['holdline anomaly lift 3f9a0c21aa00 --reason "INC-4711" --by Ada --yes', "from a script"],
    ],
    reads: "the logs at every site",
    writes: "one commit in this agent's log at every site. It deletes nothing, anywhere",
    exits: ["done", "failed", "usage", "denied", "notFound", "busy", "timeout", "interrupted"],
  })
}

async function lift(id: string, options: LiftOptions, bench: Bench): Promise<void> {
  const by = personFrom(options, bench)
  const loaded = await bench.load()
  if (options.yes !== true) await confirm(id, loaded, bench)
  const renderer = rendererFor(bench, "anomaly lift")
  try {
    await using session = await openAgentLog(loaded, bench.io(renderer), [])
    const { log, anomalies } = await ownAnomalies(session.world)
    const anomaly = anomalyToLift(anomalies, id, session.world.agent.id)
    const { seq, held } = await liftAnomaly(session.world, log, { id: anomaly.id, by, reason: options.reason })
    renderer.end()
    const still = anomalies.filter(
      ({ id: other, dataset, lifted }) => other !== anomaly.id && dataset === anomaly.dataset && lifted === undefined,
    )
    bench.out(`${bench.paint.status("good", "lifted")}  ${anomaly.dataset}: recorded in commit ${String(seq)} at ${held.join(", ")}`)
    for (const { id: other } of still)
      bench.note(bench.notePaint.next(`holdline anomaly lift ${other.slice(0, 12)} --reason "…"   is open as well`))
    bench.record("summary", {
      command: "anomaly lift",
      exit: 0,
      anomaly: anomaly.id,
      dataset: anomaly.dataset,
      by,
      seq,
      held,
      open: still.length,
    })
  } finally {
    renderer.end()
  }
}

// Nothing is locked while a person thinks.
async function confirm(id: string, loaded: Loaded, bench: Bench): Promise<void> {
  const questions = new Questions(bench)
  if (!questions.isPossible) {
    throw new ConfigError("config/usage", "nothing was lifted: there is no terminal to ask on", { hint: "repeat the command with --yes" })
  }
  const anomaly = anomalyToLift(await readAll(loaded, bench, "anomaly lift"), id, loaded.config.agent)
  bench.note(`${anomaly.dataset}, ${bench.moment(anomaly.time)}: ${visible(anomalyText(anomaly))}`)
  const answer = await questions.ask(`What it froze expires again from now on. Type ${anomaly.dataset} to lift it`, "--yes")
  if (answer !== anomaly.dataset) throw new ConfigError("config/usage", "nothing was lifted: the answer was not the dataset's name")
}
