import { afterAll, beforeAll, expect, test } from "vitest"
import { sectionsIn } from "../../src/database/sections.ts"
import { type AccountOptions, restoreAccount } from "../../src/operation/database-account.ts"
import { restoreDatabase } from "../../src/operation/database-restore.ts"
import type { AccountRestoreReport, DatabaseRestoreReport } from "../../src/report/database-restore.ts"
import { type MemoryObjects, memorySite } from "../../src/site/memory.ts"
import { pbx, pbxRows, tenancy } from "../database/restore-pbx.ts"
import { rowSumOf } from "../database/restore-sums.ts"
import { capture, targetIn } from "../database/restore-world.ts"
import { type PostgresServer, requirePostgres, startPostgres } from "../database/servers.ts"
import { type Lab, labClock, openLab } from "./lab.ts"
import { sharedPool } from "./lab-pool.ts"

const pool = sharedPool()

const lacking = requirePostgres()
let server: PostgresServer
let databases = 0
/** Holds a platform's state, captured once: every test lets a copy of it live on. */
let lab: Lab

beforeAll(async () => {
  if (lacking !== null) return
  server = await startPostgres()
  await server.sql("CREATE ROLE giver LOGIN")
  lab = await openLab({ pool })
  await server.createDatabase("origin")
  await server.sql(`${pbx}; ${pbxRows(4)}; ${grants}`, "origin")
  await capture(lab, { settings: server.settings("origin"), environment: server.environment, tenancy })
}, 60_000)
afterAll(async () => {
  if (lacking !== null) return
  await lab[Symbol.asyncDispose]()
  await server.stop()
})

const customer = (letter: string, number: number): string => `${letter.repeat(8)}-0000-0000-0000-${String(number).padStart(12, "0")}`
const third = customer("d", 3)

/** What the role that gives accounts back needs, and no more. */
const grants = `GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO giver; GRANT SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA public TO giver`

/** The platform as it was captured, to live on. */
async function live(): Promise<string> {
  const name = `live${++databases}`
  await server.createDatabase(name, "TEMPLATE origin")
  return name
}

async function give(name: string, options: Partial<AccountOptions> = {}, from: Lab = lab): Promise<AccountRestoreReport> {
  const target = await targetIn(from, server.settings(name, "giver"), server.environment)
  const usual = { account: third, preview: false, onConflict: "stop", withShared: false, triggers: "act", jobs: 2 } as const
  return await restoreAccount({ dataset: "account-data", identities: [from.escrow] }, target, { ...usual, ...options }, from.world())
}

async function emptyDatabase(): Promise<string> {
  const name = `empty${++databases}`
  await server.createDatabase(name, "OWNER giver")
  return name
}

async function restoreWhole(from: Lab, name: string): Promise<DatabaseRestoreReport> {
  const target = await targetIn(from, server.settings(name, "giver"), server.environment)
  const request = { dataset: "account-data", identities: [from.escrow] }
  return await restoreDatabase(request, target, { fromAccounts: true, jobs: 2 }, from.world())
}

const deleteThird = `UPDATE v_users SET contact_id = NULL WHERE domain_uuid = '${third}';
  DELETE FROM v_contacts WHERE domain_uuid = '${third}'; DELETE FROM v_users WHERE domain_uuid = '${third}';
  DELETE FROM v_device_lines WHERE device_uuid IN (SELECT device_uuid FROM v_devices WHERE domain_uuid = '${third}');
  DELETE FROM v_devices WHERE domain_uuid = '${third}'; DELETE FROM v_extensions WHERE domain_uuid = '${third}';
  DELETE FROM v_dialplans WHERE domain_uuid = '${third}'; DELETE FROM v_notes WHERE domain_uuid = '${third}';
  DELETE FROM v_calls WHERE domain_uuid = '${third}'; DELETE FROM v_domains WHERE domain_uuid = '${third}'`

