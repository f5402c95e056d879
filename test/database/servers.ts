import { join } from "node:path"
import type { Environment } from "../../src/program.ts"
import { requireTool } from "../requires.ts"
import {
  copyOrMake,
  freePort,
  makeTls,
  newestFolder,
  ownerOf,
  removeFolder,
  runProgram,
  type ServerProcess,
  type ServerTls,
  serverFolder,
  startServer,
} from "./process.ts"

export interface ServerOptions {
  /** Listen on 127.0.0.1 too, with TLS and a certificate for `certifiedName`; Postgres then asks for a password there. */
  readonly tls?: boolean
  /** The server's own settings, such as {max_connections: "20"}; what the tests need to be fast is set already. */
  readonly settings?: Readonly<Record<string, string>>
}

interface TestServer extends AsyncDisposable {
  /** PATH, which finds the server's own client programs first. */
  readonly environment: Environment
  /** Of the TCP listener; only with `tls`. */
  readonly port: number
  readonly tls: ServerTls | null
  readonly pid: number
  /** Runs SQL as the superuser and gives the rows, tab between fields; rejects at the first error. */
  sql(text: string, database?: string): Promise<string>
  /** Ends the server at once, as a power cut would. */
  kill(): Promise<void>
  /** Ends the server and removes all of it. */
  stop(): Promise<void>
}

export interface PostgresServer extends TestServer {
  /** The directory of its socket, which takes everyone at their word. */
  readonly socket: string
  /** As `databases:` of the configuration has it, over the socket; user: the superuser "postgres". */
  settings(database: string, user?: string): PostgresAt
  createDatabase(name: string, options?: string): Promise<void>
}

/** What `postgresSettings` gives for a server reached over its socket. */
export interface PostgresAt {
  readonly kind: "postgres"
  readonly host: string
  readonly port: number
  readonly name: string
  readonly user: string
  readonly tls: Record<string, never>
}

export interface MariadbServer extends TestServer {
  /** Its socket. */
  readonly socket: string
  /** As `databases:` of the configuration has it, over the socket; user: the superuser "root", who has no password. */
  settings(database: string, user?: string): MariadbAt
  createDatabase(name: string, options?: string): Promise<void>
}

/** What `mariadbSettings` gives for a server reached over its socket. */
export interface MariadbAt {
  readonly kind: "mariadb"
  readonly host: string
  readonly name: string
  readonly user: string
  readonly tls: Record<string, never>
}

/** The reason to skip a test that needs a Postgres server; null where it can be started. */
export function requirePostgres(): string | null {
  return requireTool("postgres", { ...process.env, PATH: postgresPath() })
}

/** The reason to skip a test that needs a MariaDB server; null where it can be started. */
export function requireMariadb(): string | null {
  return requireTool("mariadbd", { ...process.env, PATH: mariadbPath() })
}

function postgresPath(): string {
  const bin = newestFolder("/usr/lib/postgresql", "bin")
  return [...(bin === null ? [] : [bin]), process.env.PATH ?? ""].join(":")
}

function mariadbPath(): string {
  return [process.env.PATH ?? "", "/usr/sbin", "/usr/local/sbin"].join(":")
}

/** Nothing of a test has to survive a power cut. */
const hastyPostgres = {
  fsync: "off",
  synchronous_commit: "off",
  full_page_writes: "off",
  shared_buffers: "64MB",
  max_connections: "60",
  autovacuum: "off",
  lc_messages: "C",
}

