import { expect, test } from "vitest"
import { retryAfterMsOf, saysDamaged } from "../../src/site/answer.ts"
import { gcsErrorOf } from "../../src/site/gcs-failure.ts"
import { s3ErrorOf } from "../../src/site/s3-failure.ts"

const date = "Sun, 22 Nov 2026 10:00:00 GMT"

test.each([
  [{ "retry-after": "7" }, 7000],
  [{ "retry-after": "0" }, 0],
  [{ "retry-after": "Sun, 22 Nov 2026 10:00:30 GMT", date }, 30_000],
  [{ "retry-after": "Sun, 22 Nov 2026 09:00:00 GMT", date }, undefined],
  [{ "retry-after": "Sun, 22 Nov 2026 10:00:30 GMT" }, undefined],
  [{ "retry-after": "-5", date }, undefined],
  [{ "retry-after": "soon", date }, undefined],
  [{ "retry-after": "" }, undefined],
  [{}, undefined],
])("Retry-After in %j is %s milliseconds, by the answer's own clock", (headers, expected) => {
  expect(retryAfterMsOf(headers)).toBe(expected)
})

/** As servers were seen to say it. */
const damaged = [
  `Provided CRC32C "AAAAAA==" doesn't match calculated CRC32C "yZRlqg==".`,
  "The SHA256 you specified did not match the calculated checksum.",
  "The provided 'x-amz-content-sha256' header does not match what was computed.",
  "The Content-MD5 you specified did not match what we received.",
  "Value for x-amz-checksum-sha256 header mismatch",
]

test.each(damaged)("bytes that arrived damaged are worth sending again, at S3 and at GCS alike: %s", (message) => {
  const s3 = Object.assign(new Error(message), { name: "SomeNewWord", $metadata: { httpStatusCode: 400 } })
  const gcs = Object.assign(new Error(message), { code: 400, errors: [{ reason: "invalid", message }] })
  expect(s3ErrorOf("s", "put x", s3)).toMatchObject({ code: "site/unavailable", retryable: true })
  expect(gcsErrorOf("g", "put x", gcs)).toMatchObject({ code: "site/unavailable", retryable: true })
})

test.each([
  "Value for x-amz-checksum-sha256 header is invalid.",
  "Invalid CRC32C value.",
  "Checksum algorithm provided is unsupported.",
  "The bucket's name does not match.",
])("a checksum that is not understood, or another complaint, is not sent again: %s", (message) => {
  expect(saysDamaged(400, message)).toBe(false)
  const s3 = Object.assign(new Error(message), { name: "InvalidRequest", $metadata: { httpStatusCode: 400 } })
  const gcs = Object.assign(new Error(message), { code: 400, errors: [{ reason: "invalid", message }] })
  expect(s3ErrorOf("s", "put x", s3)).toMatchObject({ code: "site/unsupported" })
  expect(gcsErrorOf("g", "put x", gcs)).toMatchObject({ code: "site/unsupported" })
})
