import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { timetable } from "../../src/schedule/timetable.ts"
import { crons, dueAmong, minutesOf, zones } from "./oracle.ts"

function dueBetween(cron: string, timezone: string, from: string, to: string): string[] {
  const due: string[] = []
  const table = timetable(cron, timezone)
  for (let at = table.after(Date.parse(from) - 1); at !== null && at < Date.parse(to); at = table.after(at)) due.push(short(at))
  return due
}

function short(ms: number): string {
  return `${new Date(ms).toISOString().slice(5, 16)}Z`
}

const clocks = Object.entries(zones).flatMap(([timezone, begins]) => begins.map((from) => ({ timezone, from })))

describe.each(clocks)("around $from in $timezone", ({ timezone, from }) => {
  const minutes = minutesOf(from, 2, timezone)
  // What comes twice at the beginning has passed unseen.
  const begin = 180

  test("a schedule is due when a look at every minute says so, forwards and backwards", () => {
    const start = fc.integer({ min: begin, max: minutes.length - 1 })
    fc.assert(
      fc.property(crons, start, (cron, index) => {
        const table = timetable(cron, timezone)
        const now = minutes[index]?.ms ?? 0
        const due = dueAmong(minutes, cron)
        const coming = due.filter((each) => each > now).slice(0, 10)
        const found: number[] = []
        for (let at = now; found.length < coming.length; found.push(at)) at = table.after(at) ?? Number.POSITIVE_INFINITY
        expect(found, cron).toEqual(coming)
        const last = due.findLast((each) => each <= now)
        if (last !== undefined && last >= (minutes[begin]?.ms ?? 0)) expect(table.upTo(now), cron).toBe(last)
      }),
      { numRuns: 25 },
    )
  })
})

describe("when clocks change", () => {
  test("a time that is left out is due at the first moment after the gap, on that day only", () => {
    expect(dueBetween("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00Z", "2026-03-31T00:00Z")).toEqual([
      "03-29T01:00Z", // 03:00 summer time
      "03-30T00:30Z",
    ])
    expect(dueBetween("0 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00Z", "2026-10-05T00:00Z")).toEqual([
      "10-03T15:30Z", // 02:30 summer time
      "10-04T15:00Z",
    ])
  })

  test("several times that are left out are due once", () => {
    expect(dueBetween("0,15,30 2 * * *", "America/New_York", "2026-03-08T00:00Z", "2026-03-09T00:00Z")).toEqual(["03-08T07:00Z"])
  })

  test("a time that comes twice is due once, the first time", () => {
    expect(dueBetween("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00Z", "2026-10-27T00:00Z")).toEqual(["10-25T00:30Z", "10-26T01:30Z"])
    expect(dueBetween("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T00:00Z", "2026-04-06T00:00Z")).toEqual([
      "04-04T14:45Z",
      "04-05T15:15Z",
    ])
  })

  test("every half hour stays every half hour", () => {
    for (const from of ["2026-03-29T00:00Z", "2026-10-25T00:00Z"]) {
      const end = new Date(Date.parse(from) + 4 * 3_600_000).toISOString()
      const due = dueBetween("*/30 * * * *", "Europe/Berlin", from, end)
      expect(due.map((each) => each.slice(6, 11))).toEqual(["00:00", "00:30", "01:00", "01:30", "02:00", "02:30", "03:00", "03:30"])
    }
  })
})

test("the 29th of February is due in leap years, and in none that is divisible by 100 alone", () => {
  expect(dueBetween("0 3 29 2 *", "UTC", "2026-01-01T00:00Z", "2033-01-01T00:00Z")).toEqual(["02-29T03:00Z", "02-29T03:00Z"])
  expect(timetable("0 3 29 2 *", "UTC").after(Date.parse("2096-03-01T00:00Z"))).toBe(Date.parse("2104-02-29T03:00Z"))
  expect(timetable("0 3 29 2 *", "Europe/Berlin").upTo(Date.parse("2027-01-01T00:00Z"))).toBe(Date.parse("2024-02-29T02:00Z"))
})

test("the last day of the month is due whatever its date", () => {
  expect(dueBetween("0 0 L * *", "UTC", "2028-01-15T00:00Z", "2028-05-01T00:00Z")).toEqual([
    "01-31T00:00Z",
    "02-29T00:00Z",
    "03-31T00:00Z",
    "04-30T00:00Z",
  ])
})

test("a moment within a minute belongs to it", () => {
  const table = timetable("*/5 * * * *", "UTC")
  const noon = Date.parse("2026-11-22T12:00Z")
  expect(table.upTo(noon + 59_999)).toBe(noon)
  expect(table.upTo(noon - 1)).toBe(noon - 300_000)
  expect(table.after(noon)).toBe(noon + 300_000)
  expect(table.after(noon - 1)).toBe(noon)
})
