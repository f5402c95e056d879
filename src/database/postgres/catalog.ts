import { z } from "zod"
import type { Column, Reference, Table } from "../database.ts"
import type { PostgresConnection } from "./connect.ts"

/** A Table, and what reading it takes. */
export interface CatalogTable extends Table {
  readonly oid: string
  readonly partitioned: boolean
  /** Whether the role may read it, every column. */
  readonly readable: boolean
  /** Text after the table's name that leaves out the rows an extension brings itself, such as "WHERE NOT builtin"; mostly empty. */
  readonly condition: string
  /** The types behind the columns' domains, without length or precision, by column. */
  readonly plainTypes: ReadonlyMap<string, string>
  /** Columns of each index that keeps them unique. */
  readonly uniques: readonly (readonly string[])[]
}

/** Tells a table from another of the same name in another schema. */
export function tableKey(schema: string, name: string): string {
  return JSON.stringify([schema, name])
}

/** Relations that are neither the system's, nor a session's own, nor an extension's; but its configuration tables are the user's. */
export function ownRelations(joins = ""): string {
  return `
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN LATERAL (
    SELECT e.oid AS extension, array_position(e.extconfig, c.oid) AS at, e.extcondition AS conditions
    FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0 AND d.deptype = 'e'
  ) x ON true ${joins}
  WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND c.relpersistence <> 't'
    AND (x.extension IS NULL OR x.at IS NOT NULL)`
}

/** Whether the role may read a relation of ownRelations; one that is dropped in this moment has no rights any more, and the server says NULL. */
export const mayRead = "coalesce(has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE'), false)"

/** The tables as of the connection's transaction, in the order of schema and name. */
export async function readCatalog(connection: PostgresConnection): Promise<ReadonlyMap<string, CatalogTable>> {
  const relations = await connection.rows(relationRow, relationsQuery)
  const oids = [relations.map(({ oid }) => oid)]
  const columns = Map.groupBy(await connection.rows(columnRow, columnsQuery, oids), ({ oid }) => oid)
  const indexes = Map.groupBy(await connection.rows(indexRow, indexesQuery, oids), ({ oid }) => oid)
  const references = Map.groupBy(await connection.rows(referenceRow, referencesQuery, oids), ({ oid }) => oid)
  return new Map(
    relations.map((relation) => {
      const { oid, schema, name } = relation
      const parts = { columns: columns.get(oid) ?? [], indexes: indexes.get(oid) ?? [], references: references.get(oid) ?? [] }
      return [tableKey(schema, name), tableOf(relation, parts)]
    }),
  )
}

function tableOf(relation: z.infer<typeof relationRow>, parts: TableParts): CatalogTable {
  const { foreign, rows, bytes, ...rest } = relation
  return {
    ...rest,
    columns: parts.columns.map(({ name, type, nullable, generated }): Column => ({ name, type, nullable, generated })),
    key: keyOf(parts),
    references: parts.references.map(({ columns, schema, table, toColumns }): Reference => ({ columns, schema, table, toColumns })),
    rowsEstimate: rows,
    bytesEstimate: bytes,
    transactional: !foreign,
    plainTypes: new Map(parts.columns.map(({ name, plainType }) => [name, plainType])),
    uniques: parts.indexes.map(({ columns }) => columns),
  }
}

interface TableParts {
  readonly columns: readonly z.infer<typeof columnRow>[]
  readonly indexes: readonly z.infer<typeof indexRow>[]
  readonly references: readonly z.infer<typeof referenceRow>[]
}

/** The first index whose columns are neither NULL nor computed; indexesQuery puts the primary key first. */
function keyOf({ columns, indexes }: TableParts): readonly string[] {
  const usable = new Set(columns.filter(({ nullable, generated }) => !nullable && !generated).map(({ name }) => name))
  return indexes.find((index) => index.columns.every((column) => usable.has(column)))?.columns ?? []
}

