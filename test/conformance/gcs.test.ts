import { createHash, randomBytes } from "node:crypto"
import { EventEmitter } from "node:events"
import { request } from "node:http"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { type Bucket, CRC32C, type File, type SaveOptions, Storage } from "@google-cloud/storage"
import { describe, expect, test } from "vitest"
import { gcsStandIn } from "../server/gcs/stand-in.ts"

// The client listens to its own answers more than ten times, which Node takes for a leak.
EventEmitter.defaultMaxListeners = 20

/**
 * What a server of the JSON API must do with the official client, check by check: here against the stand-in. Not taken over from
 * the scripts that these checks come from: their measurements of speed, which no test asserts.
 */
interface Place {
  readonly storage: Storage
  readonly bucket: Bucket
  readonly endpoint: string
}

async function place(settings: Parameters<Storage["createBucket"]>[1] = {}): Promise<Place> {
  const { endpoint } = await gcsStandIn()
  const storage = new Storage({ apiEndpoint: endpoint, projectId: "p", retryOptions: { autoRetry: false } })
  const [bucket] = await storage.createBucket("vault", { location: "EU", storageClass: "STANDARD", ...settings })
  return { storage, bucket, endpoint }
}

async function save(file: File, bytes: Buffer | string, options: SaveOptions = {}): Promise<void> {
  await file.save(bytes, { resumable: false, ...options })
}

async function contentOf(file: File): Promise<Buffer> {
  const [bytes] = await file.download()
  return bytes
}

function crc32cOf(bytes: Buffer): string {
  const checksum = new CRC32C()
  checksum.update(bytes)
  return checksum.toString()
}

function md5Of(bytes: Buffer): string {
  return createHash("md5").update(bytes).digest("base64")
}

interface Raw {
  readonly method: string
  readonly headers?: Record<string, string>
  readonly body?: Buffer
  /** The connection is cut after so many bytes of the body. */
  readonly cutAfter?: number
}

async function raw(url: string, { method, headers = {}, body, cutAfter }: Raw) {
  return await new Promise<{ status: number; headers: NodeJS.Dict<string | string[]> }>((resolve, reject) => {
    const sent = request(url, { method, headers }, (answer) => {
      answer.resume()
      answer.on("end", () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers }))
    })
    sent.on("error", reject)
    if (cutAfter === undefined) sent.end(body)
    else sent.write(body?.subarray(0, cutAfter) ?? "", () => sent.destroy())
  })
}

const kept = { code: 403, errors: [expect.objectContaining({ reason: "retentionPolicyNotMet" })] }
const held = { code: 403, errors: [expect.objectContaining({ reason: "forbidden" })] }
const inAnHour = () => new Date(Date.now() + 3_600_000).toISOString()
const inTwoHours = () => new Date(Date.now() + 7_200_000).toISOString()

describe("buckets", () => {
  test("are made, described and listed", async () => {
    const { storage, bucket } = await place()
    const [metadata] = await bucket.getMetadata()
    expect(metadata).toMatchObject({ name: "vault", location: "EU", storageClass: "STANDARD", metageneration: "1" })
    const [buckets] = await storage.getBuckets()
    expect(buckets.map(({ name }) => name)).toEqual(["vault"])
    await expect(storage.createBucket("vault")).rejects.toMatchObject({ code: 409 })
  })

  test("keep their lifecycle and their access settings, and delete softly from the start", async () => {
    const { bucket } = await place()
    const rule = [{ action: { type: "Delete" as const }, condition: { age: 30 } }]
    await bucket.setMetadata({ lifecycle: { rule } })
    await bucket.setMetadata({ iamConfiguration: { uniformBucketLevelAccess: { enabled: true }, publicAccessPrevention: "enforced" } })
    const [metadata] = await bucket.getMetadata()
    expect(metadata.lifecycle).toEqual({ rule })
    expect(metadata.iamConfiguration).toMatchObject({ uniformBucketLevelAccess: { enabled: true } })
    expect(metadata.softDeletePolicy).toMatchObject({ retentionDurationSeconds: "604800" })
    expect(metadata.metageneration).toBe("3")
  })

  test("are not deleted while anything is in them", async () => {
    const { bucket } = await place()
    await save(bucket.file("x"), "1")
    await expect(bucket.delete()).rejects.toMatchObject({ code: 409 })
    await bucket.file("x").delete()
    await bucket.delete()
    expect(await bucket.exists()).toEqual([false])
  })
})

