import { describe, expect, test } from "vitest"
import { type BucketSettings, examinePosture } from "../../src/operation/posture.ts"
import type { BucketPosture } from "../../src/site/posture.ts"

const place = { bucket: "packs", keys: "keys", provider: "aws", region: "eu-west-1" }
const s3: BucketSettings = { kind: "s3", ...place, lock: "governance" }
const gcs: BucketSettings = { kind: "gcs", ...place, lock: "governance" }

const sound: BucketPosture = {
  bucket: "packs",
  region: { value: "eu-west-1" },
  versioning: { value: true },
  lock: { value: { mode: "governance", days: 28 } },
  objectLock: { value: true },
  publicAccessBlocked: { value: true },
  encryption: { value: "AES256" },
  lifecycle: { value: [] },
  softDeleteDays: { value: 0 },
  replicatedTo: { value: [] },
}

/** What is said of a site whose buckets are sound but for these changes. */
function said(changes: { packs?: Partial<BucketPosture>; keys?: Partial<BucketPosture>; settings?: BucketSettings }): string[] {
  const { packs, keys, settings = s3 } = changes
  const posture = {
    packs: { ...sound, ...packs },
    keys: { ...sound, bucket: "keys", lock: { value: { mode: "governance", days: 7 } as const }, ...keys },
  }
  return examinePosture("site s", posture, settings).map(({ state, text }) => `${state} ${text}`)
}

test("buckets that are as they should be are told in a line each", () => {
  expect(said({})).toEqual([
    "right packs: eu-west-1, versions on, lock governance 28 days, public access blocked, encrypted with AES256",
    "right keys: eu-west-1, versions on, lock governance 7 days, public access blocked, encrypted with AES256",
  ])
})

describe("is wrong:", () => {
  test.each<[string, Parameters<typeof said>[0], string]>([
    [
      "a lock that was promised and is not there",
      { packs: { lock: { value: null } } },
      "packs: new objects are not locked, but the configuration says lock: governance",
    ],
    ["the same at the bucket of keys", { keys: { lock: { value: null } } }, "keys: new objects are not locked"],
    ["a lock that can be lifted", { settings: { ...s3, lock: "compliance" } }, "packs: its lock can be lifted (governance)"],
    [
      "a lock shorter than the quarantine",
      { packs: { lock: { value: { mode: "governance", days: 7 } } } },
      "packs: new objects are locked for 7 days",
    ],
    [
      "a lock that cannot be made longer",
      { settings: gcs, packs: { objectLock: { value: false } } },
      "packs: the lock of a single object cannot be made longer",
    ],
    ["versioning off", { packs: { versioning: { value: false } } }, "packs: versioning is off"],
    ["public access", { packs: { publicAccessBlocked: { value: false } } }, "packs: public access is not blocked"],
    [
      "a rule that deletes",
      { packs: { lifecycle: { value: [{ name: "old", prefix: "v1/", does: "deletes" }] } } },
      "packs: lifecycle rule old (v1/) deletes objects",
    ],
    [
      "a rule that freezes",
      { packs: { lifecycle: { value: [{ name: "old", prefix: "", does: "freezes" }] } } },
      "packs: lifecycle rule old (everything) moves objects",
    ],
    [
      "a rule that deletes older versions of packs",
      { packs: { lifecycle: { value: [{ name: "old", prefix: "", does: "deletes-older" }] } } },
      "packs: lifecycle rule old (everything) deletes older versions",
    ],
    [
      "soft delete of keys",
      { keys: { softDeleteDays: { value: 7 } } },
      "keys: soft delete is on: the key of an erased account can be brought back for 7 days",
    ],
    ["replication of keys", { keys: { replicatedTo: { value: ["elsewhere"] } } }, "keys: it is replicated to elsewhere"],
  ])("%s", (_what, changes, text) => {
    const wrongs = said(changes).filter((line) => line.startsWith("wrong"))
    expect(wrongs.filter((line) => !line.startsWith("wrong keys: its lock"))).toEqual([expect.stringContaining(text)])
  })
})

test("what does no harm is not complained of", () => {
  const older = [{ name: "old", prefix: "", does: "deletes-older" as const }]
  const harmless = said({ keys: { lifecycle: { value: older } }, packs: { softDeleteDays: { value: 7 }, replicatedTo: { value: ["x"] } } })
  expect(harmless.filter((line) => line.startsWith("wrong"))).toEqual([])
  expect(said({ settings: gcs, packs: { versioning: { value: false } } }).filter((line) => line.startsWith("wrong"))).toEqual([])
})

test("public access is only worth knowing at a store of another kind, which may have nothing to block it with", () => {
  const elsewhere = { ...s3, endpoint: "https://s3.example.net" }
  const lines = said({ settings: elsewhere, packs: { publicAccessBlocked: { value: false } } })
  expect(lines).toContain("note packs: public access is not blocked")
})

test("is worth knowing: another region, a key of one's own, no lock at all, what is not known", () => {
  const { lock: _lock, ...unlocked } = s3
  const unknown = { unknown: "the credentials may not ask" }
  const lines = said({
    packs: {
      region: { value: "us-east-1" },
      encryption: { value: "aws:kms key-1" },
      lock: { value: null },
      lifecycle: unknown,
      replicatedTo: unknown,
    },
    settings: unlocked,
  })
  const notes = lines.filter((line) => line.startsWith("note packs"))
  expect(notes).toEqual([
    "note packs: nothing is locked: whoever may delete here can delete every backup",
    "note packs: it is in us-east-1, and the configuration says eu-west-1",
    "note packs: encrypted with aws:kms key-1: agents and restorers need the right to use that key too",
    "note packs: not known: lifecycle, replication (the credentials may not ask)",
  ])
  expect(said({ settings: unlocked })).toContain("note packs: new objects are locked (governance 28 days)")
})
