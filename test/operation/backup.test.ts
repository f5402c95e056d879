import { randomBytes } from "node:crypto"
import { appendFileSync, chmodSync, mkdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { expect, test } from "vitest"
import { readHistory } from "../../src/operation/history.ts"
import { restore } from "../../src/operation/restore.ts"
import type { RunReport } from "../../src/report/run.ts"
import { type MemoryObjects, memorySite } from "../../src/site/memory.ts"
import type { Found, Source } from "../../src/source/source.ts"
import { type Lab, labClock, openLab } from "./lab.ts"
import { filesOf, treeOf } from "./trees.ts"

const template = "{account}/archive/{yyyy}/{Mon}/{dd}/{name}"

function write(root: string, path: string, bytes: Uint8Array | string): string {
  const whole = join(root, path)
  mkdirSync(dirname(whole), { recursive: true })
  writeFileSync(whole, bytes)
  return whole
}

function recordings(lab: Lab): string {
  const root = join(lab.directory, "recordings")
  for (const account of ["maple.example", "birch.example"]) {
    for (const day of ["03", "04"]) write(root, `${account}/archive/2026/Nov/${day}/call-${day}.wav`, randomBytes(20_000))
  }
  return root
}

function archive(path: string) {
  return { kind: "directory" as const, path, template, settle: 0 }
}

function state(path: string) {
  return { kind: "directory" as const, path, account: "platform" }
}

async function restored(lab: Lab, dataset: string, name: string): Promise<string> {
  const path = join(lab.directory, name)
  const report = await restore({ dataset, identities: [lab.escrow], allowPartial: true }, { path, owners: false }, lab.world())
  expect(report).toMatchObject({ outcome: "ok" })
  return path
}

function amounts({ outcome, captured, unchanged }: RunReport) {
  return { outcome, captured: captured.files, unchanged: unchanged.files }
}

test("an archive sends what is new once, keeps what the source lost, and takes a changed file again", async () => {
  await using lab = await openLab()
  const root = recordings(lab)
  expect(amounts(await lab.run({}, archive(root)))).toEqual({ outcome: "ok", captured: 4, unchanged: 0 })
  const gone = join(root, "maple.example/archive/2026/Nov/03/call-03.wav")
  const before = filesOf(root)
  rmSync(gone)
  appendFileSync(join(root, "birch.example/archive/2026/Nov/03/call-03.wav"), "more after a transfer")
  write(root, "birch.example/archive/2026/Nov/05/late.wav", randomBytes(5_000))
  expect(amounts(await lab.run({}, archive(root)))).toEqual({ outcome: "ok", captured: 2, unchanged: 2 })
  const out = filesOf(await restored(lab, "call-recordings", "out"))
  const lost = "maple.example/archive/2026/Nov/03/call-03.wav"
  expect(out).toEqual(new Map([...filesOf(root), [lost, before.get(lost) ?? ""]]))
})

test("an empty run commits too, and lists no pack", async () => {
  await using lab = await openLab()
  const root = recordings(lab)
  await lab.run({}, archive(root))
  const report = await lab.run({}, archive(root))
  expect(report).toMatchObject({ outcome: "ok", stored: { packs: 0 }, commits: [{ held: ["a", "b", "c"], durable: true }] })
  const { snapshots } = await readHistory(lab.world())
  expect(snapshots.map(({ commit }) => commit.body.packs.length > 0)).toEqual([true, false])
})

test("a state is a whole each time: unchanged packs are listed again, what is gone is gone", async () => {
  await using lab = await openLab()
  const root = join(lab.directory, "config")
  write(root, "switch.xml", "<switch/>".repeat(500))
  write(root, "directory/100.xml", "<user password='secret'/>")
  symlinkSync("switch.xml", join(root, "current.xml"))
  mkdirSync(join(root, "empty"), { mode: 0o750 })
  await lab.run({ mode: "state" }, state(root))
  rmSync(join(root, "directory/100.xml"))
  write(root, "directory/101.xml", "<user/>")
  chmodSync(join(root, "directory"), 0o700)
  expect(amounts(await lab.run({ mode: "state" }, state(root)))).toEqual({ outcome: "ok", captured: 1, unchanged: 1 })
  expect(treeOf(await restored(lab, "switch-config", "out"))).toEqual(treeOf(root))
})

test("a pack too old to be listed again is written anew", async () => {
  await using lab = await openLab()
  const root = join(lab.directory, "config")
  write(root, "switch.xml", "<switch/>")
  await lab.run({ mode: "state" }, state(root))
  lab.clock.advance(6 * 86_400_000)
  expect(await lab.run({ mode: "state" }, state(root))).toMatchObject({ captured: { files: 0 } })
  lab.clock.advance(2 * 86_400_000)
  expect(await lab.run({ mode: "state" }, state(root))).toMatchObject({ captured: { files: 1 } })
})

test("a file of many pieces comes back whole, compressed or not", async () => {
  await using lab = await openLab()
  const root = join(lab.directory, "config")
  write(root, "prompt.wav", randomBytes(35_000_000))
  write(root, "export.csv", Buffer.alloc(40_000_000, "2026-11-21,100,+12025550100,answered\n"))
  expect(await lab.run({ mode: "state" }, state(root))).toMatchObject({ outcome: "ok", captured: { files: 2, bytes: 75_000_000 } })
  expect(treeOf(await restored(lab, "switch-config", "out"))).toEqual(treeOf(root))
})

test("what fits no account is kept under mixed, in the short class, and makes the run partial", async () => {
  await using lab = await openLab()
  const root = recordings(lab)
  write(root, "stray.wav", randomBytes(1000))
  expect(await lab.run({}, archive(root))).toMatchObject({ outcome: "partial", notes: { unmatched: 1 }, captured: { files: 5 } })
  const { snapshots } = await readHistory(lab.world())
  expect(new Set(snapshots.flatMap(({ commit }) => commit.body.packs.map((pack) => pack[2])))).toEqual(new Set(["standard-90", "mixed-28"]))
  expect(filesOf(await restored(lab, "call-recordings", "out"))).toEqual(filesOf(root))
})

test("a recording that still grows is left for a later run", async () => {
  await using lab = await openLab({ now: new Date() })
  const root = recordings(lab)
  const settled = { ...archive(root), settle: 300_000 }
  expect(await lab.run({}, settled)).toMatchObject({ outcome: "ok", captured: { files: 0 }, notes: { settling: 4 } })
  lab.clock.advance(301_000)
  expect(await lab.run({}, settled)).toMatchObject({ outcome: "ok", captured: { files: 4 } })
})

/** A source that changes its files while they are being captured. */
function meddling(source: Source, meddle: (found: Found) => void): Source {
  return {
    description: source.description,
    async *capture(options) {
      for await (const found of source.capture(options)) {
        meddle(found)
        yield found
      }
    },
  }
}

test("a file that changes between listing and reading is missed in an archive, tried again in a state", async () => {
  await using lab = await openLab()
  const { openSource } = await import("../../src/source/open.ts")
  const root = recordings(lab)
  const growing = join(root, "maple.example/archive/2026/Nov/04/call-04.wav")
  const grow = (found: Found) => {
    if ("item" in found && found.item.path.toString().endsWith("maple.example/archive/2026/Nov/04/call-04.wav"))
      appendFileSync(growing, "more")
  }
  const first = await lab.run({}, meddling(openSource(archive(root), "archive", {}), grow))
  expect(first).toMatchObject({ outcome: "partial", missed: [{ reason: "torn", count: 1 }], captured: { files: 3 } })
  expect(amounts(await lab.run({}, archive(root)))).toEqual({ outcome: "ok", captured: 1, unchanged: 3 })

  const whole = await lab.run({ mode: "state" }, meddling(openSource(state(root), "state", {}), grow))
  expect(whole).toMatchObject({ outcome: "ok", missed: [], captured: { files: 4 } })
  expect(treeOf(await restored(lab, "switch-config", "out"))).toEqual(treeOf(root))
})

test("a command that fails is no empty success: its snapshot is partial and the last good one stays the latest", async () => {
  await using lab = await openLab()
  const command = (script: string) => ({
    kind: "command" as const,
    command: ["sh", "-c", script] as [string, ...string[]],
    account: "platform",
    name: "globals.sql",
  })
  const job = { mode: "state" as const, name: "roles", dataset: "roles" }
  expect(await lab.run(job, command("echo 'create role a'"))).toMatchObject({ outcome: "ok", captured: { files: 1, bytes: 14 } })
  const failed = await lab.run(job, command("echo 'create role'; exit 3"))
  expect(failed).toMatchObject({ outcome: "partial", missed: [{ reason: "failed", count: 1 }], captured: { files: 0 } })
  const path = join(lab.directory, "out")
  await restore({ dataset: "roles", identities: [lab.operations] }, { path, owners: false }, lab.world())
  expect([...filesOf(path).keys()]).toEqual(["globals.sql"])
})

test("a command's output of many pieces is captured as one file", async () => {
  await using lab = await openLab()
  const source = {
    kind: "command" as const,
    command: ["head", "-c", "50000000", "/dev/zero"] as [string, ...string[]],
    account: "platform",
    name: "dump.sql",
  }
  expect(await lab.run({ mode: "state", name: "dump", dataset: "dump" }, source)).toMatchObject({
    outcome: "ok",
    captured: { files: 1, bytes: 50_000_000 },
  })
  const path = await restored(lab, "dump", "out")
  const original = write(join(lab.directory, "same"), "dump.sql", Buffer.alloc(50_000_000))
  expect(filesOf(path).get("dump.sql")?.slice(0, 64)).toBe(filesOf(dirname(original)).get("dump.sql")?.slice(0, 64))
})

test("a database that is being written comes back consistent", async () => {
  await using lab = await openLab()
  const path = join(lab.directory, "voicemail.db")
  using database = new DatabaseSync(path)
  database.exec(
    "PRAGMA journal_mode = WAL; CREATE TABLE message (id INTEGER PRIMARY KEY, text TEXT); INSERT INTO message (text) VALUES ('first')",
  )
  const source = { kind: "sqlite" as const, path, account: "platform" }
  expect(await lab.run({ mode: "state", name: "voicemail", dataset: "voicemail" }, source)).toMatchObject({
    outcome: "ok",
    captured: { files: 1 },
  })
  const out = await restored(lab, "voicemail", "out")
  using copy = new DatabaseSync(join(out, "voicemail.db"))
  expect(copy.prepare("SELECT text FROM message").all()).toEqual([{ text: "first" }])
})

test("a source that is not there fails the run, commits nothing, and forgets nothing", async () => {
  await using lab = await openLab()
  const root = recordings(lab)
  await lab.run({}, archive(root))
  const report = await lab.run({}, archive(join(lab.directory, "not-mounted")))
  expect(report).toMatchObject({ outcome: "failed", commits: [], failure: { code: "job/source", hint: expect.any(String) } })
  expect(amounts(await lab.run({}, archive(root)))).toEqual({ outcome: "ok", captured: 0, unchanged: 4 })
})

test("a run that is interrupted is finished by the next one, which reads nothing twice", async () => {
  await using lab = await openLab()
  const { openSource } = await import("../../src/source/open.ts")
  const root = join(lab.directory, "recordings")
  for (let i = 0; i < 40; i++) write(root, `maple.example/archive/2026/Nov/04/call-${String(i)}.wav`, randomBytes(1_500_000))
  const controller = new AbortController()
  let seen = 0
  const source = meddling(openSource(archive(root), "archive", {}), () => {
    seen += 1
    if (seen === 40) setTimeout(() => controller.abort(new Error("Ctrl-C")), 150)
  })
  const slow: Source = {
    description: "slow",
    async *capture(options) {
      yield* source.capture(options)
      await new Promise((resolve) => setTimeout(resolve, 600))
    },
  }
  const first = await lab.run({}, slow, { signal: controller.signal })
  expect(first).toMatchObject({ outcome: "failed", commits: [], failure: { code: "job/interrupted" } })
  const second = await lab.run({}, archive(root))
  expect(second.outcome).toBe("ok")
  expect(second.captured.files + second.unchanged.files).toBe(40)
  expect(filesOf(await restored(lab, "call-recordings", "out"))).toEqual(filesOf(root))
})

test("no account, name or number of a customer is visible at a site", async () => {
  const clock = labClock(new Date("2031-03-04T12:00:00Z"))
  const kept: MemoryObjects = new Map()
  await using lab = await openLab({ sites: { a: memorySite("a", clock, kept), b: memorySite("b", clock) } })
  const root = join(lab.directory, "recordings")
  write(root, "maple.example/archive/2026/Nov/04/out-+12025550199.wav", "+12025550199 said maple.example")
  await lab.run({}, archive(root))
  for (const [key, { bytes }] of kept) {
    for (const secret of ["maple", "5550199"]) {
      expect(key).not.toContain(secret)
      expect(Buffer.from(bytes).includes(secret)).toBe(false)
    }
  }
})

test("a clock before what was signed stops the run with one sentence and changes nothing", async () => {
  await using lab = await openLab()
  const root = recordings(lab)
  await lab.run({}, archive(root))
  lab.clock.set(new Date("2021-01-01T00:00:00Z"))
  const report = await lab.run({}, archive(root))
  expect(report).toMatchObject({
    outcome: "failed",
    commits: [],
    failure: { code: "job/clock", hint: expect.stringContaining("timedatectl") },
  })
})

test("modes and times of files come back, also those before 1970", async () => {
  await using lab = await openLab()
  const root = join(lab.directory, "config")
  const old = write(root, "old.conf", "x")
  chmodSync(old, 0o1711)
  utimesSync(old, -1000, -1000)
  await lab.run({ mode: "state" }, state(root))
  expect(treeOf(await restored(lab, "switch-config", "out"))).toEqual(treeOf(root))
})
