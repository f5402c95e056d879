import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { stringify } from "yaml"
import { systemClock } from "../../src/clock.ts"
import { type PostgresServer, startPostgres } from "../database/servers.ts"
import { fusionpbxAccounts, fusionpbxRows, loadFusionpbx } from "../provider/fusionpbx.ts"
import { fusionpbxTables } from "../provider/fusionpbx-tables.ts"
import { bytesBelow, type Command, type Measured, measure } from "./measure.ts"
import { median } from "./primitives.ts"
import { makeStage } from "./stage.ts"

const usage = `node test/bench/database.ts [--accounts N] [--megabytes N] [--rounds N] [--directory DIR]

Captures a FusionPBX-shaped Postgres database (default 5,000 accounts and 1,000 MB of rows as COPY writes them) account by account with
the real program, in turn with "pg_dump -Fd -j2 -Z1" of the same database: medians and their ratio, scans per table, and what an
unchanged database sends again.`

const program = fileURLToPath(new URL("../../bin/holdline", import.meta.url))
const database = "fusionpbx"
const seed = "holdline"

/** What the project promises; the output says whether it was kept. */
const bars = { ratio: 1.5, scansPerTable: 1, resentShare: 0.02 } as const

interface Options {
  readonly accounts: number
  readonly megabytes: number
  readonly rounds: number
  readonly directory: string
}

function options(): Options | null {
  const { values } = parseArgs({
    options: {
      accounts: { type: "string", default: "5000" },
      megabytes: { type: "string", default: "1000" },
      rounds: { type: "string", default: "3" },
      directory: { type: "string", default: tmpdir() },
      help: { type: "boolean", default: false },
    },
  })
  const { accounts, megabytes, rounds, directory, help } = values
  return help ? null : { accounts: Number(accounts), megabytes: Number(megabytes), rounds: Number(rounds), directory }
}

/** How full the database has to be for so many megabytes of rows: they grow with the accounts and with their users. */
function scaleFor(accounts: number, wanted: number, nowMs: number): number {
  const all = fusionpbxAccounts({ accounts, seed })
  const some = all.slice(0, sampled)
  const bytesOf = (users: number | null): number => {
    const sample = users === null ? [] : some.map((account) => ({ ...account, users }))
    return fusionpbxTables.reduce((sum, table) => sum + lengthOf(fusionpbxRows(table, sample, { accounts, seed, scale: 1, nowMs })), 0)
  }
  const fixed = bytesOf(null)
  const [bare, peopled] = [bytesOf(0) - fixed, bytesOf(sampled) - fixed]
  const perAccount = bare / some.length
  const perUser = (peopled - bare) / (some.length * sampled)
  const users = all.reduce((sum, account) => sum + account.users, 0)
  return (wanted * 1e6 - fixed) / (perAccount * all.length + perUser * users)
}

/** As many accounts, and as many users of each, tell what one costs. */
const sampled = 50

function lengthOf(texts: Iterable<string>): number {
  let length = 0
  for (const text of texts) length += text.length
  return length
}

interface Round {
  readonly dump: Measured
  /** A host's very first run: it makes every account's key, too. */
  readonly first: Measured
  /** Everything is sent, by a host that knows the accounts. */
  readonly capture: Measured
  /** Nothing changed since. */
  readonly again: Measured
  /** What the capture added at the site, and what the unchanged run did. */
  readonly storedBytes: number
  readonly resentBytes: number
  /** Scans of each table by the capture. */
  readonly scans: ReadonlyMap<string, number>
}

async function playRound(server: PostgresServer, root: string, round: number): Promise<Round> {
  const folder = join(root, `round-${String(round)}`)
  const { run, site } = await makeDatabaseStage(server, folder)
  const first = await measure(run("first"))
  const sites = [bytesBelow(site)]
  // Every other round in the other order: whoever comes later finds a warmer machine.
  const dumpedBefore = round % 2 === 0 ? await dump(server, root) : null
  const scansBefore = await scansOf(server)
  const capture = await measure(run("second"))
  const scans = await scansOf(server)
  sites.push(bytesBelow(site))
  const dumped = dumpedBefore ?? (await dump(server, root))
  const again = await measure(run("second"))
  const [atFirst = 0, captured = 0, unchanged = 0] = [...sites, bytesBelow(site)]
  rmSync(folder, { recursive: true, force: true })
  console.log(`by account: first ${shown(first)}, all sent ${shown(capture)}, unchanged ${shown(again)}`)
  return {
    ...{ dump: dumped, first, capture, again, storedBytes: captured - atFirst, resentBytes: unchanged - captured },
    scans: new Map([...scans].map(([table, count]) => [table, count - (scansBefore.get(table) ?? 0)])),
  }
}

function shown({ wallSeconds, cpuSeconds }: Measured): string {
  return `${wallSeconds.toFixed(1)} s${cpuSeconds === null ? "" : ` (${cpuSeconds.toFixed(1)} s of processor)`}`
}

async function dump(server: PostgresServer, root: string): Promise<Measured> {
  const { host, port, user } = server.settings(database)
  const out = join(root, "dump")
  const argv = ["pg_dump", "-Fd", "-j2", "-Z1", "-h", host, "-p", String(port), "-U", user, "-f", out, database] as const
  const measured = await measure({ argv, env: { ...server.environment } })
  console.log(`pg_dump: ${shown(measured)}, ${megabytes(bytesBelow(out))}`)
  rmSync(out, { recursive: true })
  return measured
}

