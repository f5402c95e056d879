import { once } from "node:events"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { Clock } from "../clock.ts"
import { BackupError, errnoOf, JobError, reasonOf } from "../errors.ts"
import { healthConnectionsMax, healthRequestMs, metricsAgeMs } from "../limits.ts"
import type { ListenAddress } from "./listen.ts"

export interface HealthOptions {
  readonly listen: ListenAddress
  readonly clock: Clock
  /** Why nothing would run now although it is due; null where it would. */
  whyNotReady(): string | null
  /** Asked at most once in a while, however many scrape. */
  metrics(): Promise<string>
  /** What cannot be measured, and why; whoever asked gets only the code. */
  failed(error: unknown): void
}

/** Answers until it is disposed of. */
export interface HealthServer extends AsyncDisposable {
  /** The port, where 0 was asked for. */
  readonly port: number
}

/**
 * Answers GET at /healthz (the process answers), /readyz (503 and the reason where it would run nothing) and /metrics. Nothing is changed
 * by asking, and nothing of a customer is in an answer. A JobError where the address cannot be used.
 */
export async function serveHealth(options: HealthOptions): Promise<HealthServer> {
  const { host, port } = options.listen
  const pages = pagesOf(options)
  const server = createServer(
    { requestTimeout: healthRequestMs, headersTimeout: healthRequestMs, keepAliveTimeout: healthRequestMs },
    (request, response) => {
      void answer(request, response, { pages, failed: options.failed })
    },
  )
  server.maxConnections = healthConnectionsMax
  try {
    server.listen(port, host)
    await once(server, "listening")
  } catch (cause) {
    const why = errnoOf(cause) ?? reasonOf(cause)
    throw new JobError("job/target", `listen: ${host}:${String(port)} cannot be used: ${why}`, {
      cause,
      hint: "another process may hold it; choose another port, or an address of this host",
    })
  }
  const address = server.address()
  return {
    port: typeof address === "object" && address !== null ? address.port : port,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close")
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

interface Page {
  readonly status: number
  readonly text: string
}

type Pages = Readonly<Record<string, () => Page | Promise<Page>>>

function pagesOf({ clock, whyNotReady, metrics }: HealthOptions): Pages {
  const recent = recently(metrics, clock)
  return {
    "/healthz": () => ({ status: 200, text: "ok\n" }),
    "/readyz": () => {
      const why = whyNotReady()
      return why === null ? { status: 200, text: "ready\n" } : { status: 503, text: `not ready: ${why}\n` }
    },
    "/metrics": async () => ({ status: 200, text: await recent() }),
  }
}

/** What was measured a moment ago is measured again only later: it reads many reports. */
function recently(measure: () => Promise<string>, clock: Clock): () => Promise<string> {
  let last: { readonly ms: number; readonly text: Promise<string> } | null = null
  return () => {
    const ms = clock.now().getTime()
    if (last !== null && ms >= last.ms && ms - last.ms < metricsAgeMs) return last.text
    const text = measure()
    last = { ms, text }
    text.catch(() => {
      last = null
    })
    return text
  }
}

type Answers = Pick<HealthOptions, "failed"> & { readonly pages: Pages }

async function answer(request: IncomingMessage, response: ServerResponse, answers: Answers): Promise<void> {
  const { status, text } = await pageFor(request, answers)
  response.writeHead(status, {
    "content-type": "text/plain; version=0.0.4; charset=utf-8",
    "cache-control": "no-store",
    ...(status === 405 && { allow: "GET, HEAD" }),
  })
  response.end(request.method === "HEAD" ? undefined : text)
}

async function pageFor({ method, url = "/" }: IncomingMessage, { pages, failed }: Answers): Promise<Page> {
  if (method !== "GET" && method !== "HEAD") return { status: 405, text: "only GET is answered\n" }
  const [path = "/"] = url.split("?")
  const page = Object.hasOwn(pages, path) ? pages[path] : undefined
  if (page === undefined) return { status: 404, text: `${Object.keys(pages).join(" ")}\n` }
  try {
    return await page()
  } catch (error) {
    // Asking must not end what is asked about.
    failed(error)
    return { status: 500, text: `cannot be measured: ${error instanceof BackupError ? error.code : "see the log of the service"}\n` }
  }
}
