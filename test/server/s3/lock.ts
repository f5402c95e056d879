import type { Bucket, Version } from "../store.ts"
import { type Answer, bucketOf, type Call, xmlAnswer } from "./call.ts"
import { Refusal } from "./refusal.ts"
import { replaceVersion, versionOf } from "./version.ts"
import { document, insidesOf, textOf } from "./xml.ts"

type Retention = NonNullable<Version["retention"]>

/** Whether the bucket was made, or later set, to lock objects. */
function canLock(bucket: Bucket): boolean {
  return bucket.settings.lock === true
}

export function getLockConfiguration(call: Call): Answer {
  const bucket = bucketOf(call)
  if (!canLock(bucket))
    throw new Refusal("ObjectLockConfigurationNotFoundError", "object lock configuration does not exist for this bucket")
  const { defaultMode, defaultDays } = bucket.settings
  const rule = defaultMode === undefined ? undefined : defaultRule(String(defaultMode), Number(defaultDays))
  return xmlAnswer(document("ObjectLockConfiguration", [["ObjectLockEnabled", "Enabled"], rule]))
}

function defaultRule(mode: string, days: number) {
  return ["Rule", [["DefaultRetention", [["Mode", mode] as const, ["Days", days] as const]] as const]] as const
}

export function putLockConfiguration(call: Call): Answer {
  const bucket = bucketOf(call)
  const xml = call.body.toString()
  if (bucket.settings.versioning !== "Enabled") throw new Refusal("InvalidBucketState", "versioning must be enabled on the bucket")
  const [retention] = insidesOf(xml, "DefaultRetention")
  const mode = retention === undefined ? undefined : textOf(retention, "Mode")
  const days = retention === undefined ? undefined : Number(textOf(retention, "Days") ?? Number(textOf(retention, "Years")) * 365)
  if (retention !== undefined && (!isMode(mode) || !(Number(days) > 0)))
    throw new Refusal("MalformedXML", "the default retention is not valid")
  bucket.configure({ lock: true, defaultMode: mode, defaultDays: days })
  return { status: 200 }
}

/** The retention and hold a new version gets: of its headers, or else the bucket's default. */
export function lockOfNew(call: Call, bucket: Bucket): Pick<Version, "retention" | "holds"> {
  const { headers } = call.request
  const [mode, until, hold] = [headerOf(headers, "mode"), headerOf(headers, "retain-until-date"), headerOf(headers, "legal-hold")]
  const holds = { legal: hold === "ON", temporary: false, event: false }
  if (call.vendor.has("ignores-lock")) return { retention: null, holds: { ...holds, legal: false } }
  if (mode === undefined && until === undefined && hold === undefined)
    return { retention: defaultRetention(bucket, call.clock.now()), holds }
  if (!canLock(bucket)) throw new Refusal("InvalidRequest", "bucket is missing object lock configuration")
  if (headers["content-md5"] === undefined && Object.keys(call.given).length === 0 && call.request.method === "PUT") {
    throw new Refusal("InvalidRequest", "content-md5 or a checksum is required for a put with object lock parameters")
  }
  if ((mode === undefined) !== (until === undefined)) throw new Refusal("InvalidArgument", "mode and retain-until-date go together")
  const retention = mode === undefined ? defaultRetention(bucket, call.clock.now()) : parseRetention(mode, until, call.clock.now())
  return { retention, holds }
}

function headerOf(headers: Call["request"]["headers"], name: string): string | undefined {
  return headers[`x-amz-object-lock-${name}`]
}

function defaultRetention(bucket: Bucket, now: Date): Retention | null {
  const { defaultMode, defaultDays } = bucket.settings
  if (!canLock(bucket) || defaultMode === undefined) return null
  return { mode: String(defaultMode), until: new Date(now.getTime() + Number(defaultDays) * 86_400_000).toISOString() }
}

