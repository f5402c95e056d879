import { readdirSync } from "node:fs"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { Lead } from "../../src/database/database.ts"
import { checkMariadb } from "../../src/database/mariadb/grants.ts"
import { rowRuns } from "../../src/database/rows.ts"
import { makeRole, never, type Opened, openAs, textOf } from "./mariadb-world.ts"
import { certifiedName } from "./process.ts"
import { type MariadbServer, requireMariadb, startMariadb } from "./servers.ts"

const lacking = requireMariadb()
let server: MariadbServer

beforeAll(async () => {
  if (lacking === null) server = await startMariadb({ tls: true })
})

afterAll(async () => {
  await server?.stop()
})

/** A fresh database, filled by `sql`, opened by a role of its own. */
async function world(name: string, sql: string, without: readonly string[] = []): Promise<Opened> {
  await server.createDatabase(name)
  await server.sql(sql, name)
  return openAs(server, await makeRole(server, name, { without }))
}

function refusal(promise: Promise<unknown>): Promise<{ readonly code: string; readonly message: string; readonly hint: string }> {
  return promise.then(
    () => Promise.reject(new Error("it was not refused")),
    (error: unknown) => {
      if (!(error instanceof Error)) throw error
      return { code: String(Reflect.get(error, "code")), message: error.message, hint: String(Reflect.get(error, "hint")) }
    },
  )
}

