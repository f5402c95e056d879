import { createHash, randomBytes } from "node:crypto"
import { Readable } from "node:stream"
import { crc32 } from "node:zlib"
import { Upload } from "@aws-sdk/lib-storage"
import { expect } from "vitest"
import { type Bench, bodyOf, type Checks, type RawAnswer, refused } from "./s3-bench.ts"

const sha256 = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("base64")
const md5 = (bytes: Uint8Array) => createHash("md5").update(bytes).digest("hex")
const MiB = 1024 * 1024

function crc32Of(bytes: Uint8Array): string {
  const value = Buffer.alloc(4)
  value.writeUInt32BE(crc32(bytes))
  return value.toString("base64")
}

async function withTrailer({ raw, plain }: Bench, key: string, checksum: string): Promise<RawAnswer> {
  const data = Buffer.from("hello trailer")
  const body = Buffer.from(`${data.length.toString(16)}\r\n${data.toString()}\r\n0\r\nx-amz-checksum-crc32:${checksum}\r\n\r\n`)
  const headers = {
    ...{ "content-encoding": "aws-chunked", "x-amz-sdk-checksum-algorithm": "CRC32", "x-amz-trailer": "x-amz-checksum-crc32" },
    "x-amz-decoded-content-length": String(data.length),
  }
  return await raw({ path: `/${plain}/${key}`, headers, payload: "STREAMING-UNSIGNED-PAYLOAD-TRAILER", body })
}

