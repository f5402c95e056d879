import { spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import { expect, onTestFinished, test } from "vitest"
import { accessKey, s3StandIn, secretKey } from "../server/s3/connect.ts"

const launcher = join(import.meta.dirname, "../../bin/holdline")

interface Host {
  readonly root: string
  run(...args: readonly string[]): Promise<{ readonly exit: unknown; readonly out: string; readonly err: string }>
}

/** A host set up as the quick start says, whose third site is an S3 bucket, reached with the credentials of its environment. */
async function hostWith(endpoint: string): Promise<Host> {
  const root = join(await mkdtemp(join(tmpdir(), "s3-run-")), "try")
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
  const place = "bucket: acme-vault, keys: acme-vault-keys, provider: own, region: here, zone: three, signingRegion: us-east-1"
  const cloud = `  three: {kind: s3, ${place}, endpoint: "${endpoint}", lock: governance}`
  await writeFile(config, (await readFile(config, "utf8")).replace(/^ {2}three: .*$/m, cloud))
  await mkdir(join(root, "source"))
  const source = `{kind: directory, path: ${join(root, "source")}, account: platform}`
  const job = `version: 1\nmode: state\nsource: ${source}\nclass: state-35\nsites: [one, three]\n`
  await writeFile(join(root, "jobs", "settings.yaml"), job)
  return { root, run: (...args) => run("--config", config, ...args) }
}

async function locking() {
  const server = await s3StandIn()
  onTestFinished(() => server.stop())
  const lock = { lock: true, versioning: "Enabled", defaultMode: "GOVERNANCE", defaultDays: 28 }
  for (const bucket of ["acme-vault", "acme-vault-keys"]) server.store.createBucket(bucket, lock)
  return server
}

test("a run keeps its objects in the bucket, locked, and a restore needs nothing else", async () => {
  const server = await locking()
  const { root, run } = await hostWith(server.endpoint)
  const recording = randomBytes(20 * 1024 * 1024)
  await writeFile(join(root, "source", "a.wav"), recording)
  await writeFile(join(root, "source", "b.xml"), "<b/>\n")

  const ran = await run("run", "settings")
  expect(ran.exit, ran.out + ran.err).toBe(0)
  expect(ran.out).toContain("2 of 2 sites")
  expect([...(server.store.bucket("acme-vault-keys")?.keys() ?? [])].every((key) => key.startsWith("v1/keys/"))).toBe(true)
  const kept = server.store.bucket("acme-vault")
  const locks = [...(kept?.keys() ?? [])].map((key) => kept?.latest(key)?.retention?.mode)
  expect(new Set(locks)).toEqual(new Set(["GOVERNANCE"]))

  await rm(join(root, "sites"), { recursive: true })
  const identity = join(root, "keys", "operations.identity")
  const verified = await run("verify", "settings@latest", "--identity", identity, "--from", "three")
  expect(verified.out, verified.err).toMatch(/matched\s+✓ passed/)
  const restored = await run("restore", "run", "settings", "--to", join(root, "out"), "--from", "three", "--identity", identity)
  expect(restored.exit, restored.out + restored.err).toBe(0)
  expect(Buffer.compare(await readFile(join(root, "out", "a.wav")), recording)).toBe(0)
  expect(server.mistakes).toEqual([])
})

test("a run whose bucket stumbles is whole all the same, and one whose bucket refuses says so", async () => {
  const server = await locking()
  const { root, run } = await hostWith(server.endpoint)
  await writeFile(join(root, "source", "b.xml"), "<b/>\n")
  const slow = { kind: "status", status: 503, code: "SlowDown" } as const
  server.faults.plan({ operation: "PutObject", nth: 2, action: slow }, { nth: 5, action: { kind: "reset", applied: true } })
  const stumbled = await run("run", "settings")
  expect(stumbled.exit, stumbled.out + stumbled.err).toBe(0)
  expect(server.faults.unmet).toEqual([])

  server.credentials.clear()
  await writeFile(join(root, "source", "b.xml"), "<c/>\n")
  const refused = await run("run", "settings")
  expect(refused.exit, refused.out + refused.err).not.toBe(0)
  expect(refused.out + refused.err).toContain("InvalidAccessKeyId")
})
