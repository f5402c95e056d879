import { z } from "zod"
import type { Bucket, Json } from "../store.ts"
import { type Answer, bucketOf, type Call, json, parsed } from "./call.ts"
import { invalid, Refusal } from "./refusal.ts"
import { retentionSeconds } from "./resource.ts"
import { stillThere } from "./rules.ts"

const seconds = z.union([z.string().regex(/^\d+$/), z.number().int().nonnegative()]).transform(String)
const given = z.object({
  name: z.string().optional(),
  location: z.string().optional(),
  storageClass: z.string().optional(),
  versioning: z.object({ enabled: z.boolean() }).nullish(),
  lifecycle: z.json().nullish(),
  labels: z.json().nullish(),
  iamConfiguration: z.json().nullish(),
  defaultEventBasedHold: z.boolean().nullish(),
  retentionPolicy: z.object({ retentionPeriod: seconds }).nullish(),
  softDeletePolicy: z.object({ retentionDurationSeconds: seconds }).nullish(),
})

/** What production does of itself since 2024. */
const softDeleteDefault = "604800"

export function createBucket(call: Call): Answer {
  const { name = "", ...rest } = parsed(given, call.body)
  if (!/^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$/.test(name)) throw invalid(`Invalid bucket name: '${name}'`)
  if (call.store.bucket(name) !== undefined) {
    throw new Refusal(409, "conflict", "Your previous request to create the named bucket succeeded and you already own it.")
  }
  const bucket = call.store.createBucket(name, { metageneration: 1, location: "US", storageClass: "STANDARD" })
  const now = call.clock.now().toISOString()
  bucket.configure({
    softDeletePolicy: { retentionDurationSeconds: softDeleteDefault, effectiveTime: now },
    ...(call.query.get("enableObjectRetention") === "true" && { objectRetention: { mode: "Enabled" } }),
    ...changesOf(call, bucket, rest),
  })
  return json(bucketResource(bucket))
}

export function listBuckets(call: Call): Answer {
  const prefix = call.query.get("prefix") ?? ""
  const buckets = call.store.buckets().filter(({ name }) => name.startsWith(prefix))
  return json({ kind: "storage#buckets", items: buckets.map(bucketResource) })
}

export function getBucket(call: Call, name: string): Answer {
  return json(bucketResource(bucketOf(call, name)))
}

export function patchBucket(call: Call, name: string): Answer {
  const bucket = bucketOf(call, name)
  checkMetageneration(call, bucket)
  bucket.configure({ ...changesOf(call, bucket, parsed(given, call.body)), metageneration: metagenerationOf(bucket) + 1 })
  return json(bucketResource(bucket))
}

/** For good: the period can then only grow. */
export function lockRetentionPolicy(call: Call, name: string): Answer {
  const bucket = bucketOf(call, name)
  if (call.query.get("ifMetagenerationMatch") === null) throw invalid("Required parameter: ifMetagenerationMatch")
  checkMetageneration(call, bucket)
  const policy = bucket.settings.retentionPolicy
  if (policy === undefined) throw invalid("The bucket has no retention policy to lock")
  const locked = { ...z.record(z.string(), z.json()).parse(policy), isLocked: true }
  bucket.configure({ retentionPolicy: locked, metageneration: metagenerationOf(bucket) + 1 })
  return json(bucketResource(bucket))
}

export function deleteBucket(call: Call, name: string): Answer {
  const bucket = bucketOf(call, name)
  checkMetageneration(call, bucket)
  for (const key of bucket.keys()) {
    const there = stillThere(bucket, bucket.versions(key), call.clock.now())
    if (there.some(({ softDeletedAt }) => softDeletedAt === null)) {
      throw new Refusal(409, "conflict", "The bucket you tried to delete is not empty.")
    }
  }
  call.store.deleteBucket(name)
  return { status: 204 }
}

function changesOf(call: Call, bucket: Bucket, changes: z.infer<typeof given>): Record<string, Json | undefined> {
  const effectiveTime = call.clock.now().toISOString()
  const { name: _name, retentionPolicy, softDeletePolicy, ...plain } = changes
  if (retentionPolicy !== undefined) checkLocked(bucket, retentionPolicy === null ? 0 : Number(retentionPolicy.retentionPeriod))
  return {
    ...Object.fromEntries(Object.entries(plain).map(([field, value]) => [field, value ?? undefined])),
    ...(retentionPolicy !== undefined && {
      retentionPolicy: retentionPolicy === null ? undefined : { ...stored(bucket, "retentionPolicy"), ...retentionPolicy, effectiveTime },
    }),
    ...(softDeletePolicy && { softDeletePolicy: { ...softDeletePolicy, effectiveTime } }),
  }
}

function checkLocked(bucket: Bucket, period: number): void {
  if (stored(bucket, "retentionPolicy").isLocked !== true || period >= (retentionSeconds(bucket) ?? 0)) return
  throw new Refusal(403, "forbidden", `Cannot reduce retention duration of a locked Retention Policy for bucket '${bucket.name}'.`)
}

function stored(bucket: Bucket, setting: string): Readonly<Record<string, Json>> {
  return z.record(z.string(), z.json()).catch({}).parse(bucket.settings[setting])
}

function checkMetageneration(call: Call, bucket: Bucket): void {
  const wanted = call.query.get("ifMetagenerationMatch")
  if (wanted === null || wanted === String(metagenerationOf(bucket))) return
  throw new Refusal(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
}

function metagenerationOf(bucket: Bucket): number {
  return z.number().parse(bucket.settings.metageneration)
}

function bucketResource(bucket: Bucket): Record<string, unknown> {
  const { metageneration, ...settings } = bucket.settings
  return {
    ...{ kind: "storage#bucket", id: bucket.name, name: bucket.name, timeCreated: bucket.createdAt.toISOString() },
    ...{ ...settings, metageneration: String(metageneration), etag: Buffer.from(String(metageneration)).toString("base64") },
  }
}
