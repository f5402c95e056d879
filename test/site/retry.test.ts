import { expect, test, vi } from "vitest"
import { type Sleep, systemClock, systemSleep } from "../../src/clock.ts"
import { sha256 } from "../../src/digest.ts"
import { SiteError, type SiteErrorCode } from "../../src/errors.ts"
import type { Random } from "../../src/random.ts"
import { memorySite } from "../../src/site/memory.ts"
import { openedRetrying, type RetryPolicy, type RetryWorld, retrying } from "../../src/site/retry.ts"
import type { Site } from "../../src/site/site.ts"
import { bytesOf, keysAt, put } from "../contract/site.ts"
import { faultySite } from "../fault/faulty-site.ts"

const policy: RetryPolicy = {
  attempts: 3,
  firstDelayMs: 100,
  maxDelayMs: 400,
  callTimeoutMs: 30_000,
  patienceMs: 3_600_000,
  retryAfterMaxMs: 60_000,
}
const highest: Random = { bytes: (length) => new Uint8Array(length).fill(255) }

/** A world whose waits take no time and are written down. */
function noting(random = highest): RetryWorld & { waits: number[] } {
  const waits: number[] = []
  const sleep: Sleep = async (ms) => {
    waits.push(ms)
  }
  return { waits, sleep, random }
}

test("a call that fails for a moment is repeated until it succeeds", async () => {
  const inner = memorySite("m", systemClock).site
  const faulty = faultySite(inner, [1, 2])
  const world = noting()
  await put(retrying(faulty, policy, world), "v1/x", bytesOf(10))
  expect(await keysAt(inner)).toEqual(["v1/x"])
  expect(faulty.unmet).toEqual([])
  expect(world.waits).toHaveLength(2)
})

test("a call that keeps failing fails after the attempts of the policy, and no more", async () => {
  const faulty = faultySite(memorySite("m", systemClock).site, [1, 2, 3, 4])
  await expect(retrying(faulty, policy, noting()).get("v1/x")).rejects.toMatchObject({ code: "site/unavailable" })
  expect(faulty.unmet, "the fourth call was never made").toEqual([4])
})

test.each<SiteErrorCode>(["site/not-found", "site/conflict", "site/denied", "site/full", "site/unsupported", "site/corrupt"])(
  "a call that failed with %s is not repeated, for that cannot help",
  async (code) => {
    const second = { call: 2, effect: "failed-before-applied" } as const
    const faulty = faultySite(memorySite("m", systemClock).site, [{ call: 1, effect: "failed-before-applied", code }, second])
    const world = noting()
    await expect(retrying(faulty, policy, world).head("v1/x")).rejects.toMatchObject({ code })
    expect(faulty.unmet, "the second call was never made").toEqual([second])
    expect(world.waits).toEqual([])
  },
)

test("a put whose answer was lost is repeated and finds its own bytes", async () => {
  const inner = memorySite("m", systemClock).site
  const faulty = faultySite(inner, [{ operation: "put", nth: 1, effect: "applied-then-failed" }])
  await put(retrying(faulty, policy, noting()), "v1/x", bytesOf(10))
  expect(faulty.calls).toBe(2)
  expect(faulty.unmet).toEqual([])
})

test("a bug is not repeated", async () => {
  const site = memorySite("m", systemClock).site
  let calls = 0
  const broken = {
    ...site,
    name: "m",
    list: site.list,
    get: async () => {
      calls += 1
      throw new TypeError("a bug")
    },
    put: site.put,
    head: site.head,
  }
  await expect(retrying(broken, policy, noting()).get("v1/x")).rejects.toThrow(TypeError)
  expect(calls).toBe(1)
})

test("waits grow to a bound, and are anything up to it", async () => {
  const faults = [1, 2, 3, 4, 5]
  const long = { ...policy, attempts: 6 }
  const most = noting()
  await retrying(faultySite(memorySite("m", systemClock).site, faults), long, most).head("v1/x")
  expect(most.waits).toEqual([99, 199, 399, 399, 399])
  const least = noting({ bytes: (length) => new Uint8Array(length) })
  await retrying(faultySite(memorySite("m", systemClock).site, faults), long, least).head("v1/x")
  expect(least.waits).toEqual([0, 0, 0, 0, 0])
})

