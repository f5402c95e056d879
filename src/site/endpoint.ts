import { isIPv4 } from "node:net"
import { SiteError } from "../errors.ts"

/** Where a bucket is spoken to. Plain HTTP is for this host alone: credentials and names would travel in the open. */
export function checkEndpoint(site: string, endpoint: string): URL {
  const url = new URL(endpoint)
  if (url.protocol !== "https:" && !isLoopback(url)) {
    throw new SiteError(site, "site/unsupported", `${endpoint}: without TLS only servers on this host are spoken to`, {
      hint: "use an https URL",
    })
  }
  return url
}

export function isLoopback({ hostname }: URL): boolean {
  return hostname === "localhost" || hostname === "[::1]" || (isIPv4(hostname) && hostname.startsWith("127."))
}
