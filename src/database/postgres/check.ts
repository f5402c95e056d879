import { z } from "zod"
import { BackupError } from "../../errors.ts"
import type { DatabaseAccess, Table } from "../database.ts"
import { ownRelations } from "./catalog.ts"
import { connectPostgres, type PostgresConnection } from "./connect.ts"
import { checkVersions, clientVersion } from "./dump.ts"
import { postgresGrants } from "./grants.ts"
import { readServer, targetOf } from "./open.ts"
import { identifier, qualified } from "./quote.ts"
import type { PostgresSettings } from "./route.ts"

/** One thing about the role, the server or this host. */
export interface PostgresFinding {
  /** "missing": a capture that needs it will fail. "excess" and "note": it works; a person should know. */
  readonly kind: "missing" | "excess" | "note"
  /** One sentence without full stop, with the name of the table or the like. */
  readonly finding: string
  /** SQL for a superuser, where that is the remedy. */
  readonly remedy?: string
}

export interface PostgresCheck {
  readonly findings: readonly PostgresFinding[]
  /** What makes a role that lacks nothing and has nothing beyond: postgresGrants. */
  readonly grants: readonly string[]
}

/**
 * Connects as the role of the settings and says what it lacks, and has too much of, to read `reads`: the whole database, or the rows of
 * some tables. Rejects with a JobError where it cannot connect.
 */
export async function checkPostgres(
  settings: PostgresSettings,
  access: DatabaseAccess,
  reads: "database" | readonly Pick<Table, "schema" | "name">[],
): Promise<PostgresCheck> {
  const target = await targetOf(settings, access)
  const connection = await connectPostgres(target, access.signal)
  try {
    const server = await readServer(connection, target.description)
    const role = identifier(settings.user)
    const relations = (await connection.rows(relationRow, relationsQuery)).filter((relation) => isWanted(relation, reads))
    const schemas = await connection.rows(schemaRow, schemasQuery)
    const hidden = relations.filter(({ filtered }) => filtered)
    const findings: PostgresFinding[] = [
      ...(await aboutRole(connection, role)),
      ...schemas
        .filter(({ name, usable }) => !usable && (reads === "database" || reads.some(({ schema }) => schema === name)))
        .map(({ name }) => lacksSchema(name, role)),
      ...relations.filter(({ readable }) => !readable).map((relation) => lacksRelation(relation, role)),
      ...hidden.map(({ schema, name }) => hiddenRows(`${schema}.${name}`, role)),
      ...(reads === "database" ? await aboutWhole(connection, access, server.version) : []),
    ]
    const grants = postgresGrants({
      database: settings.name,
      user: settings.user,
      major: Math.floor(server.number / 10_000),
      reads,
      schemas: schemas.map(({ name }) => name),
      rowSecurity: relations.some(({ secured }) => secured),
    })
    return { findings, grants }
  } finally {
    await connection.end()
  }
}

type Relation = z.infer<typeof relationRow>

function isWanted({ schema, name, kind }: Relation, reads: "database" | readonly Pick<Table, "schema" | "name">[]): boolean {
  if (reads === "database") return true
  return kind !== "sequence" && reads.some((table) => table.schema === schema && table.name === name)
}

async function aboutRole(connection: PostgresConnection, role: string): Promise<readonly PostgresFinding[]> {
  const [found] = await connection.rows(roleRow, roleQuery)
  if (found?.superuser === true)
    return [
      {
        kind: "excess",
        finding: `role ${role} is a superuser: whoever takes over this host could change and delete everything on the server`,
        remedy: `ALTER ROLE ${role} NOSUPERUSER;`,
      },
    ]
  return found?.writes === true
    ? [{ kind: "excess", finding: `role ${role} may change rows of the database: to capture, it only reads` }]
    : []
}

function lacksSchema(schema: string, role: string): PostgresFinding {
  const remedy = `GRANT USAGE ON SCHEMA ${identifier(schema)} TO ${role};`
  return { kind: "missing", finding: `schema ${schema} cannot be looked into`, remedy }
}

function lacksRelation({ schema, name, kind }: Relation, role: string): PostgresFinding {
  const remedy = `GRANT SELECT ON ${kind === "sequence" ? "SEQUENCE" : "TABLE"} ${qualified(schema, name)} TO ${role};`
  return { kind: "missing", finding: `${kind} ${schema}.${name} cannot be read`, remedy }
}

function hiddenRows(table: string, role: string): PostgresFinding {
  const remedy = `ALTER ROLE ${role} BYPASSRLS;`
  return { kind: "missing", finding: `table ${table} has row security, which would hide rows from the role`, remedy }
}

async function aboutWhole(connection: PostgresConnection, access: DatabaseAccess, version: string): Promise<readonly PostgresFinding[]> {
  const [objects] = await connection.rows(countRow, "SELECT count(*)::int AS count FROM pg_largeobject_metadata")
  const findings: PostgresFinding[] = []
  if (objects !== undefined && objects.count > 0)
    findings.push({
      kind: "note",
      finding: `the database has ${objects.count} large objects: only a whole dump holds them, and each must be granted to the role`,
    })
  try {
    checkVersions(version, await clientVersion(access.environment, access.signal))
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    findings.push({ kind: "missing", finding: error.hint === undefined ? error.message : `${error.message}: ${error.hint}` })
  }
  return findings
}

const roleRow = z.strictObject({ superuser: z.boolean(), writes: z.boolean() })
const schemaRow = z.strictObject({ name: z.string(), usable: z.boolean() })
const countRow = z.strictObject({ count: z.int() })
const relationRow = z.strictObject({
  schema: z.string(),
  name: z.string(),
  kind: z.enum(["table", "sequence"]),
  readable: z.boolean(),
  secured: z.boolean(),
  filtered: z.boolean(),
})

const roleQuery = `
  SELECT r.rolsuper AS superuser, EXISTS (
    SELECT ${ownRelations()} AND c.relkind IN ('r', 'p') AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
  ) AS writes
  FROM pg_roles r WHERE r.rolname = current_user`

const schemasQuery = `
  SELECT nspname::text AS name, has_schema_privilege(oid, 'USAGE') AS usable FROM pg_namespace
  WHERE nspname <> 'information_schema' AND nspname !~ '^pg_' ORDER BY nspname::text COLLATE "C"`

// Partitions as well: the dump program locks each of them.
const relationsQuery = `
  SELECT n.nspname::text AS schema, c.relname::text AS name, CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END AS kind,
    coalesce(has_table_privilege(c.oid, 'SELECT'), false) AS readable, c.relrowsecurity AS secured,
    CASE WHEN c.relrowsecurity THEN row_security_active(c.oid) ELSE false END AS filtered
  ${ownRelations()} AND c.relkind IN ('r', 'p', 'S')
  ORDER BY n.nspname::text COLLATE "C", c.relname::text COLLATE "C"`
