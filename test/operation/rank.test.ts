import { expect, test } from "vitest"
import { type Preference, rank, type Standing } from "../../src/operation/rank.ts"
import { listPrice } from "../../src/site/price.ts"

const now = new Date("2031-03-04T12:00:00Z")

function site(name: string, known: Partial<Standing> = {}): Standing {
  return {
    ...{ name, answers: true, reason: "", roundTripMs: 3, holds: 214, of: 214, rotten: 0, provenAt: null },
    ...{ cost: { amount: 0, currency: "USD" }, speed: { bytesPerSecond: 118 * 1024 ** 2, measured: "before" }, seconds: 100, ...known },
  }
}

const usd = (amount: number) => ({ amount, currency: "USD" })
const slow = { seconds: 5000 }

function order(sites: readonly Standing[], preference: Preference = {}): string[] {
  return rank(sites, preference, now).map(({ name }) => name)
}

test("a site that answers comes first, then what lacks least, then what has least that is rotten, whatever the price", () => {
  const sites = [
    site("away", { answers: false, holds: 0 }),
    site("poor", { holds: 3 }),
    site("rotten", { rotten: 2 }),
    site("gappy", { holds: 213 }),
    site("dear", { cost: usd(99), ...slow }),
  ]
  for (const prefer of [undefined, "price", "speed"] as const) {
    expect(order(sites, { prefer })).toEqual(["dear", "rotten", "gappy", "poor", "away"])
    expect(order(sites.toReversed(), { prefer })).toEqual(["dear", "rotten", "gappy", "poor", "away"])
  }
})

test("among sound sites the cheapest is first, unless it is much slower; a price that is not known comes last", () => {
  const [dear, cheap, unknown] = [
    site("dear", { cost: usd(12.4), seconds: 100 }),
    site("cheap", { seconds: 250 }),
    site("unknown", { cost: null }),
  ]
  expect(order([unknown, dear, cheap])).toEqual(["cheap", "dear", "unknown"])
  const crawling = site("crawling", { seconds: 701 })
  expect(order([crawling, dear, cheap])).toEqual(["cheap", "dear", "crawling"])
  expect(order([crawling, dear, cheap], { prefer: "price" })).toEqual(["crawling", "cheap", "dear"])
  expect(order([cheap, dear, crawling], { prefer: "speed" })).toEqual(["dear", "cheap", "crawling"])
})

test("with a time that was promised, that is what counts as much slower", () => {
  const [dear, cheap] = [site("dear", { cost: usd(12.4), seconds: 3000 }), site("cheap", { seconds: 3700 })]
  expect(order([dear, cheap])).toEqual(["cheap", "dear"])
  expect(order([dear, cheap], { rtoSeconds: 3600 })).toEqual(["dear", "cheap"])
  expect(order([dear, cheap], { rtoSeconds: 60 }), "where nothing is fast enough, the fastest").toEqual(["dear", "cheap"])
  expect(rank([dear, cheap], { rtoSeconds: 3600 }, now)[1]?.why).toMatch(/^after dear, as it would take longer than the 1h 00m promised; /)
})

test("equal sites keep the order that was configured, and an order that was asked for stands", () => {
  expect(order([site("b"), site("a"), site("c", { seconds: 90 })])).toEqual(["b", "a", "c"])
  const asked = [site("away", { answers: false, holds: 0 }), site("dear", { cost: usd(9) }), site("cheap")]
  expect(order(asked, { prefer: "order" })).toEqual(["away", "dear", "cheap"])
})

test("every site is told apart from the one before it, and what is known of it is said", () => {
  const sites = [
    site("fra", { provenAt: "2031-03-02T12:00:00Z" }),
    site("dub", { cost: usd(12.4), speed: { bytesPerSecond: 30 * 1024 ** 2, measured: "now" } }),
    site("ams", { cost: usd(12.4), rotten: 1, speed: { bytesPerSecond: 1, measured: "never" } }),
    site("bru", { cost: null, holds: 210 }),
    site("lon", { answers: false, holds: 0, reason: "no answer within 5.0 s" }),
  ]
  expect(rank(sites, {}, now).map(({ name, why }) => `${name}: ${why}`)).toEqual([
    "fra: holds all 214 packs, hashed 2d 0h ago, free, 118.0 MiB/s",
    "dub: after fra, as it costs more; holds all 214 packs, never hashed from here, about 12.40 USD, 30.0 MiB/s in a small read",
    "ams: after dub, as it has more that is rotten; holds all 214 packs, 1 pack known to be rotten, about 12.40 USD, its speed not measured",
    "bru: after ams, as it lacks more; lacks 4 of 214 packs, never hashed from here, price not known, 118.0 MiB/s",
    "lon: asked last: no answer within 5.0 s",
  ])
})

test("a price is transfer and retrieval of the tier; what one runs oneself is free; what is not listed is not guessed", () => {
  expect(listPrice("own", undefined)).toEqual({ perGiB: 0, currency: "USD" })
  expect(listPrice("aws", "STANDARD_IA")?.perGiB).toBeCloseTo(0.1)
  expect(listPrice("google", "ARCHIVE")?.perGiB).toBeCloseTo(0.17)
  expect(listPrice("acme", "STANDARD")).toBeNull()
  expect(listPrice("constructor", undefined)).toBeNull()
})
