import { classDaysMin } from "../limits.ts"
import type { BucketPosture, DefaultLock, Known, LifecycleRule, SitePosture } from "../site/posture.ts"
import type { SiteSettings } from "../site/settings.ts"
import { count } from "../units.ts"
import { type Finding, note, right, wrong } from "./doctor.ts"

/** What the configuration counts on at a site of buckets. */
export type BucketSettings = Exclude<SiteSettings, { kind: "directory" }>

/** What somebody should know, or act on, of what is set at a site's buckets. */
export function examinePosture(check: string, posture: SitePosture, settings: BucketSettings): Finding[] {
  return [...examineBucket(check, posture.packs, settings, "packs"), ...examineBucket(check, posture.keys, settings, "keys")]
}

type Role = "packs" | "keys"

function examineBucket(check: string, posture: BucketPosture, settings: BucketSettings, role: Role): Finding[] {
  const wrongs = [
    ...wrongLock(posture, settings, role),
    ...wrongVersioning(posture, settings),
    ...(settings.endpoint === undefined ? openAccess(posture) : []),
    ...wrongRules(posture, role),
    ...(role === "keys" ? keptKeys(posture) : []),
  ].map(({ text, hint }) => wrong(check, `${posture.bucket}: ${text}`, hint))
  const notes = notesOf(posture, settings, role).map(({ text, hint }) => note(check, `${posture.bucket}: ${text}`, hint))
  const summary = wrongs.length === 0 ? [right(check, `${posture.bucket}: ${summaryOf(posture)}`)] : []
  return [...wrongs, ...notes, ...summary]
}

interface Complaint {
  readonly text: string
  readonly hint?: string
}

/** What is known, or `fallback`. */
function knownOr<T, F>(known: Known<T>, fallback: F): T | F {
  return "unknown" in known ? fallback : known.value
}

function wrongLock({ lock, objectLock }: BucketPosture, { lock: promised }: BucketSettings, role: Role): Complaint[] {
  if (promised === undefined) return []
  const set = knownOr(lock, undefined)
  const hint = "`holdline site policy` prints how to set it"
  const complaints: Complaint[] = []
  if (set === null) complaints.push({ text: `new objects are not locked, but the configuration says lock: ${promised}`, hint })
  if (set?.mode === "governance" && promised === "compliance") {
    complaints.push({ text: "its lock can be lifted (governance), but the configuration says lock: compliance", hint })
  }
  if (role === "packs" && set && set.days < classDaysMin) {
    const text = `new objects are locked for ${count(set.days, "day")}, less than the ${String(classDaysMin)} of the quarantine`
    complaints.push({ text, hint })
  }
  if (role === "packs" && set !== null && knownOr(objectLock, true) === false) {
    complaints.push({ text: "the lock of a single object cannot be made longer, so that no class above the bucket's own days holds", hint })
  }
  return complaints
}

function wrongVersioning({ versioning }: BucketPosture, { kind }: BucketSettings): Complaint[] {
  // Google's retention needs none: nothing that is retained can be overwritten.
  if (kind === "gcs" || knownOr(versioning, true)) return []
  return [{ text: "versioning is off: an overwrite loses the good bytes, and rotten ones cannot be put aside", hint: "turn versioning on" }]
}

function openAccess({ publicAccessBlocked }: BucketPosture): Complaint[] {
  if (knownOr(publicAccessBlocked, true)) return []
  return [{ text: "public access is not blocked", hint: "block it: nothing here is for anybody without credentials" }]
}

function wrongRules({ lifecycle }: BucketPosture, role: Role): Complaint[] {
  const what: Readonly<Record<LifecycleRule["does"], string | null>> = {
    deletes: "deletes objects, whatever their class says",
    freezes: "moves objects to a storage class that must be thawed before a restore",
    "deletes-older": role === "packs" ? "deletes older versions: good bytes that were overwritten are gone with them" : null,
  }
  return knownOr(lifecycle, []).flatMap(({ name, prefix, does }) => {
    const sentence = what[does]
    const where = prefix === "" ? "everything" : prefix
    const hint = "take it away, or keep it off v1/: Holdline removes what is due"
    return sentence === null ? [] : [{ text: `lifecycle rule ${name} (${where}) ${sentence}`, hint }]
  })
}

