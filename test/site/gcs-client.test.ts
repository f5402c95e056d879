import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { createServer, request } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { CRC32C, Storage } from "@google-cloud/storage"
import { describe, expect, onTestFinished, test } from "vitest"
import { systemSleep } from "../../src/clock.ts"
import { sha256 } from "../../src/digest.ts"
import { packBytesMax } from "../../src/limits.ts"
import { systemRandom } from "../../src/random.ts"
import { gcsSite } from "../../src/site/gcs.ts"
import { openedRetrying } from "../../src/site/retry.ts"
import { bytesOf, keysAt, put } from "../contract/site.ts"
import { gcsStandIn, siteAt } from "../server/gcs/stand-in.ts"
import { makeBucket } from "../server/gcs/start.ts"
import { Tokens } from "../server/gcs/token.ts"
import type { StandIn } from "../server/server.ts"

const bytes = Buffer.from(bytesOf(5000))
const createOnly = { preconditionOpts: { ifGenerationMatch: 0 } }

async function withClient(retryOptions: ConstructorParameters<typeof Storage>[0] = {}, options = {}) {
  const server = await gcsStandIn(options)
  makeBucket(server, "vault")
  const storage = new Storage({ apiEndpoint: server.endpoint, projectId: "p", ...retryOptions })
  return { server, storage, bucket: storage.bucket("vault") }
}

function inserts(server: StandIn): number | undefined {
  return server.requests.get("storage.objects.insert")
}

// Each of these is a reason for a line of src/site/gcs-client.ts: where one is no longer true of a newer client, that line can go.
describe("the client", () => {
  test("repeats with maxRetries: 0, which counts as unset, and not with autoRetry: false", async () => {
    const unset = await withClient({ retryOptions: { maxRetries: 0, retryDelayMultiplier: 1 } })
    unset.server.faults.plan({ nth: 1, action: { kind: "status", status: 503 } })
    await unset.bucket.file("x").save(bytes, { resumable: false, ...createOnly })
    expect(inserts(unset.server)).toBe(2)
    const off = await withClient({ retryOptions: { autoRetry: false } })
    off.server.faults.plan({ nth: 1, action: { kind: "status", status: 503 } })
    await expect(off.bucket.file("x").save(bytes, { resumable: false, ...createOnly })).rejects.toMatchObject({ code: 503 })
    expect(inserts(off.server)).toBe(1)
  })

  test("turns its retries off for good after one save without ifGenerationMatch", async () => {
    const { storage, bucket } = await withClient()
    await bucket.file("x").save(bytes, { resumable: false, ...createOnly })
    expect(storage.retryOptions.autoRetry).toBe(true)
    await bucket.file("y").save(bytes, { resumable: false })
    expect(storage.retryOptions.autoRetry).toBe(false)
  })

  test("deletes an upload that it finds damaged, unless the server was told the checksum and refuses it first", async () => {
    const { server, bucket } = await withClient({ retryOptions: { autoRetry: false } })
    server.faults.plan({ operation: "storage.objects.insert", action: { kind: "flip-up" } })
    await expect(bucket.file("x").save(bytes, { resumable: false, ...createOnly })).rejects.toMatchObject({ code: "FILE_NO_UPLOAD" })
    expect(server.requests.get("storage.objects.delete")).toBe(1)
    const checksum = new CRC32C()
    checksum.update(bytes)
    const told = { resumable: false, ...createOnly, metadata: { crc32c: checksum.toString() } }
    await expect(bucket.file("y").save(bytes, told)).rejects.toMatchObject({ code: 400 })
    expect(server.requests.get("storage.objects.delete")).toBe(1)
    expect(server.store.bucket("vault")?.latest("y")).toBeUndefined()
  })

  test("checks a download only where the server says how it is stored, and a range never", async () => {
    const { server, bucket } = await withClient()
    await bucket.file("x").save(bytes, { resumable: false })
    server.faults.plan({ operation: "storage.objects.get", action: { kind: "flip-down" } })
    await expect(bucket.file("x").download({ validation: "crc32c" })).rejects.toMatchObject({ code: "CONTENT_DOWNLOAD_MISMATCH" })
    const [part] = await bucket.file("x").download({ start: 0, end: 99 })
    expect(Buffer.compare(part, bytes.subarray(0, 100)), "wrong bytes, and no error").not.toBe(0)

    const silent = await withClient({}, { hidesStoredEncoding: true })
    await silent.bucket.file("x").save(bytes, { resumable: false })
    silent.server.faults.plan({ operation: "storage.objects.get", action: { kind: "flip-down" } })
    const [whole] = await silent.bucket.file("x").download({ validation: "crc32c" })
    expect(Buffer.compare(whole, bytes), "wrong bytes, and no error").not.toBe(0)
  })

  test("waits for a server that never answers, whatever its timeout", async () => {
    const { server, bucket } = await withClient({ timeout: 50, retryOptions: { autoRetry: false } })
    server.faults.plan({ action: { kind: "stall", applied: false } })
    const saved = bucket.file("x").save(bytes, { resumable: false, ...createOnly, timeout: 50 })
    const outcome = saved.then(
      () => "done",
      () => "failed",
    )
    expect(await Promise.race([outcome, setTimeout(500, "waiting")])).toBe("waiting")
    await server.stop()
    expect(await outcome).toBe("failed")
  })
})

