import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { Table } from "../../src/database/database.ts"
import { openDatabase } from "../../src/database/open.ts"
import type { DatabaseSettings } from "../../src/database/settings.ts"
import { mediaPaths } from "../../src/source/medium.ts"
import { cdrTablesOf, type Profile, profileOverrides, tenancyOf } from "../../src/source/profile.ts"
import { planTables } from "../../src/source/tables.ts"
import { loadProfile } from "../../src/wiring/profiles.ts"
import {
  type MariadbServer,
  type PostgresServer,
  requireMariadb,
  requirePostgres,
  startMariadb,
  startPostgres,
} from "../database/servers.ts"
import type { ProviderAccount } from "../provider/accounts.ts"
import { type CdrEvent, cdrEvents, passTime, recordingsRoot, writeRecordings } from "../provider/cdrs.ts"
import { loadFreepbx, writeCalls } from "../provider/freepbx.ts"
import { fusionpbxRows, loadFusionpbx } from "../provider/fusionpbx.ts"
import { fusionpbxTables } from "../provider/fusionpbx-tables.ts"

const nowMs = Date.UTC(2026, 10, 2, 9)
const hour = 3_600_000
const timezone = "Europe/Berlin"
const shipped = (name: string): Promise<Profile> => loadProfile(name, "/nowhere", "/nowhere")
const scratch = mkdtempSync(join(tmpdir(), "profile-servers-"))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

async function tablesOf(settings: DatabaseSettings, environment: Readonly<Record<string, string>>): Promise<readonly Table[]> {
  const access = { password: undefined, environment, scratch, signal: new AbortController().signal }
  await using database = await openDatabase(settings, access)
  await using snapshot = await database.snapshot({ readers: 1 })
  return await snapshot.tables()
}

describe.skipIf(requirePostgres() !== null)("an invented FusionPBX", () => {
  let server: PostgresServer
  let accounts: readonly ProviderAccount[]
  let events: readonly CdrEvent[]
  const options = { accounts: 25, seed: "profile", scale: 0.05, nowMs }

  beforeAll(async () => {
    server = await startPostgres()
    await server.createDatabase("fusionpbx")
    accounts = await loadFusionpbx(server, "fusionpbx", options)
    events = cdrEvents(accounts, { seed: "profile", fromMs: nowMs - 24 * hour, toMs: nowMs, timezone, calls: 400 })
    await passTime(server, "fusionpbx", events, { fromMs: 0, toMs: nowMs })
  })
  afterAll(() => server.stop())

  test("is covered by the profile, table by table", async () => {
    const tables = await tablesOf(server.settings("fusionpbx"), server.environment)
    const { captured, cdrs, ignored } = planTables(tenancyOf(await shipped("fusionpbx"), "fusionpbx"), tables, "fusionpbx")
    expect(captured.length + cdrs.length).toBe(fusionpbxTables.length)
    expect(ignored).toEqual([])
  })

  test("has a key on each table that the profile says rows are told apart by", async () => {
    const tables = await tablesOf(server.settings("fusionpbx"), server.environment)
    const found = cdrTablesOf(
      await shipped("fusionpbx"),
      "fusionpbx",
      tables.map(({ schema, name }) => `${schema}.${name}`),
    )
    expect(found).toHaveLength(6)
    for (const { table, rules } of found) expect(rules.key).toEqual(tables.find(({ schema, name }) => `${schema}.${name}` === table)?.key)
  })

  test("has accounts of all sizes, each with rows of its own, and rows of the platform", async () => {
    const counts = await server.sql(
      "SELECT count(*), count(DISTINCT domain_uuid), count(*) FILTER (WHERE domain_uuid IS NULL) FROM v_dialplan_details",
      "fusionpbx",
    )
    const [rows = 0, owners = 0, global = 0] = counts.split("\t").map(Number)
    expect(rows).toBeGreaterThan(300)
    expect(owners).toBe(accounts.length)
    expect(global).toBe(300)
  })

  test("is the same when it is made again, and another from another seed", () => {
    const [table] = fusionpbxTables.filter(({ name }) => name === "v_extensions")
    if (table === undefined) throw new Error("an extension has a table")
    const rows = (seed: string): string => [...fusionpbxRows(table, accounts, { ...options, seed })].join("")
    expect(rows("profile")).toBe(rows("profile"))
    expect(rows("profile")).not.toBe(rows("other"))
  })

  test("writes some calls late, and changes some that were written", async () => {
    const count = async (what: string): Promise<number> => Number(await server.sql(`SELECT count(${what}) FROM v_xml_cdr`, "fusionpbx"))
    const due = events.filter(({ writtenMs }) => writtenMs < nowMs)
    expect(due.some(({ call, writtenMs }) => writtenMs - call.endMs > 300_000)).toBe(true)
    expect(await count("*")).toBe(due.length)
    const changed = await count("update_date")
    await passTime(server, "fusionpbx", events, { fromMs: nowMs, toMs: nowMs + 60 * 24 * hour })
    expect(await count("*")).toBe(events.length)
    expect(await count("update_date")).toBeGreaterThan(changed)
  })

  test("says of each recording where it is: the profile finds it below the root", async () => {
    const root = join(scratch, "recordings")
    const written = writeRecordings(
      root,
      events.map(({ call }) => call),
    )
    const media = (await shipped("fusionpbx")).databases?.fusionpbx?.cdrs?.v_xml_cdr?.media?.[0]
    if (media === undefined) throw new Error("a call has a recording")
    const rows = await server.sql(`SELECT record_path, record_name FROM v_xml_cdr WHERE record_name IS NOT NULL`, "fusionpbx")
    const found = rows.split("\n").flatMap((row) => {
      const [path = "", name = ""] = row.split("\t")
      const column = (wanted: string): string | null => (wanted === "record_path" ? path : name)
      return mediaPaths(media, recordingsRoot, { day: "2026-11-01", column })
    })
    expect(found.length).toBeGreaterThan(20)
    for (const path of found) expect(existsSync(join(root, path.toString("latin1"))), path.toString()).toBe(true)
    expect(written.length).toBeGreaterThanOrEqual(found.length)
  })
})

