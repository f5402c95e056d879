import { createReadStream } from "node:fs"
import { JobError } from "../../errors.ts"
import type { DatabaseAccess, SequenceValue } from "../database.ts"
import type { Loader, LoadNotes, LoadSession, TableColumns } from "../loader.ts"
import { describe, type MariadbSettings } from "./connect.ts"
import { type Allowed, allowed } from "./load-allowed.ts"
import { loadLines, loadMode, mariadbSession, specialColumns } from "./load-session.ts"
import { statements } from "./load-statements.ts"
import { run } from "./load-wire.ts"
import { quoteName, quoteText } from "./quote.ts"
import { Session } from "./session.ts"

/** Opens a MariaDB database for loading; what is loaded belongs to the role of the settings. */
export async function openMariadbLoader(settings: MariadbSettings, access: DatabaseAccess): Promise<Loader> {
  const { password, signal } = access
  const open = (): Promise<Session> => Session.open(settings, { password, signal, sendsRows: true })
  return new MariadbLoader(settings, { session: await open(), open, signal })
}

interface Sessions {
  readonly session: Session
  readonly open: () => Promise<Session>
  readonly signal: AbortSignal
}

/** Parts of a dump that rows need, and those that act on them. */
const before: ReadonlySet<Allowed["kind"]> = new Set(["setting", "table", "counter"])
const after: ReadonlySet<Allowed["kind"]> = new Set(["setting", "view", "code", "trigger", "event"])
const everything: ReadonlySet<Allowed["kind"]> = new Set([...before, ...after, "rows"])

class MariadbLoader implements Loader {
  readonly kind = "mariadb"
  readonly schema: string
  readonly description: string
  readonly #session: Session
  readonly #sessions: Sessions
  readonly #opened = new Set<Session>()
  /** Of `specialColumns`. */
  #special: ReadonlyMap<string, ReadonlySet<string>> | null = null
  /** The server ends what it does for a connection that is gone. */
  readonly #cut = (): void => {
    for (const session of this.#opened) session.destroy()
  }

  constructor(settings: MariadbSettings, sessions: Sessions) {
    this.schema = settings.name
    this.description = describe(settings)
    this.#session = sessions.session
    this.#sessions = sessions
    this.#opened.add(sessions.session)
    sessions.signal.addEventListener("abort", this.#cut, { once: true })
  }

  async #open(): Promise<Session> {
    const session = await this.#sessions.open()
    this.#opened.add(session)
    return session
  }

  async contents(): Promise<readonly string[]> {
    const name = quoteText(this.schema)
    const rows = await this.#session.query(
      `SELECT CONCAT(LOWER(TABLE_TYPE), ' ', TABLE_NAME) FROM information_schema.TABLES WHERE TABLE_SCHEMA = ${name}
      UNION ALL SELECT CONCAT(LOWER(ROUTINE_TYPE), ' ', ROUTINE_NAME) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = ${name}
      UNION ALL SELECT CONCAT('event ', EVENT_NAME) FROM information_schema.EVENTS WHERE EVENT_SCHEMA = ${name} ORDER BY 1 LIMIT 100`,
    )
    return rows.map(([what]) => what ?? "")
  }

  loadWhole(file: string): Promise<LoadNotes> {
    return this.#runDump(file, everything)
  }

  loadSchema(file: string, part: "before rows" | "after rows"): Promise<LoadNotes> {
    return this.#runDump(file, part === "before rows" ? before : after)
  }

  /** Over the protocol, statement by statement: no shell client sees them, and none that the server's own dump program does not write is run. */
  async #runDump(file: string, kinds: ReadonlySet<Allowed["kind"]>): Promise<LoadNotes> {
    await this.#refuseMightyRole()
    await using session = await this.#open()
    const events: string[] = []
    let definers = 0
    for await (const statement of statements(createReadStream(file, { highWaterMark: readBytes }))) {
      const { kind, text, name, definer } = allowed(statement)
      if (!kinds.has(kind)) continue
      await this.#runStatement(session, text, statement.line)
      if (definer) definers += 1
      if (kind !== "event" || name === undefined) continue
      // It would begin to act at once, on a copy.
      await run(session.channel, Buffer.from(`ALTER EVENT ${name} DISABLE`), this.description)
      events.push(name)
    }
    return {
      leftOut: [
        "grants and accounts: all belongs to the role that loads",
        ...(definers === 0 ? [] : ["definers of views, routines, triggers and events: they act as the role that loads"]),
        ...(events.length === 0 ? [] : [`the schedule of ${events.join(", ")}: disabled; ALTER EVENT … ENABLE starts it`]),
      ],
    }
  }

  async #runStatement(session: Session, text: Buffer, line: number): Promise<void> {
    try {
      if (/^\s*(?:SELECT|DO)\b/i.test(text.toString("latin1", 0, 16))) await session.query(text.toString("utf8"))
      else await run(session.channel, text, this.description)
    } catch (error) {
      if (!(error instanceof JobError)) throw error
      throw new JobError(error.code, `line ${line} of the dump: ${error.message}`, {
        cause: error,
        ...(error.hint === undefined ? {} : { hint: error.hint }),
      })
    }
  }

  /** SQL of a dump is code of whoever wrote the dump: it is run with rights that end at the database. */
  async #refuseMightyRole(): Promise<void> {
    const grants = (await this.#session.query("SHOW GRANTS")).map(([grant]) => grant ?? "")
    const mighty = grants.find((grant) => / ON \*\.\* /.test(grant) && !/^GRANT USAGE ON /.test(grant))
    if (mighty === undefined) return
    throw new JobError("job/target", `${this.description}: the role has rights on the whole server, not only on this database`, {
      hint: `load as a role of its own: GRANT ALL PRIVILEGES ON ${quoteName(this.schema)}.* TO it`,
    })
  }

  async loadRows({ schema, name, columns }: TableColumns, lines: AsyncIterable<Uint8Array>): Promise<number> {
    this.#special ??= await specialColumns(this.#session, this.schema)
    await using session = await this.#open()
    await session.query(loadMode)
    await session.query("SET SESSION foreign_key_checks = 0")
    const into = `${quoteName(schema)}.${quoteName(name)}`
    return await loadLines(session, { into, columns, special: this.#special.get(name) ?? new Set() }, lines, this.description)
  }

  async setSequences(values: readonly SequenceValue[]): Promise<void> {
    for (const { name, value } of values) {
      const [table = "", column] = name.slice(this.schema.length + 1).split(".")
      if (column === undefined) await this.#session.query(`SELECT SETVAL(${quoteName(table)}, ${value}, 0)`)
      else await run(this.#session.channel, Buffer.from(`ALTER TABLE ${quoteName(table)} AUTO_INCREMENT = ${value}`), this.description)
    }
  }

  async session(): Promise<LoadSession> {
    const session = await this.#open()
    await session.query(loadMode)
    return mariadbSession(session, { description: this.description, schema: this.schema })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#sessions.signal.removeEventListener("abort", this.#cut)
    await this.#session[Symbol.asyncDispose]()
  }
}

const readBytes = 1024 * 1024
