import { expect, test } from "vitest"
import { SiteError } from "../../src/errors.ts"
import { askSites } from "../../src/vault/ask.ts"
import { never, testSite } from "./vaults.ts"

const sites = ["fra", "ams", "dub"].map((name) => testSite(name))
const hang = (): Promise<string> => new Promise(() => undefined)
const two = (answered: readonly string[]): boolean => answered.length >= 2

test("every site that answers is heard, and one that fails is named", async () => {
  const { answers, failures, late } = await askSites(
    sites,
    async ({ name }) => {
      if (name === "ams") throw new SiteError("ams", "site/denied", "no")
      return name.toUpperCase()
    },
    { signal: never },
  )
  expect([...answers]).toEqual([
    ["fra", "FRA"],
    ["dub", "DUB"],
  ])
  expect(failures.map(({ message }) => message)).toEqual(["ams: no"])
  expect(late.size).toBe(0)
})

test("a site that hangs is waited for until enough others have answered, and its patience is over", async () => {
  const ended: unknown[] = []
  const { answers, failures, late } = await askSites(
    sites,
    async ({ name }, signal) => {
      if (name !== "dub") return name
      signal.addEventListener("abort", () => ended.push(signal.reason))
      return await hang()
    },
    { signal: never, enough: two, patienceMs: (_site, waitedMs) => 30 - waitedMs },
  )
  expect([...answers.keys()]).toEqual(["fra", "ams"])
  expect(failures).toMatchObject([{ site: "dub", code: "site/unavailable" }])
  expect(ended).toEqual(failures)
  expect(late.size).toBe(0)
})

test("a slow site within its patience is heard; patience that is renewed is longer", async () => {
  const slow = Promise.withResolvers<string>()
  let asked = 0
  const { answers } = await askSites(sites, ({ name }) => (name === "dub" ? slow.promise : Promise.resolve(name)), {
    signal: never,
    enough: two,
    patienceMs: () => {
      asked += 1
      if (asked === 3) slow.resolve("dub")
      return 10
    },
  })
  expect([...answers.keys()]).toEqual(["fra", "ams", "dub"])
})

test("a call that goes on can still be heard later", async () => {
  const slow = Promise.withResolvers<string>()
  const { failures, late } = await askSites(sites, ({ name }) => (name === "dub" ? slow.promise : Promise.resolve(name)), {
    ...{ signal: never, enough: two, patienceMs: () => 0 },
    late: "go on",
  })
  expect(failures.map(({ site }) => site)).toEqual(["dub"])
  slow.resolve("there after all")
  expect(await late.get("dub")).toBe("there after all")
})

test("where nothing is needed, nobody is waited for longer than patience says", async () => {
  const { answers, failures } = await askSites(sites, hang, {
    signal: never,
    enough: () => true,
    patienceMs: (_site, waitedMs) => 20 - waitedMs,
  })
  expect(answers.size).toBe(0)
  expect(failures).toHaveLength(3)
})

test("what is a bug is thrown, and an end that was asked for ends it", async () => {
  await expect(askSites(sites, () => Promise.reject(new TypeError("a bug")), { signal: never })).rejects.toThrow("a bug")
  const ending = new AbortController()
  const asked = askSites(
    sites,
    (_site, signal) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
    {
      signal: ending.signal,
    },
  )
  ending.abort(new Error("stop"))
  await expect(asked).rejects.toThrow("stop")
})
