import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, onTestFinished, test } from "vitest"
import { systemClock, systemSleep } from "../../src/clock.ts"
import { sha256 } from "../../src/digest.ts"
import { systemRandom } from "../../src/random.ts"
import { openSite } from "../../src/site/open.ts"
import { s3Site } from "../../src/site/s3.ts"
import type { S3SiteOptions } from "../../src/site/s3-client.ts"
import type { OpenedSite } from "../../src/site/site.ts"
import { heldAt } from "../../src/vault/presence.ts"
import { bytesOf, describeSite, keysAt, put } from "../contract/site.ts"
import { flipped } from "../server/fault-queue.ts"
import type { VendorMode } from "../server/s3/call.ts"
import { accessKey, type S3StandIn, s3StandIn, secretKey } from "../server/s3/connect.ts"

const bucket = "acme-vault"
const keys = "acme-vault-keys"

interface Given extends Partial<S3SiteOptions> {
  readonly vendor?: readonly VendorMode[]
  readonly settings?: Readonly<Record<string, string | boolean | number>>
}

/** A site of two empty buckets at a stand-in of its own. */
async function site(given: Given = {}): Promise<OpenedSite & { server: S3StandIn }> {
  const server = await standIn(given)
  const { vendor: _vendor, settings: _settings, ...options } = given
  return { ...(await s3Site({ ...(await optionsFor(server)), ...options })), server }
}

async function standIn({ vendor = [], settings = { versioning: "Enabled" } }: Given = {}): Promise<S3StandIn> {
  const server = await s3StandIn({ vendor })
  onTestFinished(async () => {
    await server.stop()
    expect(server.faults.unmet, "planned faults that were never met").toEqual([])
    expect(server.mistakes, "mistakes of the stand-in").toEqual([])
  })
  for (const name of [bucket, keys]) server.store.createBucket(name, settings)
  return server
}

async function optionsFor(server: S3StandIn): Promise<S3SiteOptions> {
  const path = { bucket, keys, region: "us-east-1", endpoint: server.endpoint, pathStyle: true } as const
  return { ...path, name: "s", checksums: "always", createOnly: true, credentials: { file: await credentialsFile() } }
}

async function credentialsFile(id = accessKey, secret = secretKey): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "s3-credentials-"))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  const path = join(directory, "credentials")
  await writeFile(path, `[default]\naws_access_key_id = ${id}\naws_secret_access_key = ${secret}\n`, { mode: 0o600 })
  return path
}

const world = { clock: systemClock, sleep: systemSleep, random: systemRandom }

async function opened(): Promise<OpenedSite> {
  const server = await standIn()
  const place = { provider: "own", region: "us-east-1", bucket, keys, endpoint: server.endpoint }
  const settings = { kind: "s3", ...place, credentials: { file: await credentialsFile() } } as const
  return await openSite({ name: "s", settings, readOnly: false }, world)
}

describeSite("an S3 bucket", async () => await site())
describeSite("an S3 bucket of an older store", async () => await site({ checksums: "required", vendor: ["no-trailers"] }))
describeSite("an S3 bucket of a store that refuses checksum headers", async () =>
  site({ checksums: "signed", vendor: ["refuses-checksums"] }),
)
describeSite("an S3 bucket without conditional writes", async () => await site({ createOnly: false, vendor: ["no-conditions"] }))
describeSite("an opened S3 bucket", opened)

function headers(server: S3StandIn, key: string) {
  return server.store.bucket(bucket)?.latest(key)?.metadata
}

