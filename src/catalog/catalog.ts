import { existsSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite"
import { JobError, reasonOf } from "../errors.ts"
import { schema, schemaVersion } from "./schema.ts"

/** A row as SQLite gives it: integers as bigint, so that nanoseconds and inodes keep all their bits. */
export type Row = Readonly<Record<string, unknown>>

/**
 * The local memory of what exists where: a cache. Losing it costs time, never results; nothing in it is believed about a site that the
 * site does not list itself. What it keeps for a while that nothing else has: items captured and not committed yet, and key objects
 * on their way to the sites.
 */
export class Catalog {
  readonly #database: DatabaseSync
  readonly #path: string
  readonly #statements = new Map<string, StatementSync>()

  private constructor(path: string, check: Check) {
    this.#path = path
    this.#database = openDatabase(path, check)
  }

  /**
   * Opens or makes the catalog. A damaged one is put aside under `<path>.damaged` and a new one begun; `onDamage` is told. What grows
   * with what is backed up is not read for that: damage there is met later, fails what met it, and puts the catalog aside the next time.
   */
  static open(path: string, onDamage: (reason: string) => void): Catalog {
    // What was met in one says nothing of another in its place.
    if (!existsSync(path)) rmSync(suspicion(path), { force: true })
    try {
      return new Catalog(path, "small tables")
    } catch (error) {
      if (path === ":memory:" || !existsSync(path) || !isDamage(error)) {
        throw new JobError("job/target", `catalog ${path}: ${reasonOf(error)}`, { cause: error, hint: "check the state directory" })
      }
      onDamage(reasonOf(error))
      putAside(path)
      return new Catalog(path, "small tables")
    }
  }

  /** For who only reads what is kept: a catalog that is damaged or locked is left as it is, and nothing is remembered. */
  static openToRead(path: string, check: Check = "whole"): Catalog {
    try {
      return new Catalog(path, check)
    } catch {
      return new Catalog(":memory:", "small tables")
    }
  }

  run(sql: string, ...values: SQLInputValue[]): void {
    try {
      this.#prepared(sql).run(...values)
    } catch (error) {
      throw this.#failed(error)
    }
  }

  get(sql: string, ...values: SQLInputValue[]): Row | undefined {
    try {
      return this.#prepared(sql).get(...values)
    } catch (error) {
      throw this.#failed(error)
    }
  }

  all(sql: string, ...values: SQLInputValue[]): Row[] {
    try {
      return this.#prepared(sql).all(...values)
    } catch (error) {
      throw this.#failed(error)
    }
  }

  /** Rows one by one; a statement of its own, since the caller may ask other things meanwhile. */
  *each(sql: string, ...values: SQLInputValue[]): Generator<Row> {
    try {
      const statement = this.#database.prepare(sql)
      statement.setReadBigInts(true)
      yield* statement.iterate(...values)
    } catch (error) {
      throw this.#failed(error)
    }
  }

  /**
   * All or nothing. Of what was done, a process that dies loses nothing; a machine that loses its power may lose the last of it, but
   * never what was done before a transaction that was `durable`.
   */
  transaction<T>(work: () => T, kept?: "durable"): T {
    if (kept === "durable") this.#database.exec("PRAGMA synchronous = FULL")
    try {
      return this.#transaction(work)
    } finally {
      if (kept === "durable") this.#database.exec("PRAGMA synchronous = NORMAL")
    }
  }

  #transaction<T>(work: () => T): T {
    this.#database.exec("BEGIN IMMEDIATE")
    try {
      const result = work()
      this.#database.exec("COMMIT")
      return result
    } catch (error) {
      // Where the disk is full, SQLite has rolled it back already.
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK")
      throw this.#failed(error)
    }
  }

  /** Questions that belong together: asked one by one, each takes and gives back the database's locks, which costs more than its answer. */
  reading<T>(work: () => T): T {
    this.#database.exec("BEGIN")
    try {
      return work()
    } finally {
      this.#database.exec("COMMIT")
    }
  }

  close(): void {
    this.#statements.clear()
    this.#database.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #failed(error: unknown): unknown {
    if (!damageCodes.has(codeOf(error))) return unwritable(error)
    if (this.#path !== ":memory:") writeFileSync(suspicion(this.#path), "")
    return new JobError("job/target", `the catalog is damaged: ${reasonOf(error)}`, {
      cause: error,
      hint: "run again: it is put aside then, and what it remembered is read again",
    })
  }

  #prepared(sql: string): StatementSync {
    const known = this.#statements.get(sql)
    if (known !== undefined) return known
    const statement = this.#database.prepare(sql)
    statement.setReadBigInts(true)
    this.#statements.set(sql, statement)
    return statement
  }
}

/** What is looked through when a catalog is opened. */
type Check = "small tables" | "whole"

/** Tables that grow with what is backed up: of millions of files, reading them takes longer than the run. */
const grownTables: ReadonlySet<string> = new Set(["item", "item_pack", "stretch", "memory", "reference", "inventory", "meta_member"])

function openDatabase(path: string, check: Check): DatabaseSync {
  if (existsSync(path) && existsSync(suspicion(path))) throw new Error("file is malformed: damage was met when it was used last")
  const database = new DatabaseSync(path)
  try {
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 5000; PRAGMA cache_size = -4000")
    const version = Number(database.prepare("PRAGMA user_version").get()?.user_version ?? 0)
    if (version !== 0 && version !== schemaVersion)
      throw new Error(`schema ${String(version)} is not this release's ${String(schemaVersion)}`)
    for (const pragma of check === "whole" ? ["quick_check(1)"] : smallTables(database)) {
      const answer = database.prepare(`PRAGMA ${pragma}`).get()?.quick_check
      if (answer !== "ok") throw new Error(`file is malformed: ${String(answer)}`)
    }
    if (version === 0) database.exec(`BEGIN; ${schema}; PRAGMA user_version = ${String(schemaVersion)}; COMMIT`)
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

function smallTables(database: DatabaseSync): string[] {
  const names = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all()
  return names.flatMap(({ name }) => (grownTables.has(String(name)) ? [] : `quick_check('${String(name)}')`))
}

/** SQLite's codes for a file that is not what it wrote. */
const damageCodes: ReadonlySet<number> = new Set([11, 26])

/** SQLite's codes for a disk that is full, fails or may not be written. */
const diskCodes: ReadonlySet<number> = new Set([8, 10, 13])

/** A disk that takes no more is no bug: someone can make room. */
function unwritable(error: unknown): unknown {
  if (!diskCodes.has(codeOf(error))) return error
  return new JobError("job/target", `the catalog cannot be written: ${reasonOf(error)}`, {
    cause: error,
    hint: "make room in the state directory, then run again: what was captured is not read twice",
  })
}

/** SQLite's code of an error without its details; 0 of another's. */
function codeOf(error: unknown): number {
  return error instanceof Error && "errcode" in error && typeof error.errcode === "number" ? error.errcode & 0xff : 0
}

/** What says that damage was met in a catalog. */
function suspicion(path: string): string {
  return `${path}.suspect`
}

function isDamage(error: unknown): boolean {
  return /malformed|not a database|schema|corrupt/i.test(reasonOf(error))
}

function putAside(path: string): void {
  for (const suffix of ["-wal", "-shm"]) rmSync(path + suffix, { force: true })
  rmSync(`${path}.damaged`, { force: true })
  rmSync(suspicion(path), { force: true })
  renameSync(path, `${path}.damaged`)
}
