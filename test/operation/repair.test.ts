import { randomBytes } from "node:crypto"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { Catalog } from "../../src/catalog/catalog.ts"
import { flawedAt } from "../../src/catalog/scrubs.ts"
import { timestamp } from "../../src/clock.ts"
import { sha256 } from "../../src/digest.ts"
import { encodeControlCommit } from "../../src/format/commit.ts"
import { commitKey } from "../../src/format/names.ts"
import { type RepairRequest, repair } from "../../src/operation/repair.ts"
import { scrub } from "../../src/operation/scrub.ts"
import type { RepairReport } from "../../src/report/repair.ts"
import type { OpenedSite } from "../../src/site/site.ts"
import type { VaultSite } from "../../src/vault/vault.ts"
import { breachesAt, commitsAt } from "../fault/closure.ts"
import { bytesAt, flipped, keysOf, kinds, type ObjectKind, put } from "../fault/damage.ts"
import { type Fault, faultySite } from "../fault/faulty-site.ts"
import { Scene } from "../fault/scene.ts"
import { type Lab, openLab } from "./lab.ts"
import { type Kept, keptIn, keysAt, names, type UpkeepOptions, upkeepWorld, wrongs } from "./upkeep.ts"

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
  return new Scene(lab, { ...kept.past, catalog: null }, `repaired-${String(next++)}`)
}

async function mend(scene: Scene, request: Partial<RepairRequest> = {}, options: UpkeepOptions = {}): Promise<RepairReport> {
  using world = upkeepWorld(lab, { sites: scene.sites(), ...options })
  return await repair({ dryRun: false, full: false, ...request }, world)
}

/** What a scrub of everything finds, as "site key". */
async function findings(scene: Scene, options: UpkeepOptions = {}): Promise<string[]> {
  using world = upkeepWorld(lab, { sites: scene.sites(), ...options })
  const report = await scrub({ reading: "full" }, world)
  return report.findings.map(({ site = "", object }) => `${site} ${object}`).toSorted()
}

function anyOf(scene: Scene, site: string, kind: ObjectKind): string {
  const keys = keysOf(scene.objectsAt(site), kind)
  const key = keys[keys.length >> 1]
  if (key === undefined) throw new Error(`no ${kind} at ${site}`)
  return key
}

describe.for(names)("at site %s", (site) => {
  test.for(kinds)("a lost %s is brought back, and the site alone gives everything", async (kind) => {
    const scene = fresh()
    const key = anyOf(scene, site, kind)
    scene.objectsAt(site).delete(key)
    expect(await findings(scene)).toEqual([`${site} ${key}`])
    const report = await mend(scene)
    expect(report).toMatchObject({ outcome: "ok", remainingCount: 0, lostCount: 0 })
    expect(report.sites.map(({ copied, replaced }) => copied + replaced)).toEqual(names.map((name) => (name === site ? 1 : 0)))
    expect(await findings(scene)).toEqual([])
    expect(await wrongs(scene, kept, [site])).toEqual([])
  })

  test.for(["data pack", "meta pack"] as const)("a %s that was cut short is replaced without any scrub", async (kind) => {
    const scene = fresh()
    const key = anyOf(scene, site, kind)
    put(scene.objectsAt(site), key, bytesAt(scene.objectsAt(site), key).slice(0, -1))
    expect(await mend(scene)).toMatchObject({ outcome: "ok", remainingCount: 0 })
    expect(await wrongs(scene, kept, [site])).toEqual([])
  })

  test("everything gone: it is filled from the others", async () => {
    const scene = fresh()
    const before = keysAt(scene, site)
    scene.objectsAt(site).clear()
    expect(await mend(scene)).toMatchObject({ outcome: "ok", remainingCount: 0 })
    expect(keysAt(scene, site)).toEqual(before)
    expect(await wrongs(scene, kept, [site])).toEqual([])
  })
})

