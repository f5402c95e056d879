import { readFile, writeFile } from "node:fs/promises"
import { expect, onTestFinished, test } from "vitest"
import { z } from "zod"
import { gcsStandIn } from "../server/gcs/stand-in.ts"
import { makeBucket } from "../server/gcs/start.ts"
import type { VendorMode } from "../server/s3/call.ts"
import { accessKey, type S3StandIn, s3StandIn, secretKey } from "../server/s3/connect.ts"
import type { StandIn } from "../server/server.ts"
import type { Json } from "../server/store.ts"
import { type Place, place } from "../setup/holdline.ts"

const config = ["--config", "q/config/holdline.yaml"]
const blocked = `<PublicAccessBlockConfiguration>${["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"]
  .map((name) => `<${name}>true</${name}>`)
  .join("")}</PublicAccessBlockConfiguration>`
const lockedS3 = { versioning: "Enabled", lock: true, defaultMode: "GOVERNANCE", defaultDays: 28, publicAccessBlock: blocked }
const lockedGcs = {
  retentionPolicy: { retentionPeriod: "2419200" },
  objectRetention: { mode: "Enabled" },
  iamConfiguration: { publicAccessPrevention: "enforced" },
  softDeletePolicy: { retentionDurationSeconds: "0" },
}

interface Given {
  readonly vendor?: readonly VendorMode[]
  readonly s3?: Readonly<Record<string, Json>>
  readonly settings?: string
}

/** A quick start whose second site is at a stand-in for S3 and whose third is at one for GCS. */
async function host({ vendor = [], s3: set = lockedS3, settings = "lock: governance" }: Given = {}) {
  const at = await place()
  const [s3, gcs] = [await s3StandIn({ vendor }), await gcsStandIn()]
  onTestFinished(async () => {
    await s3.stop()
    await at[Symbol.asyncDispose]()
    expect(s3.mistakes).toEqual([])
  })
  for (const bucket of ["vault", "vault-keys"]) {
    s3.store.createBucket(bucket, set)
    makeBucket(gcs, bucket, lockedGcs)
  }
  expect((await at.run(["--agent", "pbx", "init", "host", "--dir", "q", "--recipients", "x25519"])).exit).toBe(0)
  await writeSites(at, s3, gcs, settings)
  return { at, s3, gcs, check: (...args: string[]) => at.run([...config, "site", "check", ...args], { now: new Date() }) }
}

async function writeSites(at: Place, s3: S3StandIn, gcs: StandIn, settings: string): Promise<void> {
  const path = at.path("q/config/holdline.yaml")
  const file = at.path("credentials")
  await writeFile(file, `aws_access_key_id=${accessKey}\naws_secret_access_key=${secretKey}\n`, { mode: 0o600 })
  const buckets = "bucket: vault, keys: vault-keys, provider: own, region: here"
  const text = await readFile(path, "utf8")
  const two = `{kind: s3, ${buckets}, zone: two, signingRegion: us-east-1, endpoint: "${s3.endpoint}", credentials: {file: ${file}}${settings === "" ? "" : `, ${settings}`}}`
  const three = `{kind: gcs, ${buckets}, zone: three, endpoint: "${gcs.endpoint}", lock: governance}`
  await writeFile(path, text.replace(/^ {2}two: .*$/m, `  two: ${two}`).replace(/^ {2}three: .*$/m, `  three: ${three}`))
}

function rowsOf(stdout: string): Record<string, string> {
  return Object.fromEntries(
    [...stdout.matchAll(/^ {3}(\S.*?) {2,}(yes|no|unknown)\b/gm)].map(([, ability = "", answer = ""]) => [ability, answer]),
  )
}

const everything = {
  "keeps and gives back what it is given": "yes",
  "lists at once, in the order of the keys": "yes",
  "gives back exactly the part asked for": "yes",
  "refuses a name that is taken": "yes",
  "refuses bytes that do not fit their checksum": "yes",
  "keeps the versions behind a name": "yes",
  "locks what it is given": "yes",
  "refuses these credentials to delete": "yes",
}

test("a bucket that can do everything is told so, and what is set there is shown", async () => {
  const { check } = await host()
  const { exit, stdout, stderr } = await check("two")
  expect({ exit, stderr }, stdout).toEqual({ exit: 0, stderr: "" })
  expect(rowsOf(stdout)).toEqual(everything)
  expect(stdout).toContain("vault: us-east-1, versions on, lock governance 28 days, public access blocked")
  const gcs = await check("three")
  expect(gcs.exit, gcs.stdout).toBe(0)
  expect(rowsOf(gcs.stdout)).toEqual({ ...everything, "keeps the versions behind a name": "no" })
})

test("a directory is tried too, and needs no bucket's virtues", async () => {
  const { check } = await host()
  const { exit, stdout } = await check("one")
  expect(exit, stdout).toBe(0)
  expect(rowsOf(stdout)).toMatchObject({
    "lists at once, in the order of the keys": "yes",
    "refuses a name that is taken": "yes",
    "locks what it is given": "no",
  })
})

