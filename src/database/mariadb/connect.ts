import { readFile } from "node:fs/promises"
import { BlockList, connect as connectSocket, isIP, Socket } from "node:net"
import type { ConnectionOptions, SslOptions } from "mysql2"
import { JobError, reasonOf } from "../../errors.ts"
import { databaseConnectMs } from "../../limits.ts"
import type { DatabaseAccess } from "../database.ts"
import type { DatabaseSettings } from "../settings.ts"

export type MariadbSettings = Extract<DatabaseSettings, { kind: "mariadb" }>

/** A connection that has logged in and is idle. From here on its bytes are ours: mysql2 reads and writes nothing more. */
export interface LoggedIn {
  readonly socket: Socket
  readonly threadId: number
  /** Whether the server describes columns in MariaDB's longer form, because the login asked for it. */
  readonly extendedMetadata: boolean
}

/** The capabilities mysql2 asks for, less those that would change what a statement or a result looks like, or let the server ask for files. */
const flags = ["-LOCAL_FILES", "-CLIENT_QUERY_ATTRIBUTES", "-SESSION_TRACK", "-CONNECT_ATTRS", "-ODBC", "-IGNORE_SPACE"]

/**
 * Logs in, over TLS with the certificate and its name checked, or over a socket, or without TLS to this machine where the settings say
 * so. Rejects with a JobError that holds no password, or with the signal's reason.
 */
export async function logIn(settings: MariadbSettings, access: Login): Promise<LoggedIn> {
  access.signal.throwIfAborted()
  const options = await connectionOptions(settings, access)
  const { createConnection } = await import("mysql2")
  const connection = createConnection(options)
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const abort = (): void => reject(access.signal.reason)
  access.signal.addEventListener("abort", abort, { once: true })
  connection.once("connect", () => resolve())
  connection.on("error", reject)
  try {
    await promise
  } catch (error) {
    connection.destroy()
    access.signal.throwIfAborted()
    throw unreachable(settings, error)
  } finally {
    access.signal.removeEventListener("abort", abort)
  }
  return {
    socket: takeSocket(connection, settings),
    threadId: connection.threadId,
    extendedMetadata: Reflect.get(connection, "_mariadbExtendedMetadata") === true,
  }
}

/** Where the database is, for errors and reports: without user or password. */
export function describe(settings: MariadbSettings): string {
  const port = settings.port === undefined ? "" : `:${settings.port}`
  return `mariadb ${settings.name} at ${settings.host}${port}`
}

/** Who logs in, and whether to load rows: the server may then ask for them, and who speaks to it gives it those and nothing else. */
export interface Login extends Pick<DatabaseAccess, "password" | "signal"> {
  readonly sendsRows?: boolean
}

async function connectionOptions(settings: MariadbSettings, access: Pick<Login, "password" | "sendsRows">): Promise<ConnectionOptions> {
  const common: ConnectionOptions = {
    user: settings.user,
    database: settings.name,
    connectTimeout: databaseConnectMs,
    charset: "utf8mb4",
    multipleStatements: false,
    flags: access.sendsRows === true ? flags.filter((flag) => flag !== "-LOCAL_FILES") : flags,
    ...(access.password === undefined ? {} : { password: access.password.reveal() }),
  }
  if (settings.host.startsWith("/")) return { ...common, socketPath: settings.host }
  const port = settings.port ?? 3306
  if (settings.tls.off === "loopback") {
    if (isLoopback(settings.host)) return { ...common, host: settings.host, port }
    throw new JobError("job/source", `${describe(settings)}: a connection without TLS is refused: ${settings.host} is not this machine`, {
      hint: 'remove "off" from `tls`, or use the socket of a server on this machine',
    })
  }
  const certified = settings.tls.serverName ?? settings.host
  // mysql2 checks a name that it also asks for, and knows no way to check an address.
  if (isIP(certified) !== 0) {
    throw new JobError("job/source", `${describe(settings)}: an address is no name that a certificate can be checked against`, {
      hint: "give the name in the server's certificate as `tls.serverName`",
    })
  }
  const stream = (): Socket => connectSocket({ host: settings.host, port, keepAlive: true, noDelay: true })
  return { ...common, host: certified, port, stream, ssl: await tlsOptions(settings) }
}

async function tlsOptions(settings: MariadbSettings): Promise<SslOptions> {
  const checked: SslOptions = { rejectUnauthorized: true, verifyIdentity: true, minVersion: "TLSv1.2" }
  if (settings.tls.ca === undefined) return checked
  try {
    return { ...checked, ca: await readFile(settings.tls.ca, "utf8") }
  } catch (cause) {
    throw new JobError("job/source", `${describe(settings)}: ${settings.tls.ca}: ${reasonOf(cause)}`, { cause })
  }
}

const loopback = new BlockList()
loopback.addSubnet("127.0.0.0", 8, "ipv4")
loopback.addAddress("::1", "ipv6")

function isLoopback(host: string): boolean {
  if (host === "localhost") return true
  const family = isIP(host)
  return family !== 0 && loopback.check(host, family === 6 ? "ipv6" : "ipv4")
}

function takeSocket(connection: object, settings: MariadbSettings): Socket {
  const socket: unknown = Reflect.get(connection, "stream")
  if (!(socket instanceof Socket))
    throw new JobError("job/source", `${describe(settings)}: the client library gave no socket: this is a bug`)
  socket.pause()
  socket.removeAllListeners("data")
  return socket
}

function unreachable(settings: MariadbSettings, cause: unknown): JobError {
  const code = cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : ""
  const hint = hints.get(code)
  return new JobError("job/source", `${describe(settings)}: cannot connect: ${reasonOf(cause) || code}`, {
    cause,
    ...(hint === undefined ? {} : { hint }),
  })
}

const hints: ReadonlyMap<string, string> = new Map([
  ["HANDSHAKE_NO_SSL_SUPPORT", "give the server a certificate, or use its socket"],
  ["HANDSHAKE_SSL_ERROR", "name the authority's certificates as `tls.ca`, and the name in the certificate as `tls.serverName`"],
  ["ER_ACCESS_DENIED_ERROR", "check the user, the password and the host the user may come from"],
  ["ER_DBACCESS_DENIED_ERROR", "the role needs the grants that `holdline source check` prints"],
  ["ECONNREFUSED", "check host and port, and that the server listens there"],
  ["ENOENT", "check the path of the server's socket"],
])