test.for(kinds)("a rotten %s is found by a scrub, and replaced by the repair after it", async (kind) => {
  const site = "b"
  const scene = fresh()
  const key = anyOf(scene, site, kind)
  const objects = scene.objectsAt(site)
  const good = bytesAt(objects, key)
  put(objects, key, flipped(good, good.length >> 1))
  using catalog = Catalog.open(":memory:", () => undefined)
  expect(await findings(scene, { catalog })).toEqual([`${site} ${key}`])
  expect([...flawedAt(catalog, site)]).toEqual([key])
  const report = await mend(scene, {}, { catalog })
  expect(report).toMatchObject({ outcome: "ok", remainingCount: 0 })
  expect(report.sites.find((each) => each.site === site)).toMatchObject({ copied: 0, replaced: 1 })
  expect(Buffer.compare(bytesAt(objects, key), good)).toBe(0)
  expect([...flawedAt(catalog, site)]).toEqual([])
  expect(await wrongs(scene, kept, [site])).toEqual([])
})

test("--full finds rot that no scrub has looked for", async () => {
  const scene = fresh()
  const key = anyOf(scene, "b", "data pack")
  put(scene.objectsAt("b"), key, flipped(bytesAt(scene.objectsAt("b"), key), 3))
  expect(await mend(scene)).toMatchObject({ outcome: "ok" })
  expect(await findings(scene)).toEqual([`b ${key}`])
  expect((await mend(scene, { full: true })).sites).toMatchObject([{ replaced: 0 }, { replaced: 1 }, { replaced: 0 }])
  expect(await findings(scene)).toEqual([])
})

test("a repair of what is whole writes nothing", async () => {
  const scene = fresh()
  const faults: Fault[] = [{ operation: "put", effect: "failed-before-applied" }]
  const { sites, faulty } = withFaults(scene, new Map(names.map((name) => [name, faults])))
  const report = await mend(scene, {}, { sites })
  expect(report).toMatchObject({ outcome: "ok", warnings: [] })
  expect(report.sites.map(({ copied, replaced, bytes, commits }) => [copied, replaced, bytes, commits])).toEqual(
    names.map(() => [0, 0, 0, 0]),
  )
  expect(faulty.map(({ unmet }) => unmet)).toEqual(names.map(() => faults))
})

test("a dry run says what a repair would do, and changes nothing", async () => {
  const scene = fresh()
  scene.objectsAt("c").clear()
  const rotten = anyOf(scene, "a", "data pack")
  put(scene.objectsAt("a"), rotten, bytesAt(scene.objectsAt("a"), rotten).slice(1))
  const before = names.map((name) => keysAt(scene, name))
  const would = await mend(scene, { dryRun: true })
  expect(names.map((name) => keysAt(scene, name))).toEqual(before)
  const did = await mend(scene)
  const counts = ({ sites }: RepairReport) => sites.map(({ site, copied, replaced, commits }) => [site, copied, replaced, commits])
  expect(counts(would)).toEqual(counts(did))
  expect(did.sites.find(({ site }) => site === "c")?.copied).toBe(before[0]?.length)
})

test("a dry run says what is lost, as a repair would", async () => {
  const scene = fresh()
  const key = anyOf(scene, "a", "data pack")
  for (const name of names) scene.objectsAt(name).delete(key)
  for (const dryRun of [true, false]) {
    expect(await mend(scene, { dryRun }), String(dryRun)).toMatchObject({ outcome: "failed", lost: [{ object: key }], remainingCount: 3 })
  }
})

