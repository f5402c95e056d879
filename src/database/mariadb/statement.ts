import { JobError } from "../../errors.ts"
import type { Condition, Join, Lead, RowsQuery } from "../database.ts"
import type { MariadbColumn, MariadbTable } from "./catalog.ts"
import { quoteName } from "./quote.ts"
import { earliestLocalMs, offsetExpression } from "./zone.ts"

/** What is known of a table by schema and name; undefined for one of another database. */
export type FindTable = (schema: string, name: string) => MariadbTable | undefined

/**
 * The SELECT that answers a query for rows, so that each value comes as the text from which the server makes exactly the same value
 * again. Throws a JobError for tables and columns that are not there.
 *
 * Leads: text in UTF-8, bytes as they are, anything else as the server writes it; a day is NULL where the moment is NULL or no date.
 */
export function selectOf(query: RowsQuery, find: FindTable): string {
  const table = find(query.table.schema, query.table.name)
  if (table === undefined)
    throw new JobError("job/source", `${query.table.schema}.${query.table.name}: no such table, or the role may not see it`)
  const joins: string[] = []
  const leads = query.lead.map((lead, index) => `${leadOf(lead, index, table, find, joins)} AS ${leadName(index)}`)
  const columns = query.columns.map((name) => exactly(column(table, name)))
  if (leads.length + columns.length === 0)
    throw new JobError("job/source", `${table.schema}.${table.name}: no columns asked for: this is a bug`)
  const undated = query.undated?.map((name) => `t.${quoteName(column(table, name).name)} IS NULL`).join(" AND ")
  const conditions = [
    ...(query.where ?? []).map((condition) => holds(condition, table)),
    ...(undated === undefined ? [] : [`(${undated})`]),
  ]
  const where = query.where === undefined ? [] : [`WHERE ${conditions.join(" OR ") || "FALSE"}`]
  const order = orderOf(query, table)
  return [
    `SELECT SQL_NO_CACHE ${[...leads, ...columns].join(", ")}`,
    `FROM ${quoteName(table.schema)}.${quoteName(table.name)} AS t`,
    ...joins,
    ...where,
    ...(order.length === 0 ? [] : [`ORDER BY ${order.join(", ")}`]),
  ].join(" ")
}

function leadName(index: number): string {
  return quoteName(`lead ${index}`)
}

function leadOf(lead: Lead, index: number, table: MariadbTable, find: FindTable, joins: string[]): string {
  if (lead.kind === "day") return dayOf(lead, column(table, lead.column))
  let from: { readonly alias: string; readonly table: MariadbTable } = { alias: "t", table }
  for (const [step, join] of lead.via.entries()) {
    const target = find(join.schema, join.table)
    if (target === undefined) throw new JobError("job/source", `${join.schema}.${join.table}: no such table, or the role may not see it`)
    const alias = `j${index}_${step}`
    joins.push(
      `LEFT JOIN ${quoteName(join.schema)}.${quoteName(join.table)} AS ${alias} ON ${joinOn(join, from, { alias, table: target })}`,
    )
    from = { alias, table: target }
  }
  const found = column(from.table, lead.column)
  const name = `${from.alias}.${quoteName(found.name)}`
  if (isBinary(found)) return name
  return found.characterSet === "" ? `CAST(${name} AS CHAR)` : `CONVERT(${name} USING utf8mb4)`
}

type Aliased = { readonly alias: string; readonly table: MariadbTable }

/** Texts of two collations are compared by that of the key, whose index then still serves. */
function joinOn(join: Join, from: Aliased, to: Aliased): string {
  const [own, key] = [column(from.table, join.column), column(to.table, join.key)]
  const [left, right] = [`${from.alias}.${quoteName(own.name)}`, `${to.alias}.${quoteName(key.name)}`]
  const differ = own.collation !== "" && key.collation !== "" && own.collation !== key.collation
  return differ ? `CONVERT(${left} USING ${key.characterSet}) COLLATE ${key.collation} = ${right}` : `${left} = ${right}`
}

function dayOf(lead: Extract<Lead, { kind: "day" }>, found: MariadbColumn): string {
  const name = `t.${quoteName(found.name)}`
  if (lead.stored === "local") return `IF(DAYOFMONTH(${name}) > 0 AND MONTH(${name}) > 0, DATE(${name}), NULL)`
  if (lead.stored === "epoch") {
    const seconds = found.characterSet === "" ? name : `(NULLIF(${name}, '') + 0)`
    const offset = offsetExpression(lead.timezone, (second) => `${seconds} < ${second}`)
    return `DATE('1970-01-01' + INTERVAL (FLOOR(${seconds}) + ${offset}) SECOND)`
  }
  const offset = offsetExpression(lead.timezone, (second) => `${name} < '${written(second * 1000)}'`)
  return `DATE(${name} + INTERVAL ${offset} SECOND)`
}

/** FLOAT is written with six digits, or as many as the column says: as DOUBLE it has all the digits it takes. */
function exactly(found: MariadbColumn): string {
  const name = `t.${quoteName(found.name)}`
  return found.dataType === "float" ? `${name} * 1e0` : name
}

function holds(condition: Condition, table: MariadbTable): string {
  const name = `t.${quoteName(column(table, condition.column).name)}`
  const ms = condition.from.getTime()
  if (condition.stored === "epoch") return `${name} >= ${String(ms / 1000)}`
  const at = condition.stored === "instant" ? ms : earliestLocalMs(condition.timezone, condition.from)
  return `${name} >= '${written(at)}'`
}

/** A moment as the server writes it. */
function written(ms: number): string {
  return new Date(ms).toISOString().replace("T", " ").replace("Z", "")
}

function orderOf(query: RowsQuery, table: MariadbTable): readonly string[] {
  if (query.order === undefined) return []
  const leads = query.lead.flatMap((_, index) => [`${leadName(index)} IS NULL`, `CAST(${leadName(index)} AS BINARY)`])
  const keyless = table.key.length === 0
  const columns = query.order.map((name) => {
    const found = column(table, name)
    return keyless ? exactOrder(found) : `t.${quoteName(found.name)}`
  })
  return [...leads, ...columns]
}

/** The server sorts by the first bytes of a value only: for long ones by their sum, so that rows that differ never count as equal. */
function exactOrder(found: MariadbColumn): string {
  const name = `t.${quoteName(found.name)}`
  const long = found.bytesMax > sortedBytesMax || unbounded.has(found.dataType)
  return long ? `SHA2(${name}, 256)` : `CAST(${exactly(found)} AS BINARY)`
}

const sortedBytesMax = 1024
const unbounded: ReadonlySet<string> = new Set([
  "json",
  "geometry",
  "point",
  "linestring",
  "polygon",
  "multipoint",
  "multilinestring",
  "multipolygon",
  "geometrycollection",
  "vector",
])

function isBinary({ dataType }: MariadbColumn): boolean {
  return /^(binary|varbinary|.*blob|bit|geometry|point|.*linestring|.*polygon|multipoint|geometrycollection|vector)$/.test(dataType)
}

function column(table: MariadbTable, name: string): MariadbColumn {
  const found = table.columns.find((each) => each.name === name)
  if (found === undefined) throw new JobError("job/source", `${table.schema}.${table.name}: no column ${name}`)
  return found
}
