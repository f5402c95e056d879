import { randomUUID } from "node:crypto"
import type { IncomingMessage, ServerResponse } from "node:http"
import { checksumsOf, hexToBase64 } from "../checksums.ts"
import { type FaultAction, flipped } from "../fault-queue.ts"
import type { Front, ServerWorld } from "../server.ts"
import type { S3Authority } from "./authority.ts"
import * as bucket from "./bucket.ts"
import type { Answer, Call, VendorMode } from "./call.ts"
import { listObjectsV2, listObjectVersions } from "./listing.ts"
import * as lock from "./lock.ts"
import { Uploads } from "./multipart.ts"
import * as object from "./object.ts"
import { operationOf } from "./operation.ts"
import { Refusal } from "./refusal.ts"
import { decodeChunked, parseRequest, readBody, type S3Request } from "./request.ts"
import { type Credentials, checkSignature } from "./signature.ts"
import { document } from "./xml.ts"

export interface S3FrontOptions {
  readonly credentials: Credentials
  readonly vendor?: ReadonlySet<VendorMode>
  readonly authority?: S3Authority | undefined
}

/** The stand-in as S3: path style, Signature Version 4. README.md says where it differs from production. */
export function s3Front({ credentials, vendor = new Set(), authority }: S3FrontOptions): (world: ServerWorld) => Front {
  return ({ store, clock, faults }) => {
    const uploads = new Uploads()

    async function answer(
      request: S3Request,
      message: IncomingMessage,
      fault: FaultAction | undefined,
      operation: string,
    ): Promise<Answer> {
      const received = await readBody(message)
      const now = fault?.kind === "clock-skew" ? new Date(clock.now().getTime() + fault.ms) : clock.now()
      checkSignature(request, credentials, now)
      authority?.check(request, operation)
      const { body, given } = decodeBody(request, received, vendor, fault?.kind === "flip-up")
      const missing = fault?.kind === "stale-list" ? fault.missing : 0
      const answer = await perform(operation, { request, body, given, store, clock, vendor, missing }, uploads)
      return authority === undefined ? answer : withoutLock(answer, request, authority)
    }

    return async (message, response) => {
      const request = parseRequest(message)
      const operation = operationOf(request)
      const fault = faults.meet(operation, request.key === "" ? (request.parameter("prefix") ?? "") : request.key)
      const now = clock.now().getTime() + (fault?.kind === "clock-skew" ? fault.ms : 0)
      const headers = { date: new Date(now).toUTCString(), "x-amz-request-id": randomUUID() }
      if (fault !== undefined && !(await goesOn(fault, message, response, headers))) return
      const outcome = await answer(request, message, fault, operation).catch(refusalAnswer)
      await send(fault, request, response, { ...outcome, headers: { ...headers, ...outcome.headers } })
    }
  }
}

/** Whoever may not see the lock of an object is told of the object all the same. */
function withoutLock(answer: Answer, request: S3Request, authority: S3Authority): Answer {
  const shown = Object.entries(answer.headers ?? {})
  const hidden = shown.filter(([name]) => !name.startsWith("x-amz-object-lock-"))
  if (hidden.length === shown.length || authority.allows("s3:GetObjectRetention", request)) return answer
  return { ...answer, headers: Object.fromEntries(hidden) }
}

/** What a fault does before anything is applied; false where that was all. */
async function goesOn(
  fault: FaultAction,
  message: IncomingMessage,
  response: ServerResponse,
  headers: Record<string, string>,
): Promise<boolean> {
  if (fault.kind === "reset" && !fault.applied) {
    message.destroy()
    return false
  }
  if (fault.kind === "stall" && !fault.applied) {
    message.resume()
    return false
  }
  if (fault.kind === "status" && fault.applied !== true) {
    await readBody(message)
    const answer = statusAnswer(fault)
    plain(response, { ...answer, headers: { ...headers, ...answer.headers } }, message.method === "HEAD")
    return false
  }
  return true
}