describe.skipIf(requireMariadb() !== null)("an invented FreePBX", () => {
  let server: MariadbServer
  let events: readonly CdrEvent[]

  beforeAll(async () => {
    server = await startMariadb()
    const accounts = await loadFreepbx(server, { accounts: 10, seed: "profile" })
    events = cdrEvents(accounts, { seed: "profile", fromMs: nowMs - 24 * hour, toMs: nowMs, timezone, calls: 300 })
    await writeCalls(server, events, { fromMs: 0, toMs: nowMs + 100 * hour, timezone })
  })
  afterAll(() => server.stop())

  test("is covered by the profile: its settings are the customer's, its calls another job's", async () => {
    const profile = await shipped("freepbx")
    const overrides = profileOverrides.parse({ databases: { asterisk: { single: "acme" }, asteriskcdrdb: { single: "acme" } } })
    const settings = planTables(
      tenancyOf(profile, "asterisk", overrides),
      await tablesOf(server.settings("asterisk"), server.environment),
      "asterisk",
    )
    expect(new Set(settings.captured.map(({ owner }) => (owner.kind === "one" ? owner.stableId : "")))).toEqual(new Set(["acme"]))
    const calls = planTables(
      tenancyOf(profile, "asteriskcdrdb", overrides),
      await tablesOf(server.settings("asteriskcdrdb"), server.environment),
      "asteriskcdrdb",
    )
    expect(calls.cdrs.toSorted()).toEqual(["asteriskcdrdb.cdr", "asteriskcdrdb.cel"])
  })

  test("keeps calls in a table without a key, where rows are equal to the letter", async () => {
    const cdr = (await tablesOf(server.settings("asteriskcdrdb"), server.environment)).find(({ name }) => name === "cdr")
    expect(cdr).toMatchObject({ key: [], transactional: false })
    const [rows = 0, different = 0] = (
      await server.sql("SELECT count(*), count(DISTINCT calldate, channel, dst, uniqueid, disposition) FROM cdr", "asteriskcdrdb")
    )
      .split("\t")
      .map(Number)
    expect(rows).toBeGreaterThan(different)
  })

  test("names recordings without their folder: the profile finds it by the day of the call", async () => {
    const media = (await shipped("freepbx")).databases?.asteriskcdrdb?.cdrs?.cdr?.media?.[0]
    if (media === undefined) throw new Error("a call has a recording")
    const rows = await server.sql("SELECT date(calldate), recordingfile FROM cdr WHERE recordingfile <> ''", "asteriskcdrdb")
    for (const row of rows.split("\n")) {
      const [day = "", recordingfile = ""] = row.split("\t")
      const paths = mediaPaths(media, "/var/spool/asterisk/monitor", { day, column: () => recordingfile }).map(String)
      expect(paths).toHaveLength(3)
      expect(paths[0]).toBe(`${day.replaceAll("-", "/")}/${recordingfile}`)
    }
  })
})
