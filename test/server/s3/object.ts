import { createHash } from "node:crypto"
import { hexToBase64 } from "../checksums.ts"
import type { Bucket, Json, NewVersion, Version } from "../store.ts"
import { type Answer, bucketOf, type Call, xmlAnswer } from "./call.ts"
import { lockHeaders, lockOfNew, refuseLocked } from "./lock.ts"
import { Refusal } from "./refusal.ts"
import { rememberedOf, remembering, replaceVersion, versionHeader, versionOf } from "./version.ts"
import { document, insidesOf, textOf } from "./xml.ts"

/** Metadata of a new object as its request says it. */
export function metadataOf(headers: Call["request"]["headers"], etag: string, checksums: Readonly<Record<string, string>>) {
  const kept = Object.entries(headers).flatMap(([name, value]): [string, string][] => {
    if (name === "content-encoding") return keptEncoding(value)
    return /^(?:content-type|cache-control|content-disposition|x-amz-server-side-encryption|x-amz-meta-.*)$/.test(name)
      ? [[name, value]]
      : []
  })
  const tagging = headers["x-amz-tagging"]
  return {
    ...{ etag, headers: Object.fromEntries(kept), storageClass: headers["x-amz-storage-class"] ?? "STANDARD", checksums: { ...checksums } },
    ...(tagging !== undefined && { tags: tagsOf(tagging) }),
  } satisfies Record<string, Json>
}

function keptEncoding(value: string): [string, string][] {
  const others = value.split(",").map((coding) => coding.trim())
  const left = others.filter((coding) => coding !== "aws-chunked").join(",")
  return left === "" ? [] : [["content-encoding", left]]
}

export async function putObject(call: Call): Promise<Answer> {
  const bucket = bucketOf(call)
  const etag = createHash("md5").update(call.body).digest("hex")
  const made = await keep(call, bucket, call.body, {
    metadata: metadataOf(call.request.headers, etag, call.given),
    ...lockOfNew(call, bucket),
  })
  return { status: 200, headers: { etag: `"${etag}"`, ...versionHeader(made), ...checksumHeaders(made) } }
}

/** Makes it the newest version of its key, if the request's conditions hold at that moment. */
export async function keep(call: Call, bucket: Bucket, bytes: Buffer, given: NewVersion): Promise<Version> {
  const { key } = call.request
  if (call.vendor.has("no-conditions") && call.request.headers["if-none-match"] !== undefined) {
    throw new Refusal("NotImplemented", "a header you provided implies functionality that is not implemented")
  }
  const versioned = bucket.settings.versioning === "Enabled"
  return await bucket.put(key, bytes, versioned ? given : { ...given, id: "null" }, (made, there) => {
    checkConditions(call, there[0])
    return [made, ...(versioned ? there : there.filter(({ id }) => id !== "null"))]
  })
}

function checkConditions(call: Call, latest: Version | undefined): void {
  if (call.vendor.has("ignores-conditions")) return
  const { "if-none-match": none, "if-match": match } = call.request.headers
  const live = latest === undefined || latest.deleteMarker ? undefined : latest
  if (none !== undefined && none !== "*") throw new Refusal("NotImplemented", "if-none-match on a put is * or nothing")
  if (none === "*" && live !== undefined) throw new Refusal("PreconditionFailed", "at least one of the preconditions did not hold")
  if (match === undefined) return
  if (live === undefined) throw new Refusal("NoSuchKey", "the specified key does not exist")
  if (match !== `"${rememberedOf(live).etag}"`) throw new Refusal("PreconditionFailed", "at least one of the preconditions did not hold")
}

