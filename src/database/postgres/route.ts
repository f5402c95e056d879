import { lookup } from "node:dns/promises"
import { readFile } from "node:fs/promises"
import { BlockList, isIP } from "node:net"
import { getCACertificates } from "node:tls"
import type { z } from "zod"
import { JobError, reasonOf } from "../../errors.ts"
import type { postgresSettings } from "../settings.ts"

export type PostgresSettings = z.infer<typeof postgresSettings>

/** The way to a server, for our own client and for the server's programs. */
export interface Route {
  /** Where to connect: an address, a name, or the directory of a socket. */
  readonly host: string
  readonly port: number
  /** Absent: a socket, or this machine with TLS switched off. */
  readonly tls: RouteTls | undefined
}

export interface RouteTls {
  /** What must stand in the server's certificate. */
  readonly name: string
  /** Certificates of the authorities that may have signed it, PEM. */
  readonly authorities: readonly string[]
}

/**
 * Follows the settings to a Route. Rejects with a JobError where TLS is switched off to a server that is not on this machine, where the
 * name that must be resolved has no address, and where the file of authorities cannot be read.
 */
export async function routeTo(settings: PostgresSettings): Promise<Route> {
  const { host, tls } = settings
  const port = settings.port ?? 5432
  if (host.startsWith("/")) return { host, port, tls: undefined }
  if (tls.off === "loopback") return { host: await loopbackAddress(host), port, tls: undefined }
  const name = tls.serverName ?? host
  // Connecting to an address keeps the name free for what the certificate must say.
  const address = name === host ? host : await addressOf(host)
  return { host: address, port, tls: { name, authorities: await authoritiesOf(tls.ca) } }
}

async function authoritiesOf(file: string | undefined): Promise<readonly string[]> {
  if (file === undefined) return getCACertificates("system")
  try {
    return [await readFile(file, "utf8")]
  } catch (cause) {
    throw new JobError("job/source", `tls.ca ${file}: ${reasonOf(cause)}`, { cause })
  }
}

async function addressOf(host: string): Promise<string> {
  if (isIP(host) !== 0) return host
  try {
    return (await lookup(host)).address
  } catch (cause) {
    throw new JobError("job/source", `${host}: ${reasonOf(cause)}`, { cause, hint: "check `host`: its name has no address" })
  }
}

/** The address itself is what is connected to afterwards: a name could lead elsewhere by then. */
async function loopbackAddress(host: string): Promise<string> {
  const address = await addressOf(host)
  if (loopback.check(address, isIP(address) === 6 ? "ipv6" : "ipv4")) return address
  throw new JobError("job/source", `${host} is ${address}, which is not this machine, and TLS is switched off`, {
    hint: "remove `tls.off`: only a server on this machine is reached without TLS",
  })
}

const loopback = new BlockList()
loopback.addSubnet("127.0.0.0", 8, "ipv4")
loopback.addAddress("::1", "ipv6")
