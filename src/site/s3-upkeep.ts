import { z } from "zod"
import { SiteError } from "../errors.ts"
import { type BucketPair, bucketOf, listPair } from "./buckets.ts"
import { checkKey, checkRange, compareKeys, isSegment } from "./rules.ts"
import type { S3Connection, S3Marker } from "./s3-client.ts"
import { frozenAs, lookOf, parsed } from "./s3-object.ts"
import type { CallOptions, ObjectLock, ObjectVersion, Versions } from "./site.ts"

export interface S3UpkeepOptions extends BucketPair {
  readonly name: string
}

export function s3Versions(options: S3UpkeepOptions, connection: S3Connection): Versions {
  const { name } = options
  return {
    list: (prefix, { signal } = {}) =>
      listPair(name, options, prefix, (bucket, start) => listVersions({ name, bucket, prefix: start }, connection, signal)),
    get: async (key, version, given = {}) => {
      given.signal?.throwIfAborted()
      checkKey(name, key)
      if (given.range !== undefined) checkRange(name, key, Number.MAX_SAFE_INTEGER, given.range)
      if (given.range?.length === 0) return new Uint8Array()
      return await connection.download({ bucket: bucketOf(options, key), key, version }, given)
    },
    remove: async (key, version, { signal } = {}) => {
      signal?.throwIfAborted()
      checkKey(name, key)
      await connection.removeVersion({ bucket: bucketOf(options, key), key, version }, signal)
    },
  }
}

interface Listed {
  readonly name: string
  readonly bucket: string
  readonly prefix: string
}

async function* listVersions(
  { name, bucket, prefix }: Listed,
  connection: S3Connection,
  signal: AbortSignal | undefined,
): AsyncGenerator<ObjectVersion> {
  let marker: S3Marker | undefined = {}
  let last = ""
  while (marker !== undefined) {
    signal?.throwIfAborted()
    const page: VersionsPage = versionsOf(name, prefix, await connection.versionsPage(bucket, prefix, marker, signal))
    for (const version of page.versions) {
      if (version.key < last) throw new SiteError(name, "site/corrupt", `versions ${prefix}: ${version.key} comes after ${last}`)
      last = version.key
      signal?.throwIfAborted()
      if (version.key.split("/").every(isSegment)) yield version
    }
    marker = page.next
  }
}

const listedSchema = z.object({ Key: z.string(), VersionId: z.string(), IsLatest: z.boolean().default(false), LastModified: z.date() })
const versionsSchema = z.object({
  Versions: z.array(listedSchema.extend({ Size: z.int().nonnegative(), StorageClass: z.string().optional() })).default([]),
  DeleteMarkers: z.array(listedSchema).default([]),
  IsTruncated: z.boolean().default(false),
  NextKeyMarker: z.string().optional(),
  NextVersionIdMarker: z.string().optional(),
})

interface VersionsPage {
  readonly versions: readonly ObjectVersion[]
  readonly next: S3Marker | undefined
}

function versionsOf(site: string, prefix: string, answer: unknown): VersionsPage {
  const page = parsed(site, `versions ${prefix}`, versionsSchema, answer)
  const infoOf = ({ Key, VersionId, IsLatest, LastModified }: z.infer<typeof listedSchema>) => {
    const storedAt = new Date(Math.floor(LastModified.getTime() / 1000) * 1000)
    return { key: Key, version: VersionId, latest: IsLatest, storedAt, at: LastModified.getTime() }
  }
  const bytes = page.Versions.map((version) => {
    return { ...infoOf(version), bytes: version.Size, deleteMarker: false, ...frozenAs(version.StorageClass) }
  })
  const markers = page.DeleteMarkers.map((version) => ({ ...infoOf(version), bytes: 0, deleteMarker: true }))
  // The client hands out two lists; within a key the latest comes first, then by time.
  const all = [...bytes, ...markers].sort((a, b) => compareKeys(a.key, b.key) || Number(b.latest) - Number(a.latest) || b.at - a.at)
  if (page.IsTruncated && page.NextKeyMarker === undefined) {
    throw new SiteError(site, "site/corrupt", `versions ${prefix}: there is more, but not said where`)
  }
  const next = page.IsTruncated ? { key: page.NextKeyMarker, version: page.NextVersionIdMarker } : undefined
  return { versions: all.map(({ at: _at, ...version }) => version), next }
}

const configurationSchema = z.object({ ObjectLockConfiguration: z.object({ ObjectLockEnabled: z.literal("Enabled") }) })

export interface S3LockOptions extends S3UpkeepOptions {
  readonly lock: "governance" | "compliance"
}

export function s3Lock(options: S3LockOptions, connection: S3Connection): ObjectLock {
  const { name } = options
  const lockable = new Set<string>()

  // Before anything is locked: a server without locks may take the request for a put, and keep its XML in place of the object.
  async function requireLocking(bucket: string, { signal }: CallOptions): Promise<void> {
    if (lockable.has(bucket)) return
    const answer = await connection.setting("lock", bucket, signal).catch((error: unknown) => {
      // Who is refused, or is told to come later, has not learnt whether the bucket can.
      if (!(error instanceof SiteError && (error.code === "site/not-found" || error.code === "site/unsupported"))) throw error
      throw noLock(`${bucket}: cannot lock objects`, error)
    })
    if (!configurationSchema.safeParse(answer).success) throw noLock(`${bucket}: cannot lock objects`)
    lockable.add(bucket)
  }

  function noLock(why: string, cause?: unknown): SiteError {
    return new SiteError(name, "site/unsupported", why, {
      hint: 'make the bucket with object lock, or remove "lock"',
      ...(cause !== undefined && { cause }),
    })
  }

  return {
    extend: async (key, version, until, given = {}) => {
      given.signal?.throwIfAborted()
      checkKey(name, key)
      const object = { bucket: bucketOf(options, key), key, version }
      await requireLocking(object.bucket, given)
      const before = lookOf(name, key, await connection.head(object, given.signal))
      if (before.info.lockedUntil !== undefined && before.info.lockedUntil >= until) return before.info.lockedUntil
      const compliance = before.lockMode === "COMPLIANCE" || options.lock === "compliance"
      await connection.retain(object, compliance ? "COMPLIANCE" : "GOVERNANCE", until, given.signal)
      const { lockedUntil } = lookOf(name, key, await connection.head(object, given.signal)).info
      // A second less, because some servers keep whole seconds.
      if (lockedUntil === undefined || lockedUntil.getTime() < until.getTime() - 1000)
        throw noLock(`lock ${key}: accepted, but not in force`)
      return lockedUntil
    },
  }
}
