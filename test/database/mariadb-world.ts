import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { MariadbSettings } from "../../src/database/mariadb/connect.ts"
import { mariadbGrants } from "../../src/database/mariadb/grants.ts"
import { type MariadbDatabase, openMariadb } from "../../src/database/mariadb/open.ts"
import { Secret } from "../../src/secret.ts"
import type { MariadbServer } from "./servers.ts"

/** Holds everything that option files, shells and SQL have ever stumbled over. */
export const rolePassword = "o'p\"en#\\se same;`$x é"

/** Makes the role that the grants describe, less the privileges in `without`, and gives the settings it connects with over the socket. */
export async function makeRole(server: MariadbServer, database: string, options: RoleOptions = {}): Promise<MariadbSettings> {
  const user = options.user ?? `reader of ${database}`.slice(0, 60)
  const host = options.host ?? "localhost"
  const without = new Set(options.without ?? [])
  const sql = mariadbGrants({ database, user, host, tls: options.tls ?? false })
    .replace("<password>", rolePassword.replace(/[\\']/g, "\\$&"))
    .split("\n")
    .map((line) => line.replace(/^GRANT (.*) ON (.*)$/, (_, names: string, rest: string) => grantLine(names, rest, without)))
    .join("\n")
  await server.sql(`SET sql_mode = ''; ${sql}`)
  return { ...server.settings(database, user), tls: {} }
}

export interface RoleOptions {
  readonly user?: string
  readonly host?: string
  readonly tls?: boolean
  readonly without?: readonly string[]
}

function grantLine(names: string, rest: string, without: ReadonlySet<string>): string {
  const left = names.split(", ").filter((name) => !without.has(name) && !without.has(`${name} on ${rest.split(" ")[0] ?? ""}`))
  return left.length === 0 ? "" : `GRANT ${left.join(", ")} ON ${rest}`
}

/** Opens a database as a role made by `makeRole`, with a scratch directory that goes with it. */
export async function openAs(server: MariadbServer, settings: MariadbSettings, options: OpenOptions = {}): Promise<Opened> {
  const scratch = mkdtempSync(join(tmpdir(), "hl-my-"))
  const access = {
    password: new Secret(options.password ?? rolePassword),
    environment: options.environment ?? server.environment,
    scratch,
    signal: options.signal ?? new AbortController().signal,
  }
  try {
    const database = await openMariadb(settings, access)
    return {
      database,
      scratch,
      async [Symbol.asyncDispose]() {
        await database[Symbol.asyncDispose]()
        rmSync(scratch, { recursive: true, force: true })
      },
    }
  } catch (error) {
    rmSync(scratch, { recursive: true, force: true })
    throw error
  }
}

export interface OpenOptions {
  readonly password?: string
  readonly environment?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
}

export interface Opened extends AsyncDisposable {
  readonly database: MariadbDatabase
  readonly scratch: string
}

export const never = new AbortController().signal

/** All bytes of a stream. */
export async function bytesOf(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(stream))
}

/** All bytes of a stream of ASCII or UTF-8. */
export async function textOf(stream: AsyncIterable<Uint8Array>): Promise<string> {
  return (await bytesOf(stream)).toString("utf8")
}
