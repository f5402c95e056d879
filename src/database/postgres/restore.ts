import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { z } from "zod"
import { JobError } from "../../errors.ts"
import { databaseConnectMs, dumpTimeoutMs } from "../../limits.ts"
import type { Environment } from "../../program.ts"
import type { DatabaseAccess } from "../database.ts"
import type { LoadNotes } from "../loader.ts"
import type { PostgresConnection, Target } from "./connect.ts"
import { clientEnvironment, outputOf } from "./dump.ts"
import { identifier } from "./quote.ts"

/** One line of what an archive says it holds. */
interface Entry {
  readonly line: string
  /** Such as "TABLE DATA public cdr fusionpbx": its kind, schema, name and owner. */
  readonly what: string
}

export interface ArchiveLoad {
  readonly file: string
  readonly section: "pre-data" | "data" | "post-data"
  readonly jobs: number
}

/**
 * Has pg_restore load an archive over its own connections, statement by statement: nothing of it passes through psql, whose meta-commands
 * run programs. Stops at the first error. Rejects with a JobError where pg_restore did not end with status 0.
 *
 *  - `--no-owner --no-privileges --no-tablespaces`: those roles and disks are another server's; all belongs to the role that loads
 *  - `--no-publications --no-subscriptions --no-security-labels`: a copy must not begin to replicate, and no role short of superuser may
 *  - a list of what is wanted: without what the database has already, and without event triggers, which only a superuser may make
 */
export async function loadArchive(load: ArchiveLoad, way: Way): Promise<LoadNotes> {
  await refuseMightyRole(way)
  const folder = await mkdtemp(join(way.access.scratch, "postgres-load-"))
  try {
    const environment = await clientEnvironment(way.target, way.access, folder)
    const entries = await listArchive(load.file, environment, way.access.signal)
    const { wanted, leftOut } = await choose(entries, way)
    for (const [at, { entries: some, jobs }] of stepsOf(wanted, load).entries()) {
      const list = join(folder, `list-${String(at)}`)
      await writeFile(list, some.map(({ line }) => `${line}\n`).join(""), { mode: 0o600, flag: "wx" })
      const line = command({ ...load, jobs }, list, way.target.database)
      await outputOf(line, { environment, signal: way.access.signal, timeoutMs: dumpTimeoutMs })
    }
    return { leftOut }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** What loading needs of who loads. */
export interface Way {
  readonly target: Target
  readonly access: DatabaseAccess
  readonly connection: PostgresConnection
}

interface Step {
  readonly entries: readonly Entry[]
  readonly jobs: number
}

/**
 * Indexes side by side, since they take the time; what else follows the rows comes one by one: a partition's index that is attached while a
 * foreign key or a view reads the table is a deadlock, which pg_restore does not foresee.
 */
function stepsOf(wanted: readonly Entry[], { section, jobs }: ArchiveLoad): readonly Step[] {
  if (section !== "post-data") return [{ entries: wanted, jobs }]
  const isIndex = ({ what }: Entry): boolean => /^(?:INDEX (?!ATTACH )|CONSTRAINT )/.test(what)
  return [
    { entries: wanted.filter(isIndex), jobs },
    { entries: wanted.filter((entry) => !isIndex(entry)), jobs: 1 },
  ]
}

const always = [
  ...["--no-password", "--exit-on-error"],
  ...["--no-owner", "--no-privileges", "--no-tablespaces"],
  ...["--no-publications", "--no-subscriptions", "--no-security-labels"],
]

function command({ file, section, jobs }: ArchiveLoad, list: string, database: string): readonly [string, ...string[]] {
  // What holds a "=" would count as a whole connection string.
  const name = `dbname='${database.replace(/['\\]/g, "\\$&")}'`
  return ["pg_restore", ...always, `--section=${section}`, `--jobs=${jobs}`, `--use-list=${list}`, `--dbname=${name}`, file]
}

/** SQL of a dump is code of whoever wrote the dump: it is run with rights that end at the database. */
async function refuseMightyRole({ connection, target }: Way): Promise<void> {
  const found = await connection.rows(z.object({ right: z.string() }), mightQuery)
  if (found.length === 0) return
  throw new JobError("job/target", `${target.description}: the role is ${found.map(({ right }) => right).join(" and ")}`, {
    hint: "load as a role that only owns this database: CREATE ROLE holdline_restore LOGIN; CREATE DATABASE … OWNER holdline_restore",
  })
}

const mightQuery = `
  SELECT 'a superuser' AS right FROM pg_roles WHERE rolname = current_user AND rolsuper
  UNION ALL SELECT 'a member of ' || r.rolname FROM pg_roles r
  WHERE r.rolname IN ('pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files') AND pg_has_role(current_user, r.oid, 'MEMBER')
    AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)`

async function listArchive(file: string, environment: Environment, signal: AbortSignal): Promise<readonly Entry[]> {
  const text = await outputOf(["pg_restore", "--list", file], { environment, signal, timeoutMs: databaseConnectMs })
  return text.split("\n").flatMap((line) => {
    const what = /^\d+; \d+ \d+ (.+)$/.exec(line)?.[1]
    return what === undefined ? [] : [{ line, what }]
  })
}

interface Choice {
  readonly wanted: readonly Entry[]
  readonly leftOut: readonly string[]
}

async function choose(entries: readonly Entry[], way: Way): Promise<Choice> {
  const present = await extensionsHere(way.connection)
  const leftOut = ["owners, grants, tablespaces, publications, subscriptions and security labels: all belongs to the role that loads"]
  const lacking: string[] = []
  const wanted = entries.filter(({ what }) => {
    const extension = /^EXTENSION - (.+?) *$/.exec(what)?.[1]
    if (extension !== undefined) {
      const state = present.get(extension)
      if (state === undefined || state === "needs a superuser") lacking.push(extension)
      return state === "can be made"
    }
    if (/^(?:SCHEMA - public|COMMENT - SCHEMA public|COMMENT - EXTENSION)(?: |$)/.test(what)) return false
    if (!/^(?:EVENT TRIGGER -|COMMENT - EVENT TRIGGER) /.test(what)) return true
    leftOut.push(`${what.trim()}: only a superuser may make it`)
    return false
  })
  if (lacking.length === 0) return { wanted, leftOut }
  throw new JobError("job/target", `${way.target.description}: lacks what the dump needs: extension ${lacking.join(", ")}`, {
    hint: `install it on the server, and as a superuser in this database: ${lacking.map((name) => `CREATE EXTENSION ${identifier(name)};`).join(" ")}`,
  })
}

type ExtensionState = "is there" | "can be made" | "needs a superuser"

async function extensionsHere(connection: PostgresConnection): Promise<ReadonlyMap<string, ExtensionState>> {
  // Trusted extensions came with version 13; the column is asked for by name in JSON, so that 12 just lacks it.
  const rows = await connection.rows(
    z.object({ name: z.string(), state: z.enum(["is there", "can be made", "needs a superuser"]) }),
    `SELECT a.name::text AS name, CASE WHEN a.installed_version IS NOT NULL THEN 'is there'
      WHEN has_database_privilege(current_database(), 'CREATE') AND EXISTS (
        SELECT 1 FROM pg_available_extension_versions v
        WHERE v.name = a.name AND v.version = a.default_version AND (to_jsonb(v) ->> 'trusted')::boolean
      ) THEN 'can be made' ELSE 'needs a superuser' END AS state
    FROM pg_available_extensions a`,
  )
  return new Map(rows.map(({ name, state }) => [name, state]))
}
