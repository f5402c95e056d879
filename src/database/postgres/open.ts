import { z } from "zod"
import { JobError } from "../../errors.ts"
import type { About, Database, DatabaseAccess, Snapshot } from "../database.ts"
import { connectPostgres, type PostgresConnection, type Target } from "./connect.ts"
import { checkVersions, clientVersion, dump } from "./dump.ts"
import { type PostgresSettings, routeTo } from "./route.ts"
import { beginSnapshot } from "./snapshot.ts"

/**
 * Opens a Postgres database for capture: finds the way, connects once and reads what the server is. Rejects with a JobError where it
 * cannot be reached, lets the role not in, or is older than version 12.
 */
export async function openPostgres(settings: PostgresSettings, access: DatabaseAccess): Promise<Database> {
  const target = await targetOf(settings, access)
  const connection = await connectPostgres(target, access.signal)
  try {
    return new PostgresDatabase(target, access, await readServer(connection, target.description))
  } finally {
    await connection.end()
  }
}

/** Follows the settings to who connects where. */
export async function targetOf(settings: PostgresSettings, access: DatabaseAccess): Promise<Target> {
  const { host, name, user } = settings
  return {
    route: await routeTo(settings),
    database: name,
    user,
    password: access.password,
    description: `postgres ${name} at ${host}`,
  }
}

export interface Server {
  /** Such as "15.20". */
  readonly version: string
  /** Such as 150020. */
  readonly number: number
  readonly encoding: string
  readonly extensions: About["extensions"]
  readonly largeObjects: number
}

/** Reads what the server is; rejects where it is older than what Holdline knows. */
export async function readServer(connection: PostgresConnection, description: string): Promise<Server> {
  const [server] = await connection.rows(
    z.strictObject({ version: z.string(), number: z.int(), encoding: z.string(), largeObjects: z.int() }),
    `SELECT split_part(current_setting('server_version'), ' ', 1) AS version, current_setting('server_version_num')::int AS number,
      current_setting('server_encoding') AS encoding, (SELECT count(*)::int FROM pg_largeobject_metadata) AS "largeObjects"`,
  )
  if (server === undefined || server.number < serverMin)
    throw new JobError("job/source", `${description}: Postgres ${server?.version ?? "?"} is too old: Holdline reads version 12 and newer`)
  const extensions = await connection.rows(
    z.strictObject({ name: z.string(), version: z.string() }),
    `SELECT extname::text AS name, extversion AS version FROM pg_extension ORDER BY extname::text COLLATE "C"`,
  )
  return { ...server, extensions: extensions.map(({ name, version }) => [name, version]) }
}

/** Computed columns, which the catalog query must tell from others, came with 12. */
const serverMin = 120_000

class PostgresDatabase implements Database {
  readonly kind = "postgres"
  readonly description: string
  readonly #target: Target
  readonly #access: DatabaseAccess
  readonly #server: Server
  readonly #snapshots = new Set<Snapshot>()

  constructor(target: Target, access: DatabaseAccess, server: Server) {
    this.description = target.description
    this.#target = target
    this.#access = access
    this.#server = server
  }

  async about(): Promise<About> {
    const { version, encoding, extensions, largeObjects } = this.#server
    const client = await this.#clientVersion()
    return { serverVersion: version, clientVersion: client, encoding, extensions, largeObjects }
  }

  async snapshot({ readers }: { readonly readers: number }): Promise<Snapshot> {
    const host = {
      description: this.description,
      encoding: this.#server.encoding,
      signal: this.#access.signal,
      connect: (signal: AbortSignal) => connectPostgres(this.#target, signal),
      dump: (what: "schema" | "whole", id: string, signal: AbortSignal) => this.#dump(what, id, signal),
    }
    const snapshot = await beginSnapshot(host, readers)
    this.#snapshots.add(snapshot)
    return snapshot
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const snapshot of this.#snapshots) await snapshot[Symbol.asyncDispose]()
    this.#snapshots.clear()
  }

  // Asked once: starting a program takes a large process as long as reading a table.
  #clientVersion(): Promise<string> {
    this.#client ??= clientVersion(this.#access.environment, this.#access.signal)
    return this.#client
  }

  #client: Promise<string> | undefined

  async *#dump(what: "schema" | "whole", snapshot: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    checkVersions(this.#server.version, await this.#clientVersion())
    yield* dump(this.#target, this.#access, { what, snapshot, signal })
  }
}
