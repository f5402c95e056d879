import type { ListObjectVersionsOutput, PutObjectCommandInput } from "@aws-sdk/client-s3"
import { expect } from "vitest"
import { type Bench, bodyOf, type Checks, refused } from "./s3-bench.ts"

async function put({ s3 }: Bench, given: PutObjectCommandInput): Promise<string> {
  const { VersionId } = await s3.putObject(given)
  if (VersionId === undefined) throw new Error("a put in a bucket with versions has one")
  return VersionId
}

interface Marker {
  readonly KeyMarker?: string | undefined
  readonly VersionIdMarker?: string | undefined
}

/** Versions and delete markers. */
export const versionChecks: Checks = {
  "versioning-enable": async ({ s3, versioned }) => {
    expect((await s3.getBucketVersioning({ Bucket: versioned })).Status).toBe("Enabled")
  },
  versioning: async (bench) => {
    const { s3, versioned: Bucket } = bench
    const [first, second] = [await put(bench, { Bucket, Key: "k", Body: "1" }), await put(bench, { Bucket, Key: "k", Body: "2" })]
    const text = async (VersionId?: string) => (await bodyOf(await s3.getObject({ Bucket, Key: "k", VersionId }))).toString()
    const { Versions } = await s3.listObjectVersions({ Bucket, Prefix: "k" })
    expect(Versions?.map(({ VersionId, IsLatest }) => [VersionId, IsLatest])).toEqual([
      [second, true],
      [first, false],
    ])
    expect(await text(first)).toBe("1")
    const deleted = await s3.deleteObject({ Bucket, Key: "k" })
    expect(deleted.DeleteMarker).toBe(true)
    await refused(s3.getObject({ Bucket, Key: "k" }), 404)
    expect((await s3.listObjectVersions({ Bucket, Prefix: "k" })).DeleteMarkers).toHaveLength(1)
    await s3.deleteObject({ Bucket, Key: "k", VersionId: deleted.VersionId })
    expect(await text()).toBe("2")
    await s3.deleteObject({ Bucket, Key: "k", VersionId: second })
    expect(await text()).toBe("1")
  },
  "versioning-create-only-after-delete": async (bench) => {
    const { s3, versioned: Bucket } = bench
    await put(bench, { Bucket, Key: "again", Body: "1", IfNoneMatch: "*" })
    await s3.deleteObject({ Bucket, Key: "again" })
    await put(bench, { Bucket, Key: "again", Body: "2", IfNoneMatch: "*" })
    await refused(s3.putObject({ Bucket, Key: "again", Body: "3", IfNoneMatch: "*" }), 412)
  },
  "versioning-list-pagination": async (bench) => {
    const { s3, versioned: Bucket } = bench
    for (let n = 0; n < 12; n++) await put(bench, { Bucket, Key: `vp/${String(n % 4)}`, Body: String(n) })
    let [found, pages] = [0, 0]
    let marker: Marker | undefined = {}
    while (marker !== undefined && pages < 10) {
      const page: ListObjectVersionsOutput = await s3.listObjectVersions({ Bucket, Prefix: "vp/", MaxKeys: 5, ...marker })
      found += page.Versions?.length ?? 0
      pages += 1
      marker = page.IsTruncated === true ? { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker } : undefined
    }
    expect([found, pages]).toEqual([12, 3])
  },
  "versioning-multipart": async ({ s3, versioned: Bucket }) => {
    const { UploadId } = await s3.createMultipartUpload({ Bucket, Key: "mpv" })
    const { ETag } = await s3.uploadPart({ Bucket, Key: "mpv", UploadId, PartNumber: 1, Body: "abc" })
    const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] }
    expect((await s3.completeMultipartUpload({ Bucket, Key: "mpv", UploadId, MultipartUpload })).VersionId).toBeTruthy()
  },
}

function lockedUntil(until: Date, mode: "COMPLIANCE" | "GOVERNANCE" = "COMPLIANCE") {
  return { ObjectLockMode: mode, ObjectLockRetainUntilDate: until }
}

