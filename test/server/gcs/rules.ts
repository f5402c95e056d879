import type { Bucket, Version } from "../store.ts"
import type { Call } from "./call.ts"
import { invalid, Refusal } from "./refusal.ts"
import { type GivenObject, policyExpiry, softDeleteSeconds } from "./resource.ts"

/** The version that answers to the bare name. */
export function liveOf(versions: readonly Version[]): Version | undefined {
  return versions.find(({ noncurrentSince, softDeletedAt }) => noncurrentSince === null && softDeletedAt === null)
}

/** The live version, or the one of the generation asked for. */
export function versionOf(call: Call, bucket: Bucket, key: string): Version {
  const generation = call.query.get("generation")
  const versions = bucket.versions(key).filter(({ softDeletedAt }) => softDeletedAt === null)
  const found = generation === null ? liveOf(versions) : versions.find((version) => version.generation === generation)
  if (found === undefined) throw noSuchObject(bucket, key)
  return found
}

export function noSuchObject(bucket: Bucket, key: string): Refusal {
  return new Refusal(404, "notFound", `No such object: ${bucket.name}/${key}`)
}

/** Refuses by the conditions of the request; `found` is what it is about. Always before any question of retention. */
export function checkConditions(query: URLSearchParams, found: Version | undefined, reading = false): void {
  const generation = found?.generation ?? "0"
  const metageneration = String(found?.metageneration ?? 0)
  const conditions = [
    { name: "ifGenerationMatch", met: (value: string) => value === generation, status: 412 },
    { name: "ifMetagenerationMatch", met: (value: string) => value === metageneration, status: 412 },
    { name: "ifGenerationNotMatch", met: (value: string) => value !== generation, status: reading ? 304 : 412 },
    { name: "ifMetagenerationNotMatch", met: (value: string) => value !== metageneration, status: reading ? 304 : 412 },
  ]
  for (const { name, met, status } of conditions) {
    const value = query.get(name)
    if (value === null) continue
    if (!/^\d+$/.test(value)) throw invalid(`Invalid value for: ${name}`)
    if (!met(value)) throw new Refusal(status, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
  }
}

/** A hold keeps a version from being deleted, overwritten and made noncurrent. */
export function checkHolds(bucket: Bucket, key: string, { holds }: Version): void {
  const hold = holds.temporary ? "Temporary" : holds.event ? "Event-Based" : undefined
  if (hold === undefined) return
  const what = `Object '${bucket.name}/${key}' is under active ${hold} hold`
  throw new Refusal(403, "forbidden", `${what} and cannot be deleted, overwritten or archived until hold is removed.`)
}

/** The bucket's policy and the object's own retention keep a version from being removed for good. */
function checkRetention(bucket: Bucket, key: string, version: Version, now: Date): void {
  const own = version.retention === null ? [] : [new Date(version.retention.until)]
  const policy = policyExpiry(bucket, version)
  const until = [...own, ...(policy === undefined ? [] : [policy])].sort((a, b) => b.getTime() - a.getTime())[0]
  if (until === undefined || until.getTime() <= now.getTime()) return
  const what = `Object '${bucket.name}/${key}' is subject to bucket's retention policy or object retention`
  throw new Refusal(403, "retentionPolicyNotMet", `${what} and cannot be deleted or overwritten until ${until.toISOString()}`)
}

/** The versions once `made` is the live one: what was live before is noncurrent, soft-deleted or gone. */
export function overwritten(bucket: Bucket, key: string, { made, there, now }: Overwriting): readonly Version[] {
  return [made, ...withoutLive(bucket, key, { there, now })]
}

export interface Overwriting {
  readonly made: Version
  readonly there: readonly Version[]
  readonly now: Date
}

/** The versions once nothing answers to the bare name. */
export function withoutLive(bucket: Bucket, key: string, { there, now }: Omit<Overwriting, "made">): readonly Version[] {
  const live = liveOf(there)
  if (live === undefined) return stillThere(bucket, there, now)
  checkHolds(bucket, key, live)
  if (isVersioned(bucket)) {
    const noncurrent = { ...live, noncurrentSince: now.toISOString() }
    return stillThere(
      bucket,
      there.map((version) => (version === live ? noncurrent : version)),
      now,
    )
  }
  return removed(bucket, key, { there, gone: live, now })
}

/** The versions once `gone` is out of every ordinary listing. */
export function removed(bucket: Bucket, key: string, { there, gone, now }: Removing): readonly Version[] {
  checkHolds(bucket, key, gone)
  checkRetention(bucket, key, gone, now)
  const softly = softDeleteSeconds(bucket) > 0
  return stillThere(
    bucket,
    there.flatMap((version) => (version !== gone ? [version] : softly ? [{ ...version, softDeletedAt: now.toISOString() }] : [])),
    now,
  )
}

export interface Removing {
  readonly there: readonly Version[]
  readonly gone: Version
  readonly now: Date
}

/** Without what was soft-deleted longer ago than the bucket's policy says. */
export function stillThere(bucket: Bucket, versions: readonly Version[], now: Date): readonly Version[] {
  const oldest = now.getTime() - softDeleteSeconds(bucket) * 1000
  return versions.filter(({ softDeletedAt }) => softDeletedAt === null || new Date(softDeletedAt).getTime() > oldest)
}

function isVersioned(bucket: Bucket): boolean {
  return JSON.stringify(bucket.settings.versioning ?? {}) === '{"enabled":true}'
}

/** The retention that a request leaves behind; a locked one only grows, an unlocked one shrinks only when that is said. */
export function retentionAfter(call: Call, bucket: Bucket, before: Version["retention"], given: GivenObject): Version["retention"] {
  if (given.retention === undefined) return before
  if (bucket.settings.objectRetention === undefined) throw invalid("Object retention is not enabled for this bucket")
  const after = given.retention === null ? null : { mode: given.retention.mode, until: given.retention.retainUntilTime }
  if (after !== null && new Date(after.until) <= call.clock.now()) throw invalid("Retain until time must be in the future")
  if (before === null) return after
  const shrinks = after === null || new Date(after.until) < new Date(before.until)
  if (before.mode === "Locked" && (shrinks || after?.mode !== "Locked")) {
    throw new Refusal(403, "forbidden", "Object retention is locked: it can neither be reduced nor removed")
  }
  const overridden = call.query.get("overrideUnlockedRetention") === "true"
  if (before.mode === "Unlocked" && (shrinks || after?.mode === "Locked") && !overridden) {
    throw new Refusal(403, "forbidden", "overrideUnlockedRetention must be true to reduce, remove or lock a retention")
  }
  return after
}
