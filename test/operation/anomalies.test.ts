import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { describe, expect, test } from "vitest"
import { rememberedAnomalies } from "../../src/catalog/anomalies.ts"
import { Catalog } from "../../src/catalog/catalog.ts"
import { timestamp } from "../../src/clock.ts"
import { sha256 } from "../../src/digest.ts"
import { SiteError } from "../../src/errors.ts"
import { type Commit, decodeCommit, encodeControlCommit } from "../../src/format/commit.ts"
import { commitKey } from "../../src/format/names.ts"
import { decodeTrust, encodeTrust } from "../../src/format/trust.ts"
import { anomaliesIn, anomalyToLift, frozenDatasets, liftAnomaly, ownAnomalies, readAnomalies } from "../../src/operation/anomalies.ts"
import { examineState } from "../../src/operation/doctor.ts"
import { readLogs } from "../../src/operation/logs.ts"
import { recover } from "../../src/operation/recover.ts"
import { paintWith } from "../../src/report/paint.ts"
import { runText } from "../../src/report/run-text.ts"
import { readStoredRun } from "../../src/report/stored-run.ts"
import { type MemoryObjects, memorySite } from "../../src/site/memory.ts"
import type { OpenedSite } from "../../src/site/site.ts"
import { bytesItem } from "../../src/source/cdr-pieces.ts"
import { lostTables } from "../../src/source/lost-tables.ts"
import type { Found, Source } from "../../src/source/source.ts"
import { signerOf } from "../format/signing.ts"
import { type Lab, labClock, openLab, vaultSites } from "./lab.ts"
import { sharedPool } from "./lab-pool.ts"

const pool = sharedPool()

const hourMs = 3_600_000
const state = { mode: "state" as const, guard: { shrink: 0.5 } }
const media = { guard: { shrink: 0.5, change: 0.3 } }

function tree(lab: Lab, files: number): string {
  const root = join(lab.directory, "config")
  mkdirSync(root, { recursive: true })
  for (let index = 0; index < files; index++) writeFileSync(join(root, `file-${String(index)}`), "x".repeat(100))
  return root
}

function remove(root: string, files: number): void {
  for (let index = 0; index < files; index++) rmSync(join(root, `file-${String(index)}`))
}

const whole = (path: string) => ({ kind: "directory" as const, path, account: "platform" })
const archive = (path: string) => ({ kind: "directory" as const, path, template: "{account}/archive/{yyyy}/{Mon}/{dd}/{name}", settle: 0 })

/** Recordings of 3 March 2031, the day before the lab's own, or of another. */
function recordings(lab: Lab, calls: number, day = "2031/Mar/03"): string {
  const root = join(lab.directory, "recordings")
  for (let index = 0; index < calls; index++) record(root, index, day)
  return root
}

function pathOf(root: string, index: number, day: string): string {
  return join(root, "maple.example/archive", day, `call-${String(index)}.wav`)
}

function record(root: string, index: number, day = "2031/Mar/03", content = "sound"): void {
  mkdirSync(dirname(pathOf(root, index, day)), { recursive: true })
  writeFileSync(pathOf(root, index, day), content)
}

function take(root: string, from: number, to: number, day = "2031/Mar/03"): void {
  for (let index = from; index < to; index++) rmSync(pathOf(root, index, day))
}

async function commitsOf(lab: Lab): Promise<Commit[]> {
  return (await readLogs(lab.world())).flatMap(({ commits }) => commits.map(({ commit }) => commit))
}

async function lift(lab: Lab, id: string, reason = "was meant"): Promise<void> {
  const world = lab.world()
  const { log, anomalies } = await ownAnomalies(world)
  await liftAnomaly(world, log, { id: anomalyToLift(anomalies, id, world.agent.id).id, by: "Ada", reason })
}

async function openIds(lab: Lab): Promise<string[]> {
  return (await readAnomalies(lab.world())).flatMap(({ id, lifted }) => (lifted === undefined ? [id] : []))
}

