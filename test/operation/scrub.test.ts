import { mkdtempSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { Catalog } from "../../src/catalog/catalog.ts"
import { flawedAt, scrubsOf } from "../../src/catalog/scrubs.ts"
import { sha256 } from "../../src/digest.ts"
import { repair } from "../../src/operation/repair.ts"
import type { Reading } from "../../src/operation/rolling.ts"
import { scrub } from "../../src/operation/scrub.ts"
import { systemRandom } from "../../src/random.ts"
import type { ScrubReport } from "../../src/report/scrub.ts"
import { directorySite } from "../../src/site/directory.ts"
import type { VaultSite } from "../../src/vault/vault.ts"
import { bytesAt, flipped, keysOf, put } from "../fault/damage.ts"
import { type Fault, faultySite } from "../fault/faulty-site.ts"
import { Scene } from "../fault/scene.ts"
import { type Lab, openLab, vaultSites } from "./lab.ts"
import { type Kept, keptIn, keysAt, names, type UpkeepOptions, upkeepWorld } from "./upkeep.ts"

let lab: Lab
let kept: Kept
let next = 0

beforeAll(async () => {
  lab = await openLab()
  kept = await keptIn(lab)
})

afterAll(async () => {
  await lab[Symbol.asyncDispose]()
})

function fresh(): Scene {
  return new Scene(lab, { ...kept.past, catalog: null }, `scrubbed-${String(next++)}`)
}

async function look(scene: Scene, reading: Reading = "full", options: UpkeepOptions = {}): Promise<ScrubReport> {
  using world = upkeepWorld(lab, { sites: scene.sites(), ...options })
  return await scrub({ reading }, world)
}

function withFaults(scene: Scene, name: string, faults: readonly Fault[]): { sites: VaultSite[]; gets: string[] } {
  const gets: string[] = []
  const sites = scene.sites().map((site): VaultSite => {
    const faulty = faultySite(site.opened.site, site.name === name ? faults : [])
    const inner = {
      ...{ name: faulty.name, put: faulty.put.bind(faulty), head: faulty.head.bind(faulty), list: faulty.list.bind(faulty) },
      get: async (...args: Parameters<typeof faulty.get>) => {
        gets.push(`${site.name} ${args[0]}`)
        return await faulty.get(...args)
      },
    }
    return { ...site, opened: { ...site.opened, site: inner } }
  })
  return { sites, gets }
}

test("what is whole is proven up to hashed, and every object of every site is counted", async () => {
  const scene = fresh()
  const report = await look(scene)
  expect(report).toMatchObject({ outcome: "ok", proven: "hashed", findingCount: 0, short: 0, warnings: [] })
  const objects = keysAt(scene, "a").length
  expect(report.sites.map(({ site, objects: seen, read }) => [site, seen, read])).toEqual(names.map((name) => [name, objects, objects]))
  expect(report.rungs.map(({ rung, result, checked }) => [rung, result, checked])).toEqual([
    ["present", "passed", 3 * objects],
    ["checksummed", "passed", 3 * objects],
    ["hashed", "passed", 3 * objects],
  ])
})

test("missing, cut and rotten copies are counted at their site, and named", async () => {
  const scene = fresh()
  const [one = "", two = "", three = ""] = keysOf(scene.objectsAt("a"), "data pack")
  scene.objectsAt("a").delete(one)
  put(scene.objectsAt("a"), two, bytesAt(scene.objectsAt("a"), two).slice(0, -7))
  put(scene.objectsAt("b"), three, flipped(bytesAt(scene.objectsAt("b"), three), 100))
  const report = await look(scene)
  expect(report).toMatchObject({ outcome: "findings", proven: null, findingCount: 3 })
  expect(report.sites.map(({ site, missing, cut, rotten, outcome }) => [site, missing, cut, rotten, outcome])).toEqual([
    ["a", 1, 1, 0, "findings"],
    ["b", 0, 0, 1, "findings"],
    ["c", 0, 0, 0, "ok"],
  ])
  expect(report.findings.map(({ rung, site, object }) => [rung, site, object]).toSorted()).toEqual([
    ["hashed", "a", two],
    ["hashed", "b", three],
    ["present", "a", one],
  ])
})

test("a provider's own checksum of other bytes is a finding, even while the bytes are not read", async () => {
  const scene = fresh()
  const [key = ""] = keysOf(scene.objectsAt("b"), "data pack")
  const object = scene.objectsAt("b").get(key)
  if (object === undefined) throw new Error("no pack")
  const other = flipped(object.bytes, 5)
  scene.objectsAt("b").set(key, { ...object, bytes: other, sha256: sha256(other) })
  const { findings } = await look(scene, { share: 0.000001 })
  expect(findings.map(({ rung, object: found }) => [rung, found])).toContainEqual(["checksummed", key])
})

test("a commit that lies about a pack's length makes no good pack a bad one", async () => {
  const { sites } = withFaults(fresh(), "a", [])
  const lying = sites.map((site): VaultSite => {
    const { site: inner } = site.opened
    const list = async function* (...args: Parameters<typeof inner.list>) {
      for await (const info of inner.list(...args)) yield { ...info, bytes: info.bytes + 1 }
    }
    const head = async (...args: Parameters<typeof inner.head>) => {
      const info = await inner.head(...args)
      return info === null ? null : { ...info, bytes: info.bytes + 1 }
    }
    return { ...site, opened: { ...site.opened, site: { ...inner, list, head } } }
  })
  expect(await look(fresh(), { share: 0.000001 }, { sites: lying })).toMatchObject({ outcome: "ok", findingCount: 0 })
})

describe("a site that cannot be read", () => {
  const every = ["put", "get", "head", "list"] as const

  test("is named, and never counted as empty", async () => {
    const scene = fresh()
    const dead = every.map((operation): Fault => ({ operation, effect: "failed-before-applied" }))
    const report = await look(scene, "full", { sites: withFaults(scene, "b", dead).sites })
    expect(report.outcome).toBe("findings")
    expect(report.sites.find(({ site }) => site === "b")).toMatchObject({
      outcome: "unreadable",
      missing: 0,
      unreadable: expect.stringMatching(/injected/),
    })
    expect(report.findings.map(({ site }) => site)).toEqual(["b"])
  })

  test("because its listing breaks off: nothing at it is called missing", async () => {
    const scene = fresh()
    const torn: Fault[] = [
      { operation: "list", key: /pack|meta/, effect: "applied-then-failed" },
      { operation: "head", effect: "failed-before-applied" },
    ]
    const report = await look(scene, "full", { sites: withFaults(scene, "b", torn).sites })
    expect(report.sites.find(({ site }) => site === "b")).toMatchObject({ outcome: "unreadable", missing: 0 })
  })

  test("while it gives some objects back and others not: only these are doubted", async () => {
    const scene = fresh()
    const [key = ""] = keysOf(scene.objectsAt("b"), "data pack")
    const faults: Fault[] = [{ operation: "get", key: new RegExp(key), effect: "failed-before-applied" }]
    const report = await look(scene, "full", { sites: withFaults(scene, "b", faults).sites })
    expect(report.sites.find(({ site }) => site === "b")).toMatchObject({ outcome: "findings", unread: 1, rotten: 0, unreadable: null })
  })
})

describe("a part at a time", () => {
  test("every object is read once in a round, whatever the share", async () => {
    const scene = fresh()
    using catalog = Catalog.open(":memory:", () => undefined)
    const { sites, gets } = withFaults(scene, "a", [])
    const options = { sites, catalog }
    await look(scene, { share: 0.4 }, options)
    await look(scene, { share: 0.4 }, options)
    const wanted = names.flatMap((name) => keysAt(scene, name).map((key) => `${name} ${key}`))
    expect(wanted.every((get) => gets.includes(get))).toBe(false)
    gets.splice(
      gets.findIndex((get) => get.includes("/log/")),
      0,
    )
    const [before] = scrubsOf(catalog)
    expect(before?.readSince).toBeNull()
    await look(scene, { share: 0.2 }, options)
    expect(gets.filter((get) => wanted.includes(get)).length).toBeGreaterThanOrEqual(wanted.length)
    expect(wanted.filter((get) => !gets.includes(get))).toEqual([])
    const [after] = scrubsOf(catalog)
    expect(after?.readSince).not.toBeNull()
  })

  test("within so many days: as many days' worth as have passed since the last", async () => {
    const scene = fresh()
    using catalog = Catalog.open(":memory:", () => undefined)
    const { sites, gets } = withFaults(scene, "a", [])
    const cursor = async (): Promise<number> => {
      await look(scene, { withinDays: 10 }, { sites, catalog })
      return scrubsOf(catalog)[0]?.cursor ?? Number.NaN
    }
    expect(await cursor()).toBeCloseTo(0.1)
    lab.clock.advance(3 * 86_400_000)
    expect(await cursor()).toBeCloseTo(0.4)
    lab.clock.advance(86_400_000 / 2)
    expect(await cursor()).toBeCloseTo(0.45)
    gets.length = 0
    lab.clock.advance(40 * 86_400_000)
    await cursor()
    const wanted = names.flatMap((name) => keysAt(scene, name).map((key) => `${name} ${key}`))
    expect(wanted.filter((get) => !gets.includes(get))).toEqual([])
  })

  test("a part is no proof of the whole, and says so", async () => {
    const report = await look(fresh(), { share: 0.5 })
    expect(report.proven).toBe("checksummed")
    const hashed = report.rungs.find(({ rung }) => rung === "hashed")
    expect(hashed).toMatchObject({ result: "passed", detail: expect.stringMatching(/^\d+ objects at sites, of \d+$/) })
  })

  test("what was bad is read again each time, until it is good", async () => {
    const scene = fresh()
    using catalog = Catalog.open(":memory:", () => undefined)
    const [key = ""] = keysOf(scene.objectsAt("b"), "meta pack")
    const good = bytesAt(scene.objectsAt("b"), key)
    put(scene.objectsAt("b"), key, flipped(good, 9))
    await look(scene, "full", { catalog })
    const small = { share: 0.000001 }
    expect(await look(scene, small, { catalog })).toMatchObject({ findingCount: 1 })
    expect([...flawedAt(catalog, "b")]).toEqual([key])
    put(scene.objectsAt("b"), key, good)
    expect(await look(scene, small, { catalog })).toMatchObject({ findingCount: 0 })
    expect([...flawedAt(catalog, "b")]).toEqual([])
  })

  test("a part that could not be read is tried again, and not passed over", async () => {
    const scene = fresh()
    using catalog = Catalog.open(":memory:", () => undefined)
    const dead: Fault[] = [{ operation: "get", effect: "failed-before-applied" }]
    await look(scene, { share: 0.4 }, { catalog })
    const [before] = scrubsOf(catalog)
    await look(scene, { share: 0.4 }, { catalog, sites: withFaults(scene, "a", dead).sites })
    expect(scrubsOf(catalog)[0]).toMatchObject({ cursor: before?.cursor, outcome: "unreadable" })
  })
})

test("a commit that no site can give back is a finding, not a warning", async () => {
  const scene = fresh()
  const [key = ""] = keysOf(scene.objectsAt("a"), "commit").slice(-1)
  for (const name of names) put(scene.objectsAt(name), key, flipped(bytesAt(scene.objectsAt(name), key), 20))
  const report = await look(scene)
  expect(report.findings.map(({ object }) => object)).toContain(key)
})

test("a directory's disk: rot and a file cut short are found there, and put aside by the repair", async () => {
  const scene = fresh()
  const path = mkdtempSync(join(lab.directory, "disk-"))
  const disk = await directorySite({ name: "c", path }, systemRandom)
  const sites = [...scene.sites(["a", "b"]), ...vaultSites({ c: disk })]
  using catalog = Catalog.open(":memory:", () => undefined)
  using world = upkeepWorld(lab, { sites, catalog })
  expect(await repair({ dryRun: false, full: false }, world)).toMatchObject({ outcome: "ok" })
  expect(await scrub({ reading: "full" }, world)).toMatchObject({ outcome: "ok", proven: "hashed" })
  const [rotten = "", cut = ""] = keysOf(scene.objectsAt("a"), "data pack")
  const good = bytesAt(scene.objectsAt("a"), rotten)
  writeFileSync(join(path, rotten), flipped(good, 77))
  writeFileSync(join(path, cut), bytesAt(scene.objectsAt("a"), cut).slice(0, 10))
  const report = await scrub({ reading: "full" }, world)
  expect(report.sites.find(({ site }) => site === "c")).toMatchObject({ rotten: 1, cut: 1 })
  expect(await repair({ dryRun: false, full: false }, world)).toMatchObject({ outcome: "ok" })
  expect(Buffer.compare(await disk.site.get(rotten), good)).toBe(0)
  expect(await scrub({ reading: "full" }, world)).toMatchObject({ outcome: "ok" })
})