describe("a site over it", () => {
  test("ends every call at its own deadline, and lets go of the connection", async () => {
    const server = await gcsStandIn()
    const bare = await siteAt(server)
    const policy = { attempts: 1, firstDelayMs: 1, maxDelayMs: 1, callTimeoutMs: 300, patienceMs: 3_600_000, retryAfterMaxMs: 60_000 }
    const { site, serverTime } = openedRetrying(bare, policy, { sleep: systemSleep, random: systemRandom })
    server.faults.plan({ action: { kind: "stall", applied: false } })
    const expected = { code: "site/unavailable", message: expect.stringContaining("no answer within") }
    await expect(put(site, "v1/a/x", bytes)).rejects.toMatchObject(expected)
    await expect(site.get("v1/a/x")).rejects.toMatchObject(expected)
    await expect(site.head("v1/a/x")).rejects.toMatchObject(expected)
    await expect(keysAt(site)).rejects.toMatchObject(expected)
    await expect(serverTime()).rejects.toMatchObject(expected)
    await expect.poll(() => server.connections, { timeout: 10_000 }).toBe(0)
  })

  test("sends one request for a put, with the checksum and the condition that nothing is there", async () => {
    const seen: { url: string; body: string }[] = []
    const server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on("data", (chunk: Buffer) => chunks.push(chunk))
      request.on("end", () => {
        seen.push({ url: request.url ?? "", body: Buffer.concat(chunks).toString("latin1") })
        response.writeHead(503).end()
      })
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    onTestFinished(() => void server.close())
    const address = server.address()
    const port = typeof address === "object" ? (address?.port ?? 0) : 0
    const { site } = await gcsSite({ name: "gcs", bucket: "vault", keys: "vault-keys", endpoint: `http://127.0.0.1:${String(port)}` })
    const given = { sha256: sha256(bytes), tier: "NEARLINE" }
    await expect(site.put("v1/keys/a/x", bytes, given)).rejects.toMatchObject({ code: "site/unavailable" })
    const checksum = new CRC32C()
    checksum.update(bytes)
    expect(seen).toHaveLength(1)
    expect(seen[0]?.url).toMatch(/^\/upload\/storage\/v1\/b\/vault-keys\/o\?.*uploadType=multipart.*ifGenerationMatch=0/)
    expect(seen[0]?.body).toContain(`"crc32c":"${checksum.toString()}"`)
    expect(seen[0]?.body).toContain('"storageClass":"NEARLINE"')
  })

  test("keeps key objects in their own bucket, and lists both as one", async () => {
    const server = await gcsStandIn()
    const { site } = await siteAt(server)
    const keys = ["v1/agents/x", "v1/keys/a/1", "v1/keys/b/1", "v1/keysmith", "v1/trust/1", "v1/k"]
    for (const key of keys) await put(site, key, bytesOf(3))
    expect([...(server.store.bucket("vault-keys")?.keys() ?? [])]).toEqual(["v1/keys/a/1", "v1/keys/b/1"])
    for (const prefix of ["", "v1/", "v1/k", "v1/keys", "v1/keys/", "v1/keys/b", "v1/keyst", "v1/t", "v1/agents/x"]) {
      expect(await keysAt(site, prefix), prefix).toEqual(keys.filter((key) => key.startsWith(prefix)).sort())
    }
  })

  test("sees nothing that lies in the wrong one of its buckets, and key objects also where nothing comes after them", async () => {
    const server = await gcsStandIn()
    const { site } = await siteAt(server)
    await put(site, "v1/a", bytesOf(3))
    await put(site, "v1/keys/a/1", bytesOf(3))
    await server.store.bucket("vault")?.put("v1/keys/a/0", bytesOf(3), { metadata: {} })
    await server.store.bucket("vault-keys")?.put("v1/b", bytesOf(3), { metadata: {} })
    expect(await keysAt(site)).toEqual(["v1/a", "v1/keys/a/1"])
    expect(await site.head("v1/keys/a/0")).toBeNull()
    expect(await site.head("v1/b")).toBeNull()
  })

  test("takes rotten bytes for what they are, though the server vouches for them, and replaces them", async () => {
    const server = await gcsStandIn()
    const { site, replace } = await siteAt(server)
    await put(site, "v1/a/x", bytes)
    const bucket = server.store.bucket("vault")
    const version = bucket?.latest("v1/a/x")
    if (bucket === undefined || version === undefined) throw new Error("nothing was kept")
    await writeFile(bucket.pathOf(version), Buffer.from(bytes).fill(0, 10, 20))
    await expect(put(site, "v1/a/x", bytes)).rejects.toMatchObject({ code: "site/conflict" })
    await replace?.("v1/a/x", bytes, { sha256: sha256(bytes) })
    expect(Buffer.compare(await site.get("v1/a/x"), bytes)).toBe(0)
  })

  test("ends with the signal's own reason in the middle of every call, also where that is node's own", async () => {
    const server = await gcsStandIn()
    const { site, serverTime } = await siteAt(server)
    server.faults.plan({ action: { kind: "stall", applied: false } })
    const calls = [
      (signal: AbortSignal) => site.put("v1/a/x", bytes, { sha256: sha256(bytes), signal }),
      (signal: AbortSignal) => site.get("v1/a/x", { signal }),
      (signal: AbortSignal) => site.head("v1/a/x", { signal }),
      (signal: AbortSignal) => Array.fromAsync(site.list("v1/", { signal })),
      (signal: AbortSignal) => serverTime({ signal }),
    ]
    for (const call of calls) {
      const ending = new AbortController()
      const called = call(ending.signal)
      await expect.poll(() => server.connections).toBe(1)
      ending.abort()
      await expect(called).rejects.toBe(ending.signal.reason)
      await expect.poll(() => server.connections).toBe(0)
    }
  })
})

