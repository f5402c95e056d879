import { createHash, createHmac, timingSafeEqual } from "node:crypto"
import { Refusal } from "./refusal.ts"
import type { S3Request } from "./request.ts"

/** Secrets by access key; a test revokes a key by removing it. */
export type Credentials = ReadonlyMap<string, string>

const skewMaxMs = 15 * 60_000

interface Claim {
  readonly accessKey: string
  /** Day, region, service, "aws4_request". */
  readonly scope: readonly string[]
  readonly signedHeaders: readonly string[]
  readonly signature: string
  readonly date: string
  readonly payload: string
}

/** Refuses a request that is not signed as Signature Version 4 wants, in its headers or in its address (presigned). */
export function checkSignature(request: S3Request, credentials: Credentials, now: Date): void {
  const claim = request.parameter("X-Amz-Signature") === undefined ? claimOfHeaders(request) : claimOfAddress(request, now)
  const signedAt = timeOf(claim.date)
  if (request.parameter("X-Amz-Signature") === undefined && Math.abs(signedAt - now.getTime()) > skewMaxMs) {
    throw new Refusal("RequestTimeTooSkewed", "the difference between the request time and the server's time is too large")
  }
  const secret = credentials.get(claim.accessKey)
  if (secret === undefined) throw new Refusal("InvalidAccessKeyId", "the access key does not exist")
  const canonical = [
    ...[request.method, canonicalPath(request.rawPath), canonicalQuery(request)],
    ...claim.signedHeaders.map((name) => `${name}:${(request.headers[name] ?? "").trim().replace(/ +/g, " ")}`),
    ...["", claim.signedHeaders.join(";"), claim.payload],
  ].join("\n")
  const text = ["AWS4-HMAC-SHA256", claim.date, claim.scope.join("/"), createHash("sha256").update(canonical).digest("hex")].join("\n")
  let signingKey = Buffer.from(`AWS4${secret}`)
  for (const part of claim.scope) signingKey = createHmac("sha256", signingKey).update(part).digest()
  const expected = createHmac("sha256", signingKey).update(text).digest()
  const given = Buffer.from(claim.signature, "hex")
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
    throw new Refusal("SignatureDoesNotMatch", "the signature that was calculated does not match the one provided")
  }
}

function claimOfHeaders(request: S3Request): Claim {
  const match = /^AWS4-HMAC-SHA256 Credential=([^,]+), *SignedHeaders=([^,]+), *Signature=([0-9a-f]+)$/.exec(
    request.headers.authorization ?? "",
  )
  const [accessKey, ...scope] = (match?.[1] ?? "").split("/")
  const date = request.headers["x-amz-date"]
  const payload = request.headers["x-amz-content-sha256"]
  if (match === null || accessKey === undefined || date === undefined || payload === undefined) throw anonymous()
  return { accessKey, scope, signedHeaders: (match[2] ?? "").split(";"), signature: match[3] ?? "", date, payload }
}

function claimOfAddress(request: S3Request, now: Date): Claim {
  const [accessKey, ...scope] = (request.parameter("X-Amz-Credential") ?? "").split("/")
  const date = request.parameter("X-Amz-Date")
  const seconds = Number(request.parameter("X-Amz-Expires"))
  if (accessKey === undefined || date === undefined || !Number.isInteger(seconds)) throw anonymous()
  if (now.getTime() > timeOf(date) + seconds * 1000) throw new Refusal("AccessDenied", "request has expired")
  const signedHeaders = (request.parameter("X-Amz-SignedHeaders") ?? "").split(";")
  const payload = request.headers["x-amz-content-sha256"] ?? request.parameter("X-Amz-Content-Sha256") ?? "UNSIGNED-PAYLOAD"
  return { accessKey, scope, signedHeaders, signature: request.parameter("X-Amz-Signature") ?? "", date, payload }
}

function anonymous(): Refusal {
  return new Refusal("AccessDenied", "access denied: the request is not signed")
}

function timeOf(date: string): number {
  const [, year, month, day, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date) ?? []
  const time = Date.parse(`${year ?? ""}-${month ?? ""}-${day ?? ""}T${hour ?? ""}:${minute ?? ""}:${second ?? ""}Z`)
  if (Number.isNaN(time)) throw new Refusal("AccessDenied", "x-amz-date is no time")
  return time
}

function canonicalPath(rawPath: string): string {
  return rawPath
    .split("/")
    .map((segment) => encode(decodeURIComponent(segment)))
    .join("/")
}

function canonicalQuery(request: S3Request): string {
  const pairs = request.query.filter(([name]) => name !== "X-Amz-Signature").map(([name, value]) => [encode(name), encode(value)] as const)
  const sorted = pairs.sort(([a, x], [b, y]) => (a === b ? (x < y ? -1 : 1) : a < b ? -1 : 1))
  return sorted.map(([name, value]) => `${name}=${value}`).join("&")
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
}
