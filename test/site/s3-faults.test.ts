import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, onTestFinished, test } from "vitest"
import type { Sleep } from "../../src/clock.ts"
import { sha256 } from "../../src/digest.ts"
import { systemRandom } from "../../src/random.ts"
import { openedRetrying } from "../../src/site/retry.ts"
import { s3Site } from "../../src/site/s3.ts"
import type { OpenedSite } from "../../src/site/site.ts"
import { bytesOf, keysAt, put } from "../contract/site.ts"
import type { FaultAction } from "../server/fault-queue.ts"
import { accessKey, type S3StandIn, s3StandIn, secretKey } from "../server/s3/connect.ts"

const bytes = bytesOf(200_000)
const noWait: Sleep = () => Promise.resolve()

/** Long enough for a slow machine, short enough to be waited out where nothing answers. */
const policy = { attempts: 3, firstDelayMs: 1, maxDelayMs: 1, callTimeoutMs: 1500, patienceMs: 3_600_000, retryAfterMaxMs: 60_000 }

interface Scene {
  readonly server: S3StandIn
  readonly bare: OpenedSite
  readonly opened: OpenedSite
}

/** A site with one object, v1/a/x, and nothing planned. */
async function scene(): Promise<Scene> {
  const server = await s3StandIn()
  const directory = await mkdtemp(join(tmpdir(), "s3-faults-"))
  onTestFinished(async () => {
    await server.stop()
    await rm(directory, { recursive: true, force: true })
    expect(server.mistakes, "mistakes of the stand-in").toEqual([])
  })
  for (const name of ["packs", "keys"]) server.store.createBucket(name, { versioning: "Enabled" })
  const file = join(directory, "credentials")
  await writeFile(file, `aws_access_key_id=${accessKey}\naws_secret_access_key=${secretKey}\n`)
  const bare = await s3Site({
    ...{ name: "s", bucket: "packs", keys: "keys", region: "us-east-1", endpoint: server.endpoint, pathStyle: true },
    ...{ checksums: "always", createOnly: true, credentials: { file } },
  })
  await put(bare.site, "v1/a/x", bytes)
  return { server, bare, opened: openedRetrying(bare, policy, { sleep: noWait, random: systemRandom }) }
}

interface Step {
  readonly name: string
  /** What it is for the server. */
  readonly operation: string
  run(opened: OpenedSite): Promise<void>
}

async function putNew({ site }: OpenedSite): Promise<void> {
  expect(await put(site, "v1/a/new", bytes)).toMatchObject({ bytes: bytes.length, checksum: { value: sha256(bytes) } })
  expect(Buffer.compare(await site.get("v1/a/new"), bytes)).toBe(0)
}

const steps: readonly Step[] = [
  { name: "put", operation: "PutObject", run: putNew },
  { name: "the HEAD after a put", operation: "HeadObject", run: putNew },
  {
    name: "put of what is there",
    operation: "PutObject",
    run: async ({ site }) => expect(await put(site, "v1/a/x", bytes)).toMatchObject({ bytes: bytes.length }),
  },
  {
    name: "get",
    operation: "GetObject",
    run: async ({ site }) => expect(Buffer.compare(await site.get("v1/a/x"), bytes)).toBe(0),
  },
  {
    name: "get of a range",
    operation: "GetObject",
    run: async ({ site }) => {
      const part = await site.get("v1/a/x", { range: { offset: 1000, length: 100_000 } })
      expect(Buffer.compare(part, bytes.subarray(1000, 101_000))).toBe(0)
    },
  },
  {
    name: "head",
    operation: "HeadObject",
    run: async ({ site }) => expect(await site.head("v1/a/x")).toMatchObject({ bytes: bytes.length }),
  },
  { name: "list", operation: "ListObjectsV2", run: async ({ site }) => expect(await keysAt(site, "v1/a/x")).toEqual(["v1/a/x"]) },
  {
    name: "list of versions",
    operation: "ListObjectVersions",
    run: async ({ versions }) => expect(await Array.fromAsync(versions?.list("v1/a/x") ?? [])).toHaveLength(1),
  },
  {
    name: "time",
    operation: "HeadBucket",
    run: async ({ serverTime }) => expect((await serverTime()).getTime()).toBeGreaterThan(0),
  },
  {
    name: "replace",
    operation: "PutObject",
    run: async ({ replace, site }) => {
      const good = bytesOf(1000, 7)
      await replace?.("v1/a/x", good, { sha256: sha256(good) })
      expect(Buffer.compare(await site.get("v1/a/x"), good)).toBe(0)
    },
  },
]

/** Each passes when the call is made again. */
const passing: readonly (readonly [string, FaultAction])[] = [
  ["500 before it is applied", { kind: "status", status: 500 }],
  ["500 after it is applied", { kind: "status", status: 500, applied: true }],
  ["503 SlowDown", { kind: "status", status: 503, code: "SlowDown" }],
  ["429", { kind: "status", status: 429, code: "TooManyRequests" }],
  ["409, a change at the same time", { kind: "status", status: 409, code: "ConditionalRequestConflict" }],
  ["a connection that ends before it is applied", { kind: "reset", applied: false }],
  ["a connection that ends after it is applied", { kind: "reset", applied: true }],
  ["an answer that is cut", { kind: "cut-body", after: 20 }],
  ["no answer, and nothing applied", { kind: "stall", applied: false }],
  ["no answer, though it is applied", { kind: "stall", applied: true }],
]

