import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest"
import { backup } from "../../src/operation/backup.ts"
import { restore } from "../../src/operation/restore.ts"
import { openSource } from "../../src/source/open.ts"
import type { SourceSettings } from "../../src/source/settings.ts"
import { WorkerPool } from "../../src/stream/pool.ts"
import { jobOf, type Lab, openLab } from "../operation/lab.ts"
import { filesOf, treeOf } from "../operation/trees.ts"
import { Dice } from "../world/dice.ts"
import { breachesAt, restoredFrom, type Tree, unlike } from "./closure.ts"
import { type Counted, type CrashPoint, everything, Mortal, writes } from "./mortal.ts"
import { nothingYet, type Past, Scene } from "./scene.ts"

const sites = ["a", "b", "c"]
const bufferBytes = 1024 * 1024
// Hundreds of runs and restores to a test.
vi.setConfig({ testTimeout: 300_000 })

let pool: WorkerPool
beforeAll(() => {
  pool = new WorkerPool(2)
})
afterAll(async () => {
  await pool[Symbol.asyncDispose]()
})

/** A source that changes between its first and its second run. */
interface Kind {
  readonly mode: "archive" | "state"
  readonly dataset: string
  source(path: string): SourceSettings
  begin(path: string): void
  change(path: string): void
  look(path: string): Tree
}

const archive: Kind = {
  mode: "archive",
  dataset: "call-recordings",
  source: (path) => ({ kind: "directory", path, template: "{account}/{yyyy}/{MM}/{dd}/{name}", settle: 0 }),
  begin(path) {
    write(join(path, "acme/2031/03/01/one.wav"), "one".repeat(3000))
    write(join(path, "acme/2031/03/02/empty.wav"), "")
    write(join(path, "umbrella/2031/03/01/two.json"), '{"call":2}')
  },
  change(path) {
    write(join(path, "acme/2031/03/03/three.wav"), "three".repeat(500))
    write(join(path, "initech/2031/03/03/four.json"), '{"call":4}')
  },
  look: filesOf,
}

const state: Kind = {
  mode: "state",
  dataset: "switch-config",
  source: (path) => ({ kind: "directory", path, account: "platform" }),
  begin(path) {
    write(join(path, "dialplan/default.xml"), "<x/>".repeat(4000))
    write(join(path, "dialplan/old.xml"), "<old/>")
    write(join(path, "vars.xml"), "<vars/>")
    symlinkSync("default.xml", join(path, "dialplan/current"))
  },
  change(path) {
    write(join(path, "vars.xml"), "<vars changed='yes'/>")
    rmSync(join(path, "dialplan/old.xml"))
    write(join(path, "dialplan/new.xml"), "<new/>")
  },
  look: treeOf,
}

/** A recording too large for one pack: its pieces arrive one by one, and it exists when the last did. */
const split: Kind = {
  ...archive,
  begin(path) {
    write(join(path, "acme/2031/03/01/long.wav"), new Dice("long").bytes(17 * 1024 * 1024))
  },
}

function write(path: string, content: string | Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(`${path}.tmp`, content)
  utimesSync(`${path}.tmp`, 1_930_000_000, 1_930_000_000)
  renameSync(`${path}.tmp`, path)
}

interface Story {
  readonly lab: Lab
  readonly kind: Kind
  readonly path: string
  readonly past: Past
  /** How the source has looked so far, as it is now last. */
  readonly versions: readonly Tree[]
}

/** One run by a process that dies there, with the sites asked in another order each time; null where it lived. */
async function dieOver({ kind, path }: Story, scene: Scene, point: CrashPoint, counted: Counted): Promise<string | null> {
  const order = sites.map((_, index) => sites[(index + point.call) % sites.length] ?? "")
  const { world, end } = scene.begin({ sites: scene.sites(order) })
  const mortal = new Mortal(point, counted)
  const work = backup(jobOf({ mode: kind.mode }), openSource(kind.source(path), kind.mode, {}), mortal.world(world))
  const report = await mortal.outlive(work)
  end()
  await pool.abandon()
  if (mortal.met) return mortal.diedAt
  expect(report, "a run that nobody killed").toMatchObject({ outcome: "ok" })
  return null
}

async function runOnce({ kind, path }: Pick<Story, "kind" | "path">, scene: Scene): Promise<void> {
  const { world, end } = scene.begin()
  const report = await backup(jobOf({ mode: kind.mode }), openSource(kind.source(path), kind.mode, {}), world)
  end()
  const { outcome, failure, warnings } = report
  expect({ outcome, failure, warnings }).toEqual({ outcome: "ok", failure: undefined, warnings: [] })
  expect(report.sites.map(({ held }) => held)).toEqual([true, true, true])
}

async function expectClosure(scene: Scene, versions: readonly Tree[], died: string): Promise<void> {
  const breaches: string[] = []
  for (const site of unlike(scene, sites)) breaches.push(...(await breachesAt(scene, site, versions)))
  expect(breaches, `a site lists what it cannot restore; died ${died}`).toEqual([])
}

async function expectWhole({ kind, versions }: Story, scene: Scene, died: string, from = sites): Promise<void> {
  for (const site of unlike(scene, from)) {
    const { files, failures } = await restoredFrom(scene, site, { dataset: kind.dataset }, kind.look)
    expect({ files, failures }, `restored from ${site} after a run that died ${died}`).toEqual({ files: versions.at(-1), failures: [] })
  }
}

