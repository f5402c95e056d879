import fc from "fast-check"
import { afterAll, beforeAll, expect, test } from "vitest"
import { type Lab, openLab } from "../operation/lab.ts"
import { runProgram } from "./process.ts"
import { texts } from "./property-types.ts"
import { broughtBack, captured, equal, sourceOf } from "./property-world.ts"
import { type MariadbServer, requireMariadb, startMariadb } from "./servers.ts"

const lacking = requireMariadb()
/** More on demand: HOLDLINE_PROPERTY_RUNS=200, and HOLDLINE_PROPERTY_SEED with the seed that a failure printed. */
const runs = Number(process.env.HOLDLINE_PROPERTY_RUNS ?? 3)
const seed = process.env.HOLDLINE_PROPERTY_SEED
const msPerRun = 60_000

let server: MariadbServer
let lab: Lab
let made = 0

beforeAll(async () => {
  if (lacking !== null) return
  server = await startMariadb()
  await server.sql("CREATE USER restorer@localhost")
  lab = await openLab()
}, 60_000)
afterAll(async () => {
  if (lacking !== null) return
  await lab[Symbol.asyncDispose]()
  await server.stop()
})

const rowsMax = 8
const names = ["plain", "With Space", "quo`te", "select", "Ünïcödé", "a/b", "%s%2F", "x'y", "$1", "back\\slash", "-- -", "*", "ж", "#"]
const accounts = ["acme", "a/b", "..", "Müller & Sohn", "%2e", "platform", "0", "\\N", "ACME GmbH"]

/** A value as SQL: nothing of it is in the hands of a character set or a client. */
const hex = (bytes: Uint8Array): string => (bytes.length === 0 ? "''" : `x'${Buffer.from(bytes).toString("hex")}'`)
const bytes = (maxLength: number): fc.Arbitrary<string> => fc.uint8Array({ maxLength }).map(hex)
const utf8 = (maxLength: number): fc.Arbitrary<string> => texts(maxLength).map((text) => `_utf8mb4 ${hex(Buffer.from(text))}`)
const latin1 = (maxLength: number): fc.Arbitrary<string> => bytes(maxLength).map((value) => `_latin1 ${value}`)
const some = (...values: readonly [string, ...string[]]): fc.Arbitrary<string> => fc.constantFrom(...values)

interface ColumnType {
  readonly sql: string
  readonly values: fc.Arbitrary<string>
}

const columnTypes: readonly ColumnType[] = [
  { sql: "TINYINT", values: fc.integer({ min: -128, max: 127 }).map(String) },
  { sql: "BIGINT UNSIGNED", values: some("0", "18446744073709551615", "7") },
  { sql: "MEDIUMINT ZEROFILL", values: fc.nat(8_000_000).map(String) },
  { sql: "DECIMAL(40,10)", values: some("0", "-123456789012345678901234567890.0123456789", "0.0000000001") },
  { sql: "FLOAT", values: some("16777217.3", "-0.0", "1.17549435e-38", "3.4028234e38", "0.1") },
  { sql: "DOUBLE", values: fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value.toExponential(17)) },
  { sql: "BIT(9)", values: some("b'000000000'", "b'101010101'", "b'111111111'") },
  { sql: "DATE", values: some("'0000-00-00'", "'9999-12-31'", "'2026-00-00'", "'2024-02-29'") },
  { sql: "DATETIME(6)", values: some("'0000-00-00 00:00:00'", "'9999-12-31 23:59:59.999999'", "'2026-03-29 02:30:00.000001'") },
  { sql: "TIMESTAMP(3) NULL", values: some("'1970-01-01 00:00:01.001'", "'2026-10-25 02:30:00.5'") },
  { sql: "TIME(2)", values: some("'-838:59:59.99'", "'00:00:00.01'") },
  { sql: "YEAR", values: some("1901", "2155", "0") },
  { sql: "CHAR(6) CHARACTER SET latin1", values: latin1(6) },
  { sql: "VARCHAR(40) CHARACTER SET latin1", values: latin1(40) },
  { sql: "VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", values: utf8(25) },
  { sql: "VARCHAR(40) CHARACTER SET ucs2", values: some("_utf8mb4 x'd0b6c3a9'", "''") },
  { sql: "BINARY(5)", values: bytes(5) },
  { sql: "VARBINARY(60)", values: bytes(60) },
  { sql: "TEXT CHARACTER SET utf8mb4", values: utf8(40) },
  { sql: "LONGTEXT CHARACTER SET latin1", values: latin1(80) },
  { sql: "LONGBLOB", values: bytes(200) },
  { sql: "ENUM('a','b\tc','ü','it''s') CHARACTER SET utf8mb4", values: some("1", "2", "3", "4") },
  { sql: "SET('x','y','z')", values: some("''", "'x,z'", "'x,y,z'") },
  { sql: "JSON", values: some(`'{"a":  "é"}'`, "'[1, null]'", "'\"\\\\\\\\N\"'") },
  { sql: "POINT", values: some("POINT(1.5, -0.0)", "POINT(1e300, 5e-324)") },
  { sql: "UUID", values: fc.uuid().map((value) => `'${value}'`) },
  { sql: "INET6", values: some("'::1'", "'10.0.0.1'") },
]

