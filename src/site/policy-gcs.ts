import { classDaysMin, keyLockDays } from "../limits.ts"
import { actorOf, createdBy, keysPrefix, type PolicyRequest, type Role, roles } from "./policy.ts"
import { terraformName } from "./policy-s3.ts"
import type { SiteSettings } from "./settings.ts"

export type GcsSettings = Extract<SiteSettings, { kind: "gcs" }>

/** Permissions that go together, given at a bucket, perhaps for some names only. */
interface GcsGrant {
  /** Ends the custom role's name. */
  readonly name: string
  readonly bucket: string
  readonly permissions: readonly string[]
  /** Names of objects it is for; absent: all. Permissions for a bucket itself cannot have any. */
  readonly prefixes?: readonly string[]
  /** The name of agents' logs, whoever they are. */
  readonly andLogs?: boolean
}

/** A role of Google's IAM, and where it is given. */
export interface GcsBinding {
  readonly bucket: string
  readonly role: string
  readonly permissions: readonly string[]
  readonly member: string
  readonly condition?: string
}

/** What a role may do, and nothing else: each permission is one that a request of the client needs. */
function gcsPolicy(settings: GcsSettings, role: Role, request: PolicyRequest): readonly GcsBinding[] {
  const of: Readonly<Record<Role, () => readonly GcsGrant[]>> = {
    agent: () => agentGrants(settings, request.agent),
    keeper: () => keeperGrants(settings),
    restorer: () => restorerGrants(settings),
  }
  return of[role]().map((grant) => {
    const condition = conditionOf(grant)
    return {
      bucket: grant.bucket,
      role: `holdline.${role}.${grant.name}`,
      permissions: grant.permissions,
      member: `serviceAccount:${accountOf(role, request)}@PROJECT.iam.gserviceaccount.com`,
      ...(condition !== undefined && { condition }),
    }
  })
}

/** A service account's id has at most 30 characters. */
function accountOf(role: Role, request: PolicyRequest): string {
  return `holdline-${actorOf(role, request)}`.slice(0, 30).replace(/-+$/, "")
}

const reading = ["storage.objects.get"]
const listing = ["storage.objects.list"]

function agentGrants({ bucket, keys, lock }: GcsSettings, agent: string): GcsGrant[] {
  const look = lock === "compliance" ? [...listing, "storage.buckets.get"] : listing
  const created = createdBy(agent)
  return [
    { name: "see", bucket, permissions: look },
    { name: "see", bucket: keys, permissions: look },
    // There is no object v1/time: the answer that says so has the server's time.
    { name: "read", bucket, permissions: reading, prefixes: [...created, "v1/time"], andLogs: true },
    { name: "create", bucket, permissions: ["storage.objects.create"], prefixes: created },
    { name: "keys", bucket: keys, permissions: [...reading, "storage.objects.create"], prefixes: [keysPrefix] },
  ]
}

function keeperGrants({ bucket, keys }: GcsSettings): GcsGrant[] {
  const see = [...listing, "storage.buckets.get"]
  const mend = [...reading, "storage.objects.create", "storage.objects.update", "storage.objects.setRetention"]
  return [
    { name: "see", bucket, permissions: see },
    { name: "see", bucket: keys, permissions: see },
    // To delete is also to replace: Google asks for it where a name is taken.
    { name: "keep", bucket, permissions: [...mend, "storage.objects.delete"], prefixes: ["v1/"] },
    // Never to delete here: erasing an account takes credentials that are given for it.
    { name: "keys", bucket: keys, permissions: mend, prefixes: [keysPrefix] },
  ]
}

function restorerGrants({ bucket, keys }: GcsSettings): GcsGrant[] {
  return [bucket, keys].map((each) => ({ name: "read", bucket: each, permissions: [...listing, ...reading] }))
}

function conditionOf({ bucket, prefixes, andLogs = false }: GcsGrant): string | undefined {
  if (prefixes === undefined) return undefined
  const object = `projects/_/buckets/${bucket}/objects/`
  const starts = prefixes.map((prefix) => `resource.name.startsWith("${object}${prefix}")`)
  const logs = andLogs ? [`resource.name.extract("${object}v1/{agent}/log/") != ""`] : []
  return [...starts, ...logs].join(" || ")
}

export function gcsDocument(settings: GcsSettings, role: Role | undefined, request: PolicyRequest): object {
  if (role !== undefined) return { bindings: gcsPolicy(settings, role, request) }
  return Object.fromEntries(roles.map((each) => [each, { bindings: gcsPolicy(settings, each, request) }]))
}

function bucketPlans({ bucket, keys, region }: GcsSettings) {
  return [
    { name: bucket, resource: "packs", region, days: classDaysMin, softDeleteDays: 7 },
    { name: keys, resource: "keys", region, days: keyLockDays, softDeleteDays: 0 },
  ] as const
}

