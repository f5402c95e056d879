import { isIP } from "node:net"
import { z } from "zod"

/** Where health and metrics are asked for. */
export interface ListenAddress {
  readonly host: string
  readonly port: number
}

/** An address of this host and a port. The address is always said: a port alone means every network to some programs. */
export const listenSchema = z
  .string()
  .transform((text, context): ListenAddress => {
    const address = parseListen(text)
    if (address !== null) return address
    context.addIssue({ code: "custom", message: 'expected an address and a port, such as "127.0.0.1:9327" or "[::1]:9327"' })
    return z.NEVER
  })
  .meta({
    title: "address and port",
    description:
      "where `holdline serve` answers at /healthz, /readyz and /metrics; another address than 127.0.0.1 or [::1] opens it to whoever reaches " +
      "that network, without a password. Without it nothing listens",
    examples: ["127.0.0.1:9327"],
    pattern: "^(\\d{1,3}(\\.\\d{1,3}){3}|\\[[0-9a-fA-F:.]+\\]):\\d{1,5}$",
  })

function parseListen(text: string): ListenAddress | null {
  const [, v4, v6, digits] = /^(?:(\d{1,3}(?:\.\d{1,3}){3})|\[([0-9a-fA-F:.]+)\]):(\d{1,5})$/.exec(text) ?? []
  const host = v4 ?? v6 ?? ""
  const port = Number(digits)
  return isIP(host) === (v4 === undefined ? 6 : 4) && port >= 1 && port <= 65_535 ? { host, port } : null
}

/** Whether only this host itself reaches an address. */
export function isLoopbackAddress({ host }: ListenAddress): boolean {
  return host === "::1" || /^127\./.test(host)
}