describe("a source that held something and holds nothing", () => {
  test("is one anomaly however often it is met, and every host that reads the logs sees it", async () => {
    await using lab = await openLab({ pool })
    const root = tree(lab, 20)
    expect(await lab.run(state, whole(root))).not.toHaveProperty("anomalies")
    remove(root, 20)
    for (const _ of [1, 2, 3]) {
      const report = await lab.run(state, whole(root))
      expect(report).toMatchObject({ outcome: "partial", anomalies: [{ kind: "emptied", dataset: "switch-config" }] })
      lab.clock.advance(hourMs)
    }
    const seen = await readAnomalies(lab.world({ agent: "pbx-2" }))
    expect(seen).toEqual([
      {
        ...{ agent: "pbx-1", dataset: "switch-config", kind: "emptied", id: expect.stringMatching(/^[0-9a-f]{32}$/) },
        ...{ time: "2031-03-04T12:00:00.000Z", numbers: { files: 0, bytes: 0, filesBefore: 20, bytesBefore: 2000 } },
      },
    ])
    expect(frozenDatasets(await commitsOf(lab))).toEqual(new Set(["pbx-1/switch-config"]))
  })

  test("is a success once a person lifted it, and stays one", async () => {
    await using lab = await openLab({ pool })
    const root = tree(lab, 20)
    await lab.run(state, whole(root))
    remove(root, 20)
    await lab.run(state, whole(root))
    lab.clock.advance(hourMs)
    await lift(lab, (await openIds(lab))[0] ?? "")
    expect(frozenDatasets(await commitsOf(lab))).toEqual(new Set())
    for (const _ of [1, 2]) {
      const report = await lab.run(state, whole(root))
      expect(report).toMatchObject({ outcome: "ok", warnings: [] })
      expect(report).not.toHaveProperty("anomalies")
    }
    tree(lab, 5)
    expect(await lab.run(state, whole(root))).toMatchObject({ outcome: "ok" })
    remove(root, 5)
    expect(await lab.run(state, whole(root)), "and from then on it is asked about again").toMatchObject({ outcome: "partial" })
    expect(await readAnomalies(lab.world())).toHaveLength(2)
  })

  test("is the same of an archive, whose memory is never empty", async () => {
    await using lab = await openLab({ pool })
    const root = recordings(lab, 3)
    await lab.run({}, archive(root))
    rmSync(root, { recursive: true })
    mkdirSync(root)
    expect(await lab.run({}, archive(root))).toMatchObject({ outcome: "partial", anomalies: [{ kind: "emptied" }] })
    lab.clock.advance(hourMs)
    await lift(lab, (await openIds(lab))[0] ?? "")
    for (const _ of [1, 2]) expect(await lab.run({}, archive(root))).toMatchObject({ outcome: "ok", warnings: [] })
    recordings(lab, 1)
    expect(await lab.run({}, archive(root))).toMatchObject({ outcome: "ok" })
    rmSync(root, { recursive: true })
    mkdirSync(root)
    expect(await lab.run({}, archive(root))).toMatchObject({ outcome: "partial" })
  })
})

test("a source that yields only what is new may yield nothing: call records rest at night", async () => {
  await using lab = await openLab({ pool })
  const bytes = Buffer.from("rows")
  const item = { stableId: "platform", day: "2031-03-04", path: Buffer.from("a.tsv"), type: "file" as const, size: bytes.length, flags: [] }
  const content = { kind: "bytes" as const, bytes, sha256: sha256(bytes) }
  const rows = { item: { ...item, mtimeNs: 0n, mode: 0o600, uid: 0, gid: 0, compressible: true, content } }
  const cdrs = { name: "cdrs", dataset: "cdrs", guard: { shrink: 0.5 } }
  expect(await lab.run(cdrs, yielding(rows))).toMatchObject({ outcome: "ok" })
  expect(await lab.run(cdrs, yielding())).toMatchObject({ outcome: "ok", warnings: [] })
})

