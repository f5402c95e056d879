import { execFileSync } from "node:child_process"
import { mkdir, readFile, writeFile } from "node:fs/promises"
import { describe, expect, onTestFinished, test } from "vitest"
import { z } from "zod"
import { systemClock, systemSleep } from "../../src/clock.ts"
import { sha256 } from "../../src/digest.ts"
import { systemRandom } from "../../src/random.ts"
import { openSite } from "../../src/site/open.ts"
import type { OpenedSite } from "../../src/site/site.ts"
import { bytesOf, put } from "../contract/site.ts"
import { GcsAuthority } from "../server/gcs/authority.ts"
import { gcsStandIn } from "../server/gcs/stand-in.ts"
import { makeBucket } from "../server/gcs/start.ts"
import { S3Authority } from "../server/s3/authority.ts"
import { credentialsFile, s3StandIn } from "../server/s3/connect.ts"
import { type Place, place } from "../setup/holdline.ts"

const config = ["--config", "q/config/holdline.yaml"]
const lockedS3 = { versioning: "Enabled", lock: true, defaultMode: "GOVERNANCE", defaultDays: 28 }
const lockedGcs = { retentionPolicy: { retentionPeriod: "2419200" }, objectRetention: { mode: "Enabled" } }

async function quickStart(): Promise<Place> {
  const at = await place()
  onTestFinished(() => at[Symbol.asyncDispose]())
  expect((await at.run(["--agent", "pbx", "init", "host", "--dir", "q", "--recipients", "x25519"])).exit).toBe(0)
  return at
}

async function writeSites(at: Place, two: string, three: string): Promise<void> {
  const path = at.path("q/config/holdline.yaml")
  const text = await readFile(path, "utf8")
  await writeFile(path, text.replace(/^ {2}two: .*$/m, `  two: ${two}`).replace(/^ {2}three: .*$/m, `  three: ${three}`))
}

const pair = "bucket: acme-vault, keys: acme-vault-keys"
const atAws = `{kind: s3, ${pair}, provider: aws, region: eu-west-1, lock: governance}`
const atGoogle = `{kind: gcs, ${pair}, provider: google, region: europe-west1, lock: governance}`

describe("site policy prints", () => {
  test.each([
    ["two", "agent", "iam", "s3-agent.json"],
    ["two", "keeper", "iam", "s3-keeper.json"],
    ["two", "restorer", "iam", "s3-restorer.json"],
    ["two", undefined, "cli", "s3.sh"],
    ["two", undefined, "terraform", "s3.tf"],
    ["three", "agent", "iam", "gcs-agent.json"],
    ["three", "keeper", "iam", "gcs-keeper.json"],
    ["three", "restorer", "iam", "gcs-restorer.json"],
    ["three", undefined, "cli", "gcs.sh"],
    ["three", undefined, "terraform", "gcs.tf"],
  ])("for %s, %s, as %s what it did before: %s", async (site, role, format, file) => {
    const at = await quickStart()
    await writeSites(at, atAws, atGoogle)
    const given = role === undefined ? [] : ["--role", role]
    const { exit, stdout, stderr } = await at.run([...config, "site", "policy", site, ...given, "--format", format])
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: "" })
    await expect(stdout).toMatchFileSnapshot(`policies/${file}.txt`)
    if (format === "cli") execFileSync("bash", ["-n"], { input: stdout })
  })

  test("all three roles where none is named, and another host's prefix where --agent names it", async () => {
    const at = await quickStart()
    await writeSites(at, atAws, atGoogle)
    const all = await at.run([...config, "site", "policy", "two"])
    expect(Object.keys(z.record(z.string(), z.unknown()).parse(JSON.parse(all.stdout)))).toEqual(["agent", "keeper", "restorer"])
    const other = await at.run([...config, "--agent", "pbx-2", "site", "policy", "two", "--role", "agent"])
    expect(other.stdout).toContain("arn:aws:s3:::acme-vault/v1/pbx-2/*")
    expect(other.stdout).not.toContain("/v1/pbx/*")
  })

  test("nothing for a directory, or for a site that is not there, and says why", async () => {
    const at = await quickStart()
    expect(await at.run([...config, "site", "policy", "one"])).toMatchObject({ exit: 2, stderr: expect.stringContaining("is a directory") })
    expect(await at.run([...config, "site", "policy", "fuor"])).toMatchObject({ exit: 5, stderr: expect.stringContaining("no such site") })
    expect((await at.run([...config, "site", "policy", "two", "--format", "pulumi"])).exit).toBe(2)
  })

  test("create-only as a condition where the store is known to follow it, and nowhere else", async () => {
    const at = await quickStart()
    await writeSites(at, `{kind: s3, ${pair}, provider: own, region: here, endpoint: "https://s3.example.net"}`, atGoogle)
    expect((await at.run([...config, "site", "policy", "two", "--role", "agent"])).stdout).not.toContain("Condition")
  })
})

