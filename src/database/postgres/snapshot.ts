import { setTimeout as sleep } from "node:timers/promises"
import { z } from "zod"
import { anyOf } from "../../abort.ts"
import { JobError } from "../../errors.ts"
import { commandGraceMs, namesPerStatementMax, snapshotAttemptsMax } from "../../limits.ts"
import type { RowsQuery, SequenceValue, Snapshot, Table } from "../database.ts"
import { type CatalogTable, mayRead, ownRelations, readCatalog } from "./catalog.ts"
import type { PostgresConnection } from "./connect.ts"
import { codeOf, postgresFailure } from "./failure.ts"
import { literal, qualified } from "./quote.ts"
import { Readers } from "./readers.ts"
import { copyStatement } from "./select.ts"
import { readSequences } from "./sequences.ts"

/** What a snapshot needs of its database. */
export interface SnapshotHost {
  readonly description: string
  readonly encoding: string
  readonly signal: AbortSignal
  connect(signal: AbortSignal): Promise<PostgresConnection>
  /** Runs pg_dump on the exported snapshot `id`. */
  dump(what: "schema" | "whole", id: string, signal: AbortSignal): AsyncIterable<Uint8Array>
}

/** Begins a snapshot: one connection holds it, and keeps its tables from being emptied, altered or dropped; readers join it. */
export async function beginSnapshot(host: SnapshotHost, readers: number): Promise<Snapshot> {
  const holder = await host.connect(host.signal)
  try {
    for (let attempt = 1; attempt <= snapshotAttemptsMax; attempt++) {
      const begun = await begin(holder)
      if (begun !== null) return new PostgresSnapshot(host, holder, begun, readers)
      await holder.execute("ROLLBACK")
    }
    throw new JobError("job/source", `${host.description}: tables come and go faster than a snapshot can begin`, {
      hint: "run the backup when no upgrade or import creates tables",
    })
  } catch (error) {
    holder.destroy()
    host.signal.throwIfAborted()
    throw error
  }
}

interface Begun {
  readonly id: string
  readonly tables: ReadonlyMap<string, CatalogTable>
}

/**
 * First the locks, then the snapshot: a TRUNCATE is seen by snapshots from before it, and the rows would be missing. Null where the tables
 * changed in between.
 */
async function begin(holder: PostgresConnection): Promise<Begun | null> {
  const known = await holder.rows(lockable, lockableQuery)
  await holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
  try {
    for (let at = 0; at < known.length; at += namesPerStatementMax) {
      const names = known.slice(at, at + namesPerStatementMax)
      const list = names.map(({ schema, name, partitioned }) => `${partitioned ? "" : "ONLY "}${qualified(schema, name)}`)
      await holder.execute(`LOCK TABLE ${list.join(", ")} IN ACCESS SHARE MODE`)
    }
  } catch (error) {
    if (error instanceof JobError && goneCodes.includes(codeOf(error.cause))) return null
    throw error
  }
  await isDirect(holder)
  const [exported] = await holder.rows(exportRow, "SELECT pg_export_snapshot() AS id")
  const tables = await readCatalog(holder)
  const locked = new Set(known.map(({ oid }) => oid))
  if (exported === undefined || tables.values().some(({ oid, readable }) => readable && !locked.has(oid))) return null
  return { id: exported.id, tables }
}

/** Rejects where another process serves this transaction than served the session's beginning: its settings are not ours. */
async function isDirect(connection: PostgresConnection): Promise<void> {
  const [serves] = await connection.rows(z.strictObject({ pid: z.int() }), "SELECT pg_backend_pid() AS pid")
  if (serves?.pid === connection.pid) return
  throw new JobError("job/source", "the server process changes between statements: a connection pooler stands in between", {
    hint: "give `host` and `port` of the server itself, or of a pooler in session mode",
  })
}

/** undefined_table, invalid_schema_name. */
const goneCodes: readonly string[] = ["42P01", "3F000"]

const exportRow = z.strictObject({ id: z.string().min(1) })
const lockable = z.strictObject({ oid: z.string(), schema: z.string(), name: z.string(), partitioned: z.boolean() })
// A table the role may not read cannot be locked by it either; whoever asks for its rows hears so.
const lockableQuery = `SELECT c.oid::text AS oid, n.nspname::text AS schema, c.relname::text AS name, c.relkind = 'p' AS partitioned
  ${ownRelations()} AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND ${mayRead}
  ORDER BY c.oid`