export async function getObject(call: Call): Promise<Answer> {
  const bucket = bucketOf(call)
  const version = versionOf(call, bucket)
  const { headers } = call.request
  const { etag } = rememberedOf(version)
  if (headers["if-match"] !== undefined && headers["if-match"] !== `"${etag}"`) throw new Refusal("PreconditionFailed", "the ETag differs")
  if (headers["if-none-match"] === `"${etag}"`) throw new Refusal("NotModified", "not modified", { etag: `"${etag}"` })
  const range = rangeOf(headers.range, version.size)
  const answer = objectHeaders(version, headers["x-amz-checksum-mode"] === "ENABLED" && range === undefined)
  if (call.request.method === "HEAD") return { status: 200, headers: { ...answer, "content-length": String(version.size) } }
  if (frozen.has(rememberedOf(version).storageClass)) {
    throw new Refusal("InvalidObjectState", "the operation is not valid for the object's storage class")
  }
  const body = await bucket.read(version, range ?? { offset: 0, length: version.size })
  if (range === undefined) return { status: 200, headers: answer, body }
  const last = range.offset + range.length - 1
  const contentRange = `bytes ${String(range.offset)}-${String(last)}/${String(version.size)}`
  return { status: 206, headers: { ...answer, "content-range": contentRange }, body }
}

/** Classes whose objects have to be thawed, which the stand-in never does. */
const frozen: ReadonlySet<string> = new Set(["GLACIER", "DEEP_ARCHIVE"])

function rangeOf(header: string | undefined, size: number): { offset: number; length: number } | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? "")
  if (match === null || (match[1] === "" && match[2] === "")) return undefined
  const [first, last] =
    match[1] === "" ? [Math.max(0, size - Number(match[2])), size - 1] : [Number(match[1]), match[2] === "" ? size - 1 : Number(match[2])]
  if (first >= size || last < first) {
    throw new Refusal("InvalidRange", "the requested range is not satisfiable", { "content-range": `bytes */${String(size)}` })
  }
  return { offset: first, length: Math.min(last, size - 1) - first + 1 }
}

function objectHeaders(version: Version, withChecksums: boolean): Record<string, string> {
  const { etag, headers, storageClass } = rememberedOf(version)
  return {
    "content-type": "binary/octet-stream",
    ...headers,
    ...{ "accept-ranges": "bytes", etag: `"${etag}"`, "last-modified": new Date(version.createdAt).toUTCString() },
    ...(storageClass !== "STANDARD" && { "x-amz-storage-class": storageClass }),
    ...versionHeader(version),
    ...lockHeaders(version),
    ...(withChecksums && checksumHeaders(version)),
  }
}

function checksumHeaders(version: Version): Record<string, string> {
  const given = Object.entries(rememberedOf(version).checksums)
  if (given.length === 0) return {}
  const type = given.some(([, value]) => value.includes("-")) ? "COMPOSITE" : "FULL_OBJECT"
  return {
    ...Object.fromEntries(given.map(([name, value]) => [`x-amz-checksum-${name.toLowerCase()}`, value])),
    "x-amz-checksum-type": type,
  }
}

export function deleteObject(call: Call): Answer {
  const removed = removeOne(call, bucketOf(call), call.request.key, call.request.parameter("versionId"))
  return { status: 204, headers: { ...(removed.marker && { "x-amz-delete-marker": "true" }), ...idHeader(removed.id) } }
}

function idHeader(id: string | undefined): Record<string, string> {
  return id === undefined ? {} : { "x-amz-version-id": id }
}

interface Removed {
  /** A delete marker was made, or removed. */
  readonly marker: boolean
  readonly id: string | undefined
}

function removeOne(call: Call, bucket: Bucket, key: string, id: string | undefined): Removed {
  if (id !== undefined) {
    let marker = false
    bucket.change(key, (there) => {
      const version = there.find((one) => one.id === id)
      if (version !== undefined) refuseLocked(version, call)
      marker = version?.deleteMarker ?? false
      return there.filter((one) => one !== version)
    })
    return { marker, id }
  }
  const { versioning } = bucket.settings
  if (versioning === undefined) {
    bucket.change(key, () => [])
    return { marker: false, id: undefined }
  }
  const asNull = versioning === "Suspended"
  const made = bucket.mark(key, { metadata: {}, ...(asNull && { id: "null" }) }, (marker, there) => [
    marker,
    ...(asNull ? there.filter((one) => one.id !== "null") : there),
  ])
  return { marker: true, id: made.id }
}

