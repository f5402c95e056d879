import { JobError } from "../errors.ts"
import type { Join } from "./database.ts"
import { fateColumn, type LoadSession, numberColumn, originColumn, type TargetReference, type TargetTable } from "./loader.ts"
import { mergeOrder, parentOf } from "./merge-order.ts"

/** Rows of one table that are to be merged. */
export interface MergeTable {
  readonly schema: string
  readonly name: string
  /** In the order of the fields. */
  readonly columns: readonly string[]
  /** Where a row's account stands; null: all rows of the table are this account's. */
  readonly owner: { readonly column: string; readonly via: readonly Join[] } | null
  readonly lines: () => AsyncIterable<Uint8Array>
  /** Rows of nobody's that the account's may need; null: none. */
  readonly shared: (() => AsyncIterable<Uint8Array>) | null
}

/** What to do where the database has another row under the same key. */
export type OnConflict = "stop" | "keep" | "replace"

/** What would become of the rows of one table. */
export interface TableFates {
  readonly table: TargetTable
  /** Of the account. */
  readonly staged: number
  readonly new: number
  readonly equal: number
  /** The same key, other values. */
  readonly different: number
  /** The key belongs to a row of another account. */
  readonly foreign: number
  /** Another row has what no two rows may share, such as an extension's number. */
  readonly clashes: readonly { readonly unique: string; readonly rows: number }[]
  /** Rows of nobody's that come with them. */
  readonly shared: number
  /** Rows that the account has there and that are not among the kept ones; they stay. */
  readonly onlyThere: number
}

/** Rows whose foreign key leads to nothing: neither there nor among what comes. */
export interface Dangling {
  readonly table: TargetTable
  readonly reference: TargetReference
  readonly rows: number
}

interface Staged {
  readonly table: MergeTable
  readonly target: TargetTable
  /** Name as SQL writes it. */
  readonly name: string
  /** Columns that tell rows apart; empty: all together, and how often they are there. */
  readonly key: readonly string[]
}

/**
 * Merges rows of one account into tables that are in use. Rows are first laid into private tables and compared; then one transaction takes
 * them, all or none. What the account has there besides stays. No row of another account is changed.
 */
export class Merge {
  readonly #session: LoadSession
  readonly #account: string
  readonly #onConflict: OnConflict
  readonly #staged: Staged[] = []
  /** The tables, and those that the way to an account leads over. */
  #all: readonly TargetTable[] = []
  readonly #clashes = new Map<Staged, { readonly unique: string; readonly rows: number }[]>()

  constructor(session: LoadSession, account: string, onConflict: OnConflict) {
    this.#session = session
    this.#account = account
    this.#onConflict = onConflict
  }

