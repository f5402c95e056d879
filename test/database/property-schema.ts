import fc from "fast-check"
import { type ColumnType, columnTypes, ownTypes, texts } from "./property-types.ts"

/** A random database: SQL that makes and fills it, and the map that says whose its rows are. */
export interface MadeDatabase {
  readonly sql: string
  readonly tenancy: unknown
  /** What of its features was met, to be counted. */
  readonly features: readonly string[]
}

const rowsMax = 9
const names = [
  "plain",
  "With Space",
  'quo"te',
  "select",
  "Ünïcödé",
  "UPPER",
  "tab\tname",
  "back\\slash",
  "a/b",
  "%s%2F",
  "🦉",
  "x'y",
  "$1",
  "-- -",
  "C",
  "*",
  "{a,b}",
]
const accountIds = ["acme", "a/b", "..", "%2e", "Müller & Sohn", " ", "platform", "\\N", "tab\tline\n", "0", "…".repeat(20), "*", "ACME"]
const index = fc.nat(1000)

const columnShape = fc.constantFrom(...columnTypes).chain((type) =>
  fc.record({
    type: fc.constant(type),
    name: fc.constantFrom(...names),
    notNull: fc.boolean(),
    values: fc.array(fc.option(type.values, { nil: null, freq: 4 }), { minLength: rowsMax, maxLength: rowsMax }),
  }),
)

const tableShape = fc.record({
  schema: index,
  name: fc.constantFrom(...names),
  key: fc.constantFrom("none", "always", "by default", "serial", "uuid", "text", "composite"),
  layout: fc.constantFrom("plain", "plain", "range", "list", "hash", "inherits", "unlogged"),
  owner: fc.constantFrom("own", "own", "own or platform", "via", "shared", "mixed"),
  columns: fc.array(columnShape, { minLength: 1, maxLength: 5 }),
  /** Foreign keys, to any table whose key is one column: itself and later ones as well. */
  references: fc.array(
    fc.record({ to: index, rows: fc.array(index, { minLength: rowsMax, maxLength: rowsMax }), deferrable: fc.boolean() }),
    {
      maxLength: 2,
    },
  ),
  accounts: fc.array(fc.option(index, { nil: null, freq: 6 }), { minLength: rowsMax, maxLength: rowsMax }),
  labels: fc.array(texts(6), { minLength: rowsMax, maxLength: rowsMax }),
  rows: fc.nat(rowsMax),
  /** How often each row stands there, where nothing keeps it from that. */
  times: fc.integer({ min: 1, max: 3 }),
  extras: fc.subarray(["generated", "dropped", "trigger", "index", "unique", "view", "comment"]),
})
type TableShape = typeof tableShape extends fc.Arbitrary<infer Shape> ? Shape : never

/** Databases of several tables in several schemas. */
export const databases: fc.Arbitrary<MadeDatabase> = fc
  .record({
    schemas: fc.uniqueArray(fc.constantFrom("public", ...names), { minLength: 1, maxLength: 3 }),
    accountKind: fc.constantFrom("text", "uuid", "integer"),
    tables: fc.array(tableShape, { minLength: 4, maxLength: 8 }),
  })
  .map(({ schemas, accountKind, tables }) => new Maker(schemas, accountKind, tables).make())

/** A table of every type, NULLs included, and `rows` of each. */
export function everyType(values: (type: ColumnType) => readonly string[]): MadeDatabase {
  const columns = columnTypes.map(({ sql }, at) => `${identifier(`${String(at)} ${sql}`)} ${sql}`)
  const inserts = columnTypes.flatMap((type, at) =>
    values(type).map((value) => `INSERT INTO everything (${identifier(`${String(at)} ${type.sql}`)}) VALUES (${literal(value)});`),
  )
  const sql = `${ownTypes}\nCREATE TABLE everything (number serial, ${columns.join(", ")});\n${inserts.join("\n")}`
  return { sql, tenancy: { tables: { "public.everything": "shared" } }, features: [] }
}

class Maker {
  readonly #schemas: readonly string[]
  readonly #accountKind: string
  readonly #tables: readonly Table[]
  readonly #sql: string[] = [ownTypes]
  readonly #late: string[] = []
  readonly #rules: Record<string, unknown> = {}
  readonly #features = new Set<string>()