const names = z.array(z.string())
const relationRow = z.strictObject({
  oid: z.string(),
  schema: z.string(),
  name: z.string(),
  partitioned: z.boolean(),
  readable: z.boolean(),
  condition: z.string(),
  foreign: z.boolean(),
  rows: z.coerce.number(),
  bytes: z.coerce.number(),
})
const columnRow = z.strictObject({
  oid: z.string(),
  name: z.string(),
  type: z.string(),
  plainType: z.string(),
  nullable: z.boolean(),
  generated: z.boolean(),
})
const indexRow = z.strictObject({ oid: z.string(), columns: names })
const referenceRow = z.strictObject({ oid: z.string(), columns: names, schema: z.string(), table: z.string(), toColumns: names })

// A partitioned table's rows are its leaves'; one of them on another server is beyond any snapshot. Before version 14 the server says 0
// where it does not know how many rows there are.
const relationsQuery = `
  SELECT c.oid::text AS oid, n.nspname::text AS schema, c.relname::text AS name, c.relkind = 'p' AS partitioned,
    ${mayRead} AS readable, coalesce(x.conditions[x.at], '') AS condition,
    l.foreign, l.rows::text AS rows, l.bytes::text AS bytes
  ${ownRelations(`CROSS JOIN LATERAL (
    SELECT coalesce(bool_or(r.relkind = 'f'), false) AS foreign, coalesce(sum(pg_table_size(r.oid)), 0) AS bytes,
      CASE WHEN bool_or(r.reltuples < 0 OR r.reltuples = 0 AND r.relpages = 0 AND current_setting('server_version_num')::int < 140000)
        THEN -1 ELSE coalesce(sum(r.reltuples), 0) END::numeric AS rows
    FROM pg_class r
    WHERE r.relkind <> 'p' AND (r.oid = c.oid OR c.relkind = 'p' AND r.oid IN (SELECT p.relid FROM pg_partition_tree(c.oid) p))
  ) l`)}
  AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  ORDER BY n.nspname::text COLLATE "C", c.relname::text COLLATE "C"`

const columnsQuery = `
  SELECT a.attrelid::text AS oid, a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type,
    format_type(CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END, NULL) AS "plainType",
    NOT a.attnotnull AS nullable, a.attgenerated <> '' AS generated
  FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
  WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
  ORDER BY a.attrelid, a.attnum`

// What keeps rows apart at each moment: no partial index, none on expressions, none that is checked only at the end of a transaction.
const indexesQuery = `
  SELECT i.indrelid::text AS oid, ARRAY(
    SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (number, at)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
    WHERE k.at <= i.indnkeyatts ORDER BY k.at
  ) AS columns
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
  WHERE i.indrelid = ANY ($1::oid[]) AND i.indisunique AND i.indisvalid AND i.indimmediate AND NOT i.indisexclusion
    AND i.indpred IS NULL AND i.indexprs IS NULL
  ORDER BY i.indrelid, i.indisprimary DESC, i.indnkeyatts, c.relname::text COLLATE "C"`

const referencesQuery = `
  SELECT f.conrelid::text AS oid, ${attributes("f.conkey", "f.conrelid")} AS columns,
    n.nspname::text AS schema, c.relname::text AS table, ${attributes("f.confkey", "f.confrelid")} AS "toColumns"
  FROM pg_constraint f JOIN pg_class c ON c.oid = f.confrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE f.conrelid = ANY ($1::oid[]) AND f.contype = 'f' AND f.conparentid = 0
  ORDER BY f.conrelid, f.conname::text COLLATE "C"`

function attributes(numbers: string, relation: string): string {
  return `ARRAY(SELECT a.attname::text FROM unnest(${numbers}) WITH ORDINALITY k (number, at)
    JOIN pg_attribute a ON a.attrelid = ${relation} AND a.attnum = k.number ORDER BY k.at)`
}