test("the same four small objects stay behind, however often it is asked, all below the agent's own prefix", async () => {
  const { check, s3, gcs } = await host()
  for (let times = 0; times < 3; times++) expect((await check("two", "three")).exit).toBe(0)
  for (const { store } of [s3, gcs]) {
    const kept = store.bucket("vault")
    const keys = [...(kept?.keys() ?? [])]
    expect(keys).toHaveLength(4)
    for (const key of keys) {
      expect(key).toMatch(/^v1\/pbx\/check\//)
      expect(kept?.versions(key), key).toHaveLength(1)
      expect(kept?.latest(key)?.size).toBeLessThan(120)
    }
    expect([...(store.bucket("vault-keys")?.keys() ?? [])]).toEqual([])
  }
})

test.each([
  ["without names", []],
  ["with --read-only", ["two", "--read-only"]],
])("nothing is written %s", async (_how, args) => {
  const { check, s3, gcs } = await host()
  const { exit, stdout } = await check(...args)
  expect(exit, stdout).toBe(0)
  expect([...s3.requests.keys(), ...gcs.requests.keys()].filter((name) => /put|post|delete|insert|patch/i.test(name))).toEqual([])
  expect(rowsOf(stdout)).toEqual({})
})

test("nothing is written on a host that only restores", async () => {
  const { at, check, s3 } = await host()
  const path = at.path("q/config/holdline.yaml")
  await writeFile(path, (await readFile(path, "utf8")).replace(/^signingKey:.*$/m, ""))
  expect((await check("two")).exit).toBe(0)
  expect([...s3.requests.keys()].filter((name) => /put|delete/i.test(name))).toEqual([])
})

test.each<[string, Given, string, RegExp | null]>([
  ["overlooks conditions", { vendor: ["ignores-conditions"] }, "refuses a name that is taken", /say `createOnly: false`/],
  [
    "overlooks conditions, as the configuration knows",
    { vendor: ["ignores-conditions"], settings: "lock: governance, createOnly: false" },
    "refuses a name that is taken",
    null,
  ],
  [
    "knows no conditions",
    { vendor: ["no-conditions"], settings: "lock: governance, createOnly: false" },
    "refuses a name that is taken",
    null,
  ],
  [
    "overlooks checksums",
    { vendor: ["no-trailers"], settings: "lock: governance, checksums: required" },
    "refuses bytes that do not fit their checksum",
    null,
  ],
  [
    "keeps no versions and locks nothing",
    { s3: { publicAccessBlock: blocked }, settings: "" },
    "locks what it is given",
    /versioning is off/,
  ],
])("a store that %s is told for it", async (_what, given, ability, finding) => {
  const { check } = await host(given)
  const first = await check("two")
  expect(rowsOf(first.stdout), first.stdout).toMatchObject({ [ability]: "no" })
  expect(first.exit).toBe(finding === null ? 0 : 6)
  if (finding !== null) expect(first.stdout).toMatch(finding)
  const again = await check("two")
  expect({ ...again, stdout: rowsOf(again.stdout) }, "the second time as the first").toMatchObject({
    exit: first.exit,
    stdout: rowsOf(first.stdout),
  })
})

test("a lock that was promised and is not there is found, without trying further", async () => {
  const { check } = await host({ s3: { versioning: "Enabled", publicAccessBlock: blocked } })
  const { exit, stdout } = await check("two")
  expect(exit).toBe(6)
  expect(stdout).toContain("vault: new objects are not locked, but the configuration says lock: governance")
  expect(rowsOf(stdout)).toEqual({ "keeps and gives back what it is given": "no" })
})

test("credentials that may not write are no finding: what they cannot find out is unknown", async () => {
  const { check, s3 } = await host()
  s3.faults.plan({ operation: "PutObject", action: { kind: "status", status: 403, code: "AccessDenied" } })
  const { exit, stdout } = await check("two")
  expect(exit).toBe(0)
  expect(rowsOf(stdout)).toEqual({ "keeps and gives back what it is given": "unknown" })
})

test("the doctor says what is set wrong, and where the rights of an agent end", async () => {
  const rule = "<Rule><ID>tidy</ID><Status>Enabled</Status><Prefix></Prefix><Expiration><Days>30</Days></Expiration></Rule>"
  const { at, s3, gcs } = await host({ s3: { ...lockedS3, lifecycle: `<LifecycleConfiguration>${rule}</LifecycleConfiguration>` } })
  gcs.store.bucket("vault-keys")?.configure({ softDeletePolicy: { retentionDurationSeconds: "604800" } })
  s3.faults.plan({ operation: "GetBucketReplication", action: { kind: "status", status: 403, code: "AccessDenied" } })
  const { exit, stdout } = await at.run([...config, "doctor"], { now: new Date() })
  expect(exit).toBe(6)
  expect(stdout).toContain("site two         vault: lifecycle rule tidy (everything) deletes objects, whatever their class says")
  expect(stdout).toContain("site two         vault: not known: replication (the credentials may not ask)")
  expect(stdout).toContain("site three       vault-keys: soft delete is on: the key of an erased account can be brought back for 7 days")
  expect(stdout).toContain("site three       vault: eu, versions off, lock governance 28 days")
})

const recordSchema = z.object({
  type: z.literal("site"),
  abilities: z.array(z.object({ ability: z.string(), answer: z.string(), text: z.string(), isFinding: z.boolean() })),
  posture: z.object({ packs: z.object({ lock: z.object({ value: z.object({ mode: z.string(), days: z.int() }) }) }) }),
  findings: z.array(z.unknown()),
})

test("with --json a line holds the answers and what is set", async () => {
  const { check } = await host()
  const { stdout } = await check("two", "--json")
  const [line = ""] = stdout.split("\n")
  const { abilities, posture, findings } = recordSchema.parse(JSON.parse(line))
  expect(Object.fromEntries(abilities.map(({ ability, answer }) => [ability, answer]))).toEqual(everything)
  expect(posture.packs.lock.value).toEqual({ mode: "governance", days: 28 })
  expect(findings).toEqual([])
})