  constructor(schemas: readonly string[], accountKind: string, shapes: readonly TableShape[]) {
    this.#schemas = schemas
    this.#accountKind = accountKind
    const taken = new Set<string>()
    this.#tables = shapes.map((shape) => {
      const schema = schemas[shape.schema % schemas.length] ?? "public"
      return { ...shape, schema, name: unused(shape.name, taken), key: keyOf(shape) }
    })
  }

  make(): MadeDatabase {
    for (const schema of this.#schemas) if (schema !== "public") this.#sql.push(`CREATE SCHEMA ${identifier(schema)};`)
    const ids = accountIds.map((id, at) => literal(this.#account(id, at)))
    this.#sql.push(
      `CREATE TABLE public.accounts (account_id ${this.#accountKind} PRIMARY KEY, parent ${this.#accountKind} REFERENCES public.accounts, title text);`,
      `INSERT INTO public.accounts VALUES ${ids.map((id, at) => `(${id}, ${at === 0 ? "NULL" : (ids[at - 1] ?? "NULL")}, 'Name ${String(at)}')`).join(", ")};`,
    )
    this.#rules["public.accounts"] = { account: "account_id" }
    for (const table of this.#tables) this.#table(table)
    const sql = [...this.#sql, ...this.#late].join("\n")
    const accounts = { table: "public.accounts", id: "account_id", name: "title" }
    return { sql, tenancy: { accounts, tables: this.#rules }, features: [...this.#features] }
  }

  /** The account of an index in the type that accounts have here. */
  #account(id: string, at: number): string {
    if (this.#accountKind === "text") return id
    return this.#accountKind === "integer" ? String(at * 1000 - 7) : uuidOf(at)
  }

  #table(table: Table): void {
    const { layout, extras, key } = table
    for (const feature of [`layout ${layout}`, `key ${key}`, `owner ${table.owner}`, ...extras]) this.#features.add(feature)
    const columns = this.#columns(table)
    const partitioned = ["range", "list", "hash"].includes(layout)
    const primary = primaryKey(key)
    const definitions = [
      ...columns.map(({ name, sql }) => `${identifier(name)} ${sql}`),
      ...(extras.includes("dropped") ? ["gone text"] : []),
      ...(extras.includes("generated") ? ["twice bigint GENERATED ALWAYS AS (bucket * 2 + 1) STORED"] : []),
      ...(primary === "" ? [] : [primary]),
    ]
    const way = partitioned ? ` PARTITION BY ${layout.toUpperCase()} (bucket)` : ""
    const name = nameOf(table)
    this.#sql.push(`CREATE ${layout === "unlogged" ? "UNLOGGED " : ""}TABLE ${name} (${definitions.join(", ")})${way};`)
    if (partitioned) this.#sql.push(...partitions(table))
    if (extras.includes("dropped")) this.#sql.push(`ALTER TABLE ${name} DROP COLUMN gone;`)
    this.#fill(table, columns, name, layout === "inherits" ? 2 : 1)
    if (layout === "inherits") this.#inherit(table, columns)
    this.#extras(table, columns)
    this.#rules[`${table.schema}.${table.name}`] = this.#rule(table)
  }

  #inherit(table: Table, columns: readonly Made[]): void {
    const child = { ...table, name: `${table.name} child` }
    this.#sql.push(`CREATE TABLE ${nameOf(child)} (further text DEFAULT 'é') INHERITS (${nameOf(table)});`)
    this.#fill(table, columns, nameOf(child), 3)
    this.#rules[`${child.schema}.${child.name}`] = this.#rule(table)
  }

  /** Its columns with their values; the key's and the account's among them. */
  #columns(table: Table): readonly Made[] {
    const taken = new Set(["gone", "twice", "bucket", "account_id"])
    const made: Made[] = [...keyColumns(table, taken), { name: "bucket", sql: "integer NOT NULL", values: numbers((at) => String(at % 4)) }]
    for (const { name, type, notNull, values } of table.columns) {
      const usual = values.find((value) => value !== null)
      const filled = notNull && usual !== undefined
      made.push({
        name: unused(name, taken),
        sql: `${type.sql}${filled ? ` NOT NULL DEFAULT ${literal(usual)}` : ""}`,
        values: filled ? values.map((value) => value ?? usual) : values,
      })
    }
    for (const [at, { to, rows, deferrable }] of table.references.entries()) {
      const column = `reference ${String(at)}`
      const parent = this.#parent(to)
      if (parent === undefined) continue
      const filled = filledOf(parent)
      const values = rows.map((row) => (filled === 0 || row % 5 === 0 ? null : (keyValue(parent, row % filled) ?? null)))
      made.push({ name: column, sql: keyType(parent), values })
      this.#features.add(parent.name === table.name ? "self-reference" : "reference")
      this.#late.push(
        `ALTER TABLE ${nameOf(table)} ADD FOREIGN KEY (${identifier(column)}) REFERENCES ${nameOf(parent)}${deferrable ? " DEFERRABLE INITIALLY DEFERRED" : ""};`,
      )
    }
    if (table.owner.startsWith("own")) {
      const values = table.accounts.map((one) =>
        one === null ? null : this.#account(accountIds[one % accountIds.length] ?? "", one % accountIds.length),
      )
      made.push({ name: "account_id", sql: `${this.#accountKind}${table.times === 1 ? " REFERENCES public.accounts" : ""}`, values })
    }
    return made
  }

  /** Lasting tables refer to lasting ones only. */
  #parent(to: number): Table | undefined {
    const parents = this.#tables.filter(({ key, layout }) => key !== "none" && key !== "composite" && layout !== "unlogged")
    return parents[to % Math.max(1, parents.length)]
  }

  #fill(table: Table, columns: readonly Made[], name: string, every: number): void {
    const rows = Array.from({ length: filledOf(table) }, (_, at) => at).filter((at) => at % every === 0 || every === 3)
    if (rows.length === 0) return
    const times = primaryKey(table.key) === "" ? table.times : 1
    if (times > 1) this.#features.add("duplicate rows")
    const lists = rows.map((at) => `(${columns.map(({ values }) => literal(values[at] ?? null)).join(", ")})`)
    const all = Array.from({ length: times }, () => lists).flat()
    this.#sql.push(
      `INSERT INTO ${name} (${columns.map((column) => identifier(column.name)).join(", ")}) OVERRIDING SYSTEM VALUE VALUES ${all.join(",\n")};`,
    )
  }

  #extras(table: Table, columns: readonly Made[]): void {
    const { extras, name: called } = table
    const name = nameOf(table)
    const at = (what: string): string => `${identifier(table.schema)}.${identifier(`${called} ${what}`)}`
    const [{ name: first } = { name: "bucket" }] = columns
    if (extras.includes("trigger")) {
      const body = "BEGIN RAISE EXCEPTION 'a trigger acted on rows that come back'; END"
      this.#late.push(
        `CREATE FUNCTION ${at("refuse")}() RETURNS trigger LANGUAGE plpgsql AS $body$ ${body} $body$;`,
        `CREATE TRIGGER "refuse; --" BEFORE INSERT OR UPDATE ON ${name} FOR EACH ROW EXECUTE FUNCTION ${at("refuse")}();`,
      )
    }
    if (extras.includes("index")) {
      this.#late.push(`CREATE INDEX ON ${name} ((bucket % 3)) WHERE bucket > 1;`, `CREATE INDEX ON ${name} USING hash (bucket);`)
    }
    if (extras.includes("unique") && table.layout === "plain" && table.key !== "none")
      this.#late.push(`CREATE UNIQUE INDEX ON ${name} (${identifier(first)}) INCLUDE (bucket);`)
    if (extras.includes("view")) {
      this.#late.push(
        `CREATE VIEW ${at("view")} AS SELECT * FROM ${name} WHERE bucket > 0;`,
        `CREATE MATERIALIZED VIEW ${at("counts")} AS SELECT bucket, count(*) FROM ${at("view")} GROUP BY 1;`,
      )
    }
    if (extras.includes("comment")) this.#late.push(`COMMENT ON TABLE ${name} IS ${literal("a comment\n\\connect; it's one")};`)
  }

  #rule(table: Table): unknown {
    if (table.owner === "own") return { account: "account_id" }
    if (table.owner === "own or platform") return { account: "account_id", null: "platform" }
    if (table.owner !== "via") return table.owner
    const [{ to } = { to: 0 }] = table.references
    const parent = table.references.length === 0 ? undefined : this.#parent(to)
    if (parent === undefined || !parent.owner.startsWith("own")) return "shared"
    this.#features.add("rows of a parent's account")
    const [key = "id"] = keyNames(parent.key)
    return { account: "account_id", via: [{ column: "reference 0", table: `${parent.schema}.${parent.name}`, key }], null: "platform" }
  }
}

