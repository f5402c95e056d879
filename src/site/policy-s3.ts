import { classDaysMin, keyLockDays } from "../limits.ts"
import { actorOf, createdBy, keysPrefix, type PolicyRequest, type Role, roles } from "./policy.ts"
import type { SiteSettings } from "./settings.ts"

export type S3Settings = Extract<SiteSettings, { kind: "s3" }>

interface Statement {
  readonly Sid: string
  readonly Effect: "Allow" | "Deny"
  readonly Action: readonly string[]
  readonly Resource: readonly string[]
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string>>>>
}

/** A policy document of AWS's IAM; other stores read the same. */
export interface S3Policy {
  readonly Version: "2012-10-17"
  readonly Statement: readonly Statement[]
}

/** What a role may do, and nothing else: each action is one that the client performs for it. */
function s3Policy(settings: S3Settings, role: Role, { agent }: PolicyRequest): S3Policy {
  const of: Readonly<Record<Role, () => readonly Statement[]>> = {
    agent: () => agentStatements(settings, agent),
    keeper: () => keeperStatements(settings),
    restorer: () => restorerStatements(settings),
  }
  return { Version: "2012-10-17", Statement: [...of[role](), ...never(settings, role)] }
}

function agentStatements(settings: S3Settings, agent: string): Statement[] {
  const { bucket, keys, lock } = settings
  const created = [...createdBy(agent).map((prefix) => objects(bucket, `${prefix}*`)), objects(keys, `${keysPrefix}*`)]
  const look = lock === undefined ? ["s3:GetObject"] : ["s3:GetObject", "s3:GetObjectRetention"]
  return [
    allow("SeeWhatIsThere", ["s3:ListBucket"], buckets(settings)),
    allow("ReadOwnAndSigned", look, [...created, objects(bucket, everyLog)]),
    { ...allow("Create", ["s3:PutObject"], created), ...onlyWhatIsNew(settings) },
  ]
}

/** An agent's packs are read by no other; logs are: what keepers have decided stands there. */
const everyLog = "v1/*/log/*"

// A name that is taken keeps its bytes, whatever a host that was taken over sends. Other stores may not know the condition.
function onlyWhatIsNew({ endpoint, createOnly }: S3Settings): Pick<Statement, "Condition"> {
  if (endpoint !== undefined || createOnly === false) return {}
  return { Condition: { Null: { "s3:if-none-match": "false" } } }
}

function keeperStatements(settings: S3Settings): Statement[] {
  const { bucket, keys } = settings
  const everything = [objects(bucket, "v1/*"), objects(keys, `${keysPrefix}*`)]
  const read = ["s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectRetention"]
  return [
    allow("SeeWhatIsThere", ["s3:ListBucket", "s3:ListBucketVersions"], buckets(settings)),
    allow("SeeWhatIsSet", postureActions, buckets(settings)),
    allow("Read", read, everything),
    allow("Mend", ["s3:PutObject"], everything),
    allow("Lock", ["s3:PutObjectRetention"], everything),
    // Never in the bucket of keys: erasing an account takes credentials that are given for it.
    allow("Expire", ["s3:DeleteObjectVersion"], [objects(bucket, "v1/*")]),
  ]
}

const postureActions = [
  "s3:GetBucketVersioning",
  "s3:GetBucketObjectLockConfiguration",
  "s3:GetBucketPublicAccessBlock",
  "s3:GetEncryptionConfiguration",
  "s3:GetLifecycleConfiguration",
  "s3:GetReplicationConfiguration",
]

function restorerStatements(settings: S3Settings): Statement[] {
  const { bucket, keys } = settings
  return [
    allow("SeeWhatIsThere", ["s3:ListBucket", "s3:ListBucketVersions"], buckets(settings)),
    allow("Read", ["s3:GetObject", "s3:GetObjectVersion"], [objects(bucket, "v1/*"), objects(keys, `${keysPrefix}*`)]),
  ]
}

// Beside what is not allowed: so that no other policy of the same credentials can give it.
function never({ bucket, keys }: S3Settings, role: Role): Statement[] {
  const deleting = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
  const lifting = ["s3:BypassGovernanceRetention", "s3:PutBucketObjectLockConfiguration", "s3:PutLifecycleConfiguration"]
  const kept = role === "keeper" ? [objects(keys, "*")] : [objects(bucket, "*"), objects(keys, "*")]
  const everywhere = [bucket, keys].flatMap((name) => [arn(name), objects(name, "*")])
  return [
    { Sid: "NeverLift", Effect: "Deny", Action: lifting, Resource: everywhere },
    { Sid: "NeverDelete", Effect: "Deny", Action: deleting, Resource: kept },
  ]
}

function allow(Sid: string, Action: readonly string[], Resource: readonly string[]): Statement {
  return { Sid, Effect: "Allow", Action, Resource }
}

