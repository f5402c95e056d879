import { z } from "zod"
import { JobError } from "../../errors.ts"
import type { DatabaseAccess, SequenceValue } from "../database.ts"
import type { Loader, LoadNotes, LoadOptions, LoadSession, TableColumns } from "../loader.ts"
import { ownRelations } from "./catalog.ts"
import { connectPostgres, type PostgresConnection, type Target } from "./connect.ts"
import { copyStatement, postgresSession } from "./load-session.ts"
import { targetOf } from "./open.ts"
import { literal, qualified } from "./quote.ts"
import { Readers } from "./readers.ts"
import { loadArchive } from "./restore.ts"
import type { PostgresSettings } from "./route.ts"

/** Opens a Postgres database for loading; what is loaded belongs to the role of the settings. */
export async function openPostgresLoader(settings: PostgresSettings, access: DatabaseAccess): Promise<Loader> {
  const target = await targetOf(settings, access)
  return new PostgresLoader(target, access, await connectPostgres(target, access.signal))
}

class PostgresLoader implements Loader {
  readonly kind = "postgres"
  readonly schema = null
  readonly description: string
  readonly #target: Target
  readonly #access: DatabaseAccess
  readonly #connection: PostgresConnection
  readonly #writers: Readers
  readonly #sessions = new Set<PostgresConnection>()
  /** The server ends what it does for a connection that is gone. */
  readonly #cut = (): void => {
    this.#writers.destroy()
    this.#connection.destroy()
    for (const connection of this.#sessions) connection.destroy()
  }

  constructor(target: Target, access: DatabaseAccess, connection: PostgresConnection) {
    this.description = target.description
    this.#target = target
    this.#access = access
    this.#connection = connection
    this.#writers = new Readers(() => connectPostgres(target, access.signal), writersMax)
    access.signal.addEventListener("abort", this.#cut, { once: true })
  }

  async contents(): Promise<readonly string[]> {
    return (await this.#connection.rows(z.object({ what: z.string() }), contentsQuery)).map(({ what }) => what)
  }

  async loadWhole(file: string, { jobs }: LoadOptions): Promise<LoadNotes> {
    // Told to load all at once, pg_restore makes triggers of a partitioned table while its partitions' rows still come, and they act.
    const notes = await loadArchive({ file, jobs, section: "pre-data" }, this.#way())
    for (const section of ["data", "post-data"] as const) await loadArchive({ file, jobs, section }, this.#way())
    return notes
  }

  async loadSchema(file: string, part: "before rows" | "after rows", { jobs }: LoadOptions): Promise<LoadNotes> {
    if (part === "before rows") return await loadArchive({ file, jobs, section: "pre-data" }, this.#way())
    const notes = await loadArchive({ file, jobs, section: "post-data" }, this.#way())
    // An archive without rows does not fill them; made one after the other, each has what it reads from.
    for (const { schema, name } of await this.#connection.rows(nameRow, emptyViewsQuery))
      await this.#connection.execute(`REFRESH MATERIALIZED VIEW ${qualified(schema, name)}`)
    return notes
  }

  async loadRows({ schema, name, columns }: TableColumns, lines: AsyncIterable<Uint8Array>): Promise<number> {
    const { signal } = this.#access
    const connection = await this.#writers.take(signal)
    try {
      const rows = await connection.copyIn(copyStatement(qualified(schema, name), columns), lines)
      this.#writers.give(connection)
      return rows
    } catch (error) {
      this.#writers.discard(connection)
      signal.throwIfAborted()
      throw error
    }
  }

  async setSequences(values: readonly SequenceValue[]): Promise<void> {
    const here = await this.#connection.rows(nameRow, sequencesQuery)
    const names = new Map(here.map(({ schema, name }) => [`${schema}.${name}`, qualified(schema, name)]))
    for (const { name, value, called } of values) {
      const sequence = names.get(name)
      if (sequence === undefined)
        throw new JobError("job/target", `${this.description}: the schema that was loaded has no sequence ${name}`)
      await this.#connection.execute(`SELECT setval(${literal(sequence)}, ${value}, ${called})`)
    }
  }

  async session(): Promise<LoadSession> {
    const connection = await connectPostgres(this.#target, this.#access.signal)
    this.#sessions.add(connection)
    return postgresSession(connection, this.description)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#access.signal.removeEventListener("abort", this.#cut)
    this.#writers.destroy()
    await this.#connection.end()
  }

  #way() {
    return { target: this.#target, access: this.#access, connection: this.#connection }
  }
}

/** More connections than any load is asked to use. */
const writersMax = 64

const nameRow = z.object({ schema: z.string(), name: z.string() })
const sequencesQuery = `SELECT n.nspname::text AS schema, c.relname::text AS name ${ownRelations()} AND c.relkind = 'S'`
const emptyViewsQuery = `SELECT n.nspname::text AS schema, c.relname::text AS name ${ownRelations()}
  AND c.relkind = 'm' AND NOT c.relispopulated ORDER BY c.oid`

/** Enough to see what the database is; nobody reads a thousand names. */
const shownMax = 100

const notOfExtension = (catalog: string, oid: string): string =>
  `NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = '${catalog}'::regclass AND d.objid = ${oid} AND d.deptype = 'e')`
const notOfSystem = `n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'`

const contentsQuery = `
  SELECT what FROM (
    SELECT CASE c.relkind WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialized view ' WHEN 'S' THEN 'sequence ' WHEN 'f' THEN 'foreign table '
      WHEN 'c' THEN 'type ' ELSE 'table ' END || n.nspname || '.' || c.relname AS what
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c') AND ${notOfSystem} AND ${notOfExtension("pg_class", "c.oid")}
    UNION ALL SELECT 'function ' || n.nspname || '.' || p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE ${notOfSystem} AND ${notOfExtension("pg_proc", "p.oid")}
    UNION ALL SELECT 'type ' || n.nspname || '.' || t.typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE t.typtype IN ('e', 'd', 'r') AND ${notOfSystem} AND ${notOfExtension("pg_type", "t.oid")}
    UNION ALL SELECT 'schema ' || n.nspname FROM pg_namespace n
    WHERE ${notOfSystem} AND n.nspname <> 'public' AND ${notOfExtension("pg_namespace", "n.oid")}
    UNION ALL SELECT 'large object ' || oid FROM pg_largeobject_metadata
  ) found ORDER BY what LIMIT ${shownMax}`
