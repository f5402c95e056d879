import { z } from "zod"
import type { Bucket, Json, Version } from "../store.ts"
import type { Call } from "./call.ts"
import { Refusal } from "./refusal.ts"

const remembered = z.object({
  etag: z.string(),
  /** Answered as it came: content-type, content-encoding, x-amz-meta-…. */
  headers: z.record(z.string(), z.string()),
  storageClass: z.string(),
  /** The algorithms that the client asked for, in base64. */
  checksums: z.record(z.string(), z.string()),
  tags: z.string().optional(),
})

export function rememberedOf(version: Version): z.infer<typeof remembered> {
  return remembered.parse(version.metadata)
}

/** The version a request names, or the newest; refused where that is none, or says that the object is deleted. */
export function versionOf({ request }: Call, bucket: Bucket): Version {
  const { key } = request
  const id = request.parameter("versionId")
  if (id === undefined) {
    const latest = bucket.latest(key)
    if (latest === undefined) throw new Refusal("NoSuchKey", "the specified key does not exist")
    if (latest.deleteMarker)
      throw new Refusal("NoSuchKey", "the object is deleted", { "x-amz-delete-marker": "true", ...versionHeader(latest) })
    return latest
  }
  const version = bucket.versions(key).find((there) => there.id === id)
  if (version === undefined) throw new Refusal("NoSuchVersion", "the specified version does not exist")
  if (version.deleteMarker) throw new Refusal("MethodNotAllowed", "this version is a delete marker", { "x-amz-delete-marker": "true" })
  return version
}

export function versionHeader({ id }: Version): Record<string, string> {
  return id === "null" ? {} : { "x-amz-version-id": id }
}

/** One version of a key in place of what it was. */
export function replaceVersion(bucket: Bucket, key: string, id: string, becomes: (there: Version) => Version): void {
  bucket.change(key, (there) => there.map((version) => (version.id === id ? becomes(version) : version)))
}

/** A version with another value among what the front remembers of it. */
export function remembering(version: Version, changes: Readonly<Record<string, Json>>): Version {
  return { ...version, metadata: { ...version.metadata, ...changes } }
}
