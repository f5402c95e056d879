import { afterAll, beforeAll, expect, test } from "vitest"
import type { LoadSession } from "../../src/database/loader.ts"
import { openLoader } from "../../src/database/open-loader.ts"
import { type AccountOptions, restoreAccount } from "../../src/operation/database-account.ts"
import { restoreDatabase } from "../../src/operation/database-restore.ts"
import { pbx, pbxRows, tenancy } from "../database/restore-pbx.ts"
import { accessOf, altered, capture, cutBy, targetIn } from "../database/restore-world.ts"
import { type PostgresServer, requirePostgres, startPostgres } from "../database/servers.ts"
import { type Lab, openLab } from "./lab.ts"
import { sharedPool } from "./lab-pool.ts"

const pool = sharedPool()

const lacking = requirePostgres()
let server: PostgresServer
let databases = 0
/** Holds a platform's state, captured once. */
let lab: Lab

beforeAll(async () => {
  if (lacking !== null) return
  server = await startPostgres()
  await server.sql("CREATE ROLE restorer LOGIN")
  lab = await openLab({ pool })
  await server.createDatabase("origin", "OWNER restorer")
  const grants = `GRANT ALL ON ALL TABLES IN SCHEMA public TO restorer; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO restorer`
  await server.sql(`${pbx}; ${pbxRows(4)}; ${grants}`, "origin")
  await capture(lab, { settings: server.settings("origin"), environment: server.environment, tenancy })
}, 60_000)
afterAll(async () => {
  if (lacking !== null) return
  await lab[Symbol.asyncDispose]()
  await server.stop()
})

/** An empty database, or one as it was when it was captured. */
async function created(how: "empty" | "as captured"): Promise<string> {
  const name = `database${++databases}`
  await server.createDatabase(name, how === "empty" ? "OWNER restorer" : "OWNER restorer TEMPLATE origin")
  return name
}

/** Ends every session of a role in a database, as an administrator or a crash would. */
async function endSessions(database: string): Promise<void> {
  await server.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${database}' AND usename = 'restorer'`)
}

test.skipIf(lacking !== null)(
  "a server that ends the session in the middle of a table's rows leaves a failed restore, never a loaded one",
  async () => {
    const to = await created("empty")
    const target = altered(await targetIn(lab, server.settings(to, "restorer"), server.environment), (loader) => ({
      loadRows: (table, lines) => loader.loadRows(table, table.name === "v_extensions" ? cutBy(lines, () => endSessions(to)) : lines),
    }))
    const request = { dataset: "account-data", identities: [lab.escrow] }
    const report = await restoreDatabase(request, target, { fromAccounts: true, jobs: 2 }, lab.world())
    expect(report).toMatchObject({ outcome: "failed", rung: null })
    expect(report.failure).toMatch(/terminat|connection/i)
    expect(await server.sql("SELECT count(*) FROM v_extensions", to)).toBe("0")
  },
)

test.skipIf(lacking !== null)("an interruption ends a load at once, and the server with it", async () => {
  const to = await created("empty")
  const stop = new AbortController()
  const { signal } = stop
  const usualTarget = await targetIn(lab, server.settings(to, "restorer"), server.environment)
  const interruptible = {
    ...usualTarget,
    openLoader: (scratch: string) => openLoader(server.settings(to, "restorer"), { ...accessOf(scratch, server.environment), signal }),
  }
  const interrupt = (): Promise<void> => Promise.resolve(stop.abort(new Error("enough")))
  const target = altered(interruptible, (loader) => ({
    loadRows: (table, lines) => loader.loadRows(table, table.name === "v_extensions" ? cutBy(lines, interrupt) : lines),
  }))
  const request = { dataset: "account-data", identities: [lab.escrow] }
  await expect(restoreDatabase(request, target, { fromAccounts: true, jobs: 2 }, lab.world({ signal }))).rejects.toThrow("enough")
  await expect.poll(() => server.sql(`SELECT count(*) FROM pg_stat_activity WHERE datname = '${to}'`)).toBe("0")
})

const third = `dddddddd-0000-0000-0000-${"3".padStart(12, "0")}`
const usual: AccountOptions = { account: third, preview: false, onConflict: "stop", withShared: false, triggers: "act", jobs: 2 }

test.skipIf(lacking !== null).each([1, 4, 9])(
  "a session that ends at change %i of an account's restore leaves the database as it was",
  async (last) => {
    const name = await created("as captured")
    const counts = `SELECT (SELECT count(*) FROM v_domains), (SELECT count(*) FROM v_devices), (SELECT count(*) FROM v_notes), (SELECT count(*) FROM v_calls)`
    await server.sql(`DELETE FROM v_notes WHERE domain_uuid = '${third}'; DELETE FROM v_calls WHERE domain_uuid = '${third}'`, name)
    const before = await server.sql(counts, name)
    let changes = 0
    const target = altered(await targetIn(lab, server.settings(name, "restorer"), server.environment), (loader) => ({
      async session() {
        const session = await loader.session()
        const change = async (statement: string): Promise<number> => {
          const changed = await session.change(statement)
          changes += 1
          if (changes === last) await endSessions(name)
          return changed
        }
        const ended: LoadSession = { ...session, change }
        return ended
      },
    }))
    const report = await restoreAccount({ dataset: "account-data", identities: [lab.escrow] }, target, usual, lab.world())
    expect(report).toMatchObject({ outcome: "failed", rung: null, changed: false })
    expect(report.failure).toContain("nothing was changed")
    expect(await server.sql(counts, name)).toBe(before)
  },
)

test.skipIf(lacking !== null)("an answer to COMMIT that never comes is said to be unknown, neither done nor undone", async () => {
  const name = await created("as captured")
  const target = altered(await targetIn(lab, server.settings(name, "restorer"), server.environment), (loader) => ({
    async session() {
      const session = await loader.session()
      const execute = async (statement: string): Promise<void> => {
        if (statement === "COMMIT") await endSessions(name)
        await session.execute(statement)
      }
      return { ...session, execute }
    },
  }))
  const report = await restoreAccount({ dataset: "account-data", identities: [lab.escrow] }, target, usual, lab.world())
  expect(report).toMatchObject({ outcome: "failed", rung: null })
  expect(report.failure).toContain("is not known")
})
