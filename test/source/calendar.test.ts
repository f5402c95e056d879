import { expect, test } from "vitest"
import { calendar } from "../../src/source/calendar.ts"

function ns(text: string): bigint {
  return BigInt(Date.parse(text)) * 1_000_000n
}

test.each([
  ["Europe/Berlin", "2026-03-28T22:59:59Z", "2026-03-28", "the last second before the day of summer time"],
  ["Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29", "midnight by winter time"],
  ["Europe/Berlin", "2026-03-29T21:59:59Z", "2026-03-29", "a day of 23 hours"],
  ["Europe/Berlin", "2026-03-29T22:00:00Z", "2026-03-30", "midnight by summer time"],
  ["Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25", "the day on which clocks go back begins"],
  ["Europe/Berlin", "2026-10-25T22:59:59Z", "2026-10-25", "a day of 25 hours"],
  ["Europe/Berlin", "2026-10-25T23:00:00Z", "2026-10-26", "and ends"],
  ["America/New_York", "2026-11-01T05:30:00Z", "2026-11-01", "half past one, the first time"],
  ["America/New_York", "2026-11-01T06:30:00Z", "2026-11-01", "half past one, the second time"],
  ["America/New_York", "2027-01-01T04:59:59Z", "2026-12-31", "the last second of a year elsewhere"],
  ["Asia/Beirut", "2026-03-28T21:59:59Z", "2026-03-28", "before a midnight that does not exist"],
  ["Asia/Beirut", "2026-03-28T22:00:00Z", "2026-03-29", "which is one o'clock at once"],
  ["Asia/Kathmandu", "2026-11-20T18:15:00Z", "2026-11-21", "an offset of 5:45"],
  ["Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-31", "where 30 December never was"],
  ["America/New_York", "1970-01-01T00:00:00Z", "1970-01-01", "the first second, where it was 1969"],
  ["UTC", "1970-01-01T00:00:00Z", "1970-01-01", "the first second"],
])("%s at %s is %s: %s", (timezone, moment, day) => {
  expect(calendar(timezone).dayOf(ns(moment))).toBe(day)
})

test("the last nanosecond of a day still belongs to it", () => {
  expect(calendar("UTC").dayOf(ns("2026-11-22T00:00:00Z") - 1n)).toBe("2026-11-21")
})

test.each([
  [-1n, "1970-01-01"],
  [-(2n ** 63n), "1970-01-01"],
  [2n ** 63n - 1n, "2262-04-11"],
  [2n ** 90n, "9999-12-31"],
])("a damaged time stamp of %s ns counts as the nearest day", (stamp, day) => {
  expect(calendar("UTC").dayOf(stamp)).toBe(day)
})

test("an unknown time zone is refused", () => {
  expect(() => calendar("Europe/Berlinn")).toThrow(expect.objectContaining({ code: "config/invalid" }))
})
