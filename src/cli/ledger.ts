import type { Command } from "commander"
import { ConfigError } from "../errors.ts"
import { isDate } from "../format/names.ts"
import { type LedgerEntry, ledgerEvents, parseLine } from "../ledger/entry.ts"
import { type LedgerProblem, type LedgerProof, verifyLedger } from "../ledger/verify.ts"
import { readAnchors } from "../operation/ledger.ts"
import type { Mark } from "../report/paint.ts"
import { table } from "../report/table.ts"
import { visible } from "../report/visible.ts"
import { count } from "../units.ts"
import { ledgerToRead } from "../wiring/ledger.ts"
import { openReader } from "../wiring/world.ts"
import type { Bench } from "./bench.ts"
import { manual } from "./manual.ts"
import { rendererFor } from "./progress.ts"

export function addLedgerCommands(ledger: Command, bench: Bench): void {
  ledger.description(
    "This host's ledger: a line for every run, restore, key use, expiry and change of configuration. Each line names the one before by its " +
      "SHA-256, and once a day the last one is signed into this agent's log at every site.",
  )
  addShow(ledger, bench)
  addVerify(ledger, bench)
  addExport(ledger, bench)
}

interface ShowOptions {
  readonly what?: string
  readonly since?: string
  readonly limit: string
}

function addShow(ledger: Command, bench: Bench): void {
  const command = ledger
    .command("show")
    .summary("show the last entries")
    .description("Shows what was done on this host, the newest last.")
    .option("--what <kind>", `only entries of this kind: ${ledgerEvents.join(", ")}`)
    .option("--since <day>", "only from this UTC day on, such as 2026-11-01")
    .option("--limit <n>", "at most so many, the newest", "50")
    .action(async (options: ShowOptions) => show(options, bench))
  manual(command, {
    examples: [
      ["holdline ledger show", "the last fifty entries"],
      ["holdline ledger show --what restore --since 2026-10-01", "who read something back this quarter"],
    ],
    reads: "this host's ledger",
    writes: "nothing",
    exits: ["done", "failed", "usage", "notFound"],
  })
}

async function show({ what, since = "", limit }: ShowOptions, bench: Bench): Promise<void> {
  const most = Number(limit)
  if (!Number.isSafeInteger(most) || most < 1) throw new ConfigError("config/usage", `--limit ${limit}: expected a number from 1`)
  if (since !== "" && !isDate(since)) throw new ConfigError("config/usage", `--since ${since}: expected a day such as 2026-11-20`)
  if (what !== undefined && !ledgerEvents.some((kind) => kind === what))
    throw new ConfigError("config/usage", `--what ${what}: expected one of ${ledgerEvents.join(", ")}`)
  using ledger = ledgerToRead((await bench.load()).config.state)
  const entries: LedgerEntry[] = []
  for (const { n, line } of ledger.lines()) {
    const entry = parseLine(line)
    if (entry === null) bench.note(`entry ${String(n)} is no entry: see \`holdline ledger verify\``)
    if (entry === null || entry.time < since || (what !== undefined && entry.what !== what)) continue
    entries.push(entry)
    if (entries.length > most) entries.shift()
  }
  if (entries.length === 0) bench.note("no such entry")
  else
    bench.out(
      ...table(
        [">N", "TIME", "WHO", "WHAT", "SUBJECT", "OUTCOME", "DETAILS"],
        entries.map((entry) => cells(entry, bench)),
      ),
    )
  for (const entry of entries) bench.record("entry", entry)
  bench.record("summary", { command: "ledger show", entries: entries.length })
}

const words: Readonly<Record<LedgerEntry["outcome"], Mark>> = {
  ok: "good",
  partial: "attention",
  failed: "bad",
  refused: "bad",
}

