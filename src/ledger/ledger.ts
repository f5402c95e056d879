import { DatabaseSync } from "node:sqlite"
import { z } from "zod"
import { timestamp } from "../clock.ts"
import { digestSchema } from "../digest-schema.ts"
import { JobError, reasonOf } from "../errors.ts"
import { type LedgerEntry, type LedgerEvent, type LedgerPlace, ledgerOrigin, nextLine, parseLine } from "./entry.ts"
import type { KeptLine } from "./verify.ts"

const schema = `
CREATE TABLE entry (n INTEGER PRIMARY KEY, what TEXT NOT NULL, sha256 TEXT NOT NULL, line TEXT NOT NULL) STRICT;
CREATE INDEX entry_what ON entry (what, n);
CREATE TABLE floor (one INTEGER PRIMARY KEY CHECK (one = 1), n INTEGER NOT NULL, sha256 TEXT NOT NULL) STRICT;`
const schemaVersion = 1

const place = z.object({ n: z.int().nonnegative(), sha256: digestSchema })
const kept = z.object({ n: z.int().positive(), line: z.string() })

/**
 * The host's own record of what was done, by whom, and what came of it: lines that are only ever added, each naming the one before by
 * its SHA-256. Several processes may write; a line that was added is on the disk.
 */
export class Ledger {
  readonly #database: DatabaseSync
  readonly #path: string

  private constructor(database: DatabaseSync, path: string) {
    this.#database = database
    this.#path = path
  }

  /** Opens or makes a ledger. JobError where it cannot be read or is not one. */
  static open(path: string): Ledger {
    let database: DatabaseSync | undefined
    try {
      database = new DatabaseSync(path)
      database.exec("PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; BEGIN IMMEDIATE")
      const version = Number(database.prepare("PRAGMA user_version").get()?.user_version ?? 0)
      if (version > schemaVersion) throw new Error(`version ${String(version)} is newer than this release's ${String(schemaVersion)}`)
      if (version === 0) database.exec(`${schema}; PRAGMA user_version = ${String(schemaVersion)}`)
      database.exec("COMMIT")
      return new Ledger(database, path)
    } catch (error) {
      database?.close()
      throw unusable(path, error)
    }
  }

  /** Adds an entry and gives its place. `time` is when it ended. */
  append(event: LedgerEvent, at: { readonly host: string; readonly time: Date }): LedgerPlace {
    return this.#writing(() => this.#add(event, at))
  }

  /** The last entry's place; before the first one: the origin. */
  head(): LedgerPlace {
    const last = this.#database.prepare("SELECT n, sha256 FROM entry ORDER BY n DESC LIMIT 1").get()
    return last === undefined ? this.floor() : place.parse(last)
  }

  /** The last place that was pruned. */
  floor(): LedgerPlace {
    const row = this.#database.prepare("SELECT n, sha256 FROM floor").get()
    return row === undefined ? ledgerOrigin : place.parse(row)
  }

  /** The last entry of a kind. */
  last(what: LedgerEvent["what"]): LedgerEntry | null {
    const row = this.#database.prepare("SELECT n, line FROM entry WHERE what = ? ORDER BY n DESC LIMIT 1").get(what)
    return row === undefined ? null : parseLine(kept.parse(row).line)
  }

  /** When the first entry after a place was written; null where there is none, or it is no entry. */
  firstAfter(n: number): Date | null {
    for (const { line } of this.lines(n + 1)) {
      const time = parseLine(line)?.time
      return time === undefined ? null : new Date(time)
    }
    return null
  }

  /** Lines in their order, oldest first. */
  *lines(from = 0): Generator<KeptLine> {
    for (const row of this.#database.prepare("SELECT n, line FROM entry WHERE n >= ? ORDER BY n").iterate(from)) yield kept.parse(row)
  }

  /**
   * Removes entries from before a moment, and none after `anchored`, which must be signed elsewhere first: what it followed from can be
   * proven then. Says so in an entry of its own. Gives how many.
   */
  prune(before: Date, anchored: LedgerPlace, by: { readonly who: string; readonly host: string; readonly time: Date }): number {
    return this.#writing(() => {
      const limit = timestamp(before)
      let [last, count]: [LedgerPlace | null, number] = [null, 0]
      const rows = this.#database.prepare("SELECT n, sha256, line FROM entry WHERE n <= ? ORDER BY n").iterate(anchored.n)
      for (const row of rows) {
        const time = parseLine(kept.parse(row).line)?.time
        // What cannot be read stays, for whoever asks what became of it.
        if (time === undefined || time >= limit) break
        last = place.parse(row)
        count += 1
      }
      if (last === null) return 0
      this.#database.prepare("DELETE FROM entry WHERE n <= ?").run(last.n)
      this.#database.prepare("INSERT OR REPLACE INTO floor VALUES (1, ?, ?)").run(last.n, last.sha256)
      const { who, host, time } = by
      this.#add({ what: "pruned", subject: "ledger", who, outcome: "ok", details: { entries: count, until: last.n } }, { host, time })
      return count
    })
  }

  close(): void {
    this.#database.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #add(event: LedgerEvent, { host, time }: { readonly host: string; readonly time: Date }): LedgerPlace {
    const { line, place: added } = nextLine(this.head(), event, { time: timestamp(time), host })
    this.#database.prepare("INSERT INTO entry VALUES (?, ?, ?, ?)").run(added.n, event.what, added.sha256, line)
    return added
  }

  // Another process may add between a look at the head and a write: both are one transaction.
  #writing<T>(work: () => T): T {
    try {
      this.#database.exec("BEGIN IMMEDIATE")
      const result = work()
      this.#database.exec("COMMIT")
      return result
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK")
      throw unusable(this.#path, error)
    }
  }
}

function unusable(path: string, cause: unknown): JobError {
  return new JobError("job/target", `ledger ${path}: ${reasonOf(cause)}`, {
    cause,
    hint: "check the state directory; a ledger is never begun anew by itself: move a damaged one aside and keep it",
  })
}