describe("objects", () => {
  test("that are not there are 404, and so are those in a bucket that is not", async () => {
    const { storage, bucket } = await place()
    const missing = { code: 404 }
    await expect(bucket.file("x").getMetadata()).rejects.toMatchObject(missing)
    await expect(bucket.file("x").download()).rejects.toMatchObject(missing)
    await expect(bucket.file("x").delete()).rejects.toMatchObject(missing)
    await expect(save(storage.bucket("none").file("x"), "1")).rejects.toMatchObject(missing)
  })

  test("come back as they were, with checksums and all that was said of them", async () => {
    const { bucket } = await place()
    const bytes = randomBytes(10_000)
    const file = bucket.file("a/b c/ü+&=%.bin")
    const said = { contentType: "audio/wav", cacheControl: "no-store", metadata: { foo: "bar" } }
    await save(file, bytes, { validation: "crc32c", metadata: said })
    const [metadata] = await bucket.file("a/b c/ü+&=%.bin").getMetadata()
    expect(metadata).toMatchObject({ ...said, size: "10000", crc32c: crc32cOf(bytes), md5Hash: md5Of(bytes), metageneration: "1" })
    expect((await contentOf(file)).equals(bytes)).toBe(true)
  })

  test("may be empty", async () => {
    const { bucket } = await place()
    await save(bucket.file("empty"), "")
    expect(await contentOf(bucket.file("empty"))).toHaveLength(0)
  })

  test("are read in ranges", async () => {
    const { bucket, endpoint } = await place()
    const bytes = randomBytes(5000)
    await save(bucket.file("x"), bytes)
    const read = async (options: object) =>
      Buffer.concat(await Array.fromAsync<Buffer>(bucket.file("x").createReadStream({ validation: false, ...options })))
    expect((await read({ start: 100, end: 199 })).equals(bytes.subarray(100, 200))).toBe(true)
    expect((await read({ start: 4000 })).equals(bytes.subarray(4000))).toBe(true)
    expect((await read({ end: -10 })).equals(bytes.subarray(-10))).toBe(true)
    const url = `${endpoint}/storage/v1/b/vault/o/x?alt=media`
    const part = await raw(url, { method: "GET", headers: { range: "bytes=100-199" } })
    expect(part).toMatchObject({ status: 206, headers: { "content-range": "bytes 100-199/5000" } })
    expect((await raw(url, { method: "GET", headers: { range: "bytes=6000-7000" } })).status).toBe(416)
  })

  test("are downloaded with their checksums in a header", async () => {
    const { bucket, endpoint } = await place()
    await save(bucket.file("x"), "hello")
    const { headers } = await raw(`${endpoint}/storage/v1/b/vault/o/x?alt=media`, { method: "GET" })
    const bytes = Buffer.from("hello")
    expect(headers).toMatchObject({
      "x-goog-hash": `crc32c=${crc32cOf(bytes)},md5=${md5Of(bytes)}`,
      "x-goog-stored-content-encoding": "identity",
    })
  })

  test("of a generation that never was are not there", async () => {
    const { bucket } = await place()
    await save(bucket.file("x"), "1")
    await expect(bucket.file("x", { generation: 1 }).download()).rejects.toMatchObject({ code: 404 })
  })

  test("change what is said of them, counted by their metageneration", async () => {
    const { bucket } = await place()
    await save(bucket.file("x"), "1")
    await bucket.file("x").setMetadata({ metadata: { x: "1" } })
    const [metadata] = await bucket.file("x").getMetadata()
    expect(metadata).toMatchObject({ metadata: { x: "1" }, metageneration: "2" })
    const late = bucket.file("x").setMetadata({ metadata: { x: "2" } }, { ifMetagenerationMatch: 1 })
    await expect(late).rejects.toMatchObject({ code: 412 })
  })

  test("have a storage class, from their upload or rewritten", async () => {
    const { bucket } = await place()
    await save(bucket.file("x"), "1", { metadata: { storageClass: "NEARLINE" } })
    expect((await bucket.file("x").getMetadata())[0].storageClass).toBe("NEARLINE")
    await bucket.file("x").setStorageClass("COLDLINE")
    expect((await bucket.file("x").getMetadata())[0].storageClass).toBe("COLDLINE")
  })

  test("are copied and composed", async () => {
    const { bucket } = await place()
    await save(bucket.file("a"), "AA")
    await save(bucket.file("b"), "BB")
    await bucket.file("a").copy(bucket.file("copy"))
    expect(String(await contentOf(bucket.file("copy")))).toBe("AA")
    await bucket.combine([bucket.file("a"), bucket.file("b")], bucket.file("ab"))
    expect(String(await contentOf(bucket.file("ab")))).toBe("AABB")
    const [metadata] = await bucket.file("ab").getMetadata()
    expect(metadata.componentCount).toBe(2)
    expect(metadata.md5Hash).toBeUndefined()
  })

  test("go and come in great numbers at once", async () => {
    const { bucket } = await place()
    const bytes = randomBytes(256 * 1024)
    const names = Array.from({ length: 32 }, (_, n) => `many/${String(n)}`)
    await Promise.all(names.map((name) => save(bucket.file(name), bytes)))
    const back = await Promise.all(names.map((name) => bucket.file(name).download()))
    expect(back.every(([got]) => got.equals(bytes))).toBe(true)
    await bucket.deleteFiles({ prefix: "many/" })
    expect((await bucket.getFiles({ prefix: "many/" }))[0]).toEqual([])
  })
})

