import { expect, test } from "vitest"
import { systemSleep } from "../../src/clock.ts"
import { systemRandom } from "../../src/random.ts"
import { retrying } from "../../src/site/retry.ts"
import type { Site } from "../../src/site/site.ts"
import { copyTo } from "../../src/vault/copy.ts"
import { type Failover, fetch } from "../../src/vault/fetch.ts"
import { place } from "../../src/vault/place.ts"
import type { Vault } from "../../src/vault/vault.ts"
import { type Fault, faultySite } from "../fault/faulty-site.ts"
import { never, objectOf, rot, type TestSite, testSite, vaultOf } from "./vaults.ts"

const object = objectOf("v1/a/pack/db-35/2026-11-21/x.tar", "some bytes that matter")
const { key, sha256 } = object
const reading = (...plan: Fault[]) => ({ wrap: (site: Site) => faultySite(site, plan) })
const deadForReading = reading({ operation: "get", effect: "failed-before-applied" })

async function filled<Sites extends readonly TestSite[]>(...sites: Sites): Promise<{ vault: Vault; sites: Sites }> {
  const vault = vaultOf(sites)
  await place(vault, object, { signal: never })
  return { vault, sites }
}

function listening(): { failovers: Failover[]; onFailover: (failover: Failover) => void; said: () => string[] } {
  const failovers: Failover[] = []
  const said = () => failovers.map(({ error, next }) => `${error.site} ${error.code} -> ${String(next)}`)
  return { failovers, onFailover: (failover) => failovers.push(failover), said }
}

test("the first site is asked first, and the others not at all", async () => {
  const { onFailover, failovers } = listening()
  const { vault } = await filled(testSite("fra"), testSite("dub"))
  const fetched = await fetch(vault, key, { sha256, signal: never, onFailover })
  expect(fetched.site).toBe("fra")
  expect(Buffer.from(fetched.bytes)).toEqual(object.bytes)
  expect(failovers).toEqual([])
})

test("a site that is dead is passed over, which is said", async () => {
  const { onFailover, said } = listening()
  const { vault } = await filled(testSite("fra", deadForReading), testSite("dub"))
  expect((await fetch(vault, key, { signal: never, onFailover })).site).toBe("dub")
  expect(said()).toEqual(["fra site/unavailable -> dub"])
})

test("a site that is dead is asked last from then on", async () => {
  const { onFailover, said } = listening()
  const { vault } = await filled(testSite("fra", deadForReading), testSite("dub"))
  for (let n = 0; n < 5; n++) await fetch(vault, key, { signal: never, onFailover })
  expect(said(), "one deadline, not five").toHaveLength(1)
})

test("a site that never answers is passed over after its deadline", async () => {
  const policy = { attempts: 1, firstDelayMs: 1, maxDelayMs: 1, callTimeoutMs: 20, patienceMs: 3_600_000, retryAfterMaxMs: 60_000 }
  const hanging = (site: Site) =>
    retrying(faultySite(site, [{ operation: "get", effect: "hang" }]), policy, { sleep: systemSleep, random: systemRandom })
  const { vault } = await filled(testSite("fra", { wrap: hanging }), testSite("dub"))
  expect((await fetch(vault, key, { signal: never })).site).toBe("dub")
})

test("a site that lacks the object is passed over, which is said", async () => {
  const { onFailover, said } = listening()
  const { vault, sites } = await filled(testSite("fra"), testSite("dub"))
  sites[0].objects.delete(key)
  expect((await fetch(vault, key, { signal: never, onFailover })).site).toBe("dub")
  expect(said()).toEqual(["fra site/not-found -> dub"])
})

test("rotten bytes at one site are never returned where another has good ones, and the rot is said", async () => {
  const { onFailover, said } = listening()
  const { vault, sites } = await filled(testSite("fra"), testSite("dub"))
  rot(sites[0], key)
  const fetched = await fetch(vault, key, { sha256, signal: never, onFailover })
  expect(fetched.site).toBe("dub")
  expect(Buffer.from(fetched.bytes)).toEqual(object.bytes)
  expect(said()).toEqual(["fra site/corrupt -> dub"])
  expect(vault.health.isFailing("fra"), "one rotten object is no dead site").toBe(false)
})

test("bytes that rot on the way are never returned either", async () => {
  const { vault } = await filled(testSite("fra", reading({ operation: "get", effect: "rot" })), testSite("dub"))
  expect((await fetch(vault, key, { sha256, signal: never })).site).toBe("dub")
})

test("an object that is rotten everywhere is lost, with every site's reason", async () => {
  const { onFailover, said } = listening()
  const { vault, sites } = await filled(testSite("fra"), testSite("dub"))
  for (const site of sites) rot(site, key)
  const error = await fetch(vault, key, { sha256, signal: never, onFailover }).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ name: "VaultError", code: "vault/lost", message: expect.stringMatching(/fra: .*dub: /) })
  const errors = [expect.objectContaining({ site: "fra" }), expect.objectContaining({ site: "dub" })]
  expect(error).toMatchObject({ cause: expect.any(AggregateError) })
  expect(error).toHaveProperty("cause.errors", errors)
  expect(said()).toEqual(["fra site/corrupt -> dub", "dub site/corrupt -> null"])
})