describe("moments", () => {
  const accounts =
    "CREATE TABLE a (id INT PRIMARY KEY, n INT) ENGINE=InnoDB; CREATE TABLE b LIKE a; CREATE TABLE c LIKE a; " +
    "INSERT INTO a VALUES (1, 1000); INSERT INTO b VALUES (1, 0); INSERT INTO c VALUES (1, 0);"

  test.each([
    ["RELOAD", ["LOCK TABLES"]],
    ["LOCK TABLES", ["RELOAD"]],
  ])("readers that begin by %s see one moment while others write, and so does the dump", async (name, without) => {
    if (lacking !== null) return
    const database = `moment_${name.replace(" ", "_")}`
    await using opened = await world(database, accounts, without)
    const writing = new AbortController()
    const writer = write(database, writing.signal)
    try {
      for (let round = 0; round < 5; round++) {
        await using snapshot = await opened.database.snapshot({ readers: 3 })
        expect(snapshot.notes).toEqual([])
        const values = await Promise.all(["a", "b", "c"].map(async (table) => Number(await textOf(value(snapshot, database, table)))))
        const dumped = /INSERT INTO `a` VALUES\s+\(1,(-?\d+)\)[\s\S]*INSERT INTO `b` VALUES\s+\(1,(-?\d+)\)/.exec(
          await textOf(snapshot.whole(never)),
        )
        const [a = 0, b = 0, c = 0] = values
        expect([a + b, c]).toEqual([1000, b])
        expect([Number(dumped?.[1]), Number(dumped?.[2])]).toEqual([a, b])
      }
    } finally {
      writing.abort()
      await writer
    }
  })

  test("a role that can hold back nobody gets one reader, and is told why", async (context) => {
    if (lacking !== null) context.skip(lacking)
    await using opened = await world("alone", accounts, ["RELOAD", "LOCK TABLES"])
    await using snapshot = await opened.database.snapshot({ readers: 3 })
    expect(snapshot.notes.join()).toMatch(/one reader instead of 3: .*RELOAD.*LOCK TABLES/)
    const [a, b] = await Promise.all([textOf(value(snapshot, "alone", "a")), textOf(value(snapshot, "alone", "b"))])
    expect([a, b]).toEqual(["1000\n", "0\n"])
    expect(await textOf(snapshot.whole(never))).toContain("INSERT INTO `a` VALUES\n(1,1000)")
  })

  test("a table that was altered since the snapshot began is refused, not read as it is now", async (context) => {
    if (lacking !== null) context.skip(lacking)
    await using opened = await world("altered", accounts)
    await using snapshot = await opened.database.snapshot({ readers: 1 })
    await server.sql("CREATE TABLE fresh (id INT)", "altered")
    expect(await textOf(snapshot.schema(never))).toContain("`a`")
    await server.sql("ALTER TABLE a ADD COLUMN more INT, FORCE", "altered")
    expect((await refusal(textOf(value(snapshot, "altered", "a")))).code).toBe("job/source")
    expect((await refusal(textOf(snapshot.schema(never)))).message).toMatch(/altered or dropped since the snapshot began: a$/)
    await server.sql("DROP TABLE b", "altered")
    expect((await refusal(textOf(snapshot.schema(never)))).message).toMatch(/began: a, b$/)
  })

  test("a table that was read may be altered while the snapshot lives on", async (context) => {
    if (lacking !== null) context.skip(lacking)
    await using opened = await world("released", accounts)
    await using snapshot = await opened.database.snapshot({ readers: 1 })
    expect(await textOf(value(snapshot, "released", "a"))).toBe("1000\n")
    await server.sql("SET lock_wait_timeout = 2; ALTER TABLE a ADD COLUMN more INT; UPDATE b SET n = 5", "released")
    expect(await textOf(value(snapshot, "released", "b"))).toBe("0\n")
  })

  test("tables that no snapshot covers are named, do not keep writers out while we are slow, and can be locked", async (context) => {
    if (lacking !== null) context.skip(lacking)
    await using opened = await world(
      "myisam",
      "CREATE TABLE cdr (id INT PRIMARY KEY, t TEXT) ENGINE=MyISAM; INSERT INTO cdr SELECT seq, REPEAT('x', 1000) FROM seq_1_to_20000",
    )
    {
      await using snapshot = await opened.database.snapshot({ readers: 1 })
      expect(snapshot.notes).toEqual(["not transactional, each as of when it was read: cdr"])
      expect((await snapshot.tables()).map(({ transactional }) => transactional)).toEqual([false])
      const slow = snapshot
        .rows({ table: { schema: "myisam", name: "cdr" }, lead: [], columns: ["id", "t"], order: ["id"] }, never)
        [Symbol.asyncIterator]()
      await slow.next()
      await server.sql("SET lock_wait_timeout = 2; UPDATE cdr SET t = 'y' WHERE id = 1", "myisam")
      expect(readdirSync(opened.scratch)).toHaveLength(1)
      await slow.return?.()
      expect(readdirSync(opened.scratch)).toEqual([])
    }
    await using locked = await opened.database.snapshot({ readers: 2, lockOthers: true })
    expect(locked.notes).toEqual([])
    await expect(server.sql("SET lock_wait_timeout = 1; UPDATE cdr SET t = 'z' WHERE id = 1", "myisam")).rejects.toThrow(/1205/)
    const first = await textOf(
      locked.rows({ table: { schema: "myisam", name: "cdr" }, lead: [], columns: ["t"], where: [], order: ["id"] }, never),
    )
    expect(first).toBe("")
  })
})

/** Transfers from a to b, and counts in c, in transactions without end. */
async function write(database: string, signal: AbortSignal): Promise<void> {
  const one = "START TRANSACTION; UPDATE a SET n = n - 1; UPDATE b SET n = n + 1; UPDATE c SET n = n + 1; COMMIT;"
  while (!signal.aborted) await server.sql(one.repeat(200), database)
}

function value(snapshot: Awaited<ReturnType<Opened["database"]["snapshot"]>>, schema: string, name: string): AsyncIterable<Uint8Array> {
  return snapshot.rows({ table: { schema, name }, lead: [], columns: ["n"], order: ["id"] }, never)
}