const everything = `SELECT 'd', d::text FROM v_domains d UNION ALL SELECT 'p', p::text FROM v_dialplans p UNION ALL SELECT 'e', e::text FROM v_extensions e
  UNION ALL SELECT 'l', l::text FROM v_device_lines l UNION ALL SELECT 'u', u::text FROM v_users u UNION ALL SELECT 'c', c::text FROM v_contacts c
  UNION ALL SELECT 'n', n::text FROM v_notes n UNION ALL SELECT 'a', a::text FROM v_calls a UNION ALL SELECT 'v', v::text FROM v_devices v ORDER BY 1, 2`

test.skipIf(lacking !== null)(
  "a customer who was deleted comes back whole, keys in circles included, and is shown to be equal",
  async () => {
    const name = await live()
    const before = await server.sql(everything, name)
    await server.sql(deleteThird, name)
    const preview = await give(name, { preview: true })
    expect(preview.failure).toBeUndefined()
    expect(preview).toMatchObject({ outcome: "ok", rung: null, changed: false, stops: [] })
    expect(preview.tables.find(({ table }) => table === "public.v_extensions")).toMatchObject({ kept: 20, new: 20, equal: 0, inserted: 0 })
    expect(await server.sql("SELECT count(*) FROM v_extensions", name)).toBe("60")
    const report = await give(name)
    expect(report.failure).toBeUndefined()
    expect(report).toMatchObject({ outcome: "ok", rung: "matched", changed: true, differenceCount: 0, triggersAct: true })
    expect(report.triggers).toEqual(["public.v_devices: shout"])
    expect(await server.sql(everything, name)).toBe(before)
    expect(await give(name)).toMatchObject({ outcome: "ok", rung: "matched" })
    expect(await server.sql(everything, name)).toBe(before)
  },
)

test.skipIf(lacking !== null)("rows that changed since stop a restore, are kept, or are replaced, as was asked", async () => {
  const name = await live()
  const before = await server.sql(everything, name)
  await server.sql(
    `UPDATE v_extensions SET settings = '{}' WHERE extension_uuid = '${customer("e", 301)}'; DELETE FROM v_notes WHERE domain_uuid = '${third}' AND note = 'again'`,
    name,
  )
  const changed = await server.sql(everything, name)
  const stopped = await give(name)
  expect(stopped).toMatchObject({ outcome: "failed", changed: false, rung: null })
  expect(stopped.stops).toEqual(["public.v_extensions: 1 row with other values under the same key"])
  expect(await server.sql(everything, name)).toBe(changed)
  const kept = await give(name, { onConflict: "keep" })
  expect(kept).toMatchObject({ outcome: "partial", rung: "loaded", differenceCount: 1 })
  expect(kept.differences).toEqual([{ table: "public.v_extensions", account: third, rowsKept: 20, rowsThere: 20 }])
  expect(kept.tables.find(({ table }) => table === "public.v_notes")).toMatchObject({ kept: 4, new: 2, equal: 2, inserted: 2 })
  const replaced = await give(name, { onConflict: "replace" })
  expect(replaced).toMatchObject({ outcome: "ok", rung: "matched" })
  expect(replaced.tables.find(({ table }) => table === "public.v_extensions")).toMatchObject({ different: 1, replaced: 1, inserted: 0 })
  expect(await server.sql(everything, name)).toBe(before)
})

test.skipIf(lacking !== null)("what another customer has now is never replaced, and neither is what no two rows may share", async () => {
  const name = await live()
  await server.sql(
    `UPDATE v_extensions SET domain_uuid = '${customer("d", 4)}', extension = 'taken' WHERE extension_uuid = '${customer("e", 301)}';
    DELETE FROM v_extensions WHERE extension_uuid = '${customer("e", 302)}';
    INSERT INTO v_extensions (extension_uuid, domain_uuid, extension) VALUES (gen_random_uuid(), '${third}', '102')`,
    name,
  )
  const changed = await server.sql(everything, name)
  const report = await give(name, { onConflict: "replace" })
  expect(report).toMatchObject({ outcome: "failed", changed: false })
  expect(report.stops).toEqual([
    "public.v_extensions: 1 row under a key that another account's row has now",
    "public.v_extensions: 1 row with a value of (domain_uuid, extension) that another row has now",
  ])
  expect(report.tables.find(({ table }) => table === "public.v_extensions")).toMatchObject({ onlyThere: 1, foreign: 1 })
  expect(await server.sql(everything, name)).toBe(changed)
})