async function send(fault: FaultAction | undefined, request: S3Request, response: ServerResponse, answer: Answer): Promise<void> {
  if (fault?.kind === "stall") return
  if (fault?.kind === "reset") {
    response.destroy()
    return
  }
  if (fault?.kind === "status") {
    plain(response, { headers: answer.headers ?? {}, ...statusAnswer(fault) }, request.method === "HEAD")
    return
  }
  const body = Buffer.from(answer.body ?? "")
  if (fault?.kind === "cut-body") {
    response.writeHead(answer.status, { ...answer.headers, "content-length": String(body.length) })
    await new Promise<void>((resolve) => response.write(body.subarray(0, fault.after), () => resolve()))
    response.destroy()
    return
  }
  plain(response, fault?.kind === "flip-down" ? { ...answer, body: flipped(body) } : answer, request.method === "HEAD")
}

function plain(response: ServerResponse, { status, headers, body = "" }: Answer, head: boolean): void {
  const bytes = Buffer.from(body)
  response.writeHead(status, { "content-length": String(bytes.length), ...headers })
  response.end(head || status === 204 || status === 304 ? undefined : bytes)
}

function statusAnswer({ status, code, retryAfter }: Extract<FaultAction, { kind: "status" }>): Answer {
  const named = code ?? (status === 503 ? "SlowDown" : status === 500 ? "InternalError" : "Planned")
  const answer = errorAnswer(status, named, "a planned fault")
  return retryAfter === undefined ? answer : { ...answer, headers: { ...answer.headers, "retry-after": retryAfter } }
}

function refusalAnswer(error: unknown): Answer {
  if (!(error instanceof Refusal)) throw error
  const answer = errorAnswer(error.status, error.code, error.message)
  return { ...answer, headers: { ...answer.headers, ...error.headers } }
}

function errorAnswer(status: number, code: string, message: string): Answer {
  const content = [["Code", code] as const, ["Message", message] as const]
  return { status, headers: { "content-type": "application/xml" }, body: document("Error", content, false) }
}

const algorithms = ["CRC32", "CRC32C", "SHA1", "SHA256"] as const

/** The bytes a request carries, after everything it says of them was found true. */
function decodeBody(request: S3Request, received: Buffer, vendor: ReadonlySet<VendorMode>, flip: boolean): Pick<Call, "body" | "given"> {
  const { headers } = request
  const payload = headers["x-amz-content-sha256"] ?? "UNSIGNED-PAYLOAD"
  const chunked = payload.startsWith("STREAMING-")
  if (vendor.has("no-trailers")) {
    if (headers["transfer-encoding"] !== undefined) throw new Refusal("MissingContentLength", "you must provide the content-length header")
    if (chunked) throw new Refusal("NotImplemented", "a header you provided implies functionality that is not implemented")
  }
  if (payload.startsWith("STREAMING-AWS4")) throw new Refusal("NotImplemented", "signed chunks are not implemented")
  const plainBody = { bytes: received, trailers: {} }
  const decoded = chunked ? decodeChunked(received, Number(headers["x-amz-decoded-content-length"])) : plainBody
  const body = flip ? flipped(decoded.bytes) : decoded.bytes
  const sums = checksumsOf(body)
  if (/^[0-9a-f]{64}$/.test(payload) && payload !== sums.sha256) {
    throw new Refusal("XAmzContentSHA256Mismatch", "the provided x-amz-content-sha256 header does not match what was computed")
  }
  const md5 = headers["content-md5"]
  if (md5 !== undefined && md5 !== hexToBase64(sums.md5)) throw new Refusal("BadDigest", "the content-md5 you specified did not match")
  const said: Readonly<Record<string, string>> = { ...headers, ...decoded.trailers }
  return { body, given: checkedSums(said, sums, vendor) }
}

