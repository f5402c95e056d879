import { describe, expect, test } from "vitest"
import type { Sleep } from "../../src/clock.ts"
import { sha256 } from "../../src/digest.ts"
import { systemRandom } from "../../src/random.ts"
import { openedRetrying } from "../../src/site/retry.ts"
import type { OpenedSite } from "../../src/site/site.ts"
import { bytesOf, keysAt, put } from "../contract/site.ts"
import type { FaultAction } from "../server/fault-queue.ts"
import { gcsStandIn, siteAt } from "../server/gcs/stand-in.ts"
import type { StandIn } from "../server/server.ts"

const bytes = bytesOf(200_000)
const noWait: Sleep = () => Promise.resolve()

/** Long enough for a slow machine, short enough to be waited out where nothing answers. */
const policy = { attempts: 3, firstDelayMs: 1, maxDelayMs: 1, callTimeoutMs: 1500, patienceMs: 3_600_000, retryAfterMaxMs: 60_000 }

interface Scene {
  readonly server: StandIn
  readonly bare: OpenedSite
  readonly opened: OpenedSite
}

async function scene(): Promise<Scene> {
  const server = await gcsStandIn()
  const bare = await siteAt(server)
  return { server, bare, opened: openedRetrying(bare, policy, { sleep: noWait, random: systemRandom }) }
}

/** What is done to a site, the operation it is for the server, and what must come of it. */
const calls: readonly { name: string; operation: string; run(opened: OpenedSite): Promise<void> }[] = [
  {
    name: "put",
    operation: "storage.objects.insert",
    run: async ({ site }) => {
      expect(await put(site, "v1/a/new", bytes)).toMatchObject({ bytes: bytes.length })
      expect(Buffer.compare(await site.get("v1/a/new"), bytes)).toBe(0)
    },
  },
  {
    name: "get",
    operation: "storage.objects.get",
    run: async ({ site }) => expect(Buffer.compare(await site.get("v1/a/x"), bytes)).toBe(0),
  },
  {
    name: "get of a range",
    operation: "storage.objects.get",
    run: async ({ site }) => {
      const part = await site.get("v1/a/x", { range: { offset: 1000, length: 100_000 } })
      expect(Buffer.compare(part, bytes.subarray(1000, 101_000))).toBe(0)
    },
  },
  {
    name: "head",
    operation: "storage.objects.get",
    run: async ({ site }) => expect(await site.head("v1/a/x")).toMatchObject({ bytes: bytes.length }),
  },
  { name: "list", operation: "storage.objects.list", run: async ({ site }) => expect(await keysAt(site, "v1/a/x")).toEqual(["v1/a/x"]) },
  {
    name: "time",
    operation: "storage.objects.get",
    run: async ({ serverTime }) => expect((await serverTime()).getTime()).toBeGreaterThan(0),
  },
  {
    name: "replace",
    operation: "storage.objects.insert",
    run: async ({ replace, site }) => {
      const good = bytesOf(1000, 7)
      await replace?.("v1/a/x", good, { sha256: sha256(good) })
      expect(Buffer.compare(await site.get("v1/a/x"), good)).toBe(0)
    },
  },
]

const faults: readonly (readonly [string, FaultAction])[] = [
  ["500 before it is applied", { kind: "status", status: 500 }],
  ["500 after it is applied", { kind: "status", status: 500, applied: true }],
  ["503", { kind: "status", status: 503 }],
  ["429", { kind: "status", status: 429, code: "rateLimitExceeded" }],
  ["403 for the rate", { kind: "status", status: 403, code: "userRateLimitExceeded" }],
  ["a reset before it is applied", { kind: "reset", applied: false }],
  ["a reset after it is applied", { kind: "reset", applied: true }],
  ["an answer cut short", { kind: "cut-body", after: 20 }],
  ["no answer, and not applied", { kind: "stall", applied: false }],
  ["no answer, though applied", { kind: "stall", applied: true }],
]

