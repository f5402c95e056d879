import { JobError } from "../../errors.ts"
import {
  createStatement,
  type Dialect,
  fateColumn,
  type LoadSession,
  numberColumn,
  originColumn,
  type TableColumns,
  type TargetReference,
  type TargetTable,
} from "../loader.ts"
import { type MariadbTable, readTables } from "./catalog.ts"
import { run, runLoad } from "./load-wire.ts"
import { quoteName, quoteText } from "./quote.ts"
import type { Session } from "./session.ts"

/** How MariaDB says it. */
const mariadbDialect: Dialect = {
  name: quoteName,
  table: ({ schema, name }) => `${quoteName(schema)}.${quoteName(name)}`,
  literal: quoteText,
  text: (expression) => `CAST(${expression} AS BINARY)`,
  // Lengths keep ("a", "bc") and ("ab", "c") apart, and N what is NULL.
  print: (expressions) => `SHA2(CONCAT(${expressions.map((one) => `COALESCE(CONCAT(LENGTH(${one}), ':', ${one}), 'N')`).join(", ")}), 256)`,
  same: (one, other) => `${one} <=> ${other}`,
  insert: (into, columns, select) => `INSERT INTO ${into} (${columns.map(quoteName).join(", ")}) ${select}`,
  update: ({ target, source, on, set, where }) =>
    `UPDATE ${target} AS t JOIN ${source} AS s ON ${on} SET ${set.map(([column, value]) => `t.${quoteName(column)} = ${value}`).join(", ")} WHERE ${where}`,
  begin: ["SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "START TRANSACTION"],
  checksAfterStatement: false,
  deferAll: null,
}

/** What information_schema writes as COLUMN_TYPE, and nothing else. */
const text = "'(?:[^'\\\\]|'')*'"
const types = new RegExp(`^[a-z][a-z0-9]*(?:\\((?:\\d+(?:,\\d+)?|${text}(?:,${text})*)\\))?(?: unsigned)?(?: zerofill)?$`)

/** What a session must be to take rows as they are: a 0 that is no counter's next value, dates the server once took, nothing cut in silence. */
export const loadMode = "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,STRICT_ALL_TABLES,ALLOW_INVALID_DATES'"

export interface LoadPlace {
  readonly description: string
  /** The database's name. */
  readonly schema: string
}

/** A session for merging over one that may send rows; it ends with it. */
export function mariadbSession(session: Session, place: LoadPlace): LoadSession {
  let staged = 0
  const special = new Map<string, ReadonlySet<string>>()
  const { description, schema } = place
  const statement = async (text: string) => await run(session.channel, Buffer.from(text), description)
  return {
    dialect: mariadbDialect,
    tables: async (names) => {
      const tables = await readTables(session, schema)
      const details = await readDetails(session, schema)
      return names.flatMap(({ name }) => tables.filter((table) => table.name === name).map((table) => targetTable(table, details)))
    },
    rows: (text) => session.query(text),
    execute: async (text) => void (await statement(text)),
    change: async (text) => (await statement(text)).rows,
    create: async (table) => void (await statement(createStatement(table, { dialect: mariadbDialect, types }))),
    stage: async (table) => {
      staged += 1
      const name = `${quoteName(schema)}.${quoteName(`holdline_${staged}`)}`
      await statement(stageStatement(name, table))
      special.set(name, (await specialColumns(session, schema)).get(table.name) ?? new Set())
      return name
    },
    fill: (name, columns, lines) =>
      loadLines(session, { into: name, columns, special: special.get(name) ?? new Set() }, lines, description),
    index: async (name, columns) => {
      try {
        await statement(`ALTER TABLE ${name} ADD INDEX (${columns.map(quoteName).join(", ")})`)
      } catch (error) {
        // A key of long texts has no index without a length; it is found without, only slower.
        if (!(error instanceof JobError)) throw error
      }
    },
    // AUTO_INCREMENT goes beyond the rows by itself, in the transaction that brings them.
    advance: () => Promise.resolve([]),
    silenceTriggers: () =>
      Promise.reject(
        new JobError("job/target", `${description}: MariaDB has no way to keep triggers from acting for one session`, {
          hint: "let them act, or drop them while the account is restored",
        }),
      ),
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
  }
}

function stageStatement(staged: string, table: TableColumns): string {
  const own = `${quoteName(numberColumn)} BIGINT AUTO_INCREMENT PRIMARY KEY, ${quoteName(fateColumn)} VARCHAR(16), ${quoteName(originColumn)} VARCHAR(16)`
  const columns = table.columns.map((column) => quoteName(column)).join(", ")
  return `CREATE TEMPORARY TABLE ${staged} (${own}) ENGINE=InnoDB AS SELECT ${columns} FROM ${mariadbDialect.table(table)} WHERE FALSE`
}

export interface LoadInto {
  /** As SQL writes it. */
  readonly into: string
  readonly columns: readonly string[]
  /** Of `specialColumns`. */
  readonly special: ReadonlySet<string>
}

/** By table: columns of types that take 16 bytes for a value, and not for its text. */
export async function specialColumns(session: Session, schema: string): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const tables = await readTables(session, schema)
  const special = /^(?:uuid|inet4|inet6)$/
  return new Map(
    tables.map(({ name, columns }) => [
      name,
      new Set(columns.filter(({ dataType }) => special.test(dataType)).map((column) => column.name)),
    ]),
  )
}