describe("what a put sends", () => {
  test("is checked by the server with the SHA-256, named and given", async () => {
    const { site: s3, server } = await site({ vendor: ["checksum-needs-algorithm"] })
    const info = await put(s3, "v1/a/x", bytesOf(1000))
    expect(info.checksum).toEqual({ algorithm: "sha256", value: sha256(bytesOf(1000)) })
    expect(headers(server, "v1/a/x")).toMatchObject({ checksums: { SHA256: Buffer.from(sha256(bytesOf(1000)), "hex").toString("base64") } })
  })

  test("is refused with a hint where the store takes no checksum headers", async () => {
    const { site: s3 } = await site({ vendor: ["refuses-checksums"] })
    await expect(put(s3, "v1/a/x", bytesOf(3))).rejects.toMatchObject({
      code: "site/unsupported",
      hint: expect.stringContaining("checksums: signed"),
    })
  })

  test.each([["always"], ["required"], ["signed"]] as const)(
    "is refused when a bit changes on the way, with checksums %s",
    async (checksums) => {
      const { site: s3, server } = await site({ checksums })
      server.faults.plan({ operation: "PutObject", nth: 1, action: { kind: "flip-up" } })
      await expect(put(s3, "v1/a/x", bytesOf(1000))).rejects.toMatchObject({ code: "site/unavailable", retryable: true })
      expect(await s3.head("v1/a/x")).toBeNull()
      await put(s3, "v1/a/x", bytesOf(1000))
    },
  )

  test("needs no chunked body, which older stores refuse", async () => {
    const { site: s3 } = await site({ vendor: ["no-trailers"] })
    await put(s3, "v1/a/x", bytesOf(3_000_000))
  })

  test("goes to the bucket of its kind, and is listed as one place", async () => {
    const { site: s3, server } = await site()
    for (const key of ["v1/a/x", "v1/keys/k/1", "v1/z"]) await put(s3, key, bytesOf(3))
    expect([...(server.store.bucket(bucket)?.keys() ?? [])]).toEqual(["v1/a/x", "v1/z"])
    expect([...(server.store.bucket(keys)?.keys() ?? [])]).toEqual(["v1/keys/k/1"])
    expect(await keysAt(s3)).toEqual(["v1/a/x", "v1/keys/k/1", "v1/z"])
  })

  test("has the storage class asked for; one that cannot be read at once, or lies in one zone, is refused", async () => {
    const { site: s3, server } = await site()
    const bytes = bytesOf(10)
    await s3.put("v1/a/x", bytes, { sha256: sha256(bytes), tier: "STANDARD_IA" })
    expect(headers(server, "v1/a/x")).toMatchObject({ storageClass: "STANDARD_IA" })
    for (const tier of ["GLACIER", "DEEP_ARCHIVE", "ONEZONE_IA"]) {
      await expect(s3.put("v1/a/y", bytes, { sha256: sha256(bytes), tier }), tier).rejects.toMatchObject({ code: "site/unsupported" })
    }
    expect(await s3.head("v1/a/y")).toBeNull()
  })

  test("that the bucket moved to a class that must be thawed is told for what it is, and not taken for kept", async () => {
    const { site: s3, server, versions } = await site()
    await put(s3, "v1/a/x", bytesOf(10))
    const kept = server.store.bucket(bucket)
    kept?.change("v1/a/x", (there) =>
      there.map((version) => ({ ...version, metadata: { ...version.metadata, storageClass: "DEEP_ARCHIVE" } })),
    )
    const frozen = expect.stringContaining("DEEP_ARCHIVE")
    expect(await s3.head("v1/a/x")).toMatchObject({ frozen })
    expect(await Array.fromAsync(s3.list("v1/"))).toMatchObject([{ frozen }])
    expect(await Array.fromAsync(versions?.list("v1/") ?? [])).toMatchObject([{ frozen }])
    const held = await heldAt(s3, ["v1/a/x"], {})
    expect(held.missing, "no restore could read it").toEqual(["v1/a/x"])
    const thaw = { code: "site/unsupported", hint: expect.stringContaining("thaw") }
    await expect(s3.get("v1/a/x")).rejects.toMatchObject(thaw)
    await expect(put(s3, "v1/a/x", bytesOf(10))).rejects.toMatchObject(thaw)
  })

  test("is one PUT and one HEAD", async () => {
    const { site: s3, server } = await site()
    await put(s3, "v1/a/x", bytesOf(10))
    expect(Object.fromEntries(server.requests)).toEqual({ PutObject: 1, HeadObject: 1 })
  })
})

