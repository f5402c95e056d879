import { afterAll, beforeAll, expect, type TestContext, test } from "vitest"
import { openDatabase } from "../../src/database/open.ts"
import { cdrSource } from "../../src/source/cdr.ts"
import { cdrState } from "../../src/source/cdr-state.ts"
import { type Profile, profileSchema } from "../../src/source/profile.ts"
import type { Source } from "../../src/source/source.ts"
import {
  type MariadbServer,
  type PostgresServer,
  requireMariadb,
  requirePostgres,
  startMariadb,
  startPostgres,
} from "../database/servers.ts"
import { scratchDirectories } from "./captured.ts"
import { Archive } from "./cdr-archive.ts"
import { fieldsOf } from "./cdr-scene.ts"

const scratch = scratchDirectories()
const now = new Date("2026-11-02T12:00:00Z")
const hourLater = new Date("2026-11-02T13:00:00Z")
const dayLater = new Date("2026-11-03T13:00:00Z")

const profile: Profile = profileSchema.parse({
  version: 1,
  platform: "testing",
  description: "For tests",
  databases: {
    pbx: {
      cdrs: {
        v_xml_cdr: {
          account: "domain_uuid",
          day: { column: "start_stamp", stored: "instant" },
          insert: { column: "insert_date", stored: "instant" },
          update: { column: "update_date", stored: "instant" },
          media: [{ files: "recordings", path: "{record_path}/{record_name}" }],
        },
        cdr: { account: "accountcode", day: { column: "calldate", stored: "local" }, key: [] },
        "{YYYYMM}_r": { account: "orig_domain", day: { column: "time_start", stored: "epoch" } },
      },
    },
  },
  files: { recordings: { mode: "archive", path: "/var/recordings", template: "{account}/{yyyy}/{MM}/{dd}/{name}" } },
})

function sourceOf(server: PostgresServer | MariadbServer, folder: string, database = "pbx"): Source {
  const settings = { name: "pbx", profile, database: "pbx", timezone: "Europe/Berlin", compareMs: 86_400_000 }
  return cdrSource(settings, ({ signal }) =>
    openDatabase(server.settings(database), { password: undefined, environment: server.environment, scratch: folder, signal }),
  )
}

function rowsOf(archive: Archive): (Record<string, string> & { day: string; account: string })[] {
  return [...cdrState(archive.items)].map((row) => ({ ...fieldsOf(row), day: row.day, account: row.stableId }))
}

const postgresWorld = `
CREATE TABLE v_xml_cdr (xml_cdr_uuid uuid PRIMARY KEY, domain_uuid uuid, start_stamp timestamptz, record_path text, record_name text,
  json jsonb, insert_date timestamptz, update_date timestamptz);
CREATE TABLE cdr (calldate timestamp NOT NULL, accountcode text, clid text, billsec int);
CREATE TABLE "202611_r" (id bigint PRIMARY KEY, orig_domain text, time_start bigint);
INSERT INTO v_xml_cdr SELECT gen_random_uuid(), CASE WHEN i % 7 = 0 THEN NULL ELSE '00000000-0000-0000-0000-00000000000a'::uuid END,
  '2026-10-24 21:59:59Z'::timestamptz + i * interval '1 hour', CASE WHEN i = 1 THEN '/var/recordings/acme' END, E'a\\\\b\\t.wav',
  '{"a": 1}', '2026-11-02 11:00Z', NULL FROM generate_series(0, 29) i;
INSERT INTO cdr VALUES ('2026-11-01 23:59:50', 'acme', 'é', 1), ('2026-11-01 23:59:50', 'acme', 'é', 1), ('2026-11-01 23:59:50', 'acme', 'é', 1),
  ('2026-11-01 23:59:50', 'acme', 'É', 1);
INSERT INTO "202611_r" VALUES (1, 'acme', 1793570000), (2, NULL, 1793570000);`

let postgres: PostgresServer | undefined
beforeAll(async () => {
  if (requirePostgres() === null) postgres = await startPostgres()
})
afterAll(() => postgres?.stop())

/** The file's server; skips the test where there is none. */
function running(context: TestContext): PostgresServer {
  if (postgres === undefined) context.skip(requirePostgres() ?? "")
  return postgres
}

