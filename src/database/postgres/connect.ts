import { isIP } from "node:net"
import { pipeline } from "node:stream/promises"
import { Client, type ClientConfig } from "pg"
import { z } from "zod"
import { databaseConnectMs, databaseKeepAliveMs, databaseLockWaitMs, postgresSortMemory } from "../../limits.ts"
import type { Secret } from "../../secret.ts"
import { CopyTap, copyFrom } from "./copy.ts"
import { postgresFailure } from "./failure.ts"
import { literal } from "./quote.ts"
import type { Route } from "./route.ts"

/** Who connects where, once the settings were followed. */
export interface Target {
  readonly route: Route
  readonly database: string
  readonly user: string
  readonly password: Secret | undefined
  /** For errors: Database.description. */
  readonly description: string
}

/**
 * One session of a Postgres server. Queries wait for each other. Every rejection is a JobError; once the connection is lost, all reject.
 */
export interface PostgresConnection {
  /** The server's process, as pg_cancel_backend knows it. */
  readonly pid: number
  /** Runs one statement; its rows must be what `row` says. */
  rows<T>(row: z.ZodType<T>, text: string, values?: readonly unknown[]): Promise<T[]>
  /** Runs statements without parameters, whose rows nobody needs. */
  execute(text: string): Promise<void>
  /**
   * Starts a COPY … TO STDOUT; each piece is valid until the next is asked for. What it gave is complete once a later `execute` resolved.
   * Its errors are the driver's own.
   */
  copyOut(text: string): AsyncIterable<Uint8Array>
  /** Runs a COPY … FROM STDIN to its end and gives how many rows the server took. */
  copyIn(text: string, lines: AsyncIterable<Uint8Array>): Promise<number>
  /** Says goodbye. */
  end(): Promise<void>
  /** Cuts the connection, whatever is under way. */
  destroy(): void
}

/** Connects, and sets what the contract of Database promises of the text of values. */
export async function connectPostgres(target: Target, signal: AbortSignal): Promise<PostgresConnection> {
  signal.throwIfAborted()
  const client = new Client(clientConfig(target))
  let lost: Error | undefined
  // Without a listener, a server that goes away while nobody asks would end the whole process.
  client.on("error", (error) => {
    lost ??= error
  })
  const cut = (): void => destroy(client)
  signal.addEventListener("abort", cut, { once: true })
  try {
    await client.connect()
    const connection = { pid: await begin(client), ...methods(client, target.description, () => lost) }
    signal.throwIfAborted()
    return connection
  } catch (error) {
    cut()
    signal.throwIfAborted()
    throw postgresFailure(target.description, error)
  } finally {
    signal.removeEventListener("abort", cut)
  }
}

function clientConfig({ route, database, user, password }: Target): ClientConfig {
  const { host, port, tls } = route
  return {
    host,
    port,
    database,
    user,
    // A function: given nothing, the driver would look for a password in the environment and in ~/.pgpass.
    password: () => password?.reveal() ?? "",
    application_name: "holdline",
    connectionTimeoutMillis: databaseConnectMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: databaseKeepAliveMs,
    ssl:
      tls === undefined
        ? false
        : {
            ca: [...tls.authorities],
            rejectUnauthorized: true,
            minVersion: "TLSv1.2",
            host: tls.name,
            ...(isIP(tls.name) === 0 ? { servername: tls.name } : {}),
          },
  }
}

function methods(client: Client, description: string, lost: () => Error | undefined): Omit<PostgresConnection, "pid"> {
  const tap = new CopyTap(client.connection.stream)
  let turn: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const done = turn.then(async () => {
      const error = lost()
      if (error !== undefined) throw postgresFailure(description, error)
      return await work().catch((failed: unknown) => {
        throw postgresFailure(description, failed)
      })
    })
    turn = done.catch(() => undefined)
    return done
  }
  return {
    rows: (row, text, values = []) => inTurn(async () => z.array(row).parse((await client.query({ text, values: [...values] })).rows)),
    execute: (text) => inTurn(async () => void (await client.query(text))),
    copyOut: (text) => client.query(tap.copyTo(text)),
    copyIn: (text, lines) =>
      inTurn(async () => {
        const stream = client.query(copyFrom(text))
        await pipeline(lines, stream)
        return stream.rowCount ?? 0
      }),
    end: async () => {
      await turn
      if (lost() === undefined) await client.end().catch(() => undefined)
    },
    destroy: () => destroy(client),
  }
}

// Not end(): called while the driver still connects, it would leave connect() waiting for ever.
function destroy(client: Client): void {
  client.connection.stream.destroy()
}

/** Settings that decide what the text of a value is, and that a server, a database or a role may have set otherwise. */
const sessionSettings: readonly (readonly [name: string, value: string])[] = [
  // First, so that it does not end the others.
  ["statement_timeout", "0"],
  ["standard_conforming_strings", "on"],
  ["search_path", "pg_catalog"],
  ["DateStyle", "ISO"],
  ["IntervalStyle", "postgres"],
  ["TimeZone", "UTC"],
  ["extra_float_digits", "3"],
  ["bytea_output", "hex"],
  ["xmlbinary", "base64"],
  ["lc_monetary", "C"],
  // A role that may see a part of the rows must fail, not read less.
  ["row_security", "off"],
  // So that rows come in the same order each time, where none is asked for.
  ["synchronize_seqscans", "off"],
  // `readers` is how much of the server is used, and compiling pays for no plain scan.
  ["max_parallel_workers_per_gather", "0"],
  ["jit", "off"],
  ["work_mem", postgresSortMemory],
  ["idle_in_transaction_session_timeout", "0"],
  ["lock_timeout", String(databaseLockWaitMs)],
]

/** Sets the session up; gives the server's process. */
async function begin(client: Client): Promise<number> {
  await client.query(sessionSettings.map(([name, value]) => `SET ${name} TO ${literal(value)}`).join("; "))
  // Bytes without an encoding stay as they are; the server would refuse those that are no UTF-8.
  await client.query(
    "SELECT set_config('client_encoding', CASE current_setting('server_encoding') WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END, false)",
  )
  const { rows } = await client.query("SELECT pg_backend_pid() AS pid")
  return backend.parse(rows[0]).pid
}

const backend = z.object({ pid: z.int().positive() })
