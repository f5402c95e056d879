import { expect, test, vi } from "vitest"
import type { Sleep } from "../../src/clock.ts"
import { sha256 } from "../../src/digest.ts"
import { systemRandom } from "../../src/random.ts"
import { openedRetrying } from "../../src/site/retry.ts"
import type { OpenedSite } from "../../src/site/site.ts"
import type { PlannedFault } from "../server/fault-queue.ts"
import type { StandIn } from "../server/server.ts"
import { callNamed, expectDone, known, prepare } from "./calls.ts"
import { actionOf, connect, dayMs, startService } from "./clients.ts"
import { clients, codeOf, lastingRows, onceRows, type RequestRow } from "./matrix.ts"

// Most of them wait for a deadline: side by side they wait together.
vi.setConfig({ maxConcurrency: 12 })

const attempts = 3
/** Where nothing answers it is waited out: short, but long enough for a slow machine to ask. */
const shortMs = 1500
const longMs = 60_000

function retrying(opened: OpenedSite, callTimeoutMs: () => number, sleep: Sleep = () => Promise.resolve()): OpenedSite {
  const policy = {
    ...{ attempts, firstDelayMs: 1, maxDelayMs: 1, patienceMs: 600_000, retryAfterMaxMs: 60_000 },
    // Asked for at each attempt.
    get callTimeoutMs() {
      return callTimeoutMs()
    },
  }
  return openedRetrying(opened, policy, { sleep, random: systemRandom })
}

test.concurrent.for(onceRows.map((row) => [nameOf(row), row] as const))("%s", async ([, row]) => await tryRow(row))
test.concurrent.for(lastingRows.map((row) => [nameOf(row), row] as const))("%s, and again", async ([, row]) => await tryRow(row))

test.for(clients)("a %s server that says how long to wait is waited for as long", async (client) => {
  await using server = await startService(client)
  const operation = client === "s3" ? "PutObject" : "storage.objects.insert"
  server.faults.plan({ operation, nth: 1, action: { kind: "status", status: 429, retryAfter: "7" } })
  const waits: number[] = []
  const sleep: Sleep = async (ms) => {
    waits.push(Math.floor(ms / 1000))
  }
  await prepare(
    retrying(await connect(client, client, server.endpoint), () => longMs, sleep),
    false,
  )
  expect(waits).toEqual([7])
  expect(server.faults.unmet).toEqual([])
})

function nameOf({ client, call, request, nth, fault, outcome }: RequestRow): string {
  return `${client} ${call}: ${fault} at ${request === undefined ? "every request" : `${request} ${String(nth)}`}: ${outcome}`
}

async function tryRow(row: RequestRow): Promise<void> {
  const { client, call, fault, outcome, request: operation, nth } = row
  const locked = call === "lock"
  await using server = await startService(client, { locked, shortPages: true })
  const quiet = await connect(client, client, server.endpoint, locked)
  await prepare(quiet, locked)
  // The retention of the bucket itself is shorter, and milliseconds are not kept everywhere.
  const until = new Date(Math.ceil(server.store.clock.now().getTime() / 1000) * 1000 + 5 * dayMs)
  const perform = await callNamed(call, quiet, { short: outcome === "short", until })
  // A client of its own, which has seen nothing yet.
  const bare = await connect(client, client, server.endpoint, locked)
  const before = new Map(server.requests)
  const planned: PlannedFault = {
    ...(operation !== undefined && { operation }),
    ...(nth !== undefined && { nth }),
    action: actionOf(client, fault),
  }
  server.faults.plan(planned)
  // What stalls once is waited out; how long the answer after it takes is the machine's affair.
  const stalls = () => fault.startsWith("late") && (nth === undefined || server.faults.unmet.length > 0)
  await expectOutcome(row, { bare, opened: retrying(bare, () => (stalls() ? shortMs : longMs)) }, perform)
  expect(server.faults.unmet, "the fault was never met").toEqual([])
  expectAttempts(row, server, before)
  server.faults.clear()
  if (outcome === "ok" || outcome === "same" || outcome === "clock") await expectDone(call, quiet)
  expectStoreIsWhole(server)
  if (call !== "remove") expect([...server.requests.keys()].filter((name) => /delete/i.test(name))).toEqual([])
  expect(server.mistakes, "mistakes of the stand-in").toEqual([])
}

async function expectOutcome(
  { outcome }: RequestRow,
  { bare, opened }: { readonly bare: OpenedSite; readonly opened: OpenedSite },
  perform: (opened: OpenedSite) => Promise<void>,
): Promise<void> {
  switch (outcome) {
    case "ok":
    case "short":
      return await perform(opened)
    case "same":
      return await perform(bare)
    case "clock":
      await expect(perform(bare)).rejects.toMatchObject({ code: "site/unavailable", hint: expect.stringContaining("clock") })
      return await perform(opened)
    case "wrong":
      return await expect(perform(opened)).rejects.toThrow("other bytes")
    case "unsaid": {
      const { packs, keys } = (await opened.posture?.()) ?? {}
      return expect([packs?.versioning, keys?.versioning]).toContainEqual({ unknown: "the credentials may not ask" })
    }
    default:
      await expect(perform(opened)).rejects.toMatchObject({ name: "SiteError", code: codeOf[outcome] })
  }
}

/** What passes is tried as often as the policy says, what does not only once; the clients themselves repeat nothing. */
function expectAttempts({ call, request, nth, outcome }: RequestRow, server: StandIn, before: ReadonlyMap<string, number>): void {
  if (!isCode(outcome)) return
  const counts = [...server.requests].filter(([name]) => name === (request ?? name))
  const made = counts.map(([name, requests]) => requests - (before.get(name) ?? 0))
  // A listing that broke off part way is its reader's to begin again.
  const tries = nth ?? (outcome === "away" || outcome === "slow" ? attempts : 1)
  expect(Math.max(...made), `requests for ${call}`).toBeGreaterThanOrEqual(tries)
  // Both buckets are described at the same time.
  expect(Math.max(...made), `requests for ${call}`).toBeLessThanOrEqual(call === "posture" ? 2 * tries : tries)
}

function isCode(outcome: RequestRow["outcome"]): outcome is keyof typeof codeOf {
  return outcome in codeOf
}

/** Nothing that nobody put there, and of nothing more versions than were put. */
function expectStoreIsWhole(server: StandIn): void {
  const digests = new Set<string>(known.map(sha256))
  for (const bucket of server.store.buckets()) {
    for (const key of bucket.keys()) {
      const versions = bucket.versions(key).map(({ checksums }) => checksums.sha256)
      expect(versions.filter((digest) => !digests.has(digest))).toEqual([])
      expect(new Set(versions).size, `${key} has the same bytes twice`).toBe(versions.length)
    }
  }
}