describe("rows", () => {
  test("leads come through joins in UTF-8, sorted as bytes with NULL last; days are the zone's, without the server's zone tables", async (context) => {
    if (lacking !== null) context.skip(lacking)
    await using opened = await world(
      "leads",
      `SET time_zone = '+00:00';
      CREATE TABLE tenant (id INT PRIMARY KEY, domain VARCHAR(50) CHARACTER SET latin1 COLLATE latin1_bin UNIQUE, name VARCHAR(50)) ENGINE=InnoDB;
      CREATE TABLE ext (id INT PRIMARY KEY, domain VARCHAR(50) CHARACTER SET utf8mb4, at TIMESTAMP NULL, here DATETIME NULL, secs BIGINT) ENGINE=InnoDB;
      INSERT INTO tenant VALUES (10, 'zo\u00eb', 'Zo\u00eb'), (9, 'b', 'B'), (11, 'a', 'a');
      INSERT INTO ext VALUES (1, 'zo\u00eb', '2024-03-30 22:59:59', '2024-03-30 23:59:59', 1711839599), (2, 'b', '2024-03-31 22:00:00', '2024-04-01', 1711922400),
        (3, 'a', '2024-10-27 23:00:00', '2024-10-28', 1730070000), (4, NULL, NULL, '0000-00-00', NULL), (5, 'nobody', '2024-07-01', NULL, 0), (6, 'a', '2024-10-27 22:59:59', NULL, 1730069999)`.replace(
        "SET time_zone",
        "SET sql_mode = '', time_zone",
      ),
    )
    await using snapshot = await opened.database.snapshot({ readers: 1 })
    const [timezone, schema] = ["Europe/Berlin", "leads"]
    const lead: Lead[] = [
      { kind: "value", column: "id", via: [{ column: "domain", schema, table: "tenant", key: "domain" }] },
      { kind: "day", column: "at", stored: "instant", timezone },
      { kind: "day", column: "here", stored: "local", timezone },
      { kind: "day", column: "secs", stored: "epoch", timezone },
      { kind: "value", column: "name", via: [{ column: "domain", schema, table: "tenant", key: "domain" }] },
    ]
    const rows = await textOf(snapshot.rows({ table: { schema, name: "ext" }, lead, columns: ["id"], order: ["id"] }, never))
    expect(
      rows
        .split("\n")
        .slice(0, -1)
        .map((line) => line.split("\t")),
    ).toEqual([
      ["10", "2024-03-30", "2024-03-30", "2024-03-30", "Zoë", "1"],
      ["11", "2024-10-27", "\\N", "2024-10-27", "a", "6"],
      ["11", "2024-10-28", "2024-10-28", "2024-10-28", "a", "3"],
      ["9", "2024-04-01", "2024-04-01", "2024-04-01", "B", "2"],
      ["\\N", "2024-07-01", "\\N", "1970-01-01", "\\N", "5"],
      ["\\N", "\\N", "\\N", "\\N", "\\N", "4"],
    ])
    const from = new Date("2024-10-27T22:59:59Z")
    const since = async (column: string, stored: "instant" | "local" | "epoch") =>
      await textOf(
        snapshot.rows(
          { table: { schema, name: "ext" }, lead: [], columns: ["id"], where: [{ column, stored, timezone, from }], order: ["id"] },
          never,
        ),
      )
    expect([await since("at", "instant"), await since("here", "local"), await since("secs", "epoch")]).toEqual(["3\n6\n", "3\n", "3\n6\n"])
  })

  test("a cdr table as FreePBX has it, MyISAM, latin1 and without a key, is read with all its rows", async (context) => {
    if (lacking !== null) context.skip(lacking)
    await using opened = await world(
      "asteriskcdrdb",
      `CREATE TABLE cdr (calldate DATETIME NOT NULL DEFAULT '0000-00-00 00:00:00', clid VARCHAR(80) NOT NULL DEFAULT '', src VARCHAR(80) NOT NULL DEFAULT '',
        duration INT NOT NULL DEFAULT 0, uniqueid VARCHAR(32) NOT NULL DEFAULT '', recordingfile VARCHAR(255) NOT NULL DEFAULT '', KEY calldate (calldate)) ENGINE=MyISAM CHARSET=latin1;
      INSERT INTO cdr SELECT '2024-05-01 10:00:00' + INTERVAL seq MINUTE, CONCAT('"M', X'FC', 'ller" <', seq, '>'), seq % 7, seq % 90, CONCAT('1714550400.', seq DIV 2), '' FROM seq_1_to_3000;
      INSERT INTO cdr SELECT * FROM cdr LIMIT 5`.replace(/^/, "SET sql_mode = '';"),
    )
    await using snapshot = await opened.database.snapshot({ readers: 2 })
    const [table] = await snapshot.tables()
    if (table === undefined) throw new Error("no table")
    expect([table.key, table.transactional, table.rowsEstimate]).toEqual([[], false, 3005])
    const columns = table.columns.map(({ name }) => name)
    const lead: Lead[] = [{ kind: "day", column: "calldate", stored: "local", timezone: "America/New_York" }]
    const runs: [string, number][] = []
    for await (const run of rowRuns(snapshot.rows({ table, lead, columns, order: columns }, never), 1, "cdr")) {
      runs.push([run.lead, run.rows])
      expect(Buffer.from(run.bytes).includes(Buffer.from('"M\xfcller" <', "latin1"))).toBe(true)
    }
    expect(runs).toEqual([
      ["2024-05-01", 844],
      ["2024-05-02", 1440],
      ["2024-05-03", 721],
    ])
  })

  test("tables: keys, references, sequences, computed and hidden columns as they are; views and merged tables are none", async (context) => {
    if (lacking !== null) context.skip(lacking)
    await using opened = await world(
      "shapes",
      `CREATE TABLE parent (a INT, b VARCHAR(10), PRIMARY KEY (b, a)) ENGINE=InnoDB;
      CREATE TABLE child (id INT NOT NULL UNIQUE, n INT AUTO_INCREMENT, x INT, y VARCHAR(10), maybe INT NULL UNIQUE, KEY (n), total INT AS (x * 2) VIRTUAL,
        h INT INVISIBLE, CONSTRAINT up FOREIGN KEY (y, x) REFERENCES parent (b, a)) ENGINE=InnoDB AUTO_INCREMENT=41;
      CREATE TABLE parts (id INT PRIMARY KEY) ENGINE=InnoDB PARTITION BY HASH (id) PARTITIONS 4;
      CREATE TABLE versioned (id INT PRIMARY KEY) WITH SYSTEM VERSIONING ENGINE=InnoDB;
      CREATE TABLE m1 (id INT) ENGINE=MyISAM; CREATE TABLE merged (id INT) ENGINE=MERGE UNION=(m1); CREATE VIEW v AS SELECT 1;
      CREATE SEQUENCE calls START WITH 100 CACHE 10; SELECT NEXTVAL(calls);
      CREATE TABLE \`odd \`\`name\\\\'\` (\`a b\` INT, \`ü\` INT) ENGINE=InnoDB; INSERT INTO \`odd \`\`name\\\\'\` VALUES (1, 2)`,
    )
    await using snapshot = await opened.database.snapshot({ readers: 2 })
    const tables = new Map((await snapshot.tables()).map((table) => [table.name, table]))
    expect([...tables.keys()]).toEqual(["child", "m1", "odd `name\\\\'", "parent", "parts", "versioned"])
    expect(tables.get("parent")?.key).toEqual(["b", "a"])
    const child = tables.get("child")
    expect([child?.key, child?.references]).toEqual([
      ["id"],
      [{ columns: ["y", "x"], schema: "shapes", table: "parent", toColumns: ["b", "a"] }],
    ])
    expect(child?.columns.map(({ name, generated }) => [name, generated])).toContainEqual(["total", true])
    expect(child?.columns.map(({ name, generated }) => [name, generated])).toContainEqual(["h", false])
    expect(await snapshot.sequences()).toEqual([
      { name: "shapes.calls", value: 110n, called: false },
      { name: "shapes.child.n", value: 41n, called: false },
    ])
    const odd = snapshot.rows({ table: { schema: "shapes", name: "odd `name\\\\'" }, lead: [], columns: ["ü", "a b"] }, never)
    expect(await textOf(odd)).toBe("2\t1\n")
    expect(
      (await refusal(textOf(snapshot.rows({ table: { schema: "shapes", name: "gone" }, lead: [], columns: ["a"] }, never)))).message,
    ).toContain("shapes.gone")
  })
})

