import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, type TestContext } from "vitest"
import type { Database, DatabaseAccess, RowsQuery, Snapshot, Table } from "../../src/database/database.ts"
import { openDatabase } from "../../src/database/open.ts"
import { postgresGrants } from "../../src/database/postgres/grants.ts"
import type { Secret } from "../../src/secret.ts"
import { type PostgresServer, requirePostgres, type ServerOptions, startPostgres } from "./servers.ts"

/** The role every capture in these tests reads as: postgresGrants made it, and nothing else. */
export const reader = "holdline reader"

/** A database of its own on the file's server, and the way to open it as the reader. */
export interface Scene {
  readonly server: PostgresServer
  readonly name: string
  /** Runs SQL as the superuser. */
  sql(text: string): Promise<string>
  open(options?: OpenOptions): Promise<Database>
  access(options?: OpenOptions): DatabaseAccess
}

export interface OpenOptions {
  readonly signal?: AbortSignal
  readonly password?: Secret
  readonly environment?: Readonly<Record<string, string>>
}

/** One server for a test file, started before its first test and skipped, with all tests, where there is none. */
export function postgresScenes(options: ServerOptions = {}): (sql?: string, how?: string) => Promise<Scene> {
  const lacking = requirePostgres()
  let server: PostgresServer | undefined
  let made = 0
  const scratch = mkdtempSync(join(tmpdir(), "holdline-scratch-"))
  beforeAll(async () => {
    if (lacking !== null) return
    server = await startPostgres(options)
    const grants = postgresGrants({ database: "postgres", user: reader, major: 15, reads: "database", schemas: [], rowSecurity: false })
    await server.sql(grants.join("\n"))
  })
  beforeEach((context: TestContext) => {
    if (lacking !== null) context.skip(lacking)
  })
  afterAll(async () => {
    await server?.stop()
    rmSync(scratch, { recursive: true, force: true })
  })
  return async (sql = "", how = "") => {
    if (server === undefined) throw new Error("no server")
    made += 1
    const [running, name] = [server, `base ${made}`]
    await running.createDatabase(name, how)
    await running.sql(sql, name)
    const access = ({ signal, password, environment }: OpenOptions = {}): DatabaseAccess => ({
      password,
      environment: { ...running.environment, ...environment },
      scratch,
      signal: signal ?? new AbortController().signal,
    })
    return {
      server: running,
      name,
      sql: (text) => running.sql(text, name),
      access,
      open: (open) => openDatabase(running.settings(name, reader), access(open)),
    }
  }
}

/** A signal that never aborts. */
export const never: AbortSignal = new AbortController().signal

/** A query for all columns of public.`name` that are kept, unless told otherwise. */
export function query(name: string, columns: readonly string[], rest: Partial<RowsQuery> = {}): RowsQuery {
  return { table: { schema: "public", name }, lead: [], columns, ...rest }
}

/** All that a stream gives, as text of one character a byte. */
export async function read(stream: AsyncIterable<Uint8Array>, encoding: BufferEncoding = "utf8"): Promise<string> {
  return Buffer.concat(await Array.fromAsync(stream, (chunk) => Buffer.from(chunk))).toString(encoding)
}

/** The rows of one query of a fresh snapshot. */
export async function rowsOf(scene: Scene, rows: RowsQuery, encoding: BufferEncoding = "utf8"): Promise<string> {
  return inSnapshot(scene, (snapshot) => read(snapshot.rows(rows, never), encoding))
}

/** Works with a fresh snapshot of four readers, which ends with the work. */
export async function inSnapshot<T>(scene: Scene, work: (snapshot: Snapshot) => Promise<T>): Promise<T> {
  await using database = await scene.open()
  await using snapshot = await database.snapshot({ readers: 4 })
  return await work(snapshot)
}

/** The table `schema`.`name`; throws where the snapshot has none. */
export async function tableNamed(snapshot: Snapshot, name: string, schema = "public"): Promise<Table> {
  const found = (await snapshot.tables()).find((table) => table.schema === schema && table.name === name)
  if (found === undefined) throw new Error(`no table ${schema}.${name}`)
  return found
}
