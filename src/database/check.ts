import { JobError } from "../errors.ts"
import type { About, DatabaseAccess, Table } from "./database.ts"
import type { DatabaseSettings } from "./settings.ts"

/** One thing about a role or its server. */
export interface AccessFinding {
  /** "missing": a capture will fail, or lack something. "excess" and "note": it works; a person should know. */
  readonly kind: "missing" | "excess" | "note"
  /** One sentence without full stop. */
  readonly text: string
  /** SQL for an administrator, where that is the remedy. */
  readonly remedy?: string
}

export interface AccessCheck {
  readonly findings: readonly AccessFinding[]
  /** SQL that makes a role which lacks nothing and has nothing beyond, line by line; no password stands in it. */
  readonly grants: readonly string[]
}

/** What of a database a role is to read: all of it, with its schema, or the rows of some tables. */
export type Reads = "database" | readonly Pick<Table, "schema" | "name">[]

/** Connects as configured and says what the role lacks, and has too much of. Rejects with a JobError where it cannot connect. */
export async function checkAccess(settings: DatabaseSettings, access: DatabaseAccess, reads: Reads): Promise<AccessCheck> {
  switch (settings.kind) {
    case "postgres": {
      const { findings, grants } = await (await import("./postgres/check.ts")).checkPostgres(settings, access, reads)
      return {
        findings: findings.map(({ kind, finding, remedy }) => ({ kind, text: finding, ...(remedy !== undefined && { remedy }) })),
        grants,
      }
    }
    case "mariadb": {
      const [{ openMariadb }, { checkMariadb, mariadbGrants }] = await Promise.all([
        import("./mariadb/open.ts"),
        import("./mariadb/grants.ts"),
      ])
      await using database = await openMariadb(settings, access)
      const lacks = await checkMariadb(database)
      const [[who] = []] = await database.query("SELECT CURRENT_USER()")
      const host = who?.slice(who.lastIndexOf("@") + 1) ?? "localhost"
      const role = { database: settings.name, user: settings.user, host, tls: isEncrypted(settings) }
      return {
        findings: lacks.map(({ privilege, without, optional }) => ({
          kind: optional ? "note" : "missing",
          text: `${privilege} is not granted: ${without}`,
        })),
        grants: linesOf(mariadbGrants(role)),
      }
    }
  }
}

/** The SQL of a role that is not there yet, for a server that could not be asked. */
export async function grantsUnasked(settings: DatabaseSettings, reads: "database" | "rows"): Promise<readonly string[]> {
  switch (settings.kind) {
    case "postgres": {
      const { postgresGrants } = await import("./postgres/grants.ts")
      const { name: database, user } = settings
      // Of rows, the server must be asked first which tables there are.
      return postgresGrants({ database, user, major: 14, reads: reads === "rows" ? [] : reads, schemas: [], rowSecurity: false })
    }
    case "mariadb": {
      const { mariadbGrants } = await import("./mariadb/grants.ts")
      const host = settings.host.startsWith("/") || settings.tls.off === "loopback" ? "localhost" : "<this host's address>"
      return linesOf(mariadbGrants({ database: settings.name, user: settings.user, host, tls: isEncrypted(settings) }))
    }
  }
}

function linesOf(text: string): string[] {
  return text.split("\n").filter((line) => line !== "")
}

/** How the bytes travel, as one sentence's end. */
export function wayTo({ host, tls }: DatabaseSettings): string {
  if (host.startsWith("/")) return "over a socket of this machine"
  if (tls.off === "loopback") return "without TLS, which never leaves this machine"
  return `over TLS; certificate and name checked against ${tls.ca ?? "the authorities that this system trusts"}`
}

function isEncrypted({ host, tls }: DatabaseSettings): boolean {
  return !host.startsWith("/") && tls.off !== "loopback"
}

/** "server 15.20, client 15.20", for people. */
export function versionsOf({ serverVersion, clientVersion }: About): string {
  return `server ${serverVersion}, client programs ${clientVersion}`
}

/**
 * The names of the databases on the same server, as far as the role may know of them, in order; not the server's own. Rejects with a
 * JobError where it cannot ask.
 */
export async function databasesBeside(settings: DatabaseSettings, access: DatabaseAccess): Promise<readonly string[]> {
  switch (settings.kind) {
    case "postgres":
      return await (await import("./postgres/databases.ts")).postgresDatabases(settings, access)
    case "mariadb": {
      await using database = await (await import("./mariadb/open.ts")).openMariadb(settings, access)
      const rows = await database.query("SHOW DATABASES")
      return rows.map(([name]) => asked(name ?? null)).filter((name) => !ownOfMariadb.has(name))
    }
  }
}

function asked(name: string | null): string {
  if (name === null) throw new JobError("job/source", "the server names a database that has no name")
  return name
}

const ownOfMariadb: ReadonlySet<string> = new Set(["information_schema", "mysql", "performance_schema", "sys"])