function parseRetention(mode: string | undefined, until: string | undefined, now: Date): Retention {
  const time = Date.parse(until ?? "")
  if (!isMode(mode) || Number.isNaN(time)) throw new Refusal("InvalidArgument", "unknown mode or date")
  if (time <= now.getTime()) throw new Refusal("InvalidArgument", "the retain until date must be in the future")
  return { mode, until: new Date(time).toISOString() }
}

function isMode(mode: string | undefined): mode is "GOVERNANCE" | "COMPLIANCE" {
  return mode === "GOVERNANCE" || mode === "COMPLIANCE"
}

/** Refuses to lose a version that is held, or retained at this moment; governance yields to whoever says that it may be bypassed. */
export function refuseLocked(version: Version, call: Call): void {
  if (version.holds.legal) throw new Refusal("AccessDenied", "access denied because object protected by object lock: legal hold")
  const { retention } = version
  if (retention === null || Date.parse(retention.until) <= call.clock.now().getTime()) return
  if (retention.mode === "GOVERNANCE" && bypasses(call)) return
  throw new Refusal("AccessDenied", "access denied because object protected by object lock")
}

function bypasses(call: Call): boolean {
  return call.request.headers["x-amz-bypass-governance-retention"]?.toLowerCase() === "true"
}

export function putRetention(call: Call): Answer {
  const bucket = bucketOf(call)
  const xml = call.body.toString()
  const version = lockable(call, bucket)
  const [mode, until] = [textOf(xml, "Mode"), textOf(xml, "RetainUntilDate")]
  // AWS takes an empty element for "no retention any more", which only governance allows.
  const wanted = mode === undefined && until === undefined ? null : parseRetention(mode, until, call.clock.now())
  replaceVersion(bucket, call.request.key, version.id, (there) => {
    refuseWeaker(there.retention, wanted, call)
    return { ...there, retention: wanted }
  })
  return { status: 200 }
}

function refuseWeaker(kept: Version["retention"], wanted: Version["retention"], call: Call): void {
  if (kept === null || Date.parse(kept.until) <= call.clock.now().getTime()) return
  const stronger = wanted !== null && wanted.until >= kept.until && (kept.mode === "GOVERNANCE" || wanted.mode === "COMPLIANCE")
  if (stronger || (kept.mode === "GOVERNANCE" && bypasses(call))) return
  throw new Refusal("AccessDenied", "access denied because object protected by object lock: it may only become longer")
}

export function getRetention(call: Call): Answer {
  const { retention } = lockable(call, bucketOf(call))
  if (retention === null) throw new Refusal("NoSuchObjectLockConfiguration", "the specified object does not have a retention")
  const content = [["Mode", retention.mode] as const, ["RetainUntilDate", retention.until] as const]
  return xmlAnswer(document("Retention", content))
}

export function putLegalHold(call: Call): Answer {
  const bucket = bucketOf(call)
  const version = lockable(call, bucket)
  const status = textOf(call.body.toString(), "Status")
  if (status !== "ON" && status !== "OFF") throw new Refusal("MalformedXML", "the status of a legal hold is ON or OFF")
  replaceVersion(bucket, call.request.key, version.id, (there) => ({ ...there, holds: { ...there.holds, legal: status === "ON" } }))
  return { status: 200 }
}

export function getLegalHold(call: Call): Answer {
  const { holds } = lockable(call, bucketOf(call))
  return xmlAnswer(document("LegalHold", [["Status", holds.legal ? "ON" : "OFF"]]))
}

function lockable(call: Call, bucket: Bucket): Version {
  if (!canLock(bucket)) throw new Refusal("InvalidRequest", "bucket is missing object lock configuration")
  return versionOf(call, bucket)
}

export function lockHeaders({ retention, holds }: Version): Record<string, string> {
  return {
    ...(retention !== null && { "x-amz-object-lock-mode": retention.mode, "x-amz-object-lock-retain-until-date": retention.until }),
    ...(holds.legal && { "x-amz-object-lock-legal-hold": "ON" }),
  }
}