/** Loads lines into a table. LOCAL makes mistakes into warnings, so that not one may be left: all rows came as they are, or it rejects. */
export async function loadLines(
  session: Session,
  { into, columns, special }: LoadInto,
  lines: AsyncIterable<Uint8Array>,
  description: string,
): Promise<number> {
  const sent = { rows: 0 }
  const fields = columns.map((column, at) => (special.has(column) ? `@v${at}` : quoteName(column)))
  const set = columns.flatMap((column, at) => (special.has(column) ? [`${quoteName(column)} = CONVERT(@v${at} USING ascii)`] : []))
  const statement = [
    `LOAD DATA LOCAL INFILE 'rows' INTO TABLE ${into} CHARACTER SET binary`,
    "FIELDS TERMINATED BY '\\t' ESCAPED BY '\\\\' LINES TERMINATED BY '\\n'",
    `(${fields.join(", ")})`,
    ...(set.length === 0 ? [] : [`SET ${set.join(", ")}`]),
  ].join(" ")
  const done = await runLoad(session.channel, statement, counted(lines, sent), description)
  if (done.rows === sent.rows && done.warnings === 0) return sent.rows
  const codes = (await session.query("SHOW WARNINGS LIMIT 5")).map(([, code]) => code ?? "").join(", ")
  throw new JobError(
    "job/target",
    `${description}: ${into}: the server took ${done.rows} of ${sent.rows} rows, with ${done.warnings} warnings: ${codes}`,
  )
}

async function* counted(lines: AsyncIterable<Uint8Array>, sent: { rows: number }): AsyncGenerator<Uint8Array> {
  for await (const chunk of lines) {
    for (let at = chunk.indexOf(0x0a); at !== -1; at = chunk.indexOf(0x0a, at + 1)) sent.rows += 1
    yield chunk
  }
}

interface Details {
  readonly required: ReadonlyMap<string, ReadonlySet<string>>
  readonly triggers: ReadonlyMap<string, readonly string[]>
  readonly uniques: ReadonlyMap<string, readonly { readonly name: string; readonly columns: readonly string[] }[]>
}

async function readDetails(session: Session, schema: string): Promise<Details> {
  const where = `TABLE_SCHEMA = ${quoteText(schema)}`
  const required = await session.query(
    `SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS WHERE ${where} AND IS_NULLABLE = 'NO' AND COLUMN_DEFAULT IS NULL
      AND EXTRA NOT LIKE '%auto_increment%' AND COALESCE(GENERATION_EXPRESSION, '') = ''`,
  )
  const triggers = await session.query(
    `SELECT EVENT_OBJECT_TABLE, TRIGGER_NAME FROM information_schema.TRIGGERS
      WHERE TRIGGER_SCHEMA = ${quoteText(schema)} AND EVENT_MANIPULATION <> 'DELETE' ORDER BY TRIGGER_NAME`,
  )
  const uniques = await session.query(
    `SELECT TABLE_NAME, INDEX_NAME, COLUMN_NAME FROM information_schema.STATISTICS
      WHERE ${where} AND NON_UNIQUE = 0 ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX`,
  )
  const byTable = (rows: typeof required) => Map.groupBy(rows, ([table]) => table ?? "")
  return {
    required: new Map([...byTable(required)].map(([table, rows]) => [table, new Set(rows.map(([, column]) => column ?? ""))])),
    triggers: new Map([...byTable(triggers)].map(([table, rows]) => [table, rows.map(([, trigger]) => trigger ?? "")])),
    uniques: new Map(
      [...byTable(uniques)].map(([table, rows]) => [
        table,
        [...Map.groupBy(rows, ([, index]) => index ?? "").values()].map((parts) => {
          const columns = parts.map(([, , column]) => column ?? "")
          return { name: `(${columns.join(", ")})`, columns }
        }),
      ]),
    ),
  }
}

function targetTable(table: MariadbTable, details: Details): TargetTable {
  const { schema, name, key } = table
  const required = details.required.get(name) ?? new Set()
  return {
    ...{ schema, name, key },
    columns: table.columns.map((column) => ({ ...column, required: required.has(column.name) })),
    uniques: (details.uniques.get(name) ?? []).filter(({ columns }) => columns.join("\0") !== key.join("\0")),
    references: table.references.map(
      (reference): TargetReference => ({ ...reference, name: `(${reference.columns.join(", ")})`, deferrable: false }),
    ),
    triggers: details.triggers.get(name) ?? [],
  }
}
