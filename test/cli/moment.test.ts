import { describe, expect, test } from "vitest"
import { endOfMoment, formatMoment } from "../../src/cli/moment.ts"
import { parseReference } from "../../src/cli/reference.ts"

describe("a moment as a person writes it", () => {
  test.each([
    ["2026-11-20", "UTC", "2026-11-20T23:59:59.999Z"],
    ["2026-11-20T14:00", "UTC", "2026-11-20T14:00:59.999Z"],
    ["2026-11-20T14:00:30", "UTC", "2026-11-20T14:00:30.999Z"],
    ["2026-11-20 14:00", "UTC", "2026-11-20T14:00:59.999Z"],
    ["2026-11-20T14:00Z", "Europe/Berlin", "2026-11-20T14:00:59.999Z"],
    ["2026-11-20T14:00+01:00", "UTC", "2026-11-20T13:00:59.999Z"],
    ["2026-11-20T14:00", "Europe/Berlin", "2026-11-20T13:00:59.999Z"],
    ["2026-11-20", "Europe/Berlin", "2026-11-20T22:59:59.999Z"],
    ["2026-07-01", "America/New_York", "2026-07-02T03:59:59.999Z"],
    // The day has 25 hours, then 23.
    ["2026-10-25", "Europe/Berlin", "2026-10-25T22:59:59.999Z"],
    ["2026-03-29", "Europe/Berlin", "2026-03-29T21:59:59.999Z"],
  ])("%s in %s lasts until %s", (text, zone, expected) => {
    expect(endOfMoment(text, zone).toISOString()).toBe(expected)
  })

  test.each(["yesterday", "2026-13-01", "2026-02-30", "2026-11-20T25:00", "20.11.2026", "2026-11-20T14", ""])("%j is refused", (text) => {
    expect(() => endOfMoment(text, "UTC")).toThrow("no date or time")
  })

  test("is shown to the second, never without its zone", () => {
    const moment = new Date("2026-11-21T18:40:00.500Z")
    expect(formatMoment(moment, "UTC")).toBe("2026-11-21 18:40:00Z")
    expect(formatMoment(moment, "Europe/Berlin")).toBe("2026-11-21 19:40:00+01:00")
    expect(formatMoment(moment, "America/St_Johns")).toBe("2026-11-21 15:10:00-03:30")
  })

  test("that is shown can be given again", () => {
    const moment = new Date("2026-07-21T18:40:00.000Z")
    for (const zone of ["UTC", "Europe/Berlin", "Asia/Kathmandu"]) {
      const again = endOfMoment(formatMoment(moment, zone), "UTC")
      expect(again.getTime() - moment.getTime(), zone).toBe(999)
    }
  })
})

describe("a reference to a snapshot", () => {
  test.each([
    ["call-recordings", { dataset: "call-recordings" }],
    ["call-recordings@latest", { dataset: "call-recordings" }],
    ["cdrs@2026-11-20", { dataset: "cdrs", asOf: new Date("2026-11-20T23:59:59.999Z") }],
    ["3f9a0c", { only: "3f9a0c" }],
    ["cafe@latest", { dataset: "cafe" }],
    ["cafe", { dataset: "cafe" }],
  ])("%s", (text, expected) => {
    expect(parseReference(text, "UTC")).toEqual(expected)
  })

  test.each(["@latest", "cdrs@", "cdrs@newest", "a@b@c", ""])("%j is refused, with how to write one", (text) => {
    expect(() => parseReference(text, "UTC")).toThrow(expect.objectContaining({ code: "config/usage" }))
  })
})
