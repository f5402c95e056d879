import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { sandboxLine, withSandboxLine } from "../../src/database/mariadb/dump.ts"
import { bytesOf, makeRole, never, type Opened, openAs, rolePassword, textOf } from "./mariadb-world.ts"
import { runProgram } from "./process.ts"
import { type MariadbServer, requireMariadb, startMariadb } from "./servers.ts"

const lacking = requireMariadb()
let server: MariadbServer
let opened: Opened

beforeAll(async () => {
  if (lacking !== null) return
  // A server that is impatient with those who read slowly, and hostile in its defaults.
  server = await startMariadb({
    settings: {
      "net-write-timeout": "1",
      "idle-readonly-transaction-timeout": "1",
      "max-statement-time": "20",
      "sql-mode": "ANSI_QUOTES,NO_BACKSLASH_ESCAPES",
    },
  })
  await server.createDatabase("pbx")
  await server.sql(
    `CREATE TABLE parent (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(50) CHARACTER SET latin1, f DOUBLE, b BLOB, bits BIT(9), \`a, \`\`f\` FLOAT) ENGINE=InnoDB;
    INSERT INTO parent VALUES (1, 'M\u00fcller \u20ac', 0.1, X'00FF0A5C27', b'100000001', 16777217.3), (7, NULL, -0.0, '', NULL, 0.333333343267);
    CREATE TABLE child (id INT PRIMARY KEY, up INT, twice INT AS (up * 2) STORED, t LONGTEXT, FOREIGN KEY (up) REFERENCES parent (id)) ENGINE=InnoDB;
    INSERT INTO child (id, up, t) SELECT seq, 1, REPEAT('long text ', 500) FROM seq_1_to_3000;
    CREATE TABLE log (t VARCHAR(20)) ENGINE=MyISAM; INSERT INTO log VALUES ('it''s'), ('a\\b');
    CREATE VIEW names AS SELECT name FROM parent;
    CREATE SEQUENCE calls START WITH 100;
    DELIMITER $$
    CREATE TRIGGER acts BEFORE INSERT ON child FOR EACH ROW SET NEW.t = CONCAT(NEW.t, '!')$$
    CREATE PROCEDURE counts() BEGIN SELECT COUNT(*) FROM parent; END$$
    CREATE FUNCTION one() RETURNS INT DETERMINISTIC RETURN 1$$
    CREATE EVENT sweeps ON SCHEDULE EVERY 1 YEAR DO DELETE FROM log WHERE t = 'never'$$`,
    "pbx",
  )
  opened = await openAs(server, await makeRole(server, "pbx"))
})

afterAll(async () => {
  await opened?.[Symbol.asyncDispose]()
  await server?.stop()
})

const without = (dump: string): string => dump.slice(sandboxLine.length)

test("what the dump of the whole database restores has the same rows, routines, triggers, events, views and sequences", async (context) => {
  if (lacking !== null) context.skip(lacking)
  await using snapshot = await opened.database.snapshot({ readers: 2 })
  const dump = await bytesOf(snapshot.whole(never))
  await server.createDatabase("again")
  const file = join(opened.scratch, "whole.sql")
  writeFileSync(file, dump)
  await runProgram(["mariadb", "--no-defaults", "-u", "root", `--socket=${server.socket}`, "again"], {
    input: dump.toString("latin1"),
  }).catch(() => null)
  await runProgram(["sh", "-c", `mariadb --no-defaults -u root --socket=${server.socket} again < ${file}`])
  const sums = await server.sql("CHECKSUM TABLE pbx.parent, pbx.child, pbx.log; CHECKSUM TABLE again.parent, again.child, again.log")
  const values = sums.split("\n").map((line) => line.split("\t")[1])
  expect(values.slice(0, 3)).toEqual(values.slice(3))
  expect(values.every((value) => value !== undefined && value !== "0" && value !== "NULL")).toBe(true)
  expect(await server.sql("SELECT again.one(), NEXTVAL(again.calls), (SELECT COUNT(*) FROM again.names); CALL again.counts()")).toBe(
    "1\t100\t2\n2",
  )
  const kept =
    "SELECT (SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA='again'), (SELECT COUNT(*) FROM information_schema.EVENTS WHERE EVENT_SCHEMA='again')"
  expect(await server.sql(kept)).toBe("1\t1")
})

test("the schema is complete, holds no rows, and is the same bytes while nothing changes", async (context) => {
  if (lacking !== null) context.skip(lacking)
  await using snapshot = await opened.database.snapshot({ readers: 1 })
  const schema = await textOf(snapshot.schema(never))
  for (const part of [
    "CREATE TABLE `child`",
    "TRIGGER acts",
    'PROCEDURE "counts"',
    'FUNCTION "one"',
    "EVENT `sweeps`",
    "VIEW `names`",
    "SEQUENCE `calls`",
  ])
    expect(schema).toContain(part)
  expect(schema).not.toContain("INSERT INTO")
  expect(await textOf(snapshot.schema(never))).toBe(schema)
})

test("a dump has the line that keeps clients from their shells first and once, whether the program that wrote it knows of it or not", async () => {
  const body = "-- MariaDB dump 10.19\n--\n"
  const pieces = async function* (text: string, size: number): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < text.length; at += size) yield Buffer.from(text.slice(at, at + size))
  }
  for (const size of [1, 7, 4096]) {
    for (const first of ["", sandboxLine, "/*!999999\\- enable the sandbox mode */\n", "/*M!999999\\- enable the sandbox mode */\n"]) {
      expect(await textOf(withSandboxLine(pieces(first + body, size)))).toBe(sandboxLine + body)
    }
  }
  expect(await textOf(withSandboxLine(pieces("", 1)))).toBe("")
})

