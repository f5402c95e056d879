import { spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import { expect, onTestFinished, test } from "vitest"
import { gcsStandIn } from "../server/gcs/stand-in.ts"
import { makeBucket } from "../server/gcs/start.ts"
import { accessKey, s3StandIn, secretKey } from "../server/s3/connect.ts"
import type { StandIn } from "../server/server.ts"

const launcher = join(import.meta.dirname, "../../bin/holdline")
const buckets = ["acme-vault", "acme-vault-keys"]

interface Host {
  readonly root: string
  readonly s3: StandIn
  readonly gcs: StandIn
  run(...args: readonly string[]): Promise<{ readonly exit: unknown; readonly out: string; readonly err: string }>
}

/** A host set up as the quick start says, but that its second site is an S3 bucket and its third a GCS one, both locked. */
async function host(): Promise<Host> {
  const [s3, gcs] = [await s3StandIn(), await gcsStandIn()]
  onTestFinished(() => s3.stop())
  const effectiveTime = new Date().toISOString()
  for (const bucket of buckets) {
    s3.store.createBucket(bucket, { lock: true, versioning: "Enabled", defaultMode: "GOVERNANCE", defaultDays: 28 })
    makeBucket(gcs, bucket, { retentionPolicy: { retentionPeriod: String(28 * 86_400), effectiveTime, isLocked: true } })
  }
  const root = join(await mkdtemp(join(tmpdir(), "three-sites-")), "try")
  onTestFinished(() => rm(join(root, ".."), { recursive: true, force: true }))
  const env = { PATH: process.env.PATH, AWS_ACCESS_KEY_ID: accessKey, AWS_SECRET_ACCESS_KEY: secretKey }
  const run = async (...args: readonly string[]) => {
    const child = spawn(process.execPath, [launcher, ...args], { cwd: join(root, ".."), env, stdio: ["ignore", "pipe", "pipe"] })
    const [out, err, [exit]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")])
    return { exit, out, err }
  }
  const made = await run("--agent", "pbx-1", "init", "host", "--dir", root, "--recipients", "x25519")
  expect(made.exit, made.err).toBe(0)
  const config = join(root, "config", "holdline.yaml")
  const place = "bucket: acme-vault, keys: acme-vault-keys, provider: own, region: here"
  const clouds = {
    two: `{kind: s3, ${place}, zone: two, signingRegion: us-east-1, endpoint: "${s3.endpoint}", lock: governance}`,
    three: `{kind: gcs, ${place}, zone: three, endpoint: "${gcs.endpoint}", lock: compliance}`,
  }
  const quickStart = await readFile(config, "utf8")
  const written = Object.entries(clouds).reduce(
    (all, [name, site]) => all.replace(new RegExp(`^ {2}${name}: .*$`, "m"), `  ${name}: ${site}`),
    quickStart,
  )
  await writeFile(config, written)
  await mkdir(join(root, "source"))
  const source = `{kind: directory, path: ${join(root, "source")}, account: platform}`
  await writeFile(
    join(root, "jobs", "settings.yaml"),
    `version: 1\nmode: state\nsource: ${source}\nclass: state-35\nsites: [one, two, three]\n`,
  )
  return { root, s3, gcs, run: (...args) => run("--config", config, ...args) }
}

function keysAt(server: StandIn): string[] {
  return buckets.flatMap((bucket) => [...(server.store.bucket(bucket)?.keys("v1/") ?? [])]).sort()
}

async function keysIn(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .filter((path) => path.startsWith("v1/"))
    .sort()
}

test("one run keeps the same objects in a directory, at S3 and at GCS, and any one of them is enough for a restore", async () => {
  const { root, s3, gcs, run } = await host()
  const recording = randomBytes(20 * 1024 * 1024)
  await writeFile(join(root, "source", "a.wav"), recording)
  await writeFile(join(root, "source", "b.xml"), "<b/>\n")

  const ran = await run("run", "settings")
  expect(ran.exit, ran.out + ran.err).toBe(0)
  expect(ran.out).toContain("3 of 3 sites")
  expect(keysAt(gcs)).toEqual(keysAt(s3))
  expect(keysAt(gcs)).toEqual(await keysIn(join(root, "sites", "one")))
  expect([...(gcs.store.bucket("acme-vault-keys")?.keys() ?? [])].every((key) => key.startsWith("v1/keys/"))).toBe(true)

  const identity = join(root, "keys", "operations.identity")
  for (const site of ["one", "two", "three"]) {
    const out = join(root, `from-${site}`)
    const restored = await run("restore", "run", "settings", "--to", out, "--from", site, "--identity", identity)
    expect(restored.exit, restored.out + restored.err).toBe(0)
    expect(Buffer.compare(await readFile(join(out, "a.wav")), recording), site).toBe(0)
  }
  expect(s3.mistakes).toEqual([])
})

/** A disk that is not mounted any more; an account that was closed. */
const gone = {
  one: ({ root }: Host) => rename(join(root, "sites", "one"), join(root, "sites", "not-mounted")),
  two: async ({ s3 }: Host) => s3.faults.plan({ action: { kind: "status", status: 403, code: "AccountProblem" } }),
  three: async ({ gcs }: Host) => gcs.faults.plan({ action: { kind: "status", status: 403, code: "accountDisabled" } }),
}

test.each(["one", "two", "three"] as const)(
  "%s is all that is left, and what the host remembered is gone too: everything comes back",
  async (left) => {
    const at = await host()
    const { root, s3, gcs, run } = at
    const recording = randomBytes(3 * 1024 * 1024)
    await writeFile(join(root, "source", "a.wav"), recording)
    await writeFile(join(root, "source", "b.xml"), "<b/>\n")
    const ran = await run("run", "settings")
    expect(ran.exit, ran.out + ran.err).toBe(0)
    for (const [site, take] of Object.entries(gone)) if (site !== left) await take(at)
    await rm(join(root, "state"), { recursive: true })

    const identity = join(root, "keys", "operations.identity")
    const out = join(root, "out")
    const restored = await run("--json", "restore", "run", "settings", "--to", out, "--identity", identity)
    expect(restored.exit, restored.out + restored.err).toBe(0)
    const summary: unknown = JSON.parse(restored.out.trimEnd().split("\n").at(-1) ?? "")
    const ranked = [expect.objectContaining({ name: left, answers: true }), expect.objectContaining({ answers: false }), expect.anything()]
    expect(summary).toMatchObject({ outcome: "ok", fetched: [{ site: left }], sites: ranked, restored: { files: 2 } })
    expect(Buffer.compare(await readFile(join(out, "a.wav")), recording)).toBe(0)
    expect(await readFile(join(out, "b.xml"), "utf8")).toBe("<b/>\n")
    expect([...s3.faults.unmet, ...gcs.faults.unmet]).toEqual([])
  },
)

test("a run during which each bucket stumbles is whole all the same", async () => {
  const { root, s3, gcs, run } = await host()
  await writeFile(join(root, "source", "b.xml"), "<b/>\n")
  s3.faults.plan({ operation: "PutObject", nth: 2, action: { kind: "status", status: 503, code: "SlowDown" } })
  gcs.faults.plan(
    { operation: "storage.objects.insert", nth: 1, action: { kind: "status", status: 429, code: "rateLimitExceeded" } },
    { operation: "storage.objects.insert", nth: 3, action: { kind: "reset", applied: true } },
    { operation: "storage.objects.insert", nth: 6, action: { kind: "flip-up" } },
  )
  const ran = await run("run", "settings")
  expect(ran.exit, ran.out + ran.err).toBe(0)
  expect(ran.out).toContain("3 of 3 sites")
  expect([...s3.faults.unmet, ...gcs.faults.unmet]).toEqual([])
  expect(keysAt(gcs)).toEqual(keysAt(s3))
})

test("a bucket that refuses is named with its reason, and the other two keep the backup", async () => {
  const { root, s3, gcs, run } = await host()
  await writeFile(join(root, "source", "b.xml"), "<b/>\n")
  gcs.faults.plan({ operation: "storage.objects.insert", action: { kind: "status", status: 403, code: "forbidden" } })
  const ran = await run("run", "settings")
  expect(ran.out + ran.err).toContain("2 of 3 sites")
  expect(ran.out + ran.err).toMatch(/three: .*403 forbidden/)
  expect(keysAt(gcs)).toEqual([])
  expect(keysAt(s3)).toEqual(await keysIn(join(root, "sites", "one")))
})