describe("rot does not spread", () => {
  test("a rotten source is passed over, found out, and mended with the rest", async () => {
    const scene = fresh()
    const key = anyOf(scene, "a", "data pack")
    const good = bytesAt(scene.objectsAt("c"), key)
    put(scene.objectsAt("a"), key, flipped(good, 7))
    scene.objectsAt("b").delete(key)
    expect(await mend(scene)).toMatchObject({ outcome: "ok", remainingCount: 0 })
    for (const name of names) expect(Buffer.compare(bytesAt(scene.objectsAt(name), key), good), name).toBe(0)
  })

  test.for(kinds)("a %s without good bytes at any site is copied nowhere, and said to be lost", async (kind) => {
    if (kind === "repository" || kind === "trust") return
    const scene = fresh()
    const key = kind === "key object" ? anyAccountKey(scene) : anyOf(scene, "a", kind)
    put(scene.objectsAt("a"), key, flipped(bytesAt(scene.objectsAt("a"), key), 7))
    scene.objectsAt("b").delete(key)
    put(scene.objectsAt("c"), key, randomBytes(50))
    const [atA, atC] = [bytesAt(scene.objectsAt("a"), key), bytesAt(scene.objectsAt("c"), key)]
    const report = await mend(scene, { full: true })
    expect(report.outcome).toBe("failed")
    expect(report.lost.map(({ object }) => object)).toEqual([key])
    expect(scene.objectsAt("b").has(key)).toBe(false)
    expect([bytesAt(scene.objectsAt("a"), key), bytesAt(scene.objectsAt("c"), key)]).toEqual([atA, atC])
  })

  test("with one more site away, nothing is called lost", async () => {
    const scene = fresh()
    const key = anyOf(scene, "a", "data pack")
    scene.objectsAt("a").delete(key)
    scene.objectsAt("b").delete(key)
    const { sites } = withFaults(scene, new Map([["c", dead]]))
    const report = await mend(scene, {}, { sites })
    expect(report).toMatchObject({ outcome: "partial", lostCount: 0, remainingCount: 2 })
    expect(report.sites.find(({ site }) => site === "c")?.unreadable).toMatch(/injected/)
    expect(await mend(scene)).toMatchObject({ outcome: "ok" })
    expect(await wrongs(scene, kept)).toEqual([])
  })
})

function anyAccountKey(scene: Scene): string {
  const key = keysOf(scene.objectsAt("a"), "key object").find((each) => !each.includes("/catalog/"))
  if (key === undefined) throw new Error("no account's key object")
  return key
}

const dead: Fault[] = (["put", "get", "head", "list"] as const).map((operation) => ({ operation, effect: "failed-before-applied" }))

function withFaults(
  scene: Scene,
  faults: ReadonlyMap<string, readonly Fault[]>,
  change: (opened: OpenedSite) => OpenedSite = (same) => same,
) {
  const sites = scene.sites().map((site): VaultSite & { readonly faulty: ReturnType<typeof faultySite> } => {
    const faulty = faultySite(site.opened.site, faults.get(site.name) ?? [])
    return { ...site, opened: change({ ...site.opened, site: faulty }), faulty }
  })
  return { sites, faulty: sites.map(({ faulty }) => faulty) }
}

