import { mkdirSync, rmSync, utimesSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { expect, test } from "vitest"
import { lastSpeed, rememberSpeed } from "../../src/catalog/site-memory.ts"
import { sha256 } from "../../src/digest.ts"
import { planRestore } from "../../src/operation/plan.ts"
import { restore } from "../../src/operation/restore.ts"
import { verify } from "../../src/operation/verify.ts"
import { type MemoryObjects, memorySite } from "../../src/site/memory.ts"
import type { VaultSite } from "../../src/vault/vault.ts"
import { faultySite } from "../fault/faulty-site.ts"
import { Dice } from "../world/dice.ts"
import { type Lab, openLab, vaultSites } from "./lab.ts"
import { filesOf } from "./trees.ts"

const template = "{account}/{yyyy}/{MM}/{dd}/{name}"
const names = ["fra", "dub", "bru"]

class Scene {
  readonly lab: Lab
  readonly objects = new Map<string, MemoryObjects>(names.map((name) => [name, new Map()]))
  readonly source: string

  constructor(lab: Lab) {
    this.lab = lab
    this.source = join(lab.directory, "source")
  }

  sites(change: Readonly<Record<string, Partial<VaultSite>>> = {}): VaultSite[] {
    const opened = names.map((name) => [name, memorySite(name, this.lab.clock, this.#objectsAt(name))] as const)
    return vaultSites(Object.fromEntries(opened)).map((site) => ({ ...site, provider: "own", ...change[site.name] }))
  }

  write(name: string, bytes: Uint8Array, root = this.source): void {
    const path = join(root, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, bytes)
    utimesSync(path, 1_930_000_000, 1_930_000_000)
  }

  async run(agent: "pbx-1" | "pbx-2" = "pbx-1", path = this.source): Promise<void> {
    const durable = { copies: 2, providers: 1 }
    const report = await this.lab.run({}, { kind: "directory", path, template, settle: 0 }, { sites: this.sites(), durable, agent })
    expect(report).toMatchObject({ outcome: "ok" })
    this.lab.clock.advance(3_600_000)
  }

  async plan(change: Readonly<Record<string, Partial<VaultSite>>> = {}, preference: { prefer?: "price" | "speed" | "order" } = {}) {
    const world = this.lab.world({ sites: this.sites(change) })
    return await planRestore({ dataset: "call-recordings", identities: [this.lab.escrow], ...preference }, world)
  }

  async restore(path: string, change: Readonly<Record<string, Partial<VaultSite>>> = {}) {
    const world = this.lab.world({ sites: this.sites(change) })
    return await restore({ dataset: "call-recordings", identities: [this.lab.escrow] }, { path, owners: false }, world)
  }

  damage(site: string, key: RegExp, how: (objects: MemoryObjects, key: string) => void): void {
    const objects = this.#objectsAt(site)
    const found = [...objects.keys()].find((name) => key.test(name))
    if (found === undefined) throw new Error("nothing to damage")
    how(objects, found)
  }

  #objectsAt(name: string): MemoryObjects {
    const objects = this.objects.get(name)
    if (objects === undefined) throw new Error(`no site ${name}`)
    return objects
  }
}

async function scene(lab: Lab): Promise<Scene> {
  const at = new Scene(lab)
  const dice = new Dice("plan")
  for (const day of ["01", "02"]) at.write(`acme/2031/03/${day}/call.wav`, dice.bytes(400_000))
  await at.run()
  return at
}

function dead(name: string, lab: Lab): Partial<VaultSite> {
  const opened = memorySite(name, lab.clock)
  const faults = (["get", "head", "list"] as const).map((operation) => ({ operation, effect: "failed-before-applied" as const }))
  return { opened: { ...opened, site: faultySite(opened.site, faults) } }
}

test("equal sites are asked in the configured order; each says what it holds, costs, and how fast it is", async () => {
  await using lab = await openLab()
  const at = await scene(lab)
  const plan = await at.plan()
  expect(plan.sites.map(({ name }) => name)).toEqual(names)
  const [first] = plan.sites
  expect(first).toMatchObject({
    answers: true,
    rotten: 0,
    provenAt: null,
    cost: { amount: 0, currency: "USD" },
    speed: { measured: "now" },
  })
  expect(first?.holds).toBe(first?.of)
  expect(plan.estimatedSeconds).toBe(first?.seconds)
})

test("a dead site, one that lacks a pack and one whose copy rotted come last, in that order of badness, and the restore goes the same way", async () => {
  await using lab = await openLab()
  const at = await scene(lab)
  at.damage("fra", /\/pack\//, (objects, key) => objects.delete(key))
  at.damage("dub", /\/pack\//, (objects, key) => {
    const kept = objects.get(key)
    if (kept !== undefined)
      objects.set(key, { ...kept, bytes: Uint8Array.from(kept.bytes, (byte, index) => (index === 900 ? byte ^ 1 : byte)) })
  })
  await verify({ dataset: "call-recordings", identities: [], upTo: "hashed" }, lab.world({ sites: at.sites() }))
  const plan = await at.plan()
  expect(plan.sites.map(({ name, holds, of, rotten }) => [name, of - holds, rotten])).toEqual([
    ["bru", 0, 0],
    ["dub", 0, 1],
    ["fra", 1, 0],
  ])
  expect(plan.sites[0]?.provenAt).not.toBeNull()
  expect((await at.plan({ bru: dead("bru", lab) })).sites.map(({ name }) => name)).toEqual(["dub", "fra", "bru"])

  const out = join(lab.directory, "out")
  const report = await at.restore(out)
  expect(report).toMatchObject({ outcome: "ok", failovers: [], fetched: [{ site: "bru" }] })
  expect(report.sites.map(({ name }) => name)).toEqual(["bru", "dub", "fra"])
  expect(filesOf(out)).toEqual(filesOf(at.source))
})

test("a site's own price counts before its provider's list, and currencies that cannot be compared are pointed out", async () => {
  await using lab = await openLab()
  const at = await scene(lab)
  const listed = { fra: { provider: "aws" }, dub: { provider: "google" } }
  const plan = await at.plan(listed)
  expect(plan.sites.map(({ name }) => name)).toEqual(["bru", "fra", "dub"])
  const [, aws] = plan.sites
  expect(aws?.cost?.amount).toBeCloseTo((0.09 * plan.fetchBytes) / 1024 ** 3, 12)
  const own = { ...listed, fra: { provider: "aws", egress: { perGiB: 9, currency: "EUR" } }, bru: { provider: "acme" } }
  const other = await at.plan(own)
  expect(other.sites.map(({ name, cost }) => [name, cost?.currency])).toEqual([
    ["dub", "USD"],
    ["fra", "EUR"],
    ["bru", undefined],
  ])
  expect(other.warnings).toEqual([expect.stringMatching(/^prices in USD and EUR are compared by their numbers/)])
})

test("how fast a site was is remembered by a restore, and believed for a while", async () => {
  await using lab = await openLab()
  const at = await scene(lab)
  const world = lab.world({ sites: at.sites() })
  // It goes on by 10 ms each time it is looked at: every read takes as long.
  const clock = {
    now() {
      lab.clock.advance(10)
      return lab.clock.now()
    },
  }
  await restore(
    { dataset: "call-recordings", identities: [lab.escrow] },
    { path: join(lab.directory, "out"), owners: false },
    { ...world, clock },
  )
  expect(lastSpeed(world.catalog, "fra")?.bytesPerSecond).toBeGreaterThan(1_000_000)
  expect(lastSpeed(world.catalog, "dub"), "nothing was read from it").toBeUndefined()
  rememberSpeed(world.catalog, { site: "fra", bytesPerSecond: 1000, time: lab.clock.now().toISOString() })
  expect((await at.plan()).sites.find(({ name }) => name === "fra")).toMatchObject({ speed: { bytesPerSecond: 1000, measured: "before" } })
  expect(
    (await at.plan()).sites.map(({ name }) => name),
    "800 s is much slower than one",
  ).toEqual(["dub", "bru", "fra"])
  lab.clock.advance(31 * 86_400_000)
  expect((await at.plan()).sites.find(({ name }) => name === "fra")).toMatchObject({ speed: { measured: "now" } })
})

test("a path that two hosts captured is counted once, as it is restored once", async () => {
  await using lab = await openLab()
  const at = await scene(lab)
  const other = join(lab.directory, "other")
  at.write("acme/2031/03/01/call.wav", Buffer.from("the other host's"), other)
  at.write("acme/2031/03/03/call.wav", Buffer.from("its own"), other)
  await at.run("pbx-2", other)
  const plan = await at.plan()
  const report = await at.restore(join(lab.directory, "out"))
  expect(report).toMatchObject({ outcome: "partial", refusedCount: 1 })
  expect({ files: plan.files, bytes: plan.bytes }).toEqual(report.restored)
})

test("what a killed restore left unfinished is removed when the same target is restored to again, and nothing else", async () => {
  await using lab = await openLab()
  const at = await scene(lab)
  const out = join(lab.directory, "out")
  await at.restore(out)
  const day = join(out, "acme/2031/03/01")
  rmSync(join(day, "call.wav"))
  const mark = markOf(out)
  const own = `.holdline-${mark}-${String(process.pid)}-${"0".repeat(32)}`
  const kept = [
    `.holdline-${"0".repeat(16)}-${String(process.pid)}-${"0".repeat(32)}`,
    `.holdline-${mark}-1-${"0".repeat(32)}`,
    `.holdline-${"0".repeat(32)}`,
  ]
  for (const name of [own, ...kept]) writeFileSync(join(day, name), "half")
  mkdirSync(join(day, own.replace(/0$/, "1")))
  expect(await at.restore(out)).toMatchObject({ outcome: "ok", leftovers: 1, restored: { files: 1 } })
  const there = [...filesOf(day).keys()].toSorted()
  expect(there).toEqual(["call.wav", ...kept].toSorted())
})

/** What a tree marks the names of files with while it writes them. */
function markOf(path: string): string {
  return sha256(Buffer.from(path)).slice(0, 16)
}