/** A project whose two jobs capture the database by account, to one directory: what the second sends is all of it again. */
async function makeDatabaseStage(server: PostgresServer, root: string): Promise<{ run(job: "first" | "second"): Command; site: string }> {
  const unused = join(root, "unused")
  mkdirSync(unused, { recursive: true })
  const stage = await makeStage(root, { name: "small-files", path: unused }, ["one"])
  const project = dirname(dirname(stage.config))
  mkdirSync(join(project, "config/conf.d"))
  const { kind, host, port, name, user } = server.settings(database)
  writeFileSync(join(project, "config/conf.d/databases.yaml"), stringify({ databases: { pbx: { kind, host, port, name, user } } }))
  const source = { kind: "database", database: "pbx", profile: "fusionpbx" }
  const job = stringify({ version: 1, mode: "state", source, class: "bench-90", sites: ["one"] })
  for (const each of ["first", "second"]) writeFileSync(join(project, `jobs/${each}.yaml`), job)
  const [site = ""] = stage.sites
  return {
    run: (named) => ({ argv: [process.execPath, program, "--config", stage.config, "--json", "run", named], env: server.environment }),
    site,
  }
}

async function scansOf(server: PostgresServer): Promise<ReadonlyMap<string, number>> {
  const text = await server.sql("SELECT relname, coalesce(seq_scan, 0) + coalesce(idx_scan, 0) FROM pg_stat_user_tables", database)
  return new Map(
    text.split("\n").map((line) => {
      const [table = "", scans = "0"] = line.split("\t")
      return [table, Number(scans)]
    }),
  )
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}

function print(rounds: readonly Round[]): void {
  const seconds = (of: (round: Round) => Measured): number[] => rounds.map((round) => of(round).wallSeconds)
  const line = (what: string, values: readonly number[]): void =>
    console.log(
      `${what}: median ${median(values).toFixed(2)}, least ${Math.min(...values).toFixed(2)}, most ${Math.max(...values).toFixed(2)}`,
    )
  line(
    "pg_dump -Fd -j2 -Z1, seconds",
    seconds(({ dump: dumped }) => dumped),
  )
  line(
    "by account, very first run with all keys to make, seconds",
    seconds(({ first }) => first),
  )
  line(
    "by account, all sent, seconds",
    seconds(({ capture }) => capture),
  )
  line(
    "by account, unchanged, seconds",
    seconds(({ again }) => again),
  )
  const ratios = rounds.map(({ dump: dumped, capture }) => capture.wallSeconds / dumped.wallSeconds)
  line("all sent by pg_dump, round by round", ratios)
  const peak = Math.max(...rounds.flatMap(({ first, capture, again }) => [first, capture, again].map(({ peakBytes }) => peakBytes ?? 0)))
  console.log(`most memory of the program: ${megabytes(peak)}`)
  const scanned = rounds.flatMap(({ scans }) => [...scans]).filter(([, count]) => count > bars.scansPerTable)
  const most = new Map(scanned.toSorted(([, a], [, b]) => a - b))
  console.log(
    `tables scanned more than once: ${most.size === 0 ? "none" : [...most].map(([table, count]) => `${table} ${String(count)}`).join(", ")}`,
  )
  const resent = Math.max(...rounds.map(({ resentBytes, storedBytes }) => resentBytes / storedBytes))
  const stored = rounds.map(({ storedBytes }) => storedBytes)
  console.log(`kept: ${megabytes(median(stored))}; sent again unchanged: ${(100 * resent).toFixed(2)} %`)
  verdict("ratio", median(ratios), bars.ratio)
  verdict("scans per table", Math.max(bars.scansPerTable, ...most.values()), bars.scansPerTable)
  verdict("share sent again", resent, bars.resentShare)
}

function verdict(what: string, value: number, bar: number): void {
  console.log(`${value <= bar ? "kept" : "NOT KEPT"}: ${what} ${value.toFixed(3)}, at most ${String(bar)}`)
}

async function run({ accounts, megabytes: wanted, rounds, directory }: Options): Promise<void> {
  const root = realpathSync(mkdtempSync(join(directory, "holdline-bench-database-")))
  const nowMs = systemClock.now().getTime()
  try {
    await using server = await startPostgres({ settings: { shared_buffers: "256MB", max_wal_size: "4GB" } })
    await server.createDatabase(database)
    const scale = scaleFor(accounts, wanted, nowMs)
    const started = performance.now()
    await loadFusionpbx(server, database, { accounts, seed, scale, nowMs })
    await server.sql("VACUUM ANALYZE", database)
    const size = Number(await server.sql("SELECT sum(pg_table_size(relid)) FROM pg_stat_user_tables", database))
    const took = ((performance.now() - started) / 1000).toFixed(0)
    console.log(`${String(accounts)} accounts in ${String(fusionpbxTables.length)} tables, ${megabytes(size)} on disk, loaded in ${took} s`)
    const played: Round[] = []
    for (let round = 0; round < rounds; round++) played.push(await playRound(server, root, round))
    print(played)
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

const chosen = options()
if (chosen === null) console.log(usage)
else await run(chosen)
