import { randomBytes } from "node:crypto"
import { mkdirSync, utimesSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { readHistory } from "../../src/operation/history.ts"
import { planRestore } from "../../src/operation/plan.ts"
import { type RestoreRequest, restore } from "../../src/operation/restore.ts"
import { type Lab, openLab } from "./lab.ts"
import { filesOf } from "./trees.ts"

const day = 86_400_000
let lab: Lab
let root: string
let next = 0

function write(path: string, bytes: Uint8Array): void {
  const whole = join(root, path)
  mkdirSync(dirname(whole), { recursive: true })
  writeFileSync(whole, bytes)
  utimesSync(whole, 1_700_000_000, 1_700_000_000)
}

const recordings = { kind: "directory" as const, template: "{account}/archive/{yyyy}/{Mon}/{dd}/{name}", settle: 0 }
const early = [
  "birch.example/archive/2026/Nov/03/a.wav",
  "maple.example/archive/2026/Nov/03/b.wav",
  "maple.example/archive/2026/Nov/04/c.wav",
]
const late = "maple.example/archive/2026/Nov/05/d.wav"
const again = "maple.example/archive/2026/Nov/03/b.wav"
let firstB: string

beforeAll(async () => {
  lab = await openLab()
  root = join(lab.directory, "recordings")
  for (const path of early) write(path, randomBytes(700_000))
  firstB = filesOf(root).get(again) ?? ""
  await lab.run({}, { ...recordings, path: root })
  lab.clock.advance(day)
  write(late, randomBytes(400_000))
  write(again, randomBytes(500_000))
  await lab.run({}, { ...recordings, path: root })
})

afterAll(async () => {
  await lab[Symbol.asyncDispose]()
})

async function bring(request: Partial<RestoreRequest>): Promise<{ files: Map<string, string>; fetched: number }> {
  const path = join(lab.directory, `out-${String(next++)}`)
  const whole = { dataset: "call-recordings", identities: [lab.operations], ...request }
  const plan = await planRestore(whole, lab.world())
  const report = await restore(whole, { path, owners: false }, lab.world())
  expect(report).toMatchObject({ outcome: "ok", restored: { files: plan.files } })
  return { files: filesOf(path), fetched: report.fetched.reduce((sum, { bytes }) => sum + bytes, 0) }
}

test("one account's files, named by the platform's own id or by ours", async () => {
  const { files } = await bring({ accounts: ["birch.example"] })
  expect([...files.keys()]).toEqual(["birch.example/archive/2026/Nov/03/a.wav"])
  const { keys } = await readHistory(lab.world())
  const ids = [...keys.values()].flat().map(({ account }) => account)
  const all = await Promise.all(ids.map((id) => bring({ accounts: [id] })))
  expect(all.map(({ files: found }) => found.size).toSorted()).toEqual([1, 3])
})

test("an account nobody knows is an error with a hint, not an empty restore", async () => {
  const request = { dataset: "call-recordings", identities: [lab.operations], accounts: ["oak.example"] }
  await expect(planRestore(request, lab.world())).rejects.toMatchObject({ code: "job/not-found", hint: expect.any(String) })
})

test("files by pattern, fetching little more than they are", async () => {
  const { files, fetched } = await bring({ paths: ["**/c.wav"] })
  expect([...files.keys()]).toEqual(["maple.example/archive/2026/Nov/04/c.wav"])
  expect(fetched).toBeLessThan(1_000_000)
})

test("files of some event days", async () => {
  const { files } = await bring({ from: "2026-11-04", to: "2026-11-04" })
  expect([...files.keys()]).toEqual(["maple.example/archive/2026/Nov/04/c.wav"])
})

test("the newest piece of a file counts, and as of a moment the one of then", async () => {
  const now = await bring({})
  expect(now.files).toEqual(filesOf(root))
  const then = await bring({ asOf: new Date(lab.clock.now().getTime() - day / 2) })
  expect([...then.files.keys()].toSorted()).toEqual(early.toSorted())
  expect(then.files.get(again)).toBe(firstB)
})

test("before the first snapshot there is nothing, and it says when that was", async () => {
  const request = { dataset: "call-recordings", identities: [lab.operations], asOf: new Date("2020-01-01") }
  await expect(planRestore(request, lab.world())).rejects.toMatchObject({
    code: "job/not-found",
    message: expect.stringContaining("2031-03-04"),
  })
})

test("a state that two agents keep under one name must be asked for with its agent", async () => {
  const configs = ["pbx-1", "pbx-2"] as const
  for (const agent of configs) {
    const path = join(lab.directory, agent)
    mkdirSync(path)
    writeFileSync(join(path, "switch.conf"), agent)
    await lab.run({ mode: "state" }, { kind: "directory", path, account: "platform" }, { agent })
  }
  const ambiguous = { dataset: "switch-config", identities: [lab.operations] }
  await expect(planRestore(ambiguous, lab.world())).rejects.toMatchObject({ hint: "say which: pbx-1/switch-config, pbx-2/switch-config" })
  for (const agent of configs) {
    const { files } = await bring({ dataset: `${agent}/switch-config` })
    expect(files).toEqual(filesOf(join(lab.directory, agent)))
  }
})

test("without an identity a restore is refused, saying where one belongs", async () => {
  const request = { dataset: "call-recordings", identities: [] }
  await expect(planRestore(request, lab.world())).rejects.toMatchObject({
    code: "key/missing",
    hint: expect.stringContaining("--identity"),
  })
})

test("an identity of somebody else opens nothing", async () => {
  const request = { dataset: "call-recordings", identities: [lab.catalogIdentity] }
  await expect(restore(request, { path: join(lab.directory, "none"), owners: false }, lab.world())).rejects.toMatchObject({
    code: "key/wrong",
  })
})