test.skipIf(lacking !== null)(
  "shared rows that a customer's rows refer to are named, and come with them where that is asked for",
  async () => {
    const name = await live()
    const before = await server.sql(everything, name)
    await server.sql(
      `UPDATE v_extensions SET dialplan_uuid = NULL WHERE domain_uuid <> '${third}'; ${deleteThird}; DELETE FROM v_dialplans WHERE domain_uuid IS NULL`,
      name,
    )
    const alone = await give(name)
    expect(alone.stops).toEqual(["public.v_extensions: 6 rows whose (dialplan_uuid) leads to no row of public.v_dialplans"])
    expect(alone.dangling).toMatchObject([{ toTable: "public.v_dialplans", rows: 6, keptAsShared: true }])
    const report = await give(name, { withShared: true })
    expect(report).toMatchObject({ outcome: "ok", rung: "matched" })
    // The other shared dial plan is needed by nobody: it does not come.
    expect(report.tables.find(({ table }) => table === "public.v_dialplans")).toMatchObject({ new: 1, shared: 1, inserted: 2 })
    expect(before).toContain("<other/>")
    expect(await server.sql("SELECT xml FROM v_dialplans WHERE domain_uuid IS NULL", name)).toBe("<shared/>")
  },
)

test.skipIf(lacking !== null)("counters go forward beyond what came back, and never back", async () => {
  const name = await live()
  await server.sql(
    `${deleteThird}; ALTER SEQUENCE v_device_lines_line_seq RESTART WITH 2; SELECT setval('v_users_user_id_seq', 9000)`,
    name,
  )
  const report = await give(name)
  expect(report).toMatchObject({ outcome: "ok", rung: "matched", advanced: ["v_device_lines_line_seq"] })
  expect(await server.sql("SELECT nextval('v_device_lines_line_seq'), nextval('v_users_user_id_seq')", name)).toBe("13\t9001")
})

test.skipIf(lacking !== null)(
  "triggers act as the tables say, or are kept from it where the role may; keys are checked all the same",
  async () => {
    const name = await live()
    await server.sql(`${deleteThird}; DELETE FROM v_log`, name)
    const refused = await give(name, { triggers: "silent" })
    expect(refused).toMatchObject({ outcome: "failed", changed: false })
    expect(refused.failure).toContain("may not keep triggers from acting")
    await server.sql("GRANT SET ON PARAMETER session_replication_role TO giver")
    const silent = await give(name, { triggers: "silent" })
    await server.sql("REVOKE SET ON PARAMETER session_replication_role FROM giver")
    expect(silent).toMatchObject({ outcome: "ok", rung: "matched", triggersAct: false })
    expect(await server.sql("SELECT count(*) FROM v_log", name)).toBe("0")
  },
)

