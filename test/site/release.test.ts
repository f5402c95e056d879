import { once } from "node:events"
import { createServer, get, type Server } from "node:http"
import type { Socket } from "node:net"
import { setImmediate } from "node:timers/promises"
import { expect, onTestFinished, test } from "vitest"
import { releasing } from "../../src/site/release.ts"

/** A server that takes every request and answers none; `open` are its connections. */
async function silent(): Promise<{ readonly url: string; readonly server: Server; readonly open: ReadonlySet<Socket> }> {
  const open = new Set<Socket>()
  const server = createServer()
  server.on("connection", (socket) => {
    open.add(socket)
    socket.on("close", () => open.delete(socket))
    socket.on("error", () => open.delete(socket))
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  onTestFinished(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  const address = server.address()
  return { url: `http://127.0.0.1:${String(typeof address === "object" ? address?.port : 0)}`, server, open }
}

/** As a library does that takes no signal. */
function ask(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get(url, () => resolve("answered")).on("error", reject)
  })
}

test("what a call began ends with its signal, and the call rejects with the signal's reason", async () => {
  const { url, server, open } = await silent()
  const [ending, reason] = [new AbortController(), new Error("enough")]
  const called = releasing(ending.signal, () => ask(url))
  await once(server, "request")
  expect(open.size).toBe(1)
  ending.abort(reason)
  await expect(called).rejects.toBe(reason)
  await expect.poll(() => open.size).toBe(0)
})

test("what a call begins after that ends at once", async () => {
  const { url, open } = await silent()
  const ending = new AbortController()
  const [going, late] = [Promise.withResolvers<void>(), Promise.withResolvers<string>()]
  const called = releasing(ending.signal, async () => {
    await going.promise
    late.resolve(ask(url).catch(String))
  })
  ending.abort(new Error("enough"))
  await expect(called).rejects.toThrow("enough")
  going.resolve()
  expect(await late.promise).toContain("socket hang up")
  await expect.poll(() => open.size).toBe(0)
})

test("other calls, and those of nobody, go on", async () => {
  const { url, server, open } = await silent()
  const [ending, other] = [new AbortController(), new AbortController()]
  const outcomes: string[] = []
  const note = (name: string) => () => void outcomes.push(name)
  const asked = (async () => {
    for (let n = 0; n < 3; n++) await once(server, "request")
  })()
  releasing(ending.signal, () => ask(url)).catch(note("ended"))
  releasing(other.signal, () => ask(url)).catch(note("other"))
  ask(url).catch(note("nobody's"))
  await asked
  ending.abort()
  await expect.poll(() => open.size).toBe(2)
  await setImmediate()
  expect(outcomes).toEqual(["ended"])
})

test("a call whose signal has ended never begins, and one that is over hears no more of it", async () => {
  let begun = false
  const ended = AbortSignal.abort(new Error("enough"))
  const call = async () => {
    begun = true
    return "done"
  }
  await expect(releasing(ended, call)).rejects.toThrow("enough")
  expect(begun).toBe(false)
  const ending = new AbortController()
  expect(await releasing(ending.signal, call)).toBe("done")
  ending.abort()
  expect(await releasing(undefined, call)).toBe("done")
})