describe("create-only", () => {
  test("holds among many writers: one wins, and the others hear of it", async () => {
    const { site: s3, server } = await site()
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, (_, n) => put(s3, "v1/a/x", bytesOf(5000, n))))
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1)
    for (const outcome of outcomes) if (outcome.status === "rejected") expect(outcome.reason).toMatchObject({ code: "site/conflict" })
    expect(server.store.bucket(bucket)?.versions("v1/a/x")).toHaveLength(1)
  })

  test("takes 409, a write at the same time, for a reason to try again", async () => {
    const { site: s3, server } = await site()
    const action = { kind: "status", status: 409, code: "ConditionalRequestConflict" } as const
    server.faults.plan({ operation: "PutObject", nth: 1, action })
    await expect(put(s3, "v1/a/x", bytesOf(5))).rejects.toMatchObject({ code: "site/throttled", retryable: true })
  })

  test("does not take rotten bytes for the same, whatever the server's checksum says", async () => {
    const { site: s3, server } = await site()
    await put(s3, "v1/a/x", bytesOf(100))
    await rot(server, "v1/a/x")
    await expect(put(s3, "v1/a/x", bytesOf(100))).rejects.toMatchObject({ code: "site/conflict" })
  })
})

async function rot(server: S3StandIn, key: string): Promise<void> {
  const kept = server.store.bucket(bucket)
  const version = kept?.latest(key)
  if (kept === undefined || version === undefined) throw new Error(`${key}: nothing to rot`)
  await writeFile(kept.pathOf(version), flipped(await kept.read(version, { offset: 0, length: version.size })))
}

describe("replacing", () => {
  test("puts a rotten copy aside as an older version", async () => {
    const { site: s3, server, replace } = await site()
    await put(s3, "v1/a/x", bytesOf(100))
    await rot(server, "v1/a/x")
    await replace?.("v1/a/x", bytesOf(100), { sha256: sha256(bytesOf(100)) })
    expect(Buffer.compare(await s3.get("v1/a/x"), bytesOf(100))).toBe(0)
    expect(server.store.bucket(bucket)?.versions("v1/a/x")).toHaveLength(2)
  })

  test("is refused where the bucket keeps no versions", async () => {
    const { site: s3, server, replace } = await site({ settings: {} })
    await put(s3, "v1/a/x", bytesOf(100))
    await rot(server, "v1/a/x")
    const replaced = replace?.("v1/a/x", bytesOf(100), { sha256: sha256(bytesOf(100)) })
    await expect(replaced).rejects.toMatchObject({ code: "site/unsupported" })
  })
})

describe("a lock", () => {
  const locked = { lock: true, versioning: "Enabled", defaultMode: "GOVERNANCE", defaultDays: 28 }

  test("that the bucket sets is confirmed, and told", async () => {
    const { site: s3 } = await site({ lock: "governance", settings: locked })
    const info = await put(s3, "v1/a/x", bytesOf(3))
    expect(info.lockedUntil?.getTime()).toBeGreaterThan(systemClock.now().getTime() + 27 * 86_400_000)
    expect(info.version).toMatch(/^[0-9a-f]{32}$/)
  })

  test.each([
    ["a bucket that sets none", { versioning: "Enabled" }, "governance"],
    ["a weaker one than the configuration says", locked, "compliance"],
  ] as const)("that is not there is no success: %s", async (_what, settings, lock) => {
    const { site: s3 } = await site({ lock, settings })
    await expect(put(s3, "v1/a/x", bytesOf(3))).rejects.toMatchObject({ code: "site/unsupported" })
    await expect(put(s3, "v1/a/x", bytesOf(3)), "nor when it is there already").rejects.toMatchObject({ code: "site/unsupported" })
  })

  test("stronger than asked for is enough", async () => {
    const { site: s3 } = await site({ lock: "governance", settings: { ...locked, defaultMode: "COMPLIANCE" } })
    await put(s3, "v1/a/x", bytesOf(3))
  })
})