describe.each(calls)("$name", ({ operation, run }) => {
  test.each(faults)("survives %s", async (name, action) => {
    const { server, bare, opened } = await scene()
    await put(bare.site, "v1/a/x", bytes)
    server.faults.plan({ operation, key: /^v1\//, nth: 1, action })
    await run(opened)
    expect(server.faults.unmet, name).toEqual([])
  })

  test("gives up on what stays, with its reason", async () => {
    const { server, bare, opened } = await scene()
    await put(bare.site, "v1/a/x", bytes)
    server.faults.plan({ operation, action: { kind: "status", status: 503 } })
    const before = server.requests.get(operation) ?? 0
    await expect(run(opened)).rejects.toMatchObject({ code: "site/unavailable", message: expect.stringMatching(/503 .*planned fault/) })
    expect((server.requests.get(operation) ?? 0) - before, "the client itself must not repeat").toBe(policy.attempts)
  })
})

test.each([
  [400, "invalid", "site/unsupported"],
  [401, "authError", "site/denied"],
  [403, "forbidden", "site/denied"],
  [403, "retentionPolicyNotMet", "site/denied"],
  [403, "rateLimitExceeded", "site/throttled"],
  [408, "requestTimeout", "site/unavailable"],
  [409, "conflict", "site/unavailable"],
  [412, "conditionNotMet", "site/conflict"],
  [413, "uploadTooLarge", "site/unsupported"],
  [429, "rateLimitExceeded", "site/throttled"],
  [500, "backendError", "site/unavailable"],
  [502, "badGateway", "site/unavailable"],
  [503, "backendError", "site/unavailable"],
  [504, "gatewayTimeout", "site/unavailable"],
])("%i %s is %s, whatever was asked", async (status, reason, code) => {
  const { server, bare } = await scene()
  await put(bare.site, "v1/a/x", bytes)
  server.faults.plan({ action: { kind: "status", status, code: reason } })
  const { site, serverTime } = bare
  const expected = { name: "SiteError", code, message: expect.stringContaining("planned fault") }
  await expect(site.get("v1/a/x")).rejects.toMatchObject(expected)
  await expect(site.get("v1/a/x", { range: { offset: 0, length: 1 } })).rejects.toMatchObject(expected)
  await expect(site.head("v1/a/x")).rejects.toMatchObject(expected)
  await expect(keysAt(site)).rejects.toMatchObject(expected)
  await expect(serverTime()).rejects.toMatchObject(expected)
  // A put that finds its key taken asks what is there, and that fails as well.
  await expect(put(site, "v1/a/y", bytes)).rejects.toMatchObject(expected)
})

test("a bit that changes on the way up is refused by the server, sent again, and nothing wrong is kept", async () => {
  const { server, bare, opened } = await scene()
  server.faults.plan({ operation: "storage.objects.insert", nth: 1, action: { kind: "flip-up" } })
  await put(opened.site, "v1/a/x", bytes)
  expect(Buffer.compare(await bare.site.get("v1/a/x"), bytes)).toBe(0)
  expect(server.requests.get("storage.objects.insert")).toBe(2)
  expect(server.requests.get("storage.objects.delete"), "nothing was deleted for it").toBeUndefined()
  expect(server.faults.unmet).toEqual([])
})

test("a listing that breaks off between two pages rejects, and never ends early", async () => {
  const { server, bare } = await scene()
  for (let n = 0; n < 3; n++) await put(bare.site, `v1/a/${String(n)}`, bytesOf(1))
  server.faults.plan({ operation: "storage.objects.list", nth: 2, action: { kind: "status", status: 500 } })
  // The bucket of keys is the second page of a listing that spans both.
  await expect(keysAt(bare.site, "v1/")).rejects.toMatchObject({ code: "site/unavailable" })
  expect(server.faults.unmet).toEqual([])
})

test("a server whose clock is off tells its own time", async () => {
  const { server, bare } = await scene()
  server.faults.plan({ operation: "storage.objects.get", nth: 1, action: { kind: "clock-skew", ms: 3_600_000 } })
  const [skewed, right] = [await bare.serverTime(), await bare.serverTime()]
  expect(skewed.getTime() - right.getTime()).toBeGreaterThan(3_000_000)
  expect(server.faults.unmet).toEqual([])
})

test("a site in a bucket that is not there is denied, not empty", async () => {
  const { server, bare } = await scene()
  server.store.deleteBucket("vault")
  const expected = { code: "site/denied", message: expect.stringContaining("no such bucket") }
  await expect(bare.site.head("v1/a/x")).rejects.toMatchObject(expected)
  await expect(bare.site.get("v1/a/x")).rejects.toMatchObject(expected)
  await expect(keysAt(bare.site)).rejects.toMatchObject(expected)
  await expect(put(bare.site, "v1/a/x", bytes)).rejects.toMatchObject(expected)
  await expect(bare.serverTime()).rejects.toMatchObject(expected)
})

test("a server that is not there is unavailable", async () => {
  const { server, bare } = await scene()
  await server.stop()
  const expected = { name: "SiteError", code: "site/unavailable" }
  await expect(bare.site.head("v1/a/x")).rejects.toMatchObject(expected)
  await expect(bare.site.get("v1/a/x")).rejects.toMatchObject(expected)
  await expect(keysAt(bare.site)).rejects.toMatchObject(expected)
  await expect(put(bare.site, "v1/a/x", bytes)).rejects.toMatchObject(expected)
  await expect(bare.serverTime()).rejects.toMatchObject(expected)
})

test("a server that says how long to wait is waited for as long", async () => {
  const { server, bare } = await scene()
  const action = { kind: "status", status: 429, code: "rateLimitExceeded", retryAfter: "7" } as const
  server.faults.plan({ operation: "storage.objects.insert", nth: 1, action }, { operation: "storage.objects.get", nth: 1, action })
  const waits: number[] = []
  const sleep: Sleep = async (ms) => {
    waits.push(ms)
  }
  const { site } = openedRetrying(bare, policy, { sleep, random: systemRandom })
  await put(site, "v1/a/new", bytes)
  expect(Buffer.compare(await site.get("v1/a/new"), bytes)).toBe(0)
  expect(waits.map((ms) => Math.floor(ms / 1000))).toEqual([7, 7])
  expect(server.faults.unmet).toEqual([])
})