/** Answers without a body cannot be cut, nor can a put's that has been written whole. */
const bodiless: ReadonlySet<string> = new Set(["PutObject", "HeadObject", "HeadBucket"])

describe.each(passing)("%s, once", (_what, action) => {
  test.each(steps.filter(({ operation }) => action.kind !== "cut-body" || !bodiless.has(operation)))(
    "does no harm to $name",
    async (step) => {
      const { server, opened } = await scene()
      server.faults.plan({ operation: step.operation, nth: 1, action })
      await step.run(opened)
      expect(server.faults.unmet).toEqual([])
      expect(server.store.bucket("packs")?.versions("v1/a/new").length ?? 0).toBeLessThanOrEqual(1)
    },
  )
})

// Not once: no server's clock jumps there and back, and the client follows the one it has heard last.
describe("a host whose clock is a day behind the server's", () => {
  test.each(steps)("is told so by the server, and then does no harm to $name", async (step) => {
    const { server, opened, bare } = await scene()
    server.faults.plan({ action: { kind: "clock-skew", ms: 86_400_000 } })
    await expect(step.run(bare)).rejects.toMatchObject({ code: "site/unavailable", hint: expect.stringContaining("clock") })
    await step.run(opened)
  })
})

/** Each is told for what it is, at once. */
const lasting: readonly (readonly [string, FaultAction, string])[] = [
  ["credentials that were revoked", { kind: "status", status: 403, code: "InvalidAccessKeyId" }, "site/denied"],
  ["a policy that refuses", { kind: "status", status: 403, code: "AccessDenied" }, "site/denied"],
  ["a quota that is used up", { kind: "status", status: 403, code: "QuotaExceeded" }, "site/full"],
  ["a store that cannot do it", { kind: "status", status: 501, code: "NotImplemented" }, "site/unsupported"],
]

describe.each(lasting)("%s", (_what, action, code) => {
  // A HEAD's answer has no body that could name the reason: its status has to do.
  test.each(steps.filter(({ operation }) => !operation.startsWith("Head")))("is told by $name, and not tried again", async (step) => {
    const { server, opened } = await scene()
    const before = server.requests.get(step.operation) ?? 0
    server.faults.plan({ operation: step.operation, action })
    await expect(step.run(opened)).rejects.toMatchObject({ code })
    expect(server.requests.get(step.operation)).toBe(before + 1)
  })
})

test("a server that says how long to wait is waited for as long", async () => {
  const { server, bare } = await scene()
  const action = { kind: "status", status: 503, code: "SlowDown", retryAfter: "7" } as const
  server.faults.plan({ operation: "PutObject", nth: 1, action }, { operation: "HeadObject", nth: 1, action })
  const waits: number[] = []
  const sleep: Sleep = async (ms) => {
    waits.push(ms)
  }
  await putNew(openedRetrying(bare, policy, { sleep, random: systemRandom }))
  expect(waits.map((ms) => Math.floor(ms / 1000))).toEqual([7, 7])
  expect(server.faults.unmet).toEqual([])
})

test("a name that is taken only for a moment is taken for that", async () => {
  const { server, opened } = await scene()
  server.faults.plan({ operation: "PutObject", nth: 1, action: { kind: "status", status: 412, code: "PreconditionFailed" } })
  await putNew(opened)
  expect(server.faults.unmet).toEqual([])
})

test("a bit that changes on the way up is sent again; one that changes on the way down is found", async () => {
  const { server, opened } = await scene()
  server.faults.plan({ operation: "PutObject", nth: 1, action: { kind: "flip-up" } })
  await putNew(opened)
  server.faults.plan({ operation: "GetObject", nth: 1, action: { kind: "flip-down" } })
  await expect(opened.site.get("v1/a/x")).rejects.toMatchObject({ code: "site/corrupt" })
  expect(server.faults.unmet).toEqual([])
})

test("an object that a listing does not show yet is found by its name", async () => {
  const { server, opened } = await scene()
  await putNew(opened)
  server.faults.plan({ operation: "ListObjectsV2", nth: 1, action: { kind: "stale-list", missing: 1 } })
  expect(await keysAt(opened.site, "v1/a/")).toEqual(["v1/a/x"])
  expect(await opened.site.head("v1/a/new")).not.toBeNull()
  expect(server.faults.unmet).toEqual([])
})

test("a server that is away for every attempt is unavailable", async () => {
  const { server, opened } = await scene()
  server.faults.plan({ action: { kind: "reset", applied: false } })
  for (const step of steps) await expect(step.run(opened), step.name).rejects.toMatchObject({ code: "site/unavailable" })
})
