import { mkdirSync, rmSync, utimesSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest"
import { Catalog } from "../../src/catalog/catalog.ts"
import { systemSleep } from "../../src/clock.ts"
import { packsRetrievedMax } from "../../src/limits.ts"
import { planRestore } from "../../src/operation/plan.ts"
import { restore } from "../../src/operation/restore.ts"
import { systemRandom } from "../../src/random.ts"
import type { RestoreReport } from "../../src/report/restore.ts"
import { type MemoryObjects, memorySite } from "../../src/site/memory.ts"
import { openedRetrying } from "../../src/site/retry.ts"
import type { VaultSite } from "../../src/vault/vault.ts"
import { type Lab, openLab, vaultSites } from "../operation/lab.ts"
import { filesOf } from "../operation/trees.ts"
import { Dice } from "../world/dice.ts"
import { type Fault, type FaultEffect, type FaultySite, faultySite, type OperationFault } from "./faulty-site.ts"

const names = ["a", "b", "c"]
const runs = 8
const settings = { kind: "directory" as const, template: "{account}/{yyyy}/{MM}/{dd}/{name}", settle: 0 }
/** As far as one attempt goes, far longer than this test: what ends a frozen call here is the vault's patience. */
const policy = { attempts: 4, firstDelayMs: 1, maxDelayMs: 2, callTimeoutMs: 600_000, patienceMs: 3_600_000, retryAfterMaxMs: 1 }
const patience = { answerMs: 200, startMs: 200, bytesPerSecond: 1024 ** 3 }
const request = () => ({ dataset: "call-recordings", identities: [lab.escrow] })

let lab: Lab
let source: string
const objects = new Map<string, MemoryObjects>(names.map((name) => [name, new Map()]))

beforeAll(async () => {
  lab = await openLab()
  source = join(lab.directory, "source")
  const dice = new Dice("failover")
  for (let run = 0; run < runs; run++) {
    for (const customer of ["acme", "umbrella"]) {
      const path = join(source, customer, `2031/03/0${String(run + 1)}`, "call.wav")
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, dice.bytes(300_000))
      utimesSync(path, 1_930_000_000, 1_930_000_000)
    }
    expect(await lab.run({}, { ...settings, path: source }, { sites: sitesOf() })).toMatchObject({ outcome: "ok" })
    lab.clock.advance(3_600_000)
  }
})
afterAll(async () => {
  await lab[Symbol.asyncDispose]()
})

function sitesOf(): VaultSite[] {
  return vaultSites(Object.fromEntries(names.map((name) => [name, memorySite(name, lab.clock, objects.get(name) ?? new Map())])))
}

interface Restored {
  readonly report: RestoreReport
  readonly faulty: readonly FaultySite[]
}

