import { JobError } from "../../errors.ts"
import type { Condition, Join, Lead, MomentStored, RowsQuery } from "../database.ts"
import { type CatalogTable, tableKey } from "./catalog.ts"
import { identifier, literal, qualified } from "./quote.ts"

/** What the text of a query depends on beyond the query. */
export interface SelectContext {
  readonly tables: ReadonlyMap<string, CatalogTable>
  /** The database's, as the server names it. */
  readonly encoding: string
}

/**
 * The COPY statement that gives what `query` asks for. Throws a JobError where a table, a column or its type does not fit: a table that
 * is not there, a computed column, a join to a column that is not unique, a moment in a column of another type.
 */
export function copyStatement(query: RowsQuery, context: SelectContext): string {
  const builder = new Builder(context)
  const table = builder.table(query.table)
  const leads = query.lead.map((lead) => builder.lead(table, lead))
  const columns = query.columns.map((column) => inTable(stored(table, column)))
  const undated = query.undated?.map((column) => `${inTable(stored(table, column))} IS NULL`).join(" AND ")
  const conditions = [
    ...(query.where ?? []).map((condition) => conditionOf(table, condition)),
    ...(undated === undefined ? [] : [`(${undated})`]),
  ]
  const order = query.order === undefined ? [] : [...leads.map((lead) => builder.asBytes(lead)), ...builder.order(table, query)]
  const parts = [
    `SELECT ${[...leads, ...columns].join(", ")}`,
    `FROM ${rowsOf(table)} t`,
    ...builder.joins,
    ...(conditions.length === 0 ? [] : [`WHERE ${conditions.join(" OR ")}`]),
    ...(order.length === 0 ? [] : [`ORDER BY ${order.join(", ")}`]),
  ]
  return `COPY (${parts.join(" ")}) TO STDOUT`
}

class Builder {
  readonly joins: string[] = []
  readonly #context: SelectContext

  constructor(context: SelectContext) {
    this.#context = context
  }

  table({ schema, name }: RowsQuery["table"]): CatalogTable {
    const table = this.#context.tables.get(tableKey(schema, name))
    if (table === undefined) throw new JobError("job/source", `${schema}.${name}: the database has no such table`)
    return table
  }

  lead(table: CatalogTable, lead: Lead): string {
    if (lead.kind === "day") return dayOf(table, lead)
    let [end, alias] = [table, "t"]
    for (const join of lead.via) [end, alias] = this.#join(end, alias, join)
    return `${alias}.${identifier(existing(end, lead.column))}::text`
  }

  /** Sorts a text by its bytes in UTF-8, where it has an encoding: by those of some encodings the order is another. */
  asBytes(text: string): string {
    const sameOrder = sameOrderAsUtf8.includes(this.#context.encoding)
    return sameOrder ? `${text} COLLATE "C" ASC NULLS LAST` : `convert_to(${text}, 'UTF8') ASC NULLS LAST`
  }

  order(table: CatalogTable, query: RowsQuery): readonly string[] {
    const order = query.order ?? []
    if (table.key.length > 0) return order.map((column) => inTable(existing(table, column)))
    // Types such as json have no order; the text of every value has one, and tells all rows apart that differ.
    const columns = new Set([...order, ...query.columns])
    return [...columns].map((column) => this.asBytes(`${inTable(existing(table, column))}::text`))
  }

  #join(from: CatalogTable, alias: string, join: Join): readonly [CatalogTable, string] {
    const to = this.table({ schema: join.schema, name: join.table })
    existing(to, join.key)
    if (!to.uniques.some((columns) => columns.length === 1 && columns[0] === join.key))
      throw new JobError("job/source", `${nameOf(to)}: column ${join.key} is not unique, so a join to it could give a row twice`, {
        hint: "join to a column with a unique index",
      })
    const next = `j${this.joins.length}`
    const sides = [`${alias}.${identifier(existing(from, join.column))}`, `${next}.${identifier(join.key)}`]
    const types = [from.plainTypes.get(join.column), to.plainTypes.get(join.key)]
    // Some platforms keep a uuid as text on one side; the server compares the two only as text.
    const compared = types[0] !== types[1] && types.includes("uuid") ? sides.map((side) => `${side}::text`) : sides
    this.joins.push(`LEFT JOIN ${rowsOf(to)} ${next} ON ${compared.join(" = ")}`)
    return [to, next]
  }
}

