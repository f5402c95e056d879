import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, onTestFinished, test } from "vitest"
import { gcsSite } from "../../src/site/gcs.ts"
import type { SitePosture } from "../../src/site/posture.ts"
import { s3Site } from "../../src/site/s3.ts"
import { gcsStandIn } from "../server/gcs/stand-in.ts"
import { makeBucket } from "../server/gcs/start.ts"
import { accessKey, type S3StandIn, s3StandIn, secretKey } from "../server/s3/connect.ts"
import type { Json } from "../server/store.ts"

type Settings = Readonly<Record<string, Json>>

async function s3(packs: Settings, keys: Settings = {}): Promise<{ server: S3StandIn; read(): Promise<SitePosture | undefined> }> {
  const server = await s3StandIn()
  const directory = await mkdtemp(join(tmpdir(), "posture-"))
  onTestFinished(async () => {
    await server.stop()
    await rm(directory, { recursive: true, force: true })
    expect(server.mistakes).toEqual([])
  })
  server.store.createBucket("packs", packs)
  server.store.createBucket("keys", keys)
  const file = join(directory, "credentials")
  await writeFile(file, `aws_access_key_id=${accessKey}\naws_secret_access_key=${secretKey}\n`)
  const opened = await s3Site({
    ...{ name: "s", bucket: "packs", keys: "keys", region: "us-east-1", endpoint: server.endpoint, pathStyle: true },
    ...{ checksums: "always", createOnly: true, credentials: { file } },
  })
  return { server, read: async () => await opened.posture?.() }
}

const blocked = ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"]
const blockedXml = (names = blocked) =>
  `<PublicAccessBlockConfiguration>${names.map((name) => `<${name}>true</${name}>`).join("")}</PublicAccessBlockConfiguration>`
const encryptionXml =
  "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
const rule = (inner: string, status = "Enabled") => `<Rule><ID>r</ID><Status>${status}</Status>${inner}</Rule>`
const lifecycle = (...rules: string[]) => `<LifecycleConfiguration>${rules.join("")}</LifecycleConfiguration>`

describe("the posture of S3 buckets", () => {
  test("is what is set there, of each bucket its own", async () => {
    const { read } = await s3(
      {
        ...{ versioning: "Enabled", lock: true, defaultMode: "GOVERNANCE", defaultDays: 28 },
        ...{ publicAccessBlock: blockedXml(), encryption: encryptionXml },
      },
      { versioning: "Suspended", publicAccessBlock: blockedXml(blocked.slice(0, 3)) },
    )
    const none = { softDeleteDays: { value: 0 }, replicatedTo: { value: [] }, lifecycle: { value: [] }, region: { value: "us-east-1" } }
    expect(await read()).toEqual({
      packs: {
        ...{ bucket: "packs", ...none, versioning: { value: true }, lock: { value: { mode: "governance", days: 28 } } },
        ...{ objectLock: { value: true }, publicAccessBlocked: { value: true }, encryption: { value: "AES256" } },
      },
      keys: {
        ...{ bucket: "keys", ...none, versioning: { value: false }, lock: { value: null } },
        ...{ objectLock: { value: false }, publicAccessBlocked: { value: false }, encryption: { value: null } },
      },
    })
  })

  test("counts public access as blocked where it is without effect, although it could be set", async () => {
    const { read } = await s3({ publicAccessBlock: blockedXml(["IgnorePublicAcls", "RestrictPublicBuckets"]) })
    expect((await read())?.packs.publicAccessBlocked).toEqual({ value: true })
  })

  test("names the rules that could meet an object of ours, and no others", async () => {
    const { read } = await s3({
      lifecycle: lifecycle(
        rule("<Filter><Prefix>v1/</Prefix></Filter><Expiration><Days>30</Days></Expiration>"),
        rule("<Prefix></Prefix><Transition><Days>1</Days><StorageClass>DEEP_ARCHIVE</StorageClass></Transition>"),
        rule(
          "<Filter><Prefix></Prefix></Filter><NoncurrentVersionExpiration><NoncurrentDays>3</NoncurrentDays></NoncurrentVersionExpiration>",
        ),
        rule("<Filter><Prefix>logs/</Prefix></Filter><Expiration><Days>30</Days></Expiration>"),
        rule("<Filter><Tag><Key>a</Key><Value>b</Value></Tag></Filter><Expiration><Days>30</Days></Expiration>"),
        rule("<Filter><Prefix></Prefix></Filter><Expiration><Days>30</Days></Expiration>", "Disabled"),
        rule("<Filter><Prefix></Prefix></Filter><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"),
        rule("<Prefix></Prefix><Transition><Days>1</Days><StorageClass>STANDARD_IA</StorageClass></Transition>"),
        rule(
          "<Prefix></Prefix><AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>",
        ),
      ),
    })
    expect((await read())?.packs.lifecycle).toEqual({
      value: [
        { name: "r", prefix: "v1/", does: "deletes" },
        { name: "r", prefix: "", does: "freezes" },
        { name: "r", prefix: "", does: "deletes-older" },
      ],
    })
  })

  test("is unknown where the credentials may not ask, or the store does not know the question", async () => {
    const { server, read } = await s3({ versioning: "Enabled" })
    server.faults.plan(
      { operation: "GetBucketLifecycleConfiguration", action: { kind: "status", status: 403, code: "AccessDenied" } },
      { operation: "GetPublicAccessBlock", action: { kind: "status", status: 501, code: "NotImplemented" } },
    )
    expect((await read())?.packs).toMatchObject({
      lifecycle: { unknown: "the credentials may not ask" },
      publicAccessBlocked: { unknown: "this store does not say" },
      versioning: { value: true },
    })
    server.faults.clear()
    server.faults.plan({ operation: "GetBucketVersioning", action: { kind: "status", status: 503 } })
    await expect(read()).rejects.toMatchObject({ code: "site/throttled" })
  })

  test("changes nothing", async () => {
    const { server, read } = await s3({ versioning: "Enabled" })
    await read()
    expect(
      [...server.requests.keys()].every((name) => /^(?:Get|Head)/.test(name)),
      [...server.requests.keys()].join(),
    ).toBe(true)
  })
})

