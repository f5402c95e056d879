import { once } from "node:events"
import { createServer, type Socket } from "node:net"
import { setTimeout as pause } from "node:timers/promises"
import { expect, test, vi } from "vitest"
import { systemClock } from "../../src/clock.ts"
import { systemRandom } from "../../src/random.ts"
import { openedRetrying } from "../../src/site/retry.ts"
import type { OpenedSite } from "../../src/site/site.ts"
import { bytes, callNamed, prepare } from "./calls.ts"
import { actionOf, connect, dayMs, startService } from "./clients.ts"
import { startChild, startDropping } from "./frozen.ts"
import { type Client, clients, codeOf, type NetworkFault, type NetworkRow, networkRows } from "./matrix.ts"

const attempts = 2
/** All calls to a deaf server wait side by side: long enough for a slow machine to connect. */
const deafMs = 1000
/** A frozen one gets one call after the other, and what it was sent does not count. */
const frozenMs = 150

function retrying(opened: OpenedSite, callTimeoutMs: number): OpenedSite {
  const policy = { attempts, firstDelayMs: 1, maxDelayMs: 1, callTimeoutMs, patienceMs: 60_000, retryAfterMaxMs: 0 }
  return openedRetrying(opened, policy, { sleep: () => Promise.resolve(), random: systemRandom })
}

const kinds: readonly NetworkFault[] = ["silent", "closed", "dropped", "frozen"]

test.concurrent.for(clients.flatMap((client) => kinds.map((fault) => [fault, client] as const)))(
  "a server that is %s ends every call of the %s client in time",
  async ([fault, client]) => {
    const rows = networkRows.filter((row) => row.client === client && row.fault === fault)
    expect(rows.length).toBeGreaterThan(10)
    if (fault === "frozen") await tryFrozen(client, rows)
    else await tryDeaf(client, fault, rows)
  },
)

/** A server that was never any better, so that nothing can be asked of it first. */
async function tryDeaf(client: Client, fault: NetworkFault, rows: readonly NetworkRow[]): Promise<void> {
  await using deaf = fault === "dropped" ? await startDropping() : await listen(fault === "closed")
  // Where a call learns what to ask for.
  await using server = await startService(client)
  const quiet = await connect(client, client, server.endpoint)
  await prepare(quiet, false)
  await Promise.all(
    rows.map(async (row) => {
      const perform = await callNamed(row.call, quiet, { short: false, until: later() })
      const opened = await connect(client, client, deaf.endpoint, row.call === "lock")
      await expectOutcome(row, perform(retrying(opened, deafMs)), fault === "closed" ? null : "1.0 s")
    }),
  )
  if ("open" in deaf) {
    // Connections that were given up are closed, not left to pile up. expect.poll would not know which of the tests it belongs to.
    await vi.waitFor(() => expect(deaf.open.size).toBe(0), 30_000)
    expect(deaf.taken).toBeGreaterThan(0)
    // posture asks for both buckets.
    expect(deaf.taken, "the clients themselves repeat nothing").toBeLessThanOrEqual((rows.length + 1) * attempts)
  }
}

/** One call after the other, each to a process that is stopped just before it and goes on after it. */
async function tryFrozen(client: Client, rows: readonly NetworkRow[]): Promise<void> {
  for (const locked of [false, true]) {
    await using child = await startChild(client, { locked, shortPages: true })
    const bare = await connect(client, client, child.endpoint, locked)
    const patient = retrying(bare, 30_000)
    await prepare(patient, locked)
    for (const row of rows.filter(({ call }) => (call === "lock") === locked)) {
      const perform = await callNamed(row.call, patient, { short: false, until: later() })
      child.freeze()
      await expectOutcome(row, perform(retrying(bare, frozenMs)), "150 ms")
      child.thaw()
      await perform(patient)
    }
  }
}

async function expectOutcome({ call, outcome }: NetworkRow, performed: Promise<void>, deadline: string | null): Promise<void> {
  if (outcome !== "away") throw new Error(`${call}: ${outcome}: no outcome of a network`)
  const error: unknown = await performed.then(
    () => `${call} succeeded`,
    (reason: unknown) => reason,
  )
  expect(error, call).toMatchObject({
    code: codeOf[outcome],
    ...(deadline !== null && { message: expect.stringContaining(`no answer within ${deadline}`) }),
  })
}

function later(): Date {
  return new Date(Math.ceil(systemClock.now().getTime() / 1000) * 1000 + 5 * dayMs)
}

/** Takes connections and says nothing, or closes them at once. */
async function listen(closing: boolean) {
  const open = new Set<Socket>()
  let taken = 0
  const server = createServer((socket) => {
    taken += 1
    open.add(socket)
    socket.on("close", () => open.delete(socket))
    socket.on("error", () => open.delete(socket))
    socket.resume()
    if (closing) socket.destroy()
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  const port = typeof address === "object" ? address?.port : undefined
  return {
    endpoint: `http://127.0.0.1:${String(port)}`,
    open,
    get taken() {
      return taken
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of open) socket.destroy()
      server.close()
      await once(server, "close")
    },
  }
}

test.each(clients.flatMap((client) => ["cut", "late"].map((fault) => [client, fault] as const)))(
  "a download from one %s site that ends %s disturbs no call to another",
  async (client, fault) => {
    await using sick = await startService(client)
    await using well = await startService(client)
    const [a, b] = [await connect(client, "a", sick.endpoint), await connect(client, "b", well.endpoint)]
    for (const opened of [a, b]) await prepare(opened, false)
    // Under way at the other site for as long as it likes.
    well.faults.plan({ action: actionOf(client, "late") })
    let broken = false
    b.site.get("v1/a/x").catch(() => {
      broken = true
    })
    await expect.poll(() => well.faults.unmet).toEqual([])
    sick.faults.plan({ action: actionOf(client, fault) })
    await expect(retrying(a, frozenMs).site.get("v1/a/x")).rejects.toMatchObject({ code: "site/unavailable" })
    await pause(50)
    expect(broken, "the other call").toBe(false)
    sick.faults.clear()
    expect(Buffer.compare(await a.site.get("v1/a/x"), bytes)).toBe(0)
    expect(sick.connections).toBeLessThanOrEqual(1)
  },
)