describe("a lock that is extended", () => {
  const locked = { lock: true, versioning: "Enabled", defaultMode: "GOVERNANCE", defaultDays: 28 }
  const inDays = (days: number) => new Date(systemClock.now().getTime() + days * 86_400_000)

  async function kept(given: Given = { lock: "governance", settings: locked }) {
    const opened = await site(given)
    const { version } = await put(opened.site, "v1/a/x", bytesOf(100))
    if (version === undefined || opened.lock === undefined) throw new Error("a bucket that locks has versions")
    return { ...opened, version, lock: opened.lock }
  }

  test("is longer afterwards, and never shorter", async () => {
    const { site: s3, lock, version } = await kept()
    const until = inDays(90)
    expect(await lock.extend("v1/a/x", version, until)).toEqual(until)
    expect(await lock.extend("v1/a/x", version, inDays(30)), "asked for less").toEqual(until)
    expect((await s3.head("v1/a/x"))?.lockedUntil).toEqual(until)
  })

  test("keeps the version, whoever asks", async () => {
    const { lock, versions, version, server } = await kept()
    await lock.extend("v1/a/x", version, inDays(90))
    await expect(versions?.remove("v1/a/x", version)).rejects.toMatchObject({ code: "site/denied" })
    expect(server.store.bucket(bucket)?.versions("v1/a/x")).toHaveLength(1)
  })

  test("is asked of no server that would take the request for the object", async () => {
    const { server } = await site()
    const swift = await standIn({ vendor: ["retention-replaces-object"] })
    await server.stop()
    const { site: s3 } = await s3Site(await optionsFor(swift))
    const { version = "" } = await put(s3, "v1/a/x", bytesOf(100))
    const { lock } = await s3Site({ ...(await optionsFor(swift)), lock: "governance" })
    await expect(lock?.extend("v1/a/x", version, inDays(90))).rejects.toMatchObject({ code: "site/unsupported" })
    expect(Buffer.compare(await s3.get("v1/a/x"), bytesOf(100))).toBe(0)
    expect(swift.requests.get("PutObjectRetention")).toBeUndefined()
  })

  test("that a server forgets with 200 is no success", async () => {
    const server = await standIn({ vendor: ["ignores-lock"], settings: locked })
    const { site: s3 } = await s3Site(await optionsFor(server))
    const { version = "" } = await put(s3, "v1/a/x", bytesOf(100))
    const { lock } = await s3Site({ ...(await optionsFor(server)), lock: "governance" })
    await expect(lock?.extend("v1/a/x", version, inDays(90))).rejects.toMatchObject({ code: "site/unsupported" })
  })
})

describe("older versions", () => {
  test("are listed behind each key, the newest first, with what was deleted, and can be read", async () => {
    const { site: s3, versions, replace, server } = await site()
    await put(s3, "v1/a/x", bytesOf(100))
    await put(s3, "v1/keys/k/1", bytesOf(5))
    await rot(server, "v1/a/x")
    await replace?.("v1/a/x", bytesOf(100), { sha256: sha256(bytesOf(100)) })
    server.store.bucket(bucket)?.mark("v1/gone", { metadata: {} })
    if (versions === undefined) throw new Error("a bucket has versions")
    const listed = await Array.fromAsync(versions.list(""))
    expect(listed.map(({ key, latest, deleteMarker }) => [key, latest, deleteMarker])).toEqual([
      ["v1/a/x", true, false],
      ["v1/a/x", false, false],
      ["v1/gone", true, true],
      ["v1/keys/k/1", true, false],
    ])
    const [good, rotten] = listed.map(({ version }) => version)
    expect(Buffer.compare(await versions.get("v1/a/x", good ?? ""), bytesOf(100))).toBe(0)
    const read = versions.get("v1/a/x", rotten ?? "")
    await expect(read, "the client's own check finds the rot").rejects.toMatchObject({ code: "site/corrupt" })
    await versions.remove("v1/a/x", rotten ?? "")
    await versions.remove("v1/a/x", rotten ?? "")
    expect(await Array.fromAsync(versions.list("v1/a/"))).toHaveLength(1)
  })
})