describe("faults", () => {
  const rows =
    "CREATE TABLE big (id INT PRIMARY KEY, t TEXT) ENGINE=InnoDB; INSERT INTO big SELECT seq, REPEAT('x', 1000) FROM seq_1_to_30000"
  const query = (schema: string) => ({ table: { schema, name: "big" }, lead: [], columns: ["id", "t"], order: ["id"] })

  test("a connection that is killed in the middle of rows rejects, as does a server that dies", async (context) => {
    if (lacking !== null) context.skip(lacking)
    await using own = await startMariadb()
    await own.createDatabase("dying")
    await own.sql(rows, "dying")
    await using opened = await openAs(own, await makeRole(own, "dying"))
    const snapshot = await opened.database.snapshot({ readers: 2 })
    const kill = async () =>
      own.sql("SELECT CONCAT('KILL ', id, ';') FROM information_schema.processlist WHERE info LIKE '%big%' AND id <> CONNECTION_ID()")
    const first = snapshot.rows(query("dying"), never)[Symbol.asyncIterator]()
    await first.next()
    await own.sql(await kill())
    expect((await refusal(drain(first))).code).toBe("job/source")
    const second = snapshot.rows(query("dying"), never)[Symbol.asyncIterator]()
    await second.next()
    await own.kill()
    expect((await refusal(drain(second))).code).toBe("job/source")
    expect((await refusal(textOf(snapshot.rows(query("dying"), never)))).message).toMatch(/every connection of the snapshot was lost/)
    await snapshot[Symbol.asyncDispose]()
  })

  test("a stream that is left or aborted gives its reader back, still in the snapshot", async (context) => {
    if (lacking !== null) context.skip(lacking)
    await using opened = await world("left", rows)
    await using snapshot = await opened.database.snapshot({ readers: 1 })
    await server.sql("DELETE FROM big", "left")
    for await (const piece of snapshot.rows(query("left"), never)) if (piece.length > 0) break
    const stop = new AbortController()
    const aborted = snapshot.rows(query("left"), stop.signal)[Symbol.asyncIterator]()
    await aborted.next()
    stop.abort(new Error("enough"))
    expect((await refusal(drain(aborted))).message).toBe("enough")
    expect((await textOf(snapshot.rows(query("left"), never))).length).toBeGreaterThan(30_000_000)
  })

  test("who reads slowly makes the server wait, not the memory grow", async (context) => {
    if (lacking !== null) context.skip(lacking)
    await using opened = await world(
      "slow",
      `${rows}; INSERT INTO big SELECT id + 30000, t FROM big; INSERT INTO big SELECT id + 60000, t FROM big`,
    )
    await using snapshot = await opened.database.snapshot({ readers: 1 })
    const stream = snapshot.rows(query("slow"), never)[Symbol.asyncIterator]()
    await stream.next()
    const before = process.memoryUsage()
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setTimeout(resolve, 10))
    const after = process.memoryUsage()
    expect(after.arrayBuffers + after.external - before.arrayBuffers - before.external).toBeLessThan(4 * 1024 * 1024)
    await stream.return?.()
  })

  test("a wrong password is refused without being told, and nothing of it is in what is thrown", async (context) => {
    if (lacking !== null) context.skip(lacking)
    await server.createDatabase("locked")
    const settings = await makeRole(server, "locked")
    const error: unknown = await openAs(server, settings, { password: "quite-the-wrong-one" }).then(
      () => null,
      (cause: unknown) => cause,
    )
    const all = `${String(error)} ${JSON.stringify(error)} ${JSON.stringify(error instanceof Error ? error.cause : null)} ${error instanceof Error ? error.stack : ""}`
    expect(all).toContain("Access denied")
    expect(all).not.toContain("quite-the-wrong-one")
  })
})

