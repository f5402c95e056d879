import type { Condition, Lead, RowsQuery, Table } from "../database/database.ts"
import { unescapeField } from "../database/rows.ts"
import { type Digest, sha256 } from "../digest.ts"
import { ConfigError } from "../errors.ts"
import { checkedDay } from "./cdr-moment.ts"
import type { ProfileCdr, ProfileMedia, ProfileMoment } from "./profile.ts"
import type { SourceMemory } from "./source.ts"
import { stableIdOf } from "./tables.ts"

/** Whose the rows of a database are where a table does not say, and where its dates were written. */
export interface CdrDefaults {
  readonly single: string | undefined
  readonly timezone: string
  readonly media: (media: ProfileMedia) => string
}

/** A moment of a row: which field it is, and how to read it. */
export interface MomentField {
  readonly index: number
  readonly column: string
  readonly stored: ProfileMoment["stored"]
  readonly timezone: string
}

/** How the rows of one table of call detail records are read. */
export interface CdrPlan {
  readonly table: Table
  /** "schema.table". */
  readonly name: string
  /** In the order of the fields of a line. */
  readonly columns: readonly string[]
  /** Indexes of the fields that tell rows apart; empty where only their content does. */
  readonly key: readonly number[]
  readonly day: MomentField
  readonly ended: MomentField
  /** When a row came or changed, its day first. */
  readonly moments: readonly MomentField[]
  readonly account: CdrAccount
  readonly overlapMs: number
  readonly windowMs: number
  readonly media: readonly { readonly rule: ProfileMedia; readonly root: string }[]
  readonly description: Description
}

export type CdrAccount =
  | { readonly kind: "one"; readonly stableId: string }
  | { readonly kind: "column"; readonly column: string; readonly ofNull: "platform" | "mixed"; readonly said: boolean }

/** What a reader of pieces needs; the pieces name it by its digest. */
export interface Description {
  readonly bytes: Buffer
  readonly sha256: Digest
  /** What names of pieces carry. */
  readonly short: string
  /** Of the names of the columns in their order: rows of other columns are other rows, though their bytes be the same. */
  readonly columns: Digest
}

const overlapMsDefault = 25 * 3_600_000
const windowMsDefault = 35 * 86_400_000

/** Holds the rules for a table against the table as it is. Throws a ConfigError where they name a column that it does not have. */
export function planCdrTable(table: Table, rules: ProfileCdr, defaults: CdrDefaults): CdrPlan {
  const name = `${table.schema}.${table.name}`
  const stored = table.columns.filter(({ generated }) => !generated)
  const columns = stored.map((column) => column.name)
  const field = (column: string) => {
    const index = columns.indexOf(column)
    if (index !== -1) return index
    throw new ConfigError(
      "config/invalid",
      `${name}: the rules for its call detail records name the column ${column}, which it does not have`,
      {
        hint: `its columns are ${columns.join(", ")}`,
      },
    )
  }
  const moment = ({ column, stored: how, timezone }: ProfileMoment): MomentField => {
    return { index: field(column), column, stored: how, timezone: timezone ?? defaults.timezone }
  }
  const day = moment(rules.day)
  const keyColumns = rules.key ?? table.key
  if (rules.account !== undefined) field(rules.account)
  return {
    ...{ table, name, columns, day },
    key: keyColumns.map(field),
    ended: rules.ended === undefined ? day : moment(rules.ended),
    moments: [rules.day, rules.insert, rules.update].filter((each) => each !== undefined).map(moment),
    account: accountOf(rules, defaults),
    overlapMs: rules.overlap ?? overlapMsDefault,
    windowMs: rules.window ?? windowMsDefault,
    media: (rules.media ?? []).map((rule) => ({ rule, root: defaults.media(rule) })),
    description: describe(table, stored, keyColumns, day),
  }
}

function accountOf({ account, null: ofNull }: ProfileCdr, { single }: CdrDefaults): CdrAccount {
  if (account === undefined) return { kind: "one", stableId: single ?? "mixed" }
  return { kind: "column", column: account, ofNull: ofNull ?? "mixed", said: ofNull !== undefined }
}

function describe(table: Table, stored: Table["columns"], key: readonly string[], day: MomentField): Description {
  const columns = stored.map(({ name, type }) => ({ name, type }))
  const { column, stored: how, timezone } = day
  const json = { v: 1, schema: table.schema, name: table.name, columns, key, day: { column, stored: how, timezone } }
  const bytes = Buffer.from(`${JSON.stringify(json, null, 1)}\n`)
  const digest = sha256(bytes)
  return { bytes, sha256: digest, short: digest.slice(0, 16), columns: sha256(JSON.stringify(columns.map(({ name }) => name))) }
}

/** The query for a table's rows of `from` on, and of those without any moment where `undated` says so; for all its rows where `from` is null. */
export function rowsQuery(plan: CdrPlan, from: Date | null, { undated }: { readonly undated: boolean }): RowsQuery {
  const { table, columns, account, day, key, moments } = plan
  const lead: Lead[] = account.kind === "one" ? [] : [{ kind: "value", column: account.column, via: [] }]
  lead.push({ kind: "day", column: day.column, stored: day.stored, timezone: day.timezone })
  const order = key.length === 0 ? table.key : key.flatMap((index) => columns[index] ?? [])
  const conditions = from === null ? [] : distinct(moments).map((moment): Condition => ({ ...condition(moment), from }))
  const all = { table, lead, columns, order }
  if (from === null) return all
  const names = distinct(moments).map(({ column }) => column)
  return { ...all, where: conditions, ...(undated && names.every((name) => isNullable(table, name)) && { undated: names }) }
}

function isNullable({ columns }: Table, name: string): boolean {
  return columns.some((column) => column.name === name && column.nullable)
}

function condition({ column, stored, timezone }: MomentField): Omit<Condition, "from"> {
  return { column, stored, timezone }
}

function distinct(moments: readonly MomentField[]): MomentField[] {
  return moments.filter(({ column }, index) => moments.findIndex((other) => other.column === column) === index)
}

/** Whose rows are, and of which day. */
export interface CdrPlace {
  readonly stableId: string
  /** Null where the rows do not say. */
  readonly day: string | null
  /** Rows of no account that any rule puts under `mixed`: someone must look at them. */
  readonly unattributed: boolean
}

/** What the lead fields of rows say. */
export function placeOf(lead: string, { account }: CdrPlan, memory: SourceMemory): CdrPlace {
  const fields = lead.split("\t")
  const day = checkedDay(unescapeField(fields.at(-1) ?? "\\N"))
  if (account.kind === "one") return { stableId: account.stableId, day, unattributed: false }
  const owner = ownerNamed(unescapeField(fields[0] ?? "\\N"), account.ofNull, memory)
  return { stableId: owner.stableId, day, unattributed: owner.stableId === "mixed" && !(owner.none && account.said) }
}

/** Whose what bears this name is, one character a byte; `none` where it bears no name. */
export function ownerNamed(
  bytes: string | null,
  ofNull: "platform" | "mixed",
  memory: SourceMemory,
): { readonly stableId: string; readonly none: boolean } {
  if (bytes === null || bytes === "") return { stableId: ofNull, none: true }
  const name = utf8(bytes)
  if (name === null || /\p{Cc}/u.test(name)) return { stableId: "mixed", none: false }
  return { stableId: memory.accountNamed(name) ?? stableIdOf(name, ofNull), none: false }
}

// Two customers whose names are no UTF-8 must not become one.
function utf8(latin1: string): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.from(latin1, "latin1"))
  } catch {
    return null
  }
}
