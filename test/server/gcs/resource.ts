import { z } from "zod"
import { hexToBase64 } from "../checksums.ts"
import type { Bucket, Json, Version } from "../store.ts"

const time = z.iso.datetime({ offset: true })

/** What a client may say of an object; a null takes a field away. */
export const givenObject = z.object({
  name: z.string().optional(),
  contentType: z.string().nullish(),
  contentEncoding: z.string().nullish(),
  contentDisposition: z.string().nullish(),
  contentLanguage: z.string().nullish(),
  cacheControl: z.string().nullish(),
  customTime: time.nullish(),
  storageClass: z.string().nullish(),
  metadata: z.record(z.string(), z.string().nullable()).nullish(),
  crc32c: z.string().optional(),
  md5Hash: z.string().optional(),
  temporaryHold: z.boolean().nullish(),
  eventBasedHold: z.boolean().nullish(),
  retention: z.object({ mode: z.enum(["Unlocked", "Locked"]), retainUntilTime: time }).nullish(),
})
export type GivenObject = z.infer<typeof givenObject>

const plainFields = [
  "contentType",
  "contentEncoding",
  "contentDisposition",
  "contentLanguage",
  "cacheControl",
  "customTime",
  "storageClass",
] as const

/** The stored fields with those that were given in their place. */
export function mergedMetadata(stored: Readonly<Record<string, Json>>, given: GivenObject): Record<string, Json> {
  const merged: Record<string, Json> = { ...stored }
  for (const field of plainFields) {
    const value = given[field]
    if (value === null) delete merged[field]
    else if (value !== undefined) merged[field] = value
  }
  if (given.metadata === null) delete merged.metadata
  else if (given.metadata !== undefined) {
    const before = z.record(z.string(), z.string()).catch({}).parse(merged.metadata)
    const custom = Object.entries<string | null>({ ...before, ...given.metadata })
    merged.metadata = Object.fromEntries(custom.flatMap(([name, value]) => (value === null ? [] : [[name, value] as const])))
  }
  return merged
}

/** The object as the JSON API describes it. */
export function objectResource(bucket: Bucket, key: string, version: Version): Record<string, unknown> {
  const { generation, metageneration, checksums, createdAt, metadata, retention, holds } = version
  const { eventBasedHoldReleaseTime: _released, updated, ...fields } = metadata
  const expires = policyExpiry(bucket, version)
  const path = `b/${bucket.name}/o/${encodeURIComponent(key)}`
  return {
    kind: "storage#object",
    id: `${bucket.name}/${key}/${generation}`,
    selfLink: `https://www.googleapis.com/storage/v1/${path}`,
    mediaLink: `https://storage.googleapis.com/download/storage/v1/${path}?generation=${generation}&alt=media`,
    ...{ name: key, bucket: bucket.name, generation, metageneration: String(metageneration) },
    ...{ storageClass: "STANDARD", ...fields, size: String(version.size) },
    crc32c: hexToBase64(checksums.crc32c),
    // A composed object has none.
    ...(metadata.componentCount === undefined && { md5Hash: hexToBase64(checksums.md5) }),
    etag: etagOf(version),
    ...{ timeCreated: createdAt, updated: updated ?? createdAt, timeStorageClassUpdated: createdAt },
    ...(holds.temporary && { temporaryHold: true }),
    ...(holds.event && { eventBasedHold: true }),
    ...(retention !== null && { retention: { mode: retention.mode, retainUntilTime: retention.until } }),
    ...(expires !== undefined && { retentionExpirationTime: expires.toISOString() }),
    ...(version.noncurrentSince !== null && { timeDeleted: version.noncurrentSince }),
    ...(version.softDeletedAt !== null && softDeletion(bucket, version.softDeletedAt)),
  }
}

export function etagOf({ generation, metageneration }: Version): string {
  return Buffer.from(`${generation}/${String(metageneration)}`).toString("base64")
}

/** When the bucket's retention policy lets the version go; undefined where it has none, or while an event is waited for. */
export function policyExpiry(bucket: Bucket, version: Version): Date | undefined {
  const seconds = retentionSeconds(bucket)
  if (seconds === undefined || version.holds.event) return undefined
  const released = version.metadata.eventBasedHoldReleaseTime
  const from = new Date(typeof released === "string" ? released : version.createdAt)
  return new Date(from.getTime() + seconds * 1000)
}

export function retentionSeconds(bucket: Bucket): number | undefined {
  const policy = z.object({ retentionPeriod: z.string() }).safeParse(bucket.settings.retentionPolicy)
  return policy.success ? Number(policy.data.retentionPeriod) : undefined
}

export function softDeleteSeconds(bucket: Bucket): number {
  const policy = z.object({ retentionDurationSeconds: z.string() }).safeParse(bucket.settings.softDeletePolicy)
  return policy.success ? Number(policy.data.retentionDurationSeconds) : 0
}

function softDeletion(bucket: Bucket, since: string): Record<string, string> {
  const until = new Date(new Date(since).getTime() + softDeleteSeconds(bucket) * 1000)
  return { softDeleteTime: since, hardDeleteTime: until.toISOString() }
}