describe("the posture of GCS buckets", () => {
  async function read(packs: Settings, keys: Settings = {}): Promise<SitePosture | undefined> {
    const server = await gcsStandIn()
    makeBucket(server, "packs", packs)
    makeBucket(server, "keys", keys)
    const { posture } = await gcsSite({ name: "g", bucket: "packs", keys: "keys", endpoint: server.endpoint })
    const found = await posture?.()
    expect(Object.fromEntries(server.requests)).toEqual({ "storage.buckets.get": 2 })
    return found
  }

  test("is what is set there; soft delete is on where nobody turned it off", async () => {
    const posture = await read(
      {
        retentionPolicy: { retentionPeriod: "2419200", isLocked: true },
        objectRetention: { mode: "Enabled" },
        iamConfiguration: { publicAccessPrevention: "enforced" },
        encryption: { defaultKmsKeyName: "projects/p/locations/eu/keyRings/r/cryptoKeys/k" },
        lifecycle: {
          rule: [
            { action: { type: "Delete" }, condition: { age: 30, matchesPrefix: ["v1/a/", "logs/"] } },
            { action: { type: "Delete" }, condition: { isLive: false } },
            { action: { type: "SetStorageClass", storageClass: "ARCHIVE" }, condition: { age: 1 } },
          ],
        },
        softDeletePolicy: { retentionDurationSeconds: "0" },
      },
      { retentionPolicy: { retentionPeriod: "604800" } },
    )
    expect(posture?.packs).toMatchObject({
      ...{ region: { value: "eu" }, lock: { value: { mode: "compliance", days: 28 } }, objectLock: { value: true } },
      ...{ publicAccessBlocked: { value: true }, softDeleteDays: { value: 0 }, versioning: { value: false } },
      encryption: { value: expect.stringContaining("cryptoKeys/k") },
      lifecycle: {
        value: [
          { name: "number 1", prefix: "v1/a/", does: "deletes" },
          { name: "number 2", prefix: "", does: "deletes-older" },
        ],
      },
    })
    expect(posture?.keys).toMatchObject({ lock: { value: { mode: "governance", days: 7 } }, softDeleteDays: { value: 7 } })
  })

  test("is unknown as a whole where the credentials may not ask", async () => {
    const server = await gcsStandIn()
    for (const bucket of ["packs", "keys"]) makeBucket(server, bucket)
    server.faults.plan({ operation: "storage.buckets.get", action: { kind: "status", status: 403, code: "forbidden" } })
    const { posture } = await gcsSite({ name: "g", bucket: "packs", keys: "keys", endpoint: server.endpoint })
    expect((await posture?.())?.packs).toMatchObject({ bucket: "packs", lock: { unknown: "the credentials may not ask" } })
  })
})
