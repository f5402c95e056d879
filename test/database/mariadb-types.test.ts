import { createHash } from "node:crypto"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { bytesOf, makeRole, never, type Opened, openAs, textOf } from "./mariadb-world.ts"
import { type MariadbServer, requireMariadb, startMariadb } from "./servers.ts"

const lacking = requireMariadb()
let server: MariadbServer
let opened: Opened

beforeAll(async () => {
  if (lacking !== null) return
  server = await startMariadb({ settings: { "local-infile": "1", "max-allowed-packet": "256M" } })
  await server.createDatabase("types")
  opened = await openAs(server, await makeRole(server, "types"))
})

afterAll(async () => {
  await opened?.[Symbol.asyncDispose]()
  await server?.stop()
})

/** Reads the table as a role with SELECT alone would, loads the lines into a table made like it, and gives both tables' checksums. */
async function roundTrip(table: string): Promise<{ readonly text: string; readonly same: boolean }> {
  await using snapshot = await opened.database.snapshot({ readers: 1 })
  const found = (await snapshot.tables()).find(({ name }) => name === table)
  if (found === undefined) throw new Error(`no table ${table}`)
  const columns = found.columns.filter(({ generated }) => !generated).map(({ name }) => name)
  const bytes = await bytesOf(snapshot.rows({ table: found, lead: [], columns, order: found.key.length > 0 ? found.key : columns }, never))
  const file = join(opened.scratch, `${table}.tsv`)
  writeFileSync(file, bytes)
  const texts = new Set(["uuid", "inet6", "inet4"])
  const names = found.columns.filter(({ generated }) => !generated)
  const fields = names.map(({ name, type }) => (texts.has(type) ? `@${name}` : `\`${name}\``)).join(", ")
  const set = names.filter(({ type }) => texts.has(type)).map(({ name }) => `\`${name}\` = CONVERT(@${name} USING utf8mb4)`)
  await server.sql(
    `SET sql_mode = '', time_zone = '+00:00'; CREATE TABLE ${table}_copy LIKE ${table}; ` +
      `LOAD DATA LOCAL INFILE '${file}' INTO TABLE ${table}_copy CHARACTER SET binary (${fields}) ${set.length === 0 ? "" : `SET ${set.join(", ")}`}`,
    "types",
  )
  const sums = await server.sql(`CHECKSUM TABLE ${table}, ${table}_copy EXTENDED; SELECT COUNT(*) FROM ${table}_copy`, "types")
  const [[, one] = [], [, other] = [], [count] = []] = sums.split("\n").map((line) => line.split("\t"))
  const same = one === other && Number(count) > 0
  return { text: bytes.toString("latin1"), same }
}

test("values of every type are read so that LOAD DATA makes exactly the same row again", async (context) => {
  if (lacking !== null) context.skip(lacking)
  await server.sql(
    `SET sql_mode = '', time_zone = '+00:00';
    CREATE TABLE many (id BIGINT UNSIGNED PRIMARY KEY, t TINYINT, s SMALLINT ZEROFILL, m MEDIUMINT UNSIGNED, d DECIMAL(65,30), f FLOAT, f2 FLOAT(9,3),
      g DOUBLE, g2 DOUBLE(22,4), b1 BIT(1), b64 BIT(64), day DATE, at DATETIME(6), stamp TIMESTAMP(3) NULL, long_time TIME(2), y YEAR,
      c CHAR(10) CHARACTER SET latin1, v VARCHAR(200) CHARACTER SET utf8mb4, u VARCHAR(40) CHARACTER SET ucs2, bin BINARY(8), vb VARBINARY(300),
      txt TEXT CHARACTER SET utf8mb4, lt LONGTEXT CHARACTER SET latin1, bl LONGBLOB, e ENUM('a','b\\tc','ü') CHARACTER SET latin1,
      st SET('x','y','z'), j JSON, p POINT, geo GEOMETRY, id6 UUID, net INET6,
      gen INT GENERATED ALWAYS AS (t + 1) VIRTUAL, kept INT AS (t * 2) STORED, hidden INT INVISIBLE DEFAULT 7) ENGINE=InnoDB;
    INSERT INTO many (id, t, s, m, d, f, f2, g, g2, b1, b64, day, at, stamp, long_time, y, c, v, u, bin, vb, txt, lt, bl, e, st, j, p, geo, id6, net, hidden) VALUES
      (0, -128, 5, 16777215, -12345678901234567890123456789012345.000000000000000000000000000001, 16777217.3, 123456.789, 0.1, 123456789.1234, b'1', x'00090A0D5C00FFFE',
       '0000-00-00', '9999-12-31 23:59:59.999999', '1970-01-01 00:00:01.001', '838:59:59.99', 1901, 'caf\u00e9  ', 'tab\\t nl\\n cr\\r nul\\0 bs\\\\ \\\\N \u{1F4DE}', 'ж',
       x'000102090A0D5C00', x'00FF5C4E', '', '\u00ff\u00e4', x'0001020304090A0D5C4EFFFE1A', 'b\\tc', 'x,z', '{"a": [1, null, "\\\\t"]}', POINT(1.5, -2.25),
       ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))', 4326), '123e4567-e89b-12d3-a456-426655440000', 'fe80::1', 1),
      (18446744073709551614, 127, 0, 0, 0, -0.0, -0.001, -0.0, -99999999999999.9999, b'0', 0, '2024-00-00', '0000-00-00 00:00:00', '2038-01-19 03:14:07.999', '-838:59:59', 0,
       '', '\\\\N', '', '', '', '\\\\', '', '', '', '', NULL, NULL, NULL, NULL, '::ffff:1.2.3.4', 2);
    INSERT INTO many (id) VALUES (7);
    INSERT INTO many (id, f, g) VALUES (8, 3.4028234663852886e38, 1.7976931348623157e308), (9, 1.1754943508222875e-38, 5e-324), (10, 0.333333343267, 0.30000000000000004);
    INSERT INTO many (id, f, g) SELECT 100 + seq, RAND(seq) * POW(10, CAST(seq % 70 AS SIGNED) - 35), RAND(1000 + seq) * POW(10, CAST(seq % 600 AS SIGNED) - 300) FROM seq_1_to_2000;`,
    "types",
  )
  const { text, same } = await roundTrip("many")
  expect(same).toBe(true)
  const [first = "", second = ""] = text.split("\n")
  expect(first.split("\t").slice(9, 17)).toEqual([
    "\x01",
    "\\0\\t\\n\\r\\\\\\0\xff\xfe",
    "0000-00-00",
    "9999-12-31 23:59:59.999999",
    "1970-01-01 00:00:01.001",
    "838:59:59.99",
    "1901",
    "caf\xe9",
  ])
  expect(second.split("\t").filter((field) => field === "\\N")).toHaveLength(30)
})

