import { JobError } from "../../errors.ts"
import type { Column, Reference, SequenceValue, Table } from "../database.ts"
import { quoteName, quoteText } from "./quote.ts"
import type { Row, Session } from "./session.ts"

/** A column with what reading it exactly takes. */
export interface MariadbColumn extends Column {
  /** The type without its length and attributes, such as "float". */
  readonly dataType: string
  /** "" where values are no text. */
  readonly characterSet: string
  readonly collation: string
  /** The most bytes a value has; 0 where it is neither text nor binary. */
  readonly bytesMax: number
  /** The server counts it up by itself. */
  readonly counted: boolean
}

export interface MariadbTable extends Table {
  readonly columns: readonly MariadbColumn[]
}

/** Engines whose tables show rows that are kept elsewhere. */
const foreignEngines: ReadonlySet<string> = new Set(["MRG_MyISAM", "FEDERATED", "SPIDER", "CONNECT", "SPHINX", "OQGRAPH"])

/**
 * The tables of a database that the role may see and that hold rows of their own, in the order of their names. Of a table with system
 * versioning the current rows count, not its history.
 */
export async function readTables(session: Session, schema: string): Promise<readonly MariadbTable[]> {
  const where = `TABLE_SCHEMA = ${quoteText(schema)}`
  const tables = await session.query(
    "SELECT t.TABLE_NAME, t.ENGINE, t.TABLE_ROWS, t.DATA_LENGTH + t.INDEX_LENGTH, e.TRANSACTIONS " +
      "FROM information_schema.TABLES t LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE " +
      `WHERE t.${where} AND t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')`,
  )
  const columns = byTable(
    await session.query(
      "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, GENERATION_EXPRESSION, DATA_TYPE, CHARACTER_SET_NAME, COLLATION_NAME, " +
        `CHARACTER_OCTET_LENGTH, EXTRA FROM information_schema.COLUMNS WHERE ${where} ORDER BY TABLE_NAME, ORDINAL_POSITION`,
    ),
  )
  const keys = byTable(
    await session.query(
      "SELECT TABLE_NAME, INDEX_NAME, COLUMN_NAME, NULLABLE FROM information_schema.STATISTICS " +
        `WHERE ${where} AND NON_UNIQUE = 0 ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX`,
    ),
  )
  const references = byTable(
    await session.query(
      "SELECT TABLE_NAME, CONSTRAINT_NAME, COLUMN_NAME, REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME " +
        `FROM information_schema.KEY_COLUMN_USAGE WHERE ${where} AND REFERENCED_TABLE_NAME IS NOT NULL ` +
        "ORDER BY TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION",
    ),
  )
  return tables
    .filter(([, engine]) => !foreignEngines.has(engine ?? ""))
    .map(([name, , rows, bytes, transactions]) => {
      const own = (columns.get(text(name)) ?? []).map(columnOf)
      return {
        schema,
        name: text(name),
        columns: own,
        key: keyOf(keys.get(text(name)) ?? [], own),
        references: referencesOf(references.get(text(name)) ?? []),
        rowsEstimate: Number(rows ?? -1),
        bytesEstimate: Number(bytes ?? -1),
        transactional: transactions === "YES",
      }
    })
    .sort((one, other) => (one.name < other.name ? -1 : 1))
}

function byTable(rows: readonly Row[]): ReadonlyMap<string, readonly Row[]> {
  return Map.groupBy(rows, ([table]) => text(table))
}

function columnOf([, name, type, nullable, expression, dataType, characterSet, collation, bytes, extra]: Row): MariadbColumn {
  return {
    name: text(name),
    type: text(type),
    nullable: nullable === "YES",
    generated: (expression ?? "") !== "",
    dataType: text(dataType).toLowerCase(),
    characterSet: characterSet ?? "",
    collation: collation ?? "",
    bytesMax: Number(bytes ?? 0),
    counted: (extra ?? "").toLowerCase().includes("auto_increment"),
  }
}

/** The primary key, else the unique one without NULLs that has the fewest columns. */
function keyOf(rows: readonly Row[], columns: readonly MariadbColumn[]): readonly string[] {
  const read = new Set(columns.filter(({ generated }) => !generated).map(({ name }) => name))
  const keys = Map.groupBy(rows, ([, index]) => text(index))
    .entries()
    .filter(([, parts]) => parts.every(([, , column, nullable]) => column !== null && nullable !== "YES" && read.has(text(column))))
    .map(([index, parts]) => ({ index, columns: parts.map(([, , column]) => text(column)) }))
    .toArray()
    .sort((one, other) => Number(other.index === "PRIMARY") - Number(one.index === "PRIMARY") || one.columns.length - other.columns.length)
  return keys[0]?.columns ?? []
}

function referencesOf(rows: readonly Row[]): readonly Reference[] {
  return Map.groupBy(rows, ([, constraint]) => text(constraint))
    .values()
    .map((parts) => ({
      columns: parts.map(([, , column]) => text(column)),
      schema: text(parts[0]?.[3]),
      table: text(parts[0]?.[4]),
      toColumns: parts.map(([, , , , , column]) => text(column)),
    }))
    .toArray()
}

/**
 * What is counted up in a database, as the value that is given out next: MariaDB's sequences (what they hold back in a cache counts as
 * given out), and each AUTO_INCREMENT column as "schema.table.column". No snapshot covers them: they are as of now, so never too low.
 */
export async function readSequences(session: Session, schema: string): Promise<readonly SequenceValue[]> {
  const rows = await session.query(
    "SELECT t.TABLE_NAME, t.TABLE_TYPE, t.AUTO_INCREMENT, c.COLUMN_NAME FROM information_schema.TABLES t " +
      "LEFT JOIN information_schema.COLUMNS c ON c.TABLE_SCHEMA = t.TABLE_SCHEMA AND c.TABLE_NAME = t.TABLE_NAME AND c.EXTRA LIKE '%auto_increment%' " +
      `WHERE t.TABLE_SCHEMA = ${quoteText(schema)} ORDER BY t.TABLE_NAME`,
  )
  const values: SequenceValue[] = []
  for (const [table, type, next, column] of rows) {
    const name = `${schema}.${text(table)}`
    if (type === "SEQUENCE") {
      const [row] = await session.query(`SELECT next_not_cached_value FROM ${quoteName(schema)}.${quoteName(text(table))}`)
      values.push({ name, value: BigInt(text(row?.[0])), called: false })
    } else if (next !== undefined && next !== null && column !== undefined && column !== null) {
      values.push({ name: `${name}.${column}`, value: BigInt(next), called: false })
    }
  }
  return values
}

function text(value: string | null | undefined): string {
  if (value === null || value === undefined) throw new JobError("job/source", "the database server left out a name in its own description")
  return value
}
