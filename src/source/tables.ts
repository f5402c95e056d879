import { isUtf8 } from "node:buffer"
import picomatch from "picomatch"
import type { Column, Lead, Table } from "../database/database.ts"
import { unescapeField } from "../database/rows.ts"
import { ConfigError } from "../errors.ts"
import { count } from "../units.ts"
import { isReservedAccount } from "./source.ts"
import type { TableRule, Tenancy } from "./tenancy.ts"

/** How one table is captured. */
export interface TablePlan {
  readonly table: Table
  /** "schema.table". */
  readonly name: string
  /** What is read of it: everything that the server does not compute. */
  readonly columns: readonly Column[]
  readonly owner: TableOwner
  /** Where among the columns the names of accounts stand, if this is their table; otherwise null. */
  readonly namesIn: number | null
}

/** Whose the rows are: all one account's, or each that of its lead field. */
export type TableOwner =
  | { readonly kind: "one"; readonly stableId: string }
  | { readonly kind: "column"; readonly lead: Lead; readonly ofNull: "platform" | "mixed" }

export interface TablePlans {
  readonly captured: readonly TablePlan[]
  /** Left out by the map, and why; those that a job of call detail records captures. */
  readonly ignored: readonly { readonly name: string; readonly why: string }[]
  readonly cdrs: readonly string[]
}

/**
 * Holds a tenancy map against the tables that are really there. Throws a ConfigError where a table is in no line of it, where a line does
 * not fit its table, and where a table said to hold no customer's data has a column that names an account: a guess would keep one
 * customer's rows under another's key.
 */
export function planTables(tenancy: Tenancy, tables: readonly Table[], database: string): TablePlans {
  const known = new Map(tables.map((table) => [nameOf(table), table]))
  const twin = tables.find((table) => known.get(nameOf(table)) !== table)
  if (twin !== undefined) {
    throw new ConfigError("config/invalid", `${database}: two tables are called ${nameOf(twin)}: their rows could not be told apart`, {
      hint: "rename one of the tables or schemas, so that no dot is in its name",
    })
  }
  const problems: Problem[] = []
  const captured: TablePlan[] = []
  const ignored: { name: string; why: string }[] = []
  const cdrs: string[] = []
  for (const table of tables) {
    const name = nameOf(table)
    const rule = ruleOf(tenancy, table)
    if (rule === undefined) problems.push({ name, why: "is in no line of the tenancy map", line: suggestion(tenancy, table) })
    else if (typeof rule === "object" && "ignore" in rule) ignored.push({ name, why: rule.ignore })
    else if (typeof rule === "object" && "cdr" in rule) cdrs.push(name)
    else {
      const owner = ownerOf(rule, tenancy, table, known)
      const columns = table.columns.filter(({ generated }) => !generated)
      if ("kind" in owner) captured.push({ table, name, columns, owner, namesIn: namesIn(tenancy, table, columns) })
      else problems.push(owner)
    }
  }
  if (problems.length > 0) throw unplanned(database, problems)
  return { captured, ignored, cdrs }
}

interface Problem {
  readonly name: string
  readonly why: string
  /** What to write in the map. */
  readonly line: string
}

function nameOf({ schema, name }: Pick<Table, "schema" | "name">): string {
  return `${schema}.${name}`
}

function ruleOf(tenancy: Tenancy, table: Table): TableRule | undefined {
  const { tables, patterns, single } = tenancy
  for (const name of [nameOf(table), table.name]) if (Object.hasOwn(tables, name)) return tables[name]
  const found = patterns.find(({ match }) => picomatch.isMatch(nameOf(table), match) || picomatch.isMatch(table.name, match))
  if (found !== undefined) return found.rule
  return single === undefined ? undefined : "mixed"
}

function ownerOf(rule: TableRule, tenancy: Tenancy, table: Table, known: ReadonlyMap<string, Table>): TableOwner | Problem {
  const name = nameOf(table)
  if (rule === "shared") {
    const column = accountColumn(tenancy, table)
    if (column === undefined) return { kind: "one", stableId: "platform" }
    const why = `is said to be shared, and its column ${column} names an account`
    return { name, why, line: `${name}: {account: ${column}, null: platform}` }
  }
  if (rule === "mixed") return { kind: "one", stableId: tenancy.single ?? "mixed" }
  if (typeof rule !== "object" || !("account" in rule)) return { name, why: "has a rule that is none", line: suggestion(tenancy, table) }
  let at = table
  for (const { column, table: to, key } of rule.via ?? []) {
    const next = known.get(to) ?? known.get(`${table.schema}.${to}`)
    if (!has(at, column))
      return { name, why: `has no path to its account: ${nameOf(at)} has no column ${column}`, line: suggestion(tenancy, table) }
    if (next === undefined || !has(next, key))
      return { name, why: `has no path to its account: there is no ${to}.${key}`, line: suggestion(tenancy, table) }
    at = next
  }
  if (!has(at, rule.account)) return { name, why: `has no column ${rule.account}, which its line names`, line: suggestion(tenancy, table) }
  const via = (rule.via ?? []).map(({ column, table: to, key }) => ({ column, key, ...partsOf(to, table.schema) }))
  return { kind: "column", lead: { kind: "value", column: rule.account, via }, ofNull: rule.null ?? "mixed" }
}

