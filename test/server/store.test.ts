import { mkdtemp, readdir, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, onTestFinished, test } from "vitest"
import { bytesOf } from "../contract/site.ts"
import { FaultQueue } from "./fault-queue.ts"
import { type Bucket, listPage, ObjectStore } from "./store.ts"

const clock = { now: () => new Date("2031-03-04T12:00:00Z") }

async function emptyRoot(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), "stand-in-store-"))
  onTestFinished(() => rm(root, { recursive: true, force: true }))
  return root
}

function keysOf(bucket: Bucket, limit: number): string[][] {
  const pages: string[][] = []
  let from: { after: string; version: string } | undefined = { after: "", version: "" }
  while (from !== undefined) {
    const whole = { prefix: "", delimiter: "", show: (versions: ReturnType<Bucket["versions"]>) => versions }
    const page = listPage(bucket, { ...whole, after: from.after, afterVersion: from.version, limit })
    pages.push(page.entries.map(({ key, version }) => `${key}#${String(version.size)}`))
    from = page.next
  }
  return pages
}

test("everything is there again after a restart, in the same order", async () => {
  const root = await emptyRoot()
  const before = new ObjectStore(root, clock).createBucket("packs", { versioning: "Enabled" })
  for (const size of [1, 2, 3]) await before.put("v1/a", bytesOf(size), { metadata: { size } })
  before.mark("v1/b", { metadata: {} })
  before.configure({ lock: true })
  const after = new ObjectStore(root, clock).bucket("packs")
  expect(after?.settings).toEqual({ versioning: "Enabled", lock: true })
  expect(after?.versions("v1/a")).toEqual(before.versions("v1/a"))
  expect(after?.latest("v1/b")?.deleteMarker).toBe(true)
  const [newest] = after?.versions("v1/a") ?? []
  if (after === undefined || newest === undefined) throw new Error("nothing is there again")
  expect(Buffer.compare(await after.read(newest, { offset: 1, length: 2 }), bytesOf(3).subarray(1))).toBe(0)
  const next = await after.put("v1/a", bytesOf(4), { metadata: {} })
  expect(BigInt(next.generation), "generations go on, though the clock stands").toBeGreaterThan(BigInt(newest.generation))
})

test("a put that is refused leaves nothing, and bytes that no version names are removed", async () => {
  const root = await emptyRoot()
  const bucket = new ObjectStore(root, clock).createBucket("packs", {})
  const refuse = () => {
    throw new Error("refused")
  }
  await expect(bucket.put("v1/a", bytesOf(9), { metadata: {} }, refuse)).rejects.toThrow("refused")
  expect(await readdir(join(root, "packs", "bytes"))).toEqual([])
  await bucket.put("v1/a", bytesOf(1), { metadata: {} })
  await bucket.put("v1/a", bytesOf(2), { metadata: {} }, (made) => [made])
  expect(await readdir(join(root, "packs", "bytes"))).toHaveLength(1)
  bucket.change("v1/a", () => [])
  expect(await readdir(join(root, "packs", "bytes"))).toEqual([])
  expect([...bucket.keys()]).toEqual([])
})

test("of puts at the same time, each decides on what the others left", async () => {
  const bucket = new ObjectStore(await emptyRoot(), clock).createBucket("packs", {})
  const createOnly = (n: number) =>
    bucket.put("v1/a", bytesOf(n), { metadata: {} }, (made, there) => {
      if (there.length > 0) throw new Error("taken")
      return [made]
    })
  const outcomes = await Promise.allSettled([1, 2, 3, 4, 5].map(createOnly))
  expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1)
})

test("a listing goes on within the versions of a key", async () => {
  const bucket = new ObjectStore(await emptyRoot(), clock).createBucket("packs", {})
  for (const key of ["a", "b"]) for (const size of [1, 2, 3]) await bucket.put(key, bytesOf(size), { metadata: {} })
  expect(keysOf(bucket, 2)).toEqual([
    ["a#3", "a#2"],
    ["a#1", "b#3"],
    ["b#2", "b#1"],
  ])
})

test("a planned fault counts the requests that fit it, and says whether it was met", () => {
  const faults = new FaultQueue()
  const reset = { kind: "reset", applied: false } as const
  faults.plan({ operation: "PutObject", key: /pack/, nth: 2, action: reset }, { operation: "GetObject", action: { kind: "flip-down" } })
  expect(faults.meet("PutObject", "pack/1")).toBeUndefined()
  expect(faults.meet("PutObject", "commit/1")).toBeUndefined()
  expect(faults.meet("PutObject", "pack/2")).toEqual(reset)
  expect(faults.meet("PutObject", "pack/3")).toBeUndefined()
  expect(faults.unmet.map(({ operation }) => operation)).toEqual(["GetObject"])
  for (const _ of [1, 2]) expect(faults.meet("GetObject", "x")).toEqual({ kind: "flip-down" })
  expect(faults.unmet).toEqual([])
})