function buckets({ bucket, keys }: S3Settings): string[] {
  return [arn(bucket), arn(keys)]
}

function arn(bucket: string): string {
  return `arn:aws:s3:::${bucket}`
}

function objects(bucket: string, pattern: string): string {
  return `${arn(bucket)}/${pattern}`
}

/** The two buckets, as commands and as Terraform make them. */
function bucketPlans({ bucket, keys, lock = "governance" }: S3Settings) {
  const mode = lock.toUpperCase()
  return [
    { name: bucket, resource: "packs", mode, days: classDaysMin },
    { name: keys, resource: "keys", mode, days: keyLockDays },
  ] as const
}

/** Commands of the AWS CLI that make the buckets, and a policy for each of the roles. */
export function s3Commands(settings: S3Settings, chosen: readonly Role[], request: PolicyRequest): string {
  const { endpoint, region } = settings
  const at = endpoint === undefined ? `--region ${region}` : `--endpoint-url ${endpoint}`
  const place = endpoint === undefined && region !== "us-east-1" ? ` --create-bucket-configuration LocationConstraint=${region}` : ""
  // Ceph's gateway of version 16 takes these two for a refusal of every upload and of every policy; the others have their effect.
  const refuses = String(endpoint === undefined)
  const made = bucketPlans(settings).flatMap(({ name, mode, days }) => [
    `aws s3api create-bucket ${at} --bucket ${name} --object-lock-enabled-for-bucket${place}`,
    `aws s3api put-bucket-versioning ${at} --bucket ${name} --versioning-configuration Status=Enabled`,
    `aws s3api put-object-lock-configuration ${at} --bucket ${name} --object-lock-configuration \\`,
    `  'ObjectLockEnabled=Enabled,Rule={DefaultRetention={Mode=${mode},Days=${String(days)}}}'`,
    `aws s3api put-public-access-block ${at} --bucket ${name} --public-access-block-configuration \\`,
    `  'BlockPublicAcls=${refuses},IgnorePublicAcls=true,BlockPublicPolicy=${refuses},RestrictPublicBuckets=true'`,
    "",
  ])
  const policies = chosen.flatMap((role) => [
    `aws iam create-policy --policy-name ${policyName(role, request)} --policy-document '${JSON.stringify(s3Policy(settings, role, request))}'`,
  ])
  const note = endpoint === undefined ? [] : ["# Where the store has IAM of its own, make these policies there."]
  return [...made, ...note, ...policies].join("\n")
}

function policyName(role: Role, request: PolicyRequest): string {
  return `holdline-${request.site}-${actorOf(role, request)}`
}

/** The same for Terraform's provider of AWS. */
export function s3Terraform(settings: S3Settings, chosen: readonly Role[], request: PolicyRequest): string {
  const site = terraformName(request.site)
  const made = bucketPlans(settings).map(({ name, resource, mode, days }) =>
    bucketTerraform({ name, id: `${site}_${resource}`, mode, days }),
  )
  const policies = chosen.map((role) =>
    [
      `resource "aws_iam_policy" "${site}_${terraformName(actorOf(role, request))}" {`,
      `  name   = "${policyName(role, request)}"`,
      "  policy = <<-JSON",
      ...indented(JSON.stringify(s3Policy(settings, role, request), null, 2), "    "),
      "  JSON",
      "}",
    ].join("\n"),
  )
  return [...made, ...policies].join("\n\n")
}

interface BucketTerraform {
  readonly name: string
  readonly id: string
  readonly mode: string
  readonly days: number
}

function bucketTerraform({ name, id, mode, days }: BucketTerraform): string {
  return `resource "aws_s3_bucket" "${id}" {
  bucket              = "${name}"
  object_lock_enabled = true

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_versioning" "${id}" {
  bucket = aws_s3_bucket.${id}.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_object_lock_configuration" "${id}" {
  bucket = aws_s3_bucket.${id}.id

  rule {
    default_retention {
      mode = "${mode}"
      days = ${String(days)}
    }
  }

  depends_on = [aws_s3_bucket_versioning.${id}]
}

resource "aws_s3_bucket_public_access_block" "${id}" {
  bucket                  = aws_s3_bucket.${id}.id
  block_public_acls       = true
  ignore_public_acls      = true
  block_public_policy     = true
  restrict_public_buckets = true
}`
}

/** Terraform's names have no dashes by custom. */
export function terraformName(name: string): string {
  return name.replaceAll("-", "_")
}

function indented(text: string, indent: string): string[] {
  return text.split("\n").map((line) => `${indent}${line}`)
}

/** One document for one role, or one for each, by its name. */
export function s3Document(settings: S3Settings, role: Role | undefined, request: PolicyRequest): object {
  if (role !== undefined) return s3Policy(settings, role, request)
  return Object.fromEntries(roles.map((each) => [each, s3Policy(settings, each, request)]))
}
