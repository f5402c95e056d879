import { z } from "zod"
import { hexToBase64 } from "../checksums.ts"
import { notYetListed } from "../fault-queue.ts"
import { type Bucket, compareUtf8, listPage, type NewVersion, type Version } from "../store.ts"
import { type Answer, bucketOf, type Call, json, parsed } from "./call.ts"
import { invalid, Refusal } from "./refusal.ts"
import { etagOf, type GivenObject, givenObject, mergedMetadata, objectResource } from "./resource.ts"
import {
  checkConditions,
  checkHolds,
  liveOf,
  noSuchObject,
  overwritten,
  removed,
  retentionAfter,
  stillThere,
  versionOf,
  withoutLive,
} from "./rules.ts"

export interface Insertion {
  readonly bucket: Bucket
  readonly key: string
  readonly bytes: Buffer
  readonly given: GivenObject
  /** Checksums that came beside the resource, as an x-goog-hash header says them. */
  readonly hashes: string
  readonly componentCount?: number
}

/** Keeps an object: conditions first, then holds and retention of what is there, then the checksums that came with the bytes. */
export async function insert(call: Call, insertion: Insertion): Promise<Answer> {
  const { bucket, key, bytes, given, componentCount } = insertion
  if (key === "" || Buffer.byteLength(key) > 1024) throw invalid("The name of the object is empty or too long")
  const stored = mergedMetadata({}, given)
  const made: NewVersion = {
    metadata: componentCount === undefined ? stored : { ...stored, componentCount },
    retention: retentionAfter(call, bucket, null, given),
    holds: { legal: false, temporary: given.temporaryHold ?? false, event: given.eventBasedHold ?? holdsByDefault(bucket) },
  }
  const version = await bucket.put(key, bytes, made, (fresh, there) => {
    checkConditions(call.query, liveOf(there))
    const after = overwritten(bucket, key, { made: fresh, there, now: call.clock.now() })
    checkHashes(insertion, fresh)
    return after
  })
  return json(objectResource(bucket, key, version))
}

function holdsByDefault(bucket: Bucket): boolean {
  return bucket.settings.defaultEventBasedHold === true
}

function checkHashes({ given, hashes }: Insertion, { checksums }: Version): void {
  const [crc32c, md5] = [hexToBase64(checksums.crc32c), hexToBase64(checksums.md5)]
  const said = [
    { name: "CRC32C", value: given.crc32c, calculated: crc32c },
    { name: "MD5", value: given.md5Hash, calculated: md5 },
    { name: "CRC32C", value: /(?:^|,)\s*crc32c=([^,]+)/.exec(hashes)?.[1], calculated: crc32c },
    { name: "MD5", value: /(?:^|,)\s*md5=([^,]+)/.exec(hashes)?.[1], calculated: md5 },
  ]
  for (const { name, value, calculated } of said) {
    if (value === undefined || value === calculated) continue
    throw invalid(`Provided ${name} "${value}" doesn't match calculated ${name} "${calculated}".`)
  }
}

/** The object's resource, or its bytes where alt=media says so. */
export async function get(call: Call, bucketName: string, key: string): Promise<Answer> {
  const bucket = bucketOf(call, bucketName)
  const version = versionOf(call, bucket, key)
  checkConditions(call.query, version, true)
  return call.query.get("alt") === "media" ? await media(call, bucket, version) : json(objectResource(bucket, key, version))
}

