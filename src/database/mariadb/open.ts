import { JobError } from "../../errors.ts"
import type { About, Database, DatabaseAccess } from "../database.ts"
import { describe, type MariadbSettings } from "./connect.ts"
import { clientVersion } from "./dump.ts"
import { Session } from "./session.ts"
import { beginSnapshot, type MariadbSnapshot, type SnapshotOptions } from "./snapshot.ts"

/** A Database of MariaDB or MySQL. */
export interface MariadbDatabase extends Database {
  readonly kind: "mariadb"
  /** Its name on the server. */
  readonly name: string
  snapshot(options: SnapshotOptions): Promise<MariadbSnapshot>
  /** Runs one statement as the role and gives its rows as text. */
  query(sql: string): Promise<readonly (readonly (string | null)[])[]>
}

/**
 * Connects to one database of a MariaDB or MySQL server. Tested with MariaDB 10.11; MySQL 8 is asked for nothing it does not know, but
 * was not tested. Rejects with a JobError where it cannot connect, or with the signal's reason.
 */
export async function openMariadb(settings: MariadbSettings, access: DatabaseAccess): Promise<MariadbDatabase> {
  const session = await Session.open(settings, access)
  try {
    const [row] = await session.query("SELECT VERSION(), @@character_set_database")
    const [serverVersion, encoding] = row ?? []
    if (typeof serverVersion !== "string") throw new JobError("job/source", `${describe(settings)}: the server does not say its version`)
    return new OpenDatabase(settings, access, { session, serverVersion, encoding: encoding ?? "" })
  } catch (error) {
    session.destroy()
    throw error
  }
}

interface Server {
  readonly session: Session
  readonly serverVersion: string
  readonly encoding: string
}

class OpenDatabase implements MariadbDatabase {
  readonly kind = "mariadb"
  readonly name: string
  readonly description: string
  readonly #settings: MariadbSettings
  readonly #access: DatabaseAccess
  readonly #server: Server

  constructor(settings: MariadbSettings, access: DatabaseAccess, server: Server) {
    this.name = settings.name
    this.description = describe(settings)
    this.#settings = settings
    this.#access = access
    this.#server = server
  }

  async about(): Promise<About> {
    const { serverVersion, encoding } = this.#server
    return {
      serverVersion,
      clientVersion: await clientVersion(this.#access.environment, this.#access.signal),
      encoding,
      extensions: [],
      largeObjects: 0,
    }
  }

  snapshot(options: SnapshotOptions): Promise<MariadbSnapshot> {
    const place = {
      settings: this.#settings,
      access: this.#access,
      description: this.description,
      serverVersion: this.#server.serverVersion,
    }
    return beginSnapshot(place, options)
  }

  query(sql: string): Promise<readonly (readonly (string | null)[])[]> {
    return this.#server.session.query(sql, this.#access.signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.session[Symbol.asyncDispose]()
  }
}
