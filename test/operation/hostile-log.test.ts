import { randomBytes } from "node:crypto"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { Catalog } from "../../src/catalog/catalog.ts"
import { timestamp } from "../../src/clock.ts"
import { sha256 } from "../../src/digest.ts"
import { encodeControlCommit } from "../../src/format/commit.ts"
import { commitKey } from "../../src/format/names.ts"
import { readHistory } from "../../src/operation/history.ts"
import { planRestore } from "../../src/operation/plan.ts"
import { recover } from "../../src/operation/recover.ts"
import { restore } from "../../src/operation/restore.ts"
import { verify } from "../../src/operation/verify.ts"
import { type MemoryObjects, memorySite } from "../../src/site/memory.ts"
import { type Lab, labClock, openLab } from "./lab.ts"
import { filesOf } from "./trees.ts"

interface Setting extends AsyncDisposable {
  readonly lab: Lab
  readonly objects: Readonly<Record<string, MemoryObjects>>
  readonly root: string
  readonly source: { readonly kind: "directory"; readonly path: string; readonly account: string }
}

async function setting(names = ["a", "b", "c"]): Promise<Setting> {
  const clock = labClock(new Date("2031-03-04T12:00:00Z"))
  const objects = Object.fromEntries(names.map((name) => [name, new Map() as MemoryObjects]))
  const lab = await openLab({ sites: Object.fromEntries(names.map((name) => [name, memorySite(name, clock, objects[name])])) })
  const root = join(lab.directory, "config")
  mkdirSync(root)
  writeFileSync(join(root, "switch.xml"), "first")
  const source = { kind: "directory" as const, path: root, account: "platform" }
  return { lab, objects, root, source, [Symbol.asyncDispose]: () => lab[Symbol.asyncDispose]() }
}

function plant(objects: MemoryObjects, key: string, bytes: Uint8Array, storedAt: Date): void {
  objects.set(key, { bytes: Buffer.from(bytes), sha256: sha256(bytes), storedAt })
}

function controlCommit(lab: Lab, seq: number, records: readonly object[] = []) {
  const world = lab.world()
  const body = {
    repository: world.repository.id,
    agent: "pbx-1",
    seq,
    prev: [],
    seen: [],
    trust: lab.trust[0]?.reference ?? "",
    time: timestamp(lab.clock.now()),
  }
  // biome-ignore lint/suspicious/noExplicitAny: what a hostile agent writes has no type
  const bytes = encodeControlCommit({ ...body, records: records as any }, lab.agentKey)
  return { key: commitKey("pbx-1", seq, bytes), bytes }
}

async function contentOf({ lab }: Setting, name: string): Promise<string[]> {
  const path = join(lab.directory, name)
  await restore({ dataset: "switch-config", identities: [lab.operations] }, { path, owners: false }, lab.world())
  return [...filesOf(path).values()].map((text) => text.slice(0, 8))
}

test("a name that only one site lists, and nobody signed, does not stop the log", async () => {
  await using at = await setting()
  await at.lab.run({ mode: "state" }, at.source)
  for (const objects of Object.values(at.objects))
    plant(objects, `v1/pbx-1/log/999999999999-${"0".repeat(32)}.json`, randomBytes(100), at.lab.clock.now())
  const report = await at.lab.run({ mode: "state" }, at.source)
  expect(report).toMatchObject({ outcome: "ok", commits: [{ seq: 3, durable: true }] })
  expect(report.warnings.join("\n")).toContain("not believed")
})

test("a signed commit far ahead in the log is a gap that is said, not the end of every reader", async () => {
  await using at = await setting()
  await at.lab.run({ mode: "state" }, at.source)
  const { key, bytes } = controlCommit(at.lab, 999_999_999_990)
  for (const objects of Object.values(at.objects)) plant(objects, key, bytes, at.lab.clock.now())
  const { gaps } = await readHistory(at.lab.world())
  expect(gaps).toEqual([{ agent: "pbx-1", missing: 999_999_999_987 }])
  expect(await contentOf(at, "out")).toHaveLength(1)
})

test("a site whose clock was wrong does not make an old snapshot the newest", async () => {
  await using at = await setting()
  await at.lab.run({ mode: "state" }, at.source)
  at.lab.clock.advance(3_600_000)
  writeFileSync(join(at.root, "switch.xml"), "second!")
  const { commits } = await at.lab.run({ mode: "state" }, at.source)
  const newest = [...(at.objects.b ?? [])].find(
    ([key]) => key.includes("/log/") && key.includes(`${String(commits[0]?.seq).padStart(12, "0")}-`),
  )
  if (newest === undefined) throw new Error("no newest commit at b")
  at.objects.b?.set(newest[0], { ...newest[1], storedAt: new Date(0) })
  const path = join(at.lab.directory, "out")
  const report = await restore({ dataset: "switch-config", identities: [at.lab.operations] }, { path, owners: false }, at.lab.world())
  expect(report.snapshots[0]?.sha256).toBe(commits[0]?.sha256)
  expect(at.lab.events.some((event) => event.type === "warning" && event.message.includes("out of order"))).toBe(true)
})

