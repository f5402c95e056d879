import { z } from "zod"
import { SiteError } from "../errors.ts"
import type { BucketPair } from "./buckets.ts"
import { type BucketPosture, type DefaultLock, type Known, type LifecycleRule, meets, type SitePosture } from "./posture.ts"
import type { S3Connection, S3Setting } from "./s3-client.ts"
import type { CallOptions } from "./site.ts"
import { frozenReason } from "./tiers.ts"

/** Asks both buckets what is set there. Only reads; what the credentials may not ask stays unknown. */
export function s3Posture(pair: BucketPair, connection: S3Connection): (options?: CallOptions) => Promise<SitePosture> {
  return async ({ signal } = {}) => {
    const [packs, keys] = await Promise.all([
      postureOf(pair.bucket, "v1/", connection, signal),
      postureOf(pair.keys, "v1/keys/", connection, signal),
    ])
    return { packs, keys }
  }
}

async function postureOf(bucket: string, ours: string, connection: S3Connection, signal: AbortSignal | undefined): Promise<BucketPosture> {
  const { region } = await connection.headBucket(bucket, signal)
  const ask = <T>(setting: S3Setting, schema: z.ZodType<T>, absent: T) =>
    asked(schema, absent, async () => await connection.setting(setting, bucket, signal))
  const [versioning, locking, publicAccessBlocked, encryption, lifecycle, replicatedTo] = await Promise.all([
    ask("versioning", versioningSchema, false),
    ask("lock", lockSchema, { enabled: false, rule: null }),
    ask("publicAccess", publicAccessSchema, false),
    ask("encryption", encryptionSchema, null),
    ask("lifecycle", lifecycleSchema, []),
    ask("replication", replicationSchema, []),
  ])
  return {
    ...{ bucket, versioning, publicAccessBlocked, encryption, replicatedTo },
    region: region === undefined ? { unknown: "this store does not say" } : { value: region.toLowerCase() },
    lock: mapped(locking, ({ rule }) => rule),
    objectLock: mapped(locking, ({ enabled }) => enabled),
    lifecycle: mapped(lifecycle, (rules) => rules.filter(({ prefix }) => meets(prefix, ours))),
    // A thing of Google's: here a deleted version is gone.
    softDeleteDays: { value: 0 },
  }
}

async function asked<T>(schema: z.ZodType<T>, absent: T, ask: () => Promise<unknown>): Promise<Known<T>> {
  try {
    const answer = schema.safeParse(await ask())
    return answer.success ? { value: answer.data } : { unknown: "this store does not say" }
  } catch (error) {
    if (!(error instanceof SiteError)) throw error
    switch (error.code) {
      case "site/not-found":
        return { value: absent }
      case "site/denied":
        return { unknown: "the credentials may not ask" }
      case "site/unsupported":
      case "site/corrupt":
        return { unknown: "this store does not say" }
      default:
        throw error
    }
  }
}

function mapped<T, U>(known: Known<T>, to: (value: T) => U): Known<U> {
  return "unknown" in known ? known : { value: to(known.value) }
}

const versioningSchema = z.object({ Status: z.string().optional() }).transform(({ Status }) => Status === "Enabled")

const retentionSchema = z.object({ Mode: z.enum(["GOVERNANCE", "COMPLIANCE"]), Days: z.int().optional(), Years: z.int().optional() })
const lockSchema = z
  .object({
    ObjectLockConfiguration: z.object({
      ObjectLockEnabled: z.string().optional(),
      Rule: z.object({ DefaultRetention: retentionSchema.optional() }).optional(),
    }),
  })
  .transform(({ ObjectLockConfiguration: { ObjectLockEnabled, Rule } }) => {
    const retention = Rule?.DefaultRetention
    return { enabled: ObjectLockEnabled === "Enabled", rule: retention === undefined ? null : defaultLockOf(retention) }
  })