  /** Lays the rows beside the tables; gives how many of the account's there are in each. Rejects where a table or column is not there. */
  async stage(tables: readonly MergeTable[]): Promise<readonly { readonly table: MergeTable; readonly rows: number }[]> {
    const onTheWay = tables.flatMap(({ owner }) => (owner?.via ?? []).map(({ schema, table }) => ({ schema, name: table })))
    this.#all = await this.#session.tables([...tables, ...onTheWay])
    const targets = this.#all
    const problems: string[] = []
    const pairs = tables.map((table) => ({ table, target: targets.find((one) => one.schema === table.schema && one.name === table.name) }))
    for (const { table, target } of pairs) problems.push(...misfits(table, target))
    if (problems.length > 0) {
      throw new JobError("job/target", `the database does not fit: ${problems.join("; ")}`, {
        hint: "bring it to the version the rows were kept from, or restore the whole database beside it",
      })
    }
    const counts: { table: MergeTable; rows: number }[] = []
    for (const { table, target } of pairs) if (target !== undefined) counts.push({ table, rows: await this.#lay(table, target) })
    return counts
  }

  async #lay(table: MergeTable, target: TargetTable): Promise<number> {
    const session = this.#session
    const name = await session.stage(table)
    const key = target.key.every((column) => table.columns.includes(column)) ? target.key : []
    const rows = await session.fill(name, table.columns, table.lines())
    await session.execute(`UPDATE ${name} SET ${originColumn} = 'account'`)
    if (table.shared !== null) {
      await session.fill(name, table.columns, table.shared())
      await session.execute(`UPDATE ${name} SET ${originColumn} = 'shared' WHERE ${originColumn} IS NULL`)
    }
    if (key.length > 0) await session.index(name, key)
    this.#staged.push({ table, target, name, key })
    return rows
  }

  /** Compares what was laid with what is there. */
  async compare(): Promise<void> {
    for (const staged of this.#staged) {
      if (staged.key.length > 0) await this.#compareByKey(staged)
      else await this.#compareByCount(staged)
      await this.#findClashes(staged)
    }
    await this.#needShared()
  }

  async #compareByKey(one: Staged): Promise<void> {
    const { table, target, name, key } = one
    const { dialect } = this.#session
    const live = dialect.table(target)
    const same = table.columns.map((column) => dialect.same(this.#text("s", column), this.#text("t", column))).join(" AND ")
    const fate = `CASE WHEN ${same} THEN 'equal' WHEN ${this.#owned("t", one)} THEN 'different' ELSE 'foreign' END`
    const found = (what: string, otherwise: string): string =>
      `COALESCE((SELECT ${what} FROM ${live} AS t WHERE ${this.#equal("t", key, "s", key)}), ${otherwise})`
    await this.#session.execute(
      `UPDATE ${name} AS s SET ${fateColumn} = CASE WHEN ${originColumn} = 'account' THEN ${found(fate, "'new'")} ELSE ${found("'equal'", "'spare'")} END`,
    )
  }

  /** Of rows that only differ in how often they are there, those beyond what is there are new. */
  async #compareByCount(one: Staged): Promise<void> {
    const { table, target, name } = one
    const { dialect } = this.#session
    const print = (alias: string): string => dialect.print(table.columns.map((column) => this.#text(alias, column)))
    const there = `SELECT ${print("t")} AS p, COUNT(*) AS n FROM ${dialect.table(target)} AS t WHERE ${this.#owned("t", one)} GROUP BY ${print("t")}`
    const laid = `SELECT s.${numberColumn} AS at, ${print("s")} AS p, ROW_NUMBER() OVER (PARTITION BY ${print("s")} ORDER BY s.${numberColumn}) AS n FROM ${name} AS s WHERE s.${originColumn} = 'account'`
    await this.#session.execute(`UPDATE ${name} SET ${fateColumn} = CASE WHEN ${originColumn} = 'account' THEN 'new' ELSE 'spare' END`)
    await this.#session.execute(
      `UPDATE ${name} SET ${fateColumn} = 'equal' WHERE ${numberColumn} IN (SELECT at FROM (SELECT l.at FROM (${laid}) AS l JOIN (${there}) AS h ON h.p = l.p WHERE l.n <= h.n) AS x)`,
    )
  }

  async #findClashes(one: Staged): Promise<void> {
    const { table, target, name, key } = one
    const live = this.#session.dialect.table(target)
    const clashes: { readonly unique: string; readonly rows: number }[] = []
    for (const { name: unique, columns } of target.uniques) {
      if (!columns.every((column) => table.columns.includes(column))) continue
      const other = key.length === 0 ? "" : ` AND NOT (${this.#equal("t", key, "s", key)})`
      const clashing = `EXISTS (SELECT 1 FROM ${live} AS t WHERE ${this.#equal("t", columns, "s", columns)}${other})`
      const where = `s.${fateColumn} IN ('new', 'different', 'spare') AND ${clashing}`
      const rows = await this.#count(`SELECT COUNT(*) AS n FROM ${name} AS s WHERE s.${originColumn} = 'account' AND ${where}`)
      await this.#session.execute(`UPDATE ${name} AS s SET ${fateColumn} = 'clash' WHERE ${where}`)
      if (rows > 0) clashes.push({ unique, rows })
    }
    this.#clashes.set(one, clashes)
  }