function cells({ n, time, who, what, subject, outcome, details }: LedgerEntry, bench: Bench): string[] {
  const shown = Object.entries(details).map(([name, value]) => `${name} ${shortened(String(value))}`)
  return [
    String(n),
    bench.moment(time),
    visible(who),
    what,
    visible(subject),
    bench.paint.status(words[outcome], outcome),
    visible(shown.join(", ")),
  ]
}

function shortened(text: string): string {
  return /^[0-9a-f]{32,}$/.test(text) ? text.slice(0, 12) : text
}

function addVerify(ledger: Command, bench: Bench): void {
  const command = ledger
    .command("verify")
    .summary("prove that no entry was changed, left out or cut off")
    .description(
      "Reads this host's ledger from its first line to its last and compares it with what this agent signed of it at the sites. Needs no identity.",
    )
    .option("--timeout <duration>", "end after this long, such as 5m")
    .action(async ({ timeout }: { readonly timeout?: string }) => {
      bench.limitTime(timeout)
      await verify(bench)
    })
  manual(command, {
    examples: [["holdline ledger verify", "for the auditor; ends with 6 where something does not fit"]],
    reads: "this host's ledger; this agent's log at the sites",
    writes: "nothing",
    exits: ["done", "failed", "usage", "denied", "notFound", "findings", "timeout", "interrupted"],
  })
}

async function verify(bench: Bench): Promise<void> {
  const loaded = await bench.load()
  const { state, agent } = loaded.config
  using ledger = ledgerToRead(state)
  const renderer = rendererFor(bench, "ledger verify")
  let proof: LedgerProof
  try {
    await using session = await openReader(loaded, { io: bench.io(renderer) })
    const anchors = await readAnchors(session.world, agent)
    proof = verifyLedger(ledger.lines(), ledger.floor(), anchors)
  } finally {
    renderer.end()
  }
  const { entries, first, last, anchored, problems } = proof
  for (const problem of problems) bench.out(`${bench.paint.status("bad", problem.kind)}  ${problemText(problem)}`)
  const range = first === null ? "" : `, ${String(first)} to ${String(last.n)}`
  const compared = anchored === 0 ? "none was signed at the sites yet" : `compared with ${count(anchored, "signed anchor")}`
  const verdict = problems.length === 0 ? bench.paint.status("good", "unbroken") : bench.paint.status("bad", "broken")
  bench.out(`${verdict}  ${count(entries, "entry", "entries")}${range}; ${compared}`)
  if (problems.length > 0) {
    bench.note("", bench.notePaint.next("holdline ledger export > ledger.jsonl   keep it as it is, and ask who had access to this host"))
    bench.ends("findings")
  }
  bench.record("summary", { command: "ledger verify", ...proof })
}

function problemText(problem: LedgerProblem): string {
  switch (problem.kind) {
    case "malformed":
      return `entry ${String(problem.n)} is no entry`
    case "edited":
      return `entry ${String(problem.n)} is not the one that the next entry names`
    case "gap":
      return `entry ${String(problem.n)} is not there`
    case "rewritten":
      return `entry ${String(problem.n)} is not the one that commit ${problem.commit} signed`
    case "cut":
      return `the ledger ends before entry ${String(problem.n)}, which commit ${problem.commit} signed`
    case "fork":
      return `commits ${problem.commits.join(" and ")} signed two different entries ${String(problem.n)}: the ledger went on twice`
  }
}

function addExport(ledger: Command, bench: Bench): void {
  const command = ledger
    .command("export")
    .summary("print every entry as it is kept")
    .description(
      "Prints the ledger's lines as they are kept: the SHA-256 of each, without its line end, is what the next one names as `prev`. So the " +
        "chain can be checked with sha256sum and jq alone.",
    )
    .action(async () => {
      using kept = ledgerToRead((await bench.load()).config.state)
      for (const { line } of kept.lines()) bench.stdout.line(line)
    })
  manual(command, {
    examples: [["holdline ledger export > ledger.jsonl", "for the auditor"]],
    reads: "this host's ledger",
    writes: "nothing",
    exits: ["done", "failed", "usage", "notFound"],
  })
}