test("where no site answers, nothing is said to be lost", async () => {
  const { vault } = await filled(testSite("fra", deadForReading), testSite("dub", deadForReading))
  await expect(fetch(vault, key, { signal: never })).rejects.toMatchObject({ code: "vault/unreachable" })
})

test("where one site lacks the object and another does not answer, the one to wait for is named", async () => {
  const { vault, sites } = await filled(testSite("fra"), testSite("dub", deadForReading))
  sites[0].objects.delete(key)
  const hint = expect.stringMatching(/^dub did not answer/)
  await expect(fetch(vault, key, { signal: never })).rejects.toMatchObject({ code: "vault/lost", hint })
})

test("a range is returned exactly, without claiming that the whole is good", async () => {
  const { vault, sites } = await filled(testSite("fra"), testSite("dub"))
  const range = { offset: 5, length: 5 }
  expect(Buffer.from((await fetch(vault, key, { range, sha256, signal: never })).bytes).toString()).toBe("bytes")
  rot(sites[0], key)
  expect((await fetch(vault, key, { range, sha256, signal: never })).site).toBe("fra")
})

test("a caller who found the bytes to be wrong gets those of another site", async () => {
  const { vault } = await filled(testSite("fra"), testSite("dub"), testSite("bru"))
  expect((await fetch(vault, key, { exclude: ["fra"], signal: never })).site).toBe("dub")
  expect((await fetch(vault, key, { exclude: new Set(["dub", "fra"]), signal: never })).site).toBe("bru")
  const none = fetch(vault, key, { exclude: ["fra", "dub", "bru"], signal: never })
  await expect(none).rejects.toMatchObject({ code: "vault/lost", message: expect.stringContaining("no other site") })
})

test("sites that are named are asked in that order, and no others", async () => {
  const { vault, sites } = await filled(testSite("fra"), testSite("dub"), testSite("bru"))
  sites[2].objects.delete(key)
  expect((await fetch(vault, key, { from: ["bru", "dub"], signal: never })).site).toBe("dub")
  await expect(fetch(vault, key, { from: ["bru"], signal: never }), "a drill from one site").rejects.toMatchObject({ code: "vault/lost" })
  await expect(fetch(vault, key, { from: ["bur"], signal: never })).rejects.toMatchObject({ code: "config/not-found" })
})

test("an abort rejects with the signal's reason, and is no failover", async () => {
  const { onFailover, failovers } = listening()
  const { vault } = await filled(testSite("fra"), testSite("dub"))
  const reason = new Error("enough")
  await expect(fetch(vault, key, { signal: AbortSignal.abort(reason), onFailover })).rejects.toBe(reason)
  expect(failovers).toEqual([])

  const controller = new AbortController()
  const aborting = (site: Site): Site => ({
    ...faultySite(site, []),
    get: (...args) => {
      controller.abort(reason)
      return faultySite(site, [1]).get(...args)
    },
  })
  const whileReading = (await filled(testSite("fra", { wrap: aborting }), testSite("dub"))).vault
  await expect(fetch(whileReading, key, { signal: controller.signal, onFailover })).rejects.toBe(reason)
  expect(failovers).toEqual([])
})

test("copying brings a site what it lacks, from another", async () => {
  const { failovers, onFailover } = listening()
  const { vault, sites } = await filled(testSite("fra"), testSite("dub"))
  expect((await copyTo(vault, "fra", key, sha256, { signal: never })).from, "also where it lacks nothing").toBe("dub")
  sites[0].objects.delete(key)
  const { from, info } = await copyTo(vault, "fra", key, sha256, { signal: never, onFailover })
  expect(failovers, "that the target lacks it is no news").toEqual([])
  expect(from).toBe("dub")
  expect(info).toMatchObject({ key, bytes: object.bytes.length })
  expect(Buffer.from(sites[0].objects.get(key)?.bytes ?? [])).toEqual(object.bytes)
})

test("copying never spreads rot, and never copies a site onto itself", async () => {
  const { vault, sites } = await filled(testSite("fra"), testSite("dub"), testSite("bru"))
  sites[0].objects.delete(key)
  rot(sites[1], key)
  expect((await copyTo(vault, "fra", key, sha256, { signal: never })).from).toBe("bru")
  sites[0].objects.delete(key)
  rot(sites[2], key)
  await expect(copyTo(vault, "fra", key, sha256, { signal: never })).rejects.toMatchObject({ code: "vault/lost" })
  expect(sites[0].objects.has(key)).toBe(false)
  sites[1].objects.delete(key)
  sites[2].objects.delete(key)
  await expect(copyTo(vault, "dub", key, sha256, { signal: never })).rejects.toMatchObject({ code: "vault/lost" })
})

test("copying onto other bytes is a conflict, and changes nothing", async () => {
  const { vault, sites } = await filled(testSite("fra"), testSite("dub"))
  rot(sites[0], key)
  await expect(copyTo(vault, "fra", key, sha256, { signal: never })).rejects.toMatchObject({ code: "site/conflict", site: "fra" })
})