/** What a server checks of the bytes that it is given. */
export const checksumChecks: Checks = {
  "checksum-default-crc32-stored": async ({ s3, plain: Bucket }) => {
    const Body = randomBytes(3000)
    await s3.putObject({ Bucket, Key: "ck", Body })
    expect((await s3.headObject({ Bucket, Key: "ck", ChecksumMode: "ENABLED" })).ChecksumCRC32).toBe(crc32Of(Body))
  },
  "checksum-default-stream-trailer": async ({ s3, plain: Bucket }) => {
    const bytes = randomBytes(300_000)
    await s3.putObject({ Bucket, Key: "ckst", Body: Readable.from([bytes]), ContentLength: bytes.length })
    const answer = await s3.getObject({ Bucket, Key: "ckst", ChecksumMode: "ENABLED" })
    expect(Buffer.compare(await bodyOf(answer), bytes)).toBe(0)
  },
  "checksum-sha256-ok": async ({ s3, plain: Bucket }) => {
    const Body = randomBytes(3000)
    await s3.putObject({ Bucket, Key: "cks", Body, ChecksumAlgorithm: "SHA256", ChecksumSHA256: sha256(Body) })
    expect((await s3.headObject({ Bucket, Key: "cks", ChecksumMode: "ENABLED" })).ChecksumSHA256).toBe(sha256(Body))
  },
  "checksum-sha256-wrong-rejected": async ({ s3, plain: Bucket }) => {
    const wrong = { Bucket, Key: "ckbad", Body: "hello", ChecksumSHA256: sha256("other") }
    await refused(s3.putObject(wrong), 400)
    await refused(s3.putObject({ ...wrong, ChecksumAlgorithm: "SHA256" }), 400)
    await refused(s3.headObject({ Bucket, Key: "ckbad" }), 404)
  },
  "checksum-crc32-wrong-rejected": async ({ s3, plain: Bucket }) => {
    const ChecksumCRC32 = crc32Of(Buffer.from("other"))
    await refused(s3.putObject({ Bucket, Key: "ckbad2", Body: "hello", ChecksumAlgorithm: "CRC32", ChecksumCRC32 }), 400)
  },
  "checksum-crc32c": async ({ s3, plain: Bucket }) => {
    // RFC 3720, B.4: 32 bytes of zeroes.
    const right = Buffer.from("8a9136aa", "hex").toString("base64")
    const put = { Bucket, Key: "c32c", Body: Buffer.alloc(32), ChecksumAlgorithm: "CRC32C" as const }
    await s3.putObject({ ...put, ChecksumCRC32C: right })
    expect((await s3.headObject({ Bucket, Key: "c32c", ChecksumMode: "ENABLED" })).ChecksumCRC32C).toBe(right)
    await refused(s3.putObject({ ...put, ChecksumCRC32C: "AAAAAA==" }), 400)
  },
  "checksum-part-wrong-rejected": async ({ s3, plain: Bucket }) => {
    const { UploadId } = await s3.createMultipartUpload({ Bucket, Key: "ckmp", ChecksumAlgorithm: "SHA256" })
    const part = { Bucket, Key: "ckmp", UploadId, PartNumber: 1, Body: "hello", ChecksumAlgorithm: "SHA256" as const }
    await refused(s3.uploadPart({ ...part, ChecksumSHA256: sha256("other") }), 400)
  },
  "checksum-trailer-wrong-rejected": async (bench) => {
    expect(await withTrailer(bench, "trok", crc32Of(Buffer.from("hello trailer")))).toMatchObject({ status: 200 })
    expect(await withTrailer(bench, "trbad", crc32Of(Buffer.from("zzz")))).toMatchObject({ status: 400 })
    await refused(bench.s3.headObject({ Bucket: bench.plain, Key: "trbad" }), 404)
  },
  "content-md5-wrong-rejected": async ({ raw, plain }) => {
    const headers = { "content-md5": createHash("md5").update("zz").digest("base64") }
    expect(await raw({ path: `/${plain}/md5bad`, headers, body: Buffer.from("hello") })).toMatchObject({ status: 400 })
  },
  "payload-sha256-mismatch-rejected": async ({ raw, plain }) => {
    const payload = createHash("sha256").update("different").digest("hex")
    const answer = await raw({ path: `/${plain}/shabad`, headers: {}, payload, body: Buffer.from("hello") })
    expect(answer.status).toBeGreaterThanOrEqual(400)
  },
  "truncated-upload-not-stored": async ({ s3, raw, plain, wait }) => {
    const cut = raw({ path: `/${plain}/trunc`, headers: {}, body: randomBytes(MiB), cutAfter: 400_000 })
    await expect(cut).rejects.toThrow("cut on purpose")
    await wait(100)
    await refused(s3.headObject({ Bucket: plain, Key: "trunc" }), 404)
  },
  multipart: async ({ s3, plain: Bucket }) => {
    const parts = [randomBytes(5 * MiB), randomBytes(5 * MiB), randomBytes(MiB)]
    const { UploadId } = await s3.createMultipartUpload({ Bucket, Key: "mp", Metadata: { x: "y" } })
    const sent = await Promise.all(parts.map((Body, n) => s3.uploadPart({ Bucket, Key: "mp", UploadId, PartNumber: n + 1, Body })))
    expect(sent.map(({ ETag }) => ETag)).toEqual(parts.map((part) => `"${md5(part)}"`))
    expect((await s3.listParts({ Bucket, Key: "mp", UploadId })).Parts).toHaveLength(3)
    const Parts = sent.map(({ ETag, ChecksumCRC32 }, n) => ({ PartNumber: n + 1, ETag, ChecksumCRC32 }))
    await s3.completeMultipartUpload({ Bucket, Key: "mp", UploadId, MultipartUpload: { Parts } })
    const whole = await s3.getObject({ Bucket, Key: "mp" })
    expect(Buffer.compare(await bodyOf(whole), Buffer.concat(parts))).toBe(0)
    expect(whole.Metadata).toMatchObject({ x: "y" })
  },
  "multipart-abort": async ({ s3, plain: Bucket }) => {
    const { UploadId } = await s3.createMultipartUpload({ Bucket, Key: "mpa" })
    const open = async () => ((await s3.listMultipartUploads({ Bucket })).Uploads ?? []).map((upload) => upload.UploadId)
    expect(await open()).toContain(UploadId)
    await s3.abortMultipartUpload({ Bucket, Key: "mpa", UploadId })
    expect(await open()).not.toContain(UploadId)
    await refused(s3.uploadPart({ Bucket, Key: "mpa", UploadId, PartNumber: 2, Body: "x" }), 404, "NoSuchUpload")
  },
  "multipart-wrong-etag-rejected": async ({ s3, plain: Bucket }) => {
    const { UploadId } = await s3.createMultipartUpload({ Bucket, Key: "mpw" })
    await s3.uploadPart({ Bucket, Key: "mpw", UploadId, PartNumber: 1, Body: "abc" })
    const Parts = [{ PartNumber: 1, ETag: '"00000000000000000000000000000000"' }]
    await refused(s3.completeMultipartUpload({ Bucket, Key: "mpw", UploadId, MultipartUpload: { Parts } }), 400, "InvalidPart")
  },
  "multipart-small-part-rejected": async ({ s3, plain: Bucket }) => {
    const { UploadId } = await s3.createMultipartUpload({ Bucket, Key: "mps" })
    const sent = [1, 2].map(async (PartNumber) => {
      const { ETag } = await s3.uploadPart({ Bucket, Key: "mps", UploadId, PartNumber, Body: "abc" })
      return { PartNumber, ETag }
    })
    const MultipartUpload = { Parts: await Promise.all(sent) }
    await refused(s3.completeMultipartUpload({ Bucket, Key: "mps", UploadId, MultipartUpload }), 400, "EntityTooSmall")
  },
  "multipart-conditional": async ({ s3, plain: Bucket }) => {
    await s3.putObject({ Bucket, Key: "mpc", Body: "x" })
    const { UploadId } = await s3.createMultipartUpload({ Bucket, Key: "mpc" })
    const { ETag } = await s3.uploadPart({ Bucket, Key: "mpc", UploadId, PartNumber: 1, Body: "abc" })
    const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] }
    await refused(s3.completeMultipartUpload({ Bucket, Key: "mpc", UploadId, IfNoneMatch: "*", MultipartUpload }), 412)
  },
  "lib-storage-upload-stream": async ({ s3, plain: Bucket }) => {
    const bytes = randomBytes(24 * MiB)
    const pieces = Array.from({ length: 96 }, (_, n) => bytes.subarray((n * MiB) / 4, ((n + 1) * MiB) / 4))
    await new Upload({ client: s3, params: { Bucket, Key: "libst", Body: Readable.from(pieces) }, partSize: 8 * MiB }).done()
    expect(Buffer.compare(await bodyOf(await s3.getObject({ Bucket, Key: "libst" })), bytes)).toBe(0)
  },
  "lib-storage-sha256": async ({ s3, plain: Bucket }) => {
    const Body = randomBytes(11 * MiB)
    await new Upload({ client: s3, params: { Bucket, Key: "libsha", Body, ChecksumAlgorithm: "SHA256" }, partSize: 5 * MiB }).done()
    expect(Buffer.compare(await bodyOf(await s3.getObject({ Bucket, Key: "libsha" })), Body)).toBe(0)
  },
}