const columnShape = fc.constantFrom(...columnTypes).chain((type) =>
  fc.record({
    name: fc.constantFrom(...names),
    type: fc.constant(type),
    values: fc.array(fc.option(type.values, { nil: "NULL", freq: 4 }), { minLength: rowsMax, maxLength: rowsMax }),
  }),
)
const tableShape = fc.record({
  name: fc.constantFrom(...names),
  engine: fc.constantFrom("InnoDB", "InnoDB", "MyISAM", "Aria"),
  charset: fc.constantFrom("utf8mb4", "latin1"),
  key: fc.constantFrom("none", "counter", "composite"),
  partitions: fc.constantFrom(
    "",
    "",
    "PARTITION BY HASH (bucket) PARTITIONS 3",
    "PARTITION BY RANGE (bucket) (PARTITION p0 VALUES LESS THAN (1), PARTITION `the rest` VALUES LESS THAN MAXVALUE)",
    "PARTITION BY LIST (bucket) (PARTITION p0 VALUES IN (0, 2), PARTITION p1 VALUES IN (1, 3))",
  ),
  owner: fc.constantFrom("own", "own", "own or platform", "shared", "mixed"),
  accounts: fc.array(fc.option(fc.nat(accounts.length - 1), { nil: null, freq: 6 }), { minLength: rowsMax, maxLength: rowsMax }),
  columns: fc.array(columnShape, { minLength: 1, maxLength: 7 }),
  rows: fc.nat(rowsMax),
  times: fc.integer({ min: 1, max: 3 }),
  extras: fc.subarray(["stored", "virtual", "hidden", "trigger", "view", "index"]),
})
type TableShape = typeof tableShape extends fc.Arbitrary<infer Shape> ? Shape : never

const name = (text: string): string => `\`${text.replaceAll("`", "``")}\``

function unused(text: string, taken: Set<string>): string {
  let free = text
  for (let at = 2; taken.has(free.toLowerCase()); at++) free = `${text} ${String(at)}`
  taken.add(free.toLowerCase())
  return free
}

interface Table extends TableShape {
  readonly called: string
}

/** What makes and fills one table. */
function tableSql(table: Table): readonly string[] {
  const { called, key, extras, owner, engine, partitions } = table
  const taken = new Set(["number", "bucket", "account", "twice", "half", "hidden"])
  const columns = table.columns.map((column) => ({ ...column, name: unused(column.name, taken) }))
  const keyed = key !== "none"
  const own = owner.startsWith("own")
  const refers = own && engine === "InnoDB" && partitions === ""
  const definitions = [
    ...(keyed ? [`number INT NOT NULL${key === "counter" ? " AUTO_INCREMENT" : ""}`] : []),
    "bucket INT NOT NULL",
    ...columns.map((column) => `${name(column.name)} ${column.type.sql}`),
    ...(own ? ["account VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"] : []),
    ...(extras.includes("stored") ? ["twice INT AS (bucket * 2) STORED"] : []),
    ...(extras.includes("virtual") ? ["half INT AS (bucket + 1) VIRTUAL"] : []),
    ...(extras.includes("hidden") ? ["hidden INT INVISIBLE DEFAULT 7"] : []),
    ...(keyed ? ["PRIMARY KEY (number, bucket)"] : []),
    ...(extras.includes("index") ? ["INDEX `an index` (bucket)"] : []),
    ...(refers ? ["FOREIGN KEY (account) REFERENCES accounts (id)"] : []),
  ]
  const rows = Array.from({ length: table.rows }, (_, at) => {
    const [account = null] = [table.accounts[at]]
    return `(${[
      ...(keyed ? [String(at * 3 + 1)] : []),
      String(at % 4),
      ...columns.map(({ values }) => values[at] ?? "NULL"),
      ...(own ? [account === null ? "NULL" : `_utf8mb4 ${hex(Buffer.from(accounts[account] ?? ""))}`] : []),
    ].join(", ")})`
  })
  const into = [...(keyed ? ["number"] : []), "bucket", ...columns.map((column) => name(column.name)), ...(own ? ["account"] : [])]
  const insert = `INSERT INTO ${name(called)} (${into.join(", ")}) VALUES ${rows.join(", ")};`
  return [
    `CREATE TABLE ${name(called)} (${definitions.join(", ")}) ENGINE=${engine} DEFAULT CHARSET=${table.charset} ${partitions};`,
    ...Array.from({ length: rows.length === 0 ? 0 : keyed ? 1 : table.times }, () => insert),
    ...(key === "counter" && partitions === "" ? [`ALTER TABLE ${name(called)} AUTO_INCREMENT = 900;`] : []),
    ...(extras.includes("trigger")
      ? [
          `CREATE TRIGGER ${name(`${called} refuses`)} BEFORE INSERT ON ${name(called)} FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'a trigger; it acted';`,
        ]
      : []),
    ...(extras.includes("view")
      ? [`CREATE VIEW ${name(`${called} view`)} AS SELECT bucket, COUNT(*) AS n FROM ${name(called)} GROUP BY bucket;`]
      : []),
  ]
}