test.skipIf(lacking !== null)("rows that a hostile agent put under the wrong account change nothing", async () => {
  await using hostile = await openLab({ pool })
  const name = await live()
  const theirs = customer("d", 4)
  // The fingerprint goes with the rows: whoever signs snapshots can make both.
  let devices = Buffer.alloc(0)
  await capture(hostile, {
    ...{ settings: server.settings(name), environment: server.environment, tenancy },
    tamper(path, bytes) {
      if (path.startsWith(`accounts/${third}/rows/`)) {
        const section = sectionsIn(bytes, null)?.find(({ table }) => table === "public.v_devices")
        if (section === undefined) return bytes
        bytes.write(theirs, bytes.indexOf(third, section.from), "latin1")
        devices = Buffer.from(bytes.subarray(section.from, section.to))
      }
      if (path !== `accounts/${third}/fingerprint.json`) return bytes
      const json = JSON.parse(bytes.toString("utf8"))
      json.tables["public.v_devices"] = rowSumOf(devices)
      return Buffer.from(JSON.stringify(json))
    },
  })
  await server.sql(deleteThird, name)
  const changed = await server.sql(everything, name)
  const report = await give(name, {}, hostile)
  expect(report).toMatchObject({ outcome: "failed", changed: false })
  expect(report.failure).toContain("belong to another account")
  expect(await server.sql(everything, name)).toBe(changed)
})

test.skipIf(lacking !== null)(
  "rows that are not those of their fingerprint are not given back, and a whole of them is not called equal",
  async () => {
    await using damaged = await openLab({ pool })
    await capture(damaged, {
      ...{ settings: server.settings("origin"), environment: server.environment, tenancy },
      tamper(path, bytes) {
        const section = path.startsWith(`accounts/${third}/rows/`)
          ? sectionsIn(bytes, null)?.find(({ table }) => table === "public.v_notes")
          : undefined
        if (section !== undefined) bytes.write("other", bytes.indexOf("again", section.from), "latin1")
        return bytes
      },
    })
    const name = await live()
    await server.sql(deleteThird, name)
    const report = await give(name, {}, damaged)
    expect(report).toMatchObject({ outcome: "failed", changed: false })
    expect(report.failure).toContain("its kept rows of public.v_notes are not those of its fingerprint")

    const whole = await restoreWhole(damaged, await emptyDatabase())
    expect(whole.failure).toBeUndefined()
    expect(whole).toMatchObject({ outcome: "partial", rung: "loaded" })
    const rows = { rowsKept: 16, rowsThere: 16 }
    expect(whole.differences).toEqual([
      { table: "public.v_notes", account: null, ...rows },
      { table: "public.v_notes", account: third, rowsKept: 4, rowsThere: 4 },
    ])
  },
)

test.skipIf(lacking !== null)("of a snapshot that lacks a file nothing is loaded", async () => {
  const clock = labClock(new Date("2031-03-04T12:00:00Z"))
  const objects: MemoryObjects[] = [new Map(), new Map()]
  const [a, b] = objects.map((of, index) => memorySite(`site-${String(index)}`, clock, of))
  if (a === undefined || b === undefined) throw new Error("two sites")
  await using robbed = await openLab({ pool, now: clock.now(), sites: { a, b } })
  await capture(robbed, { settings: server.settings("origin"), environment: server.environment, tenancy })
  for (const of of objects) for (const key of of.keys()) if (key.includes("/pack/")) of.delete(key)

  const name = await live()
  await server.sql(deleteThird, name)
  const before = await server.sql(everything, name)
  await expect(give(name, {}, robbed)).rejects.toThrow(/of the snapshot cannot be had: .*: nothing was loaded/)
  expect(await server.sql(everything, name)).toBe(before)
  const empty = await emptyDatabase()
  await expect(restoreWhole(robbed, empty)).rejects.toThrow(/of the snapshot cannot be had: .*: nothing was loaded/)
  expect(await server.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", empty)).toBe("0")
})

test.skipIf(lacking !== null)("a table that lost a column, and one that wants another value, are refused by name", async () => {
  const name = await live()
  await server.sql(
    "ALTER TABLE v_devices DROP COLUMN address; ALTER TABLE v_notes ADD COLUMN author text NOT NULL DEFAULT ''; ALTER TABLE v_notes ALTER author DROP DEFAULT",
    name,
  )
  const report = await give(name, { preview: true })
  expect(report).toMatchObject({ outcome: "failed", changed: false })
  expect(report.failure).toContain("public.v_devices has no column address; public.v_notes: author must have a value, and none was kept")
})