describe("what a get brings", () => {
  test("is refused when a bit changed on the way back", async () => {
    const { site: s3, server } = await site()
    await put(s3, "v1/a/x", bytesOf(1000))
    server.faults.plan({ operation: "GetObject", nth: 1, action: { kind: "flip-down" } })
    await expect(s3.get("v1/a/x")).rejects.toMatchObject({ code: "site/corrupt" })
  })

  test.each([
    ["whole", undefined],
    ["in part", { offset: 10, length: 900 }],
  ])("is never less than was asked for, %s", async (_what, range) => {
    const { site: s3, server } = await site()
    await put(s3, "v1/a/x", bytesOf(1000))
    server.faults.plan({ operation: "GetObject", nth: 1, action: { kind: "cut-body", after: 100 } })
    await expect(s3.get("v1/a/x", { range })).rejects.toMatchObject({ code: "site/unavailable", retryable: true })
  })
})

describe("listing", () => {
  test("goes on from page to page, in order", async () => {
    const { site: s3, server } = await site()
    const kept = server.store.bucket(bucket)
    const metadata = { etag: "0", headers: {}, storageClass: "STANDARD", checksums: {} }
    const many = Array.from({ length: 2300 }, (_, n) => `v1/a/${String(n).padStart(5, "0")}`)
    for (const key of many) await kept?.put(key, bytesOf(1), { metadata, id: "null" })
    expect(await keysAt(s3, "v1/a/")).toEqual(many)
    expect(server.requests.get("ListObjectsV2")).toBe(3)
  })

  test("leaves out what no Holdline put there", async () => {
    const { site: s3, server } = await site()
    const metadata = { etag: "0", headers: {}, storageClass: "STANDARD", checksums: {} }
    for (const key of ["v1/a/x y", "v1/ü", "v1/.hidden", "v1/folder/"])
      await server.store.bucket(bucket)?.put(key, bytesOf(1), { metadata })
    await put(s3, "v1/a/x", bytesOf(1))
    expect(await keysAt(s3)).toEqual(["v1/a/x"])
  })
})

