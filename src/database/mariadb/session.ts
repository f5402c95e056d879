import { JobError } from "../../errors.ts"
import { mariadbAnswerBytesMax, mariadbLockWaitSeconds, mariadbPatienceSeconds } from "../../limits.ts"
import { unescapeField } from "../rows.ts"
import { Channel } from "./channel.ts"
import { describe, type Login, logIn, type MariadbSettings } from "./connect.ts"
import { Refusal, TextResult } from "./result.ts"

/** The fields of a row as text; null for NULL. */
export type Row = readonly (string | null)[]

const comQuery = 0x03
const comQuit = 0x01
const packetBytesMax = 0xfffffe

/** What a session needs that the server's own settings might not give: those the server knows are set, whatever its version. */
const wanted: ReadonlyMap<string, string> = new Map([
  ["character_set_results", "NULL"], // bytes as they are stored
  ["time_zone", "'+00:00'"],
  ["sql_mode", "''"],
  ["sql_select_limit", "18446744073709551615"],
  ["sql_big_selects", "1"],
  // Who reads slowly, or not at all for a while because the sites are slow, keeps the connection.
  ["net_write_timeout", String(mariadbPatienceSeconds)],
  ["net_read_timeout", String(mariadbPatienceSeconds)],
  ["wait_timeout", String(mariadbPatienceSeconds)],
  ["idle_transaction_timeout", "0"],
  ["idle_readonly_transaction_timeout", "0"],
  ["max_statement_time", "0"],
  ["max_execution_time", "0"],
  ["lock_wait_timeout", String(mariadbLockWaitSeconds)],
  // The longest key of InnoDB has 3072 bytes; beyond max_sort_length the server takes different values for equal.
  ["max_sort_length", "4096"],
  // MySQL 8 else tells AUTO_INCREMENT values that are a day old.
  ["information_schema_stats_expiry", "0"],
])

/** One connection, set up so that values come as they are stored. One statement at a time; others wait their turn. */
export class Session implements AsyncDisposable {
  readonly threadId: number
  /** As LoggedIn has it. */
  readonly extendedMetadata: boolean
  readonly #channel: Channel
  readonly #description: string
  #turn: Promise<unknown> = Promise.resolve()
  #unfinished: TextResult | null = null

  private constructor(channel: Channel, description: string, who: { readonly threadId: number; readonly extendedMetadata: boolean }) {
    this.#channel = channel
    this.#description = description
    this.threadId = who.threadId
    this.extendedMetadata = who.extendedMetadata
  }

  /** Connects and sets the session up. Rejects with a JobError or the signal's reason. */
  static async open(settings: MariadbSettings, access: Login): Promise<Session> {
    const loggedIn = await logIn(settings, access)
    const session = new Session(new Channel(loggedIn.socket, describe(settings)), describe(settings), loggedIn)
    try {
      await session.prepare()
      return session
    } catch (error) {
      session.destroy()
      throw error
    }
  }

  /** Sets the session's variables, as after the login; a transaction that is open stays so. */
  async prepare(): Promise<void> {
    await this.query("SET NAMES utf8mb4")
    const names = [...wanted.keys()].map((name) => `'${name}'`).join(", ")
    const known = await this.query(`SHOW SESSION VARIABLES WHERE Variable_name IN (${names})`)
    const assignments = known.map(([name]) => `${name} = ${wanted.get(name ?? "") ?? "DEFAULT"}`)
    await this.query(`SET SESSION ${assignments.join(", ")}`)
    await this.query("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
  }

  get lost(): boolean {
    return this.#channel.lost
  }

  /** Runs one statement and gives its rows. Rejects with a JobError, whose cause is a Refusal where the server said no. */
  query(sql: string, signal?: AbortSignal): Promise<readonly Row[]> {
    const result = this.#turn.then(() => this.#query(sql, signal))
    this.#turn = result.catch(() => undefined)
    return result
  }

  async #query(sql: string, signal: AbortSignal | undefined): Promise<readonly Row[]> {
    const pieces: Buffer[] = []
    let bytes = 0
    for await (const piece of this.lines(sql, signal)) {
      pieces.push(piece)
      bytes += piece.length
      if (bytes > mariadbAnswerBytesMax) throw new JobError("job/source", `${this.#description}: a description of more than ${bytes} bytes`)
    }
    return Buffer.concat(pieces)
      .toString("latin1")
      .split("\n")
      .slice(0, -1)
      .map((line) => line.split("\t").map(textOf))
  }

  /**
   * Runs one statement and gives its rows as lines, cut anywhere; the caller sees to it that no other statement runs. Where it is left
   * before its end, `settle` makes the session usable again.
   */
  async *lines(sql: string, signal?: AbortSignal): AsyncGenerator<Buffer> {
    if (this.#unfinished !== null) throw new JobError("job/source", `${this.#description}: a statement within another: this is a bug`)
    const payload = Buffer.concat([Buffer.of(comQuery), Buffer.from(sql)])
    if (payload.length > packetBytesMax) throw new JobError("job/source", `${this.#description}: a statement of ${payload.length} bytes`)
    const result = new TextResult()
    this.#unfinished = result
    this.#channel.send(payload)
    while (!result.done) yield* this.#pushed(result, await this.#channel.next(signal))
    this.#unfinished = null
    if (result.refusal !== null)
      throw new JobError("job/source", `${this.#description}: ${result.refusal.message}`, { cause: result.refusal })
  }

  #pushed(result: TextResult, chunk: Buffer): readonly Buffer[] {
    try {
      return result.push(chunk)
    } catch (error) {
      this.destroy()
      throw error
    }
  }

  /**
   * Ends a statement that was left before its end, with the help of another session, and keeps the transaction it ran in. Where that
   * does not work within `patienceMs` the connection is closed.
   */
  async settle(helper: Session, patienceMs: number): Promise<void> {
    const result = this.#unfinished
    if (result === null || this.lost) return
    const timer = setTimeout(() => this.destroy(), patienceMs)
    try {
      await helper.query(`KILL QUERY ${this.threadId}`)
      while (!result.done) result.push(await this.#channel.next())
      this.#unfinished = null
      await this.#absorb()
    } catch {
      this.destroy()
    } finally {
      clearTimeout(timer)
    }
  }

  /** A kill that came when the statement had just ended hits the next one: this one. */
  async #absorb(): Promise<void> {
    try {
      await this.query("DO 0")
    } catch (error) {
      if (refusalNumber(error) !== queryInterrupted) throw error
    }
    await this.query("DO 0")
  }

  /** The bytes of the connection, for who speaks the server's language himself; no statement of ours may run meanwhile. */
  get channel(): Channel {
    return this.#channel
  }

  destroy(): void {
    this.#channel.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#unfinished === null) this.#channel.send(Buffer.of(comQuit))
    // Gives the farewell the turn of the event loop it needs to leave.
    await new Promise((resolve) => setImmediate(resolve))
    this.#channel.destroy()
  }
}

/** The statement was killed (ER_QUERY_INTERRUPTED). */
const queryInterrupted = 1317

/** The server's number for why it refused a statement; null where something else failed. */
export function refusalNumber(error: unknown): number | null {
  return error instanceof JobError && error.cause instanceof Refusal ? error.cause.number : null
}

function textOf(field: string): string | null {
  const text = unescapeField(field)
  return text === null ? null : Buffer.from(text, "latin1").toString("utf8")
}