const target = (name: string) => {
  const path = join(lab.directory, name)
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** Restores everything into `path` while some sites are sick; the first site is the one that is asked first. */
async function restoreFrom(sick: Readonly<Record<string, readonly Fault[]>>, path: string, catalog?: Catalog): Promise<Restored> {
  const faulty: FaultySite[] = []
  const sites = sitesOf().map((site): VaultSite => {
    const faults = sick[site.name]
    if (faults === undefined) return site
    const wrapped = faultySite(site.opened.site, faults)
    faulty.push(wrapped)
    return { ...site, opened: openedRetrying({ ...site.opened, site: wrapped }, policy, { sleep: systemSleep, random: systemRandom }) }
  })
  const world = lab.world(catalog === undefined ? { sites } : { sites, catalog })
  const report = await restore(request(), { path, owners: false }, { ...world, vault: { ...world.vault, patience } })
  return { report, faulty }
}

/** Every read of such an object from the nth on. */
function from(nth: number, key: RegExp, sickness: { readonly effect: FaultEffect; readonly code?: "site/throttled" }): OperationFault[] {
  return Array.from({ length: 100 }, (_, index) => ({ operation: "get", key, nth: nth + index, ...sickness }))
}

function metBy({ faulty }: Restored): number[] {
  return faulty.map(({ unmet }) => 100 - unmet.length)
}

const dataPack = /\/pack\//
const metaPack = /\/meta\//

describe.each([
  ["freezes", { effect: "hang" as const }, packsRetrievedMax],
  ["dies", { effect: "failed-before-applied" as const }, packsRetrievedMax * policy.attempts],
  ["throttles", { effect: "failed-before-applied" as const, code: "site/throttled" as const }, packsRetrievedMax * policy.attempts],
])("a site that %s half-way through a restore", (_, sickness, readsMax) => {
  test("is left for the next, which brings the rest; it costs its waits once, not for every pack", async () => {
    const path = target("home")
    const restored = await restoreFrom({ a: from(3, dataPack, sickness) }, path)
    const { report } = restored
    expect(report).toMatchObject({ outcome: "ok", restored: { files: 2 * runs }, lostCount: 0, unreachableCount: 0 })
    expect(filesOf(path)).toEqual(filesOf(source))
    expect(report.fetched.map(({ site }) => site)).toEqual(["a", "b"])
    expect(report.failovers).toEqual([{ from: "a", to: "b", times: expect.any(Number), reason: expect.stringMatching(/^a: get/) }])
    const [met = 0] = metBy(restored)
    expect(met).toBeGreaterThan(0)
    expect(met, "reads of the packs that were in flight").toBeLessThanOrEqual(readsMax)
  })

  test("while the next is dead too, leaves it to the third", async () => {
    const path = target("home")
    const restored = await restoreFrom({ a: from(3, dataPack, sickness), b: from(2, dataPack, sickness) }, path)
    expect(restored.report).toMatchObject({ outcome: "ok", restored: { files: 2 * runs } })
    expect(filesOf(path)).toEqual(filesOf(source))
    expect(metBy(restored).every((met) => met > 0)).toBe(true)
    expect(restored.report.fetched.map(({ site }) => site)).toContain("c")
  })
})

describe("when every site dies half-way", () => {
  const dead = { effect: "failed-before-applied" as const }

  test("the rest is not lost: it is out of reach, and the same command brings it when they are back", async () => {
    const path = target("home")
    const restored = await restoreFrom({ a: from(5, dataPack, dead), b: from(2, dataPack, dead), c: from(2, dataPack, dead) }, path)
    const { report } = restored
    expect(report).toMatchObject({ outcome: "partial", lostCount: 0, lost: [] })
    expect(report.restored.files).toBeGreaterThan(0)
    expect(report.restored.files + report.unreachableCount).toBe(2 * runs)
    expect(report.unreachable[0]?.detail.split(" did not answer")[0]?.split(", ").toSorted()).toEqual(names)
    expect(report.failovers).toContainEqual(expect.objectContaining({ to: null }))
    expect(metBy(restored).every((met) => met > 0)).toBe(true)

    const { report: again } = await restoreFrom({}, path)
    expect(again).toMatchObject({ outcome: "ok", present: { files: report.restored.files }, restored: { files: report.unreachableCount } })
    expect(filesOf(path)).toEqual(filesOf(source))
  })

  test("so too where it is the lists of files that cannot be read any more", async () => {
    const path = target("home")
    using forgetful = Catalog.open(":memory:", () => undefined)
    // Each is read for its inventory, and some again for their manifests: they are not all kept in memory.
    const first = { a: from(runs + 4, metaPack, dead), b: from(1, metaPack, dead), c: from(1, metaPack, dead) }
    const cold = await restoreFrom(first, target("cold"), forgetful)
    expect(cold.report).toMatchObject({ outcome: "failed", lostCount: 0, unreachableCount: 2 * runs })
    // What the catalog remembers of inventories is not read: each pack is read for its manifests only.
    const restored = await restoreFrom({ a: from(5, metaPack, dead), b: from(1, metaPack, dead), c: from(1, metaPack, dead) }, path)
    const { report } = restored
    expect(report).toMatchObject({ outcome: "failed", lostCount: 0 })
    expect(report.restored.files + report.unreachableCount).toBe(2 * runs)
    expect(metBy(restored).every((met) => met > 0)).toBe(true)
    expect((await restoreFrom({}, path)).report).toMatchObject({ outcome: "ok", restored: { files: report.unreachableCount } })
    expect(filesOf(path)).toEqual(filesOf(source))
  })

  test("and before the first file, it has failed", async () => {
    const gone = from(1, dataPack, dead)
    // The sites are measured by a read of a pack, so all of them are known to be away before the restore begins.
    const { report } = await restoreFrom({ a: gone, b: gone, c: gone }, target("home"))
    expect(report).toMatchObject({ outcome: "failed", restored: { files: 0 }, lostCount: 0, unreachableCount: 2 * runs })
  })
})

test("a pack that two sites lack and a third may have, were it not away, is out of reach and not lost", async () => {
  const path = target("home")
  const [key] = [...(objects.get("a")?.keys() ?? [])].filter((name) => dataPack.test(name))
  if (key === undefined) throw new Error("no pack")
  const missing: Fault[] = [{ operation: "get", key: new RegExp(key), effect: "failed-before-applied", code: "site/not-found" }]
  const away: Fault[] = [{ operation: "get", key: new RegExp(key), effect: "failed-before-applied" }]
  const { report } = await restoreFrom({ a: missing, b: missing, c: away }, path)
  expect(report).toMatchObject({ outcome: "partial", lostCount: 0 })
  expect(report.unreachableCount).toBeGreaterThan(0)
  const { report: lost } = await restoreFrom({ a: missing, b: missing, c: missing }, target("lost"))
  expect(lost).toMatchObject({ outcome: "partial", unreachableCount: 0, lostCount: report.unreachableCount })
})

test("a frozen site does not keep a plan waiting: it is put last, and the reason says so", async () => {
  const frozen: Fault[] = [{ operation: "head", effect: "hang" }]
  const wrapped: FaultySite[] = []
  const sites = sitesOf().map((site): VaultSite => {
    if (site.name !== "a") return site
    const faulty = faultySite(site.opened.site, frozen)
    wrapped.push(faulty)
    return { ...site, opened: { ...site.opened, site: faulty } }
  })
  const world = lab.world({ sites })
  const plan = await planRestore(request(), { ...world, vault: { ...world.vault, patience } })
  expect(plan.sites.map(({ name, answers }) => [name, answers])).toEqual([
    ["b", true],
    ["c", true],
    ["a", false],
  ])
  expect(plan.sites[2]?.why).toBe("asked last: first call: no answer within 200 ms")
  expect(wrapped.flatMap(({ unmet }) => unmet)).toEqual([])
})
