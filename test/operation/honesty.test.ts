import { randomBytes } from "node:crypto"
import { appendFileSync, chmodSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { describe, expect, test } from "vitest"
import { Catalog } from "../../src/catalog/catalog.ts"
import { backup } from "../../src/operation/backup.ts"
import { readHistory } from "../../src/operation/history.ts"
import { recover } from "../../src/operation/recover.ts"
import { type RestoreRequest, restore } from "../../src/operation/restore.ts"
import { paintWith } from "../../src/report/paint.ts"
import { restoreText } from "../../src/report/restore-text.ts"
import type { RunReport } from "../../src/report/run.ts"
import { openSource } from "../../src/source/open.ts"
import type { Source } from "../../src/source/source.ts"
import { jobOf, type Lab, openLab } from "./lab.ts"
import { filesOf } from "./trees.ts"

const template = "{account}/archive/{yyyy}/{Mon}/{dd}/{name}"
const call = "maple.example/archive/2026/Nov/03/call.wav"
const dayMs = 86_400_000

function write(root: string, path: string, bytes: Uint8Array | string = randomBytes(2000)): string {
  const whole = join(root, path)
  mkdirSync(dirname(whole), { recursive: true })
  writeFileSync(whole, bytes)
  return whole
}

function archive(path: string, other = template) {
  return { kind: "directory" as const, path, template: other, settle: 0 }
}

function state(path: string, account = "platform") {
  return { kind: "directory" as const, path, account }
}

function command(script: string) {
  return { kind: "command" as const, command: ["sh", "-c", script] as [string, ...string[]], account: "platform", name: "dump.sql" }
}

/** A directory as it is while its disk is not mounted. */
function unmount(path: string): () => void {
  renameSync(path, `${path}.disk`)
  mkdirSync(path)
  return () => {
    rmSync(path, { recursive: true })
    renameSync(`${path}.disk`, path)
  }
}

function tree(lab: Lab, files: number): string {
  const root = join(lab.directory, "config")
  for (let index = 0; index < files; index++) write(root, `file-${String(index)}`)
  return root
}

async function bring(lab: Lab, request: Partial<RestoreRequest>, name = "out") {
  const path = join(lab.directory, name)
  const whole = { dataset: "call-recordings", identities: [lab.operations], ...request }
  return { path, report: await restore(whole, { path, owners: false }, lab.world()) }
}

function summary({ outcome, captured, unchanged }: RunReport) {
  return { outcome, captured: captured.files, unchanged: unchanged.files }
}

describe("empty where it was full is no success", () => {
  test("a state whose disk is not mounted, however often it is asked; the last whole one is restored", async () => {
    await using lab = await openLab()
    const root = tree(lab, 50)
    expect(await lab.run({ mode: "state" }, state(root))).toMatchObject({ outcome: "ok", warnings: [] })
    const mount = unmount(root)
    for (const _ of [1, 2, 3]) {
      const report = await lab.run({ mode: "state" }, state(root))
      expect(report).toMatchObject({ outcome: "partial", captured: { files: 0 } })
      expect(report.warnings).toEqual([expect.stringMatching(/config: holds nothing, and held 50 files with .* mounted/)])
    }
    const { snapshots } = await readHistory(lab.world())
    expect(snapshots.map(({ commit }) => commit.body.complete)).toEqual([true, false, false, false])
    mount()
    expect(filesOf((await bring(lab, { dataset: "switch-config" })).path)).toEqual(filesOf(root))
    expect(await lab.run({ mode: "state" }, state(root))).toMatchObject({ outcome: "ok", warnings: [] })
  })

  test("a state of files that all became empty", async () => {
    await using lab = await openLab()
    const root = tree(lab, 3)
    await lab.run({ mode: "state" }, state(root))
    for (const name of readdirSync(root)) writeFileSync(join(root, name), "")
    expect(await lab.run({ mode: "state" }, state(root))).toMatchObject({ outcome: "partial", warnings: [expect.any(String)] })
  })

  test("a command that wrote rows and now writes nothing", async () => {
    await using lab = await openLab()
    const job = { mode: "state" as const }
    expect(await lab.run(job, command("echo row"))).toMatchObject({ outcome: "ok", notes: {} })
    for (const _ of [1, 2]) {
      const report = await lab.run(job, command("true"))
      expect(report).toMatchObject({ outcome: "partial", notes: { empty: 1 }, warnings: [expect.stringContaining("holds nothing")] })
    }
    expect(await lab.run(job, command("echo row"))).toMatchObject({ outcome: "ok", notes: {}, warnings: [] })
  })

  test("a database that had tables and has none", async () => {
    await using lab = await openLab()
    const path = join(lab.directory, "voicemail.db")
    using database = new DatabaseSync(path)
    database.exec("CREATE TABLE message (text TEXT); INSERT INTO message VALUES ('hello')")
    const source = { kind: "sqlite" as const, path, account: "platform" }
    expect(await lab.run({ mode: "state" }, source)).toMatchObject({ outcome: "ok" })
    database.exec("DROP TABLE message")
    for (const _ of [1, 2]) expect(await lab.run({ mode: "state" }, source)).toMatchObject({ outcome: "partial", notes: { empty: 1 } })
    database.exec("CREATE TABLE message (text TEXT)")
    expect(await lab.run({ mode: "state" }, source)).toMatchObject({ outcome: "ok" })
  })

  test("an archive whose disk is not mounted", async () => {
    await using lab = await openLab()
    const root = join(lab.directory, "recordings")
    write(root, call)
    await lab.run({}, archive(root))
    const mount = unmount(root)
    for (const _ of [1, 2]) {
      const report = await lab.run({}, archive(root))
      expect(report).toMatchObject({ outcome: "partial", warnings: [expect.stringContaining("held 1 file with")] })
    }
    mount()
    expect(summary(await lab.run({}, archive(root)))).toEqual({ outcome: "ok", captured: 0, unchanged: 1 })
  })

  test("a memory that was recovered from the sites knows that it was full", async () => {
    await using lab = await openLab()
    const root = tree(lab, 5)
    await lab.run({ mode: "state" }, state(root))
    using catalog = Catalog.open(":memory:", () => undefined)
    await recover({ identities: [lab.operations], agent: "pbx-1" }, { ...lab.world(), catalog })
    unmount(root)
    expect(await lab.run({ mode: "state" }, state(root), { catalog })).toMatchObject({ outcome: "partial" })
  })

  test("what was never anything else is one", async () => {
    await using lab = await openLab()
    const root = tree(lab, 0)
    mkdirSync(root)
    for (const _ of [1, 2]) expect(await lab.run({ mode: "state" }, state(root))).toMatchObject({ outcome: "ok", warnings: [] })
    for (const _ of [1, 2])
      expect(await lab.run({ mode: "state", name: "dump", dataset: "dump" }, command("true"))).toMatchObject({ outcome: "ok" })
    expect(await lab.run({}, archive(root))).toMatchObject({ outcome: "ok", warnings: [] })
  })

  test("a program that failed is said to have failed, and not to be empty too", async () => {
    await using lab = await openLab()
    await lab.run({ mode: "state" }, command("echo row"))
    const report = await lab.run({ mode: "state" }, command("exit 3"))
    expect(report).toMatchObject({ outcome: "partial", missed: [{ reason: "failed" }], warnings: [] })
  })
})

test("a state that lost nine tenths of its files is partial, and says so; one that lost less is a success", async () => {
  await using lab = await openLab()
  const root = tree(lab, 40)
  await lab.run({ mode: "state" }, state(root))
  for (let index = 10; index < 40; index++) rmSync(join(root, `file-${String(index)}`))
  expect(await lab.run({ mode: "state" }, state(root))).toMatchObject({ outcome: "ok", warnings: [] })
  for (let index = 0; index < 10; index++) if (index !== 5) rmSync(join(root, `file-${String(index)}`))
  expect(await lab.run({ mode: "state" }, state(root))).toMatchObject({ outcome: "ok", warnings: [] })
  for (let index = 0; index < 40; index++) write(root, `file-${String(index)}`)
  await lab.run({ mode: "state" }, state(root))
  for (let index = 0; index < 37; index++) rmSync(join(root, `file-${String(index)}`))
  const report = await lab.run({ mode: "state" }, state(root))
  expect(report).toMatchObject({ outcome: "partial", warnings: [expect.stringMatching(/3 files with .*, and 40 files with .* before/)] })
})

describe("what is known is looked at again", () => {
  test("when a corrected template gives it an account", async () => {
    await using lab = await openLab()
    const root = join(lab.directory, "recordings")
    write(root, call)
    expect(await lab.run({}, archive(root, "{account}/{yyyy}/{MM}/{dd}/{name}"))).toMatchObject({
      outcome: "partial",
      notes: { unmatched: 1 },
    })
    expect(summary(await lab.run({}, archive(root)))).toEqual({ outcome: "ok", captured: 1, unchanged: 0 })
    expect(summary(await lab.run({}, archive(root)))).toEqual({ outcome: "ok", captured: 0, unchanged: 1 })
    const { report, path } = await bring(lab, { accounts: ["maple.example"] })
    expect(report).toMatchObject({ outcome: "ok", restored: { files: 1 } })
    expect(filesOf(path)).toEqual(filesOf(root))
    expect((await bring(lab, {}, "all")).report, "the same bytes under both").toMatchObject({ outcome: "ok", restored: { files: 1 } })
  })

  test("when a state is given to another account, or a job to another class", async () => {
    await using lab = await openLab()
    const root = tree(lab, 2)
    await lab.run({ mode: "state" }, state(root))
    expect(await lab.run({ mode: "state" }, state(root, "maple.example"))).toMatchObject({ captured: { files: 2 } })
    expect(await lab.run({ mode: "state" }, state(root, "maple.example"))).toMatchObject({ captured: { files: 0 } })
    const longer = { name: "long-400", days: 400 }
    expect(await lab.run({ mode: "state", class: longer }, state(root, "maple.example"))).toMatchObject({ captured: { files: 2 } })
  })

  test("when its day differs, but not when only the week did", async () => {
    await using lab = await openLab()
    const root = join(lab.directory, "recordings")
    write(root, "stray.wav")
    await lab.run({}, archive(root))
    lab.clock.advance(8 * dayMs)
    expect(await lab.run({}, archive(root))).toMatchObject({ captured: { files: 0 }, unchanged: { files: 1 } })
    const other = join(lab.directory, "other")
    write(other, call)
    const named = { name: "other", dataset: "other" }
    await lab.run(named, archive(other))
    const swapped = "{account}/archive/{yyyy}/*/{dd}/{MM}{name}"
    write(other, "maple.example/archive/2026/Nov/03/05call.wav")
    await lab.run(named, archive(other))
    rmSync(join(other, call))
    expect(await lab.run(named, archive(other, swapped))).toMatchObject({ captured: { files: 1 }, unchanged: { files: 0 } })
  })

  test("when its week did, in a state", async () => {
    await using lab = await openLab()
    const root = tree(lab, 1)
    await lab.run({ mode: "state" }, state(root, "mixed"))
    lab.clock.advance(8 * dayMs)
    expect(await lab.run({ mode: "state" }, state(root, "mixed"))).toMatchObject({ outcome: "ok", captured: { files: 1 } })
  })

  test("when its mode changed after a recovery, which has no times of inodes", async () => {
    await using lab = await openLab()
    const root = tree(lab, 2)
    await lab.run({ mode: "state" }, state(root))
    using catalog = Catalog.open(":memory:", () => undefined)
    await recover({ identities: [lab.operations], agent: "pbx-1" }, { ...lab.world(), catalog })
    chmodSync(join(root, "file-1"), 0o600)
    expect(summary(await lab.run({ mode: "state" }, state(root), { catalog }))).toEqual({ outcome: "ok", captured: 1, unchanged: 1 })
  })

  test("but not a link that leads where it led", async () => {
    await using lab = await openLab()
    const root = join(lab.directory, "recordings")
    const link = join(root, dirname(call), "link")
    write(root, call)
    symlinkSync("call.wav", link)
    await lab.run({}, archive(root))
    await lab.run({}, archive(root))
    const inventories = async () => (await readHistory(lab.world())).snapshots.map(({ commit }) => commit.body.inventory.length)
    expect(await inventories()).toEqual([1, 0])
    rmSync(link)
    symlinkSync("other.wav", link)
    await lab.run({}, archive(root))
    expect(await inventories()).toEqual([1, 0, 1])
  })
})

test("a pack is reused for as long as its own class says, not the job's", async () => {
  await using lab = await openLab()
  const root = tree(lab, 1)
  await lab.run({ mode: "state" }, state(root, "mixed"))
  lab.clock.advance(3_600_000)
  expect(await lab.run({ mode: "state" }, state(root, "mixed")), "mixed-28 reuses nothing").toMatchObject({ captured: { files: 1 } })
})

describe("a week that turns while a run goes on", () => {
  const sunday = new Date("2031-03-09T23:59:59Z")

  // Whoever asks for the time as the nth finds that it is Monday.
  test.each([5, 6, 8, 10, 12])("leaves nothing without its account, also what is tried again (%i)", async (nth) => {
    await using lab = await openLab({ now: sunday })
    const root = tree(lab, 2)
    let asked = 0
    const now = () => {
      asked += 1
      if (asked === nth) lab.clock.advance(2000)
      return lab.clock.now()
    }
    const source = openSource(state(root, "mixed"), "state", {})
    const growing: Source = {
      description: source.description,
      async *capture(options) {
        for await (const found of source.capture(options)) {
          if ("item" in found) appendFileSync(join(root, found.item.path.toString()), "more")
          yield found
        }
      },
    }
    const report = await backup(jobOf({ mode: "state" }), growing, { ...lab.world(), clock: { now } })
    expect(report).toMatchObject({ outcome: "ok", captured: { files: 2 } })
    expect((await bring(lab, { dataset: "switch-config" })).report).toMatchObject({ outcome: "ok", restored: { files: 2 } })
  })
})

describe("a restore says what it did not bring", () => {
  test.each([
    ["a pattern", { paths: ["**/*.flac"] }, "the pattern **/*.flac"],
    ["days", { from: "2027-01-01", to: "2027-01-31" }, "the days from 2027-01-01 to 2027-01-31"],
    [
      "an account",
      { accounts: ["maple.example"], paths: ["birch.example/**"] },
      "the pattern birch.example/** and the account maple.example",
    ],
  ])("%s that fits nothing is an error", async (_, request, asked) => {
    await using lab = await openLab()
    const root = join(lab.directory, "recordings")
    for (const path of [call, call.replace("maple", "birch")]) write(root, path)
    await lab.run({}, archive(root))
    await expect(bring(lab, request)).rejects.toMatchObject({
      code: "job/not-found",
      message: `call-recordings: nothing fits ${asked}`,
      hint: expect.any(String),
    })
  })

  test("an item that could not be read when the snapshot was taken makes it partial, and is said", async () => {
    await using lab = await openLab()
    const root = join(lab.directory, "recordings")
    write(root, call)
    const growing = write(root, call.replace("call", "growing"))
    const source = openSource(archive(root), "archive", {})
    const meddling: Source = {
      description: source.description,
      async *capture(options) {
        for await (const found of source.capture(options)) {
          if ("item" in found && found.item.path.includes("growing")) appendFileSync(growing, "more")
          yield found
        }
      },
    }
    await lab.run({}, meddling)
    const { report } = await bring(lab, {})
    expect(report).toMatchObject({ outcome: "partial", restored: { files: 1 }, missingAtSource: 1 })
    const paint = paintWith({ colour: false })
    expect(restoreText(report, { paint, moment: String }).join("\n")).toContain("1 item not in the snapshot")
    await lab.run({}, archive(root))
    expect((await bring(lab, {}, "later")).report).toMatchObject({ outcome: "ok", restored: { files: 2 }, missingAtSource: 0 })
  })

  test("of one path under several accounts the newest comes, whichever was first", async () => {
    await using lab = await openLab()
    const root = join(lab.directory, "recordings")
    write(root, "maple.example/archive/2026/Nov/03/other.wav")
    write(root, call, "older")
    await lab.run({}, archive(root, "{account}/{yyyy}/{MM}/{dd}/{name}"))
    write(root, call, "newest by far")
    const fixed = await lab.run({}, archive(root))
    expect(fixed).toMatchObject({ captured: { files: 2 } })
    const { report, path } = await bring(lab, {})
    expect(readFileSync(join(path, call), "utf8")).toBe("newest by far")
    expect(report).toMatchObject({
      outcome: "partial",
      restored: { files: 2 },
      refusedCount: 1,
      refused: [
        { path: call, detail: expect.stringContaining("for another account or day; a later capture of the same path is restored") },
      ],
    })
  })

  test("of one path of two agents the newest comes, and the older is named with where to get it", async () => {
    await using lab = await openLab()
    const roots = ["one", "two"].map((name) => join(lab.directory, name))
    const [one = "", two = ""] = roots
    write(one, call, "the first agent's")
    write(two, call, "the second agent's call")
    write(two, call.replace("call", "own"), "only the second's")
    await lab.run({}, archive(one))
    lab.clock.advance(60_000)
    await lab.run({}, archive(two), { agent: "pbx-2" })
    const { report, path } = await bring(lab, {})
    expect(readFileSync(join(path, call), "utf8")).toBe("the second agent's call")
    expect(report).toMatchObject({
      outcome: "partial",
      restored: { files: 2 },
      refused: [
        { path: call, detail: expect.stringContaining("by pbx-2 is restored: ask for pbx-1/call-recordings in a directory of its own") },
      ],
    })
    const own = await bring(lab, { dataset: "pbx-1/call-recordings" }, "own")
    expect(own.report).toMatchObject({ outcome: "ok", restored: { files: 1 } })
    expect(readFileSync(join(own.path, call), "utf8")).toBe("the first agent's")
  })
})
