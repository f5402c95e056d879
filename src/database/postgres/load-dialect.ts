import { type Dialect, fateColumn, numberColumn, originColumn, type TableColumns } from "../loader.ts"
import { identifier, literal, qualified } from "./quote.ts"

/** How Postgres says it. */
export const postgresDialect: Dialect = {
  name: identifier,
  table: ({ schema, name }) => qualified(schema, name),
  literal,
  text: (expression) => `((${expression})::text COLLATE "C")`,
  // Of an empty text and of NULL the text of a row differs.
  print: (expressions) => `md5(ROW(${expressions.join(", ")})::text)`,
  same: (one, other) => `${one} IS NOT DISTINCT FROM ${other}`,
  // Whatever the table says of its identity columns: the rows keep their numbers.
  insert: (into, columns, select) => `INSERT INTO ${into} (${columns.map(identifier).join(", ")}) OVERRIDING SYSTEM VALUE ${select}`,
  update: ({ target, source, on, set, where }) =>
    `UPDATE ${target} AS t SET ${set.map(([column, value]) => `${identifier(column)} = ${value}`).join(", ")} FROM ${source} AS s WHERE ${on} AND (${where})`,
  // Functions of triggers may name tables without their schema.
  begin: ["BEGIN ISOLATION LEVEL READ COMMITTED", "SET LOCAL search_path TO DEFAULT"],
  checksAfterStatement: true,
  deferAll: "SET CONSTRAINTS ALL DEFERRED",
}

/** The statement that makes a private table with the columns of another, none of its rules, and the fields of whoever merges. */
export function stageStatement(staged: string, table: TableColumns): string {
  const own = [
    `NULL::text COLLATE "C" AS ${identifier(fateColumn)}`,
    `NULL::text COLLATE "C" AS ${identifier(originColumn)}`,
    `NULL::bigint AS ${identifier(numberColumn)}`,
  ]
  const columns = [...table.columns.map((column) => identifier(column)), ...own]
  return `CREATE TEMPORARY TABLE ${staged} AS SELECT ${columns.join(", ")} FROM ${postgresDialect.table(table)} WITH NO DATA`
}