/** Each refusal is an element of an answer that is 200 all the same. */
export function deleteObjects(call: Call): Answer {
  const bucket = bucketOf(call)
  const xml = call.body.toString()
  const quiet = textOf(xml, "Quiet") === "true"
  const results = insidesOf(xml, "Object").map((object) => {
    const key = textOf(object, "Key") ?? ""
    const id = textOf(object, "VersionId")
    const versionId = id === undefined ? undefined : (["VersionId", id] as const)
    try {
      const removed = removeOne(call, bucket, key, id)
      const marker = removed.marker ? (["DeleteMarker", true] as const) : undefined
      const markerId = removed.marker && removed.id !== undefined ? (["DeleteMarkerVersionId", removed.id] as const) : undefined
      return quiet ? undefined : (["Deleted", [["Key", key] as const, versionId, marker, markerId]] as const)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      return ["Error", [["Key", key] as const, versionId, ["Code", error.code] as const, ["Message", error.message] as const]] as const
    }
  })
  return xmlAnswer(document("DeleteResult", results))
}

export async function copyObject(call: Call): Promise<Answer> {
  const bucket = bucketOf(call)
  const [path = "", question] = (call.request.headers["x-amz-copy-source"] ?? "").split("?")
  const [from = "", ...rest] = decodeURIComponent(path).replace(/^\//, "").split("/")
  const source = call.store.bucket(from)
  if (source === undefined) throw new Refusal("NoSuchBucket", "the source's bucket does not exist")
  const id = question?.replace(/^versionId=/, "")
  const asked = { ...call.request, key: rest.join("/"), parameter: (name: string) => (name === "versionId" ? id : undefined) }
  const version = versionOf({ ...call, request: asked }, source)
  const bytes = await source.read(version, { offset: 0, length: version.size })
  const made = await keep(call, bucket, bytes, { metadata: version.metadata, ...lockOfNew(call, bucket) })
  const content = [["ETag", `"${rememberedOf(made).etag}"`] as const, ["LastModified", made.createdAt] as const]
  return { ...xmlAnswer(document("CopyObjectResult", content)), headers: { "content-type": "application/xml", ...versionHeader(made) } }
}

export function getTagging(call: Call): Answer {
  const { tags } = rememberedOf(versionOf(call, bucketOf(call)))
  return xmlAnswer(tags ?? document("Tagging", [["TagSet", []]]))
}

export function putTagging(call: Call): Answer {
  const bucket = bucketOf(call)
  const { id } = versionOf(call, bucket)
  replaceVersion(bucket, call.request.key, id, (there) => remembering(there, { tags: call.body.toString() }))
  return { status: 200 }
}

function tagsOf(header: string): string {
  const tags = [...new URLSearchParams(header)]
  const content = tags.map(([key, value]) => ["Tag", [["Key", key] as const, ["Value", value] as const]] as const)
  return document("Tagging", [["TagSet", content]])
}

/** What a vendor does that takes a retention for an upload: the request's XML is the object now. */
export async function replaceByBody(call: Call): Promise<Answer> {
  const etag = createHash("md5").update(call.body).digest("hex")
  const made = await keep(call, bucketOf(call), call.body, { metadata: metadataOf({}, etag, {}) })
  return { status: 200, headers: versionHeader(made) }
}

/** Every checksum S3 knows that this stand-in computes, in base64. */
export function base64Of(checksums: Version["checksums"], algorithm: string): string | undefined {
  const hex = { CRC32: checksums.crc32, CRC32C: checksums.crc32c, SHA1: checksums.sha1, SHA256: checksums.sha256 }
  const found = Object.entries(hex).find(([name]) => name === algorithm)
  return found === undefined ? undefined : hexToBase64(found[1])
}