  /** Of the rows of nobody's those that something which comes leads to, and what these lead to in turn. */
  async #needShared(): Promise<void> {
    for (let found = 1; found > 0; ) {
      found = 0
      for (const child of this.#staged) {
        for (const { reference, parent } of this.#references(child)) {
          if (parent === undefined || parent.table.shared === null) continue
          const needs = this.#equal("s", reference.columns, "p", reference.toColumns)
          const needed = `SELECT p.${numberColumn} AS at FROM ${parent.name} AS p JOIN ${child.name} AS s ON ${needs} WHERE p.${fateColumn} = 'spare' AND s.${fateColumn} IN (${this.#coming})`
          const rows = await this.#count(`SELECT COUNT(*) AS n FROM (SELECT DISTINCT x.at FROM (${needed}) AS x) AS y`)
          if (rows === 0) continue
          await this.#session.execute(
            `UPDATE ${parent.name} SET ${fateColumn} = 'new' WHERE ${numberColumn} IN (SELECT at FROM (${needed}) AS x)`,
          )
          found += rows
        }
      }
    }
  }

  /** Counts them; what is only there, which reads all of the account's rows, where that is asked for. */
  async fates(options: { readonly onlyThere: boolean }): Promise<readonly TableFates[]> {
    const fates: TableFates[] = []
    for (const one of this.#staged) {
      const rows = await this.#session.rows(
        `SELECT ${originColumn} AS origin, ${fateColumn} AS fate, COUNT(*) AS n FROM ${one.name} GROUP BY ${originColumn}, ${fateColumn}`,
      )
      const of = (origin: string, fate?: string): number =>
        rows.filter((row) => row[0] === origin && (fate === undefined || row[1] === fate)).reduce((sum, [, , n]) => sum + Number(n), 0)
      fates.push({
        table: one.target,
        staged: of("account"),
        new: of("account", "new"),
        equal: of("account", "equal"),
        different: of("account", "different"),
        foreign: of("account", "foreign"),
        clashes: this.#clashes.get(one) ?? [],
        shared: of("shared", "new"),
        onlyThere: options.onlyThere ? await this.#onlyThere(one, of("account", "equal")) : 0,
      })
    }
    return fates
  }

  async #onlyThere(one: Staged, equal: number): Promise<number> {
    const { target, name, key } = one
    const live = `${this.#session.dialect.table(target)} AS t WHERE ${this.#owned("t", one)}`
    if (key.length === 0) return (await this.#count(`SELECT COUNT(*) AS n FROM ${live}`)) - equal
    const kept = `SELECT 1 FROM ${name} AS s WHERE s.${originColumn} = 'account' AND ${this.#equal("s", key, "t", key)}`
    return await this.#count(`SELECT COUNT(*) AS n FROM ${live} AND NOT EXISTS (${kept})`)
  }

  /** Foreign keys that nothing fulfils. `now`: as the tables are, with what has come already. */
  async dangling(when: "before" | "now"): Promise<readonly Dangling[]> {
    const { dialect } = this.#session
    const found: Dangling[] = []
    for (const child of this.#staged) {
      for (const { reference, parent } of this.#references(child)) {
        const { columns, toColumns, schema, table } = reference
        const there = `SELECT 1 FROM ${dialect.table({ schema, name: table })} AS t WHERE ${this.#equal("t", toColumns, "s", columns)}`
        const comes =
          parent === undefined || when === "now" || !toColumns.every((column) => parent.table.columns.includes(column))
            ? ""
            : ` AND NOT EXISTS (SELECT 1 FROM ${parent.name} AS p WHERE p.${fateColumn} IN ('equal', ${this.#coming}) AND ${this.#equal("p", toColumns, "s", columns)})`
        const set = columns.map((column) => `s.${dialect.name(column)} IS NOT NULL`).join(" AND ")
        const rows = await this.#count(
          `SELECT COUNT(*) AS n FROM ${child.name} AS s WHERE s.${fateColumn} IN (${this.#coming}) AND ${set} AND NOT EXISTS (${there})${comes}`,
        )
        if (rows > 0) found.push({ table: child.target, reference, rows })
      }
    }
    return found
  }

  /**
   * Puts the rows in and, where conflicts are replaced, changes those that differ; gives how many of each by table. Must run within a
   * transaction, which is to be rolled back where this rejects: when a row does not belong to the account, or fewer came than should.
   */
  async apply(fates: readonly TableFates[]): Promise<ReadonlyMap<TargetTable, Applied>> {
    const { dialect } = this.#session
    const order = mergeOrder(
      this.#staged.map(({ target }) => target),
      dialect.checksAfterStatement,
    )
    if (dialect.deferAll !== null) await this.#session.execute(dialect.deferAll)
    const applied = new Map<TargetTable, Applied>()
    const inOrder = order.tables.flatMap((target) => this.#staged.find((one) => one.target === target) ?? [])
    for (const one of inOrder) {
      const inserted = await this.#insert(one, order.late.get(one.target) ?? [])
      const { new: expected = 0, shared = 0 } = fates.find(({ table }) => table === one.target) ?? {}
      if (inserted !== expected + shared) throw counted(one, inserted, expected + shared)
      applied.set(one.target, { inserted, replaced: 0 })
    }
    for (const one of inOrder) {
      const late = order.late.get(one.target) ?? []
      if (late.length > 0) await this.#set(one, late, `s.${fateColumn} = 'new'`)
      const rest = one.table.columns.filter((column) => !one.key.includes(column))
      if (this.#onConflict !== "replace" || rest.length === 0 || one.key.length === 0) continue
      const replaced = await this.#set(one, rest, `s.${fateColumn} = 'different'`)
      const { different = 0 } = fates.find(({ table }) => table === one.target) ?? {}
      if (replaced !== different) throw counted(one, replaced, different)
      applied.set(one.target, { inserted: applied.get(one.target)?.inserted ?? 0, replaced })
    }
    await this.#checkOwners()
    return applied
  }

  async #insert({ table, target, name }: Staged, late: readonly string[]): Promise<number> {
    const { dialect } = this.#session
    const values = table.columns.map((column) => (late.includes(column) ? "NULL" : `s.${dialect.name(column)}`)).join(", ")
    const select = `SELECT ${values} FROM ${name} AS s WHERE s.${fateColumn} = 'new'`
    return await this.#session.change(dialect.insert(dialect.table(target), table.columns, select))
  }

  async #set({ target, name, key }: Staged, columns: readonly string[], where: string): Promise<number> {
    const { dialect } = this.#session
    const set = columns.map((column) => [column, `s.${dialect.name(column)}`] as const)
    return await this.#session.change(
      dialect.update({ target: dialect.table(target), source: name, on: this.#equal("t", key, "s", key), set, where }),
    )
  }

  /** Rows that say they are the account's, and by their own columns or the rows they hang on are not. */
  async #checkOwners(): Promise<void> {
    for (const one of this.#staged) {
      const { table, name } = one
      const foreign = await this.#count(
        `SELECT COUNT(*) AS n FROM ${name} AS s WHERE s.${originColumn} = 'account' AND s.${fateColumn} IN (${this.#coming}) AND NOT COALESCE(${this.#owned("s", one)}, 1 = 0)`,
      )
      if (foreign === 0) continue
      throw new JobError(
        "job/target",
        `${table.schema}.${table.name}: ${foreign} of the kept rows belong to another account: nothing was changed`,
        {
          hint: "the snapshot was made by someone who should not have; look at its run and its agent",
        },
      )
    }
  }

  /** Fates of rows that come. */
  get #coming(): string {
    return this.#onConflict === "replace" ? "'new', 'different'" : "'new'"
  }

  #references(child: Staged): { readonly reference: TargetReference; readonly parent: Staged | undefined }[] {
    return child.target.references
      .filter(({ columns }) => columns.every((column) => child.table.columns.includes(column)))
      .map((reference) => {
        const target = parentOf(
          reference,
          this.#staged.map((one) => one.target),
        )
        return { reference, parent: this.#staged.find((one) => one.target === target && target !== undefined) }
      })
  }

  /** Whether a row of the table, or one laid beside it, is the account's. */
  #owned(alias: string, { table: { owner }, target }: Staged): string {
    const { dialect } = this.#session
    if (owner === null) return "1 = 1"
    const account = dialect.literal(this.#account)
    // The first finds an index; the second tells apart what a collation takes for equal.
    const is = (one: string): string => {
      const column = `${one}.${dialect.name(owner.column)}`
      return `${column} = ${account} AND ${dialect.text(column)} = ${dialect.text(account)}`
    }
    const [first, ...further] = owner.via
    if (first === undefined) return `(${is(alias)})`
    let from = `${dialect.table({ schema: first.schema, name: first.table })} AS j0`
    let last = this.#joined(first)
    for (const [at, join] of further.entries()) {
      const next = this.#joined(join)
      const on = this.#joins([`j${at}`, join.column, last], [`j${at + 1}`, join.key, next])
      from += ` JOIN ${dialect.table({ schema: join.schema, name: join.table })} AS j${at + 1} ON ${on}`
      last = next
    }
    const start = this.#joins([alias, first.column, target], ["j0", first.key, this.#joined(first)])
    return `EXISTS (SELECT 1 FROM ${from} WHERE ${start} AND ${is(`j${further.length}`)})`
  }

  #joined({ schema, table }: Join): TargetTable | undefined {
    return this.#all.find((one) => one.schema === schema && one.name === table)
  }

  /** Some platforms keep a uuid as text on one side; the two are then compared as texts. */
  #joins([one, column, table]: Side, [other, key, to]: Side): string {
    const { dialect } = this.#session
    const typeOf = (target: TargetTable | undefined, name: string): string | undefined =>
      target?.columns.find((candidate) => candidate.name === name)?.type
    const sides = [`${one}.${dialect.name(column)}`, `${other}.${dialect.name(key)}`]
    const types = [typeOf(table, column), typeOf(to, key)]
    const compared = types[0] !== types[1] && types.includes("uuid") ? sides.map((side) => dialect.text(side)) : sides
    return compared.join(" = ")
  }

  #equal(one: string, columns: readonly string[], other: string, otherColumns: readonly string[]): string {
    const { dialect } = this.#session
    return columns.map((column, at) => `${one}.${dialect.name(column)} = ${other}.${dialect.name(otherColumns[at] ?? "")}`).join(" AND ")
  }

  #text(alias: string, column: string): string {
    const { dialect } = this.#session
    return dialect.text(`${alias}.${dialect.name(column)}`)
  }

  async #count(statement: string): Promise<number> {
    return Number((await this.#session.rows(statement))[0]?.[0])
  }
}

export interface Applied {
  readonly inserted: number
  readonly replaced: number
}

type Side = readonly [alias: string, column: string, table: TargetTable | undefined]

function misfits(table: MergeTable, target: TargetTable | undefined): string[] {
  const name = `${table.schema}.${table.name}`
  if (target === undefined) return [`it has no table ${name}`]
  if (table.columns.length === 0) return [`${name}: no columns were kept`]
  const here = new Map(target.columns.map((column) => [column.name, column]))
  return [
    ...table.columns.filter((column) => !here.has(column)).map((column) => `${name} has no column ${column}`),
    ...table.columns.filter((column) => here.get(column)?.generated === true).map((column) => `${name}: ${column} is computed there`),
    ...target.columns
      .filter(({ name: column, required }) => required && !table.columns.includes(column))
      .map((column) => `${name}: ${column.name} must have a value, and none was kept`),
  ]
}

function counted({ target }: Staged, came: number, expected: number): JobError {
  return new JobError("job/target", `${target.schema}.${target.name}: ${came} rows came of ${expected}: nothing was changed`, {
    hint: "a trigger or a rule of the table holds rows back; restore with triggers kept from acting",
  })
}