test("a dump goes through this machine's client with its first line and without it", async (context) => {
  if (lacking !== null) context.skip(lacking)
  await using snapshot = await opened.database.snapshot({ readers: 1 })
  const schema = await textOf(snapshot.schema(never))
  for (const [name, text] of [
    ["with_line", schema],
    ["without_line", without(schema)],
  ] as const) {
    await server.createDatabase(name)
    await server.sql(text, name)
    expect(await server.sql("SHOW TABLES", name)).toContain("parent")
  }
})

test("readers and dumps may pause for longer than the server's own patience", async (context) => {
  if (lacking !== null) context.skip(lacking)
  await using snapshot = await opened.database.snapshot({ readers: 2 })
  const whole = snapshot.whole(never)[Symbol.asyncIterator]()
  const rows = snapshot
    .rows({ table: { schema: "pbx", name: "child" }, lead: [], columns: ["t"], order: ["id"] }, never)
    [Symbol.asyncIterator]()
  await Promise.all([whole.next(), rows.next()])
  await new Promise((resolve) => setTimeout(resolve, 3000))
  expect(await drained(whole)).toBeGreaterThan(10_000_000)
  expect(await drained(rows)).toBeGreaterThan(10_000_000)
})

test("a dump whose program is killed rejects, and so does one whose connection is", async (context) => {
  if (lacking !== null) context.skip(lacking)
  {
    await using snapshot = await opened.database.snapshot({ readers: 1 })
    const whole = snapshot.whole(never)[Symbol.asyncIterator]()
    await whole.next()
    process.kill(dumpProcess(), "SIGKILL")
    await expect(drained(whole)).rejects.toMatchObject({ code: "job/command", message: /SIGKILL/ })
  }
  await using snapshot = await opened.database.snapshot({ readers: 1 })
  const whole = snapshot.whole(never)[Symbol.asyncIterator]()
  await whole.next()
  await server.sql(
    await server.sql(
      "SELECT CONCAT('KILL ', id, ';') FROM information_schema.processlist WHERE info LIKE '%child%' AND id <> CONNECTION_ID()",
    ),
  )
  await expect(drained(whole)).rejects.toMatchObject({ code: expect.stringMatching(/^job\//) })
})

test("no password is in the arguments, the environment or the files of a dump that runs", async (context) => {
  if (lacking !== null) context.skip(lacking)
  await using snapshot = await opened.database.snapshot({ readers: 1 })
  const whole = snapshot.whole(never)[Symbol.asyncIterator]()
  await whole.next()
  const process = `/proc/${dumpProcess()}`
  expect(readFileSync(`${process}/cmdline`, "utf8") + readFileSync(`${process}/environ`, "latin1")).not.toContain(rolePassword)
  expect(readdirSync(opened.scratch).filter((name) => name !== "whole.sql")).toEqual([])
  await drained(whole)
})

test("a program from before that line was known gives a dump that has it", async (context) => {
  if (lacking !== null) context.skip(lacking)
  const folder = mkdtempSync(join(tmpdir(), "hl-fake-"))
  writeFileSync(join(folder, "mariadb-dump"), "#!/bin/sh\necho '-- MariaDB dump'; echo '-- Dump completed'\n", { mode: 0o755 })
  await using faked = await openAs(server, server.settings("pbx", "root"), { password: "", environment: { PATH: folder } })
  await using snapshot = await faked.database.snapshot({ readers: 1 })
  expect(await textOf(snapshot.whole(never))).toBe(`${sandboxLine}-- MariaDB dump\n-- Dump completed\n`)
  rmSync(folder, { recursive: true })
})

test.each([
  ["says nothing of being complete", `echo '-- MariaDB dump'`, /lacks the line/],
  ["fails", `echo '-- Dump completed'; echo 'mysqldump: it broke' >&2; exit 3`, /status 3: mysqldump: it broke/],
  ["is not there", null, /mariadb-dump: cannot be started/],
])("a program that %s makes the dump reject", async (_, script, reason) => {
  if (lacking !== null) return
  const folder = mkdtempSync(join(tmpdir(), "hl-fake-"))
  if (script !== null) {
    writeFileSync(join(folder, "mariadb-dump"), `#!/bin/sh\n${script}\n`)
    chmodSync(join(folder, "mariadb-dump"), 0o755)
  }
  await using faked = await openAs(server, server.settings("pbx", "root"), { password: "", environment: { PATH: folder } })
  await using snapshot = await faked.database.snapshot({ readers: 1 })
  await expect(textOf(snapshot.whole(never))).rejects.toThrow(reason)
  rmSync(folder, { recursive: true })
})

test("a role that may not dump what there is makes the dump reject", async (context) => {
  if (lacking !== null) context.skip(lacking)
  await using poor = await openAs(server, await makeRole(server, "pbx", { user: "poor", without: ["EVENT", "SHOW VIEW"] }))
  await using snapshot = await poor.database.snapshot({ readers: 1 })
  await expect(textOf(snapshot.schema(never))).rejects.toMatchObject({ code: "job/command", message: /denied/ })
})

function dumpProcess(): number {
  const found = readdirSync("/proc").find((name) => {
    if (!/^\d+$/.test(name)) return false
    try {
      const [program, ...args] = readFileSync(`/proc/${name}/cmdline`, "utf8").split("\0")
      return program === "mariadb-dump" && args.some((arg) => arg.startsWith(`--socket=${opened.scratch}`))
    } catch {
      return false
    }
  })
  if (found === undefined) throw new Error("no mariadb-dump runs")
  return Number(found)
}

async function drained(stream: AsyncIterator<Uint8Array>): Promise<number> {
  for (let bytes = 0; ; ) {
    const next = await stream.next()
    if (next.done === true) return bytes
    bytes += next.value.length
  }
}
