import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { Catalog } from "../../src/catalog/catalog.ts"
import { recover } from "../../src/operation/recover.ts"
import { verify } from "../../src/operation/verify.ts"
import type { MemoryObjects } from "../../src/site/memory.ts"
import { memorySite } from "../../src/site/memory.ts"
import { faultySite } from "../fault/faulty-site.ts"
import { buildWorld, recordingsTemplate } from "../world/world.ts"
import { labClock, openLab, vaultSites } from "./lab.ts"

async function provider() {
  const clock = labClock(new Date("2031-03-04T12:00:00Z"))
  const objects = new Map<string, MemoryObjects>(["a", "b", "c"].map((name) => [name, new Map()]))
  const sites = Object.fromEntries([...objects].map(([name, kept]) => [name, memorySite(name, clock, kept)]))
  const lab = await openLab({ sites })
  const world = await buildWorld(join(lab.directory, "world"), {
    seed: "eight",
    now: new Date(),
    accounts: 4,
    recordings: 40,
    bytes: 3_000_000,
  })
  const source = { kind: "directory" as const, path: world.recordings, template: recordingsTemplate, settle: 0 }
  const config = { kind: "directory" as const, path: world.config, account: "platform" }
  await lab.run({}, source)
  await lab.run({ mode: "state" }, config)
  return { lab, world, source, config, objects, sites }
}

test("a whole repository is proven up to matched, and every rung says what it counted", async () => {
  const { lab } = await provider()
  await using _ = lab
  const report = await verify({ dataset: "call-recordings", identities: [lab.operations], upTo: "matched" }, lab.world())
  expect(report.findings).toEqual([])
  expect(report).toMatchObject({ outcome: "ok", proven: "matched" })
  const results = Object.fromEntries(report.rungs.map(({ rung, result }) => [rung, result]))
  expect(results).toEqual({
    ...{ present: "passed", checksummed: "passed", hashed: "passed", decrypted: "passed", decoded: "passed" },
    ...{ loaded: "not-checked", linked: "not-checked", matched: "passed" },
  })
  expect(report.rungs.find(({ rung }) => rung === "matched")?.checked).toBe(report.files)
})

test("without an identity the proof ends at hashed and says why", async () => {
  const { lab } = await provider()
  await using _ = lab
  const report = await verify({ dataset: "switch-config", identities: [], upTo: "matched" }, lab.world())
  expect(report).toMatchObject({ outcome: "ok", proven: "hashed" })
  expect(report.rungs.find(({ rung }) => rung === "decrypted")).toMatchObject({
    result: "not-checked",
    detail: expect.stringContaining("identity"),
  })
})

test("rot and loss at one site are found there and nowhere else", async () => {
  const { lab, objects } = await provider()
  await using _ = lab
  const atB = [...(objects.get("b") ?? [])].filter(([key]) => key.includes("/pack/"))
  const [rotten, missing] = atB
  if (rotten === undefined || missing === undefined) throw new Error("no packs")
  const [rottenKey, { bytes }] = rotten
  bytes[1000] = (bytes[1000] ?? 0) ^ 1
  objects.get("b")?.delete(missing[0])
  const datasets = ["call-recordings", "switch-config"]
  const reports = await Promise.all(
    datasets.map((dataset) => verify({ dataset, identities: [lab.operations], upTo: "matched" }, lab.world())),
  )
  const findings = reports.flatMap((report) => report.findings)
  expect(findings.map(({ rung, site, object }) => [rung, site, object]).toSorted()).toEqual([
    ["hashed", "b", rottenKey],
    ["present", "b", missing[0]],
  ])
})

test("an agent that lost its disk recovers from one site and sends nothing twice", async () => {
  const { lab, source, config, sites } = await provider()
  await using _ = lab
  using catalog = Catalog.open(":memory:", () => undefined)
  const [c] = vaultSites({ c: sites.c ?? memorySite("c", lab.clock) })
  if (c === undefined) throw new Error("no site c")
  const report = await recover({ identities: [lab.escrow], agent: "pbx-1" }, lab.world({ catalog, sites: [c] }))
  expect(report).toMatchObject({ refused: [], gaps: [], commits: 2 })
  expect(report.datasets.map(({ dataset, agent }) => [dataset, agent])).toEqual([
    ["call-recordings", "pbx-1"],
    ["switch-config", "pbx-1"],
  ])
  const archive = await lab.run({}, source, { catalog })
  const state = await lab.run({ mode: "state" }, config, { catalog })
  expect([archive.captured.files, state.captured.files, archive.born, state.born]).toEqual([0, 0, 0, 0])
  expect(archive.commits[0]?.held).toEqual(["a", "b", "c"])
})

test("a site that lists its packs and then does not answer has lost nothing: it is named, and its packs are not called rotten", async () => {
  const { lab, sites } = await provider()
  await using _ = lab
  const opened = sites.b ?? memorySite("b", lab.clock)
  const site = faultySite(opened.site, [{ operation: "get", key: /\/pack\//, effect: "failed-before-applied" }])
  const world = lab.world({ sites: vaultSites({ ...sites, b: { ...opened, site } }), spool: null })
  const report = await verify({ dataset: "call-recordings", identities: [], upTo: "hashed" }, world)
  expect(site.unmet).toEqual([])
  expect(report).toMatchObject({ outcome: "findings", proven: "checksummed" })
  const proof = report.sites.find(({ name }) => name === "b")
  expect(proof).toMatchObject({ missing: 0, rotten: 0, unreadable: expect.stringContaining("injected fault") })
})

test("a snapshot of nothing has nothing to read, and nobody is told to ask for more", async () => {
  await using lab = await openLab()
  const path = join(lab.directory, "recordings")
  mkdirSync(path)
  await lab.run({}, { kind: "directory", path, template: recordingsTemplate, settle: 0 })
  const report = await verify({ dataset: "call-recordings", identities: [lab.operations], upTo: "matched" }, lab.world())
  expect(report.rungs.filter(({ detail }) => detail.startsWith("not asked for"))).toEqual([])
  expect(report.rungs.find(({ rung }) => rung === "hashed")).toMatchObject({ result: "not-checked", detail: "nothing to check" })
})