test("text is read as the bytes that are stored, even where they are no text in the column's character set", async (context) => {
  if (lacking !== null) context.skip(lacking)
  await server.sql(
    `CREATE TABLE raw (id INT PRIMARY KEY, l VARCHAR(40) CHARACTER SET latin1, u VARCHAR(40) CHARACTER SET utf8mb3) ENGINE=InnoDB;
    INSERT INTO raw VALUES (1, X'C3A9', X'C3A9'), (2, X'81FF', ''), (3, X'00', 'a')`,
    "types",
  )
  const { text, same } = await roundTrip("raw")
  expect([text, same]).toEqual(["1\t\xc3\xa9\t\xc3\xa9\n2\t\x81\xff\t\n3\t\\0\ta\n", true])
})

test("a table without a key gives the same bytes whatever order its rows lie in, long values included", async (context) => {
  if (lacking !== null) context.skip(lacking)
  const rows = [
    "('a', REPEAT('x', 5000))",
    "('A', REPEAT('x', 5000))",
    "('a', CONCAT(REPEAT('x', 4999), 'y'))",
    "(NULL, NULL)",
    "('a', REPEAT('x', 5000))",
    "('ä', '')",
  ]
  for (const [name, order] of [
    ["one", rows],
    ["two", rows.toReversed()],
  ] as const) {
    await server.sql(
      `CREATE TABLE ${name} (c VARCHAR(20), t TEXT) CHARSET latin1 ENGINE=MyISAM; INSERT INTO ${name} VALUES ${order.join(", ")}`,
      "types",
    )
  }
  await using snapshot = await opened.database.snapshot({ readers: 1 })
  const read = (name: string) =>
    textOf(snapshot.rows({ table: { schema: "types", name }, lead: [], columns: ["c", "t"], order: ["c", "t"] }, never))
  const one = await read("one")
  expect(await read("two")).toBe(one)
  expect(one.split("\n")).toHaveLength(7)
})

test("a row of 100 MB comes through, and takes less than 100 MB more memory", async (context) => {
  if (lacking !== null) context.skip(lacking)
  await server.sql(
    `SET SESSION net_write_timeout = 600; CREATE TABLE huge (id INT PRIMARY KEY, b LONGBLOB) ENGINE=InnoDB;
    INSERT INTO huge VALUES (1, REPEAT('0123456789abcdef', 6250000)), (2, REPEAT('\\n', 17000000))`,
    "types",
  )
  await using snapshot = await opened.database.snapshot({ readers: 1 })
  const hash = createHash("sha256")
  let [bytes, most] = [0, 0]
  const before = process.memoryUsage.rss()
  for await (const piece of snapshot.rows({ table: { schema: "types", name: "huge" }, lead: [], columns: ["b"], order: ["id"] }, never)) {
    bytes += piece.length
    if (bytes <= 100_000_000) hash.update(piece)
    most = Math.max(most, process.memoryUsage.rss())
  }
  expect(bytes).toBe(100_000_001 + 2 * 17_000_000 + 1)
  expect(most - before).toBeLessThan(100 * 1024 * 1024)
})