test.each(["put", "get", "head"] as const)(
  "a %s that gets no answer counts as unavailable after its deadline, and is repeated",
  async (operation) => {
    const inner = memorySite("m", systemClock).site
    await put(inner, "v1/x", bytesOf(10))
    const faulty = faultySite(inner, [{ operation, nth: 1, effect: "hang" }])
    const site = retrying(faulty, { ...policy, callTimeoutMs: 20 }, noting())
    if (operation === "put") await put(site, "v1/x", bytesOf(10))
    else await site[operation]("v1/x")
    expect(faulty.unmet).toEqual([])
    expect(faulty.calls).toBe(2)

    const dead = faultySite(inner, [{ operation: "get", effect: "hang" }])
    const message = expect.stringMatching(/^m: get v1\/x: no answer within 20 ms$/)
    await expect(retrying(dead, { ...policy, callTimeoutMs: 20 }, noting()).get("v1/x")).rejects.toMatchObject({
      code: "site/unavailable",
      message,
    })
    expect(dead.calls).toBe(3)
  },
)

test("a listing that gets no answer fails after its deadline, at its beginning and part way", async () => {
  const inner = memorySite("m", systemClock).site
  for (const key of ["v1/x", "v1/y"]) await put(inner, key, bytesOf(10))
  const hanging = faultySite(inner, [{ operation: "list", effect: "hang" }])
  await expect(keysAt(retrying(hanging, { ...policy, callTimeoutMs: 20 }, noting()))).rejects.toMatchObject({ code: "site/unavailable" })
  expect(hanging.calls).toBe(3)

  const stuck = {
    ...faultySite(inner, []),
    async *list(prefix: string) {
      for await (const info of inner.list(prefix)) {
        yield info
        await new Promise<never>(() => undefined)
      }
    },
  }
  const seen: string[] = []
  const reading = async () => {
    for await (const info of retrying(stuck, { ...policy, callTimeoutMs: 20 }, noting()).list("")) seen.push(info.key)
  }
  await expect(reading()).rejects.toMatchObject({ code: "site/unavailable" })
  expect(seen).toEqual(["v1/x"])
})

test("a listing that broke off part way is not begun again: its reader knows what was seen", async () => {
  const inner = memorySite("m", systemClock).site
  for (const key of ["v1/x", "v1/y"]) await put(inner, key, bytesOf(10))
  const faulty = faultySite(inner, [{ operation: "list", nth: 1, effect: "applied-then-failed" }])
  await expect(keysAt(retrying(faulty, policy, noting()))).rejects.toMatchObject({ code: "site/unavailable" })
  expect(faulty.calls).toBe(1)
})

test("an abort ends a call that hangs, and a wait, with the signal's own reason", async () => {
  const inner = memorySite("m", systemClock).site
  const reason = new Error("enough")

  const whileHanging = new AbortController()
  const hanging = faultySite(inner, [{ operation: "get", effect: "hang" }])
  const got = retrying(hanging, policy, noting()).get("v1/x", { signal: whileHanging.signal })
  whileHanging.abort(reason)
  await expect(got).rejects.toBe(reason)

  const whileWaiting = new AbortController()
  const failing = faultySite(inner, [1, 2])
  const sleep: Sleep = async (_ms, options) => {
    queueMicrotask(() => whileWaiting.abort(reason))
    await systemSleep(3_600_000, options)
  }
  const waited = retrying(failing, policy, { sleep, random: highest }).get("v1/x", { signal: whileWaiting.signal })
  await expect(waited).rejects.toBe(reason)
  expect(failing.unmet, "no second attempt").toEqual([2])
})

