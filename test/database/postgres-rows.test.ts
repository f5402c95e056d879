import { describe, expect, test } from "vitest"
import type { Lead } from "../../src/database/database.ts"
import { inSnapshot, postgresScenes, query, rowsOf, tableNamed } from "./postgres.ts"

const scene = postgresScenes()
const domain: Lead = { kind: "value", column: "domain", via: [] }

test("the text of each type is exact, whatever the server, the database and the role prefer", async () => {
  const at = await scene(`
    CREATE TYPE colour AS ENUM ('red', 'a "quoted" one');
    CREATE TYPE pair AS (a int, b text);
    CREATE DOMAIN extension AS text CHECK (value <> '');
    CREATE TABLE every (id int PRIMARY KEY, v text[], t text, b bytea, j json, jb jsonb, ts timestamptz, tl timestamp, d date, i interval,
      n numeric, f float8, m money, e colour, x extension, p pair, u uuid, ip inet, bo boolean, r int4range, c char(5), o xml);
    ALTER DATABASE "base 1" SET DateStyle TO 'SQL, DMY';
    ALTER DATABASE "base 1" SET TimeZone TO 'Asia/Tokyo';
    ALTER DATABASE "base 1" SET bytea_output TO 'escape';
    ALTER DATABASE "base 1" SET IntervalStyle TO 'iso_8601';
    ALTER DATABASE "base 1" SET extra_float_digits TO 0;
    INSERT INTO every VALUES (1, '{"a,b",NULL,"c\\"d"}', E'tab\\there\\nline\\\\ cr\\r \\u00e9\\U0001F4DE ''"', '\\x00ff10', '{"a": [1,  2]}', '{"b":1}',
      '2024-07-01 12:00:00.123456+02', '2024-07-01 12:00', '2024-07-01', '1 year 2 days 03:04:05', 'NaN', 0.1::float8 + 0.2, 1234.5, 'a "quoted" one',
      '100', '(1,"x,y")', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '10.0.0.1/8', true, '[1,5)', 'ab', '<a>b</a>');
    INSERT INTO every (id, ts, tl, d, n, f) VALUES (2, 'infinity', '-infinity', 'infinity', 1e40, '-Infinity');
    INSERT INTO every (id, t, v) VALUES (3, '\\N', '{}'), (4, '', NULL);`)
  const columns = (await inSnapshot(at, (snapshot) => tableNamed(snapshot, "every"))).columns.map(({ name }) => name)
  const lines = (await rowsOf(at, query("every", columns, { order: ["id"] }))).split("\n").map((line) => line.split("\t"))
  expect(lines[0]).toEqual([
    "1",
    '{"a,b",NULL,"c\\\\"d"}',
    "tab\\there\\nline\\\\ cr\\r é\u{1F4DE} '\"",
    "\\\\x00ff10",
    '{"a": [1,  2]}',
    '{"b": 1}',
    "2024-07-01 10:00:00.123456+00",
    "2024-07-01 12:00:00",
    "2024-07-01",
    "1 year 2 days 03:04:05",
    "NaN",
    "0.30000000000000004",
    "$1,234.50",
    'a "quoted" one',
    "100",
    '(1,"x,y")',
    "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    "10.0.0.1/8",
    "t",
    "[1,5)",
    "ab   ",
    "<a>b</a>",
  ])
  expect(lines[1]?.slice(6, 12)).toEqual([
    "infinity",
    "-infinity",
    "infinity",
    "\\N",
    "10000000000000000000000000000000000000000",
    "-Infinity",
  ])
  expect(lines[2]?.slice(1, 3)).toEqual(["{}", "\\\\N"])
  expect(lines[3]?.slice(1, 3)).toEqual(["\\N", ""])
  expect(lines.slice(4)).toEqual([[""]])
})

