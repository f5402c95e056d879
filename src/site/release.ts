import { AsyncLocalStorage } from "node:async_hooks"
import { subscribe } from "node:diagnostics_channel"
import { ClientRequest } from "node:http"
import { z } from "zod"

interface Call {
  readonly signal: AbortSignal
  readonly requests: Set<ClientRequest>
}

const calls = new AsyncLocalStorage<Call>()
const created = z.object({ request: z.instanceof(ClientRequest) })
let watching = false

/**
 * Runs a call of a library that takes no signal. When `signal` is aborted it rejects with the signal's reason at once, and every
 * HTTP request that the call has begun, or begins later, is destroyed: a server that never answers must not keep sockets, nor the
 * process, for ever.
 */
export async function releasing<T>(signal: AbortSignal | undefined, call: () => Promise<T>): Promise<T> {
  if (signal === undefined) return await call()
  signal.throwIfAborted()
  watch()
  const requests = new Set<ClientRequest>()
  const ended = Promise.withResolvers<never>()
  function end(): void {
    for (const request of requests) request.destroy()
    ended.reject(signal?.reason)
  }
  signal.addEventListener("abort", end, { once: true })
  try {
    return await Promise.race([calls.run({ signal, requests }, call), ended.promise])
  } finally {
    signal.removeEventListener("abort", end)
  }
}

// Node tells of every request in the asynchronous context of whoever begins it: that is how a request is known to be a call's.
function watch(): void {
  if (watching) return
  watching = true
  subscribe("http.client.request.created", (message) => {
    const call = calls.getStore()
    if (call === undefined) return
    const { request } = created.parse(message)
    if (call.signal.aborted) request.destroy()
    else call.requests.add(request.once("close", () => call.requests.delete(request)))
  })
}