describe("resumable uploads", () => {
  test.each([
    ["in one piece", {}],
    ["in chunks", { chunkSize: 1 << 20 }],
  ])("arrive %s", async (_how, options) => {
    const { bucket } = await place()
    const bytes = randomBytes(3 * (1 << 20) + 123)
    await save(bucket.file("x"), bytes, { resumable: true, validation: "crc32c", metadata: { metadata: { k: "v" } }, ...options })
    const [metadata] = await bucket.file("x").getMetadata()
    expect(metadata).toMatchObject({ crc32c: crc32cOf(bytes), metadata: { k: "v" } })
    expect((await contentOf(bucket.file("x"))).equals(bytes)).toBe(true)
  })

  test("arrive from a stream of unknown length", async () => {
    const { bucket } = await place()
    const bytes = randomBytes(2 << 20)
    const pieces = Readable.from([bytes.subarray(0, 1_000_000), bytes.subarray(1_000_000)])
    await pipeline(pieces, bucket.file("x").createWriteStream({ resumable: true, validation: "crc32c" }))
    expect((await contentOf(bucket.file("x"))).equals(bytes)).toBe(true)
  })

  test("say how far they have come, and go on from there", async () => {
    const { bucket } = await place()
    const bytes = randomBytes(1 << 20)
    const half = bytes.length / 2
    const [url] = await bucket.file("x").createResumableUpload({})
    const range = (part: string) => ({ "content-range": `bytes ${part}/${String(bytes.length)}` })
    const first = await raw(url, { method: "PUT", headers: range(`0-${String(half - 1)}`), body: bytes.subarray(0, half) })
    expect(first.status).toBe(308)
    const asked = await raw(url, { method: "PUT", headers: { ...range("*"), "content-length": "0" } })
    expect(asked).toMatchObject({ status: 308, headers: { range: `bytes=0-${String(half - 1)}` } })
    const rest = await raw(url, {
      method: "PUT",
      headers: range(`${String(half)}-${String(bytes.length - 1)}`),
      body: bytes.subarray(half),
    })
    expect(rest.status).toBe(200)
    expect((await contentOf(bucket.file("x"))).equals(bytes)).toBe(true)
  })

  test("accept no piece that leaves a gap", async () => {
    const { bucket } = await place()
    const [url] = await bucket.file("x").createResumableUpload({})
    const piece = { "content-range": `bytes ${String(512 << 10)}-${String((768 << 10) - 1)}/${String(1 << 20)}` }
    const { status } = await raw(url, { method: "PUT", headers: piece, body: randomBytes(256 << 10) })
    expect(status).toBe(503)
  })

  test("go on after a piece that was cut off, with what of it was kept", async () => {
    const { bucket } = await place()
    const bytes = randomBytes(1 << 20)
    const [url] = await bucket.file("x").createResumableUpload({})
    const whole = { "content-range": `bytes 0-${String(bytes.length - 1)}/${String(bytes.length)}`, "content-length": String(bytes.length) }
    await raw(url, { method: "PUT", headers: whole, body: bytes, cutAfter: 700_000 }).catch(() => undefined)
    const asked = await raw(url, { method: "PUT", headers: { "content-range": `bytes */${String(bytes.length)}`, "content-length": "0" } })
    expect(asked.status).toBe(308)
    const [, last = "-1"] = /^bytes=0-(\d+)$/.exec(String(asked.headers.range)) ?? []
    const got = Number(last) + 1
    expect(got % (256 * 1024)).toBe(0)
    const rest = { "content-range": `bytes ${String(got)}-${String(bytes.length - 1)}/${String(bytes.length)}` }
    expect((await raw(url, { method: "PUT", headers: rest, body: bytes.subarray(got) })).status).toBe(200)
    expect((await contentOf(bucket.file("x"))).equals(bytes)).toBe(true)
  })
})

