import type { Clock } from "../../../src/clock.ts"
import type { Bucket, ObjectStore } from "../store.ts"
import { Refusal } from "./refusal.ts"
import type { S3Request } from "./request.ts"

/**
 * What real servers were seen to do:
 * - no-trailers: 411 on a body of unknown length, 501 on aws-chunked, and checksum headers that it does not know.
 * - checksum-needs-algorithm: a checksum header counts only together with x-amz-sdk-checksum-algorithm.
 * - refuses-checksums: 400 on any checksum header; the signed payload hash is checked.
 * - no-conditions: If-None-Match on PUT answered with 501.
 * - ignores-conditions: If-None-Match on PUT overlooked.
 * - ignores-lock: lock headers and calls answered with 200 and forgotten.
 * - multipart-loses-lock: an object that came in parts has no lock.
 * - retention-replaces-object: PutObjectRetention and PutObjectLegalHold are taken for a PUT of the object.
 * - stale-list: the newest object is not listed yet.
 * - short-pages: a page of a listing ends after two entries, whatever was asked for.
 */
export type VendorMode =
  | "no-trailers"
  | "checksum-needs-algorithm"
  | "refuses-checksums"
  | "no-conditions"
  | "ignores-conditions"
  | "ignores-lock"
  | "multipart-loses-lock"
  | "retention-replaces-object"
  | "stale-list"
  | "short-pages"

/** One request on its way through the front. */
export interface Call {
  readonly request: S3Request
  /** Decoded, and checked against every checksum that came with it. */
  readonly body: Buffer
  /** Checksums that the client gave and the server checked: SHA256, CRC32, …, in base64. */
  readonly given: Readonly<Record<string, string>>
  readonly store: ObjectStore
  readonly clock: Clock
  readonly vendor: ReadonlySet<VendorMode>
  /** How many of the newest objects a listing does not show yet. */
  readonly missing: number
}

export interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
}

export function bucketOf(call: Call): Bucket {
  const bucket = call.store.bucket(call.request.bucket)
  if (bucket === undefined) throw new Refusal("NoSuchBucket", "the specified bucket does not exist")
  return bucket
}

export function xmlAnswer(body: string): Answer {
  return { status: 200, headers: { "content-type": "application/xml" }, body }
}