describe("a whole that shrank by more than its share", () => {
  test("is partial until a person lifts it, measured against what was there before", async () => {
    await using lab = await openLab({ pool })
    const root = tree(lab, 20)
    await lab.run(state, whole(root))
    remove(root, 9)
    expect(await lab.run(state, whole(root))).toMatchObject({ outcome: "ok" })
    tree(lab, 20)
    await lab.run(state, whole(root))
    remove(root, 11)
    for (const _ of [1, 2]) {
      const report = await lab.run(state, whole(root))
      expect(report).toMatchObject({ outcome: "partial", anomalies: [{ kind: "shrunk", numbers: { files: 9, filesBefore: 20 } }] })
    }
    expect(await readAnomalies(lab.world())).toHaveLength(1)
    await lift(lab, (await openIds(lab))[0] ?? "")
    expect(await lab.run(state, whole(root))).toMatchObject({ outcome: "ok", warnings: [] })
    expect(await openIds(lab)).toEqual([])
  })

  test("that has come back is a success, and stays frozen until somebody looked", async () => {
    await using lab = await openLab({ pool })
    const root = tree(lab, 20)
    await lab.run(state, whole(root))
    remove(root, 19)
    await lab.run(state, whole(root))
    tree(lab, 20)
    expect(await lab.run(state, whole(root))).toMatchObject({ outcome: "ok", anomalies: [{ kind: "shrunk" }] })
  })
})

describe("recent recordings that go or change", () => {
  const purged = async (lab: Lab, root: string) => await lab.run(media, archive(root))

  test("by more than their share are an anomaly, once", async () => {
    await using lab = await openLab({ pool })
    const root = recordings(lab, 40)
    expect(await purged(lab, root)).toMatchObject({ outcome: "ok" })
    take(root, 0, 13)
    const report = await purged(lab, root)
    expect(report).toMatchObject({
      outcome: "partial",
      anomalies: [{ kind: "mass-change", numbers: { known: 40, gone: 13, changed: 0, lost: 13 } }],
      warnings: [expect.stringContaining("of 40 files of the last 7 days 13 went away and 0 changed")],
    })
    expect(await purged(lab, root), "what is gone is gone").toMatchObject({ outcome: "ok", anomalies: [{ kind: "mass-change" }] })
  })

  test("that are written over are as bad as gone", async () => {
    await using lab = await openLab({ pool })
    const root = recordings(lab, 40)
    await purged(lab, root)
    for (let index = 0; index < 13; index++) record(root, index, "2031/Mar/03", "encrypted")
    expect(await purged(lab, root)).toMatchObject({ outcome: "partial", anomalies: [{ numbers: { gone: 0, changed: 13 } }] })
  })

  test("are counted together for a day: who encrypts terabytes takes hours", async () => {
    await using lab = await openLab({ pool })
    const root = recordings(lab, 40)
    await purged(lab, root)
    for (const at of [0, 4, 8]) {
      take(root, at, at + 4)
      lab.clock.advance(hourMs)
      expect(await purged(lab, root)).toMatchObject({ outcome: "ok" })
    }
    take(root, 12, 13)
    expect(await purged(lab, root)).toMatchObject({ outcome: "partial", anomalies: [{ numbers: { known: 40, gone: 1, lost: 13 } }] })
  })

  test("are no anomaly below the share, spread over days, old, few, or added", async () => {
    await using lab = await openLab({ pool })
    const root = recordings(lab, 40)
    recordings(lab, 40, "2031/Feb/20")
    await purged(lab, root)
    take(root, 0, 40, "2031/Feb/20")
    for (const at of [0, 9, 18]) {
      take(root, at, at + 9)
      for (let index = 100 + at; index < 109 + at; index++) record(root, index)
      expect(await purged(lab, root)).toMatchObject({ outcome: "ok", warnings: [] })
      lab.clock.advance(25 * hourMs)
    }
    const few = join(lab.directory, "few")
    for (let index = 0; index < 10; index++) record(few, index, "2031/Mar/06")
    const other = { ...media, name: "few", dataset: "few" }
    await lab.run(other, archive(few))
    take(few, 0, 9, "2031/Mar/06")
    expect(await lab.run(other, archive(few))).toMatchObject({ outcome: "ok", warnings: [] })
  })

  test("are not taken for gone where their memory was lost, and are seen again by the next run", async () => {
    await using lab = await openLab({ pool })
    const root = recordings(lab, 40)
    await purged(lab, root)
    using catalog = Catalog.open(":memory:", () => undefined)
    take(root, 0, 20)
    expect(await lab.run(media, archive(root), { catalog })).toMatchObject({ outcome: "ok" })
    take(root, 20, 27)
    expect(await lab.run(media, archive(root), { catalog })).toMatchObject({ outcome: "partial" })
    using recovered = Catalog.open(":memory:", () => undefined)
    await recover({ identities: [lab.operations], agent: "pbx-1" }, { ...lab.world(), catalog: recovered })
    expect(await lab.run(media, archive(root), { catalog: recovered }), "27 of 40 are gone, and nobody knows since when").toMatchObject({
      outcome: "ok",
    })
  })
})