interface Table extends Omit<TableShape, "schema"> {
  readonly schema: string
}

interface Made {
  readonly name: string
  readonly sql: string
  readonly values: readonly (string | null)[]
}

/** What partitions a table, and what others inherit from, has a key that it can have. */
function keyOf({ key, layout }: TableShape): TableShape["key"] {
  if (["range", "list", "hash"].includes(layout)) return key === "none" ? "none" : "composite"
  return layout === "inherits" && key !== "none" ? "uuid" : key
}

function keyNames(key: TableShape["key"]): readonly string[] {
  if (key === "none") return []
  return key === "composite" ? ["Label", "bucket"] : ["id"]
}

function primaryKey(key: TableShape["key"]): string {
  const columns = keyNames(key)
  return columns.length === 0 ? "" : `PRIMARY KEY (${columns.map(identifier).join(", ")})`
}

function keyColumns(table: Table, taken: Set<string>): readonly Made[] {
  const [name] = keyNames(table.key)
  if (name === undefined) return []
  taken.add(name)
  const kinds: Readonly<Record<string, string>> = {
    always: "integer GENERATED ALWAYS AS IDENTITY",
    "by default": "bigint GENERATED BY DEFAULT AS IDENTITY (START 500 INCREMENT -3 MINVALUE -1000 MAXVALUE 600)",
    serial: "serial",
  }
  return [{ name, sql: kinds[table.key] ?? keyType(table), values: numbers((at) => keyValue(table, at)) }]
}