test("names of any kind, a table without columns and one without rows are read", async () => {
  const at = await scene(`
    CREATE SCHEMA "Other ""one""";
    CREATE TABLE "Other ""one"""."select; drop" ("a ""b"" c" int, "päge" text);
    INSERT INTO "Other ""one"""."select; drop" VALUES (1, 'x');
    CREATE TABLE nothing ();
    INSERT INTO nothing DEFAULT VALUES;
    CREATE TABLE bare (a int);`)
  const strange = { table: { schema: 'Other "one"', name: "select; drop" }, lead: [], columns: ['a "b" c', "päge"] }
  expect(await rowsOf(at, strange)).toBe("1\tx\n")
  expect(await rowsOf(at, query("nothing", []))).toBe("\n")
  expect(await rowsOf(at, query("bare", ["a"], { order: [] }))).toBe("")
})

test("rows are sorted by the lead's bytes with NULL last, then by the key as the server sorts it", async () => {
  const at = await scene(`
    CREATE TABLE extensions (domain text, id int PRIMARY KEY);
    INSERT INTO extensions VALUES ('b', 10), ('B', 2), ('é', 3), (NULL, 1), ('a', 9), ('b', 7), ('~', 4), ('', 5);`)
  const sorted = await rowsOf(at, query("extensions", ["id"], { lead: [domain], order: ["id"] }))
  expect(sorted).toBe("\t5\nB\t2\na\t9\nb\t7\nb\t10\n~\t4\né\t3\n\\N\t1\n")
})

test("a table without a key gives the same bytes whatever the order its rows came in, also with types that have no order", async () => {
  const values = ["('x', '{\"a\": 1}', 2)", "('x', '{\"a\":1}', 10)", "('w', NULL, NULL)", "('x', '{\"a\": 1}', 2)"]
  const fill = (rows: readonly string[]): string =>
    `CREATE TABLE loose (domain text, j json, n int); INSERT INTO loose VALUES ${rows.join(", ")}`
  const [one, other] = [await scene(fill(values)), await scene(fill(values.toReversed()))]
  const all = query("loose", ["domain", "j", "n"], { lead: [domain], order: ["n"] })
  const text = await rowsOf(one, all)
  expect(text.split("\n")).toHaveLength(5)
  expect(await rowsOf(other, all)).toBe(text)
})

test("the lead is found at the end of joins, over uuid and text alike, and is NULL where a row leads nowhere", async () => {
  const at = await scene(`
    CREATE TABLE domains (id uuid PRIMARY KEY, name text UNIQUE, parent text);
    CREATE TABLE users (id int PRIMARY KEY, domain text);
    CREATE TABLE boxes (id int PRIMARY KEY, owner int);
    INSERT INTO domains VALUES ('00000000-0000-0000-0000-00000000000a', 'acme', 'x'), ('00000000-0000-0000-0000-00000000000b', 'beta', 'x');
    INSERT INTO users VALUES (1, '00000000-0000-0000-0000-00000000000b'), (2, '00000000-0000-0000-0000-00000000000a'), (3, 'gone'), (4, NULL);
    INSERT INTO boxes VALUES (10, 1), (11, 2), (12, 3), (13, NULL), (14, 99), (15, 1);`)
  const users = { column: "owner", schema: "public", table: "users", key: "id" }
  const domains = { column: "domain", schema: "public", table: "domains", key: "id" }
  const lead: Lead = { kind: "value", column: "name", via: [users, domains] }
  expect(await rowsOf(at, query("boxes", ["id"], { lead: [lead], order: ["id"] }))).toBe(
    "acme\t11\nbeta\t10\nbeta\t15\n\\N\t12\n\\N\t13\n\\N\t14\n",
  )
  const twice: Lead = { kind: "value", column: "name", via: [{ column: "owner", schema: "public", table: "domains", key: "parent" }] }
  await expect(rowsOf(at, query("boxes", ["id"], { lead: [twice] }))).rejects.toThrow("column parent is not unique")
})