describe("its settings and surroundings", () => {
  test("storage classes that are none, or keep to one zone, are refused", async () => {
    const { site } = await siteAt(await gcsStandIn())
    const given = { sha256: sha256(bytes), tier: "RAPID" }
    await expect(site.put("v1/a/x", bytes, given)).rejects.toMatchObject({ code: "site/unsupported" })
    const info = await site.put("v1/a/x", bytes, { ...given, tier: "COLDLINE" })
    expect(info).toMatchObject({ checksum: { algorithm: "crc32c" }, version: expect.stringMatching(/^\d+$/) })
  })

  test("plain HTTP to another host is refused, and an environment that leads elsewhere", async () => {
    const pair = { name: "gcs", bucket: "vault", keys: "vault-keys" }
    const expected = { name: "SiteError", code: "site/unsupported" }
    await expect(gcsSite({ ...pair, endpoint: "http://storage.example.net" })).rejects.toMatchObject(expected)
    process.env.STORAGE_EMULATOR_HOST = "http://127.0.0.1:9"
    onTestFinished(() => {
      delete process.env.STORAGE_EMULATOR_HOST
    })
    await expect(gcsSite(pair)).rejects.toMatchObject(expected)
    await expect(gcsSite({ ...pair, endpoint: "http://127.0.0.1:10" })).rejects.toMatchObject(expected)
  })

  test("the proxy that the environment names is gone through", async () => {
    const server = await gcsStandIn()
    const { site } = await siteAt(server)
    const passed: string[] = []
    const proxy = createServer((asked, response) => {
      passed.push(asked.url ?? "")
      const { method, headers } = asked
      const onward = request(new URL(asked.url ?? "", server.endpoint), { method, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 500, answer.headers)
        answer.pipe(response)
      })
      asked.pipe(onward)
    })
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve))
    const address = proxy.address()
    process.env.HTTP_PROXY = `http://127.0.0.1:${String(typeof address === "object" ? address?.port : 0)}`
    onTestFinished(() => {
      delete process.env.HTTP_PROXY
      proxy.close()
    })
    await put(site, "v1/a/x", bytes)
    expect(Buffer.compare(await site.get("v1/a/x"), bytes)).toBe(0)
    expect(passed).toHaveLength(2)
  })

  test("the file of a workload identity is followed, and denied once its token is good no longer", async () => {
    const tokens = new Tokens()
    const server = await gcsStandIn({ tokens })
    for (const bucket of ["vault", "vault-keys"]) makeBucket(server, bucket)
    const folder = await mkdtemp(join(tmpdir(), "holdline-identity-"))
    onTestFinished(() => rm(folder, { recursive: true }))
    await writeFile(join(folder, "subject"), "a subject's token")
    const identity = {
      type: "external_account",
      audience: "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
      subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
      token_url: `${server.endpoint}/token`,
      credential_source: { file: join(folder, "subject") },
    }
    const credentialsFile = join(folder, "identity.json")
    await writeFile(credentialsFile, JSON.stringify(identity))
    const pair = { bucket: "vault", keys: "vault-keys", endpoint: server.endpoint }
    const { site } = await gcsSite({ name: "gcs", ...pair, credentialsFile })
    await put(site, "v1/a/x", bytes)
    expect(Buffer.compare(await site.get("v1/a/x"), bytes)).toBe(0)
    expect(server.requests.get("token")).toBe(1)
    const nobody = await gcsSite({ name: "gcs", ...pair })
    await expect(nobody.site.head("v1/a/x")).rejects.toMatchObject({ code: "site/denied" })
    tokens.revoke()
    await expect(site.head("v1/a/x")).rejects.toMatchObject({ code: "site/denied" })
    await expect(site.get("v1/a/x")).rejects.toMatchObject({ code: "site/denied" })
    const lost = gcsSite({ name: "gcs", ...pair, credentialsFile: join(folder, "missing.json") })
    await expect(lost).rejects.toMatchObject({ code: "site/denied", message: expect.stringContaining("missing.json") })
  })
})

