import { notYetListed } from "../fault-queue.ts"
import { type Bucket, listPage, type Page, type Version } from "../store.ts"
import { type Answer, bucketOf, type Call, xmlAnswer } from "./call.ts"
import { Refusal } from "./refusal.ts"
import { rememberedOf } from "./version.ts"
import { document } from "./xml.ts"

export function listObjectsV2(call: Call): Answer {
  const { request } = call
  const bucket = bucketOf(call)
  const token = request.parameter("continuation-token")
  const prefix = request.parameter("prefix") ?? ""
  const delimiter = request.parameter("delimiter") ?? ""
  const after = token === undefined ? (request.parameter("start-after") ?? "") : Buffer.from(token, "base64url").toString()
  const limit = limitOf(call)
  const page = listPage(bucket, { prefix, delimiter, after, limit, show: currentOnly(call, bucket) })
  const next = page.next === undefined ? undefined : Buffer.from(page.next.after).toString("base64url")
  const contents = page.entries.map(({ key, version }) => ["Contents", objectElement(call, key, version)] as const)
  return xmlAnswer(
    document("ListBucketResult", [
      ...([
        ["Name", bucket.name],
        ["Prefix", named(call, prefix)],
        ["Delimiter", delimiter],
        ["MaxKeys", limit],
      ] as const),
      ["KeyCount", contents.length + page.prefixes.length],
      ["IsTruncated", next !== undefined],
      ...(token === undefined ? [] : [["ContinuationToken", token] as const]),
      ...(next === undefined ? [] : [["NextContinuationToken", next] as const]),
      ...contents,
      ...prefixElements(call, page),
    ]),
  )
}

export function listObjectVersions(call: Call): Answer {
  const { request } = call
  const bucket = bucketOf(call)
  const hidden = hiddenFrom(call, bucket)
  const page = listPage(bucket, {
    prefix: request.parameter("prefix") ?? "",
    delimiter: request.parameter("delimiter") ?? "",
    after: request.parameter("key-marker") ?? "",
    afterVersion: request.parameter("version-id-marker") ?? "",
    limit: limitOf(call),
    show: (versions) => versions.filter(({ generation }) => !hidden.has(generation)),
  })
  const entries = page.entries.map(({ key, version }) => {
    const isLatest = bucket.latest(key) === version
    const common = [["IsLatest", isLatest] as const, ["VersionId", version.id] as const]
    if (version.deleteMarker) {
      return ["DeleteMarker", [["Key", named(call, key)] as const, ["LastModified", version.createdAt] as const, ...common]] as const
    }
    return ["Version", [...objectElement(call, key, version), ...common]] as const
  })
  return xmlAnswer(
    document("ListVersionsResult", [
      ...([
        ["Name", bucket.name],
        ["MaxKeys", limitOf(call)],
        ["IsTruncated", page.next !== undefined],
      ] as const),
      ...(page.next === undefined ? [] : [["NextKeyMarker", named(call, page.next.after)] as const]),
      ...(page.next === undefined || page.next.version === "" ? [] : [["NextVersionIdMarker", page.next.version] as const]),
      ...entries,
      ...prefixElements(call, page),
    ]),
  )
}

function currentOnly(call: Call, bucket: Bucket): (versions: readonly Version[]) => readonly Version[] {
  const hidden = hiddenFrom(call, bucket)
  return (versions) => {
    const [newest] = versions.filter(({ generation }) => !hidden.has(generation))
    return newest === undefined || newest.deleteMarker ? [] : [newest]
  }
}

function hiddenFrom(call: Call, bucket: Bucket): ReadonlySet<string> {
  const missing = Math.max(call.missing, call.vendor.has("stale-list") ? 1 : 0)
  return missing === 0 ? new Set() : notYetListed(bucket, missing)
}

function limitOf({ request, vendor }: Call): number {
  const limit = Number(request.parameter("max-keys") ?? 1000)
  if (!Number.isInteger(limit) || limit < 0) throw new Refusal("InvalidArgument", "max-keys is no number")
  return Math.min(limit, vendor.has("short-pages") ? 2 : 1000)
}

function objectElement(call: Call, key: string, version: Version) {
  const { etag, storageClass, checksums } = rememberedOf(version)
  return [
    ...([
      ["Key", named(call, key)],
      ["LastModified", version.createdAt],
      ["ETag", `"${etag}"`],
    ] as const),
    ...Object.keys(checksums).map((name) => ["ChecksumAlgorithm", name] as const),
    ...([
      ["Size", version.size],
      ["StorageClass", storageClass],
    ] as const),
  ] as const
}

function prefixElements(call: Call, page: Page) {
  return page.prefixes.map((prefix) => ["CommonPrefixes", [["Prefix", named(call, prefix)] as const]] as const)
}

function named({ request }: Call, key: string): string {
  return request.parameter("encoding-type") === "url" ? encodeURIComponent(key).replaceAll("%2F", "/") : key
}