describe("damage on the way up", () => {
  test("is refused by the checksum that came with the bytes, and nothing is kept", async () => {
    const { bucket } = await place()
    const [hello, other] = [Buffer.from("hello"), Buffer.from("other")]
    const refused = { code: 400 }
    const crc32c = { validation: false, metadata: { crc32c: crc32cOf(other) } }
    await expect(save(bucket.file("1"), hello, crc32c)).rejects.toMatchObject(refused)
    await expect(save(bucket.file("2"), hello, { validation: false, metadata: { md5Hash: md5Of(other) } })).rejects.toMatchObject(refused)
    await expect(save(bucket.file("3"), hello, { ...crc32c, resumable: true })).rejects.toMatchObject(refused)
    const [url] = await bucket.file("4").createResumableUpload({})
    const headers = { "content-range": "bytes 0-4/5", "x-goog-hash": `crc32c=${crc32cOf(other)}` }
    expect((await raw(url, { method: "PUT", headers, body: hello })).status).toBe(400)
    expect((await bucket.getFiles())[0]).toEqual([])
  })

  test("is an upload that was cut off: nothing is kept", async () => {
    const { bucket, endpoint } = await place()
    const url = `${endpoint}/upload/storage/v1/b/vault/o?uploadType=media&name=x`
    const bytes = randomBytes(1 << 20)
    const headers = { "content-type": "application/octet-stream", "content-length": String(bytes.length) }
    await raw(url, { method: "POST", headers, body: bytes, cutAfter: 400_000 }).catch(() => undefined)
    expect(await bucket.file("x").exists()).toEqual([false])
  })
})

describe("conditions", () => {
  test("let one of two create an object, by either way of uploading", async () => {
    const { bucket } = await place()
    const createOnly = { preconditionOpts: { ifGenerationMatch: 0 } }
    await save(bucket.file("x"), "one", createOnly)
    await expect(save(bucket.file("x"), "two", createOnly)).rejects.toMatchObject({ code: 412 })
    await expect(save(bucket.file("x"), "two", { ...createOnly, resumable: true })).rejects.toMatchObject({ code: 412 })
    expect(String(await contentOf(bucket.file("x")))).toBe("one")
  })

  test("let one of sixteen at once create an object", async () => {
    const { bucket } = await place()
    const racing = Array.from({ length: 16 }, (_, n) =>
      save(bucket.file("x"), String(n).repeat(20_000), { preconditionOpts: { ifGenerationMatch: 0 } }),
    )
    const outcomes = await Promise.allSettled(racing)
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1)
  })

  test("keep another generation from being deleted", async () => {
    const { bucket } = await place()
    await save(bucket.file("x"), "1")
    await expect(bucket.file("x").delete({ ifGenerationMatch: 12_345 })).rejects.toMatchObject({ code: 412 })
  })
})

