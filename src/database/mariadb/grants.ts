import { quoteName, quoteText } from "./quote.ts"
import type { Row } from "./session.ts"

export interface GrantsOptions {
  /** The database to be captured. */
  readonly database: string
  readonly user: string
  /** Where the role comes from, such as "localhost" or "10.0.0.7". */
  readonly host: string
  /** False for a role that comes over a socket. */
  readonly tls: boolean
}

interface Privilege {
  /** As GRANT and SHOW GRANTS name it. */
  readonly name: string
  /** What cannot be done without it, as a sentence's end. */
  readonly without: string
  /** Whether a capture goes on without it. */
  readonly optional: boolean
}

const ofDatabase: readonly Privilege[] = [
  { name: "SELECT", without: "tables that are not granted one by one are not seen, and nobody would notice", optional: false },
  { name: "SHOW VIEW", without: "views cannot be dumped", optional: false },
  { name: "TRIGGER", without: "triggers are left out of the dump", optional: false },
  { name: "EVENT", without: "events cannot be dumped", optional: false },
  { name: "LOCK TABLES", without: "without RELOAD tables are read one after another, and MyISAM tables cannot be locked", optional: true },
]

const reload: Privilege = {
  name: "RELOAD",
  without: "several readers see one moment only by LOCK TABLES, which waits for open transactions",
  optional: true,
}

/**
 * The SQL an administrator runs to make the role that captures one database. It can change nothing. Two lines are optional, and say so:
 * RELOAD, with which parallel readers begin without waiting for open transactions, and LOCK TABLES, which does instead of it; without
 * both, tables are read one after another. The password is left for the administrator to fill in.
 */
export function mariadbGrants({ database, user, host, tls }: GrantsOptions): string {
  const role = `${quoteText(user)}@${quoteText(host)}`
  // In a grant, "_" and "%" in the name of a database stand for others.
  const all = `${quoteName(database.replace(/[\\_%]/g, "\\$&"))}.*`
  const names = ofDatabase.map(({ name }) => name).join(", ")
  return [
    `CREATE USER ${role} IDENTIFIED BY '<password>'${tls ? " REQUIRE SSL" : ""};`,
    `GRANT ${names} ON ${all} TO ${role};`,
    "-- the text of procedures and functions; in MySQL 8 instead: GRANT SHOW_ROUTINE ON *.*",
    `GRANT SELECT ON mysql.proc TO ${role};`,
    "-- optional: parallel readers begin without waiting for open transactions",
    `GRANT RELOAD ON *.* TO ${role};`,
    "",
  ].join("\n")
}

/** A privilege the role lacks. */
export interface Lack {
  /** Such as "EVENT on asterisk". */
  readonly privilege: string
  /** What cannot be done without it. */
  readonly without: string
  /** Whether a capture goes on without it. */
  readonly optional: boolean
}

/** What is asked of who is looked at: MariadbDatabase is one. */
export interface Asked {
  readonly name: string
  query(sql: string): Promise<readonly Row[]>
}

/** What the role of an open database may not do, by name; empty where nothing is missing. Rejects with a JobError where it cannot ask. */
export async function checkMariadb(database: Asked): Promise<readonly Lack[]> {
  const grants = (await database.query("SHOW GRANTS")).map(([line]) => grantOf(line ?? "")).filter((grant) => grant !== null)
  const has = (name: string, scopes: readonly string[]): boolean =>
    grants.some(({ privileges, on }) => matches(on, scopes) && (privileges.has(name) || privileges.has("ALL PRIVILEGES")))
  const own = [`${database.name}.*`]
  const lacks: Lack[] = ofDatabase
    .filter(({ name }) => !has(name, own))
    .map(({ name, without, optional }) => ({ privilege: `${name} on ${database.name}`, without, optional }))
  const routines = has("SELECT", ["mysql.*", "mysql.proc"]) || has("SHOW_ROUTINE", []) || has("SHOW CREATE ROUTINE", own)
  if (!routines)
    lacks.push({ privilege: "SELECT on mysql.proc", without: "procedures and functions are left out of the dump", optional: false })
  if (!has("RELOAD", [])) lacks.push({ privilege: "RELOAD", without: reload.without, optional: reload.optional })
  return lacks
}

interface Grant {
  readonly privileges: ReadonlySet<string>
  /** As `database.table`, without quotes; "*.*" for all. */
  readonly on: string
}

function grantOf(line: string): Grant | null {
  const match = /^GRANT (.+?) ON (?:TABLE )?((?:`(?:[^`]|``)*`|\*)\.(?:`(?:[^`]|``)*`|\*)) TO /.exec(line)
  const [, privileges, on] = match ?? []
  if (privileges === undefined || on === undefined) return null
  return {
    privileges: new Set(privileges.split(", ")),
    on: on.replace(/`((?:[^`]|``)*)`/g, (_, name: string) => name.replaceAll("``", "`")),
  }
}

/** Whether what a grant covers takes in one of the scopes; all of the server always does. */
function matches(on: string, scopes: readonly string[]): boolean {
  if (on === "*.*") return true
  const pattern = on.replace(/\\(.)|[.*+?^${}()|[\]\\]|_|%/g, (token, escaped: string | undefined) => {
    if (escaped !== undefined) return RegExp.escape(escaped)
    if (token === "_") return "."
    if (token === "%") return ".*"
    return RegExp.escape(token)
  })
  return scopes.some((scope) => new RegExp(`^${pattern}$`, "s").test(scope))
}
