import { z } from "zod"
import { JobError } from "../../errors.ts"
import { createStatement, type LoadSession, numberColumn, type TableColumns, type TargetColumn, type TargetTable } from "../loader.ts"
import { type CatalogTable, readCatalog, tableKey } from "./catalog.ts"
import type { PostgresConnection } from "./connect.ts"
import { postgresDialect, stageStatement } from "./load-dialect.ts"
import { identifier, literal } from "./quote.ts"

/** A session over a connection, which ends with it. */
export function postgresSession(connection: PostgresConnection, description: string): LoadSession {
  let staged = 0
  return {
    dialect: postgresDialect,
    tables: (names) => targetTables(connection, names),
    rows: async (statement) => (await connection.rows(anyRow, statement)).map((row) => Object.values(row).map(textOf)),
    execute: (statement) => connection.execute(statement),
    change: async (statement) => {
      const [changed] = await connection.rows(countRow, `WITH changed AS (${statement} RETURNING 1) SELECT count(*) AS n FROM changed`)
      return changed?.n ?? 0
    },
    create: async (table) => await connection.execute(createStatement(table, { dialect: postgresDialect, types })),
    stage: async (table) => {
      staged += 1
      const name = `pg_temp.${identifier(`holdline_${staged}`)}`
      await connection.execute(stageStatement(name, table))
      await connection.execute(`CREATE TEMPORARY SEQUENCE ${identifier(`holdline_${staged}_numbers`)}`)
      await connection.execute(
        `ALTER TABLE ${name} ALTER COLUMN ${identifier(numberColumn)} SET DEFAULT nextval('pg_temp.holdline_${staged}_numbers')`,
      )
      return name
    },
    fill: async (name, columns, lines) => {
      const rows = await connection.copyIn(copyStatement(name, columns), lines)
      await connection.execute(`ANALYZE ${name}`)
      return rows
    },
    index: (name, columns) => connection.execute(`CREATE INDEX ON ${name} (${columns.map(identifier).join(", ")})`),
    advance: (table) => advance(connection, table),
    silenceTriggers: () => silenceTriggers(connection, description),
    [Symbol.asyncDispose]: () => connection.end(),
  }
}

/** What format_type writes, and nothing else. */
const part = '(?:"(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)'
const types = new RegExp(
  `^(?:${part}\\.)?(?:"(?:[^"]|"")+"|[a-z_][a-z0-9_$]*(?: (?:precision|varying))?)(?:\\(\\d+(?:,-?\\d+)?\\))?(?: with(?:out)? time zone)?(?:\\[\\])*$`,
)

const anyRow = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]))

function textOf(value: string | number | boolean | null): string | null {
  return value === null ? null : String(value)
}

const countRow = z.object({ n: z.coerce.number() })

/** What begins a load into a table, whose name is SQL. */
export function copyStatement(name: string, columns: TableColumns["columns"]): string {
  // A table without columns has rows all the same; COPY names none then.
  const list = columns.length === 0 ? "" : ` (${columns.map(identifier).join(", ")})`
  return `COPY ${name}${list} FROM STDIN`
}

async function targetTables(
  connection: PostgresConnection,
  names: readonly { readonly schema: string; readonly name: string }[],
): Promise<readonly TargetTable[]> {
  const catalog = await readCatalog(connection)
  const found = names.flatMap(({ schema, name }) => catalog.get(tableKey(schema, name)) ?? [])
  const oids = [found.map(({ oid }) => oid)]
  const required = Map.groupBy(await connection.rows(requiredRow, requiredQuery, oids), ({ oid }) => oid)
  const triggers = Map.groupBy(await connection.rows(triggerRow, triggersQuery, oids), ({ oid }) => oid)
  const deferrable = new Set((await connection.rows(deferrableRow, deferrableQuery, oids)).map(({ oid, columns }) => keyOf(oid, columns)))
  return found.map((table) =>
    targetTable(table, {
      required: new Set((required.get(table.oid) ?? []).map(({ name }) => name)),
      triggers: (triggers.get(table.oid) ?? []).map(({ name }) => name),
      deferrable: (columns) => deferrable.has(keyOf(table.oid, columns)),
    }),
  )
}

