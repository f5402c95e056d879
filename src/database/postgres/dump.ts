import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { isIP } from "node:net"
import { join } from "node:path"
import { JobError } from "../../errors.ts"
import { databaseConnectMs, databaseLockWaitMs, dumpTimeoutMs } from "../../limits.ts"
import { type Environment, type ProgramOptions, startProgram } from "../../program.ts"
import type { DatabaseAccess } from "../database.ts"
import type { Target } from "./connect.ts"

/** The version of the pg_dump that `environment` finds, such as "15.20". Rejects with a JobError where there is none. */
export async function clientVersion(environment: Environment, signal: AbortSignal): Promise<string> {
  const text = await outputOf(["pg_dump", "--version"], { environment, signal, timeoutMs: databaseConnectMs })
  const version = /^pg_dump \(PostgreSQL\) (\S+)/.exec(text)?.[1]
  if (version !== undefined) return version
  throw new JobError("job/command", "pg_dump: does not say which version it is")
}

/** What a client program of Postgres writes; rejects with a JobError where it fails, or is not installed. */
export async function outputOf(command: readonly [string, ...string[]], options: ProgramOptions): Promise<string> {
  const program = startProgram(command, options)
  try {
    const text = Buffer.concat(await Array.fromAsync<Uint8Array>(program.stdout)).toString("utf8")
    await program.succeeded()
    return text
  } catch (error) {
    await program.succeeded().catch((cause: unknown) => {
      throw installed(cause)
    })
    throw error
  } finally {
    program.end()
  }
}

function installed(error: unknown): unknown {
  if (!(error instanceof JobError) || !error.message.includes("cannot be started")) return error
  return new JobError(error.code, error.message, { cause: error, hint: "install the client programs of Postgres (postgresql-client)" })
}

/** Throws a JobError where the dump program is older than the server: it would refuse, or leave out what it does not know. */
export function checkVersions(server: string, client: string): void {
  if (Number.parseInt(client, 10) >= Number.parseInt(server, 10)) return
  throw new JobError("job/command", `pg_dump ${client} is older than the server, which is ${server}`, {
    hint: `install postgresql-client-${Number.parseInt(server, 10)} or newer on this host`,
  })
}

/**
 * What pg_dump writes of the exported snapshot, in its custom format, uncompressed. Ends well only where pg_dump ended with status 0 and
 * wrote an archive; rejects with a JobError otherwise.
 */
export async function* dump(target: Target, access: DatabaseAccess, options: DumpOptions): AsyncGenerator<Uint8Array> {
  options.signal.throwIfAborted()
  const folder = await mkdtemp(join(access.scratch, "postgres-"))
  try {
    const environment = await clientEnvironment(target, access, folder)
    const program = startProgram(command(options), { environment, signal: options.signal, timeoutMs: dumpTimeoutMs })
    try {
      yield* archive(program.stdout)
      await program.succeeded()
    } catch (error) {
      // A stream that broke off says nothing; how the program ended says why.
      await program.succeeded()
      throw error
    } finally {
      program.end()
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

export interface DumpOptions {
  readonly what: "schema" | "whole"
  /** As pg_export_snapshot gave it. */
  readonly snapshot: string
  readonly signal: AbortSignal
}

function command({ what, snapshot }: DumpOptions): readonly [string, ...string[]] {
  const options = [
    "--format=custom",
    "--compress=0",
    "--no-password",
    `--lock-wait-timeout=${databaseLockWaitMs}`,
    `--snapshot=${snapshot}`,
  ]
  return ["pg_dump", ...options, ...(what === "schema" ? ["--schema-only"] : [])]
}

/** Passes an archive on; throws where it is none, or nothing at all. */
async function* archive(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let head = Buffer.alloc(0)
  for await (const chunk of chunks) {
    if (head.length < magic.length) head = Buffer.concat([head, chunk.subarray(0, magic.length - head.length)])
    yield chunk
  }
  if (!head.equals(magic)) throw new JobError("job/command", "pg_dump: what it wrote is no archive")
}

const magic = Buffer.from("PGDMP")

/**
 * The environment in which a program of the server, such as pg_dump, goes the same way as we do. Password and authorities stand in files
 * of `folder`, which must be private: arguments and environments of a process can be read by others.
 */
export async function clientEnvironment(target: Target, access: DatabaseAccess, folder: string): Promise<Environment> {
  const { host, port, tls } = target.route
  // Also where there is no password: libpq would look for one in ~/.pgpass.
  const passwords = join(folder, "pgpass")
  await writeFile(passwords, passwordLine(target), { mode: 0o600, flag: "wx" })
  const authorities = join(folder, "authorities.pem")
  if (tls !== undefined) await writeFile(authorities, tls.authorities.join("\n"), { mode: 0o600, flag: "wx" })
  return {
    ...access.environment,
    LC_ALL: "C",
    PGHOST: tls?.name ?? host,
    ...(tls !== undefined && tls.name !== host && isIP(host) !== 0 ? { PGHOSTADDR: host } : {}),
    PGPORT: String(port),
    PGDATABASE: target.database,
    PGUSER: target.user,
    PGPASSFILE: passwords,
    PGCONNECT_TIMEOUT: String(databaseConnectMs / 1000),
    PGAPPNAME: "holdline",
    PGGSSENCMODE: "disable",
    ...(tls === undefined ? { PGSSLMODE: "disable" } : { PGSSLMODE: "verify-full", PGSSLROOTCERT: authorities }),
  }
}

function passwordLine({ password }: Target): string {
  if (password === undefined) return ""
  const text = password.reveal()
  if (/[\n\r\0]/.test(text)) throw new JobError("job/source", "the password holds a line end, which pg_dump cannot be given")
  return `*:*:*:*:${text.replace(/[\\:]/g, "\\$&")}\n`
}
