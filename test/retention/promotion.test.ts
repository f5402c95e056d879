import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { localDay, periodOf, rungs } from "../../src/retention/period.ts"
import { classOfRun, type PastRun, type Promotions } from "../../src/retention/promotion.ts"

const ladder: Promotions = { weekly: "state-100", monthly: "state-400", yearly: "state-2600" }
const berlin = { class: "state-35", promotions: ladder, timezone: "Europe/Berlin" }
const hourMs = 3_600_000

/** The classes of runs at these moments, one after the other; `complete` says how each ends. */
function played(moments: readonly string[], settings = berlin, complete: (index: number) => boolean = () => true): string[] {
  const past: PastRun[] = []
  return moments.map((moment, index) => {
    const cut = new Date(moment)
    const { class: name } = classOfRun(settings, { cut, past })
    past.push({ cut, complete: complete(index), classes: new Set([name, "mixed-28"]) })
    return name
  })
}

function nights(from: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => new Date(Date.parse(from) + index * 24 * hourMs).toISOString())
}

describe("which class a run writes", () => {
  test("two months of nights: the first of a year, month and week are kept for longer, each once", () => {
    const written = played(nights("2030-12-20T01:00:00Z", 62))
    const promoted = written.flatMap((name, index) => {
      const night = nights("2030-12-20T01:00:00Z", 62)[index] ?? ""
      return name === "state-35" ? [] : [[night.slice(0, 10), name]]
    })
    expect(promoted).toEqual([
      ["2030-12-20", "state-2600"],
      ["2030-12-23", "state-100"],
      ["2030-12-30", "state-100"],
      ["2031-01-01", "state-2600"],
      ["2031-01-06", "state-100"],
      ["2031-01-13", "state-100"],
      ["2031-01-20", "state-100"],
      ["2031-01-27", "state-100"],
      ["2031-02-01", "state-400"],
      ["2031-02-03", "state-100"],
      ["2031-02-10", "state-100"],
      ["2031-02-17", "state-100"],
    ])
  })

  test("after missed runs the first of the new period is promoted, on whichever day it comes", () => {
    const written = played(["2031-01-01T01:00:00Z", "2031-01-02T01:00:00Z", "2031-02-20T09:30:00Z", "2031-02-21T01:00:00Z"])
    expect(written).toEqual(["state-2600", "state-35", "state-400", "state-35"])
  })

  test("the period is the one of the job's time zone, on both sides of midnight", () => {
    const moments = ["2031-01-31T22:59:00Z", "2031-01-31T23:01:00Z", "2031-02-01T12:00:00Z"]
    expect(played(moments, { ...berlin, promotions: { monthly: "state-400" } })).toEqual(["state-400", "state-400", "state-35"])
    expect(played(moments, { ...berlin, promotions: { monthly: "state-400" }, timezone: "UTC" })).toEqual([
      "state-400",
      "state-35",
      "state-400",
    ])
  })

  test("hours of one day: the first is the day's, also on the days when clocks change", () => {
    const settings = { ...berlin, promotions: { daily: "state-60" } }
    const hours = Array.from({ length: 3 * 24 + 20 }, (_, index) =>
      new Date(Date.parse("2031-03-28T23:15:00Z") + index * hourMs).toISOString(),
    )
    const promoted = played(hours, settings).flatMap((name, index) => (name === "state-60" ? [hours[index]] : []))
    expect(promoted).toEqual([
      "2031-03-28T23:15:00.000Z",
      "2031-03-29T23:15:00.000Z",
      "2031-03-30T22:15:00.000Z",
      "2031-03-31T22:15:00.000Z",
    ])
  })

  test("a run that was not whole leaves its period open, but not for ever", () => {
    const settings = { ...berlin, promotions: { weekly: "state-100" } }
    expect(played(nights("2031-01-06T01:00:00Z", 3), settings, (index) => index > 0)).toEqual(["state-100", "state-100", "state-35"])
    expect(played(nights("2031-01-06T01:00:00Z", 7), settings, () => false)).toEqual([
      ...["state-100", "state-100", "state-100"],
      ...["state-35", "state-35", "state-35", "state-35"],
    ])
  })

  test("what is said of the promotion is the rung and its period", () => {
    const run = { cut: new Date("2031-02-20T09:30:00Z"), past: [] }
    expect(classOfRun({ ...berlin, promotions: { weekly: "state-100" } }, run).promoted).toEqual({ rung: "weekly", period: "2031w08" })
    expect(classOfRun({ ...berlin, promotions: {} }, run)).toEqual({ class: "state-35", promoted: null })
  })

  test("of any series of runs that are whole, each period that has a run has exactly one of its rung or above", () => {
    const moment = fc.integer({ min: Date.parse("2030-11-01T00:00:00Z"), max: Date.parse("2031-03-01T00:00:00Z") })
    fc.assert(
      fc.property(
        fc.array(moment, { minLength: 1, maxLength: 40 }),
        fc.constantFrom("UTC", "Europe/Berlin", "America/Los_Angeles"),
        (some, timezone) => {
          const moments = some.toSorted((a, b) => a - b).map((ms) => new Date(ms).toISOString())
          const written = played(moments, { ...berlin, timezone })
          const above: string[] = []
          for (const rung of rungs.toReversed()) {
            const name = ladder[rung]
            if (name === undefined) continue
            above.push(name)
            const periods = moments.map((text) => periodOf(rung, new Date(text), timezone))
            const kept = periods.filter((_, index) => above.includes(written[index] ?? ""))
            expect(new Set(kept)).toEqual(new Set(periods))
            // The first of its month may come in a week that has had its own already: then the week has two.
            const ofRung = periods.filter((_, index) => written[index] === name)
            expect(new Set(ofRung).size).toBe(ofRung.length)
          }
        },
      ),
      { numRuns: 200 },
    )
  })
})

test("a week is ISO's, also where its days are of two years", () => {
  expect(periodOf("weekly", new Date("2030-12-30T00:00:00Z"), "UTC")).toBe("2031w01")
  expect(periodOf("yearly", new Date("2030-12-30T00:00:00Z"), "UTC")).toBe("2030")
  expect(localDay(new Date("2031-01-01T09:59:00Z"), "Pacific/Kiritimati")).toBe("2031-01-01")
  expect(localDay(new Date("2031-01-01T10:01:00Z"), "Pacific/Kiritimati")).toBe("2031-01-02")
})
