import { AsyncLocalStorage } from "node:async_hooks"
import { subscribe } from "node:diagnostics_channel"
import { ClientRequest } from "node:http"
import { z } from "zod"

interface Call {
  /** Requests begun and not over. */
  readonly requests: Set<ClientRequest>
  /** The call has failed: what it begins now ends at once. */
  failed: boolean
}

const calls = new AsyncLocalStorage<Call>()
const created = z.object({ request: z.instanceof(ClientRequest) })
let watching = false

/**
 * Runs a call of a library that takes no signal. When `signal` is aborted it rejects with the signal's reason at once. With that or
 * any other failure, every HTTP request that the call has begun, or begins later, is destroyed: a server that never answers, or an
 * answer that nobody reads on, must not keep sockets, nor the process, for ever.
 */
export async function releasing<T>(signal: AbortSignal | undefined, call: () => Promise<T>): Promise<T> {
  signal?.throwIfAborted()
  watch()
  const store: Call = { requests: new Set(), failed: false }
  const ended = Promise.withResolvers<never>()
  const end = () => ended.reject(signal?.reason)
  signal?.addEventListener("abort", end, { once: true })
  try {
    return await Promise.race([calls.run(store, call), ended.promise])
  } catch (error) {
    store.failed = true
    for (const request of store.requests) request.destroy()
    throw error
  } finally {
    signal?.removeEventListener("abort", end)
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
    if (call.failed) request.destroy()
    else call.requests.add(request.once("close", () => call.requests.delete(request)))
  })
}