class PostgresSnapshot implements Snapshot {
  readonly notes = []
  readonly #host: SnapshotHost
  readonly #holder: PostgresConnection
  readonly #begun: Begun
  readonly #readers: Readers
  readonly #zones = new Map<string, Promise<void>>()
  readonly #ended = new AbortController()

  constructor(host: SnapshotHost, holder: PostgresConnection, begun: Begun, readers: number) {
    this.#host = host
    this.#holder = holder
    this.#begun = begun
    this.#readers = new Readers(() => this.#join(), readers)
  }

  async tables(): Promise<readonly Table[]> {
    return [...this.#begun.tables.values()]
  }

  sequences(): Promise<readonly SequenceValue[]> {
    return readSequences(this.#holder)
  }

  async *rows(query: RowsQuery, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const stop = this.#stop(signal)
    stop.throwIfAborted()
    const statement = copyStatement(query, { tables: this.#begun.tables, encoding: this.#host.encoding })
    for (const { timezone } of [...query.lead.filter((lead) => lead.kind === "day"), ...(query.where ?? [])])
      await this.#knowsZone(timezone)
    const reader = await this.#readers.take(stop)
    let cancelled: Promise<void> | undefined
    const cancel = (): Promise<void> => {
      cancelled ??= this.#cancel(reader)
      return cancelled
    }
    const cut = (): void => void cancel()
    stop.addEventListener("abort", cut, { once: true })
    let complete = false
    try {
      yield* reader.copyOut(statement)
      // The stream ends before the server has said that all went well; and without the holder nothing kept the tables as they were.
      await reader.execute("SELECT 1")
      await this.#holder.execute("SELECT 1")
      complete = true
    } catch (error) {
      stop.throwIfAborted()
      throw postgresFailure(`${this.#host.description}: ${query.table.schema}.${query.table.name}`, error)
    } finally {
      stop.removeEventListener("abort", cut)
      if (complete && cancelled === undefined) this.#readers.give(reader)
      else await cancel().finally(() => this.#readers.discard(reader))
    }
  }

  schema(signal: AbortSignal): AsyncIterable<Uint8Array> {
    return this.#dump("schema", signal)
  }

  whole(signal: AbortSignal): AsyncIterable<Uint8Array> {
    return this.#dump("whole", signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort(new JobError("job/source", `${this.#host.description}: the snapshot was ended while it was read: this is a bug`))
    this.#readers.destroy()
    await this.#holder.end()
  }

  async *#dump(what: "schema" | "whole", signal: AbortSignal): AsyncGenerator<Uint8Array> {
    yield* this.#host.dump(what, this.#begun.id, this.#stop(signal))
    await this.#holder.execute("SELECT 1")
  }

  #stop(signal: AbortSignal): AbortSignal {
    return anyOf(signal, this.#host.signal, this.#ended.signal)
  }

  async #join(): Promise<PostgresConnection> {
    const reader = await this.#host.connect(anyOf(this.#host.signal, this.#ended.signal))
    try {
      await reader.execute(`BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT ${literal(this.#begun.id)}; SELECT 1`)
      return reader
    } catch (error) {
      reader.destroy()
      throw error
    }
  }

  /**
   * Ends what the server does for a reader, and the connection: a server that sorts would notice only hours later that nobody listens.
   * The connection stays until the server has answered, so that no other process has its number by then.
   */
  async #cancel(reader: PostgresConnection): Promise<void> {
    const asked = this.#holder.execute(`SELECT pg_cancel_backend(${reader.pid})`).catch(() => undefined)
    await Promise.race([asked, sleep(commandGraceMs, undefined, { ref: false })])
    reader.destroy()
  }

  // The server takes an unknown name for a rule of its own: "Nowhere/Atall" would be UTC.
  #knowsZone(zone: string): Promise<void> {
    const known = this.#zones.get(zone) ?? this.#findZone(zone)
    this.#zones.set(zone, known)
    return known
  }

  async #findZone(zone: string): Promise<void> {
    const found = await this.#holder.rows(z.object({}), "SELECT 1 AS found FROM pg_timezone_names WHERE lower(name) = lower($1)", [zone])
    if (found.length > 0) return
    throw new JobError("job/source", `${this.#host.description}: the server knows no time zone ${zone}`, {
      hint: "use a name of the server's pg_timezone_names",
    })
  }
}
