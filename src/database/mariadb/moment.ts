import { setTimeout as sleep } from "node:timers/promises"
import { JobError } from "../../errors.ts"
import { mariadbLockTries, mariadbLockWaitSeconds } from "../../limits.ts"
import type { Table } from "../database.ts"
import { quoteName } from "./quote.ts"
import { refusalNumber, type Session } from "./session.ts"

/** Going back to it lets go of the tables that were read: whoever wants to alter one need not wait for the snapshot's end. */
const savepoint = "holdline"
export const letGo = `ROLLBACK TO SAVEPOINT ${savepoint}`

/** How several readers come to see the same moment: something that holds back every commit while their transactions begin. */
interface Halt {
  readonly begin: readonly string[]
  readonly end: string
}

/**
 * Begins a transaction in each session so that all see one moment, and gives the sessions that do: all of them where commits can be held
 * back meanwhile, by MariaDB's BACKUP STAGE (with the privilege RELOAD) or by LOCK TABLES on the tables (with that privilege); else the
 * first alone. Writers wait for as long as the sessions take to begin, some milliseconds, and for a few seconds at most where a lock
 * has to be waited for. FLUSH TABLES WITH READ LOCK is not used: it waits for every long statement of the server, and all wait for it.
 */
export async function beginTogether(sessions: readonly Session[], options: MomentOptions): Promise<Moment> {
  const [first, ...others] = sessions
  if (first === undefined) throw new JobError("job/source", "a snapshot without readers: this is a bug")
  if (others.length > 0) {
    const { holder } = options
    const halts = haltsFor(options.tables)
    for (const halt of halts) {
      if (await tryHalt(holder, halt, sessions, options.signal)) return { together: sessions, reason: null }
    }
  }
  await begin(first, options.signal)
  const reason = "the role may neither hold back commits (RELOAD) nor lock the tables (LOCK TABLES), or others kept them locked"
  return { together: [first], reason: others.length === 0 ? null : reason }
}

export interface MomentOptions {
  /** A session of its own, for the locks. */
  readonly holder: Session
  readonly tables: readonly Pick<Table, "schema" | "name">[]
  readonly signal: AbortSignal
}

export interface Moment {
  readonly together: readonly Session[]
  /** Why there are fewer than asked for. */
  readonly reason: string | null
}

function haltsFor(tables: MomentOptions["tables"]): readonly Halt[] {
  const stage = { begin: ["BACKUP STAGE START", "BACKUP STAGE BLOCK_COMMIT"], end: "BACKUP STAGE END" }
  return tables.length === 0 ? [stage] : [stage, { begin: [lockStatement(tables)], end: "UNLOCK TABLES" }]
}

/** Keeps writers out of tables until UNLOCK TABLES. */
export function lockStatement(tables: readonly Pick<Table, "schema" | "name">[]): string {
  return `LOCK TABLES ${tables.map(({ schema, name }) => `${quoteName(schema)}.${quoteName(name)} READ`).join(", ")}`
}

async function begin(session: Session, signal: AbortSignal): Promise<void> {
  await session.query("START TRANSACTION WITH CONSISTENT SNAPSHOT", signal)
  await session.query(`SAVEPOINT ${savepoint}`, signal)
}

/** False where the role may not, the server cannot, or the lock was not to be had. */
async function tryHalt(holder: Session, halt: Halt, sessions: readonly Session[], signal: AbortSignal): Promise<boolean> {
  if (!(await takeLocks(holder, halt.begin, halt.end, signal))) return false
  try {
    await Promise.all(sessions.map((session) => begin(session, signal)))
  } finally {
    await holder.query(halt.end)
  }
  return true
}

/**
 * Runs statements that take locks, trying again where others hold them; false where they were not to be had, or may not be. Rejects with
 * a JobError where anything else failed.
 */
export async function takeLocks(holder: Session, statements: readonly string[], undo: string, signal: AbortSignal): Promise<boolean> {
  for (let attempt = 1; attempt <= mariadbLockTries; attempt++) {
    signal.throwIfAborted()
    try {
      for (const statement of statements) await holder.query(statement)
      return true
    } catch (error) {
      const number = refusalNumber(error)
      await holder.query(undo).catch(() => undefined)
      if (number !== null && forbidden.has(number)) return false
      if (number !== lockWaitTimeout) throw error
    }
    // Those who queued behind us go first.
    if (attempt < mariadbLockTries) await sleep(mariadbLockWaitSeconds * 1000, undefined, { signal })
  }
  return false
}

const lockWaitTimeout = 1205
/** Not known, not allowed: syntax, access to the database, a table, a server-wide privilege, an unknown statement. */
const forbidden: ReadonlySet<number> = new Set([1044, 1064, 1142, 1227, 1295])
