import { z } from "zod"
import type { Call } from "./call.ts"
import { Refusal } from "./refusal.ts"

const bindingSchema = z.strictObject({
  bucket: z.string(),
  role: z.string(),
  permissions: z.array(z.string()),
  member: z.string(),
  condition: z.string().optional(),
})
const policySchema = z.strictObject({ bindings: z.array(bindingSchema) })

interface Asked {
  readonly operation: string
  readonly bucket: string
  /** Empty for the bucket itself. */
  readonly key: string
}

/** Holds requests to roles and conditions of Google's IAM, as far as Holdline prints them, and remembers what of them was needed. */
export class GcsAuthority {
  #policy: z.infer<typeof policySchema> | null = null
  readonly #used = new Set<string>()

  /** From now on; null: everything is allowed. */
  follow(policy: unknown): void {
    this.#policy = policy === null ? null : policySchema.parse(policy)
    this.#used.clear()
  }

  /** Permissions that requests needed, and had, with the bucket. */
  get used(): string[] {
    return [...this.#used].sort()
  }

  check(asked: Asked, call: Call): void {
    for (const permission of neededFor(asked, call)) {
      const about = permission === "storage.objects.list" ? { ...asked, key: "" } : asked
      if (this.#has(permission, about)) continue
      throw new Refusal(403, "forbidden", `the caller does not have ${permission} access to ${asked.bucket}/${asked.key}`)
    }
  }

  #has(permission: string, { bucket, key }: Asked): boolean {
    if (this.#policy === null) return true
    const has = this.#policy.bindings.some((binding) => {
      return binding.bucket === bucket && binding.permissions.includes(permission) && holds(binding.condition, bucket, key)
    })
    if (has) this.#used.add(`${permission} ${bucket}`)
    return has
  }
}

function neededFor({ operation, bucket, key }: Asked, call: Call): string[] {
  const versions = call.store.bucket(bucket)?.versions(key) ?? []
  const isThere = versions.some(({ softDeletedAt, noncurrentSince }) => softDeletedAt === null && noncurrentSince === null)
  switch (operation) {
    case "storage.objects.get":
      // Who may not list is not told that there is nothing.
      return isThere ? [operation] : [operation, "storage.objects.list"]
    case "storage.objects.insert": {
      const replaces = isThere && call.query.get("ifGenerationMatch") !== "0"
      return ["storage.objects.create", ...(replaces ? ["storage.objects.delete"] : [])]
    }
    case "storage.objects.patch": {
      const retains = call.body.includes('"retention"')
      const overrides = call.query.get("overrideUnlockedRetention") === "true"
      return [
        "storage.objects.update",
        ...(retains ? ["storage.objects.setRetention"] : []),
        ...(overrides ? ["storage.objects.overrideUnlockedRetention"] : []),
      ]
    }
    default:
      return [operation]
  }
}

/** Of the two forms that are printed: names that start so, and logs of any agent. */
function holds(condition: string | undefined, bucket: string, key: string): boolean {
  if (condition === undefined) return true
  const name = `projects/_/buckets/${bucket}/objects/${key}`
  return condition.split(" || ").some((term) => {
    const [, start] = /^resource\.name\.startsWith\("([^"]+)"\)$/.exec(term) ?? []
    if (start !== undefined) return name.startsWith(start)
    const [, before = "", after = ""] = /^resource\.name\.extract\("([^"{]+)\{\w+\}([^"]+)"\) != ""$/.exec(term) ?? []
    if (before === "") throw new Error(`${term}: not a form that is known here`)
    return name.startsWith(before) && name.indexOf(after, before.length) > before.length
  })
}
