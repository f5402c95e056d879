import type { Table } from "../database.ts"
import { identifier, qualified } from "./quote.ts"

/** What the role is for, and where. */
export interface GrantsWanted {
  readonly database: string
  readonly user: string
  /** The server's major version, such as 15. */
  readonly major: number
  /** Everything the database holds, now and later, with its schema; or the rows of these tables and nothing else. */
  readonly reads: "database" | readonly Pick<Table, "schema" | "name">[]
  /** Schemas of the database; needed for "database" before version 14 alone. */
  readonly schemas: readonly string[]
  /** Whether tables have row security, which would hide a part of their rows. */
  readonly rowSecurity: boolean
}

/**
 * The statements that make the role Holdline captures as, for a superuser to run in that database: it may log in and read, and nothing
 * else. No password stands in them: it is set with psql's `\password`.
 */
export function postgresGrants(wanted: GrantsWanted): readonly string[] {
  const [role, database] = [identifier(wanted.user), identifier(wanted.database)]
  return [
    `CREATE ROLE ${role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION ${wanted.rowSecurity ? "BYPASSRLS" : "NOBYPASSRLS"};`,
    `ALTER ROLE ${role} SET default_transaction_read_only TO on;`,
    `GRANT CONNECT ON DATABASE ${database} TO ${role};`,
    ...readGrants(wanted, role),
  ]
}

function readGrants({ reads, major, schemas }: GrantsWanted, role: string): readonly string[] {
  if (reads !== "database") {
    const used = [...new Set(reads.map(({ schema }) => schema))]
    return [
      ...used.map((schema) => `GRANT USAGE ON SCHEMA ${identifier(schema)} TO ${role};`),
      ...reads.map(({ schema, name }) => `GRANT SELECT ON TABLE ${qualified(schema, name)} TO ${role};`),
    ]
  }
  if (major >= readAllSince) return [`GRANT pg_read_all_data TO ${role};`]
  // Without the last two, a table created tomorrow is one the next backup cannot read.
  return schemas
    .map(identifier)
    .flatMap((schema) => [
      `GRANT USAGE ON SCHEMA ${schema} TO ${role};`,
      `GRANT SELECT ON ALL TABLES IN SCHEMA ${schema} TO ${role};`,
      `GRANT SELECT ON ALL SEQUENCES IN SCHEMA ${schema} TO ${role};`,
      `ALTER DEFAULT PRIVILEGES IN SCHEMA ${schema} GRANT SELECT ON TABLES TO ${role};`,
      `ALTER DEFAULT PRIVILEGES IN SCHEMA ${schema} GRANT SELECT ON SEQUENCES TO ${role};`,
    ])
}

/** The role pg_read_all_data came with this version. */
const readAllSince = 14