function checkedSums(
  said: Readonly<Record<string, string>>,
  sums: ReturnType<typeof checksumsOf>,
  vendor: ReadonlySet<VendorMode>,
): Record<string, string> {
  if (vendor.has("no-trailers")) return {}
  const refused = Object.keys(said).find((name) => name === "x-amz-sdk-checksum-algorithm" || name.startsWith("x-amz-checksum-"))
  if (vendor.has("refuses-checksums") && refused !== undefined) {
    throw new Refusal("InvalidArgument", `unsupported header '${refused}' received for this API call`)
  }
  if (vendor.has("checksum-needs-algorithm") && said["x-amz-sdk-checksum-algorithm"] === undefined) return {}
  const given = algorithms.flatMap((name): [string, string][] => {
    const value = said[`x-amz-checksum-${name.toLowerCase()}`]
    return value === undefined ? [] : [[name, value]]
  })
  for (const [name, value] of given) {
    if (value !== object.base64Of(sums, name)) throw new Refusal("BadDigest", `the ${name} you specified did not match what was received`)
  }
  return Object.fromEntries(given)
}

type Perform = (call: Call, uploads: Uploads) => Answer | Promise<Answer>

const lifecycle = bucket.stored("lifecycle", "NoSuchLifecycleConfiguration", "application/xml")
const policy = bucket.stored("policy", "NoSuchBucketPolicy", "application/json")
const publicAccess = bucket.stored("publicAccessBlock", "NoSuchPublicAccessBlockConfiguration", "application/xml")
const encryption = bucket.stored("encryption", "ServerSideEncryptionConfigurationNotFoundError", "application/xml")
const replication = bucket.stored("replication", "ReplicationConfigurationNotFoundError", "application/xml")

const operations: Readonly<Record<string, Perform>> = {
  ListBuckets: bucket.listBuckets,
  CreateBucket: bucket.createBucket,
  DeleteBucket: bucket.deleteBucket,
  HeadBucket: bucket.headBucket,
  GetBucketLocation: bucket.getLocation,
  GetBucketVersioning: bucket.getVersioning,
  PutBucketVersioning: bucket.putVersioning,
  GetBucketLifecycleConfiguration: lifecycle.get,
  PutBucketLifecycleConfiguration: lifecycle.put,
  DeleteBucketLifecycle: lifecycle.remove,
  GetBucketPolicy: policy.get,
  PutBucketPolicy: policy.put,
  DeleteBucketPolicy: policy.remove,
  GetPublicAccessBlock: publicAccess.get,
  PutPublicAccessBlock: publicAccess.put,
  DeletePublicAccessBlock: publicAccess.remove,
  GetBucketEncryption: encryption.get,
  PutBucketEncryption: encryption.put,
  DeleteBucketEncryption: encryption.remove,
  GetBucketReplication: replication.get,
  PutBucketReplication: replication.put,
  DeleteBucketReplication: replication.remove,
  GetObjectLockConfiguration: lock.getLockConfiguration,
  PutObjectLockConfiguration: lock.putLockConfiguration,
  ListObjectsV2: listObjectsV2,
  ListObjectVersions: listObjectVersions,
  DeleteObjects: object.deleteObjects,
  PutObject: object.putObject,
  CopyObject: object.copyObject,
  GetObject: object.getObject,
  HeadObject: object.getObject,
  DeleteObject: object.deleteObject,
  GetObjectTagging: object.getTagging,
  PutObjectTagging: object.putTagging,
  GetObjectRetention: lock.getRetention,
  PutObjectRetention: unlessReplaced(lock.putRetention),
  GetObjectLegalHold: lock.getLegalHold,
  PutObjectLegalHold: unlessReplaced(lock.putLegalHold),
  CreateMultipartUpload: (call, uploads) => uploads.create(call),
  UploadPart: (call, uploads) => uploads.put(call),
  CompleteMultipartUpload: (call, uploads) => uploads.complete(call),
  AbortMultipartUpload: (call, uploads) => uploads.abort(call),
  ListParts: (call, uploads) => uploads.listParts(call),
  ListMultipartUploads: (call, uploads) => uploads.list(call),
}

function unlessReplaced(perform: (call: Call) => Answer): Perform {
  return async (call) => {
    if (call.vendor.has("retention-replaces-object")) return await object.replaceByBody(call)
    return call.vendor.has("ignores-lock") ? { status: 200 } : perform(call)
  }
}

async function perform(operation: string, call: Call, uploads: Uploads): Promise<Answer> {
  const found = operations[operation]
  if (found === undefined) throw new Refusal("NotImplemented", `${operation}: the stand-in does not know this`)
  return await found(call, uploads)
}