describe("a server that answers wrongly is not believed", () => {
  const good = { size: "3", crc32c: "AAAAAA==", timeCreated: "2026-11-21T12:00:00Z", generation: "1" }

  /** A site whose server answers everything with these bodies, one after the other, the last for ever. */
  async function answering(...bodies: readonly unknown[]) {
    let asked = 0
    const server = createServer((_asked, response) => {
      const body = JSON.stringify(bodies[Math.min(asked++, bodies.length - 1)])
      _asked.resume().on("end", () => response.writeHead(200, { "content-type": "application/json" }).end(body))
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    onTestFinished(() => void server.close())
    const address = server.address()
    const endpoint = `http://127.0.0.1:${String(typeof address === "object" ? address?.port : 0)}`
    return (await gcsSite({ name: "gcs", bucket: "vault", keys: "vault-keys", endpoint })).site
  }

  test.each([
    [
      "out of order",
      [
        {
          items: [
            { ...good, name: "w/b" },
            { ...good, name: "w/a" },
          ],
        },
      ],
    ],
    [
      "that names a key twice",
      [
        {
          items: [
            { ...good, name: "w/a" },
            { ...good, name: "w/a" },
          ],
        },
      ],
    ],
    ["out of order from page to page", [{ items: [{ ...good, name: "w/b" }], nextPageToken: "2" }, { items: [{ ...good, name: "w/a" }] }]],
    ["that never goes on", [{ items: [], nextPageToken: "1" }]],
    ["of objects without a size", [{ items: [{ ...good, name: "w/a", size: undefined }] }]],
  ])("a listing %s", async (_what, bodies) => {
    const site = await answering(...bodies)
    await expect(keysAt(site, "w/")).rejects.toMatchObject({ name: "SiteError", code: "site/corrupt" })
  })

  test("a listing with names that are no keys, which are left out", async () => {
    const site = await answering({
      items: ["w/a", "w/\u{1f600}", "w/\ufffd", "w/.b", "w//c", "w/d e", "w/f"].map((name) => ({ ...good, name })),
    })
    expect(await keysAt(site, "w/")).toEqual(["w/a", "w/f"])
  })

  test.each([
    ["the checksum", { crc32c: "AAAAAA==" }],
    ["the size", { size: "4999" }],
    ["the time", { timeCreated: "yesterday" }],
    ["anything", { generation: undefined }],
  ])("an upload whose answer is wrong about %s", async (_what, change) => {
    const checksum = new CRC32C()
    checksum.update(bytes)
    const right = { ...good, size: String(bytes.length), crc32c: checksum.toString() }
    expect(await put(await answering(right), "v1/a/x", bytes)).toMatchObject({ bytes: bytes.length })
    await expect(put(await answering({ ...right, ...change }), "v1/a/x", bytes)).rejects.toMatchObject({ code: "site/corrupt" })
  })

  test("a whole object where a range was asked for", async () => {
    const site = await answering("0123456789")
    const got = site.get("v1/a/x", { range: { offset: 2, length: 3 } })
    await expect(got).rejects.toMatchObject({ code: "site/unsupported" })
  })

  test("another range than the one asked for", async () => {
    const server = createServer((_asked, response) => response.writeHead(206, { "content-range": "bytes 0-2/10" }).end("012"))
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    onTestFinished(() => void server.close())
    const address = server.address()
    const endpoint = `http://127.0.0.1:${String(typeof address === "object" ? address?.port : 0)}`
    const { site } = await gcsSite({ name: "gcs", bucket: "vault", keys: "vault-keys", endpoint })
    expect(String(await site.get("v1/a/x", { range: { offset: 0, length: 3 } }))).toBe("012")
    await expect(site.get("v1/a/x", { range: { offset: 4, length: 3 } })).rejects.toMatchObject({ code: "site/unsupported" })
  })

  test("an object larger than any: it is not read to its end", async () => {
    const server = await gcsStandIn()
    const { site } = await siteAt(server)
    await server.store.bucket("vault")?.put("v1/a/x", Buffer.alloc(packBytesMax + 1), { metadata: {} })
    await expect(site.get("v1/a/x")).rejects.toMatchObject({ code: "site/corrupt", message: expect.stringContaining("largest") })
  })
})

describe("a lock", () => {
  const policy = { retentionPolicy: { retentionPeriod: "3600", effectiveTime: "2026-01-01T00:00:00Z" } }
  const locked = { retentionPolicy: { ...policy.retentionPolicy, isLocked: true } }

  async function opened(lock: "governance" | "compliance", settings: Parameters<typeof makeBucket>[2]) {
    const server = await gcsStandIn()
    for (const bucket of ["vault", "vault-keys"]) makeBucket(server, bucket, settings)
    return { server, ...(await gcsSite({ name: "gcs", bucket: "vault", keys: "vault-keys", endpoint: server.endpoint, lock })) }
  }

  test.each([
    ["governance", policy],
    ["governance", locked],
    ["compliance", locked],
  ] as const)("of %s is found, by its date and its kind", async (lock, settings) => {
    const { site, server } = await opened(lock, settings)
    const info = await put(site, "v1/a/x", bytes)
    expect(info.lockedUntil?.getTime()).toBe(info.storedAt.getTime() + 3_600_000)
    await put(site, "v1/a/x", bytes)
    await put(site, "v1/a/y", bytes)
    expect(server.requests.get("storage.buckets.get") ?? 0, "a locked policy stays so").toBe(lock === "compliance" ? 1 : 0)
  })

  test.each([
    ["governance", {}],
    ["compliance", {}],
    ["compliance", policy],
  ] as const)("of %s that is not there is no success", async (lock, settings) => {
    const { site } = await opened(lock, settings)
    const expected = { code: "site/unsupported", message: expect.stringContaining(`not locked for ${lock}`) }
    await expect(put(site, "v1/a/x", bytes)).rejects.toMatchObject(expected)
    await expect(put(site, "v1/a/x", bytes), "nor when it is put again").rejects.toMatchObject(expected)
  })

  test("keeps rotten bytes from being replaced, and says until when", async () => {
    const { site, replace } = await opened("governance", policy)
    await put(site, "v1/a/x", bytes)
    const good = bytesOf(10)
    const expected = { code: "site/denied", message: expect.stringMatching(/retentionPolicyNotMet.*until \d{4}-/) }
    await expect(replace?.("v1/a/x", good, { sha256: sha256(good) })).rejects.toMatchObject(expected)
  })
})

describe("upkeep", () => {
  const inDays = (days: number) => new Date(Date.now() + days * 86_400_000)

  async function versioned(lock: "governance" | "compliance" = "governance") {
    const server = await gcsStandIn()
    const policy = { retentionPolicy: { retentionPeriod: "3600", effectiveTime: "2026-01-01T00:00:00Z", isLocked: true } }
    makeBucket(server, "vault", { versioning: { enabled: true }, objectRetention: { mode: "Enabled" }, ...policy })
    makeBucket(server, "vault-keys", policy)
    return { server, ...(await gcsSite({ name: "gcs", bucket: "vault", keys: "vault-keys", endpoint: server.endpoint, lock })) }
  }

  test("sees older versions behind each key, the newest first, reads them, and cannot remove what is kept", async () => {
    const { site, replace, versions } = await versioned()
    const [old, young] = [bytesOf(10, 1), bytesOf(20, 2)]
    await put(site, "v1/a/x", old)
    await replace?.("v1/a/x", young, { sha256: sha256(young) })
    await put(site, "v1/a/y", old)
    await put(site, "v1/keys/k/1", old)
    const listed = await Array.fromAsync(versions?.list("") ?? [])
    expect(listed.map(({ key, latest, bytes: size }) => [key, latest, size])).toEqual([
      ["v1/a/x", true, 20],
      ["v1/a/x", false, 10],
      ["v1/a/y", true, 10],
      ["v1/keys/k/1", true, 10],
    ])
    const older = listed[1]?.version ?? ""
    expect(Buffer.compare((await versions?.get("v1/a/x", older)) ?? young, old)).toBe(0)
    await expect(versions?.remove("v1/a/x", older)).rejects.toMatchObject({ code: "site/denied" })
  })

  test("removes one version for good, and does nothing where it is gone", async () => {
    const { site, versions } = await siteAt(await gcsStandIn())
    const { version = "" } = await put(site, "v1/a/x", bytes)
    await versions?.remove("v1/a/x", version)
    await versions?.remove("v1/a/x", version)
    expect(await site.head("v1/a/x")).toBeNull()
  })

  test.each(["governance", "compliance"] as const)("extends a lock of %s, and never shortens it", async (kind) => {
    const { site, lock, versions } = await versioned(kind)
    const { version = "" } = await put(site, "v1/a/x", bytes)
    const until = inDays(90)
    expect(await lock?.extend("v1/a/x", version, until)).toEqual(until)
    expect(await lock?.extend("v1/a/x", version, inDays(30)), "asked for less").toEqual(until)
    expect((await site.head("v1/a/x"))?.lockedUntil).toEqual(until)
    await expect(versions?.remove("v1/a/x", version)).rejects.toMatchObject({ code: "site/denied" })
    await expect(lock?.extend("v1/keys/none", version, until)).rejects.toMatchObject({ code: "site/not-found" })
  })

  test("is told where the bucket locks no single objects", async () => {
    const { site, lock } = await versioned()
    const { version = "" } = await put(site, "v1/keys/k/1", bytes)
    await expect(lock?.extend("v1/keys/k/1", version, inDays(90))).rejects.toMatchObject({ code: "site/unsupported" })
  })
})