/** Encodings whose bytes sort as the same text's in UTF-8, or that have no other form. */
const sameOrderAsUtf8 = ["UTF8", "SQL_ASCII", "LATIN1"]

/** The rows a table holds itself: those of tables that inherit from it are theirs, those of partitions are its own. */
function rowsOf(table: CatalogTable): string {
  const name = `${table.partitioned ? "" : "ONLY "}${qualified(table.schema, table.name)}`
  return table.condition === "" ? name : `(SELECT * FROM ${name} ${table.condition})`
}

function inTable(column: string): string {
  return `t.${identifier(column)}`
}

function existing(table: CatalogTable, column: string): string {
  if (!table.plainTypes.has(column)) throw new JobError("job/source", `${nameOf(table)}: the table has no column ${column}`)
  return column
}

function stored(table: CatalogTable, column: string): string {
  if (table.columns.some(({ name, generated }) => name === existing(table, column) && generated))
    throw new JobError("job/source", `${nameOf(table)}: column ${column} is computed by the server and not kept`)
  return column
}

function nameOf(table: CatalogTable): string {
  return `${table.schema}.${table.name}`
}

const typesOf: Readonly<Record<MomentStored, readonly string[]>> = {
  instant: ["timestamp with time zone"],
  local: ["timestamp without time zone", "date"],
  epoch: ["smallint", "integer", "bigint", "numeric", "real", "double precision"],
}

function momentOf(table: CatalogTable, column: string, how: MomentStored): string {
  const type = table.plainTypes.get(existing(table, column)) ?? ""
  if (typesOf[how].includes(type)) return type
  throw new JobError("job/source", `${nameOf(table)}: column ${column} is ${type}, which does not keep a moment as "${how}"`, {
    hint: `a moment kept as "${how}" is of type ${typesOf[how].join(" or ")}`,
  })
}

/** NULL where the moment is outside the years that have four digits, as infinity is. */
function dayOf(table: CatalogTable, { column, stored: how, timezone }: Extract<Lead, { readonly kind: "day" }>): string {
  momentOf(table, column, how)
  const value = inTable(column)
  const [inYears, local] = {
    instant: [`${value} >= '0001-01-02Z' AND ${value} < '9999-12-31Z'`, `${value} AT TIME ZONE ${literal(timezone)}`],
    local: [`${value} >= '0001-01-01' AND ${value} < '10000-01-01'`, `${value}::timestamp`],
    epoch: [
      `${value} >= ${firstEpoch} AND ${value} < ${endEpoch}`,
      `to_timestamp(${value}::double precision) AT TIME ZONE ${literal(timezone)}`,
    ],
  }[how]
  return `CASE WHEN ${inYears} THEN to_char(${local}, 'YYYY-MM-DD') END`
}

/** 0001-01-02 and 9999-12-31, both in UTC: whatever the time zone, the year has four digits. */
const [firstEpoch, endEpoch] = [-62_135_510_400, 253_402_214_400]

function conditionOf(table: CatalogTable, { column, stored: how, timezone, from }: Condition): string {
  const type = momentOf(table, column, how)
  const value = inTable(column)
  if (how === "epoch") return `${value} >= ${from.getTime() / 1000}`
  const instant = `'${from.toISOString()}'::timestamptz`
  if (how === "instant") return `${value} >= ${instant}`
  const zone = literal(timezone)
  // When clocks go back, what comes after `from` may be written as an hour before it: that hour then counts as well.
  const local = `least(${instant} AT TIME ZONE ${zone}, (${instant} + '3 hours') AT TIME ZONE ${zone} - interval '3 hours')`
  return `${value} >= ${type === "date" ? `(${local})::date` : local}`
}