async function media(call: Call, bucket: Bucket, version: Version): Promise<Answer> {
  const { checksums, generation, metageneration, size } = version
  const metadata = z.record(z.string(), z.unknown()).parse(version.metadata)
  const text = (field: string, otherwise: string) => z.string().catch(otherwise).parse(metadata[field])
  const md5 = metadata.componentCount === undefined ? `,md5=${hexToBase64(checksums.md5)}` : ""
  const headers = {
    "content-type": text("contentType", "application/octet-stream"),
    "accept-ranges": "bytes",
    etag: etagOf(version),
    "x-goog-generation": generation,
    "x-goog-metageneration": String(metageneration),
    "x-goog-hash": `crc32c=${hexToBase64(checksums.crc32c)}${md5}`,
    "x-goog-storage-class": text("storageClass", "STANDARD"),
    "x-goog-stored-content-encoding": text("contentEncoding", "identity"),
    "x-goog-stored-content-length": String(size),
  }
  const range = rangeOf(call.headers.range, size)
  if (range === undefined) return { status: 200, headers, body: await bucket.read(version, { offset: 0, length: size }) }
  const { offset, length } = range
  const body = await bucket.read(version, range)
  return { status: 206, headers: { ...headers, "content-range": `bytes ${offset}-${offset + length - 1}/${size}` }, body }
}

function rangeOf(header: string | undefined, size: number): { offset: number; length: number } | undefined {
  const [, first = "", last = ""] = /^bytes=(\d*)-(\d*)$/.exec(header ?? "") ?? []
  if (first === "" && last === "") return undefined
  const offset = first === "" ? Math.max(0, size - Number(last)) : Number(first)
  const end = first === "" || last === "" ? size : Math.min(size, Number(last) + 1)
  if (offset >= end) {
    throw new Refusal(416, "requestedRangeNotSatisfiable", "Request range not satisfiable", { "content-range": `bytes */${size}` })
  }
  return { offset, length: end - offset }
}

/** One page of a bucket: by name, and generations of a name oldest first. */
export function list(call: Call, bucketName: string): Answer {
  const bucket = bucketOf(call, bucketName)
  const { query } = call
  const [all, soft] = [query.get("versions") === "true", query.get("softDeleted") === "true"]
  const hidden = notYetListed(bucket, call.missing)
  const show = (versions: readonly Version[]) => {
    const there = stillThere(bucket, versions, call.clock.now()).filter(({ generation }) => !hidden.has(generation))
    if (soft) return there.filter(({ softDeletedAt }) => softDeletedAt !== null).reverse()
    if (all) return there.filter(({ softDeletedAt }) => softDeletedAt === null).reverse()
    return [liveOf(there)].filter((version) => version !== undefined)
  }
  const token = tokenOf(query.get("pageToken"))
  const page = listPage(bucket, {
    prefix: query.get("prefix") ?? "",
    delimiter: query.get("delimiter") ?? "",
    ...{ after: token.after, afterVersion: token.version, show },
    limit: Math.min(call.pageMax, Number(query.get("maxResults") ?? 1000)),
    within: withinOffsets(query.get("startOffset"), query.get("endOffset")),
  })
  return json({
    kind: "storage#objects",
    ...(page.next !== undefined && { nextPageToken: Buffer.from(JSON.stringify(page.next)).toString("base64url") }),
    ...(page.prefixes.length > 0 && { prefixes: page.prefixes }),
    ...(page.entries.length > 0 && { items: page.entries.map(({ key, version }) => objectResource(bucket, key, version)) }),
  })
}

function withinOffsets(start: string | null, end: string | null): (key: string) => boolean {
  return (key) => (start === null || compareUtf8(key, start) >= 0) && (end === null || compareUtf8(key, end) < 0)
}

function tokenOf(token: string | null): { after: string; version: string } {
  if (token === null) return { after: "", version: "" }
  try {
    return z.object({ after: z.string(), version: z.string() }).parse(JSON.parse(Buffer.from(token, "base64url").toString("utf8")))
  } catch {
    throw invalid("Invalid page token")
  }
}

/** Changes what is said of an object, never its bytes: allowed whatever keeps it, but for what would keep it less. */
export function patch(call: Call, bucketName: string, key: string): Answer {
  const bucket = bucketOf(call, bucketName)
  const given = parsed(givenObject, call.body)
  const found = versionOf(call, bucket, key)
  checkConditions(call.query, found)
  const now = call.clock.now().toISOString()
  const event = given.eventBasedHold === undefined ? found.holds.event : given.eventBasedHold === true
  const released = found.holds.event && !event ? { eventBasedHoldReleaseTime: now } : {}
  const after: Version = {
    ...found,
    metageneration: found.metageneration + 1,
    metadata: { ...mergedMetadata(found.metadata, given), ...released, updated: now },
    retention: retentionAfter(call, bucket, found.retention, given),
    holds: { ...found.holds, event, temporary: given.temporaryHold === undefined ? found.holds.temporary : given.temporaryHold === true },
  }
  bucket.change(key, (there) => there.map((version) => (version === found ? after : version)))
  return json(objectResource(bucket, key, after))
}