test("an abort that the site reports in its own way is still the signal's reason", async () => {
  const reason = new Error("enough")
  const controller = new AbortController()
  let calls = 0
  const head: Site["head"] = (_key, options) => {
    calls += 1
    const error = new SiteError("m", "site/unavailable", "connection closed")
    return new Promise((_resolve, reject) => options?.signal?.addEventListener("abort", () => reject(error)))
  }
  const site = retrying({ ...faultySite(memorySite("m", systemClock).site, []), head }, { ...policy, attempts: 1 }, noting())
  const heading = site.head("v1/x", { signal: controller.signal })
  controller.abort(reason)
  await expect(heading).rejects.toBe(reason)
  expect(calls).toBe(1)
})

test("all attempts together take no longer than the patience of the policy, also while one of them hangs", async () => {
  const inner = memorySite("m", systemClock).site
  const hanging = faultySite(inner, [{ operation: "get", effect: "hang" }])
  const slow = { ...policy, attempts: 100, callTimeoutMs: 30, patienceMs: 100 }
  await expect(retrying(hanging, slow, noting()).get("v1/x")).rejects.toMatchObject({ code: "site/unavailable" })
  expect(hanging.calls).toBeLessThan(10)

  const patient = { ...policy, callTimeoutMs: 3_600_000, patienceMs: 30 }
  const message = "m: get v1/x: no answer within 30 ms in all"
  await expect(retrying(hanging, patient, noting()).get("v1/x")).rejects.toMatchObject({ code: "site/unavailable", message })
})

test("a wait ends with the patience of the policy, and the last failure is told", async () => {
  const faulty = faultySite(memorySite("m", systemClock).site, [1, 2])
  const sleep: Sleep = async (_ms, options) => await systemSleep(3_600_000, options)
  const call = retrying(faulty, { ...policy, patienceMs: 30 }, { sleep, random: highest }).head("v1/x")
  await expect(call).rejects.toMatchObject({ code: "site/unavailable", message: expect.not.stringContaining("in all") })
  expect(faulty.unmet, "no second attempt").toEqual([2])
})

test("what a server asks to be waited for is waited for, up to a bound, beside the wait of one's own", async () => {
  const opened = memorySite("m", systemClock)
  const asked = [7_000, 999_000, undefined]
  const head: Site["head"] = async () => {
    const retryAfterMs = asked.shift()
    if (asked.length > 0) throw new SiteError("m", "site/throttled", "slow down", { retryAfterMs })
    return null
  }
  const world = noting()
  const long = { ...policy, retryAfterMaxMs: 60_000 }
  expect(await retrying({ ...faultySite(opened.site, []), head }, long, world).head("v1/x")).toBeNull()
  expect(world.waits).toEqual([99 + 7_000, 199 + 60_000])
})

test("no timer and no listener outlives its call", async () => {
  vi.useFakeTimers()
  try {
    const { signal } = new AbortController()
    const added = vi.spyOn(signal, "addEventListener")
    const removed = vi.spyOn(signal, "removeEventListener")
    const site = retrying(memorySite("m", systemClock).site, policy, noting())
    for (let n = 0; n < 20; n++) await site.head("v1/x", { signal })
    expect(vi.getTimerCount()).toBe(0)
    expect(added).toHaveBeenCalledTimes(20)
    expect(removed).toHaveBeenCalledTimes(20)
  } finally {
    vi.useRealTimers()
  }
})

test("what an opened site can do beside keeping objects is repeated as well", async () => {
  const opened = memorySite("m", systemClock)
  let times = 0
  const { serverTime, replace } = openedRetrying(
    {
      ...opened,
      serverTime: async (options) => {
        times += 1
        await faultySite(opened.site, times === 1 ? [1] : []).head("v1/x", options)
        return await opened.serverTime(options)
      },
    },
    policy,
    noting(),
  )
  expect(await serverTime()).toBeInstanceOf(Date)
  expect(times).toBe(2)
  await replace?.("v1/x", bytesOf(3), { sha256: sha256(bytesOf(3)) })
  expect(await keysAt(opened.site)).toEqual(["v1/x"])
  const { replace: _replace, ...without } = opened
  expect(openedRetrying(without, policy, noting())).not.toHaveProperty("replace")
})
