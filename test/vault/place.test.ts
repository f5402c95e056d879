import { expect, test } from "vitest"
import { systemSleep } from "../../src/clock.ts"
import { systemRandom } from "../../src/random.ts"
import { retrying } from "../../src/site/retry.ts"
import type { Site } from "../../src/site/site.ts"
import { place } from "../../src/vault/place.ts"
import { isDurable } from "../../src/vault/vault.ts"
import { type Fault, faultySite } from "../fault/faulty-site.ts"
import { never, objectOf, testSite, vaultOf } from "./vaults.ts"

const object = objectOf("v1/a/pack/db-35/2026-11-21/x.tar")
const faulty = (...plan: Fault[]) => ({ wrap: (site: Site) => faultySite(site, plan) })
const impatient = { attempts: 2, firstDelayMs: 1, maxDelayMs: 1, callTimeoutMs: 20, patienceMs: 3_600_000, retryAfterMaxMs: 60_000 }
const world = { sleep: systemSleep, random: systemRandom }

test("an object is placed at every site", async () => {
  const sites = [testSite("fra"), testSite("dub"), testSite("bru")]
  expect(await place(vaultOf(sites), object, { signal: never })).toEqual({ held: ["fra", "dub", "bru"], missed: [] })
  for (const site of sites) expect(Buffer.from(site.objects.get(object.key)?.bytes ?? [])).toEqual(object.bytes)
})

test("a site that fails disturbs no other, and is named with its reason", async () => {
  const sites = [testSite("fra"), testSite("dub", faulty(1)), testSite("bru")]
  const { held, missed } = await place(vaultOf(sites), object, { signal: never })
  expect(held).toEqual(["fra", "bru"])
  expect(missed).toEqual([expect.objectContaining({ name: "SiteError", site: "dub", code: "site/unavailable" })])
  expect(sites[2]?.objects.has(object.key)).toBe(true)
})

test("no site taking the object is a value as well", async () => {
  const vault = vaultOf([testSite("fra", faulty(1)), testSite("dub", faulty(1))])
  const { held, missed } = await place(vault, object, { signal: never })
  expect(held).toEqual([])
  expect(missed.map(({ site }) => site)).toEqual(["fra", "dub"])
  expect(isDurable(held, vault)).toBe(false)
})

test("a site whose answer was lost counts as missed, though it may hold the object", async () => {
  const lost = testSite("dub", faulty({ call: 1, effect: "applied-then-failed" }))
  const { held, missed } = await place(vaultOf([testSite("fra"), lost]), object, { signal: never })
  expect(held).toEqual(["fra"])
  expect(missed).toHaveLength(1)
  expect(lost.objects.has(object.key)).toBe(true)
})

test("a site that never answers holds nobody up for longer than its deadline", async () => {
  const dead = testSite("dub", {
    wrap: (site) => retrying(faultySite(site, [{ operation: "put", effect: "hang" }]), impatient, world),
  })
  const { held, missed } = await place(vaultOf([testSite("fra"), dead]), object, { signal: never })
  expect(held).toEqual(["fra"])
  expect(missed[0]?.message).toMatch(/^dub: put .* no answer within 20 ms$/)
})

test("each site is asked for its own tier", async () => {
  const tiers: Record<string, string | undefined> = {}
  const noting = (site: Site): Site => ({
    ...faultySite(site, []),
    put: (key, bytes, options) => {
      tiers[site.name] = options.tier
      return site.put(key, bytes, options)
    },
  })
  const vault = vaultOf([testSite("fra", { wrap: noting }), testSite("dub", { wrap: noting })])
  await place(vault, { ...object, tiers: { dub: "STANDARD_IA" } }, { signal: never })
  expect(tiers).toEqual({ fra: undefined, dub: "STANDARD_IA" })
})

test("an abort rejects with the signal's reason, also while a site hangs", async () => {
  const reason = new Error("enough")
  const fra = testSite("fra")
  await expect(place(vaultOf([fra]), object, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  expect(fra.objects.size).toBe(0)

  const controller = new AbortController()
  const patient = { ...impatient, callTimeoutMs: 3_600_000 }
  const dead = testSite("dub", {
    wrap: (site) => retrying(faultySite(site, [{ operation: "put", effect: "hang" }]), patient, world),
  })
  const placing = place(vaultOf([fra, dead]), object, { signal: controller.signal })
  setImmediate(() => controller.abort(reason))
  await expect(placing).rejects.toBe(reason)
})

test("a bug is thrown, not counted as a missed site", async () => {
  const broken = testSite("dub", {
    wrap: (site) => ({
      ...faultySite(site, []),
      put: async () => {
        throw new TypeError("a bug")
      },
    }),
  })
  await expect(place(vaultOf([testSite("fra"), broken]), object, { signal: never })).rejects.toThrow(TypeError)
})