/** Object Lock entire. */
export const lockChecks: Checks = {
  "lock-bucket": async ({ s3, locked: Bucket }) => {
    expect((await s3.getObjectLockConfiguration({ Bucket })).ObjectLockConfiguration?.ObjectLockEnabled).toBe("Enabled")
    expect((await s3.getBucketVersioning({ Bucket })).Status).toBe("Enabled")
  },
  "lock-compliance": async (bench) => {
    const { s3, locked: Bucket, day } = bench
    const until = day(1)
    const VersionId = await put(bench, { Bucket, Key: "c", Body: "c", ...lockedUntil(until) })
    const head = await s3.headObject({ Bucket, Key: "c" })
    expect(head.ObjectLockMode).toBe("COMPLIANCE")
    expect(Math.abs((head.ObjectLockRetainUntilDate?.getTime() ?? 0) - until.getTime())).toBeLessThan(2000)
    await refused(s3.deleteObject({ Bucket, Key: "c", VersionId }), 403, "AccessDenied")
    await refused(s3.deleteObject({ Bucket, Key: "c", VersionId, BypassGovernanceRetention: true }), 403)
    await s3.headObject({ Bucket, Key: "c", VersionId })
  },
  "lock-compliance-batch-delete-refused": async (bench) => {
    const { s3, locked: Bucket, day } = bench
    const VersionId = await put(bench, { Bucket, Key: "batch", Body: "c", ...lockedUntil(day(1)) })
    const answer = await s3.deleteObjects({ Bucket, Delete: { Objects: [{ Key: "batch", VersionId }] } })
    expect(answer.$metadata.httpStatusCode, "a refusal within an answer that is none").toBe(200)
    expect(answer.Errors).toMatchObject([{ Key: "batch", Code: "AccessDenied" }])
    await s3.headObject({ Bucket, Key: "batch", VersionId })
  },
  "lock-plain-delete-makes-marker": async (bench) => {
    const { s3, locked: Bucket, day } = bench
    await put(bench, { Bucket, Key: "marked", Body: "c", ...lockedUntil(day(1)) })
    const { DeleteMarker, VersionId } = await s3.deleteObject({ Bucket, Key: "marked" })
    expect(DeleteMarker).toBe(true)
    await s3.deleteObject({ Bucket, Key: "marked", VersionId })
    expect((await bodyOf(await s3.getObject({ Bucket, Key: "marked" }))).toString()).toBe("c")
  },
  "lock-governance": async (bench) => {
    const { s3, locked: Bucket, day } = bench
    const VersionId = await put(bench, { Bucket, Key: "g", Body: "g", ...lockedUntil(day(1), "GOVERNANCE") })
    await refused(s3.deleteObject({ Bucket, Key: "g", VersionId }), 403)
    await s3.deleteObject({ Bucket, Key: "g", VersionId, BypassGovernanceRetention: true })
  },
  "lock-retention-extend": async (bench) => {
    const { s3, locked: Bucket, day } = bench
    const VersionId = await put(bench, { Bucket, Key: "ext", Body: "c", ...lockedUntil(day(1)) })
    await s3.putObjectRetention({ Bucket, Key: "ext", VersionId, Retention: { Mode: "COMPLIANCE", RetainUntilDate: day(3) } })
    const { Retention } = await s3.getObjectRetention({ Bucket, Key: "ext", VersionId })
    expect(Retention?.RetainUntilDate?.getTime()).toBeGreaterThan(day(2.9).getTime())
  },
  "lock-retention-shorten-refused": async (bench) => {
    const { s3, locked: Bucket, day } = bench
    const VersionId = await put(bench, { Bucket, Key: "short", Body: "c", ...lockedUntil(day(3)) })
    const retain = { Bucket, Key: "short", VersionId }
    await refused(s3.putObjectRetention({ ...retain, Retention: { Mode: "COMPLIANCE", RetainUntilDate: day(0.5) } }), 403)
    const weaker = { Mode: "GOVERNANCE" as const, RetainUntilDate: day(5) }
    await refused(s3.putObjectRetention({ ...retain, BypassGovernanceRetention: true, Retention: weaker }), 403)
  },
  "lock-legal-hold": async (bench) => {
    const { s3, locked: Bucket } = bench
    const VersionId = await put(bench, { Bucket, Key: "h", Body: "h", ObjectLockLegalHoldStatus: "ON" })
    expect((await s3.headObject({ Bucket, Key: "h" })).ObjectLockLegalHoldStatus).toBe("ON")
    await refused(s3.deleteObject({ Bucket, Key: "h", VersionId }), 403)
    await s3.putObjectLegalHold({ Bucket, Key: "h", VersionId, LegalHold: { Status: "OFF" } })
    await s3.deleteObject({ Bucket, Key: "h", VersionId })
  },
  "lock-expired-deletable": async (bench) => {
    const { s3, locked: Bucket, wait } = bench
    const VersionId = await put(bench, { Bucket, Key: "e", Body: "e", ...lockedUntil(new Date(Date.now() + 3000)) })
    await refused(s3.deleteObject({ Bucket, Key: "e", VersionId }), 403)
    await wait(4500)
    await s3.deleteObject({ Bucket, Key: "e", VersionId })
  },
  "lock-past-date-refused": async ({ s3, locked: Bucket, day }) => {
    await refused(s3.putObject({ Bucket, Key: "past", Body: "e", ...lockedUntil(day(-1)) }), 400)
  },
  "lock-on-nonlock-bucket-refused": async ({ s3, plain: Bucket, day }) => {
    await refused(s3.putObject({ Bucket, Key: "nl", Body: "e", ...lockedUntil(day(1)) }), 400)
  },
  "lock-suspend-versioning-refused": async ({ s3, locked: Bucket }) => {
    const suspending = s3.putBucketVersioning({ Bucket, VersioningConfiguration: { Status: "Suspended" } })
    await expect(suspending).rejects.toMatchObject({ $metadata: { httpStatusCode: expect.toBeOneOf([400, 403, 409]) } })
  },
  "lock-default-retention": async (bench) => {
    const { s3, locked } = bench
    const Bucket = `${locked}-d`
    await s3.createBucket({ Bucket, ObjectLockEnabledForBucket: true })
    const Rule = { DefaultRetention: { Mode: "GOVERNANCE" as const, Days: 1 } }
    await s3.putObjectLockConfiguration({ Bucket, ObjectLockConfiguration: { ObjectLockEnabled: "Enabled", Rule } })
    const VersionId = await put(bench, { Bucket, Key: "d", Body: "d" })
    expect((await s3.headObject({ Bucket, Key: "d" })).ObjectLockMode).toBe("GOVERNANCE")
    await refused(s3.deleteObject({ Bucket, Key: "d", VersionId }), 403)
  },
  "lock-multipart": async ({ s3, locked: Bucket, day }) => {
    const { UploadId } = await s3.createMultipartUpload({ Bucket, Key: "ml", ...lockedUntil(day(1)) })
    const { ETag, ChecksumCRC32 } = await s3.uploadPart({ Bucket, Key: "ml", UploadId, PartNumber: 1, Body: "abc" })
    const MultipartUpload = { Parts: [{ PartNumber: 1, ETag, ChecksumCRC32 }] }
    const { VersionId } = await s3.completeMultipartUpload({ Bucket, Key: "ml", UploadId, MultipartUpload })
    expect((await s3.headObject({ Bucket, Key: "ml" })).ObjectLockMode).toBe("COMPLIANCE")
    await refused(s3.deleteObject({ Bucket, Key: "ml", VersionId }), 403)
  },
  "lock-overwrite-keeps-locked-version": async (bench) => {
    const { s3, locked: Bucket, day } = bench
    const first = await put(bench, { Bucket, Key: "ow", Body: "1", ...lockedUntil(day(1)) })
    const second = await put(bench, { Bucket, Key: "ow", Body: "2" })
    expect((await bodyOf(await s3.getObject({ Bucket, Key: "ow", VersionId: first }))).toString()).toBe("1")
    await s3.deleteObject({ Bucket, Key: "ow", VersionId: second })
    await refused(s3.deleteObject({ Bucket, Key: "ow", VersionId: first }), 403)
  },
  "lock-bucket-delete-refused": async (bench) => {
    await put(bench, { Bucket: bench.locked, Key: "full", Body: "1" })
    await refused(bench.s3.deleteBucket({ Bucket: bench.locked }), 409)
  },
  "put-lock-cfg-existing-bucket": async ({ s3, versioned }) => {
    const Bucket = `${versioned}-l`
    await s3.createBucket({ Bucket })
    await s3.putBucketVersioning({ Bucket, VersioningConfiguration: { Status: "Enabled" } })
    await s3.putObjectLockConfiguration({ Bucket, ObjectLockConfiguration: { ObjectLockEnabled: "Enabled" } })
    expect((await s3.getObjectLockConfiguration({ Bucket })).ObjectLockConfiguration?.ObjectLockEnabled).toBe("Enabled")
  },
}