test("a real Postgres: local days through the change of clocks, rows of nobody, references, a column that comes", async (context) => {
  const server = running(context)
  await server.createDatabase("pbx")
  await server.sql(postgresWorld, "pbx")
  const archive = new Archive()
  const source = sourceOf(server, await scratch())
  const first = await archive.run(source, now, "")
  expect(first.failed).toBeUndefined()
  const calls = rowsOf(archive).filter(({ xml_cdr_uuid }) => xml_cdr_uuid !== undefined)
  expect(
    Object.fromEntries(
      Map.groupBy(calls, ({ day }) => day)
        .entries()
        .map(([day, rows]) => [day, rows.length]),
    ),
  ).toEqual({
    "2026-10-24": 1,
    "2026-10-25": 25,
    "2026-10-26": 4,
  })
  expect(calls.filter(({ account }) => account === "mixed")).toHaveLength(5)
  expect(first.references.map(({ path }) => path.toString())).toEqual(["acme/a\\b\t.wav"])
  expect(rowsOf(archive).filter(({ clid }) => clid !== undefined)).toMatchObject([
    { day: "2026-11-01", account: "acme", clid: "É" },
    { day: "2026-11-01", account: "acme", clid: "é", times: "3" },
  ])
  expect((await archive.run(source, hourLater, "")).items).toEqual([])

  await server.sql(
    `INSERT INTO cdr SELECT '2026-11-01 23:59:50', 'acme', 'é', 1;
     ALTER TABLE v_xml_cdr ADD COLUMN cost numeric; UPDATE v_xml_cdr SET cost = 1.50, update_date = '2026-11-02 12:30Z' WHERE domain_uuid IS NULL`,
    "pbx",
  )
  const third = await archive.run(source, new Date("2026-11-02T14:00:00Z"), "")
  expect(third.failed).toBeUndefined()
  const after = rowsOf(archive)
  expect(after.filter(({ cost }) => cost === "1.50")).toHaveLength(5)
  expect(after.filter(({ xml_cdr_uuid }) => xml_cdr_uuid !== undefined)).toHaveLength(30)
  expect(after.find(({ clid }) => clid === "é")).toMatchObject({ times: "4" })

  await server.sql("INSERT INTO v_xml_cdr (xml_cdr_uuid) VALUES ('00000000-0000-0000-0000-0000000000ff')", "pbx")
  for (const pieces of [1, 0]) expect((await archive.run(source, dayLater, "")).pieces, "a row without any moment").toHaveLength(pieces)
}, 60_000)

test("a real Postgres that dies in the middle fails the run; the next one misses nothing", async (context) => {
  const server = running(context)
  await server.createDatabase("dying")
  await server.sql(
    `CREATE TABLE cdr (calldate timestamp NOT NULL, accountcode text, clid text);
     INSERT INTO cdr SELECT '2026-11-02 10:00:00'::timestamp - i * interval '1 minute', 'acme', repeat('x', 1000) || i FROM generate_series(1, 30000) i`,
    "dying",
  )
  const archive = new Archive()
  const source = sourceOf(server, await scratch(), "dying")
  const first = await archive.run(endedAfterOnePiece(source, server), now, "")
  expect(first.failed).toMatchObject({ code: "job/source" })
  expect(first.pieces.length).toBeGreaterThan(0)
  expect(first.items.some(({ path }) => path.toString().includes("/runs/"))).toBe(false)
  const second = await archive.run(source, dayLater, "")
  expect(second.failed).toBeUndefined()
  expect(rowsOf(archive)).toHaveLength(30_000)
}, 60_000)

/** The source, whose server ends all its connections after the first piece. */
function endedAfterOnePiece(source: Source, server: PostgresServer): Source {
  return {
    ...source,
    async *capture(options) {
      let ended = false
      for await (const found of source.capture(options)) {
        yield found
        if (ended || !("item" in found) || found.item.stableId !== "acme") continue
        ended = true
        await server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'dying' AND pid <> pg_backend_pid()")
      }
    },
  }
}

test("a real MariaDB: equal rows that its collation does not tell from others, zero dates, tables of a month", async (context) => {
  const lacking = requireMariadb()
  if (lacking !== null) context.skip(lacking)
  await using server = await startMariadb()
  await server.createDatabase("pbx", "CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
  await server.sql(
    `SET sql_mode = '';
     CREATE TABLE cdr (calldate datetime NOT NULL, accountcode varchar(20), clid varchar(80), billsec int) ENGINE=MyISAM;
     INSERT INTO cdr VALUES ('2026-10-25 02:30:00', 'acme', 'bob', 1), ('2026-10-25 02:30:00', 'acme', 'BOB', 1),
       ('2026-10-25 02:30:00', 'acme', 'bob', 1), ('2026-10-25 02:30:00', 'acme', 'BOB', 1), ('2026-10-25 02:30:00', 'acme', 'bob', 1),
       ('0000-00-00 00:00:00', '', 'zero', 1);
     CREATE TABLE \`202611_r\` (id int AUTO_INCREMENT PRIMARY KEY, orig_domain varchar(80), time_start int);
     INSERT INTO \`202611_r\` VALUES (1, 'acme', 1793570000), (2, NULL, NULL);`,
    "pbx",
  )
  const archive = new Archive()
  const source = sourceOf(server, await scratch())
  const first = await archive.run(source, now, "")
  expect(first.failed).toBeUndefined()
  expect(rowsOf(archive).toSorted((a, b) => ((a.clid ?? a.id ?? "") < (b.clid ?? b.id ?? "") ? -1 : 1))).toMatchObject([
    { id: "1", account: "acme", day: "2026-11-01" },
    { id: "2", account: "mixed", day: "2026-11-02" },
    { clid: "BOB", account: "acme", day: "2026-10-25", times: "2" },
    { clid: "bob", account: "acme", day: "2026-10-25", times: "3" },
    { clid: "zero", account: "mixed", day: "2026-11-02" },
  ])
  await server.sql("INSERT INTO `202611_r` VALUES (3, 'acme', 1793620000)", "pbx")
  expect((await archive.run(source, hourLater, "")).pieces).toHaveLength(1)
  expect(rowsOf(archive)).toHaveLength(6)
  await server.sql("INSERT INTO `202611_r` VALUES (4, NULL, NULL)", "pbx")
  expect((await archive.run(source, dayLater, "")).pieces, "a row without any moment").toHaveLength(1)
}, 60_000)