function defaultLockOf({ Mode, Days, Years = 0 }: z.infer<typeof retentionSchema>): DefaultLock {
  return { mode: Mode === "COMPLIANCE" ? "compliance" : "governance", days: Days ?? Years * 365 }
}

const flag = z.boolean().default(false)
// These two keep everybody out, whatever is set; the other two refuse to have it set, by which radosgw 16 means more.
const publicAccessSchema = z
  .object({ PublicAccessBlockConfiguration: z.object({ IgnorePublicAcls: flag, RestrictPublicBuckets: flag }) })
  .transform(({ PublicAccessBlockConfiguration: { IgnorePublicAcls, RestrictPublicBuckets } }) => IgnorePublicAcls && RestrictPublicBuckets)

const encryptionSchema = z
  .object({
    ServerSideEncryptionConfiguration: z.object({
      Rules: z.array(
        z.object({
          ApplyServerSideEncryptionByDefault: z.object({ SSEAlgorithm: z.string(), KMSMasterKeyID: z.string().optional() }).optional(),
        }),
      ),
    }),
  })
  .transform(({ ServerSideEncryptionConfiguration: { Rules } }) => {
    const used = Rules[0]?.ApplyServerSideEncryptionByDefault
    return used === undefined ? null : [used.SSEAlgorithm, used.KMSMasterKeyID ?? ""].join(" ").trim()
  })

const transition = z.object({ StorageClass: z.string().optional() })
const ruleSchema = z.object({
  ID: z.string().optional(),
  Status: z.string(),
  Prefix: z.string().optional(),
  Filter: z
    .object({
      Prefix: z.string().optional(),
      Tag: z.unknown().optional(),
      And: z.object({ Prefix: z.string().optional(), Tags: z.array(z.unknown().optional()).optional() }).optional(),
    })
    .optional(),
  Expiration: z.object({ Days: z.number().optional(), Date: z.unknown().optional() }).optional(),
  NoncurrentVersionExpiration: z.unknown().optional(),
  Transitions: z.array(transition).default([]),
  NoncurrentVersionTransitions: z.array(transition).default([]),
})

const lifecycleSchema = z.object({ Rules: z.array(ruleSchema).default([]) }).transform(({ Rules }) => Rules.flatMap(rulesOf))

function rulesOf(rule: z.infer<typeof ruleSchema>, index: number): LifecycleRule[] {
  const { Status, Filter, Expiration, NoncurrentVersionExpiration, Transitions, NoncurrentVersionTransitions } = rule
  const tagged = Filter?.Tag !== undefined || (Filter?.And?.Tags ?? []).length > 0
  // No object of ours has a tag, so that such a rule meets none.
  if (Status !== "Enabled" || tagged) return []
  const of = { name: rule.ID ?? `number ${String(index + 1)}`, prefix: rule.Prefix ?? Filter?.Prefix ?? Filter?.And?.Prefix ?? "" }
  const froze = [...Transitions, ...NoncurrentVersionTransitions].some(({ StorageClass }) => frozenReason(StorageClass) !== undefined)
  return [
    // An expiration that has neither only clears away markers behind which nothing is left.
    ...(Expiration?.Days !== undefined || Expiration?.Date !== undefined ? [{ ...of, does: "deletes" as const }] : []),
    ...(NoncurrentVersionExpiration === undefined ? [] : [{ ...of, does: "deletes-older" as const }]),
    ...(froze ? [{ ...of, does: "freezes" as const }] : []),
  ]
}

const replicationSchema = z
  .object({
    ReplicationConfiguration: z.object({
      Rules: z.array(z.object({ Status: z.string(), Destination: z.object({ Bucket: z.string() }) })).default([]),
    }),
  })
  .transform(({ ReplicationConfiguration: { Rules } }) =>
    Rules.filter(({ Status }) => Status === "Enabled").map((rule) => rule.Destination.Bucket),
  )