/** Commands of gcloud that make the buckets, the accounts and their roles. */
export function gcsCommands(settings: GcsSettings, chosen: readonly Role[], request: PolicyRequest): string {
  const made = bucketPlans(settings).flatMap(({ name, region, days, softDeleteDays }) => [
    `gcloud storage buckets create gs://${name} --location=${region} --uniform-bucket-level-access --public-access-prevention \\`,
    `  --enable-per-object-retention --retention-period=${String(days)}d --soft-delete-duration=${softDeleteDays === 0 ? "0" : `${String(softDeleteDays)}d`}`,
    ...(settings.lock === "compliance"
      ? [`gcloud storage buckets update gs://${name} --lock-retention-period # not even Google undoes it`]
      : []),
    "",
  ])
  const accounts = chosen.flatMap((role) => {
    const bindings = gcsPolicy(settings, role, request)
    return [
      `gcloud iam service-accounts create ${accountOf(role, request)} --project=PROJECT`,
      ...customRoles(bindings).map(
        ({ id, permissions }) => `gcloud iam roles create ${id} --project=PROJECT --stage=GA --permissions=${permissions.join(",")}`,
      ),
      ...bindings.flatMap(bindingCommand),
      "",
    ]
  })
  return [...made, ...accounts].join("\n").trimEnd()
}

function bindingCommand({ bucket, role, member, condition }: GcsBinding): string[] {
  const command = `gcloud storage buckets add-iam-policy-binding gs://${bucket} --member=${member} --role=projects/PROJECT/roles/${role}`
  if (condition === undefined) return [`${command} --condition=None`]
  return [`${command} --condition-from-file=/dev/stdin <<'JSON'`, JSON.stringify({ title: conditionTitle, expression: condition }), "JSON"]
}

const conditionTitle = "only Holdline's own names"

/** Each custom role once, although it may be given at both buckets. */
function customRoles(bindings: readonly GcsBinding[]): { readonly id: string; readonly permissions: readonly string[] }[] {
  const byId = new Map(bindings.map(({ role, permissions }) => [role, { id: role, permissions }]))
  return [...byId.values()]
}

/** The same for Terraform's provider of Google. */
export function gcsTerraform(settings: GcsSettings, chosen: readonly Role[], request: PolicyRequest): string {
  const site = terraformName(request.site)
  const made = bucketPlans(settings).map((plan) => bucketTerraform(site, plan, settings))
  const accounts = chosen.flatMap((role) => {
    const bindings = gcsPolicy(settings, role, request)
    return [
      `resource "google_service_account" "${terraformName(accountOf(role, request))}" {\n  account_id = "${accountOf(role, request)}"\n}`,
      ...customRoles(bindings).map(
        ({ id, permissions }) =>
          `resource "google_project_iam_custom_role" "${resourceName(id)}" {\n  role_id     = "${id}"\n  title       = "${id}"\n  permissions = ${JSON.stringify(permissions)}\n}`,
      ),
      ...bindings.map((binding) =>
        bindingTerraform(binding, { account: terraformName(accountOf(role, request)), site, packs: settings.bucket }),
      ),
    ]
  })
  return [...made, ...accounts].join("\n\n")
}

function resourceName(role: string): string {
  return role.replaceAll(".", "_")
}

function bucketTerraform(site: string, plan: ReturnType<typeof bucketPlans>[number], { lock }: GcsSettings): string {
  return `resource "google_storage_bucket" "${site}_${plan.resource}" {
  name                        = "${plan.name}"
  location                    = "${plan.region}"
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  enable_object_retention     = true

  retention_policy {
    retention_period = ${String(plan.days * 86_400)}
    is_locked        = ${String(lock === "compliance")}
  }

  soft_delete_policy {
    retention_duration_seconds = ${String(plan.softDeleteDays * 86_400)}
  }

  lifecycle {
    prevent_destroy = true
  }
}`
}

interface Placed {
  readonly account: string
  readonly site: string
  /** The bucket of packs. */
  readonly packs: string
}

function bindingTerraform({ bucket, role, condition }: GcsBinding, { account, site, packs }: Placed): string {
  const which = bucket === packs ? "packs" : "keys"
  const expression = condition === undefined ? undefined : JSON.stringify(condition)
  const conditional =
    expression === undefined ? "" : `\n\n  condition {\n    title      = "${conditionTitle}"\n    expression = ${expression}\n  }`
  return `resource "google_storage_bucket_iam_member" "${site}_${account}_${resourceName(role)}_${which}" {
  bucket = google_storage_bucket.${site}_${which}.name
  role   = google_project_iam_custom_role.${resourceName(role)}.id
  member = "serviceAccount:\${google_service_account.${account}.email}"${conditional}
}`
}
