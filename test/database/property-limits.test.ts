import { afterAll, beforeAll, expect, test } from "vitest"
import type { DatabaseRestoreReport } from "../../src/report/database-restore.ts"
import type { RunReport } from "../../src/report/run.ts"
import { type Lab, openLab } from "../operation/lab.ts"
import { identifier, literal } from "./property-schema.ts"
import { broughtBack, captured, equal, sourceOf } from "./property-world.ts"
import { type PostgresServer, requirePostgres, startPostgres } from "./servers.ts"

const lacking = requirePostgres()
let server: PostgresServer
let lab: Lab
let made = 0

beforeAll(async () => {
  if (lacking !== null) return
  server = await startPostgres()
  await server.sql("CREATE ROLE restorer LOGIN")
  lab = await openLab()
}, 60_000)
afterAll(async () => {
  if (lacking !== null) return
  await lab[Symbol.asyncDispose]()
  await server.stop()
})

interface Sides {
  readonly from: string
  readonly to: string
  readonly run: RunReport
  readonly report: DatabaseRestoreReport
}

/** Captures a database that `sql` makes, and brings it back from its accounts' rows. */
async function through(sql: string, tenancy: unknown, how = ""): Promise<Sides> {
  const [from, to] = [`from-${++made}`, `to ${made}`]
  await server.createDatabase(from, how)
  await server.sql(sql, from)
  const run = await captureOf(from, tenancy)
  expect(run.failure).toBeUndefined()
  await server.createDatabase(to, `OWNER restorer ${how}`)
  const at = { settings: server.settings(to, "restorer"), environment: server.environment }
  return { from, to, run, report: await broughtBack(lab, from, at, "accounts") }
}

async function captureOf(name: string, tenancy: unknown): Promise<RunReport> {
  const at = { settings: server.settings(name), environment: server.environment }
  return await captured(lab, name, sourceOf(at, tenancy, ["accounts"]))
}

test.skipIf(lacking !== null)("rows that are alike, of more than a piece, come back as often as they were", async () => {
  // So many of them that pieces of a table without a key are alike, byte for byte.
  const sql = `CREATE TABLE alike (a text, b text);
    INSERT INTO alike SELECT 'acme', repeat('x', 1000) FROM generate_series(1, 14000);
    INSERT INTO alike SELECT 'acme', 'y' FROM generate_series(1, 5)`
  const { to, report } = await through(sql, { tables: { alike: { account: "a" } } })
  expect(report.failure).toBeUndefined()
  expect(report).toMatchObject(equal)
  expect(await server.sql("SELECT left(b, 1), count(*) FROM alike GROUP BY 1 ORDER BY 1", to)).toBe("x\t14000\ny\t5")
})

test.skipIf(lacking !== null)("rows larger than a piece come back, whosever they are, and those of no account too", async () => {
  const sql = `CREATE TABLE long (n int, account text, body text);
    INSERT INTO long SELECT n, (ARRAY['acme', '', NULL, 'mixed', 'zeta'])[n % 5 + 1], repeat(md5(n::text), 140000) FROM generate_series(0, 4) n;
    INSERT INTO long SELECT n, 'acme', 'short' FROM generate_series(10, 20) n`
  for (const rule of [{ account: "account", null: "platform" }, { account: "account" }]) {
    const { from, to, report } = await through(sql, { tables: { long: rule } })
    expect(report.failure).toBeUndefined()
    expect(report).toMatchObject(equal)
    const sums = "SELECT n, account, md5(body) FROM long ORDER BY n"
    expect(await server.sql(sums, to)).toBe(await server.sql(sums, from))
  }
})

test.skipIf(lacking !== null)("rows without a column that is kept, and tables without rows, come back", async () => {
  const sql = `CREATE TABLE bare (); INSERT INTO bare DEFAULT VALUES; INSERT INTO bare DEFAULT VALUES;
    CREATE TABLE computed (one int GENERATED ALWAYS AS (1) STORED); INSERT INTO computed DEFAULT VALUES; CREATE TABLE none (a int)`
  const { to, report } = await through(sql, { tables: { bare: "shared", computed: "shared", none: "mixed" } })
  expect(report.failure).toBeUndefined()
  expect(report).toMatchObject(equal)
  expect(await server.sql("SELECT count(*), (SELECT count(*) FROM computed WHERE one = 1) FROM bare", to)).toBe("2\t1")
})

test.skipIf(lacking !== null)("names and accounts as long as the server takes them come back", async () => {
  const long = "я".repeat(31)
  const account = "ж".repeat(90)
  const table = `${identifier(long)}.${identifier(`${long}2`)}`
  const sql = `CREATE SCHEMA ${identifier(long)}; CREATE TABLE ${table} (${identifier(long)} text); INSERT INTO ${table} VALUES (${literal(account)}), ('acme')`
  const { to, report } = await through(sql, { tables: { [`${long}.${long}2`]: { account: long } } })
  expect(report.failure).toBeUndefined()
  expect(report).toMatchObject(equal)
  expect(await server.sql(`SELECT count(*) FROM ${table} WHERE ${identifier(long)} = ${literal(account)}`, to)).toBe("1")
})

test.skipIf(lacking !== null)("accounts whose names are no text are not taken for one another", async () => {
  const sql = "CREATE TABLE calls (n int, account text); INSERT INTO calls VALUES (1, E'M\\374ller'), (2, E'M\\366ller'), (3, 'acme')"
  const { run, report } = await through(
    `SET client_encoding TO sql_ascii; ${sql}`,
    { tables: { calls: { account: "account" } } },
    "ENCODING sql_ascii LOCALE 'C' TEMPLATE template0",
  )
  expect(report.failure).toBeUndefined()
  expect(report).toMatchObject(equal)
  // Theirs are not known to be anybody's.
  expect(run).toMatchObject({ outcome: "partial", notes: { unattributed: 2 } })
})

test.skipIf(lacking !== null)("two tables that a map cannot tell apart are refused by name", async () => {
  await server.createDatabase("dots")
  await server.sql('CREATE SCHEMA "a.b"; CREATE TABLE "a.b".c (x int); CREATE SCHEMA a; CREATE TABLE a."b.c" (x int)', "dots")
  const report = await captureOf("dots", { patterns: [{ match: "**", rule: "shared" }] })
  expect(report.outcome).toBe("failed")
  expect(report.failure?.message).toContain("a.b.c")
})
