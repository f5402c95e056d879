import { expect, test } from "vitest"
import { systemClock } from "../../src/clock.ts"
import { sha256 } from "../../src/digest.ts"
import { counted } from "../../src/site/count.ts"
import { limited } from "../../src/site/limit.ts"
import { type MemoryObjects, memorySite } from "../../src/site/memory.ts"
import { openedReadOnly, readOnly } from "../../src/site/readonly.ts"
import type { Site } from "../../src/site/site.ts"
import { bytesOf, keysAt, put } from "../contract/site.ts"
import { faultySite } from "../fault/faulty-site.ts"

/** A site whose heads wait until they are let go. */
function gated(): { site: Site; waiting: (() => void)[]; started: () => number } {
  const { site } = memorySite("m", systemClock)
  const waiting: (() => void)[] = []
  let started = 0
  const head = async () => {
    started += 1
    await new Promise<void>((resolve) => waiting.push(resolve))
    return null
  }
  return { site: { ...faultySite(site, []), name: "m", head }, waiting, started: () => started }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

test("limited: no more calls are in flight than allowed, and each gets its turn", async () => {
  const { site, waiting, started } = gated()
  const narrow = limited(site, 2)
  const all = Promise.all(Array.from({ length: 5 }, () => narrow.head("v1/x")))
  for (const expected of [2, 3, 4, 5]) {
    await settled()
    expect(started()).toBe(expected)
    waiting.shift()?.()
  }
  waiting.shift()?.()
  await all
})

test("limited: a call aborted while it waits never starts", async () => {
  const { site, waiting, started } = gated()
  const narrow = limited(site, 1)
  const first = narrow.head("v1/x")
  const controller = new AbortController()
  const second = narrow.head("v1/y", { signal: controller.signal })
  const reason = new Error("enough")
  controller.abort(reason)
  await expect(second).rejects.toBe(reason)
  waiting.shift()?.()
  await first
  await settled()
  expect(started()).toBe(1)
})

test("limited: a failed call gives its place to the next", async () => {
  const narrow = limited(faultySite(memorySite("m", systemClock).site, [1]), 1)
  await expect(narrow.head("v1/x")).rejects.toMatchObject({ code: "site/unavailable" })
  expect(await narrow.head("v1/x")).toBeNull()
})

test("read-only: refuses to write, never silently, and reads as before", async () => {
  const objects: MemoryObjects = new Map()
  const opened = memorySite("m", systemClock, objects)
  await put(opened.site, "v1/x", bytesOf(3))
  const site = readOnly(opened.site)
  await expect(put(site, "v1/y", bytesOf(3))).rejects.toMatchObject({ code: "site/denied" })
  await expect(put(site, "v1/x", bytesOf(3)), "even what is there").rejects.toMatchObject({ code: "site/denied" })
  expect([...objects.keys()]).toEqual(["v1/x"])
  expect(await keysAt(site)).toEqual(["v1/x"])
  expect(await site.head("v1/x")).toMatchObject({ bytes: 3 })
  expect((await site.get("v1/x")).length).toBe(3)
  expect(openedReadOnly(opened)).not.toHaveProperty("replace")
})

test("counted: calls are counted when made, bytes when they arrived", async () => {
  const site = counted(faultySite(memorySite("m", systemClock).site, [2, 5]))
  await put(site, "v1/x", bytesOf(10))
  await expect(put(site, "v1/y", bytesOf(20))).rejects.toThrow()
  await site.get("v1/x", { range: { offset: 0, length: 4 } })
  await site.head("v1/x")
  await expect(site.get("v1/x")).rejects.toThrow()
  const before = site.counts
  await keysAt(site)
  expect(site.counts).toEqual({ calls: { put: 2, get: 2, head: 1, list: 1 }, bytesPut: 10, bytesGot: 4 })
  expect(before.calls.list, "counts handed out do not change").toBe(0)
})

test("faulty: a fault by number, by operation and by key meets the call it names, and says when none came", async () => {
  const objects: MemoryObjects = new Map()
  const byKey = { operation: "put", key: /log/, nth: 2, effect: "applied-then-failed" } as const
  const never = { operation: "list", nth: 1, effect: "failed-before-applied" } as const
  const rot = { operation: "get", effect: "rot" } as const
  const site = faultySite(memorySite("m", systemClock, objects).site, [1, byKey, rot, never])
  await expect(put(site, "v1/a", bytesOf(3))).rejects.toMatchObject({ code: "site/unavailable" })
  expect([...objects.keys()], "the first never arrived").toEqual([])
  await put(site, "v1/log/1", bytesOf(3))
  await put(site, "v1/b", bytesOf(3))
  await expect(put(site, "v1/log/2", bytesOf(3))).rejects.toMatchObject({ code: "site/unavailable" })
  expect([...objects.keys()], "the second of the log did").toEqual(["v1/log/1", "v1/b", "v1/log/2"])
  expect(sha256(await site.get("v1/b"))).not.toBe(sha256(bytesOf(3)))
  expect(site.unmet).toEqual([never])
})