/** Kills the run at every counted call in turn, until one comes through; gives the number of deaths. */
async function dieEverywhere(story: Story, applied: boolean, counted: Counted): Promise<number> {
  const { lab, kind, past, versions } = story
  for (let call = 1; ; call++) {
    const scene = new Scene(lab, past, `${kind.mode}-${String(versions.length)}-${String(applied)}-${String(call)}`)
    const died = await dieOver(story, scene, { call, applied }, counted)
    if (died === null) return call - 1
    // A call that changes nothing leaves the world as the call before it did, and that one was looked at closely.
    const changed = writes(calledAt(died))
    if (changed) await expectClosure(scene, versions, died)
    lab.clock.advance(3_600_000)
    await runOnce(story, scene)
    await expectWhole(story, scene, died, changed ? sites : sites.slice(call % sites.length).slice(0, 1))
    rmSync(scene.catalogPath)
  }
}

function calledAt(died: string): string {
  return died.slice(died.indexOf(": ") + 2)
}

// A call that changes nothing is the same before and after, so it is counted once.
const moments = [
  { when: "before the call did anything", applied: false, counted: everything, least: 60 },
  { when: "after the call did everything", applied: true, counted: writes, least: 30 },
]

describe.for([archive, state])("a process killed at every call, $mode mode", (kind) => {
  test.for(moments)(
    "$when: no site lists what cannot be restored, and the next run finishes the work",
    async ({ applied, counted, least }) => {
      await using lab = await openLab({ pool, bufferBytes })
      const path = join(lab.directory, "source")
      kind.begin(path)
      const first = kind.look(path)
      const deaths = await dieEverywhere({ lab, kind, path, past: nothingYet, versions: [first] }, applied, counted)
      expect(deaths).toBeGreaterThan(least)

      const scene = new Scene(lab, nothingYet, "whole")
      await runOnce({ kind, path }, scene)
      kind.change(path)
      lab.clock.advance(24 * 3_600_000)
      const story = { lab, kind, path, past: scene.past(), versions: [first, kind.look(path)] }
      expect(await dieEverywhere(story, applied, counted)).toBeGreaterThan(least / 2)
    },
  )

  test("and again and again, by one process after the other, each where it happens to be", async () => {
    await using lab = await openLab({ pool, bufferBytes })
    const path = join(lab.directory, "source")
    const dice = new Dice(`deaths in ${kind.mode} mode`)
    kind.begin(path)
    const versions = [kind.look(path)]
    const scene = new Scene(lab, nothingYet, "unlucky")
    let deaths = 0
    for (let attempt = 1; attempt <= 30; attempt++) {
      if (attempt === 15) {
        kind.change(path)
        versions.push(kind.look(path))
      }
      const story = { lab, kind, path, past: nothingYet, versions }
      const died = await dieOver(story, scene, { call: dice.between(1, 60), applied: dice.next() < 0.5 }, everything)
      lab.clock.advance(3_600_000)
      if (died === null) continue
      deaths += 1
      await expectClosure(scene, versions, died)
    }
    expect(deaths).toBeGreaterThan(10)
    await runOnce({ kind, path }, scene)
    await expectWhole({ lab, kind, path, past: nothingYet, versions }, scene, `${String(deaths)} times`)
  })
})

test("a process killed between the pieces of a long recording leaves none of it, and the next run has all of it", async () => {
  await using lab = await openLab({ pool })
  const path = join(lab.directory, "source")
  split.begin(path)
  const story = { lab, kind: split, path, past: nothingYet, versions: [split.look(path)] }
  const betweenPieces: Counted = (what) => what === "pack" || /^put .*\/pack\//.test(what) || what === "transaction"
  expect(await dieEverywhere(story, true, betweenPieces)).toBeGreaterThan(8)
})

test("a restore killed at every call leaves nothing under a name but whole files, and starts again where it was", async () => {
  await using lab = await openLab({ pool, bufferBytes })
  const path = join(lab.directory, "source")
  state.begin(path)
  const tree = treeOf(path)
  const scene = new Scene(lab, nothingYet, "kept")
  await runOnce({ kind: state, path }, scene)
  const request = { dataset: state.dataset, identities: [lab.operations] }
  for (let call = 1; ; call++) {
    const target = { path: mkdtempSync(join(lab.directory, "home-")), owners: false }
    const reader = scene.reader("a")
    const mortal = new Mortal({ call, applied: call % 2 === 0 }, everything)
    await mortal.outlive(restore(request, target, mortal.world(reader.world)))
    reader.end()
    await pool.abandon()
    if (!mortal.met) {
      expect(call).toBeGreaterThan(10)
      break
    }
    for (const [name, looks] of filesOf(target.path)) expect(tree.get(name), `${name} after ${String(mortal.diedAt)}`).toBe(looks)
    const next = scene.reader("b")
    const report = await restore(request, target, next.world)
    next.end()
    expect(report.outcome, `after ${String(mortal.diedAt)}`).toBe("ok")
    expect(treeOf(target.path)).toEqual(tree)
    expect(readdirSync(target.path).filter((name) => name.startsWith(".holdline"))).toEqual([])
  }
})
