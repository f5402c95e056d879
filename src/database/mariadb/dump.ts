import { join } from "node:path"
import { JobError } from "../../errors.ts"
import { databaseConnectMs, dumpTimeoutMs } from "../../limits.ts"
import { type Environment, startProgram } from "../../program.ts"
import type { DatabaseAccess } from "../database.ts"
import type { MariadbColumn, MariadbTable } from "./catalog.ts"
import { quoteName } from "./quote.ts"
import { relayTo } from "./relay.ts"
import type { Session } from "./session.ts"

/**
 * The first line of every dump we keep. A mariadb client from 10.5.25, 10.6.18, 10.11.8, 11.0.6 or 11.4.2 on then refuses commands that
 * would reach its shell; older ones, and mysql's, take it for a mistake, and are to be given the dump from its second line on.
 */
export const sandboxLine = "/*M!999999\\- enable the sandbox mode */ \n"

const sandboxPattern = /^\/\*M?!999999\\- [^\n]*\n/
const trailer = /\n-- Dump completed[^\n]*\n+$/

const always = [
  "--no-defaults",
  "--protocol=socket",
  "--skip-ssl",
  "--user=holdline",
  "--single-transaction",
  "--quick",
  "--routines",
  "--triggers",
  "--events",
  "--hex-blob",
  "--no-tablespaces",
  "--skip-dump-date",
  "--max-allowed-packet=1G",
  "--default-character-set=utf8mb4",
] as const

export interface DumpOptions {
  readonly what: "schema" | "whole"
  readonly database: string
  /** Those of the database, as the session's snapshot knows them. */
  readonly tables: readonly MariadbTable[]
  /** As the server says it. */
  readonly serverVersion: string
  readonly access: DatabaseAccess
  readonly signal: AbortSignal
}

/** The version of mariadb-dump, such as "10.11.19". Rejects with a JobError where it cannot be run. */
export async function clientVersion(environment: Environment, signal: AbortSignal): Promise<string> {
  const program = startProgram(["mariadb-dump", "--version"], { environment, signal, timeoutMs: databaseConnectMs })
  try {
    const text = Buffer.concat(await Array.fromAsync<Uint8Array>(program.stdout)).toString("utf8")
    await program.succeeded()
    return /(?:Distrib|from) (\d[\d.]*)/.exec(text)?.[1] ?? text.trim().slice(0, 80)
  } catch (error) {
    await program.succeeded()
    throw error
  } finally {
    program.end()
  }
}

/**
 * What mariadb-dump writes when it is lent `session`, in the snapshot that session is in; nobody else may use it meanwhile. Begins with
 * `sandboxLine`, whether the program knows of it or not. Rejects with a JobError where the program failed, was killed or did not write
 * the line that says it is complete.
 */
export async function* dump(session: Session, options: DumpOptions): AsyncGenerator<Uint8Array> {
  const { access, what } = options
  const path = join(access.scratch, `d${session.threadId}`)
  await using relay = await relayTo(session, { path, version: options.serverVersion, rewrite: floatsExactly(options.tables) })
  const command = [...always, ...(what === "schema" ? ["--no-data"] : []), `--socket=${relay.path}`, "--", options.database] as const
  const { environment } = access
  const program = startProgram(["mariadb-dump", ...command], { environment, signal: options.signal, timeoutMs: dumpTimeoutMs })
  try {
    yield* withSandboxLine(checkedEnd(program.stdout))
    await program.succeeded()
  } catch (error) {
    const refused = relay.refused()
    if (refused !== null) throw new JobError("job/source", `mariadb-dump: ${refused}`, { cause: error })
    // A stream that broke off says nothing; how the program ended says why.
    await program.succeeded()
    throw error
  } finally {
    program.end()
  }
}

/**
 * mariadb-dump writes a FLOAT with six digits, and so restores another value. Where it names the columns it reads, as it does since it
 * knows invisible ones, they are asked for with all their digits instead.
 */
function floatsExactly(tables: readonly MariadbTable[]): (sql: string) => string {
  const floats = new Map(
    tables.map(({ name, columns }) => [quoteName(name), new Set(columns.filter(isFloat).map((column) => quoteName(column.name)))]),
  )
  return (sql) => {
    const [, select, columns, from, table] = readingRows.exec(sql) ?? []
    const inexact = floats.get(table ?? "")
    if (columns === undefined || inexact === undefined || inexact.size === 0) return sql
    return `${select ?? ""}${columns.replace(quotedName, (name) => (inexact.has(name) ? `${name} * 1e0 AS ${name}` : name))}${from ?? ""}`
  }
}

const readingRows = /^(SELECT \/\*!40001 SQL_NO_CACHE \*\/ )(.*)( FROM (`(?:[^`]|``)*`))$/s
const quotedName = /`(?:[^`]|``)*`/g

function isFloat({ dataType }: MariadbColumn): boolean {
  return dataType === "float"
}

/** The stream with `sandboxLine` as its first line, once. */
export async function* withSandboxLine(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let head: Buffer | null = Buffer.alloc(0)
  for await (const chunk of chunks) {
    if (head === null) {
      yield chunk
      continue
    }
    head = Buffer.concat([head, chunk])
    if (head.length < sandboxLine.length) continue
    yield begun(head)
    head = null
  }
  if (head !== null && head.length > 0) yield begun(head)
}

function begun(head: Buffer): Buffer {
  const own = sandboxPattern.exec(head.toString("latin1", 0, 2 * sandboxLine.length))?.[0] ?? ""
  return Buffer.concat([Buffer.from(sandboxLine), head.subarray(own.length)])
}

/** The stream, unless it does not end with the line that mariadb-dump writes last. */
async function* checkedEnd(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let tail = Buffer.alloc(0)
  for await (const chunk of chunks) {
    tail = Buffer.concat([tail, chunk.subarray(-trailerBytesMax)]).subarray(-trailerBytesMax)
    yield chunk
  }
  if (!trailer.test(tail.toString("latin1")))
    throw new JobError("job/command", "mariadb-dump: its output lacks the line that says it is complete")
}

const trailerBytesMax = 256
