import { afterAll, beforeAll, expect, test } from "vitest"
import { type AccountOptions, restoreAccount } from "../../src/operation/database-account.ts"
import { restoreDatabase } from "../../src/operation/database-restore.ts"
import type { AccountRestoreReport, DatabaseRestoreReport } from "../../src/report/database-restore.ts"
import { type Lab, openLab } from "../operation/lab.ts"
import { sharedPool } from "../operation/lab-pool.ts"
import { altered, capture, cutBy, targetIn } from "./restore-world.ts"
import { type MariadbServer, requireMariadb, startMariadb } from "./servers.ts"

const pool = sharedPool()

const lacking = requireMariadb()
let server: MariadbServer
let databases = 0
/** Holds a platform's state, captured once. */
let lab: Lab

beforeAll(async () => {
  if (lacking !== null) return
  server = await startMariadb()
  await server.sql("CREATE USER restorer@localhost; CREATE USER giver@localhost")
  lab = await openLab({ pool })
  await captureOf(await source(), ["accounts"])
}, 60_000)
afterAll(async () => {
  if (lacking !== null) return
  await lab[Symbol.asyncDispose]()
  await server.stop()
})

const pbx = `
  CREATE TABLE tenants (id varchar(20) PRIMARY KEY, parent varchar(20), name varchar(80) CHARACTER SET latin1, FOREIGN KEY (parent) REFERENCES tenants (id)) ENGINE=InnoDB;
  CREATE TABLE plans (id int PRIMARY KEY, tenant varchar(20), xml longtext) ENGINE=InnoDB;
  CREATE TABLE extensions (id int AUTO_INCREMENT PRIMARY KEY, tenant varchar(20) NOT NULL, number varchar(20), plan int, bits bit(9), blobby blob,
    at timestamp(3) NULL, zero date, amount decimal(20,5), choice enum('a','b'), many set('x','y'), doc json, twice int GENERATED ALWAYS AS (plan * 2) STORED,
    place point, tag uuid, ratio double, UNIQUE (tenant, number), FOREIGN KEY (tenant) REFERENCES tenants (id), FOREIGN KEY (plan) REFERENCES plans (id)) ENGINE=InnoDB;
  CREATE TABLE devices (id int PRIMARY KEY, tenant varchar(20) NOT NULL, FOREIGN KEY (tenant) REFERENCES tenants (id)) ENGINE=InnoDB;
  CREATE TABLE device_lines (id int PRIMARY KEY, device int NOT NULL, label text, FOREIGN KEY (device) REFERENCES devices (id)) ENGINE=InnoDB;
  CREATE TABLE cel (tenant varchar(20), event text) ENGINE=InnoDB;
  CREATE TABLE log (what text) ENGINE=InnoDB;
  CREATE VIEW busy AS SELECT tenant, count(*) AS n FROM extensions GROUP BY tenant;
  CREATE SEQUENCE numbers START WITH 7;
  DELIMITER //
  CREATE FUNCTION shout(a text) RETURNS text DETERMINISTIC BEGIN DECLARE b text; SET b = CONCAT(a, '; ''quoted'' -- no comment'); RETURN b; END //
  CREATE TRIGGER shouted AFTER INSERT ON devices FOR EACH ROW BEGIN INSERT INTO log VALUES (shout('x')); END //
  CREATE EVENT tidy ON SCHEDULE EVERY 1 DAY DO BEGIN DELETE FROM log; END //
  DELIMITER ;
`

const rows = (tenants: number): string => `
  SET sql_mode = 'NO_BACKSLASH_ESCAPES'; SET time_zone = '+00:00'; SET NAMES utf8mb4;
  INSERT INTO plans VALUES (0, NULL, '<shared/>'), (900, NULL, '<other/>');
  INSERT INTO tenants SELECT CONCAT('t', seq), IF(seq > 1, 't1', NULL), CONCAT('Müller ', seq) FROM seq_1_to_${tenants};
  INSERT INTO plans SELECT seq, CONCAT('t', seq), CONCAT('tab', CHAR(9), 'line', CHAR(10), 'back\\', CHAR(13), 'é ''', seq) FROM seq_1_to_${tenants};
  INSERT INTO extensions (tenant, number, plan, bits, blobby, at, zero, amount, choice, many, doc, place, tag, ratio)
    SELECT CONCAT('t', t.seq), 100 + e.seq, CASE MOD(e.seq, 3) WHEN 0 THEN 0 WHEN 1 THEN t.seq END, b'101010101', x'00ff5c270a0d1a22', '2026-11-22 01:02:03.456',
      '0000-00-00', 12345.6789, 'b', 'x,y', '{"a": "\\u00e9"}', POINT(1.5, e.seq), '123e4567-e89b-12d3-a456-426655440000', e.seq / 3
    FROM seq_1_to_${tenants} t, seq_1_to_20 e ORDER BY t.seq, e.seq;
  INSERT INTO devices SELECT seq, CONCAT('t', seq) FROM seq_1_to_${tenants};
  INSERT INTO device_lines SELECT t.seq * 10 + n.seq, t.seq, CONCAT('line ', n.seq) FROM seq_1_to_${tenants} t, seq_1_to_3 n;
  INSERT INTO cel SELECT CONCAT('t', t.seq), CASE n.seq WHEN 1 THEN NULL WHEN 2 THEN '' ELSE 'again' END FROM seq_1_to_${tenants} t, seq_1_to_4 n;
  DELETE FROM log; SELECT NEXTVAL(numbers); ALTER TABLE extensions AUTO_INCREMENT = 5000`

