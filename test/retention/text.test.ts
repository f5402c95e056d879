import { describe, expect, test } from "vitest"
import { calendarText, standstillText } from "../../src/cli/retention-text.ts"
import { paintWith } from "../../src/report/paint.ts"
import { calendarsOf } from "../../src/retention/calendar.ts"
import type { ExpiryFacts, KeptCommit } from "../../src/retention/expiry.ts"
import { classOfRun, type PastRun } from "../../src/retention/promotion.ts"
import { commitOf, dayMs, factsOf } from "./facts.ts"

const paint = paintWith({ colour: false })
const days = new Map([
  ["state-35", 35],
  ["state-100", 100],
  ["state-400", 400],
])
const settings = { class: "state-35", promotions: { weekly: "state-100", monthly: "state-400" }, timezone: "UTC" }
const hold = { id: "3f9a0c21aa00".padEnd(32, "0"), by: "Ada", reason: "case 4711", time: "2031-04-02T00:00:00.000Z", to: "2031-01-05" }

/** A snapshot a night from 1 January on, each with 1 MiB of its own and 2 that all of its class share. */
function nightly(nights: number): KeptCommit[] {
  const past: PastRun[] = []
  return Array.from({ length: nights }, (_, night) => {
    const cut = new Date(Date.parse("2031-01-01T01:15:00Z") + night * dayMs)
    const { class: name } = classOfRun(settings, { cut, past })
    past.push({ cut, complete: true, classes: new Set([name]) })
    const packs = [`own-${String(night)}`, `shared-${name}`].map((key, index) => ({ key, class: name, bytes: 2 ** 20 * (index + 1) }))
    return commitOf(`c${String(night)}`, night, [], { acceptedAt: cut, claimedAt: cut, packs })
  })
}

function textOf(facts: ExpiryFacts, rules: readonly string[] = []): string[] {
  return calendarsOf(facts, "UTC").flatMap((calendar) => calendarText(calendar, { paint, timezone: "UTC", rules }))
}

