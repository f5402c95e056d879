import { mkdir, readFile, stat, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { openDatabase } from "../../src/database/open.ts"
import { openLoader } from "../../src/database/open-loader.ts"
import { type CdrTarget, restoreCdrs } from "../../src/operation/database-cdrs.ts"
import type { CdrRestoreReport } from "../../src/report/database-restore.ts"
import { cdrSource } from "../../src/source/cdr.ts"
import { csvSource } from "../../src/source/csv.ts"
import { accessOf } from "../database/restore-world.ts"
import { type PostgresServer, requirePostgres, startPostgres } from "../database/servers.ts"
import { profile } from "../source/cdr-scene.ts"
import { type Lab, openLab } from "./lab.ts"
import { sharedPool } from "./lab-pool.ts"

const pool = sharedPool()

const lacking = requirePostgres()
let server: PostgresServer
let databases = 0

beforeAll(async () => {
  if (lacking !== null) return
  server = await startPostgres()
}, 60_000)
afterAll(async () => {
  if (lacking === null) await server.stop()
})

const tables = `CREATE TABLE calls (id text PRIMARY KEY, domain text, started timestamptz, inserted timestamptz, updated timestamptz, number text, record_path text);
  CREATE TABLE plain (domain text, started timestamptz, number text)`

const noon = (day: string): string => `'2031-03-${day} 12:00+00'`
const call = (id: string, day: string, number: string, domain = "acme"): string =>
  `('${id}', '${domain}', ${noon(day)}, ${noon(day)}, NULL, ${number}, NULL)`

/** Calls of three days, of which one changed after it was captured. */
async function captured(lab: Lab, name: string): Promise<void> {
  const settings = { name: "pbx", profile, database: "pbx", timezone: "UTC", compareMs: 0 }
  const source = cdrSource(settings, () => openDatabase(server.settings(name), accessOf(lab.directory, server.environment)))
  await lab.run({ name: "cdrs", mode: "archive" }, source)
  lab.clock.advance(3_600_000)
  await server.sql("UPDATE calls SET number = 'later', updated = '2031-03-04 12:30+00' WHERE id = 'b'", name)
  await lab.run({ name: "cdrs", mode: "archive" }, source)
}

async function live(lab: Lab, rows = ""): Promise<string> {
  const name = `calls${++databases}`
  await server.createDatabase(name)
  const calls = [
    call("a", "01", `'+49 "1", 2'`),
    call("b", "03", "'sooner'"),
    call("c", "03", "''"),
    call("d", "03", "NULL"),
    call("e", "04", "'100'"),
  ]
  await server.sql(`${tables}; INSERT INTO calls VALUES ${[...calls, call("x", "03", "'other'", "globex")].join(", ")}; ${rows}`, name)
  await captured(lab, name)
  return name
}

async function records(lab: Lab, target: object, options: object = {}): Promise<CdrRestoreReport> {
  const scratch = join(lab.directory, "scratch")
  await mkdir(scratch, { recursive: true })
  const usual = { account: "acme", since: "2031-03-03", until: "2031-03-04" }
  const full: CdrTarget =
    "file" in target
      ? { form: "csv", file: String(target.file), scratch }
      : { form: "table", onConflict: "stop", scratch, openLoader: loaderOf("nowhere"), ...target }
  return await restoreCdrs({ dataset: "cdrs", identities: [lab.escrow] }, full, { ...usual, ...options }, lab.world())
}

function loaderOf(name: string) {
  return (scratch: string) => openLoader(server.settings(name), accessOf(scratch, server.environment))
}

test.skipIf(lacking !== null)("an account's records of some days become a CSV file, each as it was last captured", async () => {
  await using lab = await openLab({ pool })
  await live(lab)
  const file = join(lab.directory, "records.csv")
  const report = await records(lab, { file })
  expect(report).toMatchObject({ outcome: "ok", rows: 4, account: "acme" })
  const [header, ...lines] = (await readFile(file, "utf8")).split("\r\n")
  expect(header).toBe("id,domain,started,inserted,updated,number,record_path")
  expect(lines.toSorted()).toEqual([
    "",
    "b,acme,2031-03-03 12:00:00+00,2031-03-03 12:00:00+00,2031-03-04 12:30:00+00,later,",
    'c,acme,2031-03-03 12:00:00+00,2031-03-03 12:00:00+00,,"",',
    "d,acme,2031-03-03 12:00:00+00,2031-03-03 12:00:00+00,,,",
    "e,acme,2031-03-04 12:00:00+00,2031-03-04 12:00:00+00,,100,",
  ])
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  await expect(records(lab, { file })).rejects.toThrow("is there already, and is not overwritten")
  const all = join(lab.directory, "all.csv")
  await records(lab, { file: all }, { since: "2031-03-01" })
  expect(await readFile(all, "utf8")).toContain('a,acme,2031-03-01 12:00:00+00,2031-03-01 12:00:00+00,,"+49 ""1"", 2",')
})

test.skipIf(lacking !== null)("records go into a table that is made for them, once however often it is done", async () => {
  await using lab = await openLab({ pool })
  await live(lab)
  const name = `empty${++databases}`
  await server.createDatabase(name)
  const target = { openLoader: loaderOf(name), into: "public.evidence" }
  expect(await records(lab, target)).toMatchObject({ outcome: "ok", created: true, rows: 4, new: 4, inserted: 4 })
  expect(await records(lab, target)).toMatchObject({ outcome: "ok", created: false, rows: 4, new: 0, equal: 4, inserted: 0 })
  expect(await server.sql("SELECT string_agg(id || coalesce(number, '?'), ' ' ORDER BY id) FROM evidence", name)).toBe("blater c d? e100")
  await server.sql("UPDATE evidence SET number = 'mine' WHERE id = 'b'; DELETE FROM evidence WHERE id = 'c'", name)
  const stopped = await records(lab, target)
  expect(stopped).toMatchObject({ outcome: "failed", stops: ["1 row with other values under the same key"], inserted: 0 })
  expect(await records(lab, { ...target, onConflict: "keep" })).toMatchObject({ outcome: "partial", new: 1, inserted: 1 })
  expect(await server.sql("SELECT number FROM evidence WHERE id = 'b'", name)).toBe("mine")
})

test.skipIf(lacking !== null)("records without a key come back as often as they were there", async () => {
  await using lab = await openLab({ pool })
  const rows = `INSERT INTO plain SELECT 'acme', ${noon("03")}, n FROM unnest(ARRAY['1', '1', '1', NULL]) n`
  const name = await live(lab, rows)
  await expect(records(lab, { openLoader: loaderOf(name) })).rejects.toThrow("the days hold records of")
  await server.sql("DELETE FROM plain WHERE ctid IN (SELECT ctid FROM plain WHERE number = '1' LIMIT 2)", name)
  const options = { table: "public.plain" }
  expect(await records(lab, { openLoader: loaderOf(name) }, options)).toMatchObject({
    outcome: "ok",
    created: false,
    rows: 4,
    new: 2,
    equal: 2,
    inserted: 2,
  })
  expect(await records(lab, { openLoader: loaderOf(name) }, options)).toMatchObject({ outcome: "ok", new: 0, equal: 4 })
  expect(await server.sql("SELECT count(*), count(number) FROM plain", name)).toBe("4\t3")
})

test("lines of CSV files are no rows, and the message says how they come back", async () => {
  await using lab = await openLab({ pool })
  const path = join(lab.directory, "cdr-csv")
  await mkdir(path)
  await writeFile(join(path, "Master.csv"), "acme,2031-03-03 12:00:00\n")
  const rules = { path, files: ["Master.csv"], columns: ["accountcode", "start"], account: "accountcode" }
  const day = { column: "start", stored: "local" } as const
  await lab.run(
    { name: "cdrs", mode: "archive" },
    csvSource({ name: "cdrs", rules: { ...rules, day }, single: undefined, timezone: "UTC" }),
  )
  const refused = records(lab, { file: join(lab.directory, "records.csv") })
  await expect(refused).rejects.toMatchObject({ code: "job/not-found", hint: expect.stringContaining("holdline restore run") })
})

test.skipIf(lacking !== null)("a type that is more than a type makes no table", async () => {
  await using lab = await openLab({ pool })
  const name = `empty${++databases}`
  await server.createDatabase(name)
  await using loader = await loaderOf(name)(lab.directory)
  await using session = await loader.session()
  const table = { schema: "public", name: "t", key: ["a"] }
  const types = ["text); DROP TABLE x; --", "text DEFAULT pg_sleep(1)", "int CHECK (true)", "text[] GENERATED ALWAYS AS (1) STORED"]
  for (const type of types) await expect(session.create({ ...table, columns: [{ name: "a", type }] })).rejects.toThrow("cannot be made")
  const good = [
    "timestamp with time zone",
    "timestamp(3) without time zone",
    "character varying(80)",
    "numeric(10,-2)",
    "text[]",
    "double precision",
  ]
  const columns = good.map((type, at) => ({ name: `c${at}`, type }))
  await session.create({ ...table, key: [], columns })
  expect((await session.tables([table]))[0]?.columns.map(({ type }) => type)).toEqual(good)
})
