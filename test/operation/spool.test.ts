import { randomBytes } from "node:crypto"
import { mkdirSync, utimesSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { expect, test } from "vitest"
import { backup } from "../../src/operation/backup.ts"
import { systemRandom } from "../../src/random.ts"
import type { RunReport } from "../../src/report/run.ts"
import type { OpenedSite, SiteOperation } from "../../src/site/site.ts"
import { openSource } from "../../src/source/open.ts"
import type { Found, Source } from "../../src/source/source.ts"
import { Spool } from "../../src/vault/spool.ts"
import { breachesAt, type Tree } from "../fault/closure.ts"
import { faultySite } from "../fault/faulty-site.ts"
import { comeHome } from "../fault/homecoming.ts"
import { nothingYet, Scene } from "../fault/scene.ts"
import { jobOf, type Lab, openLab, type WorldOptions } from "./lab.ts"
import { filesOf } from "./trees.ts"

const names = ["a", "b", "c"]
const everything: readonly SiteOperation[] = ["put", "get", "head", "list"]

function dead(opened: OpenedSite): OpenedSite {
  return {
    ...opened,
    site: faultySite(
      opened.site,
      everything.map((operation) => ({ operation, effect: "failed-before-applied" })),
    ),
  }
}

/** A configuration tree at three sites, of which some are away during a run. */
class Switch {
  readonly lab: Lab
  readonly scene: Scene
  readonly path: string
  /** The tree as each run met it. */
  readonly versions: Tree[] = []

  constructor(lab: Lab) {
    this.lab = lab
    this.scene = new Scene(lab, nothingYet, "agent")
    this.path = join(lab.directory, "etc")
    this.write("vars.xml", "<vars/>")
    this.write("dialplan/default.xml", "<dialplan/>".repeat(500))
  }

  write(name: string, text: string | Uint8Array): void {
    const path = join(this.path, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
    utimesSync(path, 1_930_000_000, 1_930_000_000)
  }

  get spool(): Spool {
    return new Spool({ path: join(this.lab.directory, "spool"), maxBytes: 1024 ** 3, random: systemRandom })
  }

  get source(): Source {
    return openSource({ kind: "directory", path: this.path, account: "platform" }, "state", {})
  }

  async run(away: readonly string[] = [], options: WorldOptions = {}, source = this.source): Promise<RunReport> {
    const sites = this.scene.sites().map((site) => (away.includes(site.name) ? { ...site, opened: dead(site.opened) } : site))
    const { world, end } = this.scene.begin({ sites, ...options })
    this.versions.push(filesOf(this.path))
    const report = await backup(jobOf({ mode: "state" }), source, world)
    end()
    this.lab.clock.advance(3_600_000)
    return report
  }

  async homeFrom(site: string, asOf?: Date): Promise<Tree> {
    const { files, refusal } = await comeHome(this.scene, [site], { dataset: "switch-config", ...(asOf === undefined ? {} : { asOf }) })
    if (refusal !== null) throw refusal
    return files
  }

  async expectClosure(): Promise<void> {
    for (const name of names) expect(await breachesAt(this.scene, name, this.versions)).toEqual([])
  }
}

test.for([
  { away: ["a", "b"], what: "too few sites" },
  { away: names, what: "no site at all" },
])("a state captured while $what answered is at every site when they are back, as it was then", async ({ away }) => {
  await using lab = await openLab()
  const place = new Switch(lab)
  expect(await place.run()).toMatchObject({ outcome: "ok" })
  place.write("vars.xml", "<vars second='yes'/>")
  const second = filesOf(place.path)
  const alone = await place.run(away)
  expect(alone).toMatchObject({ outcome: "failed", captured: { files: 1 }, failure: { code: "job/not-durable" } })
  expect(alone.commits).toMatchObject([{ durable: false, waits: true }])
  expect(alone.failure?.message).toMatch(/waits on this host with all it needs/)
  expect(await place.spool.bytes()).toBeGreaterThan(0)
  await place.expectClosure()

  place.write("vars.xml", "<vars third='yes'/>")
  const third = filesOf(place.path)
  const back = lab.clock.now()
  expect(await place.run()).toMatchObject({ outcome: "ok", captured: { files: 1 } })
  await place.expectClosure()
  for (const name of names) {
    expect(await place.homeFrom(name), name).toEqual(third)
    const waited = place.scene.objectsAt(name)
    expect(
      [...waited.keys()].filter((key) => key.includes("/log/")),
      name,
    ).toHaveLength(4)
  }
  // What waited was stored when the sites were back, before the third run's own commit.
  lab.clock.set(back)
  const reader = place.scene.reader("b")
  reader.end()
  const [spooled] = alone.commits
  const only = spooled?.sha256.slice(0, 16) ?? ""
  const { files } = await comeHome(place.scene, ["b"], { dataset: "switch-config", only })
  expect(files).toEqual(second)
  expect(await place.spool.waiting()).toEqual([])
})

test("an agent that was never at a site cannot begin without one, and says so", async () => {
  await using lab = await openLab()
  const place = new Switch(lab)
  expect(await place.run(names)).toMatchObject({ outcome: "failed", failure: { code: "vault/unreachable" } })
  expect(await place.run()).toMatchObject({ outcome: "ok", captured: { files: 2 } })
})

test("the spool is full: reading stops, the run says so, and the next one reads on where it ended", async () => {
  await using lab = await openLab()
  const place = new Switch(lab)
  await place.run()
  for (let n = 0; n < 4; n++) place.write(`big/${String(n)}.dat`, randomBytes(100_000))
  const spool = new Spool({ path: join(lab.directory, "spool"), maxBytes: 200_000, random: systemRandom })
  const report = await place.run(["a", "b"], { spool })
  expect(report.outcome).toBe("failed")
  expect(report.warnings.some((warning) => warning.startsWith("reading stopped: too few sites answer, and the spool has no room"))).toBe(
    true,
  )
  await place.expectClosure()
  expect(await place.run()).toMatchObject({ outcome: "ok" })
  for (const name of names) expect(await place.homeFrom(name), name).toEqual(filesOf(place.path))
})

test("a host that dies while packs wait sends them with its next run, and reads nothing twice", async () => {
  await using lab = await openLab()
  const place = new Switch(lab)
  await place.run()
  place.write("more.xml", "<more/>".repeat(1000))
  const { source } = place
  const dying: Source = { ...source, capture: (context) => thenDie(source.capture(context)) }
  await expect(place.run(["a", "b"], {}, dying)).rejects.toThrow("power failed")
  lab.clock.advance(3_600_000)
  expect(await place.run()).toMatchObject({ outcome: "ok" })
  for (const name of names) expect(await place.homeFrom(name), name).toEqual(filesOf(place.path))
  expect(await place.spool.waiting()).toEqual([])
})

async function* thenDie(items: AsyncIterable<Found>): AsyncGenerator<Found> {
  yield* items
  throw new Error("power failed")
}