/** Servers that hold every request to what a role is printed. */
async function servers() {
  const [s3Rights, gcsRights] = [new S3Authority(), new GcsAuthority()]
  const [s3, gcs] = [await s3StandIn({ authority: s3Rights }), await gcsStandIn({ authority: gcsRights })]
  onTestFinished(async () => {
    await s3.stop()
    expect(s3.mistakes).toEqual([])
  })
  for (const bucket of ["acme-vault", "acme-vault-keys"]) {
    s3.store.createBucket(bucket, lockedS3)
    makeBucket(gcs, bucket, lockedGcs)
  }
  const at = await quickStart()
  const s3Site = `{kind: s3, ${pair}, provider: own, region: here, signingRegion: us-east-1, endpoint: "${s3.endpoint}", credentials: {file: ${credentialsFile}}, lock: governance}`
  const gcsSite = `{kind: gcs, ${pair}, provider: own, region: here, endpoint: "${gcs.endpoint}", lock: governance}`
  await writeSites(at, s3Site, gcsSite)
  await mkdir(at.path("source"))
  await writeFile(at.path("source/a.xml"), "<a/>\n")
  const source = `{kind: directory, path: ${at.path("source")}, account: platform}`
  const job = `version: 1\nmode: state\nsource: ${source}\nclass: state-35\nsites: [one, two, three]\n`
  await writeFile(at.path("q/jobs/settings.yaml"), job)

  async function act(role: string): Promise<void> {
    for (const [site, rights] of [
      ["two", s3Rights],
      ["three", gcsRights],
    ] as const) {
      const { stdout } = await at.run([...config, "site", "policy", site, "--role", role])
      rights.follow(JSON.parse(stdout))
    }
  }
  return { at, s3, gcs, s3Rights, gcsRights, act, run: (...args: string[]) => at.run([...config, ...args], { now: new Date() }) }
}

const statements = z.object({ Statement: z.array(z.object({ Effect: z.string(), Action: z.array(z.string()) })) })
const bindings = z.object({ bindings: z.array(z.object({ bucket: z.string(), permissions: z.array(z.string()) })) })

/** What the printed policies of a role allow, in the words of the authorities. */
async function allowedTo(role: string, at: Place) {
  const s3 = statements.parse(JSON.parse((await at.run([...config, "site", "policy", "two", "--role", role])).stdout))
  const gcs = bindings.parse(JSON.parse((await at.run([...config, "site", "policy", "three", "--role", role])).stdout))
  return {
    s3: [...new Set(s3.Statement.flatMap(({ Effect, Action }) => (Effect === "Allow" ? Action : [])))].sort(),
    gcs: [...new Set(gcs.bindings.flatMap(({ bucket, permissions }) => permissions.map((each) => `${each} ${bucket}`)))].sort(),
  }
}

const settingsOf = (server: { readonly endpoint: string }) => ({
  ...{
    bucket: "acme-vault",
    keys: "acme-vault-keys",
    provider: "own",
    region: "us-east-1",
    endpoint: server.endpoint,
    lock: "governance" as const,
  },
})

async function openBoth({ s3, gcs }: Awaited<ReturnType<typeof servers>>, readOnly: boolean): Promise<OpenedSite[]> {
  const world = { clock: systemClock, sleep: systemSleep, random: systemRandom }
  return [
    await openSite({ name: "two", settings: { kind: "s3", ...settingsOf(s3), credentials: { file: credentialsFile } }, readOnly }, world),
    await openSite({ name: "three", settings: { kind: "gcs", ...settingsOf(gcs) }, readOnly }, world),
  ]
}