function namesIn({ accounts }: Tenancy, table: Table, columns: readonly Column[]): number | null {
  if (accounts?.name === undefined || !leadsTo({ schema: table.schema, table: table.name }, accounts.table)) return null
  const at = columns.findIndex(({ name }) => name === accounts.name)
  return at === -1 ? null : at
}

function has(table: Table, column: string): boolean {
  return table.columns.some(({ name }) => name === column)
}

function partsOf(name: string, schema: string): { readonly schema: string; readonly table: string } {
  const dot = name.indexOf(".")
  return dot === -1 ? { schema, table: name } : { schema: name.slice(0, dot), table: name.slice(dot + 1) }
}

/** A column of the table that names an account. */
function accountColumn({ accounts }: Tenancy, table: Table): string | undefined {
  if (accounts === undefined) return undefined
  const names = new Set([accounts.id, ...(accounts.columns ?? [])])
  const byName = table.columns.find(({ name }) => names.has(name))?.name
  return byName ?? table.references.find((reference) => leadsTo(reference, accounts.table))?.columns[0]
}

function leadsTo({ schema, table }: { readonly schema: string; readonly table: string }, name: string): boolean {
  return name === table || name === `${schema}.${table}`
}

/** The line that fits the table best, for a person to look at. */
function suggestion(tenancy: Tenancy, table: Table): string {
  const name = nameOf(table)
  const column = accountColumn(tenancy, table)
  if (column !== undefined) return `${name}: {account: ${column}}`
  for (const { columns, toColumns, schema, table: to } of table.references) {
    const rule = tenancy.tables[`${schema}.${to}`] ?? tenancy.tables[to]
    const [from] = columns
    const [key] = toColumns
    if (typeof rule !== "object" || !("account" in rule) || from === undefined || key === undefined) continue
    const further = (rule.via ?? []).map((join) => `, {column: ${join.column}, table: ${join.table}, key: ${join.key}}`).join("")
    return `${name}: {account: ${rule.account}, via: [{column: ${from}, table: ${schema}.${to}, key: ${key}}${further}]}`
  }
  return `${name}: shared    # or mixed, if it holds customers' data`
}

const shownProblems = 5

function unplanned(database: string, problems: readonly Problem[]): ConfigError {
  const shown = problems.slice(0, shownProblems).map(({ name, why }) => `${name} ${why}`)
  const more = problems.length - shown.length
  const rest = more > 0 ? `; and ${count(more, "more table")}` : ""
  const lines = problems.map(({ line }) => line).join("\n  ")
  return new ConfigError("config/invalid", `${database}: whose rows these are is not known: ${shown.join("; ")}${rest}`, {
    hint: `look at them, then add to the tenancy map, under \`tables\`:\n  ${lines}`,
  })
}

/** The account that a name stands for; "mixed" for one that no customer can have, or that no directory can be named by. */
export function stableIdOf(field: string | null, ofNull: "platform" | "mixed"): string {
  if (field === null || field === "") return ofNull
  const unfit = isReservedAccount(field) || Buffer.byteLength(field) > stableIdBytesMax || /\p{Cc}/u.test(field)
  return unfit || encodeURIComponent(field).length > componentBytesMax ? "mixed" : field
}

const stableIdBytesMax = 200
/** Of a file system: restored, an account's rows stand in a directory of its name, encoded as accountPath does. */
const componentBytesMax = 255

/** The account of rows by their lead field, as it stands in a line, one character a byte. */
export function stableIdOfLead(lead: string, ofNull: "platform" | "mixed"): string {
  const field = unescapeField(lead)
  if (field === null) return ofNull
  const bytes = Buffer.from(field, "latin1")
  // Two customers whose names are no UTF-8 must not become one.
  return isUtf8(bytes) ? stableIdOf(bytes.toString("utf8"), ofNull) : "mixed"
}
