import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { freeFrom } from "../../src/schedule/blackout.ts"
import { jitterMs } from "../../src/schedule/jitter.ts"
import { coverWeek, type Weekday, type Window, weekdays } from "../../src/week.ts"
import { minuteMs, minutesOf, wallOf, zones } from "./oracle.ts"

const working: readonly Weekday[] = ["mon", "tue", "wed", "thu", "fri"]

function at(text: string): number {
  return Date.parse(text)
}

test("a start in a window is put off to its end, and no other start is", () => {
  const office: Window[] = [{ days: working, from: 8 * 60, to: 18 * 60 }]
  // Monday 23 November 2026; Berlin is an hour ahead.
  expect(freeFrom(at("2026-11-23T06:59:59Z"), office, "Europe/Berlin")).toBe(at("2026-11-23T06:59:59Z"))
  expect(freeFrom(at("2026-11-23T07:00:00Z"), office, "Europe/Berlin")).toBe(at("2026-11-23T17:00:00Z"))
  expect(freeFrom(at("2026-11-23T12:34:56.789Z"), office, "Europe/Berlin")).toBe(at("2026-11-23T17:00:00Z"))
  expect(freeFrom(at("2026-11-22T12:00:00Z"), office, "Europe/Berlin"), "a Sunday").toBe(at("2026-11-22T12:00:00Z"))
})

test("a window may go past midnight, and windows may follow one another", () => {
  const night: Window[] = [
    { days: ["sat"], from: 22 * 60, to: 4 * 60 },
    { days: ["sun"], from: 4 * 60, to: 1440 },
    { days: ["mon"], from: 0, to: 60 },
  ]
  expect(freeFrom(at("2026-11-21T23:00Z"), night, "UTC")).toBe(at("2026-11-23T01:00Z"))
  expect(freeFrom(at("2026-11-22T03:00Z"), night, "UTC")).toBe(at("2026-11-23T01:00Z"))
})

describe.each(Object.entries(zones).flatMap(([timezone, begins]) => begins.map((from) => ({ timezone, from }))))(
  "around $from in $timezone",
  ({ timezone, from }) => {
    const minutes = minutesOf(from, 5, timezone)

    test("a start is put off to the first minute whose clock on the wall is in no window", () => {
      const minuteOfDay = fc.oneof(
        fc.integer({ min: 0, max: 48 }).map((each) => each * 30),
        fc.integer({ min: 0, max: 1440 }),
      )
      const window = fc
        .record({ days: fc.subarray([...weekdays], { minLength: 1 }), from: minuteOfDay.filter((each) => each < 1440), to: minuteOfDay })
        .filter((each) => each.from !== each.to && each.to > 0)
      fc.assert(
        fc.property(fc.array(window, { minLength: 1, maxLength: 3 }), fc.integer({ min: 0, max: 2 * 1440 }), (windows, index) => {
          const start = minutes[index]?.ms ?? 0
          const free = minutes.slice(index).find(({ local }) => !windows.some((each) => isIn(each, local)))
          if (free !== undefined) expect(freeFrom(start, windows, timezone)).toBe(free.ms)
          if (coverWeek(windows)) expect(free).toBeUndefined()
        }),
        { numRuns: 100 },
      )
    })
  },
)

function isIn({ days, from, to }: Window, local: number): boolean {
  const { minute, hour, weekday } = wallOf(local)
  const now = hour * 60 + minute
  const [today, yesterday] = [weekdays[weekday], weekdays[(weekday + 6) % 7]]
  const begins = (day: Weekday | undefined) => day !== undefined && days.includes(day)
  return to > from ? begins(today) && now >= from && now < to : (begins(today) && now >= from) || (begins(yesterday) && now < to)
}

test("windows that leave no minute of the week are known", () => {
  expect(coverWeek([{ days: [...weekdays], from: 0, to: 1440 }])).toBe(true)
  expect(coverWeek([{ days: [...weekdays], from: 720, to: 719 }])).toBe(false)
  expect(
    coverWeek([
      { days: [...weekdays], from: 720, to: 719 },
      { days: [...weekdays], from: 700, to: 740 },
    ]),
  ).toBe(true)
  expect(coverWeek([{ days: working, from: 0, to: 1440 }])).toBe(false)
})

describe("jitter", () => {
  test("is the same each time, for each agent and job another, and within its limit", () => {
    const limit = 5 * minuteMs
    expect(jitterMs("pbx-1", "cdrs", limit)).toBe(jitterMs("pbx-1", "cdrs", limit))
    const all = Array.from({ length: 1000 }, (_, index) => jitterMs(`pbx-${String(index)}`, "cdrs", limit))
    expect(Math.min(...all)).toBeGreaterThanOrEqual(0)
    expect(Math.max(...all)).toBeLessThan(limit)
    expect(new Set(all).size).toBeGreaterThan(990)
    const perMinute = Array.from({ length: 5 }, (_, minute) => all.filter((each) => Math.floor(each / minuteMs) === minute).length)
    expect(Math.min(...perMinute), perMinute.join()).toBeGreaterThan(150)
    expect(jitterMs("pbx-1", "cdrs", limit)).not.toBe(jitterMs("pbx-1", "recordings", limit))
  })

  test("without a limit there is none", () => {
    expect(jitterMs("pbx-1", "cdrs", 0)).toBe(0)
  })
})