describe("a commit comes last", () => {
  test("and not to a site that lacks what it needs", async () => {
    const scene = fresh()
    scene.objectsAt("c").clear()
    const refusals: Fault[] = [{ operation: "put", key: /\/pack\//, effect: "failed-before-applied", code: "site/denied" }]
    const { sites, faulty } = withFaults(scene, new Map([["c", refusals]]))
    const report = await mend(scene, {}, { sites })
    expect(report.outcome).toBe("partial")
    expect(faulty.flatMap(({ unmet }) => unmet)).toEqual([])
    expect(await wrongs(scene, kept, ["a", "b"])).toEqual([])
    // Nothing is listed there whose packs are not there.
    const logged = keysOf(scene.objectsAt("c"), "commit").length
    expect(logged).toBeLessThan(keysOf(scene.objectsAt("a"), "commit").length)
    expect(await mend(scene)).toMatchObject({ outcome: "ok" })
    expect(await wrongs(scene, kept)).toEqual([])
  })

  test("nor to one that lacks a key object registered before it", async () => {
    const scene = fresh()
    scene.objectsAt("c").clear()
    const key = anyAccountKey(scene)
    const refusals: Fault[] = [{ operation: "put", key: new RegExp(key), effect: "failed-before-applied", code: "site/denied" }]
    const { sites } = withFaults(scene, new Map([["c", refusals]]))
    const report = await mend(scene, {}, { sites })
    expect(report.outcome).toBe("partial")
    expect(report.remaining.map(({ detail }) => detail).join("\n")).toMatch(/needs/)
    expect(keysOf(scene.objectsAt("c"), "commit")).toEqual([])
  })
})

describe("a site of its own", () => {
  function withEmpty(scene: Scene): Scene {
    const sites = new Map([...scene.objects, ["d", new Map()]])
    return new Scene(lab, { sites, catalog: null }, `grown-${String(next++)}`)
  }

  test("named, and of no job here: it is filled with everything, and a restore from it alone gives everything", async () => {
    const scene = withEmpty(fresh())
    const report = await mend(scene, { sites: ["d"] }, { homes: null })
    expect(report).toMatchObject({ outcome: "ok", elsewhere: [] })
    expect(keysAt(scene, "d")).toEqual(keysAt(scene, "a"))
    expect(await wrongs(scene, kept, ["d"])).toEqual([])
  })

  test("not named: it gets the log of registers and the keys, and no snapshot of another host's", async () => {
    const scene = withEmpty(fresh())
    expect(await mend(scene, {}, { homes: null })).toMatchObject({ outcome: "ok" })
    expect(keysOf(scene.objectsAt("d"), "data pack")).toEqual([])
    expect(keysOf(scene.objectsAt("d"), "key object")).toEqual(keysOf(scene.objectsAt("a"), "key object"))
  })

  test("that the jobs here do not name: it gets no snapshot of theirs, and that is said", async () => {
    const scene = withEmpty(fresh())
    const report = await mend(scene, { sites: ["d"] })
    expect(report.elsewhere).toEqual(["pbx-1/call-recordings", "pbx-1/switch-config"])
    expect(keysOf(scene.objectsAt("d"), "data pack")).toEqual([])
  })

  test("only the sites named are changed", async () => {
    const scene = fresh()
    for (const name of ["a", "b"]) scene.objectsAt(name).delete(anyOf(scene, name, "data pack"))
    expect(await mend(scene, { sites: ["b"] })).toMatchObject({ outcome: "ok", sites: [{ site: "b", copied: 1 }] })
    expect(await findings(scene)).toEqual([expect.stringMatching(/^a /)])
  })
})

describe("what others planted", () => {
  test("is copied nowhere: foreign commits, unlisted packs, names that are no key object's", async () => {
    const scene = fresh()
    const world = lab.world()
    const body = {
      ...{ repository: world.repository.id, agent: "pbx-1", seq: 90, prev: [], seen: [] },
      ...{ trust: lab.trust[0]?.reference ?? "", time: timestamp(lab.clock.now()) },
    }
    const stolen = `v1/pbx-2/pack/standard-90/2031-03-04/${"0".repeat(64)}.tar`
    const records = [{ type: "key" as const, account: "platform", epoch: "1", orgEpoch: 1, object: stolen, entry: "" }]
    const foreign = encodeControlCommit({ ...body, repository: "f".repeat(32), records: [] }, lab.agentKey)
    const strange = encodeControlCommit({ ...body, records }, lab.agentKey)
    const junk = randomBytes(300)
    const planted: [string, Uint8Array][] = [
      [commitKey("pbx-1", 90, foreign), foreign],
      [commitKey("pbx-2", 90, strange), strange],
      [`v1/pbx-1/pack/standard-90/2031-03-04/${sha256(junk)}.tar`, junk],
      [`v1/recover-${sha256(junk).slice(0, 32)}.sh`, junk],
      [stolen, junk],
    ]
    for (const [key, bytes] of planted) scene.objectsAt("a").set(key, { bytes, sha256: sha256(bytes), storedAt: lab.clock.now() })
    const ours = commitKey("pbx-1", 90, strange)
    scene.objectsAt("a").set(ours, { bytes: strange, sha256: sha256(strange), storedAt: lab.clock.now() })
    scene.objectsAt("b").clear()
    const report = await mend(scene)
    expect(report.warnings.filter((warning) => warning.includes("not believed"))).toHaveLength(2)
    for (const [key] of planted) expect(scene.objectsAt("b").has(key), key).toBe(false)
    expect(scene.objectsAt("b").has(ours)).toBe(true)
    expect(report.outcome).toBe("ok")
  })
})

describe("a copy that the site will not have replaced", () => {
  test("stays marked, counts for nothing, and is tried again", async () => {
    const scene = fresh()
    const key = anyOf(scene, "b", "data pack")
    put(scene.objectsAt("b"), key, flipped(bytesAt(scene.objectsAt("b"), key), 1))
    using catalog = Catalog.open(":memory:", () => undefined)
    const stubborn = withFaults(scene, new Map(), ({ replace: _, ...opened }) => opened).sites
    using world = upkeepWorld(lab, { sites: stubborn, catalog, durable: { copies: 3, providers: 3 } })
    expect(await scrub({ reading: "full" }, world)).toMatchObject({ outcome: "findings", short: 1 })
    const report = await repair({ dryRun: false, full: false }, world)
    expect(report).toMatchObject({ outcome: "partial", remainingCount: 1, remaining: [{ site: "b", object: key }] })
    expect([...flawedAt(catalog, "b")]).toEqual([key])
    expect(await scrub({ reading: { share: 0.000001 } }, world)).toMatchObject({ findingCount: 1, short: 1 })
    expect(await mend(scene, {}, { catalog })).toMatchObject({ outcome: "ok" })
    using after = upkeepWorld(lab, { sites: scene.sites(), catalog, durable: { copies: 3, providers: 3 } })
    expect(await scrub({ reading: "full" }, after)).toMatchObject({ outcome: "ok", short: 0 })
  })
})

test("a site that says it replaced a copy, and did not, is not believed", async () => {
  const scene = fresh()
  const key = anyOf(scene, "b", "data pack")
  put(scene.objectsAt("b"), key, flipped(bytesAt(scene.objectsAt("b"), key), 1))
  const { sites } = withFaults(scene, new Map(), (opened) => ({
    ...opened,
    replace: async (name, bytes) => ({ key: name, bytes: bytes.length, storedAt: lab.clock.now() }),
  }))
  const report = await mend(scene, { full: true }, { sites })
  expect(report).toMatchObject({ outcome: "partial", remaining: [{ site: "b", object: key }] })
})

describe.for(["failed-before-applied", "applied-then-failed"] as const)("whichever call %s", (effect) => {
  test.for(names)("to site %s, a repair leaves every site whole, and the next one does the rest", async (sick) => {
    let calls = 0
    for (let met = true; met; ) {
      calls += 1
      const scene = fresh()
      scene.objectsAt("c").clear()
      scene.objectsAt("a").delete(anyOf(scene, "a", "meta pack"))
      const { sites, faulty } = withFaults(scene, new Map([[sick, [{ call: calls, effect }]]]))
      await mend(scene, {}, { sites })
      met = faulty.every(({ unmet }) => unmet.length === 0)
      const restored = new Set(commitsAt(scene, "c").map(({ sha256: digest }) => digest))
      expect(await breachesAt(scene, "c", kept.versions, restored), `call ${String(calls)}`).toEqual([])
      expect(await mend(scene), `call ${String(calls)}`).toMatchObject({ outcome: "ok", remainingCount: 0 })
      expect(await findings(scene), `call ${String(calls)}`).toEqual([])
    }
    expect(calls).toBeGreaterThan(8)
  })
})

test("one that is interrupted ends with the reason, and the next goes on where it was", async () => {
  const scene = fresh()
  scene.objectsAt("c").clear()
  const controller = new AbortController()
  let puts = 0
  const sites = scene.sites().map((site): VaultSite => {
    if (site.name !== "c") return site
    const { site: inner } = site.opened
    const stopping = {
      ...{ name: inner.name, get: inner.get.bind(inner), head: inner.head.bind(inner), list: inner.list.bind(inner) },
      put: async (...args: Parameters<typeof inner.put>) => {
        puts += 1
        if (puts === 6) controller.abort(new Error("enough"))
        return await inner.put(...args)
      },
    }
    return { ...site, opened: { ...site.opened, site: stopping } }
  })
  await expect(mend(scene, {}, { sites, signal: controller.signal })).rejects.toThrow("enough")
  expect(keysAt(scene, "c").length).toBeLessThan(keysAt(scene, "a").length)
  expect(await mend(scene)).toMatchObject({ outcome: "ok" })
  expect(await wrongs(scene, kept)).toEqual([])
})
