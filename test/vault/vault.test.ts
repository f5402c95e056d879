import { expect, test } from "vitest"
import { SiteHealth } from "../../src/vault/health.ts"
import { countCopies, isDurable, requireAttainable, siteNamed } from "../../src/vault/vault.ts"
import { testSite, vaultOf } from "./vaults.ts"

const fra = testSite("fra", { provider: "own" })
const ams = testSite("ams", { provider: "own" })
const dub = testSite("dub", { provider: "aws" })
const near = testSite("near", { provider: "local", countsAsProvider: false })

test.each([
  [["fra", "dub"], true],
  [["fra", "ams"], false],
  [["fra", "ams", "dub"], true],
  [["dub"], false],
  [["near", "fra"], false],
  [["near", "fra", "dub"], true],
  [["fra", "fra", "fra"], false],
  [["fra", "elsewhere"], false],
  [[], false],
])("two copies of two providers: %j is durable: %s", (held, durable) => {
  expect(isDurable(held, vaultOf([fra, ams, dub, near]))).toBe(durable)
})

test("a site on the source's own device is a copy, and no provider", () => {
  const vault = vaultOf([near, fra], { copies: 2, providers: 1 })
  expect(isDurable(["near", "fra"], vault)).toBe(true)
  expect(isDurable(["near"], vaultOf([near], { copies: 1, providers: 1 }))).toBe(false)
  expect(countCopies(["near", "fra"], vault)).toEqual({ copies: 2, providers: 1 })
})

test("three copies of two providers need three sites", () => {
  const vault = vaultOf([fra, ams, dub], { copies: 3, providers: 2 })
  expect(isDurable(["fra", "dub"], vault)).toBe(false)
  expect(isDurable(["fra", "ams", "dub"], vault)).toBe(true)
})

test("a vault in which nothing can be durable is refused, and says what would help", () => {
  expect(() => requireAttainable(vaultOf([fra, dub]))).not.toThrow()
  const message = "durable: 2 copies at 2 providers are asked for, the sites make 2 at 1"
  expect(() => requireAttainable(vaultOf([fra, ams]))).toThrow(expect.objectContaining({ code: "config/invalid", message }))
  const hint = expect.stringMatching(/^near: on the source's own device.*sameDevice: accepted/)
  expect(() => requireAttainable(vaultOf([fra, near]))).toThrow(expect.objectContaining({ hint }))
})

test("a name that is no site's is refused with the names that are", () => {
  const vault = vaultOf([fra, dub])
  expect(siteNamed(vault, "dub")).toBe(vault.sites[1])
  expect(() => siteNamed(vault, "dud")).toThrow(expect.objectContaining({ code: "config/not-found", hint: "the sites are fra, dub" }))
})

test("a site that failed comes last until it succeeds, or for a while", () => {
  let now = new Date("2026-11-21T12:00:00Z")
  const health = new SiteHealth({ now: () => now })
  const names = () => health.order([fra, ams, dub]).map(({ name }) => name)
  expect(names()).toEqual(["fra", "ams", "dub"])
  health.failed("fra")
  health.failed("ams")
  expect(names()).toEqual(["dub", "fra", "ams"])
  health.succeeded("ams")
  expect(names()).toEqual(["ams", "dub", "fra"])
  now = new Date("2026-11-21T12:05:00Z")
  expect(names()).toEqual(["fra", "ams", "dub"])
})
