import { type ChildProcess, execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { chownSync, existsSync, readdirSync, rmSync } from "node:fs"
import { chown, mkdtemp, rename, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"

const run = promisify(execFile)

/** Who a server runs as where the tests are root. */
export interface Owner {
  readonly uid: number
  readonly gid: number
}

/** A server's program that was started and said that it is ready. */
export interface ServerProcess {
  readonly pid: number
  /** Sends the signal and waits for the end; nothing happens where it ended already. */
  end(signal: NodeJS.Signals): Promise<void>
}

/** Null where the tests are not root, and a server may run as who they are. */
export async function ownerOf(user: string): Promise<Owner | null> {
  if (process.getuid?.() !== 0) return null
  const id = async (flag: string): Promise<number> => Number((await run("id", [flag, user])).stdout)
  return { uid: await id("-u"), gid: await id("-g") }
}

/** A new private folder, short enough for the path of a socket, that goes when the test's process does. */
export async function serverFolder(prefix: string, owner: Owner | null): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `holdline-${prefix}-`))
  if (owner !== null) chownSync(folder, owner.uid, owner.gid)
  return folder
}

/**
 * Fills `data`, which must not exist, as `make` does: a copy of what it made for the first of the tests that run together, where their
 * set-up gives a place to keep that.
 */
export async function copyOrMake(name: string, data: string, owner: Owner | null, make: (data: string) => Promise<void>): Promise<void> {
  const templates = process.env.HOLDLINE_TEST_TEMPLATES
  if (templates === undefined) return await make(data)
  const template = join(templates, name)
  if (!existsSync(template)) {
    const made = await mkdtemp(`${template}-`)
    if (owner !== null) await chown(made, owner.uid, owner.gid)
    await make(join(made, "data"))
    // Another may have been first, and a directory that has something in it is not replaced.
    await rename(join(made, "data"), template).catch(() => undefined)
  }
  await run("cp", ["--archive", "--reflink=auto", template, data])
}

/** Runs a program to its end, with `input` as its standard input, and gives what it printed; rejects with its own words. */
export async function runProgram(command: readonly [string, ...string[]], options: RunOptions = {}): Promise<string> {
  const [name, ...args] = command
  const child = spawn(name, args, {
    cwd: "/",
    env: { ...process.env, LC_ALL: "C", ...options.environment },
    ...(options.owner ?? {}),
  })
  const [stdout, stderr] = [textOf(child.stdout), textOf(child.stderr)]
  child.stdin.on("error", () => undefined)
  child.stdin.end(options.input ?? "")
  const [status]: unknown[] = await once(child, "close")
  if (status !== 0) throw new Error(`${name} ended with ${String(status)}: ${(await stderr).trim()}`)
  return (await stdout).trimEnd()
}

export interface RunOptions {
  readonly environment?: Readonly<Record<string, string>>
  readonly input?: string
  readonly owner?: Owner | null
}

async function textOf(stream: AsyncIterable<Buffer>): Promise<string> {
  return Buffer.concat(await Array.fromAsync(stream)).toString("utf8")
}

/** Starts a server and waits until its standard error matches `ready`. */
export async function startServer(command: readonly [string, ...string[]], ready: RegExp, owner: Owner | null): Promise<ServerProcess> {
  const [name, ...args] = command
  const child = spawn(name, args, {
    cwd: "/",
    env: { PATH: `${process.env.PATH ?? ""}:/usr/sbin`, LC_ALL: "C" },
    stdio: ["ignore", "ignore", "pipe"],
    ...(owner ?? {}),
  })
  // Neither a failed test nor an interrupted one leaves a server behind.
  const kill = (): void => void child.kill("SIGKILL")
  process.once("exit", kill)
  child.once("close", () => process.off("exit", kill))
  await readiness(child, name, ready)
  return { pid: child.pid ?? -1, end: (signal) => ended(child, signal) }
}

function readiness(child: ChildProcess, name: string, ready: RegExp): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = ""
    child.once("error", reject)
    child.once("close", (status) => reject(new Error(`${name} ended with ${String(status)}: ${said.slice(-2000)}`)))
    child.stderr?.on("data", (chunk: Buffer) => {
      said = (said + chunk.toString("utf8")).slice(-20_000)
      if (ready.test(said)) resolve()
    })
  })
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const closed = once(child, "close")
  child.kill(signal)
  await closed
}

/** Removes a server's folder, which it may still be writing its last to. */
export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
}

/** A port of 127.0.0.1 that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  server.close()
  await once(server, "close")
  if (address === null || typeof address === "string") throw new Error("no port")
  return address.port
}

/** The folder of the newest version below `root` that holds the programs, such as /usr/lib/postgresql/15/bin; null where there is none. */
export function newestFolder(root: string, within: string): string | null {
  try {
    const versions = readdirSync(root).filter((name) => /^\d+$/.test(name))
    const newest = versions.sort((one, other) => Number(other) - Number(one))[0]
    return newest === undefined ? null : join(root, newest, within)
  } catch {
    return null
  }
}

/** What a server over TLS shows, and who signed it. */
export interface ServerTls {
  /** The authority's certificate, for the client. */
  readonly ca: string
  readonly certificate: string
  readonly key: string
}

/** The name in the certificate of every test server; 127.0.0.1 stands in it as well. */
export const certifiedName = "db.holdline.test"

/** Makes an authority and a certificate signed by it in `folder`, with openssl. */
export async function makeTls(folder: string, owner: Owner | null): Promise<ServerTls> {
  const at = (name: string): string => join(folder, name)
  const fresh = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-batch"]
  await run("openssl", ["req", "-x509", ...fresh, "-days", "30", "-subj", "/CN=authority", "-keyout", at("ca.key"), "-out", at("ca.pem")])
  await run("openssl", ["req", "-new", ...fresh, "-subj", `/CN=${certifiedName}`, "-keyout", at("server.key"), "-out", at("server.csr")])
  await writeFile(at("names"), `subjectAltName=DNS:${certifiedName},IP:127.0.0.1\n`)
  const signer = ["-CA", at("ca.pem"), "-CAkey", at("ca.key"), "-CAcreateserial", "-days", "30", "-extfile", at("names")]
  await run("openssl", ["x509", "-req", "-in", at("server.csr"), ...signer, "-out", at("server.pem")])
  if (owner !== null) for (const name of ["server.key", "server.pem", "ca.pem"]) await chown(at(name), owner.uid, owner.gid)
  return { ca: at("ca.pem"), certificate: at("server.pem"), key: at("server.key") }
}
