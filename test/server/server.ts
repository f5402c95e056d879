import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { Socket } from "node:net"
import type { Clock } from "../../src/clock.ts"
import { FaultQueue } from "./fault-queue.ts"
import { ObjectStore } from "./store.ts"

/** What a front gets: the store, its clock, and the faults that the test has planned. */
export interface ServerWorld {
  readonly store: ObjectStore
  readonly clock: Clock
  readonly faults: FaultQueue
}

/** Answers one request. Whatever it throws is a mistake of the stand-in: answered with 500 and remembered in `mistakes`. */
export type Front = (request: IncomingMessage, response: ServerResponse) => Promise<void>

export interface ServerOptions {
  /** An existing directory; what is kept there is kept again by the next server on it. */
  readonly directory: string
  readonly clock: Clock
  front(world: ServerWorld): Front
  /** 0 or absent: any free one. */
  readonly port?: number
}

export interface StandIn extends AsyncDisposable {
  /** Such as http://127.0.0.1:40123. */
  readonly endpoint: string
  readonly directory: string
  readonly store: ObjectStore
  readonly faults: FaultQueue
  /** Connections that are open. */
  readonly connections: number
  /** Requests so far, by the name the front gave them. */
  readonly requests: ReadonlyMap<string, number>
  /** What the front threw: a test that leaves some has found a mistake of the stand-in. */
  readonly mistakes: readonly unknown[]
  stop(): Promise<void>
}

/** Starts a stand-in on loopback. It is for development, tests and the demo only: no product, and nothing to keep a backup in. */
export async function startServer(options: ServerOptions): Promise<StandIn> {
  const store = new ObjectStore(options.directory, options.clock)
  const counting = new CountingQueue()
  const front = options.front({ store, clock: options.clock, faults: counting })
  const mistakes: unknown[] = []
  const server = createServer((request, response) => {
    front(request, response).catch((error: unknown) => {
      if (!request.destroyed || !isAbort(error)) mistakes.push(error)
      if (!response.headersSent) response.writeHead(500)
      response.end()
    })
  })
  const sockets = new Set<Socket>()
  server.on("connection", (socket) => {
    sockets.add(socket)
    socket.on("close", () => sockets.delete(socket))
    // Connections that a test or a fault cuts.
    socket.on("error", () => sockets.delete(socket))
  })
  const port = await listen(server, options.port ?? 0)
  const stop = async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    for (const socket of sockets) socket.destroy()
    await closed
  }
  return {
    endpoint: `http://127.0.0.1:${String(port)}`,
    directory: options.directory,
    get connections() {
      return sockets.size
    },
    ...{ store, faults: counting, requests: counting.requests, mistakes, stop },
    [Symbol.asyncDispose]: stop,
  }
}

class CountingQueue extends FaultQueue {
  readonly requests = new Map<string, number>()

  override meet(operation: string, key: string): ReturnType<FaultQueue["meet"]> {
    this.requests.set(operation, (this.requests.get(operation) ?? 0) + 1)
    return super.meet(operation, key)
  }
}

async function listen(server: Server, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject)
    server.listen(port, "127.0.0.1", resolve)
  })
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("the server has no port")
  return address.port
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ECONNRESET" || error.code === "ERR_STREAM_PREMATURE_CLOSE")
}