describe("connections over TCP", () => {
  test("TLS with the certificate and its name checked; anything less is refused", async (context) => {
    if (lacking !== null) context.skip(lacking)
    await server.createDatabase("net")
    await makeRole(server, "net", { host: "127.0.0.1", user: "net", tls: true })
    const ca = server.tls?.ca ?? ""
    const settings = { kind: "mariadb", host: "127.0.0.1", port: server.port, name: "net", user: "net" } as const
    await using opened = await openAs(server, { ...settings, tls: { ca, serverName: certifiedName } })
    const [row] = await opened.database.query("SHOW SESSION STATUS LIKE 'Ssl_version'")
    expect(row?.[1]).toMatch(/^TLSv1/)
    await using snapshot = await opened.database.snapshot({ readers: 2 })
    expect(await textOf(snapshot.whole(never))).toContain("-- Dump completed")
    const refused = async (tls: object) => (await refusal(openAs(server, { ...settings, tls }))).message
    expect(await refused({ ca, serverName: "other.holdline.test" })).toMatch(/cannot connect.*altnames/)
    expect(await refused({ serverName: certifiedName })).toMatch(/certificate/)
    expect(await refused({ ca })).toMatch(/an address is no name/)
    expect(await refused({ off: "loopback" })).toMatch(/Access denied/)
    expect((await refusal(openAs(server, { ...settings, host: "192.0.2.1", tls: { off: "loopback" } }))).message).toMatch(
      /without TLS is refused/,
    )
    await server.sql("ALTER USER net@'127.0.0.1' REQUIRE NONE")
    await using plain = await openAs(server, { ...settings, tls: { off: "loopback" } })
    expect(await plain.database.query("SELECT 1")).toEqual([["1"]])
  })

  test("a server without TLS is refused", async (context) => {
    if (lacking !== null) context.skip(lacking)
    const { createServer } = await import("node:net")
    const greeting = "Wgoxby4zLjItTWFyaWFEQgABAAAAYWFhYWFhYWEA/vcIAgC/gRUAAAAAAAAHAAAAYmJiYmJiYmJiYmJiAG15c3FsX25hdGl2ZV9wYXNzd29yZAA="
    const bytes = Buffer.from(greeting, "base64")
    const flags = bytes.indexOf("aaaaaaaa") + 9
    bytes.writeUInt16LE(bytes.readUInt16LE(flags) & ~0x0800, flags)
    const header = Buffer.of(bytes.length, 0, 0, 0)
    let said = ""
    const fake = createServer((socket) => {
      socket.on("data", (chunk) => {
        said += chunk.toString("latin1")
      })
      socket.on("error", () => undefined)
      socket.write(Buffer.concat([header, bytes]))
    }).listen(0, "127.0.0.1")
    await new Promise((resolve) => fake.once("listening", resolve))
    const address = fake.address()
    const port = address !== null && typeof address === "object" ? address.port : 0
    const settings = { kind: "mariadb", host: "127.0.0.1", port, name: "x", user: "u", tls: { serverName: certifiedName } } as const
    expect((await refusal(openAs(server, settings))).message).toMatch(/does not support secure connection/)
    expect(said).toBe("")
    fake.close()
  })
})

describe("the role", () => {
  test("has what the grants give, and nothing is missing; what is taken away is named", async (context) => {
    if (lacking !== null) context.skip(lacking)
    await using all = await world("my_db", "CREATE TABLE t (id INT PRIMARY KEY)")
    expect(await checkMariadb(all.database)).toEqual([])
    await expect(all.database.query("INSERT INTO t VALUES (1)")).rejects.toThrow(/denied/)
    await using few = await world("few_db", "", ["RELOAD", "EVENT", "TRIGGER", "SELECT on mysql.proc"])
    expect((await checkMariadb(few.database)).map(({ privilege, optional }) => [privilege, optional])).toEqual([
      ["TRIGGER on few_db", false],
      ["EVENT on few_db", false],
      ["SELECT on mysql.proc", false],
      ["RELOAD", true],
    ])
    await server.createDatabase("myxdb")
    await expect(all.database.query("SELECT * FROM myxdb.t")).rejects.toThrow(/denied/)
  })
})

async function drain(stream: AsyncIterator<Uint8Array>): Promise<void> {
  while ((await stream.next()).done !== true);
}
