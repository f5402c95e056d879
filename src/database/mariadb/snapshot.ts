import { join } from "node:path"
import { anyOf } from "../../abort.ts"
import { JobError } from "../../errors.ts"
import { snapshotAttemptsMax } from "../../limits.ts"
import type { DatabaseAccess, RowsQuery, SequenceValue, Snapshot } from "../database.ts"
import { type MariadbTable, readSequences, readTables } from "./catalog.ts"
import type { MariadbSettings } from "./connect.ts"
import { dump } from "./dump.ts"
import { beginTogether, lockStatement, takeLocks } from "./moment.ts"
import { Readers } from "./readers.ts"
import { Session } from "./session.ts"
import { spooled } from "./spool.ts"
import { selectOf } from "./statement.ts"

export interface SnapshotOptions {
  readonly readers: number
  /**
   * Also keep writers out of the tables that no snapshot covers (MyISAM, Aria, MEMORY), from the moment on and until the snapshot ends.
   * Default: no. Each such table is then read in one statement, during which the server keeps writers out by itself: consistent in
   * itself, but as of when it is read. Its rows go to a file in the scratch directory first, so that writers do not wait for the sites.
   */
  readonly lockOthers?: boolean
}

export interface SnapshotPlace {
  readonly settings: MariadbSettings
  readonly access: DatabaseAccess
  readonly description: string
  readonly serverVersion: string
}

/** A Snapshot of MariaDB, with what a report should say of it. */
export interface MariadbSnapshot extends Snapshot {
  tables(): Promise<readonly MariadbTable[]>
  /** Sentences on what this snapshot is not: fewer readers than asked for, tables that it does not cover. */
  readonly notes: readonly string[]
}

/**
 * Begins a snapshot. One reader needs no more than SELECT; several see the same moment only where commits can be held back while they
 * begin (see `beginTogether`), else there is one. mariadb-dump is lent one of the readers, so that `whole` is of that moment too. What
 * tables look like is in no snapshot of MariaDB: where one was altered or dropped since, `rows` of it, `schema` and `whole` reject.
 * Routines, triggers and events are as of when the dump runs.
 */
export async function beginSnapshot(place: SnapshotPlace, options: SnapshotOptions): Promise<MariadbSnapshot> {
  for (let attempt = 1; attempt <= snapshotAttemptsMax; attempt++) {
    const opened = await tryBegin(place, options)
    if (opened !== null) return new OpenSnapshot(place, opened)
  }
  throw new JobError("job/source", `${place.description}: tables came, went or were altered each time a snapshot began`)
}

/** Null where tables came, went or were altered while it began. */
async function tryBegin({ settings, access, description }: SnapshotPlace, options: SnapshotOptions): Promise<Opened | null> {
  const opened: Session[] = []
  const open = async (): Promise<Session> => {
    const session = await Session.open(settings, access)
    opened.push(session)
    return session
  }
  try {
    const helper = await open()
    const tables = await readTables(helper, settings.name)
    const others = tables.filter(({ transactional }) => !transactional)
    const locked = options.lockOthers === true && others.length > 0
    if (locked) await lockOthers(await open(), others, description, access.signal)
    const holder = await open()
    const sessions = await Promise.all(Array.from({ length: Math.max(1, options.readers) }, open))
    const covered = tables.filter(({ transactional }) => transactional)
    const { together, reason } = await beginTogether(sessions, { holder, tables: covered, signal: access.signal })
    for (const session of [holder, ...sessions]) if (!together.includes(session)) await session[Symbol.asyncDispose]()
    const now = await readTables(helper, settings.name)
    if (now.length !== tables.length || changedSince(tables, now).length > 0) {
      for (const session of opened) session.destroy()
      return null
    }
    const notes = [...(reason === null ? [] : [`one reader instead of ${options.readers}: ${reason}`]), ...notCovered(others, locked)]
    return { opened, helper, readers: new Readers(together, helper, description), tables, notes }
  } catch (error) {
    for (const session of opened) session.destroy()
    throw error
  }
}