/** A source that yields these. */
function yielding(...found: readonly Found[]): Source {
  return {
    description: "database pbx",
    async *capture() {
      await Promise.resolve()
      yield* found
    },
  }
}

test("a table that held rows and holds none, and a program that failed, are anomalies of their own", async () => {
  await using lab = await openLab({ pool })
  const emptied = { note: { kind: "emptied" as const, path: Buffer.from("public.v_extensions") } }
  const bytes = Buffer.from("rows")
  const common = { stableId: "platform", day: "", type: "file" as const, mtimeNs: 0n, mode: 0o600, uid: 0, gid: 0 }
  const item = { ...common, path: Buffer.from("database.json"), size: bytes.length, compressible: true, flags: [] }
  const rows = { item: { ...item, content: { kind: "bytes" as const, bytes, sha256: sha256(bytes) } } }
  expect(await lab.run(state, yielding(rows, emptied, emptied))).toMatchObject({
    outcome: "partial",
    anomalies: [{ kind: "emptied-table", numbers: { tables: 2 } }],
  })
  const failing = { kind: "command" as const, command: ["sh", "-c", "exit 3"] as [string, ...string[]], account: "platform", name: "x" }
  const dump = { mode: "state" as const, name: "dump", dataset: "dump" }
  for (const _ of [1, 2]) expect(await lab.run(dump, failing)).toMatchObject({ outcome: "partial", anomalies: [{ kind: "failed" }] })
  const found = await readAnomalies(lab.world())
  expect(found.map(({ dataset, kind }) => [dataset, kind])).toEqual([
    ["switch-config", "emptied-table"],
    ["dump", "failed"],
  ])
})

test("a table that is still empty makes every run partial, and the doctor says so, until it is lifted or filled again", async () => {
  await using lab = await openLab({ pool })
  const database = counting()
  const run = async (rows: number) => {
    lab.clock.advance(hourMs)
    return await lab.run(state, database(rows))
  }
  const doctor = async () => (await examineState(lab.directory)).flatMap(({ check, text }) => (check === "anomaly" ? text : []))
  chmodSync(lab.directory, 0o700)
  expect(await run(20)).toMatchObject({ outcome: "ok" })
  expect(await doctor()).toEqual([])
  for (const when of [" ", " since 2031-03-04T14:00:00.000Z"]) {
    const report = await run(0)
    expect(report).toMatchObject({
      outcome: "partial",
      notes: { emptied: 1 },
      anomalies: [{ kind: "emptied-table", numbers: { tables: 1 } }],
    })
    expect(report.warnings).toEqual([`public.v_extensions: holds no row${when.trimEnd()}, and held 20 before`])
    expect(await doctor()).toEqual([
      "switch-config, since 2031-03-04T14:00:00.000Z: 1 table that held rows holds none; nothing of it expires",
    ])
  }
  await lift(lab, (await openIds(lab))[0] ?? "")
  expect(await run(0)).toMatchObject({ outcome: "ok", warnings: [] })
  expect(await doctor()).toEqual([])
  await run(5)
  expect(await run(0)).toMatchObject({ outcome: "partial" })
  expect(await run(5), "filled again").toMatchObject({ outcome: "ok", anomalies: [{ kind: "emptied-table" }] })
})