test("a partitioned table is read once through its root; a table that inherits is read apart from its parent", async () => {
  const at = await scene(`
    CREATE TABLE cdr (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
    CREATE TABLE cdr_1 PARTITION OF cdr FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
    CREATE TABLE cdr_2 PARTITION OF cdr FOR VALUES FROM ('2024-02-01') TO ('2024-03-01') PARTITION BY LIST (id);
    CREATE TABLE cdr_2_rest PARTITION OF cdr_2 DEFAULT;
    INSERT INTO cdr VALUES (1, '2024-01-05'), (2, '2024-02-05');
    CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (more text) INHERITS (parent);
    INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2, 'x');`)
  const names = await inSnapshot(at, async (snapshot) => (await snapshot.tables()).map(({ name }) => name))
  expect(names).toEqual(["cdr", "child", "parent"])
  expect(await rowsOf(at, query("cdr", ["id", "day"], { order: ["id"] }))).toBe("1\t2024-01-05\n2\t2024-02-05\n")
  expect(await rowsOf(at, query("parent", ["id"]))).toBe("1\n")
  expect(await rowsOf(at, query("child", ["id", "more"]))).toBe("2\tx\n")
})

describe("moments", () => {
  const zone = "Europe/Berlin"
  const table = `
    CREATE TABLE moments (id int PRIMARY KEY, i timestamptz, l timestamp, d date, e numeric, t text);
    INSERT INTO moments VALUES (1, '2024-06-30 22:30+00', '2024-07-01 00:30', '2024-07-01', 1719786600.5, 'x'),
      (2, '2024-01-31 23:30+00', '2024-02-01 00:30', '2024-02-01', 1706743800, 'x'),
      (3, 'infinity', '-infinity', 'infinity', 'NaN', 'x'), (4, '4000-01-01 BC', '20000-01-01', '4000-01-01 BC', 1e30, 'x'), (5, NULL, NULL, NULL, NULL, NULL);`

  test("the day is that of the time zone, and NULL where there is none with a year of four digits", async () => {
    const at = await scene(table)
    for (const [column, stored] of [
      ["i", "instant"],
      ["l", "local"],
      ["d", "local"],
      ["e", "epoch"],
    ] as const) {
      const lead: Lead = { kind: "day", column, stored, timezone: zone }
      const text = await rowsOf(at, query("moments", ["id"], { lead: [lead], order: ["id"] }))
      expect(text, column).toBe("2024-02-01\t2\n2024-07-01\t1\n\\N\t3\n\\N\t4\n\\N\t5\n")
    }
  })

  test("a condition takes what is at or after the moment and never NULL; several take what one of them takes", async () => {
    const at = await scene(table)
    const ids = (where: NonNullable<Parameters<typeof query>[2]>["where"] & object) =>
      rowsOf(at, query("moments", ["id"], { where, order: ["id"] })).then((text) => text.trim().split("\n"))
    const from = new Date("2024-06-30T22:30:00Z")
    expect(await ids([{ column: "i", stored: "instant", timezone: zone, from }])).toEqual(["1", "3"])
    expect(await ids([{ column: "l", stored: "local", timezone: zone, from }])).toEqual(["1", "4"])
    expect(await ids([{ column: "d", stored: "local", timezone: zone, from }])).toEqual(["1", "3"])
    expect(await ids([{ column: "e", stored: "epoch", timezone: zone, from }])).toEqual(["1", "3", "4"])
    const later = new Date(from.getTime() + 1)
    expect(await ids([{ column: "i", stored: "instant", timezone: zone, from: later }])).toEqual(["3"])
    const [one, other] = [
      { column: "l", stored: "local", timezone: zone, from },
      { column: "i", stored: "instant", timezone: zone, from: later },
    ] as const
    expect(await ids([one, other])).toEqual(["1", "3", "4"])
  })

  test("a local time written in the hour that came twice is not missed", async () => {
    const at = await scene(
      `CREATE TABLE moments (id int PRIMARY KEY, l timestamp); INSERT INTO moments VALUES (1, '2024-10-27 02:10'), (2, '2024-10-27 01:59')`,
    )
    // 02:50 for the first time; ten past two, for the second time, comes twenty minutes later.
    const where = [{ column: "l", stored: "local", timezone: zone, from: new Date("2024-10-27T00:50:00Z") }] as const
    expect(await rowsOf(at, query("moments", ["id"], { where, order: ["id"] }))).toBe("1\n2\n")
    const after = [{ ...where[0], from: new Date("2024-10-27T01:10:00Z") }]
    expect(await rowsOf(at, query("moments", ["id"], { where: after, order: ["id"] }))).toBe("1\n")
  })

  test("a moment in a column of another type and a time zone nobody knows are refused by name", async () => {
    const at = await scene(table)
    const day = (column: string, timezone = zone): Lead => ({ kind: "day", column, stored: "instant", timezone })
    await expect(rowsOf(at, query("moments", ["id"], { lead: [day("l")] }))).rejects.toThrow(
      /public\.moments: column l is timestamp without time zone/,
    )
    await expect(rowsOf(at, query("moments", ["id"], { lead: [day("t")] }))).rejects.toThrow(/column t is text/)
    await expect(rowsOf(at, query("moments", ["id"], { lead: [day("i", "Foo/Bar")] }))).rejects.toThrow(
      "the server knows no time zone Foo/Bar",
    )
  })
})