function keptKeys({ softDeleteDays, replicatedTo }: BucketPosture): Complaint[] {
  const days = knownOr(softDeleteDays, 0)
  const copies = knownOr(replicatedTo, [])
  return [
    ...(days > 0
      ? [
          {
            text: `soft delete is on: the key of an erased account can be brought back for ${count(days, "day")}`,
            hint: "turn soft delete off at the bucket of keys",
          },
        ]
      : []),
    ...(copies.length > 0
      ? [{ text: `it is replicated to ${copies.join(", ")}, where erasing an account does not reach`, hint: "end the replication of keys" }]
      : []),
  ]
}

function notesOf(posture: BucketPosture, settings: BucketSettings, role: Role): Complaint[] {
  const { lock, region, encryption } = posture
  const unknown = unknownOf(posture)
  // Many a store of another kind has nothing to block it with, and is closed all the same.
  const open = settings.endpoint === undefined ? [] : openAccess(posture)
  const set = knownOr(lock, undefined)
  const there = knownOr(region, undefined)
  const kms = knownOr(encryption, null)
  return [
    ...(settings.lock === undefined && set === null
      ? [
          {
            text: "nothing is locked: whoever may delete here can delete every backup",
            hint: "`holdline site policy` prints how to lock it",
          },
        ]
      : []),
    ...(settings.lock === undefined && set
      ? [{ text: `new objects are locked (${lockText(set)})`, hint: `say lock: ${set.mode} at the site, so that every put is held to it` }]
      : []),
    ...(role === "keys" && set && set.days > classDaysMin
      ? [{ text: `keys are locked for ${count(set.days, "day")}: so long an account cannot be erased` }]
      : []),
    ...(there !== undefined && settings.endpoint === undefined && there !== settings.region
      ? [{ text: `it is in ${there}, and the configuration says ${settings.region}`, hint: "correct region: copies are counted by it" }]
      : []),
    ...(kms !== null && /kms|projects\//i.test(kms)
      ? [{ text: `encrypted with ${kms}: agents and restorers need the right to use that key too` }]
      : []),
    ...open,
    ...(unknown.length > 0 ? [{ text: `not known: ${unknown.join("; ")}` }] : []),
  ]
}

/** What is not known, by the reason. */
function unknownOf(posture: BucketPosture): string[] {
  const { region, versioning, lock, publicAccessBlocked, encryption, lifecycle, softDeleteDays, replicatedTo } = posture
  const named = {
    ...{ region, versioning, lock, "public access": publicAccessBlocked, encryption, lifecycle },
    ...{ "soft delete": softDeleteDays, replication: replicatedTo },
  }
  const byReason = new Map<string, string[]>()
  for (const [name, known] of Object.entries(named)) {
    if ("unknown" in known) byReason.set(known.unknown, [...(byReason.get(known.unknown) ?? []), name])
  }
  return [...byReason].map(([reason, names]) => `${names.join(", ")} (${reason})`)
}

/** What is known of a bucket, in one line. */
export function summaryOf(posture: BucketPosture): string {
  const { region, versioning, lock, publicAccessBlocked, encryption, softDeleteDays } = posture
  const set = knownOr(lock, undefined)
  const days = knownOr(softDeleteDays, 0)
  const versions = knownOr(versioning, undefined)
  const encrypted = knownOr(encryption, undefined)
  const parts = [
    knownOr(region, ""),
    versions === undefined ? "" : `versions ${versions ? "on" : "off"}`,
    set === undefined ? "" : set === null ? "no lock" : `lock ${lockText(set)}`,
    knownOr(publicAccessBlocked, false) ? "public access blocked" : "",
    encrypted === undefined ? "" : encrypted === null ? "not encrypted by the store" : `encrypted with ${encrypted}`,
    days > 0 ? `soft delete ${count(days, "day")}` : "",
  ].filter((part) => part !== "")
  return parts.length === 0 ? "there" : parts.join(", ")
}

function lockText({ mode, days }: DefaultLock): string {
  return `${mode} ${count(days, "day")}`
}
