import { afterAll, beforeAll, expect, test } from "vitest"
import { restoreDatabase } from "../../src/operation/database-restore.ts"
import { openLab } from "../operation/lab.ts"
import { sharedPool } from "../operation/lab-pool.ts"
import { pbx, pbxRows, tenancy } from "./restore-pbx.ts"
import { capture, targetIn } from "./restore-world.ts"
import { type PostgresServer, requirePostgres, startPostgres } from "./servers.ts"

const pool = sharedPool()

const lacking = requirePostgres()
let server: PostgresServer
let databases = 0

beforeAll(async () => {
  if (lacking !== null) return
  server = await startPostgres()
  await server.sql("CREATE ROLE restorer LOGIN; CREATE ROLE fusionpbx LOGIN")
}, 60_000)
afterAll(async () => {
  if (lacking === null) await server.stop()
})

async function source(customers = 5): Promise<string> {
  const name = `source${++databases}`
  await server.createDatabase(name)
  await server.sql(pbx, name)
  await server.sql(pbxRows(customers), name)
  return name
}

async function empty(): Promise<string> {
  const name = `target${++databases}`
  await server.createDatabase(name, "OWNER restorer")
  return name
}

const all = `SELECT 'd', d::text FROM v_domains d UNION ALL SELECT 'p', p::text FROM v_dialplans p UNION ALL SELECT 'e', e::text FROM v_extensions e
  UNION ALL SELECT 'l', l::text FROM v_device_lines l UNION ALL SELECT 'u', u::text FROM v_users u UNION ALL SELECT 'c', c::text FROM v_contacts c
  UNION ALL SELECT 'n', n::text FROM v_notes n UNION ALL SELECT 's', s::text FROM v_settings s UNION ALL SELECT 'a', a::text FROM v_calls a
  UNION ALL SELECT 'b', b::text FROM busy b ORDER BY 1, 2`

test.skipIf(lacking !== null)(
  "a whole database comes back from its dump, matched, into an empty one, by a role that owns nothing else",
  async () => {
    await using lab = await openLab({ pool })
    const from = await source()
    await capture(lab, { settings: server.settings(from), environment: server.environment, tenancy, ways: ["accounts", "whole"] })
    const to = await empty()
    const target = await targetIn(lab, server.settings(to, "restorer"), server.environment)
    const report = await restoreDatabase(
      { dataset: "account-data", identities: [lab.escrow] },
      target,
      { fromAccounts: false, jobs: 2 },
      lab.world(),
    )
    expect(report).toMatchObject({ outcome: "ok", rung: "matched", way: "whole", differences: [] })
    expect(report.warnings.join()).toMatch(/not compared.*public\.v_log/)
    expect(await server.sql(all, to)).toBe(await server.sql(all, from))
  },
)

const rowsOfAll = `SELECT sum((xpath('/row/n/text()', query_to_xml(format('SELECT count(*) n FROM %I', relname), false, true, '')))[1]::text::int)
  FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`

test.skipIf(lacking !== null)("a whole database comes back from its accounts' rows, with keys, sequences, triggers and views", async () => {
  await using lab = await openLab({ pool })
  const from = await source()
  await capture(lab, { settings: server.settings(from), environment: server.environment, tenancy })
  const to = await empty()
  const target = await targetIn(lab, server.settings(to, "restorer"), server.environment)
  const report = await restoreDatabase(
    { dataset: "account-data", identities: [lab.escrow] },
    target,
    { fromAccounts: true, jobs: 2 },
    lab.world(),
  )
  expect(report.failure).toBeUndefined()
  expect(report).toMatchObject({ outcome: "ok", rung: "matched", way: "accounts", differences: [] })
  expect(report.leftOut.join()).toContain("public.v_log")
  expect(report.rows).toBe(Number(await server.sql(rowsOfAll, to)))
  expect(await server.sql(all, to)).toBe(await server.sql(all, from))
  const shape = `SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT 'v_users', 'next', nextval('v_users_user_id_seq')::text ORDER BY 1, 2, 3`
  expect(await server.sql(shape, to)).toBe(await server.sql(shape, from))
  // Triggers came after the rows: none acted on them.
  expect(await server.sql("SELECT count(*) FROM v_log", to)).toBe("0")
})
