import { expect, test } from "vitest"
import { calendarsOf } from "../../src/retention/calendar.ts"
import { commitOf, day, factsOf } from "./facts.ts"

test("what is kept of each class, when its first goes, and what each day has", () => {
  const commits = [
    commitOf("a", 0, [], { packs: [{ key: "a", class: "state-100", bytes: 7 }] }),
    commitOf("b", 1, ["p", "q"]),
    commitOf("c", 2, ["q", "r"]),
    commitOf("d", 2, [], { packs: [{ key: "d", class: "mixed-28", bytes: 5 }] }),
  ]
  const [calendar, ...others] = calendarsOf(factsOf(10, commits), "UTC")
  expect(others).toEqual([])
  expect(calendar).toMatchObject({ agent: "pbx-1", dataset: "switch-config", snapshots: 4, bytes: 312, keepers: [] })
  expect(calendar?.classes).toEqual([
    { class: "mixed-28", days: 28, snapshots: 1, bytes: 5, oldest: day(2), newest: day(2), next: day(32) },
    { class: "state-35", days: 35, snapshots: 2, bytes: 300, oldest: day(1), newest: day(2), next: day(38) },
    { class: "state-100", days: 100, snapshots: 1, bytes: 7, oldest: day(0), newest: day(0), next: day(102) },
  ])
  expect(calendar?.days).toEqual([
    { day: "2031-01-01", class: "state-100" },
    { day: "2031-01-02", class: "state-35" },
    { day: "2031-01-03", class: "state-35" },
  ])
})

test("what goes next: by day, then by month, then by year, each with the bytes that no later snapshot lists", () => {
  const commits = [
    commitOf("a", 0, ["p"]),
    commitOf("b", 1, ["p", "q"]),
    commitOf("c", 1, ["q"]),
    commitOf("m", 2, [], { packs: [{ key: "m", class: "state-100", bytes: 7 }] }),
  ]
  const at = (now: number, more: Parameters<typeof factsOf>[2] = {}) =>
    calendarsOf(factsOf(now, commits, more), "UTC")[0]?.drops.map(({ when, class: name, snapshots, bytes }) => [
      when,
      name,
      snapshots,
      bytes,
    ])
  expect(at(30)).toEqual([
    ["2031-02-07", "state-35", 1, 0],
    ["2031-02-08", "state-35", 2, 200],
    ["2031-04", "state-100", 1, 7],
  ])
  expect(at(0)).toEqual([
    ["2031-02", "state-35", 3, 200],
    ["2031-04", "state-100", 1, 7],
  ])
  expect(at(38)?.[0]).toEqual(["now", "state-35", 3, 200])
  expect(
    at(0, {
      days: new Map([
        ["state-35", 35],
        ["state-100", 2600],
      ]),
    })?.[1],
  ).toEqual(["2038", "state-100", 1, 7])
})

test("what is held, frozen or of a class that nobody signed does not go, and that is said", () => {
  const hold = { id: "ab".repeat(16), by: "Ada", reason: "LEG-7", time: "2031-01-02T00:00:00.000Z", to: "2031-01-01" }
  const commits = [
    commitOf("a", 0, ["p"]),
    commitOf("b", 5, ["p", "q"]),
    commitOf("s", 6, [], { packs: [{ key: "s", class: "lost", bytes: 1 }] }),
  ]
  const [calendar] = calendarsOf(factsOf(30, commits, { holds: [hold] }), "UTC")
  expect(calendar?.drops.map(({ class: name, snapshots, bytes }) => [name, snapshots, bytes])).toEqual([["state-35", 1, 100]])
  expect(calendar?.keepers).toEqual([
    { reason: { kind: "hold", text: "held by Ada (abababababab): LEG-7" }, snapshots: 1 },
    { reason: { kind: "unsigned-class", text: expect.stringContaining("class lost") }, snapshots: 1 },
  ])
  expect(calendar?.classes.find(({ class: name }) => name === "lost")).toMatchObject({ days: null, next: null })
})

test("the newest snapshot goes once others have followed it, and not where none has", () => {
  const commits = [commitOf("a", 0, ["p"])]
  expect(calendarsOf(factsOf(10, commits), "UTC")[0]?.drops).toHaveLength(1)
  const [overdue] = calendarsOf(factsOf(100, commits), "UTC")
  expect(overdue).toMatchObject({ drops: [], classes: [{ next: null }] })
  expect(overdue?.keepers).toEqual([{ reason: { kind: "newest", text: "the newest snapshot of switch-config of pbx-1" }, snapshots: 1 }])
})

test("each agent's dataset has a calendar of its own, by name, and days are those of the time zone", () => {
  const late = new Date("2031-01-01T23:30:00Z")
  const commits = [
    commitOf("a", 0, ["p"]),
    commitOf("b", 0, ["q"], { dataset: "cdrs", acceptedAt: late }),
    commitOf("c", 0, ["p"], { agent: "pbx-0" }),
  ]
  const calendars = calendarsOf(factsOf(30, commits), "Europe/Berlin")
  expect(calendars[0]?.drops[0]?.when).toBe("2031-02-08")
  expect(calendars.map(({ agent, dataset }) => `${dataset} ${agent}`)).toEqual(["cdrs pbx-1", "switch-config pbx-0", "switch-config pbx-1"])
  expect(calendars[0]?.days).toEqual([{ day: "2031-01-02", class: "state-35" }])
  expect(calendarsOf(factsOf(1, []), "UTC")).toEqual([])
})
