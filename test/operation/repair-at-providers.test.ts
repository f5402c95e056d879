import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, onTestFinished, test } from "vitest"
import { systemClock, systemSleep } from "../../src/clock.ts"
import { fitsName } from "../../src/format/names.ts"
import { repair } from "../../src/operation/repair.ts"
import { restore } from "../../src/operation/restore.ts"
import { scrub } from "../../src/operation/scrub.ts"
import { systemRandom } from "../../src/random.ts"
import { openSite } from "../../src/site/open.ts"
import type { SiteSettings } from "../../src/site/settings.ts"
import type { OpenedSite } from "../../src/site/site.ts"
import { flipped } from "../fault/damage.ts"
import { gcsStandIn } from "../server/gcs/stand-in.ts"
import { makeBucket } from "../server/gcs/start.ts"
import { accessKey, s3StandIn, secretKey } from "../server/s3/connect.ts"
import type { StandIn } from "../server/server.ts"
import { type Lab, openLab, vaultSites } from "./lab.ts"
import { filesOf } from "./trees.ts"
import { upkeepWorld } from "./upkeep.ts"

const place = { bucket: "acme-vault", keys: "acme-vault-keys", provider: "own", region: "here" } as const
const buckets = [place.bucket, place.keys]

interface Setting {
  readonly lab: Lab
  readonly disk: string
  readonly s3: StandIn
  readonly gcs: StandIn
  readonly opened: Readonly<Record<"disk" | "s3" | "gcs", OpenedSite>>
  readonly source: string
}

/** A state kept twice at a disk, a locked S3 bucket and a locked GCS bucket, all real but the providers. */
async function setting(): Promise<Setting> {
  const directory = mkdtempSync(join(tmpdir(), "three-providers-"))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  const [s3, gcs] = [await s3StandIn(), await gcsStandIn()]
  onTestFinished(() => s3.stop())
  const effectiveTime = new Date().toISOString()
  for (const bucket of buckets) {
    s3.store.createBucket(bucket, { lock: true, versioning: "Enabled", defaultMode: "GOVERNANCE", defaultDays: 28 })
    makeBucket(gcs, bucket, { retentionPolicy: { retentionPeriod: String(28 * 86_400), effectiveTime, isLocked: true } })
  }
  const [disk, credentials] = [join(directory, "disk"), join(directory, "credentials")]
  mkdirSync(disk)
  writeFileSync(credentials, `[default]\naws_access_key_id = ${accessKey}\naws_secret_access_key = ${secretKey}\n`, { mode: 0o600 })
  const open = (name: string, settings: SiteSettings) =>
    openSite({ name, settings, readOnly: false }, { sleep: systemSleep, random: systemRandom, clock: systemClock })
  const opened = {
    disk: await open("disk", { kind: "directory", path: disk, provider: "own", region: "here" }),
    s3: await open("s3", {
      kind: "s3",
      ...place,
      signingRegion: "us-east-1",
      endpoint: s3.endpoint,
      lock: "governance",
      credentials: { file: credentials },
    }),
    gcs: await open("gcs", { kind: "gcs", ...place, endpoint: gcs.endpoint, lock: "compliance" }),
  }
  const lab = await openLab({ sites: opened, now: new Date() })
  onTestFinished(() => lab[Symbol.asyncDispose]())
  const source = join(directory, "source")
  mkdirSync(source)
  for (const text of ["first", "second"]) {
    writeFileSync(join(source, `${text}.xml`), text.repeat(1000))
    const report = await lab.run({ mode: "state" }, { kind: "directory", path: source, account: "platform" })
    expect(report.outcome, report.warnings.join("\n")).toBe("ok")
  }
  return { lab, disk, s3, gcs, opened, source }
}

const sites = ["disk", "s3", "gcs"] as const