describe("a failure is told for what it is", () => {
  test.each([
    [500, "InternalError", "site/unavailable"],
    [503, "SlowDown", "site/throttled"],
    [503, "ServiceUnavailable", "site/unavailable"],
    [429, "TooManyRequests", "site/throttled"],
    [403, "AccessDenied", "site/denied"],
    [403, "InvalidObjectState", "site/unsupported"],
    [403, "QuotaExceeded", "site/full"],
    [501, "NotImplemented", "site/unsupported"],
    [301, "PermanentRedirect", "site/unsupported"],
    [507, "InsufficientStorage", "site/full"],
  ])("%i %s", async (status, code, expected) => {
    const { site: s3, server } = await site()
    server.faults.plan({ nth: 1, action: { kind: "status", status, code } })
    await expect(s3.get("v1/a/x")).rejects.toMatchObject({ name: "SiteError", code: expected, site: "s" })
    expect(server.requests.get("GetObject"), "the client tries once").toBe(1)
  })

  test("a bucket that is not there is no object that is not there", async () => {
    const { site: s3 } = await site({ bucket: "no-such-bucket" })
    for (const call of [() => s3.head("v1/a/x"), () => s3.get("v1/a/x"), () => put(s3, "v1/a/x", bytesOf(3)), () => keysAt(s3)]) {
      await expect(call()).rejects.toMatchObject({ code: "site/denied" })
    }
  })

  test("credentials that are wrong, revoked or not there", async () => {
    const { site: wrong } = await site({ credentials: { file: await credentialsFile(accessKey, "wrong") } })
    await expect(wrong.get("v1/a/x")).rejects.toMatchObject({ code: "site/denied" })
    const { site: revoked, server } = await site()
    await put(revoked, "v1/a/x", bytesOf(3))
    server.credentials.clear()
    await expect(revoked.get("v1/a/x")).rejects.toMatchObject({ code: "site/denied" })
    const { site: lacking } = await site({ credentials: { file: "/nonexistent/credentials" } })
    const failure = await lacking.get("v1/a/x").catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: "site/denied" })
  })

  test("a host whose clock is wrong: the next attempt is signed by the server's", async () => {
    const { site: s3, server } = await site()
    await put(s3, "v1/a/x", bytesOf(3))
    const day = 86_400_000
    server.faults.plan({ nth: 1, action: { kind: "clock-skew", ms: day } }, { nth: 2, action: { kind: "clock-skew", ms: day } })
    await expect(s3.get("v1/a/x")).rejects.toMatchObject({ code: "site/unavailable", hint: expect.stringContaining("clock") })
    await s3.get("v1/a/x")
  })

  test("a connection that is cut, and a server that is not there", async () => {
    const { site: s3, server } = await site()
    server.faults.plan({ operation: "PutObject", nth: 1, action: { kind: "reset", applied: false } })
    await expect(put(s3, "v1/a/x", bytesOf(3))).rejects.toMatchObject({ code: "site/unavailable" })
    await server.stop()
    await expect(put(s3, "v1/a/x", bytesOf(3))).rejects.toMatchObject({ code: "site/unavailable" })
  })

  test("plain HTTP to another host is refused before anything is sent", async () => {
    const server = await standIn()
    const options = await optionsFor(server)
    await expect(s3Site({ ...options, endpoint: "http://s3.example.net" })).rejects.toMatchObject({ code: "site/unsupported" })
  })
})

describe("with our one loop around it", () => {
  async function retried(callTimeoutMs = 60_000) {
    const { site: s3, server, ...rest } = await site()
    const { openedRetrying } = await import("../../src/site/retry.ts")
    const policy = { attempts: 3, firstDelayMs: 1, maxDelayMs: 2, callTimeoutMs, patienceMs: 3_600_000, retryAfterMaxMs: 60_000 }
    return { server, ...openedRetrying({ site: s3, ...rest }, policy, world) }
  }

  test.each([
    ["a put that was applied and its answer lost", { kind: "reset", applied: true }],
    ["a put that was cut before it was applied", { kind: "reset", applied: false }],
    ["a put that was applied and answered with 500", { kind: "status", status: 500, applied: true }],
    ["a server that asks to slow down", { kind: "status", status: 503, code: "SlowDown" }],
  ] as const)("%s succeeds, once", async (_what, action) => {
    const { site: s3, server } = await retried()
    server.faults.plan({ operation: "PutObject", nth: 1, action })
    await put(s3, "v1/a/x", bytesOf(100))
    expect(server.store.bucket(bucket)?.versions("v1/a/x")).toHaveLength(1)
  })

  test("a server that never answers costs a deadline, and leaves no socket behind", async () => {
    const { site: s3, server } = await retried(200)
    server.faults.plan({ operation: "GetObject", action: { kind: "stall", applied: false } })
    await expect(s3.get("v1/a/x")).rejects.toMatchObject({ code: "site/unavailable" })
    expect(server.requests.get("GetObject")).toBe(3)
    await expect.poll(() => server.connections).toBe(0)
  })
})

test("a site that was opened for reading only writes nothing", async () => {
  const server = await standIn()
  const place = { provider: "own", region: "us-east-1", bucket, keys, endpoint: server.endpoint }
  const settings = { kind: "s3", ...place, credentials: { file: await credentialsFile() } } as const
  const { site: s3 } = await openSite({ name: "s", settings, readOnly: true }, world)
  await expect(put(s3, "v1/a/x", bytesOf(3))).rejects.toMatchObject({ code: "site/denied" })
  expect(await readdir(join(server.directory, bucket, "keys"))).toEqual([])
})
