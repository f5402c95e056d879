import { z } from "zod"
import { Refusal } from "./refusal.ts"
import type { S3Request } from "./request.ts"

const statementSchema = z.strictObject({
  Sid: z.string(),
  Effect: z.enum(["Allow", "Deny"]),
  Action: z.array(z.string()),
  Resource: z.array(z.string()),
  Condition: z.strictObject({ Null: z.strictObject({ "s3:if-none-match": z.literal("false") }) }).optional(),
})
const policySchema = z.strictObject({ Version: z.literal("2012-10-17"), Statement: z.array(statementSchema) })

/** What an action of the API needs in IAM's words, where that is not its own name. */
const actions: Readonly<Record<string, string>> = {
  HeadBucket: "s3:ListBucket",
  ListObjectsV2: "s3:ListBucket",
  ListObjectVersions: "s3:ListBucketVersions",
  HeadObject: "s3:GetObject",
  GetObjectLockConfiguration: "s3:GetBucketObjectLockConfiguration",
  GetPublicAccessBlock: "s3:GetBucketPublicAccessBlock",
  GetBucketEncryption: "s3:GetEncryptionConfiguration",
  GetBucketLifecycleConfiguration: "s3:GetLifecycleConfiguration",
  GetBucketReplication: "s3:GetReplicationConfiguration",
}
const ofVersions: Readonly<Record<string, string>> = {
  GetObject: "s3:GetObjectVersion",
  HeadObject: "s3:GetObjectVersion",
  DeleteObject: "s3:DeleteObjectVersion",
}

/** Holds requests to a policy of IAM, as far as Holdline prints one, and remembers what of it was needed. */
export class S3Authority {
  #policy: z.infer<typeof policySchema> | null = null
  readonly #used = new Set<string>()

  /** From now on; null: everything is allowed. */
  follow(policy: unknown): void {
    this.#policy = policy === null ? null : policySchema.parse(policy)
    this.#used.clear()
  }

  /** Actions that requests needed, and were allowed. */
  get used(): string[] {
    return [...this.#used].sort()
  }

  check(request: S3Request, operation: string): void {
    const versioned = request.parameter("versionId") === undefined ? undefined : ofVersions[operation]
    const action = versioned ?? actions[operation] ?? `s3:${operation}`
    if (!this.allows(action, request)) throw new Refusal("AccessDenied", `not authorized to perform ${action} on ${resourceOf(request)}`)
  }

  allows(action: string, request: S3Request): boolean {
    if (this.#policy === null) return true
    const fitting = this.#policy.Statement.filter(({ Action, Resource, Condition }) => {
      const holds = Condition === undefined || request.headers["if-none-match"] !== undefined
      return holds && Action.includes(action) && Resource.some((pattern) => fits(pattern, resourceOf(request)))
    })
    const allowed = fitting.some(({ Effect }) => Effect === "Allow") && fitting.every(({ Effect }) => Effect === "Allow")
    if (allowed) this.#used.add(action)
    return allowed
  }
}

function resourceOf({ bucket, key }: S3Request): string {
  return `arn:aws:s3:::${bucket}${key === "" ? "" : `/${key}`}`
}

function fits(pattern: string, resource: string): boolean {
  const parts = pattern.split("*").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
  return new RegExp(`^${parts.join(".*")}$`).test(resource)
}
