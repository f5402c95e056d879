import { createHash, randomBytes } from "node:crypto"
import { expect } from "vitest"
import { bodyOf, type Checks, refused } from "./s3-bench.ts"

const md5 = (bytes: Uint8Array) => createHash("md5").update(bytes).digest("hex")

/** Objects, listings, conditions and signatures. */
export const objectChecks: Checks = {
  "bucket-create": async ({ s3, plain }) => {
    await s3.headBucket({ Bucket: plain })
    expect((await s3.listBuckets({})).Buckets?.map(({ Name }) => Name)).toContain(plain)
  },
  "missing-404": async ({ s3, plain }) => {
    await refused(s3.getObject({ Bucket: plain, Key: "nope" }), 404, "NoSuchKey")
    await refused(s3.headObject({ Bucket: plain, Key: "nope" }), 404)
    await refused(s3.getObject({ Bucket: `${plain}-no-such`, Key: "x" }), 404, "NoSuchBucket")
  },
  "put-get-head": async ({ s3, plain: Bucket }) => {
    const Body = randomBytes(10_000)
    const Key = "a/b c/ü+&=%.bin"
    const put = await s3.putObject({ Bucket, Key, Body, ContentType: "audio/wav", Metadata: { foo: "bar", "call-id": "x-1" } })
    expect(put.ETag).toBe(`"${md5(Body)}"`)
    expect(Buffer.compare(await bodyOf(await s3.getObject({ Bucket, Key })), Body)).toBe(0)
    const head = await s3.headObject({ Bucket, Key })
    expect(head).toMatchObject({ ContentLength: 10_000, ContentType: "audio/wav", Metadata: { foo: "bar", "call-id": "x-1" } })
  },
  "empty-object": async ({ s3, plain: Bucket }) => {
    await s3.putObject({ Bucket, Key: "empty", Body: Buffer.alloc(0) })
    expect(await bodyOf(await s3.getObject({ Bucket, Key: "empty" }))).toHaveLength(0)
  },
  "list-v2-pagination": async ({ s3, plain: Bucket }) => {
    const keys = Array.from({ length: 250 }, (_, n) => `l/${String(n % 5)}/k${String(n).padStart(4, "0")}`)
    await Promise.all(keys.map((Key) => s3.putObject({ Bucket, Key, Body: Key })))
    const listed: (string | undefined)[] = []
    let pages = 0
    let ContinuationToken: string | undefined
    do {
      const page = await s3.listObjectsV2({ Bucket, Prefix: "l/", MaxKeys: 100, ContinuationToken })
      listed.push(...(page.Contents ?? []).map(({ Key }) => Key))
      ContinuationToken = page.NextContinuationToken
      pages += 1
    } while (ContinuationToken !== undefined && pages < 20)
    expect(pages).toBe(3)
    expect(listed).toEqual([...keys].sort())
    expect((await s3.listObjectsV2({ Bucket, Prefix: "l/", StartAfter: "l/4/k0240" })).KeyCount).toBe(2)
  },
  "list-v2-delimiter": async ({ s3, plain: Bucket }) => {
    for (const n of [0, 1, 2, 3, 4]) for (const m of [0, 1]) await s3.putObject({ Bucket, Key: `d/${String(n)}/${String(m)}`, Body: "x" })
    const whole = await s3.listObjectsV2({ Bucket, Prefix: "d/", Delimiter: "/" })
    const expected = [0, 1, 2, 3, 4].map((n) => `d/${String(n)}/`)
    expect(whole.CommonPrefixes?.map(({ Prefix }) => Prefix)).toEqual(expected)
    expect(whole.Contents ?? []).toEqual([])
    const paged: (string | undefined)[] = []
    let ContinuationToken: string | undefined
    do {
      const page = await s3.listObjectsV2({ Bucket, Prefix: "d/", Delimiter: "/", MaxKeys: 2, ContinuationToken })
      paged.push(...(page.CommonPrefixes ?? []).map(({ Prefix }) => Prefix))
      ContinuationToken = page.NextContinuationToken
    } while (ContinuationToken !== undefined && paged.length < 20)
    expect(paged).toEqual(expected)
  },
  "list-order-utf8": async ({ s3, plain: Bucket }) => {
    const keys = ["u/a", "u/Z", "u/\u{ff5e}", "u/\u{1f600}", "u/ü", "u/-"]
    for (const Key of keys) await s3.putObject({ Bucket, Key, Body: "x" })
    const sorted = keys.map((key) => Buffer.from(key)).sort(Buffer.compare)
    expect((await s3.listObjectsV2({ Bucket, Prefix: "u/" })).Contents?.map(({ Key }) => Key)).toEqual(sorted.map(String))
  },
  "range-get": async ({ s3, plain: Bucket }) => {
    const Body = randomBytes(5000)
    await s3.putObject({ Bucket, Key: "rng", Body })
    const part = await s3.getObject({ Bucket, Key: "rng", Range: "bytes=100-199" })
    expect(part).toMatchObject({ $metadata: { httpStatusCode: 206 }, ContentRange: "bytes 100-199/5000" })
    expect(Buffer.compare(await bodyOf(part), Body.subarray(100, 200))).toBe(0)
    const tail = await bodyOf(await s3.getObject({ Bucket, Key: "rng", Range: "bytes=-10" }))
    expect(Buffer.compare(tail, Body.subarray(-10))).toBe(0)
    await refused(s3.getObject({ Bucket, Key: "rng", Range: "bytes=6000-7000" }), 416)
  },
  "if-none-match-put": async ({ s3, plain: Bucket }) => {
    await s3.putObject({ Bucket, Key: "cond", Body: "one", IfNoneMatch: "*" })
    await refused(s3.putObject({ Bucket, Key: "cond", Body: "two", IfNoneMatch: "*" }), 412)
    expect((await bodyOf(await s3.getObject({ Bucket, Key: "cond" }))).toString()).toBe("one")
  },
  "if-none-match-race": async ({ s3, plain: Bucket }) => {
    const put = (n: number) => s3.putObject({ Bucket, Key: "race", Body: `${String(n)}${"x".repeat(20_000)}`, IfNoneMatch: "*" })
    const outcomes = await Promise.allSettled(Array.from({ length: 16 }, (_, n) => put(n)))
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1)
  },
  "if-match-put": async ({ s3, plain: Bucket }) => {
    const { ETag } = await s3.putObject({ Bucket, Key: "ifm", Body: "1" })
    await s3.putObject({ Bucket, Key: "ifm", Body: "2", IfMatch: ETag })
    await refused(s3.putObject({ Bucket, Key: "ifm", Body: "3", IfMatch: ETag }), 412)
  },
  "get-if-none-match-304": async ({ s3, plain: Bucket }) => {
    const { ETag } = await s3.putObject({ Bucket, Key: "i304", Body: "1" })
    await refused(s3.getObject({ Bucket, Key: "i304", IfNoneMatch: ETag }), 304)
    await refused(s3.getObject({ Bucket, Key: "i304", IfMatch: '"00000000000000000000000000000000"' }), 412)
  },
  "storage-class": async ({ s3, plain: Bucket }) => {
    await s3.putObject({ Bucket, Key: "sc", Body: "x", StorageClass: "STANDARD_IA" })
    expect((await s3.headObject({ Bucket, Key: "sc" })).StorageClass).toBe("STANDARD_IA")
    expect((await s3.listObjectsV2({ Bucket, Prefix: "sc" })).Contents?.[0]?.StorageClass).toBe("STANDARD_IA")
  },
  lifecycle: async ({ s3, plain: Bucket }) => {
    const rule = {
      ...{ ID: "r1", Status: "Enabled" as const, Filter: { Prefix: "x/" }, Expiration: { Days: 30 } },
      ...{ NoncurrentVersionExpiration: { NoncurrentDays: 7 }, AbortIncompleteMultipartUpload: { DaysAfterInitiation: 2 } },
    }
    await s3.putBucketLifecycleConfiguration({ Bucket, LifecycleConfiguration: { Rules: [rule] } })
    expect((await s3.getBucketLifecycleConfiguration({ Bucket })).Rules).toMatchObject([rule])
  },
  "bucket-policy": async ({ s3, plain: Bucket }) => {
    const Policy = JSON.stringify({ Version: "2012-10-17", Statement: [] })
    await s3.putBucketPolicy({ Bucket, Policy })
    expect(JSON.parse((await s3.getBucketPolicy({ Bucket })).Policy ?? "")).toMatchObject({ Version: "2012-10-17" })
    await s3.deleteBucketPolicy({ Bucket })
    await refused(s3.getBucketPolicy({ Bucket }), 404, "NoSuchBucketPolicy")
  },
  "delete-objects": async ({ s3, plain: Bucket }) => {
    const keys = Array.from({ length: 10 }, (_, n) => `del/${String(n)}`)
    for (const Key of keys) await s3.putObject({ Bucket, Key, Body: Key })
    const deleted = await s3.deleteObjects({ Bucket, Delete: { Objects: keys.map((Key) => ({ Key })) } })
    expect(deleted.Deleted).toHaveLength(10)
    expect((await s3.listObjectsV2({ Bucket, Prefix: "del/" })).KeyCount).toBe(0)
  },
  "copy-object": async ({ s3, plain: Bucket }) => {
    await s3.putObject({ Bucket, Key: "cp1", Body: "copy me", Metadata: { q: "1" } })
    await s3.copyObject({ Bucket, Key: "cp2", CopySource: `${Bucket}/cp1` })
    const copy = await s3.getObject({ Bucket, Key: "cp2" })
    expect((await bodyOf(copy)).toString()).toBe("copy me")
    expect(copy.Metadata).toMatchObject({ q: "1" })
  },
  tagging: async ({ s3, plain: Bucket }) => {
    await s3.putObject({ Bucket, Key: "tg", Body: "x", Tagging: "k=v" })
    expect((await s3.getObjectTagging({ Bucket, Key: "tg" })).TagSet).toEqual([{ Key: "k", Value: "v" }])
  },
  presigned: async ({ plain, presigned }) => {
    const put = await fetch(await presigned({ method: "PUT", path: `/${plain}/ps`, seconds: 60 }), { method: "PUT", body: "presigned" })
    expect(put.status, await put.text()).toBe(200)
    expect(await (await fetch(await presigned({ method: "GET", path: `/${plain}/ps`, seconds: 60 }))).text()).toBe("presigned")
  },
  "presigned-tampered-rejected": async ({ s3, plain, presigned }) => {
    for (const Key of ["ps1", "ps2"]) await s3.putObject({ Bucket: plain, Key, Body: "x" })
    const url = await presigned({ method: "GET", path: `/${plain}/ps1`, seconds: 60 })
    expect((await fetch(url.replace("/ps1?", "/ps2?"))).status).toBe(403)
  },
  "presigned-expired-rejected": async ({ plain, presigned, wait }) => {
    const url = await presigned({ method: "GET", path: `/${plain}/ps`, seconds: 1 })
    await wait(2500)
    expect([400, 403]).toContain((await fetch(url)).status)
  },
  "auth-wrong-secret-rejected": async ({ plain, client }) => {
    await refused(client({ secretAccessKey: "wrong" }).listObjectsV2({ Bucket: plain }), 403, "SignatureDoesNotMatch")
  },
  "auth-wrong-key-rejected": async ({ plain, client }) => {
    await refused(client({ accessKeyId: "NOSUCHKEY" }).listObjectsV2({ Bucket: plain }), 403, "InvalidAccessKeyId")
  },
  "auth-anonymous-rejected": async ({ endpoint, plain }) => {
    expect([401, 403]).toContain((await fetch(`${endpoint}/${plain}/x`)).status)
  },
  "concurrency-32": async ({ s3, plain: Bucket }) => {
    const Body = randomBytes(1024 * 1024)
    const one = async (Key: string) => {
      await s3.putObject({ Bucket, Key, Body })
      expect(Buffer.compare(await bodyOf(await s3.getObject({ Bucket, Key })), Body)).toBe(0)
    }
    await Promise.all(Array.from({ length: 32 }, (_, n) => one(`cc/${String(n)}`)))
  },
}
