import type { Command } from "commander"
import { ConfigError } from "../errors.ts"
import { accountToHold, holdToLift, liftHold, ownHolds, placeHold, type RecordedHold, readHolds, refuseNoScope } from "../operation/hold.ts"
import { table } from "../report/table.ts"
import { visible } from "../report/visible.ts"
import { type HoldScope, scopeText } from "../retention/hold.ts"
import type { Loaded } from "../wiring/config.ts"
import { openAgentLog, openReader } from "../wiring/world.ts"
import type { Bench } from "./bench.ts"
import { Questions } from "./init-ask.ts"
import { manual } from "./manual.ts"
import { personFrom } from "./person.ts"
import { rendererFor } from "./progress.ts"
import { collect } from "./reader.ts"

export function addHoldCommands(hold: Command, bench: Bench): void {
  hold.description(
    "Places, lists and lifts legal holds. What a hold names is kept, whatever its class says, until the hold is lifted. Holds are in the " +
      "agent's log at every site, and so outlive the host that placed them.",
  )
  addPlace(hold, bench)
  addList(hold, bench)
  addLift(hold, bench)
}

interface PlaceOptions {
  readonly reason: string
  readonly by?: string
  readonly dataset?: string
  readonly account: readonly string[]
  readonly since?: string
  readonly until?: string
  readonly timeout?: string
}

function addPlace(hold: Command, bench: Bench): void {
  const command = hold
    .command("place")
    .summary("keep a dataset, an account or a time until it is lifted")
    .description(
      "Records a hold in this agent's log. What is stored does not show whose it is, so a hold of an account keeps whatever may be theirs: " +
        "everything, or all of --dataset, and the account cannot be erased. Days are those on which a site stored it: calls that came late, " +
        "or with a first run, are of the day they came, so leave --until out unless all is known to be there. Reason and name are kept in " +
        "clear at every site: name no customer.",
    )
    .requiredOption("--reason <text>", "why, such as the file number of the case")
    .option("--by <name>", "who asks for it (default: the user's name on this host)")
    .option("--dataset <name>", "only this dataset, of every agent")
    .option("--account <id>", "an account, by its own id or the platform's; may be repeated", collect, [])
    .option("--since <day>", "only what was stored from this day on, such as 2026-03-01")
    .option("--until <day>", "only what was stored until the end of this day")
    .option("--timeout <duration>", "end after this long, such as 5m")
    .action(async (options: PlaceOptions) => {
      bench.limitTime(options.timeout)
      await placeOne(options, bench)
    })
  manual(command, {
    examples: [
      ['holdline hold place --dataset call-recordings --since 2026-03-01 --reason "case 4711"', "all recordings stored from March on"],
      [
        'holdline hold place --account 5f2c0d9e8a7b4c6d5f2c0d9e8a7b4c6d --reason "case 4712"',
        "one customer, who cannot be erased meanwhile",
      ],
    ],
    reads: "the logs at every site",
    writes: "one commit in this agent's log at every site. It deletes nothing, anywhere",
    exits: ["done", "failed", "usage", "denied", "notFound", "busy", "timeout", "interrupted"],
  })
}

async function placeOne({ reason, account, dataset, since, until, ...options }: PlaceOptions, bench: Bench): Promise<void> {
  const by = personFrom(options, bench)
  const scope: HoldScope = {
    ...(dataset !== undefined && { dataset }),
    ...(account.length > 0 && { accounts: account }),
    ...(since !== undefined && { from: since }),
    ...(until !== undefined && { to: until }),
  }
  refuseNoScope(scope)
  const renderer = rendererFor(bench, "hold place")
  try {
    await using session = await openAgentLog(await bench.load(), bench.io(renderer), [])
    const { world } = session
    const accounts = account.map((id) => accountToHold(world, id))
    const named: HoldScope = { ...scope, ...(accounts.length > 0 && { accounts }) }
    const { log } = await ownHolds(world)
    const { id, seq, held } = await placeHold(world, log, { ...named, by, reason })
    renderer.end()
    bench.out(
      `${bench.paint.status("good", "held")}  ${id.slice(0, 12)}  ${scopeText(named)}: recorded in commit ${String(seq)} at ${held.join(", ")}`,
    )
    bench.note(bench.notePaint.next("holdline retention plan   shows what it keeps"))
    bench.record("summary", { command: "hold place", exit: 0, hold: id, by, ...named, seq, held })
  } finally {
    renderer.end()
  }
}

interface ListOptions {
  readonly all?: boolean
  readonly timeout?: string
}