/** A database with a table of so many rows. */
function counting(): (rows: number) => Source {
  return (rows) => ({
    description: "database pbx",
    async *capture(options) {
      await Promise.resolve()
      yield* lostTables([["public.v_extensions", rows]], options)
      const bytes = Buffer.from(`${String(rows)} of many rows`.padEnd(100))
      const item = bytesItem(bytes, { stableId: "platform", day: "", path: Buffer.from("database.json"), now: options.now })
      yield { item }
    },
  })
}

describe("the record", () => {
  test("is in the log before the commit of the run, and says no name", async () => {
    await using lab = await openLab({ pool })
    const root = recordings(lab, 40)
    await lab.run(media, archive(root))
    take(root, 0, 30)
    await lab.run(media, archive(root))
    const commits = await commitsOf(lab)
    const [anomaly, backup] = commits.slice(-2)
    expect(anomaly?.body).toMatchObject({ kind: "control", records: [{ type: "anomaly" }] })
    expect(backup?.body).toMatchObject({ kind: "backup", complete: false })
    expect(JSON.stringify(anomaly?.body)).not.toMatch(/maple|call-\d|\/archive/)
  })

  test("that no site takes waits on the host, freezes nothing yet, and is written by the next run", async () => {
    const clock = labClock(new Date("2031-03-04T12:00:00Z"))
    let refusing = false
    const objects: MemoryObjects[] = [new Map(), new Map()]
    const sites = Object.fromEntries(objects.map((held, index) => [`s${String(index)}`, refusingLog(held, index)]))
    function refusingLog(held: MemoryObjects, index: number): OpenedSite {
      const opened = memorySite(`s${String(index)}`, clock, held)
      const { site } = opened
      let refused = false
      const put: typeof site.put = async (key, bytes, options) => {
        if (refusing && !refused && key.includes("/log/")) {
          refused = true
          throw new SiteError(site.name, "site/denied", `${key}: denied`)
        }
        return await site.put(key, bytes, options)
      }
      return {
        ...opened,
        site: { ...site, name: site.name, put, get: site.get.bind(site), head: site.head.bind(site), list: site.list.bind(site) },
      }
    }
    await using lab = await openLab({ pool, sites, now: clock.now() })
    const root = tree(lab, 20)
    await lab.run(state, whole(root))
    remove(root, 20)
    refusing = true
    const report = await lab.run(state, whole(root))
    expect(report).toMatchObject({ outcome: "partial", anomalies: [{ kind: "emptied" }] })
    expect(report.warnings.join("\n")).toContain("not recorded at any site yet")
    expect(await readAnomalies(lab.world())).toEqual([])
    const [waiting] = rememberedAnomalies(lab.world().catalog)
    await lab.run(state, whole(root))
    expect(await readAnomalies(lab.world())).toMatchObject([{ id: waiting?.id, numbers: { filesBefore: 20 } }])
  })

  test("is not written again by a host that lost its memory", async () => {
    await using lab = await openLab({ pool })
    const failing = { kind: "command" as const, command: ["sh", "-c", "exit 3"] as [string, ...string[]], account: "platform", name: "x" }
    await lab.run(state, failing)
    using catalog = Catalog.open(":memory:", () => undefined)
    expect(await lab.run(state, failing, { catalog })).toMatchObject({ anomalies: [{ kind: "failed" }] })
    expect(await readAnomalies(lab.world())).toHaveLength(1)
  })

  test("is shown by the run, with the command that lifts it, and read back from its history", async () => {
    await using lab = await openLab({ pool })
    const root = tree(lab, 20)
    await lab.run(state, whole(root))
    remove(root, 20)
    const report = await lab.run(state, whole(root))
    expect(readStoredRun(JSON.stringify(report))).toEqual(report)
    const text = runText(report, { paint: paintWith({ colour: false }), paths: false }).join("\n")
    expect(text).toContain("anomaly  the source holds nothing, and held 20 files with 1.95 KiB: nothing of switch-config expires")
    expect(text).toContain(`→ holdline anomaly lift ${report.anomalies?.[0]?.id.slice(0, 12) ?? "?"} --reason`)
  })
})