/** Starts a private Postgres in a new folder: one socket, superuser "postgres", UTF-8. */
export async function startPostgres(options: ServerOptions = {}): Promise<PostgresServer> {
  const owner = await ownerOf("postgres")
  const folder = await serverFolder("pg", owner)
  const bin = newestFolder("/usr/lib/postgresql", "bin")
  const program = (name: string): string => (bin === null ? name : join(bin, name))
  const data = join(folder, "data")
  await copyOrMake("postgres", data, owner, async (made) => {
    const asked = ["-U", "postgres", "-A", "trust", "-N", "--no-instructions", "-E", "UTF8", "--locale=C.UTF-8"]
    await runProgram([program("initdb"), "-D", made, ...asked], { owner })
    // What initdb writes trusts everyone; over TCP the tests want passwords.
    const hba = join(made, "pg_hba.conf")
    await runProgram(["sed", "-i", "s/^host.*trust$/#&/", hba], { owner })
    const hosts = ["hostssl", "hostnossl"].map((kind) => `${kind} all all 127.0.0.1/32 scram-sha-256`).join("\\n")
    await runProgram(["sed", "-i", `$a${hosts}`, hba], { owner })
  })
  const tls = options.tls === true ? await makeTls(folder, owner) : null
  const port = tls === null ? 5432 : await freePort()
  const settings = {
    ...hastyPostgres,
    port: String(port),
    unix_socket_directories: folder,
    listen_addresses: tls === null ? "" : "127.0.0.1",
    ...(tls === null ? {} : { ssl: "on", ssl_cert_file: tls.certificate, ssl_key_file: tls.key }),
    ...options.settings,
  }
  const flags = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])
  const server = await startServer([program("postgres"), "-D", data, ...flags], /ready to accept connections/, owner)

  const sql = (text: string, database = "postgres"): Promise<string> =>
    runProgram(
      [program("psql"), "-XAtq", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-h", folder, "-p", String(port), "-U", "postgres", database],
      {
        input: text,
        environment: { PGCLIENTENCODING: "UTF8" },
      },
    )
  return {
    ...lifeOf(server, folder, "SIGINT"),
    environment: { PATH: postgresPath() },
    socket: folder,
    port,
    tls,
    sql,
    settings: (name, user = "postgres") => ({ kind: "postgres", host: folder, port, name, user, tls: {} }),
    createDatabase: async (name, how = "") => void (await sql(`CREATE DATABASE "${name}" ${how}`)),
  }
}

const hastyMariadb = {
  "debug-no-sync": "1",
  "innodb-flush-log-at-trx-commit": "0",
  "innodb-buffer-pool-size": "64M",
  "innodb-log-file-size": "32M",
  "innodb-doublewrite": "0",
  "max-connections": "60",
  "lc-messages": "en_US",
}

/** Starts a private MariaDB in a new folder: one socket, superuser "root". */
export async function startMariadb(options: ServerOptions = {}): Promise<MariadbServer> {
  const environment = { PATH: mariadbPath() }
  const folder = await serverFolder("my", null)
  const [data, socket] = [join(folder, "data"), join(folder, "s")]
  const asRoot = process.getuid?.() === 0 ? ["--user=root"] : []
  await copyOrMake("mariadb", data, null, async (made) => {
    const hasty = Object.entries(hastyMariadb).flatMap(([name, value]) => (name.startsWith("lc-") ? [] : [`--${name}=${value}`]))
    const asked = ["--no-defaults", `--datadir=${made}`, "--auth-root-authentication-method=normal", "--skip-test-db"]
    await runProgram(["mariadb-install-db", ...asked, ...hasty, ...asRoot], { environment })
  })
  const tls = options.tls === true ? await makeTls(folder, null) : null
  const port = tls === null ? 3306 : await freePort()
  const settings = { ...hastyMariadb, datadir: data, socket, "pid-file": join(folder, "pid"), tmpdir: folder, ...options.settings }
  const network =
    tls === null
      ? ["--skip-networking"]
      : ["--bind-address=127.0.0.1", `--port=${port}`, `--ssl-ca=${tls.ca}`, `--ssl-cert=${tls.certificate}`, `--ssl-key=${tls.key}`]
  const flags = Object.entries(settings).map(([name, value]) => `--${name}=${value}`)
  const server = await startServer(
    ["mariadbd", "--no-defaults", "--skip-log-bin", ...asRoot, ...flags, ...network],
    /ready for connections/,
    null,
  )

  const sql = (text: string, database = "mysql"): Promise<string> =>
    runProgram(
      [
        "mariadb",
        "--no-defaults",
        "--batch",
        "--raw",
        "--skip-column-names",
        "--default-character-set=utf8mb4",
        "-u",
        "root",
        `--socket=${socket}`,
        database,
      ],
      { input: text, environment },
    )
  return {
    ...lifeOf(server, folder, "SIGTERM"),
    environment,
    socket,
    port,
    tls,
    sql,
    settings: (name, user = "root") => ({ kind: "mariadb", host: socket, name, user, tls: {} }),
    createDatabase: async (name, how = "") => void (await sql(`CREATE DATABASE \`${name}\` ${how}`)),
  }
}

function lifeOf(
  server: ServerProcess,
  folder: string,
  gently: NodeJS.Signals,
): Pick<TestServer, "pid" | "kill" | "stop" | typeof Symbol.asyncDispose> {
  const stop = async (): Promise<void> => {
    await server.end(gently)
    removeFolder(folder)
  }
  return { pid: server.pid, kill: () => server.end("SIGKILL"), stop, [Symbol.asyncDispose]: stop }
}
