import { existsSync } from "node:fs"
import { DatabaseSync, type SQLInputValue } from "node:sqlite"
import { JobError, reasonOf } from "../errors.ts"
import { leaseExpiryMs, leaseRenewMs } from "../limits.ts"
import { type Machine, type ProcessIdentity, thisMachine } from "../machine.ts"
import { formatDuration } from "../units.ts"
import type { Row } from "./catalog.ts"
import { nullable, numberOf, textOf } from "./rows.ts"

/** The right to work on a state directory, until it is disposed of or lost. */
export interface Lease extends Disposable {
  /** Grows with each lease of this directory: of two holders, the one with the higher number is right. */
  readonly fence: number
  /** Aborted once it is known that another process has taken the lease: the work ends there. */
  readonly lost: AbortSignal
  /** Whether it is still held: asked of the file, not of memory. */
  holds(): boolean
  /** Asked before each write that cannot be taken back; throws "job/superseded" where the lease was lost. */
  check(): void
}

export interface LeaseOptions {
  readonly machine: Machine
  /** How often the holder says that it is there. */
  readonly renewMs: number
  /** After how long a silence the lease is taken from a holder whose process is there. */
  readonly expiryMs: number
}

/**
 * At most one process at a time works on a state directory. Whoever holds the lease says so every few seconds. A holder whose process is
 * gone, or whose machine was started again, has lost it at once; one that is there but silent, as it was stopped, loses it after a while.
 * When that one goes on, its check refuses: the number of its lease is not the highest any more.
 */
export function lockState(path: string, options = usual()): Lease {
  const file = new LeaseFile(path)
  try {
    return hold(file, file.take(options), options)
  } catch (error) {
    file.close()
    throw error
  }
}

/** The number under which a process holds the lease of a path; null where none does. */
export function heldFence(path: string): number | null {
  if (!existsSync(path)) return null
  const { machine, expiryMs } = usual()
  const file = new LeaseFile(path)
  try {
    return file.holder(machine, expiryMs)?.fence ?? null
  } finally {
    file.close()
  }
}

function usual(): LeaseOptions {
  return { machine: thisMachine(), renewMs: leaseRenewMs, expiryMs: leaseExpiryMs }
}

function hold(file: LeaseFile, fence: number, { machine, renewMs, expiryMs }: LeaseOptions): Lease {
  const loss = new AbortController()
  const lose = (): void => {
    const message = `${file.path}: another process has taken over, as this one had not moved for ${formatDuration(expiryMs)}`
    loss.abort(new JobError("job/superseded", message, { hint: "nothing is wrong with what was stored: run it again" }))
  }
  const holds = (): boolean => {
    if (!loss.signal.aborted && !file.isHighest(fence)) lose()
    return !loss.signal.aborted
  }
  const timer = setInterval(() => {
    try {
      if (!loss.signal.aborted && !file.renew(fence, machine.steadyMs())) lose()
    } catch {
      // A disk may have its moments: what counts is the check before a write.
    }
  }, renewMs)
  timer.unref()
  return {
    fence,
    lost: loss.signal,
    holds,
    check() {
      holds()
      loss.signal.throwIfAborted()
    },
    [Symbol.dispose]() {
      clearInterval(timer)
      file.release(fence)
      file.close()
    },
  }
}

const table = `CREATE TABLE IF NOT EXISTS lease (
  id         INTEGER PRIMARY KEY CHECK (id = 1),
  fence      INTEGER NOT NULL,
  pid        INTEGER,
  started    TEXT,
  namespace  TEXT,
  boot       TEXT,
  machine    TEXT,
  renewed_ms INTEGER,
  renewed_at INTEGER
) STRICT;
INSERT OR IGNORE INTO lease (id, fence) VALUES (1, 0)`

interface Holder extends ProcessIdentity {
  readonly fence: number
}

/** One row: the highest number given out, and who holds it. */
class LeaseFile {
  readonly path: string
  readonly #database: DatabaseSync

  constructor(path: string) {
    this.path = path
    this.#database = new DatabaseSync(path)
    try {
      this.#database.exec(`PRAGMA busy_timeout = 5000; PRAGMA synchronous = FULL; ${table}`)
    } catch (error) {
      this.#database.close()
      throw new JobError("job/target", `${path}: ${reasonOf(error)}`, {
        cause: error,
        hint: "check the state directory; if no other holdline works with it, this file may be removed",
      })
    }
  }

  /** The new number; throws "job/busy" where a process holds the lease. */
  take({ machine, expiryMs }: LeaseOptions): number {
    const { pid, started, namespace, boot, machine: name } = machine.self
    this.#database.exec("BEGIN IMMEDIATE")
    try {
      const holder = this.holder(machine, expiryMs)
      if (holder !== null) throw busy(this.path, holder)
      this.#run(
        "UPDATE lease SET fence = fence + 1, pid = ?, started = ?, namespace = ?, boot = ?, machine = ?, renewed_ms = ?, renewed_at = unixepoch()",
        ...[pid, started, namespace, boot, name, machine.steadyMs()],
      )
      return numberOf(this.#row(), "fence")
    } finally {
      this.#database.exec("COMMIT")
    }
  }

  holder(machine: Machine, expiryMs: number): Holder | null {
    const row = this.#row()
    const pid = nullable(row, "pid", numberOf)
    if (pid === null) return null
    const [started, namespace, boot] = [textOf(row, "started"), textOf(row, "namespace"), textOf(row, "boot")]
    const holder = { fence: numberOf(row, "fence"), pid, started, namespace, boot, machine: textOf(row, "machine") }
    if (machine.isAlive(holder) === false) return null
    // Two machines share no time but what their clocks say.
    const sharesTime = boot === machine.self.boot
    const silentMs = sharesTime ? machine.steadyMs() - numberOf(row, "renewed_ms") : Math.abs(numberOf(row, "silent_s")) * 1000
    return silentMs > expiryMs ? null : holder
  }

  isHighest(fence: number): boolean {
    return numberOf(this.#row(), "fence") === fence
  }

  /** False where the lease of that number is not the highest any more. */
  renew(fence: number, steadyMs: number): boolean {
    return this.#run("UPDATE lease SET renewed_ms = ?, renewed_at = unixepoch() WHERE fence = ?", steadyMs, fence) > 0
  }

  release(fence: number): void {
    if (this.#database.isOpen) this.#run("UPDATE lease SET pid = NULL WHERE fence = ?", fence)
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close()
  }

  #row(): Row {
    const statement = this.#database.prepare("SELECT *, unixepoch() - renewed_at AS silent_s FROM lease")
    statement.setReadBigInts(true)
    return statement.get() ?? {}
  }

  #run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#database.prepare(sql).run(...values).changes)
  }
}

function busy(path: string, { pid }: ProcessIdentity): JobError {
  return new JobError("job/busy", `${path}: another process works with this state directory: pid ${String(pid)}`, {
    hint: "wait for it to end, or look for it with `holdline runs list`",
  })
}