function filesAt(disk: string): string[] {
  const entries = readdirSync(join(disk, "v1"), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return entries.map((entry) => join(entry.parentPath, entry.name).slice(disk.length + 1)).sort()
}

function objectsAt(server: StandIn) {
  return buckets.flatMap((name) => {
    const bucket = server.store.bucket(name)
    return bucket === undefined ? [] : [...bucket.keys("v1/")].map((key) => ({ bucket, key }))
  })
}

async function expectAllFrom({ lab, opened, source }: Setting, site: (typeof sites)[number]): Promise<void> {
  const target = mkdtempSync(join(lab.directory, "home-"))
  const world = lab.world({ sites: vaultSites({ [site]: opened[site] }) })
  const report = await restore({ dataset: "switch-config", identities: [lab.escrow] }, { path: target, owners: false }, world)
  expect(report.outcome, site).toBe("ok")
  expect(filesOf(target), site).toEqual(filesOf(source))
}

test("whatever lies rotten at a disk and at both providers comes back from the others, and GCS keeps what it locked", async () => {
  const at = await setting()
  const { lab, disk, s3, gcs } = at
  using world = upkeepWorld(lab, { homes: sites })
  expect(await scrub({ reading: "full" }, world)).toMatchObject({ outcome: "ok", proven: "hashed" })
  const kept = filesAt(disk)
  const third = Math.ceil(kept.length / 3)
  const spoil = (path: string) => writeFileSync(path, flipped(readFileSync(path), 5))
  for (const key of kept.slice(0, third)) spoil(join(disk, key))
  for (const key of kept.slice(third, 2 * third))
    for (const { bucket } of objectsAt(s3).filter((each) => each.key === key)) spoil(bucket.pathOf(latestOf(bucket, key)))
  const locked = kept.slice(2 * third)
  for (const key of locked)
    for (const { bucket } of objectsAt(gcs).filter((each) => each.key === key)) spoil(bucket.pathOf(latestOf(bucket, key)))

  const found = await scrub({ reading: "full" }, world)
  expect(found.sites.map(({ site, rotten }) => [site, rotten])).toEqual([
    ["disk", third],
    ["s3", third],
    ["gcs", locked.length],
  ])
  const report = await repair({ dryRun: false, full: false }, world)
  expect(report.outcome).toBe("partial")
  expect(report.sites.map(({ replaced, remaining }) => [replaced, remaining])).toEqual([
    [third, 0],
    [third, 0],
    [0, locked.length],
  ])
  expect(report.remaining[0]?.detail).toMatch(/retention/i)
  expect((await scrub({ reading: "full" }, world)).sites.map(({ rotten }) => rotten)).toEqual([0, 0, locked.length])
  for (const site of ["disk", "s3"] as const) await expectAllFrom(at, site)
})

function latestOf(bucket: ReturnType<typeof objectsAt>[number]["bucket"], key: string) {
  const version = bucket.latest(key)
  if (version === undefined) throw new Error(`${key} is not there`)
  return version
}

test("written over with the agent's own credentials everywhere else, everything comes back from behind the locked versions", async () => {
  const at = await setting()
  const { lab, disk, s3, gcs, opened } = at
  for (const key of filesAt(disk)) writeFileSync(join(disk, key), "ransom")
  // The first layer has the checksum header of the good bytes still, so that it cannot even be read.
  for (const { bucket, key } of objectsAt(s3)) {
    const { metadata } = latestOf(bucket, key)
    await bucket.put(key, Buffer.from("ransom"), { metadata })
    for (const text of ["more ransom", "and more"]) await bucket.put(key, Buffer.from(text), { metadata: { ...metadata, checksums: {} } })
  }
  for (const { bucket, key } of objectsAt(gcs)) bucket.change(key, () => [])
  using world = upkeepWorld(lab, { homes: sites })
  expect(await repair({ dryRun: false, full: true }, world)).toMatchObject({ outcome: "ok", lostCount: 0 })
  for (const { key } of objectsAt(s3)) expect(fitsName(key, await opened.s3.site.get(key)), key).toBe(true)
  for (const site of sites) await expectAllFrom(at, site)
  expect(await scrub({ reading: "full" }, world)).toMatchObject({ outcome: "ok", proven: "hashed" })
})

test("deleted everywhere, with the versions of one provider left: the log is found behind its deletions, and all it lists", async () => {
  const at = await setting()
  const { lab, disk, s3, gcs } = at
  const before = filesAt(disk)
  rmSync(join(disk, "v1"), { recursive: true })
  for (const { bucket, key } of objectsAt(s3)) bucket.mark(key, { metadata: {} })
  for (const { bucket, key } of objectsAt(gcs)) bucket.change(key, () => [])
  using world = upkeepWorld(lab, { homes: sites })
  expect(await repair({ dryRun: false, full: false }, world)).toMatchObject({ outcome: "ok", lostCount: 0 })
  expect(filesAt(disk)).toEqual(before)
  for (const site of sites) await expectAllFrom(at, site)
})
