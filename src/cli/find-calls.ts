import { type Command, Option } from "commander"
import { ConfigError } from "../errors.ts"
import { traceCalls } from "../operation/trace.ts"
import { parseNumber, type SoughtNumber } from "../operation/trace-number.ts"
import type { FoundCall } from "../report/trace.ts"
import { callLines, traceText } from "../report/trace-text.ts"
import { openScratch } from "../wiring/scratch.ts"
import { openReader } from "../wiring/world.ts"
import type { Bench } from "./bench.ts"
import { exitCodes } from "./exit.ts"
import { endOfMoment, startOfMoment } from "./moment.ts"
import { rendererFor } from "./progress.ts"
import { collect, type ReaderOptions, readIdentities } from "./reader.ts"

export interface CallOptions {
  readonly number: readonly string[]
  readonly calls?: true
}

/** Options by which `find` looks for calls instead of files. */
export function addCallOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--number <number>", "calls of this number or extension instead of files; may be repeated")
        .argParser(collect)
        .default([], "none"),
    )
    .option("--calls", "calls instead of files, whatever their numbers")
}

/** Whether calls are meant, and not files. */
export function areCallsMeant({ number, calls }: CallOptions): boolean {
  return number.length > 0 || calls === true
}

interface FindOptions extends CallOptions, ReaderOptions {
  readonly account: readonly string[]
  readonly since?: string
  readonly until?: string
  readonly job?: string
}

/**
 * Finds calls and prints them as they come. Numbers and names of customers are printed on stdout and nowhere else: what is told while it
 * works is counts.
 */
export async function findCalls(options: FindOptions, bench: Bench): Promise<void> {
  bench.limitTime(options.timeout)
  const { timezone } = bench
  const filter = {
    numbers: options.number.map(numberOf),
    since: options.since === undefined ? undefined : startOfMoment(options.since, timezone),
    until: options.until === undefined ? undefined : endOfMoment(options.until, timezone),
  }
  const identities = await readIdentities(options.identity, bench)
  const loaded = await bench.load()
  const renderer = rendererFor(bench, "find calls")
  try {
    const sites = options.from.length === 0 ? undefined : options.from
    await using session = await openReader(loaded, { io: bench.io(renderer), sites })
    await using scratch = await openScratch(loaded.config.state)
    const request = {
      ...filter,
      identities,
      accounts: options.account.length === 0 ? undefined : options.account,
      datasets: options.job === undefined ? undefined : [options.job],
      scratch: scratch.path,
    }
    const report = await traceCalls(request, session.world, async (calls) => {
      renderer.end()
      await printCalls(calls, bench)
    })
    renderer.end()
    bench.out(...traceText(report, { paint: bench.paint }))
    if (report.outcome === "partial") bench.ends("partial")
    else if (report.calls === 0) bench.ends("notFound")
    bench.record("summary", { command: "find", exit: exitCodes[bench.exit].code, ...report })
  } finally {
    renderer.end()
  }
}

async function printCalls(calls: readonly FoundCall[], bench: Bench): Promise<void> {
  for (const call of calls) bench.record("call", call)
  bench.out(...callLines(calls, { moment: (time) => bench.moment(time) }))
  await bench.stdout.drained(bench.signal)
}

// What was typed is not repeated: messages go into logs.
function numberOf(text: string): SoughtNumber {
  const number = parseNumber(text)
  if (number !== null) return number
  throw new ConfigError("config/usage", "--number: expected a number such as +4930123456 or 1001")
}