function tenancyOf(): unknown {
  const via = [{ column: "device", table: "devices", key: "id" }]
  return {
    accounts: { table: "tenants", id: "id", name: "name" },
    tables: {
      ...{ tenants: { account: "id" }, plans: { account: "tenant", null: "platform" }, extensions: { account: "tenant" } },
      ...{ devices: { account: "tenant" }, device_lines: { account: "tenant", via }, cel: { account: "tenant" } },
      log: { ignore: "a log of the platform's own" },
    },
  }
}

/** A database as the one that was captured was, row by row. */
async function source(): Promise<string> {
  const name = `source${++databases}`
  await server.createDatabase(name)
  await server.sql(pbx, name)
  await server.sql(rows(4), name)
  return name
}

async function captureOf(name: string, ways: readonly ("accounts" | "whole")[]): Promise<void> {
  await capture(lab, { settings: server.settings(name), environment: server.environment, tenancy: tenancyOf(), ways })
}

async function back(fromAccounts: boolean): Promise<{ readonly to: string; readonly report: DatabaseRestoreReport }> {
  const to = `target${++databases}`
  await server.createDatabase(to)
  await server.sql(`GRANT ALL PRIVILEGES ON \`${to}\`.* TO restorer@localhost`)
  const target = await targetIn(lab, server.settings(to, "restorer"), server.environment)
  const request = { dataset: "account-data", identities: [lab.escrow] }
  return { to, report: await restoreDatabase(request, target, { fromAccounts, jobs: 2 }, lab.world()) }
}

const tables = ["tenants", "plans", "extensions", "devices", "device_lines", "cel", "busy"]
const everything = (name: string): Promise<string> =>
  server.sql(tables.map((table) => `SELECT * FROM ${table} ORDER BY 1, 2;`).join(" "), name)
const shape = (name: string): Promise<string> =>
  server.sql(
    `SHOW CREATE TABLE extensions; SHOW CREATE TRIGGER shouted; SHOW CREATE FUNCTION shout; SELECT NEXTVAL(numbers); SELECT shout('a');
    SELECT EVENT_NAME, EVENT_DEFINITION FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE()`,
    name,
  )
const normal = (text: string): string => text.replace(/DEFINER=`\w+`@`\w+`/g, "").replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d\d)?/g, "")

test.skipIf(lacking !== null)(
  "a whole database comes back from its dump without any shell client, matched, by a role that owns nothing else",
  async () => {
    const from = await source()
    await captureOf(from, ["accounts", "whole"])
    const { to, report } = await back(false)
    expect(report.failure).toBeUndefined()
    expect(report).toMatchObject({ outcome: "ok", rung: "matched", way: "whole", differences: [] })
    expect(report.leftOut.join()).toContain("the schedule of `tidy`")
    expect(await everything(to)).toBe(await everything(from))
    expect(normal(await shape(to))).toBe(normal(await shape(from)))
    expect(await server.sql("SELECT STATUS FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE()", to)).toBe("DISABLED")
  },
)

test.skipIf(lacking !== null)("a whole database comes back from its accounts' rows, with counters, triggers and routines", async () => {
  const from = await source()
  await captureOf(from, ["accounts"])
  const { to, report } = await back(true)
  expect(report.failure).toBeUndefined()
  expect(report).toMatchObject({ outcome: "ok", rung: "matched", way: "accounts", differences: [] })
  expect(await everything(to)).toBe(await everything(from))
  expect(normal(await shape(to))).toBe(normal(await shape(from)))
  // Triggers came after the rows: none acted on them.
  expect(await server.sql("SELECT count(*) FROM log", to)).toBe("0")
})