interface MadeDatabase {
  readonly sql: string
  readonly tenancy: unknown
}

const databases: fc.Arbitrary<MadeDatabase> = fc.array(tableShape, { minLength: 3, maxLength: 6 }).map((shapes) => {
  const taken = new Set(["accounts"])
  const tables = shapes.map((shape) => {
    // A partitioned table has no points.
    const points = shape.columns.some(({ type }) => type.sql === "POINT")
    return { ...shape, called: unused(shape.name, taken), partitions: points ? "" : shape.partitions }
  })
  const ids = accounts.map((id) => `(_utf8mb4 ${hex(Buffer.from(id))})`)
  const sql = [
    "SET sql_mode = '', time_zone = '+00:00', NAMES utf8mb4;",
    "CREATE TABLE accounts (id VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PRIMARY KEY) ENGINE=InnoDB;",
    `INSERT INTO accounts VALUES ${ids.join(", ")};`,
    ...tables.flatMap(tableSql),
  ].join("\n")
  const rules = tables.map(({ called, owner }): [string, unknown] => {
    if (!owner.startsWith("own")) return [called, owner]
    return [called, { account: "account", ...(owner === "own" ? {} : { null: "platform" }) }]
  })
  return {
    sql,
    tenancy: { accounts: { table: "accounts", id: "id" }, tables: { accounts: { account: "id" }, ...Object.fromEntries(rules) } },
  }
})

/**
 * All that a database holds: its definitions and rows in the words of the server's own program, and every value of every column, computed
 * and hidden ones too, as the bytes of its text.
 */
async function everything(database: string): Promise<readonly string[]> {
  const dump = await runProgram(
    [
      "mariadb-dump",
      ...["--no-defaults", "--skip-extended-insert", "--complete-insert", "--hex-blob", "--skip-dump-date", "--skip-comments"],
      ...["--default-character-set=utf8mb4", "-u", "root", `--socket=${server.socket}`, database],
    ],
    { environment: server.environment },
  )
  const selects = await server.sql(
    `SET group_concat_max_len = 100000; SELECT CONCAT('SELECT ', GROUP_CONCAT('HEX(', CASE
      WHEN DATA_TYPE = 'point' THEN CONCAT('\`', REPLACE(COLUMN_NAME, '\`', '\`\`'), '\`')
      WHEN DATA_TYPE = 'float' THEN CONCAT('CAST(\`', REPLACE(COLUMN_NAME, '\`', '\`\`'), '\` * 1e0 AS CHAR)')
      ELSE CONCAT('CAST(\`', REPLACE(COLUMN_NAME, '\`', '\`\`'), '\` AS BINARY)') END, ')' ORDER BY ORDINAL_POSITION), ' FROM \`', REPLACE(TABLE_NAME, '\`', '\`\`'), '\`;')
    FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() GROUP BY TABLE_NAME ORDER BY TABLE_NAME`,
    database,
  )
  const values = await server.sql(selects, database)
  const lines = dump.replace(/DEFINER=`\w+`@`\w+`/g, "").split("\n")
  return [...lines.toSorted(), ...values.split("\n").toSorted()]
}

async function comesBack(database: MadeDatabase): Promise<void> {
  const number = ++made
  const [from, whole, rows] = [`from-${number}`, `whole-${number}`, `rows-${number}`]
  await server.createDatabase(from)
  await server.sql(database.sql, from)
  const at = (called: string, user: string) => ({ settings: server.settings(called, user), environment: server.environment })
  const run = await captured(lab, from, sourceOf(at(from, "root"), database.tenancy))
  expect(run.failure).toBeUndefined()
  const expected = await everything(from)
  for (const [to, way] of [
    [whole, "whole"],
    [rows, "accounts"],
  ] as const) {
    await server.createDatabase(to)
    await server.sql(`GRANT ALL PRIVILEGES ON \`${to}\`.* TO restorer@localhost`)
    const report = await broughtBack(lab, from, at(to, "restorer"), way)
    expect(report.failure).toBeUndefined()
    expect(report).toMatchObject({ ...equal, way })
    expect(await everything(to)).toEqual(expected)
  }
  for (const called of [from, whole, rows]) await server.sql(`DROP DATABASE \`${called}\``)
}

test.skipIf(lacking !== null)(
  "any MariaDB database comes back equal, from its dump and from its accounts' rows, by fingerprints and by the server's own word",
  async () => {
    await fc.assert(fc.asyncProperty(databases, comesBack), {
      numRuns: runs,
      endOnFailure: true,
      ...(seed === undefined ? {} : { seed: Number(seed) }),
    })
  },
  (runs + 1) * msPerRun,
)