describe("the calendar", () => {
  const facts = (now: string, nights: number, more: Partial<ExpiryFacts> = {}) => {
    const commits = nightly(nights).filter(({ acceptedAt, packs }) => {
      const kept = days.get(packs[0]?.class ?? "") ?? 0
      return Date.parse(now) < acceptedAt.getTime() + (kept + 2) * dayMs || more.holds !== undefined
    })
    return { ...factsOf(0, commits, { days, ...more }), now: new Date(now) }
  }

  test("of three months of nights shows what is kept, where, what goes next and why", () => {
    const lines = textOf(facts("2031-04-01T12:00:00Z", 91), ["runs are kept in class state-35 (35 days)"])
    expect(`\n${lines.join("\n")}\n`).toMatchInlineSnapshot(`
      "
      switch-config of pbx-1: 46 snapshots, 52.0 MiB
         runs are kept in class state-35 (35 days)

         CLASS      KEPT      SNAPSHOTS      SIZE  STORED                   FIRST GOES
         state-35   35 days          29  31.0 MiB  2031-02-25 … 2031-03-30  2031-04-03
         state-100  100 days         13  15.0 MiB  2031-01-06 … 2031-03-31  2031-04-18
         state-400  400 days          4  6.00 MiB  2031-01-01 … 2031-04-01  2032-02-07

                   1   5    10   15   20   25   30
         2031-01   c····b······b······b······b····
         2031-02   c·b······b······b······baaaa
         2031-03   cabaaaaaabaaaaaabaaaaaabaaaaaab
         2031-04   c·····························
         a state-35, b state-100, c state-400, · nothing stored

         GOES        CLASS      SNAPSHOTS     FREES  STORED                   BECAUSE
         2031-04-03  state-35           1  1.00 MiB  2031-02-25               35 days and 2 of grace pass
         2031-04-04  state-35           1  1.00 MiB  2031-02-26               35 days and 2 of grace pass
         2031-04-05  state-35           1  1.00 MiB  2031-02-27               35 days and 2 of grace pass
         2031-04-06  state-35           1  1.00 MiB  2031-02-28               35 days and 2 of grace pass
         2031-04-08  state-35           1  1.00 MiB  2031-03-02               35 days and 2 of grace pass
         2031-04-10  state-35           1  1.00 MiB  2031-03-04               35 days and 2 of grace pass
         2031-04-11  state-35           1  1.00 MiB  2031-03-05               35 days and 2 of grace pass
         2031-04-12  state-35           1  1.00 MiB  2031-03-06               35 days and 2 of grace pass
         2031-04-13  state-35           1  1.00 MiB  2031-03-07               35 days and 2 of grace pass
         2031-04-14  state-35           1  1.00 MiB  2031-03-08               35 days and 2 of grace pass
         2031-04-15  state-35           1  1.00 MiB  2031-03-09               35 days and 2 of grace pass
         2031-04     state-35          12  12.0 MiB  2031-03-11 … 2031-03-23  35 days and 2 of grace pass
         2031-04     state-100          2  2.00 MiB  2031-01-06 … 2031-01-13  100 days and 2 of grace pass
         2031-05     state-35           6  8.00 MiB  2031-03-25 … 2031-03-30  35 days and 2 of grace pass
         2031-05     state-100          5  5.00 MiB  2031-01-20 … 2031-02-17  100 days and 2 of grace pass
         2031-06     state-100          4  4.00 MiB  2031-02-24 … 2031-03-17  100 days and 2 of grace pass
         2031-07     state-100          2  4.00 MiB  2031-03-24 … 2031-03-31  100 days and 2 of grace pass
         2032-02     state-400          1  1.00 MiB  2031-01-01               400 days and 2 of grace pass
         2032-03     state-400          1  1.00 MiB  2031-02-01               400 days and 2 of grace pass
         2032-04     state-400          1  1.00 MiB  2031-03-01               400 days and 2 of grace pass
         2032-05     state-400          1  3.00 MiB  2031-04-01               400 days and 2 of grace pass
      "
    `)
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(100)
  })

  test("of what is held and overdue says so", () => {
    const lines = textOf(facts("2031-03-01T12:00:00Z", 7, { holds: [hold], frozen: new Set() }))
    expect(`\n${lines.join("\n")}\n`).toMatchInlineSnapshot(`
      "
      switch-config of pbx-1: 7 snapshots, 13.0 MiB

         CLASS      KEPT      SNAPSHOTS      SIZE  STORED                   FIRST GOES
         state-35   35 days           5  7.00 MiB  2031-01-02 … 2031-01-07  none
         state-100  100 days          1  3.00 MiB  2031-01-06               none
         state-400  400 days          1  3.00 MiB  2031-01-01               none

                   1   5    10   15   20   25   30
         2031-01   caaaaba························
         a state-35, b state-100, c state-400, · nothing stored

         ! 6 snapshots stay, whatever their class says: held by Ada (3f9a0c21aa00): case 4711
         ! 1 snapshot stays, whatever its class says: the newest snapshot of switch-config of pbx-1
      "
    `)
  })

  test("keeps to 36 months and 24 lines of what goes, and says how many more there are", () => {
    const commits = Array.from({ length: 60 }, (_, month) => {
      const at = new Date(Date.UTC(2031, month, 1, 1))
      return commitOf(`m${String(month)}`, month, [], {
        acceptedAt: at,
        claimedAt: at,
        packs: [{ key: `p${String(month)}`, class: "year-7", bytes: 1 }],
      })
    })
    const lines = textOf({ ...factsOf(0, commits, { days: new Map([["year-7", 2557]]) }), now: new Date("2037-12-20T00:00:00Z") })
    expect(lines.filter((line) => /^ {3}203\d-\d\d {3}a/.test(line))).toHaveLength(36)
    expect(lines).toContain("   and 24 months before")
    expect(lines.some((line) => line.startsWith("   and so on until"))).toBe(true)
  })
})

test("one doubt stands above everything, and many do not fill the screen", () => {
  expect(standstillText([], paint)).toEqual([])
  expect(standstillText(["gcs-bru: the log of pbx-1 was not read whole"], paint)).toEqual([
    "! nothing can expire now: not everything at the sites could be read",
    "   gcs-bru: the log of pbx-1 was not read whole",
  ])
  expect(
    standstillText(
      Array.from({ length: 12 }, (_, index) => `doubt ${String(index)}`),
      paint,
    ).slice(-2),
  ).toEqual(["   doubt 9", "   and 2 more"])
})