function addList(hold: Command, bench: Bench): void {
  const command = hold
    .command("list")
    .summary("list the holds in force, of every agent")
    .description("Lists the holds that are in force, as the logs of all agents at the sites say, oldest first.")
    .option("--all", "also those that were lifted, with who lifted them and why")
    .option("--timeout <duration>", "end after this long, such as 5m")
    .action(async ({ all = false, timeout }: ListOptions) => {
      bench.limitTime(timeout)
      await list(all, bench)
    })
  manual(command, {
    examples: [
      ["holdline hold list", "what must not go"],
      ["holdline hold list --all", "also what once was held"],
    ],
    reads: "the logs of all agents at the sites",
    writes: "nothing",
    exits: ["done", "failed", "usage", "denied", "notFound", "timeout", "interrupted"],
  })
}

async function list(all: boolean, bench: Bench): Promise<void> {
  const known = await readAll(await bench.load(), bench, "hold list")
  const inForce = known.filter(({ lifted }) => lifted === undefined)
  const shown = all ? known : inForce
  if (shown.length === 0) bench.note("no hold is in force")
  else
    bench.out(
      ...table(
        ["HOLD", "AGENT", "SINCE", "HOLDS", "BY", "STATE"],
        shown.map((hold) => cells(hold, bench)),
      ),
    )
  for (const hold of shown) bench.record("hold", hold)
  bench.record("summary", { command: "hold list", holds: shown.length, inForce: inForce.length })
}

function cells(hold: RecordedHold, bench: Bench): string[] {
  const { id, agent, time, by, reason, lifted } = hold
  const state =
    lifted === undefined
      ? `${bench.paint.status("attention", "held")}: ${visible(reason)}`
      : `lifted by ${visible(lifted.by)}: ${visible(lifted.reason)}`
  return [id.slice(0, 12), agent, bench.moment(time), scopeText(hold), visible(by), state]
}

async function readAll(loaded: Loaded, bench: Bench, command: string): Promise<RecordedHold[]> {
  const renderer = rendererFor(bench, command)
  try {
    await using session = await openReader(loaded, { io: bench.io(renderer) })
    return await readHolds(session.world)
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

function addLift(hold: Command, bench: Bench): void {
  const command = hold
    .command("lift")
    .summary("let what a hold names expire again")
    .description(
      "Records in this agent's log that a hold is over. What it named, and whose time has passed, goes with the next expiry. Only the log " +
        "of the agent that placed a hold lifts it.",
    )
    .argument("<hold>", "the beginning of its id")
    .requiredOption("--reason <text>", "why it is over, for whoever reads it later")
    .option("--by <name>", "who lifts it (default: the user's name on this host)")
    .option("--yes", "do not ask; needed where there is no terminal")
    .option("--timeout <duration>", "end after this long, such as 5m")
    .action(async (id: string, options: LiftOptions) => {
      bench.limitTime(options.timeout)
      await lift(id, options, bench)
    })
  manual(command, {
    examples: [['holdline hold lift 3f9a0c21aa00 --reason "case 4711 was closed"', "after asking whoever placed it"]],
    reads: "the logs at every site",
    writes: "one commit in this agent's log at every site. It deletes nothing by itself",
    exits: ["done", "failed", "usage", "denied", "notFound", "busy", "timeout", "interrupted"],
  })
}

async function lift(id: string, options: LiftOptions, bench: Bench): Promise<void> {
  const by = personFrom(options, bench)
  const loaded = await bench.load()
  if (options.yes !== true) await confirm(id, loaded, bench)
  const renderer = rendererFor(bench, "hold lift")
  try {
    await using session = await openAgentLog(loaded, bench.io(renderer), [])
    const { log, holds } = await ownHolds(session.world)
    const hold = holdToLift(holds, id, session.world.agent.id)
    const { seq, held } = await liftHold(session.world, log, { id: hold.id, by, reason: options.reason })
    renderer.end()
    bench.out(`${bench.paint.status("good", "lifted")}  ${scopeText(hold)}: recorded in commit ${String(seq)} at ${held.join(", ")}`)
    bench.note(bench.notePaint.next("holdline retention plan   shows what goes now"))
    bench.record("summary", { command: "hold lift", exit: 0, hold: hold.id, by, seq, held })
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
  const hold = holdToLift(await readAll(loaded, bench, "hold lift"), id, loaded.config.agent)
  const name = hold.id.slice(0, 12)
  bench.note(`${scopeText(hold)}, since ${bench.moment(hold.time)}, by ${visible(hold.by)}: ${visible(hold.reason)}`)
  const answer = await questions.ask(`What it names expires again from now on. Type ${name} to lift it`, "--yes")
  if (answer !== name) throw new ConfigError("config/usage", "nothing was lifted: the answer was not the hold's id")
}
