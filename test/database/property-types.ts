import fc from "fast-check"

/** A type of column, and values of it as the server takes them in text. */
export interface ColumnType {
  readonly sql: string
  readonly values: fc.Arbitrary<string>
  /** Whether a primary key may be made of it. */
  readonly key?: true
}

/** Types that the columns below need, in the order they are made. */
export const ownTypes = `
  CREATE SCHEMA "own types";
  CREATE TYPE "own types".state AS ENUM ('on', 'off', 'with space', 'quote''s', 'ünï, comma', 'back\\slash', '');
  CREATE DOMAIN "own types".positive AS int CHECK (VALUE >= 0);
  CREATE DOMAIN "own types"."short text" AS varchar(8) COLLATE "C" DEFAULT 'none' CHECK (VALUE <> 'never');
  CREATE TYPE "own types".pair AS (a int, "b b" text, c numeric[]);
  CREATE TYPE "own types".span AS RANGE (subtype = float8);`

/** Everything that lines, literals, dumps and shells have ever stumbled over; no NUL, which Postgres has none of. */
const awkward = [
  "",
  "\\N",
  "\\.",
  "\\",
  "\t",
  "\n",
  "\r\n",
  "\\t",
  "a\\\nb",
  "'",
  "\u0001\u007f\u0085\u2028",
  "\ufeff\ufffd",
  "💥é\u0301",
  " ",
]
const character = fc.oneof(
  fc.constantFrom(..."\\\t\n\r'\",{}()"),
  fc.string({ unit: "binary", minLength: 1, maxLength: 1 }).filter((one) => one !== "\0"),
)

/** Texts of so many characters at most. */
export const texts = (maxLength: number): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 1, arbitrary: fc.constantFrom(...awkward.filter(({ length }) => length <= maxLength)) },
    { weight: 2, arbitrary: fc.array(character, { maxLength }).map((characters) => characters.join("")) },
  )

const some = (...values: readonly [string, ...string[]]): fc.Arbitrary<string> => fc.constantFrom(...values)
const integers = (bits: bigint): fc.Arbitrary<string> => fc.bigInt({ min: -(2n ** (bits - 1n)), max: 2n ** (bits - 1n) - 1n }).map(String)
const doubles = fc.double().map((value) => (Object.is(value, -0) ? "-0" : String(value)))
const floats = fc.float().map((value) => (Object.is(value, -0) ? "-0" : String(value)))
const finite = fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e100, max: 1e100 }).map(String)
const hex = (bytes: number): fc.Arbitrary<string> =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((value) => Buffer.from(value).toString("hex"))
const bits = fc.array(fc.constantFrom("0", "1"), { minLength: 9, maxLength: 9 }).map((each) => each.join(""))
const padded = (value: number, digits: number): string => String(value).padStart(digits, "0")
const dates = fc
  .tuple(fc.integer({ min: 1, max: 9999 }), fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 28 }))
  .map(([year, month, day]) => `${padded(year, 4)}-${padded(month, 2)}-${padded(day, 2)}`)
const times = fc
  .tuple(fc.integer({ min: 0, max: 86_399 }), fc.integer({ min: 0, max: 999_999 }))
  .map(
    ([second, micros]) =>
      `${padded(Math.floor(second / 3600), 2)}:${padded(Math.floor(second / 60) % 60, 2)}:${padded(second % 60, 2)}.${padded(micros, 6)}`,
  )
const zones = some("+00", "-15:59:59", "+15:59", "+05:45")
const moments = fc.tuple(dates, times).map((parts) => parts.join(" "))
const quoted = (text: string): string => `"${text.replace(/["\\]/g, "\\$&")}"`
const jsonTexts = some('{"a":  1, "a": 2, "é": "\\u0041\\n"}', "[1.0, 1e3, null, true]", '"\\\\N"', "{}", " 0 ", '{"k":{"l":[[],{}]}}')