describe("a hostile log", () => {
  const id = "a".repeat(32)
  const record = { type: "anomaly" as const, id, dataset: "cdrs", kind: "shrunk", time: "2031-03-04T12:00:00.000Z", numbers: { files: 1 } }
  const lifted = { type: "anomaly-lifted" as const, id, by: "Eve", reason: "trust me" }

  // biome-ignore lint/suspicious/noExplicitAny: what a hostile agent writes has no type
  function commit(agent: string, records: readonly any[], seq = 1) {
    const signer = signerOf(agent)
    const shared = { repository: "1".repeat(32), agent, seq, prev: [], seen: [], trust: `1-${"0".repeat(32)}` }
    const bytes = encodeControlCommit({ ...shared, time: "2031-03-04T12:00:00.000Z", records: [...records] }, signer)
    return { bytes, commit: decodeCommit(bytes, () => [signer.publicKey]) }
  }

  test("lifts no other agent's anomaly, and freezes no other agent's dataset", () => {
    const own = commit("pbx-1", [record]).commit
    const other = commit("pbx-2", [lifted, { ...record, id: "b".repeat(32) }]).commit
    expect(frozenDatasets([own, other])).toEqual(new Set(["pbx-1/cdrs", "pbx-2/cdrs"]))
    expect(frozenDatasets([own, commit("pbx-1", [lifted], 2).commit])).toEqual(new Set())
    expect(() => anomalyToLift(anomaliesIn([own]), id, "pbx-2")).toThrow("is of pbx-1, and only its own log can lift it")
  })

  test("changes nothing by saying an id again, and one lifting is for one anomaly", () => {
    const again = commit("pbx-1", [record, { ...record, dataset: "other", kind: "failed" }, { ...record, id: "c".repeat(32) }])
    expect(anomaliesIn([again.commit]).map(({ dataset, kind }) => [dataset, kind])).toEqual([
      ["cdrs", "shrunk"],
      ["cdrs", "shrunk"],
    ])
    expect(frozenDatasets([again.commit, commit("pbx-1", [lifted], 2).commit])).toEqual(new Set(["pbx-1/cdrs"]))
  })

  test.each([
    ["a number that is a text", { ...record, numbers: { files: "maple.example" } }],
    ["a name that is none", { ...record, numbers: { "+15551234567": 1 } }],
    ["a kind that is a sentence", { ...record, kind: "maple.example lost its calls" }],
    ["no id", { ...record, id: "1" }],
    ["a lifting without a reason", { ...lifted, reason: "" }],
    ["a lifting by nobody", { ...lifted, by: undefined }],
  ])("is refused whole for %s", (_, malformed) => {
    expect(() => commit("pbx-1", [malformed])).toThrow("record")
  })

  test("of an agent that the root does not name is ignored, and said", async () => {
    const clock = labClock(new Date("2031-03-04T12:00:00Z"))
    const objects: MemoryObjects = new Map()
    await using lab = await openLab({ pool, sites: { a: memorySite("a", clock, objects), b: memorySite("b", clock) }, now: clock.now() })
    const { repository, trust } = lab.world()
    const shared = { repository: repository.id, seq: 1, prev: [], seen: [], trust: trust[0]?.reference ?? "", time: timestamp(clock.now()) }
    // Its own prefix, and the one of an agent that is trusted, with another key.
    for (const agent of ["pbx-9", "pbx-2"]) {
      const bytes = encodeControlCommit({ ...shared, agent, records: [record] }, signerOf("eve"))
      objects.set(commitKey(agent, 1, bytes), { bytes: Buffer.from(bytes), sha256: sha256(bytes), storedAt: clock.now() })
    }
    expect(await readAnomalies(lab.world({ sites: vaultSites({ a: memorySite("a", clock, objects) }) }))).toEqual([])
    expect(lab.events).toContainEqual({ type: "warning", message: expect.stringMatching(/pbx-2.*not believed/) })
  })
})

