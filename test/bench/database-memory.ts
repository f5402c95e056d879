import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { stringify } from "yaml"
import { type PostgresServer, startPostgres } from "../database/servers.ts"
import { bytesBelow, measure } from "./measure.ts"
import { makeStage } from "./stage.ts"

const usage = `node test/bench/database-memory.ts [--rows N] [--megabytes N] [--directory DIR]

The most memory that the real program, with the programs it starts, takes to capture a Postgres database account by account: a table of N
narrow rows (default 50,000,000), and one row of so many megabytes (default 100); a first and an unchanged run each.`

const program = fileURLToPath(new URL("../../bin/holdline", import.meta.url))
/** What the project promises. */
const bytesMax = 300e6
const accounts = 200
const database = "pbx"

interface Options {
  readonly rows: number
  readonly megabytes: number
  readonly directory: string
}

function options(): Options | null {
  const { values } = parseArgs({
    options: {
      rows: { type: "string", default: "50000000" },
      megabytes: { type: "string", default: "100" },
      directory: { type: "string", default: tmpdir() },
      help: { type: "boolean", default: false },
    },
  })
  const { rows, megabytes, directory, help } = values
  return help ? null : { rows: Number(rows), megabytes: Number(megabytes), directory }
}

const profile = {
  version: 1,
  platform: "narrow",
  description: "one large table, one large row",
  databases: { pbx: { accounts: { table: "accounts", id: "account" }, tables: {} } },
}

/** Fills the database: as many rows for each account, in the order they would have come. */
async function fill(server: PostgresServer, name: string, { rows, megabytes }: Options): Promise<void> {
  await server.createDatabase(name)
  await server.sql(
    `CREATE TABLE accounts (account int PRIMARY KEY, name text); INSERT INTO accounts SELECT n, 'account ' || n FROM generate_series(1, ${accounts}) n;
    CREATE TABLE narrow (id bigint PRIMARY KEY, account int NOT NULL, value int); CREATE TABLE wide (id int PRIMARY KEY, account int, body text);
    INSERT INTO narrow SELECT n, n % ${accounts} + 1, n * 7 % 1000003 FROM generate_series(1, ${rows}::bigint) n;
    INSERT INTO wide SELECT 1, 7, repeat(md5('wide'), ${Math.ceil((megabytes * 1e6) / 32)}) WHERE ${megabytes} > 0; VACUUM ANALYZE`,
    name,
  )
}

function megabytesOf(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`
}

async function measured(server: PostgresServer, root: string, name: string): Promise<void> {
  const unused = join(root, "unused")
  mkdirSync(unused, { recursive: true })
  const stage = await makeStage(root, { name: "small-files", path: unused }, ["one"])
  const project = dirname(dirname(stage.config))
  mkdirSync(join(project, "config/conf.d"))
  const { kind, host, port, user } = server.settings(name)
  writeFileSync(join(project, "config/conf.d/databases.yaml"), stringify({ databases: { [database]: { kind, host, port, name, user } } }))
  const tables = { accounts: { account: "account" }, narrow: { account: "account" }, wide: { account: "account" } }
  writeFileSync(join(project, "narrow.yaml"), stringify({ ...profile, databases: { pbx: { ...profile.databases.pbx, tables } } }))
  const source = { kind: "database", database, profile: join(project, "narrow.yaml") }
  writeFileSync(join(project, "jobs/rows.yaml"), stringify({ version: 1, mode: "state", source, class: "bench-90", sites: ["one"] }))
  const argv = [process.execPath, program, "--config", stage.config, "--json", "run", "rows"] as const
  for (const run of ["first", "unchanged"]) {
    const { peakBytes, wallSeconds } = await measure({ argv, env: { ...server.environment } })
    if (peakBytes === null) throw new Error("this system does not say how much memory a process takes")
    const verdict = peakBytes <= bytesMax ? "kept" : "NOT KEPT"
    const most = `${megabytesOf(peakBytes)} at most, bar ${megabytesOf(bytesMax)}`
    console.log(`  ${verdict}: ${run} run: ${most}; ${wallSeconds.toFixed(1)} s, ${megabytesOf(bytesBelow(stage.sites[0] ?? ""))} kept`)
  }
}

async function main(given: Options): Promise<void> {
  const root = realpathSync(mkdtempSync(join(given.directory, "holdline-bench-database-memory-")))
  try {
    await using server = await startPostgres({ settings: { shared_buffers: "256MB", max_wal_size: "4GB" } })
    // What grows with a table is what the second takes more than the first.
    const cases = [
      { what: "1000 narrow rows", rows: 1000, megabytes: 0 },
      { what: `${String(given.rows)} narrow rows`, rows: given.rows, megabytes: 0 },
      { what: `a row of ${String(given.megabytes)} MB`, rows: 1000, megabytes: given.megabytes },
    ]
    for (const [at, { what, ...each }] of cases.entries()) {
      console.log(`${what}, ${String(accounts)} accounts`)
      await fill(server, `pbx${String(at)}`, { ...given, ...each })
      await measured(server, join(root, String(at)), `pbx${String(at)}`)
      await server.sql(`DROP DATABASE pbx${String(at)}`)
    }
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

const chosen = options()
if (chosen === null) console.log(usage)
else await main(chosen)