export const columnTypes: readonly ColumnType[] = [
  { sql: "smallint", values: integers(16n), key: true },
  { sql: "integer", values: integers(32n), key: true },
  { sql: "bigint", values: integers(64n), key: true },
  { sql: "numeric", values: fc.oneof(some("NaN", "Infinity", "-Infinity", "0.000", "-1.500", `${"9".repeat(200)}.5`), finite), key: true },
  { sql: "numeric(12,3)", values: fc.integer({ min: -999_999_999, max: 999_999_998 }).map((value) => `${String(value)}.5`) },
  { sql: "real", values: fc.oneof(some("NaN", "Infinity", "-Infinity", "-0", "1e-45", "1.17549435e-38", "3.4028235e38"), floats) },
  { sql: "double precision", values: fc.oneof(some("NaN", "-Infinity", "-0", "5e-324", "2.2250738585072014e-308"), doubles) },
  { sql: "text", values: texts(40), key: true },
  { sql: "varchar(12)", values: texts(6), key: true },
  { sql: "char(7)", values: texts(7) },
  { sql: '"char"', values: some("a", "", "\\", "\n", "'") },
  { sql: "name", values: texts(10) },
  { sql: 'text COLLATE "C"', values: texts(10), key: true },
  { sql: "bytea", values: fc.uint8Array({ maxLength: 40 }).map((value) => `\\x${Buffer.from(value).toString("hex")}`), key: true },
  { sql: "boolean", values: some("true", "false") },
  { sql: "date", values: fc.oneof(some("infinity", "-infinity", "0044-03-15 BC", "5874897-12-31", "4713-01-01 BC"), dates), key: true },
  { sql: "time", values: fc.oneof(some("24:00:00", "00:00:00"), times) },
  { sql: "time(2) with time zone", values: fc.tuple(times, zones).map((parts) => parts.join("")) },
  { sql: "timestamp", values: fc.oneof(some("infinity", "-infinity", "0001-01-01 00:00:00 BC", "294276-12-31 23:59:59.999999"), moments) },
  {
    sql: "timestamptz",
    values: fc.oneof(
      some("infinity", "-infinity", "4713-02-01 12:00:00+00 BC"),
      moments.map((at) => `${at}+02`),
    ),
  },
  {
    sql: "interval",
    values: fc.oneof(
      some("-1 mons +2 days -03:04:05.678", "0", "178000000 years", "-00:00:00.000001", "1 year -1 day"),
      fc.tuple(fc.integer(), fc.integer()).map(([days, seconds]) => `${String(days)} days ${String(seconds)} seconds`),
    ),
  },
  { sql: "uuid", values: fc.uuid(), key: true },
  { sql: "json", values: jsonTexts },
  { sql: "jsonb", values: jsonTexts },
  { sql: "xml", values: some("<a>é&amp;</a>", "words", "", '<?xml version="1.0"?><b c="\t"/>', "<d/> <e/>") },
  { sql: "int[]", values: some("{}", "{1,NULL,3}", "[2:3]={1,2}", "[-1:0][5:6]={{1,2},{3,NULL}}", "{{{1}},{{2}}}") },
  {
    sql: "text[]",
    values: fc
      .array(fc.option(texts(5)), { maxLength: 3 })
      .map((all) => `{${all.map((one) => (one === null ? "NULL" : quoted(one))).join()}}`),
  },
  { sql: '"own types".state', values: some("on", "off", "with space", "quote's", "ünï, comma", "back\\slash", ""), key: true },
  { sql: '"own types".state[]', values: some("{}", '{on,"",NULL,"back\\\\slash"}') },
  { sql: '"own types".positive', values: fc.nat().map(String), key: true },
  { sql: '"own types"."short text"', values: texts(4) },
  {
    sql: '"own types".pair',
    values: fc.oneof(
      some("(,,)", '(1,"",{})', '(-1,"x ""y"" \\\\,(","{1.50,NULL}")'),
      texts(5).map((text) => `(1,${quoted(text)},)`),
    ),
  },
  { sql: '"own types".pair[]', values: some('{"(1,a,)",NULL,"(,\\"b c\\",\\"{1,2}\\")"}') },
  { sql: '"own types".span', values: some("empty", "[-Infinity,1.5)", "(,)", "[-0,5e-324]") },
  { sql: "inet", values: some("10.0.0.1", "10.0.0.1/8", "::1", "fe80::/10", "::ffff:1.2.3.4/128"), key: true },
  { sql: "cidr", values: some("10.0.0.0/8", "2001:db8::/32") },
  { sql: "macaddr", values: hex(6) },
  { sql: "macaddr8", values: hex(8) },
  { sql: "int4range", values: some("empty", "[1,5]", "(,)", "[,3)") },
  { sql: "numrange", values: some("[1.50,2.0]", "(-Infinity,NaN]", "empty") },
  { sql: "tstzrange", values: some("[2026-01-01,infinity)", "(,2026-01-01 00:00:00.1+02]") },
  { sql: "int4multirange", values: some("{}", "{[1,3),[7,9]}", "{(,)}") },
  { sql: "bit(9)", values: bits },
  { sql: "bit varying", values: some("", "1", "01010101010101") },
  { sql: "money", values: some("-92233720368547758.08", "$1,234.56", "0") },
  { sql: "tsvector", values: some("", "a:1A,5B 'b c' '\\\\':2") },
  { sql: "tsquery", values: some("", "'a b' & !c:*A <2> d") },
  { sql: "point", values: some("(1,-0)", "(NaN,Infinity)", "(5e-324,1e300)") },
  { sql: "box", values: some("(1,2),(3,4)") },
  { sql: "lseg", values: some("[(1,2),(0.1,4)]") },
  { sql: "path", values: some("((1,2),(3,4))", "[(1,2)]") },
  { sql: "polygon", values: some("((0,0),(1,0.3),(2,2))") },
  { sql: "circle", values: some("<(1,2),0.1>") },
  { sql: "line", values: some("{1,-1,0.5}") },
  { sql: "oid", values: some("0", "4294967295") },
  { sql: "pg_lsn", values: some("0/0", "16/B374D848") },
  { sql: "jsonpath", values: some('$."a b"[*] ? (@.c > 1)') },
  { sql: "regtype", values: some("integer", '"own types".pair') },
]
