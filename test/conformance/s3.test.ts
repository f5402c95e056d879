import { randomBytes } from "node:crypto"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest"
import { systemClock } from "../../src/clock.ts"
import { tryAbilities } from "../../src/operation/abilities.ts"
import { s3Site } from "../../src/site/s3.ts"
import type { OpenedSite } from "../../src/site/site.ts"
import { describeSite } from "../contract/site.ts"
import { accessKey, type S3StandIn, s3StandIn, secretKey } from "../server/s3/connect.ts"
import { type Access, type Bench, benchOf } from "./s3-bench.ts"
import { checksumChecks } from "./s3-checksums.ts"
import { type NamedServer, namedServer } from "./s3-named.ts"
import { objectChecks } from "./s3-objects.ts"
import { lockChecks, versionChecks } from "./s3-versions.ts"

interface Examined {
  readonly name: string
  access(): Promise<Access>
  /** Checks that this server does not pass, each with the reason; one that begins to pass is a failure too. */
  readonly failing: Readonly<Record<string, string>>
}

const groups = { objects: objectChecks, checksums: checksumChecks, versions: versionChecks, locks: lockChecks }

let standIn: S3StandIn | undefined
let aheadMs = 0

describeS3({
  name: "the stand-in",
  access: async () => {
    standIn = await s3StandIn({ clock: { now: () => new Date(systemClock.now().getTime() + aheadMs) } })
    const wait = async (ms: number) => {
      aheadMs += ms
    }
    return { endpoint: standIn.endpoint, accessKeyId: accessKey, secretAccessKey: secretKey, wait }
  },
  failing: {},
})

const named = namedServer()

test("a real server is examined too, where this machine has one", (context) => {
  if (named === null) context.skip("HOLDLINE_TEST_S3 names no server")
})

if (named !== null) {
  describeS3({ name: `the named server, ${named.kind},`, access: async () => named.access, failing: named.failing })
  describeSite(`a bucket at the named server, ${named.kind},`, async () => await siteAt(named))
}

if (named !== null) {
  test(`a check of the named server, ${named.kind}, finds that it can do what a site needs, and what is set there`, async () => {
    const opened = await siteAt(named)
    const abilities = await tryAbilities(opened, { agent: "pbx", signal: new AbortController().signal })
    const answers = Object.fromEntries(abilities.map(({ ability, answer }) => [ability, answer]))
    expect(answers).toMatchObject({
      "keeps and gives back what it is given": "yes",
      "lists at once, in the order of the keys": "yes",
      "gives back exactly the part asked for": "yes",
      "keeps the versions behind a name": "yes",
    })
    const posture = await opened.posture?.()
    expect(posture?.packs).toMatchObject({ versioning: { value: true }, lock: { value: null }, lifecycle: { value: [] } })
  })
}

/** A site of two new buckets that keep versions. */
async function siteAt({ access, site }: NamedServer): Promise<OpenedSite> {
  const { s3, plain: bucket, versioned: keys } = benchOf(access, randomBytes(6).toString("hex"))
  for (const Bucket of [bucket, keys]) {
    await s3.createBucket({ Bucket })
    await s3.putBucketVersioning({ Bucket, VersioningConfiguration: { Status: "Enabled" } })
  }
  const directory = await mkdtemp(join(tmpdir(), "s3-named-"))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  const file = join(directory, "credentials")
  await writeFile(file, `aws_access_key_id = ${access.accessKeyId}\naws_secret_access_key = ${access.secretAccessKey}\n`)
  const place = { name: "s", bucket, keys, region: "us-east-1", endpoint: access.endpoint, pathStyle: true }
  return await s3Site({ ...place, checksums: "always", createOnly: true, credentials: { file }, ...site })
}

function describeS3({ name, access, failing }: Examined): void {
  describe(`${name} answers as S3 does`, () => {
    let bench: Bench
    beforeAll(async () => {
      bench = benchOf(await access(), randomBytes(4).toString("hex"))
      await bench.s3.createBucket({ Bucket: bench.plain })
      await bench.s3.createBucket({ Bucket: bench.versioned })
      await bench.s3.putBucketVersioning({ Bucket: bench.versioned, VersioningConfiguration: { Status: "Enabled" } })
      await bench.s3.createBucket({ Bucket: bench.locked, ObjectLockEnabledForBucket: true })
    })

    for (const [group, checks] of Object.entries(groups)) {
      describe(group, () => {
        for (const [check, run] of Object.entries(checks)) {
          const reason = failing[check]
          if (reason === undefined) test(check, () => run(bench))
          else test(`${check} is not passed: ${reason}`, () => expect(run(bench)).rejects.toThrow())
        }
      })
    }
  })
}

afterAll(async () => {
  expect(standIn?.mistakes, "mistakes of the stand-in").toEqual([])
  await standIn?.stop()
})