/** Names of tables that are no longer there, or no longer look as they did. */
function changedSince(before: readonly MariadbTable[], now: readonly MariadbTable[]): readonly string[] {
  const shapes = new Map(now.map((table) => [table.name, shapeOf(table)]))
  return before.filter((table) => shapes.get(table.name) !== shapeOf(table)).map(({ name }) => name)
}

function shapeOf({ columns, key, references, transactional }: MariadbTable): string {
  return JSON.stringify([columns, key, references, transactional])
}

async function lockOthers(holder: Session, tables: readonly MariadbTable[], description: string, signal: AbortSignal): Promise<void> {
  if (await takeLocks(holder, [lockStatement(tables)], "UNLOCK TABLES", signal)) return
  throw new JobError("job/source", `${description}: the tables that no snapshot covers cannot be locked`, {
    hint: "grant LOCK TABLES on the database, or look for who holds them locked",
  })
}

function notCovered(tables: readonly MariadbTable[], locked: boolean): readonly string[] {
  if (tables.length === 0 || locked) return []
  const names = tables.map(({ name }) => name).join(", ")
  return [`not transactional, each as of when it was read: ${names}`]
}

interface Opened {
  readonly opened: readonly Session[]
  readonly helper: Session
  readonly readers: Readers
  readonly tables: readonly MariadbTable[]
  readonly notes: readonly string[]
}

class OpenSnapshot implements MariadbSnapshot {
  readonly notes: readonly string[]
  readonly #place: SnapshotPlace
  readonly #opened: Opened
  readonly #tables: ReadonlyMap<string, MariadbTable>
  #spools = 0

  constructor(place: SnapshotPlace, opened: Opened) {
    this.notes = opened.notes
    this.#place = place
    this.#opened = opened
    this.#tables = new Map(opened.tables.map((table) => [table.name, table]))
  }

  async tables(): Promise<readonly MariadbTable[]> {
    return this.#opened.tables
  }

  sequences(): Promise<readonly SequenceValue[]> {
    return readSequences(this.#opened.helper, this.#place.settings.name)
  }

  async *rows(query: RowsQuery, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const find = (schema: string, name: string) => (schema === this.#place.settings.name ? this.#tables.get(name) : undefined)
    const statement = selectOf(query, find)
    const waits = find(query.table.schema, query.table.name)?.transactional === false
    const read = (session: Session, either: AbortSignal) => session.lines(statement, either)
    yield* waits ? this.#spooled(signal, read) : this.#lent(signal, read)
  }

  schema(signal: AbortSignal): AsyncIterable<Uint8Array> {
    return this.#dump("schema", signal)
  }

  whole(signal: AbortSignal): AsyncIterable<Uint8Array> {
    return this.#dump("whole", signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.#opened.opened) await session[Symbol.asyncDispose]()
  }

  async *#dump(what: "schema" | "whole", signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { access, description, serverVersion, settings } = this.#place
    const { helper, tables } = this.#opened
    yield* this.#lent(signal, (session, either) =>
      dump(session, { what, database: settings.name, tables, serverVersion, access, signal: either }),
    )
    const changed = changedSince(tables, await readTables(helper, settings.name))
    if (changed.length === 0) return
    throw new JobError("job/source", `${description}: altered or dropped since the snapshot began: ${changed.join(", ")}`)
  }

  async *#lent(signal: AbortSignal, read: Read): AsyncGenerator<Uint8Array> {
    const either = anyOf(signal, this.#place.access.signal)
    const session = await this.#opened.readers.lend(either)
    try {
      yield* read(session, either)
    } finally {
      await this.#opened.readers.giveBack(session)
    }
  }

  /** The server keeps writers out of such a table until the last row has left it, and readers who come after the first such writer. */
  async *#spooled(signal: AbortSignal, read: Read): AsyncGenerator<Uint8Array> {
    const either = anyOf(signal, this.#place.access.signal)
    const session = await this.#opened.readers.lend(either)
    this.#spools += 1
    const path = join(this.#place.access.scratch, `rows-${session.threadId}-${this.#spools}`)
    yield* spooled(read(session, either), path, () => this.#opened.readers.giveBack(session))
  }
}

type Read = (session: Session, either: AbortSignal) => AsyncIterable<Uint8Array>
