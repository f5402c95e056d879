import { z } from "zod"
import { SiteError } from "../errors.ts"
import type { BucketPair } from "./buckets.ts"
import { type BucketPosture, type Known, type LifecycleRule, meets, type SitePosture } from "./posture.ts"
import type { CallOptions } from "./site.ts"

/** Resolves to a bucket's resource, as the server describes it. */
export type DescribeBucket = (bucket: string, signal: AbortSignal | undefined) => Promise<unknown>

/** Asks both buckets what is set there. Only reads; what the credentials may not ask stays unknown. */
export function gcsPosture(name: string, pair: BucketPair, describe: DescribeBucket): (options?: CallOptions) => Promise<SitePosture> {
  async function postureOf(bucket: string, ours: string, signal: AbortSignal | undefined): Promise<BucketPosture> {
    try {
      const parsed = bucketSchema.safeParse(await describe(bucket, signal))
      if (parsed.success) return postureFrom(bucket, ours, parsed.data)
      throw new SiteError(name, "site/corrupt", `${bucket}: what the server says of it is not understood`, { cause: parsed.error })
    } catch (error) {
      if (error instanceof SiteError && error.code === "site/denied") return unknownPosture(bucket, "the credentials may not ask")
      throw error
    }
  }
  return async ({ signal } = {}) => {
    const [packs, keys] = await Promise.all([postureOf(pair.bucket, "v1/", signal), postureOf(pair.keys, "v1/keys/", signal)])
    return { packs, keys }
  }
}

const seconds = z.union([z.string().regex(/^\d+$/), z.number()]).transform(Number)
const ruleSchema = z.object({
  action: z.object({ type: z.string() }),
  condition: z
    .object({
      matchesPrefix: z.array(z.string()).optional(),
      isLive: z.boolean().optional(),
      numNewerVersions: z.number().optional(),
      daysSinceNoncurrentTime: z.number().optional(),
      noncurrentTimeBefore: z.string().optional(),
    })
    .default({}),
})

/** What matters of a bucket's resource; https://cloud.google.com/storage/docs/json_api/v1/buckets#resource */
const bucketSchema = z.object({
  location: z.string().optional(),
  versioning: z.object({ enabled: z.boolean() }).nullish(),
  retentionPolicy: z.object({ retentionPeriod: seconds, isLocked: z.boolean().default(false) }).nullish(),
  objectRetention: z.object({ mode: z.string() }).nullish(),
  iamConfiguration: z.object({ publicAccessPrevention: z.string().optional() }).nullish(),
  encryption: z.object({ defaultKmsKeyName: z.string().optional() }).nullish(),
  lifecycle: z.object({ rule: z.array(ruleSchema).default([]) }).nullish(),
  softDeletePolicy: z.object({ retentionDurationSeconds: seconds }).nullish(),
})

const daySeconds = 86_400

function postureFrom(bucket: string, ours: string, given: z.infer<typeof bucketSchema>): BucketPosture {
  const {
    location,
    versioning,
    retentionPolicy: policy,
    objectRetention,
    iamConfiguration,
    encryption,
    lifecycle,
    softDeletePolicy,
  } = given
  const days = (length: number) => Math.floor(length / daySeconds)
  const lock = policy && ({ mode: policy.isLocked ? "compliance" : "governance", days: days(policy.retentionPeriod) } as const)
  const rules = (lifecycle?.rule ?? []).flatMap(rulesOf)
  return {
    bucket,
    region: location === undefined ? { unknown: "the server does not say" } : { value: location.toLowerCase() },
    versioning: { value: versioning?.enabled ?? false },
    lock: { value: lock ?? null },
    objectLock: { value: objectRetention?.mode === "Enabled" },
    publicAccessBlocked: { value: iamConfiguration?.publicAccessPrevention === "enforced" },
    // Google encrypts all that it keeps.
    encryption: { value: encryption?.defaultKmsKeyName ?? "Google's own keys" },
    lifecycle: { value: rules.filter(({ prefix }) => meets(prefix, ours)) },
    softDeleteDays: { value: Math.ceil((softDeletePolicy?.retentionDurationSeconds ?? 0) / daySeconds) },
    // A bucket in two regions is one bucket: what is deleted is deleted in both.
    replicatedTo: { value: [] },
  }
}

function rulesOf({ action, condition }: z.infer<typeof ruleSchema>, index: number): LifecycleRule[] {
  // Every class that a rule can move an object to is read at once.
  if (action.type !== "Delete") return []
  const { isLive, numNewerVersions, daysSinceNoncurrentTime, noncurrentTimeBefore, matchesPrefix = [""] } = condition
  const ofOlder = [numNewerVersions, daysSinceNoncurrentTime, noncurrentTimeBefore].some((given) => given !== undefined)
  const does = isLive === false || ofOlder ? "deletes-older" : "deletes"
  return matchesPrefix.map((prefix) => ({ name: `number ${String(index + 1)}`, prefix, does }))
}

function unknownPosture(bucket: string, why: string): BucketPosture {
  const unknown: Known<never> = { unknown: why }
  return {
    ...{ bucket, region: unknown, versioning: unknown, lock: unknown, objectLock: unknown, publicAccessBlocked: unknown },
    ...{ encryption: unknown, lifecycle: unknown, softDeleteDays: unknown, replicatedTo: unknown },
  }
}