describe("listings", () => {
  test("come in pages, in the order of their names, from an offset", async () => {
    const { bucket } = await place()
    const names = Array.from({ length: 25 }, (_, n) => `l/${String(n % 5)}/k${String(n).padStart(4, "0")}`)
    await Promise.all(names.map((name) => save(bucket.file(name), name)))
    const got: string[] = []
    const sizes: number[] = []
    let pageToken: string | undefined
    do {
      const query = { prefix: "l/", maxResults: 10, autoPaginate: false, ...(pageToken !== undefined && { pageToken }) }
      const [files, next] = await bucket.getFiles(query)
      got.push(...files.map(({ name }) => name))
      sizes.push(files.length)
      pageToken = next?.pageToken
    } while (pageToken !== undefined)
    expect(sizes).toEqual([10, 10, 5])
    expect(got).toEqual([...names].sort())
    const [late] = await bucket.getFiles({ prefix: "l/", startOffset: "l/4/k0019" })
    expect(late.map(({ name }) => name)).toEqual(["l/4/k0019", "l/4/k0024"])
    const [, , folders] = await bucket.getFiles({ prefix: "l/", delimiter: "/", autoPaginate: false })
    expect(folders).toMatchObject({ prefixes: ["l/0/", "l/1/", "l/2/", "l/3/", "l/4/"] })
  })
})

describe("versions", () => {
  test("are kept where the bucket keeps them, and each can be read and deleted", async () => {
    const { bucket } = await place({ versioning: { enabled: true } })
    await save(bucket.file("k"), "1")
    const [first] = await bucket.file("k").getMetadata()
    await save(bucket.file("k"), "2")
    const [second] = await bucket.file("k").getMetadata()
    expect(BigInt(second.generation ?? 0) > BigInt(first.generation ?? 0)).toBe(true)
    const old = bucket.file("k", { generation: first.generation ?? 0 })
    expect(String(await contentOf(old))).toBe("1")
    await bucket.file("k").delete()
    await expect(bucket.file("k").download()).rejects.toMatchObject({ code: 404 })
    const [versions] = await bucket.getFiles({ versions: true })
    expect(versions.map(({ metadata }) => metadata.timeDeleted !== undefined)).toEqual([true, true])
    await old.delete()
    expect((await bucket.getFiles({ versions: true }))[0]).toHaveLength(1)
  })

  test("that were deleted softly come back", async () => {
    const { bucket } = await place()
    await save(bucket.file("k"), "1")
    const [{ generation = 0 }] = await bucket.file("k").getMetadata()
    await bucket.file("k").delete()
    expect((await bucket.getFiles())[0]).toHaveLength(0)
    const [deleted] = await bucket.getFiles({ softDeleted: true })
    expect(deleted.map(({ metadata }) => metadata.generation)).toEqual([generation])
    await bucket.file("k").restore({ generation: Number(generation) })
    expect(String(await contentOf(bucket.file("k")))).toBe("1")
  })
})

describe("retention of a bucket", () => {
  test("keeps objects from being deleted and overwritten, however they are uploaded, but not from being described", async () => {
    const { bucket } = await place()
    await bucket.setRetentionPeriod(3600)
    await save(bucket.file("k"), "1")
    const [metadata] = await bucket.file("k").getMetadata()
    expect(Date.parse(metadata.retentionExpirationTime ?? "")).toBe(Date.parse(metadata.timeCreated ?? "") + 3_600_000)
    await expect(bucket.file("k").delete()).rejects.toMatchObject(kept)
    await expect(save(bucket.file("k"), "2")).rejects.toMatchObject(kept)
    const [url] = await bucket.file("k").createResumableUpload({})
    const final = await raw(url, { method: "PUT", headers: { "content-range": "bytes 0-0/1" }, body: Buffer.from("2") })
    expect(final.status, "not when the upload begins, but at its end").toBe(403)
    const createOnly = { preconditionOpts: { ifGenerationMatch: 0 } }
    await expect(save(bucket.file("k"), "2", createOnly), "conditions come first").rejects.toMatchObject({ code: 412 })
    await bucket.file("k").setMetadata({ metadata: { note: "allowed" } })
    expect(String(await contentOf(bucket.file("k")))).toBe("1")
  })

  test("once locked, only grows", async () => {
    const { bucket } = await place()
    await bucket.setRetentionPeriod(3600)
    const [{ metageneration = 0 }] = await bucket.getMetadata()
    await bucket.lock(metageneration)
    expect((await bucket.getMetadata())[0].retentionPolicy).toMatchObject({ isLocked: true, retentionPeriod: "3600" })
    await expect(bucket.setRetentionPeriod(60)).rejects.toMatchObject({ code: 403 })
    await expect(bucket.removeRetentionPeriod()).rejects.toMatchObject({ code: 403 })
    await bucket.setRetentionPeriod(7200)
    expect((await bucket.getMetadata())[0].retentionPolicy).toMatchObject({ isLocked: true, retentionPeriod: "7200" })
  })
})