test.skipIf(lacking !== null)(
  "a server that ends the session in the middle of a table's rows leaves a failed restore, never a loaded one",
  async () => {
    const to = `target${++databases}`
    await server.createDatabase(to)
    await server.sql(`GRANT ALL PRIVILEGES ON \`${to}\`.* TO restorer@localhost`)
    const kill = async (): Promise<void> => {
      const ids = await server.sql("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'restorer'")
      await server.sql(
        ids
          .split("\n")
          .map((id) => `KILL ${id};`)
          .join(" "),
      )
    }
    const target = altered(await targetIn(lab, server.settings(to, "restorer"), server.environment), (loader) => ({
      loadRows: (table, lines) => loader.loadRows(table, table.name === "extensions" ? cutBy(lines, kill) : lines),
    }))
    const request = { dataset: "account-data", identities: [lab.escrow] }
    const report = await restoreDatabase(request, target, { fromAccounts: true, jobs: 1 }, lab.world())
    expect(report).toMatchObject({ outcome: "failed", rung: null })
    expect(await server.sql("SELECT count(*) FROM extensions", to)).toBe("0")
  },
)

async function give(name: string, options: Partial<AccountOptions> = {}): Promise<AccountRestoreReport> {
  await server.sql(`GRANT SELECT, INSERT, UPDATE, CREATE TEMPORARY TABLES, TRIGGER ON \`${name}\`.* TO giver@localhost`)
  const target = await targetIn(lab, server.settings(name, "giver"), server.environment)
  const usual = { account: "t3", preview: false, onConflict: "stop", withShared: false, triggers: "act", jobs: 2 } as const
  return await restoreAccount({ dataset: "account-data", identities: [lab.escrow] }, target, { ...usual, ...options }, lab.world())
}

const deleteThird = `DELETE FROM device_lines WHERE device = 3; DELETE FROM devices WHERE tenant = 't3'; DELETE FROM extensions WHERE tenant = 't3';
  DELETE FROM plans WHERE tenant = 't3'; DELETE FROM cel WHERE tenant = 't3'; DELETE FROM tenants WHERE id = 't3'`

test.skipIf(lacking !== null)("a tenant who was deleted comes back whole into a database in use, and is shown to be equal", async () => {
  const name = await source()
  const before = await everything(name)
  await server.sql(deleteThird, name)
  const preview = await give(name, { preview: true })
  expect(preview.failure).toBeUndefined()
  expect(preview).toMatchObject({ outcome: "ok", rung: null, changed: false, stops: [] })
  const report = await give(name)
  expect(report.failure).toBeUndefined()
  expect(report).toMatchObject({ outcome: "ok", rung: "matched", changed: true, differenceCount: 0 })
  expect(report.triggers.join()).toContain("devices: shouted")
  expect(await everything(name)).toBe(before)
  expect(await give(name)).toMatchObject({ outcome: "ok", rung: "matched" })
  expect(await everything(name)).toBe(before)
})

test.skipIf(lacking !== null)("rows that changed since stop a restore or are replaced; another tenant's row is never touched", async () => {
  const name = await source()
  const before = await everything(name)
  await server.sql(
    "UPDATE extensions SET number = 'other' WHERE tenant = 't3' AND number = '103'; DELETE FROM cel WHERE tenant = 't3' AND event = 'again'",
    name,
  )
  const changed = await everything(name)
  const stopped = await give(name)
  expect(stopped).toMatchObject({ outcome: "failed", changed: false, rung: null })
  expect(stopped.stops.join()).toContain("1 row with other values under the same key")
  expect(await everything(name)).toBe(changed)
  expect(await give(name, { onConflict: "replace" })).toMatchObject({ outcome: "ok", rung: "matched" })
  expect(await everything(name)).toBe(before)
  await server.sql("UPDATE extensions SET tenant = 't4', number = 'x' WHERE tenant = 't3' AND number = '103'", name)
  const refused = await give(name, { onConflict: "replace" })
  expect(refused.stops.join()).toContain("under a key that another account's row has now")
})

test.skipIf(lacking !== null)("shared rows that a tenant's rows refer to come with them where that is asked for", async () => {
  const name = await source()
  await server.sql(`UPDATE extensions SET plan = NULL WHERE tenant <> 't3'; ${deleteThird}; DELETE FROM plans WHERE tenant IS NULL`, name)
  const alone = await give(name)
  expect(alone.dangling).toMatchObject([{ rows: 6, keptAsShared: true }])
  expect(await give(name, { withShared: true })).toMatchObject({ outcome: "ok", rung: "matched" })
  expect(await server.sql("SELECT xml FROM plans WHERE tenant IS NULL", name)).toBe("<shared/>")
})
