import { expect, test } from "vitest"
import { siteFailureMemoryMs } from "../../src/limits.ts"
import { rank, type Standing } from "../../src/operation/rank.ts"
import { Route } from "../../src/operation/route.ts"
import { memorySite } from "../../src/site/memory.ts"
import { SiteHealth } from "../../src/vault/health.ts"
import { labClock, vaultSites } from "./lab.ts"

const GiB = 1024 ** 3
const start = new Date("2031-03-04T12:00:00Z")

function standing(name: string, amount: number, bytesPerSecond: number): Standing {
  return {
    ...{ name, answers: true, reason: "", roundTripMs: 3, holds: 1, of: 1, rotten: 0, provenAt: null },
    ...{ cost: { amount, currency: "USD" }, speed: { bytesPerSecond, measured: "before" }, seconds: 1 },
  }
}

/** Two sites; the first fails while so many of 100 GiB are still to come. Which is asked first, then and once the failure is forgotten? */
function askedFirst(first: Standing, second: Standing, bytesLeft: number): (string | undefined)[] {
  const clock = labClock(start)
  const health = new SiteHealth(clock)
  const sites = vaultSites({ first: memorySite("first", clock), second: memorySite("second", clock) })
  const route = new Route({ sites, durable: { copies: 1, providers: 1 }, health }, () => bytesLeft)
  route.take(rank([first, second], {}, start), 100 * GiB)
  const now = () => health.order(route.vault.sites)[0]?.name
  const before = now()
  health.failed("first")
  route.failedOver("first", "second")
  const during = now()
  clock.advance(siteFailureMemoryMs + 1)
  return [before, during, now()]
}

test("a site that failed is gone back to where that still saves money", () => {
  const free = standing("first", 0, 50 * 1024 ** 2)
  const dear = standing("second", 9, 50 * 1024 ** 2)
  expect(askedFirst(free, dear, 90 * GiB)).toEqual(["first", "second", "first"])
  expect(askedFirst(free, dear, 5 * GiB), "half a dollar is not worth a wait").toEqual(["first", "second", "second"])
})

test("or where it still saves time", () => {
  const [fast, slow] = [standing("first", 0, 100 * 1024 ** 2), standing("second", 0, 20 * 1024 ** 2)]
  expect(askedFirst(fast, slow, 90 * GiB)).toEqual(["first", "second", "first"])
  expect(askedFirst(fast, slow, 2 * GiB)).toEqual(["first", "second", "second"])
})

test("where one is as good as the other, the one that took over stays", () => {
  const [one, other] = [standing("first", 0, 50 * 1024 ** 2), standing("second", 0, 50 * 1024 ** 2)]
  expect(askedFirst(one, other, 90 * GiB)).toEqual(["first", "second", "second"])
})

test("an object that is missing at a site does not move the site", () => {
  const clock = labClock(start)
  const sites = vaultSites({ first: memorySite("first", clock), second: memorySite("second", clock) })
  const route = new Route({ sites, durable: { copies: 1, providers: 1 }, health: new SiteHealth(clock) }, () => 1)
  route.take(rank([standing("first", 0, 1), standing("second", 0, 1)], {}, start), 1)
  route.failedOver("first", "second")
  expect(route.vault.sites.map(({ name }) => name)).toEqual(["first", "second"])
})