describe("the printed policies admit what is done, and nothing else", () => {
  test("an agent's: runs, catching up, checks", async () => {
    const scene = await servers()
    const { at, run, act, s3Rights, gcsRights } = scene
    await act("agent")
    const first = await run("run", "settings")
    expect(first.exit, first.stdout + first.stderr).toBe(0)
    expect(first.stdout).toContain("3 of 3 sites")
    await writeFile(at.path("source/b.xml"), "<b/>\n")
    const second = await run("run", "settings")
    expect(second.exit, second.stdout + second.stderr).toBe(0)
    expect(second.stdout).toContain("3 of 3 sites")
    const checked = await run("site", "check", "two", "three")
    expect(checked.stdout.match(/refuses these credentials to delete {2,}yes/g), checked.stdout).toHaveLength(2)
    const allowed = await allowedTo("agent", at)
    expect(s3Rights.used).toEqual(allowed.s3)
    expect(gcsRights.used).toEqual(allowed.gcs)
  })

  test("an agent's refuse what a host that was taken over would do", async () => {
    const scene = await servers()
    const open = await openBoth(scene, false)
    for (const { site } of open) for (const key of ["v1/other/pack/x", "v1/other/log/1", "v1/pbx/pack/y"]) await put(site, key, bytesOf(10))
    await scene.act("agent")
    // The policy for AWS, which follows its condition; elsewhere a rotten copy would shadow a good one, that stays a version behind it.
    const path = scene.at.path("q/config/holdline.yaml")
    await writeFile(path, (await readFile(path, "utf8")).replace(/^ {2}two: .*$/m, `  two: ${atAws}`))
    scene.s3Rights.follow(JSON.parse((await scene.run("site", "policy", "two", "--role", "agent")).stdout))
    const denied = { code: "site/denied" }
    for (const { site, versions, lock, replace } of open) {
      await expect(put(site, "v1/other/pack/z", bytesOf(10)), "below another's prefix").rejects.toMatchObject(denied)
      await expect(site.get("v1/other/pack/x"), "another's packs").rejects.toMatchObject(denied)
      expect(Buffer.compare(await site.get("v1/other/log/1"), bytesOf(10)), "what others have decided").toBe(0)
      const { version = "" } = (await site.head("v1/pbx/pack/y")) ?? {}
      await expect(versions?.remove("v1/pbx/pack/y", version), "even its own").rejects.toMatchObject(denied)
      const other = bytesOf(10, 2)
      await expect(replace?.("v1/pbx/pack/y", other, { sha256: sha256(other) }), "its own, by other bytes").rejects.toMatchObject(denied)
      await expect(lock?.extend("v1/pbx/pack/y", version, inDays(90)), "nor its lock").rejects.toThrow()
    }
  })

  test("a restorer's: restore, verify, older versions", async () => {
    const scene = await servers()
    const { at, run, act, s3Rights, gcsRights } = scene
    expect((await run("run", "settings")).exit).toBe(0)
    await act("restorer")
    const identity = ["--identity", at.path("q/keys/operations.identity")]
    for (const site of ["two", "three"]) {
      const restored = await run("restore", "run", "settings", "--to", at.path(`from-${site}`), "--from", site, ...identity)
      expect(restored.exit, restored.stdout + restored.stderr).toBe(0)
    }
    for (const { versions } of await openBoth(scene, true)) {
      if (versions === undefined) throw new Error("a bucket has versions")
      for await (const { key, version } of versions.list("v1/")) await versions.get(key, version)
    }
    const allowed = await allowedTo("restorer", at)
    expect(s3Rights.used).toEqual(allowed.s3)
    expect(gcsRights.used).toEqual(allowed.gcs)
  })

  test("a keeper's: locks, mending, what is set, what is due", async () => {
    const scene = await servers()
    const { at, run, act, s3, gcs, s3Rights, gcsRights } = scene
    for (const { site } of await openBoth(scene, false)) {
      for (const key of ["v1/pbx/x", "v1/keys/k/1"]) await put(site, key, bytesOf(100))
    }
    await act("keeper")
    for (const opened of await openBoth(scene, false)) await keep(opened)
    expect((await run("site", "check", "--read-only", "two", "three")).stdout).not.toContain("not known")
    // What is due has no lock any more, so that only rights are left to refuse.
    for (const { store } of [s3, gcs]) {
      for (const [name, key] of [
        ["acme-vault", "v1/pbx/x"],
        ["acme-vault-keys", "v1/keys/k/1"],
      ] as const) {
        const bucket = store.bucket(name)
        bucket?.configure({ defaultMode: undefined, retentionPolicy: undefined })
        bucket?.change(key, (there) => there.map((version) => ({ ...version, retention: null })))
      }
    }
    for (const opened of await openBoth(scene, false)) {
      const { version = "" } = (await opened.site.head("v1/pbx/x")) ?? {}
      await opened.versions?.remove("v1/pbx/x", version)
      await expect(opened.versions?.remove("v1/keys/k/1", (await opened.site.head("v1/keys/k/1"))?.version ?? "")).rejects.toMatchObject({
        code: "site/denied",
      })
    }
    const allowed = await allowedTo("keeper", at)
    expect(s3Rights.used).toEqual(allowed.s3)
    expect(gcsRights.used).toEqual(allowed.gcs)
  })
})

function inDays(days: number): Date {
  return new Date(systemClock.now().getTime() + days * 86_400_000)
}

async function keep({ site, versions, lock, replace }: OpenedSite): Promise<void> {
  if (versions === undefined || lock === undefined || replace === undefined) throw new Error("a bucket that locks can do all of it")
  for await (const { key, version } of versions.list("v1/")) {
    await versions.get(key, version)
    await site.get(key)
    await lock.extend(key, version, inDays(90))
  }
  const other = bytesOf(100, 2)
  await replace("v1/pbx/new", other, { sha256: sha256(other) })
  await replace("v1/keys/k/2", other, { sha256: sha256(other) })
}
