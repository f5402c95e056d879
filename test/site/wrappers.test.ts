import { expect, test } from "vitest"
import { type Sleep, systemClock } from "../../src/clock.ts"
import { sha256 } from "../../src/digest.ts"
import { counted } from "../../src/site/count.ts"
import { limited } from "../../src/site/limit.ts"
import { type MemoryObjects, memorySite } from "../../src/site/memory.ts"
import { openedPaced } from "../../src/site/pace.ts"
import { openedReadOnly, readOnly } from "../../src/site/readonly.ts"
import type { OpenedSite, Versions } from "../../src/site/site.ts"
import { bytesOf, keysAt, put } from "../contract/site.ts"
import { faultySite } from "../fault/faulty-site.ts"

/** A site whose heads wait until they are let go. */
function gated(): { opened: OpenedSite; waiting: (() => void)[]; started: () => number } {
  const opened = memorySite("m", systemClock)
  const waiting: (() => void)[] = []
  let started = 0
  const head = async () => {
    started += 1
    await new Promise<void>((resolve) => waiting.push(resolve))
    return null
  }
  return { opened: { ...opened, site: { ...faultySite(opened.site, []), name: "m", head } }, waiting, started: () => started }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

test("limited: no more calls are in flight than allowed, and each gets its turn", async () => {
  const { opened, waiting, started } = gated()
  const narrow = limited(opened, 2).site
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
  const { opened, waiting, started } = gated()
  const narrow = limited(opened, 1).site
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
  const opened = memorySite("m", systemClock)
  const narrow = limited({ ...opened, site: faultySite(opened.site, [1]) }, 1).site
  await expect(narrow.head("v1/x")).rejects.toMatchObject({ code: "site/unavailable" })
  expect(await narrow.head("v1/x")).toBeNull()
})

test("limited: what a site can do beside keeping objects takes its turn as well", async () => {
  const { opened, waiting, started } = gated()
  const versions: Versions = { list: () => opened.versions?.list("") ?? none(), get: async () => bytesOf(3), remove: async () => undefined }
  const narrow = limited({ ...opened, versions }, 1)
  const first = narrow.site.head("v1/x")
  let read = false
  const second = narrow.versions?.get("v1/x", "1").then(() => {
    read = true
  })
  await settled()
  expect({ read, started: started() }).toEqual({ read: false, started: 1 })
  waiting.shift()?.()
  await Promise.all([first, second])
  expect(read).toBe(true)
})

async function* none(): AsyncGenerator<never> {
  // Nothing is kept.
}

/** A clock that stands still but for what is slept. */
function paceWorld() {
  let now = Date.parse("2026-01-01T00:00:00Z")
  const waits: number[] = []
  const sleep = async (ms: number) => {
    waits.push(ms)
    now += ms
  }
  return {
    ...{ waits, sleep, clock: { now: () => new Date(now) } },
    jump: (ms: number) => {
      now += ms
    },
  }
}

test("paced: each transfer begins once those before it have had their time", async () => {
  const world = paceWorld()
  const { site } = openedPaced(memorySite("m", systemClock), { up: 1000, down: 500 }, world)
  await put(site, "v1/x", bytesOf(2000))
  expect(world.waits, "the first waits for nobody").toEqual([])
  await put(site, "v1/y", bytesOf(100))
  await site.get("v1/x", { range: { offset: 0, length: 250 } })
  expect(world.waits, "the other direction is another line").toEqual([2000])
  await site.get("v1/y")
  expect(world.waits).toEqual([2000, 500])
  world.jump(60_000)
  await put(site, "v1/z", bytesOf(100))
  await site.get("v1/z")
  expect(world.waits, "time that has passed is not waited for").toEqual([2000, 500])
})

test("paced: many at once keep their distance, an abort ends the wait, and a clock that jumps back makes none longer", async () => {
  const world = paceWorld()
  const given: (AbortSignal | undefined)[] = []
  const sleep: Sleep = async (ms, options) => {
    given.push(options?.signal)
    world.waits.push(ms)
  }
  const { site } = openedPaced(memorySite("m", systemClock), { up: 1000 }, { clock: world.clock, sleep })
  await Promise.all(["v1/a", "v1/b", "v1/c"].map((key) => put(site, key, bytesOf(1000))))
  expect(world.waits).toEqual([1000, 2000])
  world.jump(-86_400_000)
  const { signal } = new AbortController()
  await site.put("v1/d", bytesOf(1000), { sha256: sha256(bytesOf(1000)), signal })
  expect(world.waits).toEqual([1000, 2000, 3000])
  expect(given.at(-1)).toBe(signal)
})

test("paced: a site without a bandwidth is as it was", () => {
  const opened = memorySite("m", systemClock)
  expect(openedPaced(opened, {}, paceWorld())).toBe(opened)
})

test("read-only: older versions can be read, not removed", async () => {
  const versions: Versions = { list: none, get: async () => bytesOf(3), remove: async () => expect.unreachable() }
  const reader = openedReadOnly({ ...memorySite("m", systemClock), versions }).versions
  expect(await reader?.get("v1/x", "1")).toEqual(bytesOf(3))
  expect(await Array.fromAsync(reader?.list("") ?? [])).toEqual([])
  await expect(reader?.remove("v1/x", "1")).rejects.toMatchObject({ code: "site/denied" })
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
