import fc from "fast-check"
import { expect, test } from "vitest"
import { systemClock } from "../../src/clock.ts"
import { presenceListedPerKeyMax, presenceListMin } from "../../src/limits.ts"
import { type CountedSite, counted } from "../../src/site/count.ts"
import { memorySite } from "../../src/site/memory.ts"
import { heldAt } from "../../src/vault/presence.ts"
import { put } from "../contract/site.ts"
import { faultySite } from "../fault/faulty-site.ts"
import { never } from "./vaults.ts"

async function siteWith(keys: Iterable<string>): Promise<CountedSite> {
  const { site } = memorySite("m", systemClock)
  for (const key of keys) await put(site, key, Buffer.from(key))
  return counted(site)
}

const packs = (count: number, date = "2026-11-21", agent = "a") =>
  Array.from({ length: count }, (_, n) => `v1/${agent}/pack/db-35/${date}/${String(n).padStart(6, "0")}.tar`)

test("a few keys are asked for one by one", async () => {
  const keys = packs(5)
  const site = await siteWith(packs(1000))
  const { present, missing } = await heldAt(site, [...keys, "v1/a/pack/db-35/2026-11-21/none.tar"], { signal: never })
  expect([...present.keys()]).toEqual(keys)
  expect(present.get(keys[0] ?? "")).toMatchObject({ bytes: keys[0]?.length })
  expect(missing).toEqual(["v1/a/pack/db-35/2026-11-21/none.tar"])
  expect(site.counts.calls).toMatchObject({ head: 6, list: 0 })
})

test("many keys of one folder are listed", async () => {
  const keys = packs(500)
  const site = await siteWith(keys.filter((_, n) => n % 7 !== 0))
  const { missing } = await heldAt(site, keys, { signal: never })
  expect(missing).toEqual(keys.filter((_, n) => n % 7 === 0))
  expect(site.counts.calls).toMatchObject({ head: 0, list: 1 })
})

test("many folders of one key each are listed together: keys of accounts", async () => {
  const keys = Array.from({ length: 200 }, (_, n) => `v1/keys/${String(n).padStart(32, "0")}/1-e1-${"0".repeat(32)}.age`)
  const site = await siteWith(keys.slice(0, 150))
  const { missing } = await heldAt(site, keys, { signal: never })
  expect(missing).toEqual(keys.slice(150))
  expect(site.counts.calls).toMatchObject({ head: 0, list: 1 })
})

test("what belongs to other agents is not listed through", async () => {
  const keys = Array.from({ length: 20 }, (_, n) => packs(4, "2026-11-21", `agent-${String(n)}`)).flat()
  const site = await siteWith(keys)
  expect((await heldAt(site, keys, { signal: never })).missing).toEqual([])
  expect(site.counts.calls).toMatchObject({ head: 80, list: 0 })
})

test("a folder that holds far more than was asked for is listed no further than asking costs", async () => {
  const all = packs(presenceListMin * presenceListedPerKeyMax * 2)
  const keys = [...all.slice(0, 10), "v1/a/pack/db-35/2026-11-21/000005x.tar", ...all.slice(-25), "v1/a/pack/db-35/2026-11-21/z.tar"]
  const site = await siteWith(all)
  const { missing, present } = await heldAt(site, keys, { signal: never })
  expect(missing).toEqual(["v1/a/pack/db-35/2026-11-21/000005x.tar", "v1/a/pack/db-35/2026-11-21/z.tar"])
  expect(present.size).toBe(35)
  expect(site.counts.calls).toMatchObject({ head: 26, list: 1 })
})

test("however the keys are spread, exactly those that are there are present", async () => {
  const segment = fc.constantFrom("a", "b", "a-b", "c.tar", "keys")
  const key = fc.array(segment, { minLength: 2, maxLength: 5 }).map((parts) => `v1/${parts.join("/")}=`)
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(key, { maxLength: 200 }), fc.uniqueArray(key, { maxLength: 200 }), async (there, asked) => {
      const site = await siteWith(there)
      const { present, missing } = await heldAt(site, asked, { signal: never })
      expect([...present.keys()].sort()).toEqual(asked.filter((one) => there.includes(one)).sort())
      expect(missing).toEqual(asked.filter((one) => !there.includes(one)))
    }),
    { numRuns: 50 },
  )
})

test("a site that cannot say is an error; nothing is called missing", async () => {
  const keys = packs(500)
  const broken = faultySite(await siteWith(keys), [{ operation: "list", nth: 1, effect: "applied-then-failed" }])
  await expect(heldAt(broken, keys, { signal: never })).rejects.toMatchObject({ code: "site/unavailable" })
  const denied = faultySite(await siteWith(keys), [{ operation: "head", nth: 3, effect: "failed-before-applied", code: "site/denied" }])
  await expect(heldAt(denied, keys.slice(0, 5), { signal: never })).rejects.toMatchObject({ code: "site/denied" })
})

test("more keys than fit a call's arguments", async () => {
  const keys = packs(150_000)
  const site = await siteWith([])
  expect((await heldAt(site, keys, { signal: never })).missing).toHaveLength(150_000)
})