test("what an agent writes once the root has removed it freezes nothing, and lifts nothing", async () => {
  await using lab = await openLab({ pool })
  const failing = { kind: "command" as const, command: ["sh", "-c", "exit 3"] as [string, ...string[]], account: "platform", name: "x" }
  await lab.run(state, failing, { agent: "pbx-2" })
  const [list] = lab.trust
  if (list === undefined) throw new Error("no trust list")
  lab.clock.advance(hourMs)
  const agents = list.body.agents.filter(({ id }) => id === "pbx-1")
  const removal = encodeTrust({ ...list.body, n: 2, prev: list.sha256, created: timestamp(lab.clock.now()), agents }, lab.root)
  const reader = { ...lab.world(), trust: [list, decodeTrust(removal, lab.root.fingerprint)] }
  expect(await readAnomalies(reader)).toHaveLength(1)
  lab.clock.advance(25 * hourMs)
  await lab.run({ ...state, name: "other", dataset: "other" }, failing, { agent: "pbx-2" })
  const world = lab.world({ agent: "pbx-2" })
  const { log, anomalies } = await ownAnomalies(world)
  await liftAnomaly(world, log, { id: anomalies[0]?.id ?? "", by: "Eve", reason: "trust me" })
  expect((await readAnomalies(lab.world())).map(({ lifted }) => lifted?.by)).toEqual(["Eve", undefined])
  expect(await readAnomalies(reader)).toEqual([expect.not.objectContaining({ lifted: expect.anything() })])
})

describe("lifting", () => {
  test("is of one open anomaly that its id means, and is recorded with who and why", async () => {
    await using lab = await openLab({ pool })
    const root = tree(lab, 20)
    await lab.run(state, whole(root))
    remove(root, 20)
    await lab.run(state, whole(root))
    const [id = ""] = await openIds(lab)
    await expect(lift(lab, "0123456789ab")).rejects.toMatchObject({ code: "job/not-found" })
    await expect(lift(lab, id, " ")).rejects.toMatchObject({ code: "config/usage" })
    await lift(lab, id.slice(0, 12), "the branch was closed")
    expect(await readAnomalies(lab.world({ agent: "pbx-2" }))).toMatchObject([
      { id, lifted: { by: "Ada", reason: "the branch was closed", time: "2031-03-04T12:00:00.000Z" } },
    ])
    await expect(lift(lab, id)).rejects.toMatchObject({ code: "job/not-found", message: expect.stringContaining("was lifted on") })
  })

  test("that too few sites take fails, and says so", async () => {
    await using lab = await openLab({ pool })
    const root = tree(lab, 20)
    await lab.run(state, whole(root))
    remove(root, 20)
    await lab.run(state, whole(root))
    const [id = ""] = await openIds(lab)
    const world = lab.world({ durable: { copies: 4, providers: 4 } })
    const { log } = await ownAnomalies(world)
    await expect(liftAnomaly(world, log, { id, by: "Ada", reason: "was meant" })).rejects.toMatchObject({ code: "job/not-durable" })
  })
})