test("what an extension brings itself is not listed, and of its configuration tables only the rows it did not bring", async () => {
  const at = await scene(`
    CREATE TABLE internal (id int); CREATE TABLE config (id int PRIMARY KEY, builtin bool); INSERT INTO config VALUES (1, true), (2, false);
    CREATE TABLE own (id int);
    ALTER EXTENSION plpgsql ADD TABLE internal; ALTER EXTENSION plpgsql ADD TABLE config;
    UPDATE pg_extension SET extconfig = ARRAY['config'::regclass::oid], extcondition = ARRAY['WHERE NOT builtin'] WHERE extname = 'plpgsql'`)
  const names = await inSnapshot(at, async (snapshot) => (await snapshot.tables()).map(({ name }) => name))
  expect(names).toEqual(["config", "own"])
  expect(await rowsOf(at, query("config", ["id"], { order: ["id"] }))).toBe("2\n")
})

test("a computed column, one that is not there and a table that is not there are refused by name", async () => {
  const at = await scene("CREATE TABLE computed (a int PRIMARY KEY, twice int GENERATED ALWAYS AS (a * 2) STORED)")
  await expect(rowsOf(at, query("computed", ["a", "twice"]))).rejects.toThrow(/public\.computed: column twice is computed/)
  await expect(rowsOf(at, query("computed", ["b"]))).rejects.toThrow(/no column b/)
  await expect(rowsOf(at, query("absent", ["a"]))).rejects.toThrow(/public\.absent: the database has no such table/)
})

describe("encodings", () => {
  test("bytes of a database without an encoding stay as they are", async () => {
    const at = await scene(
      "CREATE TABLE bytes (a text); INSERT INTO bytes VALUES (E'\\xe9\\xff')",
      "TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'",
    )
    expect(await rowsOf(at, query("bytes", ["a"]), "latin1")).toBe("\xe9\xff\n")
  })

  test("another encoding travels as UTF-8, and the lead is sorted by its bytes there", async () => {
    const how = "TEMPLATE template0 ENCODING 'KOI8R' LOCALE 'C'"
    const at = await scene(
      "CREATE TABLE words (domain text, id int PRIMARY KEY); INSERT INTO words VALUES ('ю', 1), ('а', 2), ('я', 3)",
      how,
    )
    const text = await rowsOf(at, query("words", ["id"], { lead: [domain], order: ["id"] }))
    expect(text).toBe("а\t2\nю\t1\nя\t3\n")
  })
})
