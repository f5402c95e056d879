import { copyFileSync, mkdirSync, rmSync, utimesSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { Catalog } from "../../src/catalog/catalog.ts"
import { backup } from "../../src/operation/backup.ts"
import { readHistory } from "../../src/operation/history.ts"
import { Keyring } from "../../src/operation/keyring.ts"
import { accountsNamed } from "../../src/operation/register.ts"
import type { RunReport } from "../../src/report/run.ts"
import { openSource } from "../../src/source/open.ts"
import type { SourceSettings } from "../../src/source/settings.ts"
import { WorkerPool } from "../../src/stream/pool.ts"
import { jobOf, type Lab, openLab, type WorldOptions } from "../operation/lab.ts"
import { filesOf, treeOf } from "../operation/trees.ts"
import { breachesAt, commitsAt, restoredFrom, type Tree, unlike } from "./closure.ts"
import { keysOf, kindOf } from "./damage.ts"
import { nothingYet, Scene } from "./scene.ts"

const sites = ["a", "b", "c"]
const day = 24 * 3_600_000
type Mode = "archive" | "state"
const modes: readonly Mode[] = ["archive", "state"]

let pool: WorkerPool
beforeAll(() => {
  pool = new WorkerPool(2)
})
afterAll(async () => {
  await pool[Symbol.asyncDispose]()
})

/** An agent with a small source, in a laboratory of its own. */
class Place {
  readonly lab: Lab
  readonly mode: Mode
  readonly path: string
  readonly scene: Scene
  readonly versions: Tree[] = []

  constructor(lab: Lab, mode: Mode) {
    this.lab = lab
    this.mode = mode
    this.path = join(lab.directory, "source")
    this.scene = new Scene(lab, nothingYet, "agent")
    this.write("acme/2031/03/01/one.wav", "one".repeat(2000))
    this.write("umbrella/2031/03/01/two.json", '{"call":2}')
  }

  write(name: string, text: string): void {
    const path = join(this.path, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
    utimesSync(path, 1_930_000_000, 1_930_000_000)
  }

  get source(): SourceSettings {
    const { path } = this
    return this.mode === "archive"
      ? { kind: "directory", path, template: "{account}/{yyyy}/{MM}/{dd}/{name}", settle: 0 }
      : { kind: "directory", path, account: "platform" }
  }

  async run(options: Omit<WorldOptions, "catalog"> = {}): Promise<RunReport> {
    const { world, end } = this.scene.begin(options)
    const report = await backup(jobOf({ mode: this.mode }), openSource(this.source, this.mode, {}), world)
    end()
    this.versions.push(this.look())
    this.lab.clock.advance(day)
    return report
  }

  look(): Tree {
    return this.mode === "archive" ? filesOf(this.path) : treeOf(this.path)
  }

  /** Every site alone gives back the source as it is now, and lists nothing that it cannot give back. */
  async expectWhole(): Promise<void> {
    const dataset = this.mode === "archive" ? "call-recordings" : "switch-config"
    for (const site of unlike(this.scene, sites)) {
      expect(await breachesAt(this.scene, site, this.versions)).toEqual([])
      const look = this.mode === "archive" ? filesOf : treeOf
      const { files, failures } = await restoredFrom(this.scene, site, { dataset }, look)
      expect({ files, failures }).toEqual({ files: this.look(), failures: [] })
    }
  }
}

test.for(modes)("the sites lost the newest commit and its packs: the next run captures them again and says so, %s mode", async (mode) => {
  await using lab = await openLab({ pool })
  const place = new Place(lab, mode)
  await place.run()
  place.write("acme/2031/03/02/three.wav", "three".repeat(900))
  await place.run()
  const commits = commitsAt(place.scene, "a")
  const kept = new Set(commits.slice(0, -1).flatMap(({ body }) => body.packs.map(([sha256]) => sha256)))
  for (const site of sites) {
    const objects = place.scene.objectsAt(site)
    objects.delete(keysOf(objects, "commit").at(-1) ?? "")
    for (const key of objects.keys())
      if (kindOf(key).endsWith("pack") && ![...kept].some((sha256) => key.includes(sha256))) objects.delete(key)
  }
  const report = await place.run()
  expect(report).toMatchObject({ outcome: "ok" })
  expect(report.captured.files).toBeGreaterThan(0)
  expect(report.warnings.join("\n")).toMatch(/at no site any more.*captured again/)
  await place.expectWhole()
})

test("the sites lost packs that a snapshot would list again: the next run captures their files again and says so", async () => {
  await using lab = await openLab({ pool })
  const place = new Place(lab, "state")
  await place.run()
  for (const site of sites) for (const key of keysOf(place.scene.objectsAt(site), "data pack")) place.scene.objectsAt(site).delete(key)
  const report = await place.run()
  expect(report).toMatchObject({ outcome: "ok", captured: { files: 2 }, unchanged: { files: 0 } })
  expect(report.warnings.join("\n")).toMatch(/1 pack.*captured again/)
  place.scene.objects.forEach((objects) => {
    for (const key of keysOf(objects, "commit").slice(0, -1)) if (!key.includes("000000000001-")) objects.delete(key)
  })
  await place.expectWhole()
})

test("packs that would outlive their lock, were they listed once more, are captured again in time", async () => {
  await using lab = await openLab({ pool })
  const place = new Place(lab, "state")
  await place.run()
  lab.clock.advance(5 * day)
  expect(await place.run()).toMatchObject({ outcome: "ok", captured: { files: 0 }, unchanged: { files: 2 } })
  lab.clock.advance(day)
  expect(await place.run()).toMatchObject({ outcome: "ok", captured: { files: 2 }, unchanged: { files: 0 }, warnings: [] })
  await place.expectWhole()
})

test("one site lost its packs, the others have them: nothing is captured again, and the site has them back", async () => {
  await using lab = await openLab({ pool })
  const place = new Place(lab, "state")
  await place.run()
  for (const key of keysOf(place.scene.objectsAt("b"), "data pack")) place.scene.objectsAt("b").delete(key)
  expect(await place.run()).toMatchObject({ outcome: "ok", captured: { files: 0 }, unchanged: { files: 2 } })
  await place.expectWhole()
})

test.for(modes)("every site was wiped while the agent's memory stayed: the next run begins the repository anew, %s mode", async (mode) => {
  await using lab = await openLab({ pool })
  const place = new Place(lab, mode)
  await place.run()
  for (const site of sites) place.scene.objectsAt(site).clear()
  const report = await place.run()
  expect(report).toMatchObject({ outcome: "ok", captured: { files: 2 } })
  expect(report.warnings).not.toEqual([])
  await place.expectWhole()
  expect(await place.run()).toMatchObject({ outcome: "ok", captured: { files: 0 }, born: 0 })
  await place.expectWhole()
})

test("the control commits and the key objects alone were lost: nothing is encrypted to a key that nobody has", async () => {
  await using lab = await openLab({ pool })
  const place = new Place(lab, "archive")
  await place.run()
  for (const site of sites) {
    const objects = place.scene.objectsAt(site)
    for (const key of objects.keys()) if (kindOf(key) === "key object" && !key.includes("/catalog/")) objects.delete(key)
    objects.delete(keysOf(objects, "commit")[0] ?? "")
  }
  place.write("acme/2031/03/02/three.wav", "three".repeat(900))
  const report = await place.run()
  expect(report).toMatchObject({ outcome: "ok" })
  expect(report.warnings.join("\n")).toMatch(/key object/)
  const { files } = await restoredFrom(place.scene, "a", { dataset: "call-recordings" })
  expect(files).toEqual(place.look())
})

test.for(modes)("the catalog was lost: everything is captured again, and a restore brings each file once, %s mode", async (mode) => {
  await using lab = await openLab({ pool })
  const place = new Place(lab, mode)
  await place.run()
  rmSync(place.scene.catalogPath)
  place.write("acme/2031/03/01/one.wav", "changed since")
  const report = await place.run()
  expect(report).toMatchObject({ outcome: "ok", captured: { files: 2 } })
  await place.expectWhole()
})

test("a customer who has two accounts since the catalog was lost is one customer to whoever restores", async () => {
  await using lab = await openLab({ pool })
  const place = new Place(lab, "archive")
  await place.run()
  rmSync(place.scene.catalogPath)
  place.write("acme/2031/03/02/three.wav", "three")
  await place.run()
  const reader = place.scene.reader("c")
  const history = await readHistory(reader.world)
  const keyring = new Keyring(reader.world, history, [lab.escrow])
  expect((await accountsNamed(history, keyring, ["acme"], reader.world.catalog)).size).toBe(2)
  reader.end()
})

test.for(modes)("a catalog from last week: the log goes on where the sites say it is, %s mode", async (mode) => {
  await using lab = await openLab({ pool })
  const place = new Place(lab, mode)
  await place.run()
  const old = join(lab.directory, "old.sqlite")
  copyFileSync(place.scene.catalogPath, old)
  place.write("initech/2031/03/02/three.wav", "three".repeat(900))
  await place.run()
  rmSync(place.scene.catalogPath)
  copyFileSync(old, place.scene.catalogPath)
  place.write("acme/2031/03/03/four.wav", "four".repeat(900))
  expect(await place.run()).toMatchObject({ outcome: "ok", warnings: [] })
  const seqs = commitsAt(place.scene, "a").map(({ body }) => body.seq)
  expect(seqs).toEqual(seqs.map((_, index) => index + 1))
  await place.expectWhole()
})

test("an old catalog that could not see what its successor wrote forks the log: the next run joins it and says so", async () => {
  await using lab = await openLab({ pool })
  const place = new Place(lab, "archive")
  await place.run()
  const old = join(lab.directory, "old.sqlite")
  copyFileSync(place.scene.catalogPath, old)
  const alone = { copies: 1, providers: 1 }
  place.write("acme/2031/03/02/three.wav", "three".repeat(900))
  await place.run({ sites: place.scene.sites(["a"]), durable: alone })
  rmSync(place.scene.catalogPath)
  copyFileSync(old, place.scene.catalogPath)
  place.write("acme/2031/03/03/four.wav", "four".repeat(900))
  await place.run({ sites: place.scene.sites(["b", "c"]), durable: alone })
  const report = await place.run()
  expect(report).toMatchObject({ outcome: "ok" })
  expect(report.warnings.join("\n")).toMatch(/forked into 2 branches/)
  const newest = commitsAt(place.scene, "a").at(-1)
  expect(newest?.body.prev).toHaveLength(2)
  await place.expectWhole()
  expect(await place.run()).toMatchObject({ outcome: "ok", warnings: [] })
})

test("a catalog that is no database is put aside, and the run goes on without it", async () => {
  await using lab = await openLab({ pool })
  const place = new Place(lab, "archive")
  await place.run()
  writeFileSync(place.scene.catalogPath, "SQLite format 3\0 and then nothing of the kind".repeat(100))
  const reasons: string[] = []
  Catalog.open(place.scene.catalogPath, (reason) => reasons.push(reason)).close()
  expect(reasons).toHaveLength(1)
  expect(await place.run()).toMatchObject({ outcome: "ok", captured: { files: 2 } })
  await place.expectWhole()
})