/** Without a generation the live version goes, as the bucket has it; with one, that version and no other. */
export function remove(call: Call, bucketName: string, key: string): Answer {
  const bucket = bucketOf(call, bucketName)
  const found = versionOf(call, bucket, key)
  checkConditions(call.query, found)
  const now = call.clock.now()
  const generation = call.query.get("generation")
  bucket.change(key, (there) =>
    generation === null ? withoutLive(bucket, key, { there, now }) : removed(bucket, key, { there, gone: found, now }),
  )
  return { status: 204 }
}

/** A copy on the server, onto the same name too: then with another storage class, as a new generation. */
export async function rewrite(call: Call, from: ObjectName, to: ObjectName): Promise<Answer> {
  const source = bucketOf(call, from.bucket)
  const version = sourceVersion(call, source, from.key)
  const given = parsed(givenObject, call.body)
  const inherited = parsed(givenObject, Buffer.from(JSON.stringify(version.metadata)))
  const bytes = await source.read(version, { offset: 0, length: version.size })
  const target = bucketOf(call, to.bucket)
  const answer = await insert(call, { bucket: target, key: to.key, bytes, given: { ...inherited, ...given }, hashes: "" })
  const resource: unknown = JSON.parse(String(answer.body))
  const size = String(version.size)
  return json({ kind: "storage#rewriteResponse", totalBytesRewritten: size, objectSize: size, done: true, resource })
}

export interface ObjectName {
  readonly bucket: string
  readonly key: string
}

function sourceVersion(call: Call, bucket: Bucket, key: string): Version {
  const generation = call.query.get("sourceGeneration")
  const found = generation === null ? liveOf(bucket.versions(key)) : bucket.versions(key).find((one) => one.generation === generation)
  if (found === undefined) throw noSuchObject(bucket, key)
  return found
}

const composition = z.object({
  destination: givenObject.optional(),
  sourceObjects: z
    .array(z.object({ name: z.string() }))
    .min(1)
    .max(32),
})

/** Several objects one after the other as one, which has no MD5. */
export async function compose(call: Call, bucketName: string, key: string): Promise<Answer> {
  const bucket = bucketOf(call, bucketName)
  const { destination = {}, sourceObjects } = parsed(composition, call.body)
  const pieces: Buffer[] = []
  let componentCount = 0
  for (const { name } of sourceObjects) {
    const version = liveOf(bucket.versions(name))
    if (version === undefined) throw noSuchObject(bucket, name)
    componentCount += z.number().catch(1).parse(version.metadata.componentCount)
    pieces.push(await bucket.read(version, { offset: 0, length: version.size }))
  }
  return await insert(call, { bucket, key, bytes: Buffer.concat(pieces), given: destination, hashes: "", componentCount })
}

/** Brings a soft-deleted generation back as the live one. */
export async function restore(call: Call, bucketName: string, key: string): Promise<Answer> {
  const bucket = bucketOf(call, bucketName)
  const generation = call.query.get("generation")
  const there = stillThere(bucket, bucket.versions(key), call.clock.now())
  const found = there.find((version) => version.generation === generation && version.softDeletedAt !== null)
  if (found === undefined) throw noSuchObject(bucket, key)
  const live = liveOf(there)
  if (live !== undefined) checkHolds(bucket, key, live)
  const bytes = await bucket.read(found, { offset: 0, length: found.size })
  const given = parsed(givenObject, Buffer.from(JSON.stringify(found.metadata)))
  return await insert(call, { bucket, key, bytes, given, hashes: "" })
}