interface Details {
  readonly required: ReadonlySet<string>
  readonly triggers: readonly string[]
  readonly deferrable: (columns: readonly string[]) => boolean
}

function targetTable(table: CatalogTable, { required, triggers, deferrable }: Details): TargetTable {
  const { schema, name, key } = table
  return {
    ...{ schema, name, key, triggers },
    columns: table.columns.map((column): TargetColumn => ({ ...column, required: required.has(column.name) })),
    uniques: table.uniques.filter((columns) => columns !== key).map((columns) => ({ name: `(${columns.join(", ")})`, columns })),
    references: table.references.map((reference) => ({
      ...reference,
      name: `(${reference.columns.join(", ")})`,
      deferrable: deferrable(reference.columns),
    })),
  }
}

function keyOf(oid: string, columns: readonly string[]): string {
  return JSON.stringify([oid, ...columns])
}

const requiredRow = z.object({ oid: z.string(), name: z.string() })
const requiredQuery = `
  SELECT a.attrelid::text AS oid, a.attname::text AS name FROM pg_attribute a
  WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
    AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND a.attgenerated = ''`
const triggerRow = requiredRow
// 4 and 16: INSERT and UPDATE.
const triggersQuery = `
  SELECT tgrelid::text AS oid, tgname::text AS name FROM pg_trigger
  WHERE tgrelid = ANY ($1::oid[]) AND NOT tgisinternal AND tgenabled IN ('O', 'A') AND tgtype & 20 <> 0
  ORDER BY tgrelid, tgname`
const deferrableRow = z.object({ oid: z.string(), columns: z.array(z.string()) })
const deferrableQuery = `
  SELECT f.conrelid::text AS oid, ARRAY(
    SELECT a.attname::text FROM unnest(f.conkey) WITH ORDINALITY k (number, at)
    JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.number ORDER BY k.at
  ) AS columns
  FROM pg_constraint f
  WHERE f.conrelid = ANY ($1::oid[]) AND f.contype = 'f' AND f.conparentid = 0 AND f.condeferrable`

/** Sequences that give a table's columns their values, as owned by them or named in their defaults. */
const sequencesRow = z.object({ sequence: z.string(), column: z.string() })
const sequencesQuery = (table: string): string => `
  SELECT DISTINCT d.objid::regclass::text AS sequence, a.attname::text AS column
  FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
  JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
  WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
    AND d.refobjid = ${literal(table)}::regclass AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
  UNION
  SELECT d.refobjid::regclass::text, a.attname::text
  FROM pg_attrdef f JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid
  JOIN pg_class s ON s.oid = d.refobjid AND s.relkind = 'S'
  JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
  WHERE f.adrelid = ${literal(table)}::regclass AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)`

async function advance(connection: PostgresConnection, table: TargetTable): Promise<readonly string[]> {
  const name = postgresDialect.table(table)
  const moved: string[] = []
  for (const { sequence, column } of await connection.rows(sequencesRow, sequencesQuery(name))) {
    const [result] = await connection.rows(
      z.object({ moved: z.boolean() }),
      `WITH top AS (SELECT max(${identifier(column)})::bigint AS value FROM ${name})
      SELECT CASE WHEN top.value > s.last_value OR top.value = s.last_value AND NOT s.is_called
        THEN setval(${literal(sequence)}, top.value, true) IS NOT NULL ELSE false END AS moved FROM top, ${sequence} s`,
    )
    if (result?.moved === true) moved.push(sequence)
  }
  return moved
}

/** Foreign keys are kept by triggers too: who silences them checks the keys. */
async function silenceTriggers(connection: PostgresConnection, description: string): Promise<void> {
  try {
    await connection.execute("SET session_replication_role TO replica")
  } catch (cause) {
    throw new JobError("job/target", `${description}: the role may not keep triggers from acting`, {
      cause,
      hint: "as a superuser, GRANT SET ON PARAMETER session_replication_role TO the role (Postgres 15 and later), or let them act",
    })
  }
}