function keyType({ key }: Table): string {
  const kinds: Readonly<Record<string, string>> = { always: "integer", serial: "integer", "by default": "bigint", uuid: "uuid" }
  return kinds[key] ?? "text"
}

function keyValue({ key, labels }: Table, at: number): string {
  if (key === "uuid") return uuidOf(at)
  return key === "text" || key === "composite" ? `${labels[at] ?? ""}#${String(at)}` : String(at * 7 + 1)
}

function filledOf({ rows, layout }: Table): number {
  // A parent's rows that others may lead to are only those in itself.
  return layout === "inherits" ? Math.min(rows, 1) : rows
}

function partitions(table: Table): readonly string[] {
  const part = (what: string, schema = table.schema): string => `${identifier(schema)}.${identifier(`${table.name} ${what}`)}`
  const of = `PARTITION OF ${nameOf(table)}`
  if (table.layout === "hash") {
    return [0, 1].map((rest) => `CREATE TABLE ${part(String(rest))} ${of} FOR VALUES WITH (MODULUS 2, REMAINDER ${String(rest)});`)
  }
  const first = table.layout === "list" ? "FOR VALUES IN (0, 2)" : "FOR VALUES FROM (MINVALUE) TO (1)"
  return [
    `CREATE TABLE ${part("first", "own types")} ${of} ${first};`,
    `CREATE TABLE ${part("rest")} ${of} DEFAULT PARTITION BY HASH (bucket);`,
    `CREATE TABLE ${part("rest of rest")} PARTITION OF ${part("rest")} FOR VALUES WITH (MODULUS 1, REMAINDER 0);`,
  ]
}

function numbers(valueAt: (at: number) => string): readonly string[] {
  return Array.from({ length: rowsMax }, (_, at) => valueAt(at))
}

function uuidOf(at: number): string {
  return `00000000-0000-4000-8000-${String(at).padStart(12, "0")}`
}

function unused(name: string, taken: Set<string>): string {
  let free = name
  for (let at = 2; taken.has(free); at++) free = `${name} ${String(at)}`
  taken.add(free)
  return free
}

function nameOf({ schema, name }: { readonly schema: string; readonly name: string }): string {
  return `${identifier(schema)}.${identifier(name)}`
}

export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

export function literal(value: string | null): string {
  if (value === null) return "NULL"
  const escaped = value.replace(/['\\]/g, "\\$&").replace(/[\n\r\t]/g, (one) => ({ "\n": "\\n", "\r": "\\r", "\t": "\\t" })[one] ?? one)
  return `E'${escaped}'`
}