test("a register entry that cannot be read hides no other account, and no recovery", async () => {
  await using at = await setting()
  await at.lab.run({ mode: "state" }, at.source)
  const record = {
    type: "key",
    account: "0".repeat(32),
    epoch: "1",
    orgEpoch: 1,
    object: `v1/keys/${"0".repeat(32)}/1-e1-${"0".repeat(32)}.age`,
    entry: "Z2FyYmFnZQ==",
  }
  const { key, bytes } = controlCommit(at.lab, 4, [record])
  for (const objects of Object.values(at.objects)) plant(objects, key, bytes, at.lab.clock.now())
  const request = { dataset: "switch-config", identities: [at.lab.operations], accounts: ["platform"] }
  expect(await planRestore(request, at.lab.world())).toMatchObject({ files: 1 })
  using catalog = Catalog.open(":memory:", () => undefined)
  const report = await recover({ identities: [at.lab.escrow], agent: "pbx-1" }, at.lab.world({ catalog }))
  expect(report).toMatchObject({ accounts: 1, datasets: [{ remembered: 1 }] })
  expect(report.warnings.join("\n")).toContain("the register")
})

test("an inventory that nobody can have back is a finding, and hides no other dataset", async () => {
  await using at = await setting()
  await at.lab.run({ mode: "state" }, at.source)
  await at.lab.run({ mode: "state", name: "other", dataset: "other" }, at.source)
  const { snapshots } = await readHistory(at.lab.world())
  const [meta] = snapshots.find(({ commit }) => commit.body.dataset === "other")?.commit.body.inventory ?? []
  for (const objects of Object.values(at.objects))
    for (const key of [...objects.keys()]) if (meta !== undefined && key.includes(meta[0])) objects.delete(key)
  const proof = await verify({ dataset: "other", identities: [at.lab.operations], upTo: "matched" }, at.lab.world())
  expect(proof.outcome).toBe("findings")
  expect(proof.findings.some(({ object }) => object.startsWith("inventory of snapshot"))).toBe(true)
  using catalog = Catalog.open(":memory:", () => undefined)
  const report = await recover({ identities: [at.lab.escrow], agent: "pbx-1" }, at.lab.world({ catalog }))
  expect(report.datasets.map(({ dataset, remembered }) => [dataset, remembered])).toEqual([
    ["switch-config", 1],
    ["other", 0],
  ])
})

test("what one job keeps at its sites goes to no other site, though the register does", async () => {
  await using at = await setting()
  const everywhere = at.lab.world().vault.sites
  const [a, b, c] = everywhere
  if (a === undefined || b === undefined || c === undefined) throw new Error("three sites")
  await at.lab.run({ mode: "state" }, at.source, { sites: [a, b], everywhere })
  await at.lab.run({ mode: "state", name: "other", dataset: "other" }, at.source, { sites: [b, c], everywhere })
  const packsAt = (name: string) => [...(at.objects[name]?.keys() ?? [])].filter((key) => key.includes("/pack/")).length
  expect([packsAt("a"), packsAt("b"), packsAt("c")]).toEqual([1, 2, 1])
  expect([...(at.objects.c?.keys() ?? [])].filter((key) => key.startsWith("v1/keys/platform/"))).toHaveLength(1)
  const again = await at.lab.run({ mode: "state" }, at.source, { sites: [a, b], everywhere })
  expect(again).toMatchObject({ outcome: "ok", captured: { files: 0 }, born: 0, warnings: [] })
})

test("a pack that was cut short at one site is put right there before a commit says that it is whole", async () => {
  await using at = await setting()
  await at.lab.run({ mode: "state" }, at.source)
  const pack = [...(at.objects.b ?? [])].find(([key]) => key.includes("/pack/"))
  if (pack === undefined) throw new Error("no pack at b")
  at.objects.b?.set(pack[0], { ...pack[1], bytes: Buffer.alloc(0) })
  const report = await at.lab.run({ mode: "state" }, at.source)
  const good = at.objects.a?.get(pack[0])?.bytes
  const held = report.commits[0]?.held.includes("b") ?? false
  expect(held).toBe(Buffer.compare(at.objects.b?.get(pack[0])?.bytes ?? Buffer.alloc(0), good ?? Buffer.alloc(1)) === 0)
})

test("a clock that was wrong once does not stop the runs after it was put right", async () => {
  await using at = await setting()
  at.lab.clock.set(new Date("2041-03-04T12:00:00Z"))
  await at.lab.run({ mode: "state" }, at.source)
  at.lab.clock.set(new Date("2031-03-05T12:00:00Z"))
  const report = await at.lab.run({ mode: "state" }, at.source)
  expect(report.outcome).toBe("ok")
  expect(report.warnings.join("\n")).toContain("one of them is wrong")
})

test("an agent of another name goes on with its own accounts only", async () => {
  await using at = await setting()
  await at.lab.run({ mode: "state" }, at.source)
  await at.lab.run({ mode: "state", name: "other", dataset: "other" }, at.source, { agent: "pbx-2" })
  using catalog = Catalog.open(":memory:", () => undefined)
  const report = await recover({ identities: [at.lab.escrow], agent: "pbx-2" }, at.lab.world({ catalog }))
  expect(report.datasets.map(({ agent, remembered }) => [agent, remembered])).toEqual([
    ["pbx-1", 0],
    ["pbx-2", 1],
  ])
  expect(catalog.all("SELECT * FROM account")).toHaveLength(1)
})

test("a reader leaves a damaged catalog as it is, and works without one", async () => {
  await using at = await setting()
  const path = join(at.lab.directory, "damaged.sqlite")
  writeFileSync(path, "no database")
  using catalog = Catalog.openToRead(path)
  await at.lab.run({ mode: "state" }, at.source)
  const request = { dataset: "switch-config", identities: [at.lab.operations] }
  expect(await planRestore(request, at.lab.world({ catalog }))).toMatchObject({ files: 1 })
  expect(readFileSync(path, "utf8")).toBe("no database")
})