describe("retention where the bucket keeps versions", () => {
  test("lets a newer version take the name, and keeps the older one", async () => {
    const { bucket } = await place({ versioning: { enabled: true } })
    await bucket.setRetentionPeriod(3600)
    await save(bucket.file("k"), "1")
    const [{ generation = 0 }] = await bucket.file("k").getMetadata()
    await save(bucket.file("k"), "2")
    expect(String(await contentOf(bucket.file("k")))).toBe("2")
    await expect(bucket.file("k", { generation }).delete()).rejects.toMatchObject(kept)
    expect(String(await contentOf(bucket.file("k", { generation })))).toBe("1")
    await bucket.file("k").delete()
    expect((await bucket.getFiles({ versions: true }))[0]).toHaveLength(2)
  })
})

describe("retention of an object", () => {
  test("keeps it, shrinks when that is said, and once locked only grows", async () => {
    const { storage } = await place()
    const [bucket] = await storage.createBucket("objects", { enableObjectRetention: true })
    const file = bucket.file("k")
    await save(file, "1")
    await file.setMetadata({ retention: { mode: "Unlocked", retainUntilTime: inTwoHours() } })
    expect((await file.getMetadata())[0].retention?.mode).toBe("Unlocked")
    await expect(file.delete()).rejects.toMatchObject(kept)
    const less = { retention: { mode: "Unlocked", retainUntilTime: inAnHour() } }
    await expect(file.setMetadata(less)).rejects.toMatchObject({ code: 403 })
    await file.setMetadata(less, { overrideUnlockedRetention: true })
    const locked = (retainUntilTime: string) => ({ retention: { mode: "Locked", retainUntilTime } })
    await file.setMetadata(locked(inTwoHours()), { overrideUnlockedRetention: true })
    await expect(file.setMetadata(locked(inAnHour()), { overrideUnlockedRetention: true })).rejects.toMatchObject({ code: 403 })
    await file.setMetadata(locked(new Date(Date.now() + 86_400_000).toISOString()))
  })

  test("can come with the upload", async () => {
    const { storage } = await place()
    const [bucket] = await storage.createBucket("objects", { enableObjectRetention: true })
    await save(bucket.file("k"), "1", { metadata: { retention: { mode: "Locked", retainUntilTime: inAnHour() } } })
    expect((await bucket.file("k").getMetadata())[0].retention?.mode).toBe("Locked")
    await expect(bucket.file("k").delete()).rejects.toMatchObject(kept)
  })
})

describe("holds", () => {
  test.each(["temporaryHold", "eventBasedHold"] as const)("%s keeps an object until it is lifted", async (hold) => {
    const { bucket } = await place()
    await save(bucket.file("k"), "1")
    await bucket.file("k").setMetadata({ [hold]: true })
    await expect(bucket.file("k").delete()).rejects.toMatchObject(held)
    await expect(save(bucket.file("k"), "2")).rejects.toMatchObject(held)
    await bucket.file("k").setMetadata({ [hold]: false })
    await bucket.file("k").delete()
  })

  test("can be the bucket's default", async () => {
    const { storage } = await place()
    const [bucket] = await storage.createBucket("events", { defaultEventBasedHold: true })
    await save(bucket.file("k"), "1")
    expect((await bucket.file("k").getMetadata())[0].eventBasedHold).toBe(true)
  })
})
