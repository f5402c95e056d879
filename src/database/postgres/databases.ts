import { z } from "zod"
import type { DatabaseAccess } from "../database.ts"
import { connectPostgres } from "./connect.ts"
import { targetOf } from "./open.ts"
import type { PostgresSettings } from "./route.ts"

/**
 * The names of the databases of a server that take connections, in order; not its templates, and not the empty one that every server
 * begins with. Rejects with a JobError where it cannot ask.
 */
export async function postgresDatabases(settings: PostgresSettings, access: DatabaseAccess): Promise<readonly string[]> {
  const connection = await connectPostgres(await targetOf(settings, access), access.signal)
  try {
    const rows = await connection.rows(
      z.strictObject({ name: z.string() }),
      `SELECT datname::text AS name FROM pg_database WHERE datallowconn AND NOT datistemplate AND datname <> 'postgres'
       ORDER BY datname::text COLLATE "C"`,
    )
    return rows.map(({ name }) => name)
  } finally {
    await connection.end()
  }
}
