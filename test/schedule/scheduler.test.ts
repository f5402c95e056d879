import { describe, expect, test } from "vitest"
import { beginRun, endRun } from "../../src/catalog/runs.ts"
import { freeFrom } from "../../src/schedule/blackout.ts"
import { timetable } from "../../src/schedule/timetable.ts"
import { type Weekday, weekdays } from "../../src/week.ts"
import { at, every, hourMs, jobOf, minuteMs, schedulerOf } from "./clockwork.ts"

const hourly = every(hourMs)
const halfHourly = every(30 * minuteMs)

describe("a job", () => {
  test("starts when it is due, once, and again the next time", () => {
    const { starts, ends, wakeAt } = schedulerOf([jobOf("cdrs", hourly)], { from: "00:30" })
    expect(starts("00:30")).toEqual([])
    expect(wakeAt("00:30")).toBe("01:00")
    expect(starts("00:59:59")).toEqual([])
    expect(starts("01:00")).toEqual(["cdrs 01:00"])
    expect(starts("01:00")).toEqual([])
    ends("cdrs", "01:00")
    expect(starts("01:10")).toEqual([])
    expect(starts("02:00")).toEqual(["cdrs 02:00"])
  })

  test("that is new is not due for the time before it was", () => {
    const { starts, missed } = schedulerOf([jobOf("cdrs", hourly)], { from: "00:00" })
    expect(starts("00:10")).toEqual([])
    expect(missed("cdrs")).toEqual([])
  })

  test("is never run twice at once: what is due meanwhile comes when it has ended, as one", () => {
    const { starts, ends, missed } = schedulerOf([jobOf("cdrs", halfHourly)], { from: "00:45" })
    expect(starts("01:00")).toEqual(["cdrs 01:00"])
    expect(starts("01:30")).toEqual([])
    expect(starts("02:00")).toEqual([])
    ends("cdrs", "01:00")
    expect(starts("02:10")).toEqual(["cdrs 02:00"])
    expect(missed("cdrs")).toEqual(["01:30-01:30 1 running"])
  })

  test("starts later than it is due by its own delay, and never by more than half the time to the next", () => {
    const { starts, wakeAt } = schedulerOf(
      [jobOf("a", hourly, { jitterMs: 4 * minuteMs }), jobOf("b", every(4 * minuteMs, hourMs), { jitterMs: 4 * minuteMs, schedule: "b" })],
      { from: "00:58" },
    )
    expect(starts("01:00")).toEqual([])
    expect(starts("01:02")).toEqual(["b 01:00"])
    expect(wakeAt("01:02")).toBe("01:04")
    expect(starts("01:04")).toEqual(["a 01:00"])
  })
})

describe("after a time in which nothing ran", () => {
  const down = (catchUp: "latest" | "all" | "none") => {
    const made = schedulerOf([jobOf("cdrs", hourly, { catchUp })])
    expect(made.starts("01:00")).toEqual(["cdrs 01:00"])
    made.ends("cdrs", "01:00")
    made.again("04:30")
    return made
  }

  test("`latest` runs once for all that was missed", () => {
    const { starts, missed, ends } = down("latest")
    expect(starts("04:30")).toEqual(["cdrs 04:00"])
    expect(missed("cdrs")).toEqual(["02:00-03:00 2 down"])
    ends("cdrs", "04:00")
    expect(starts("04:31")).toEqual([])
  })

  test("`all` runs once for each, one after the other", () => {
    const { starts, missed, ends } = down("all")
    for (const due of ["02:00", "03:00", "04:00"]) {
      expect(starts("04:30")).toEqual([`cdrs ${due}`])
      expect(starts("04:30")).toEqual([])
      ends("cdrs", due)
    }
    expect(starts("04:30")).toEqual([])
    expect(missed("cdrs")).toEqual([])
  })

  test("`all` has a limit: the last 24", () => {
    const { starts, missed, again } = down("all")
    again("+2 00:30")
    expect(starts("+2 00:30")).toEqual(["cdrs +1 01:00"])
    expect(missed("cdrs")).toEqual(["02:00-+1 00:00 many down"])
  })

  test("`none` runs nothing and says so; what is only a little late is not missed", () => {
    const { starts, missed } = down("none")
    expect(starts("04:30")).toEqual([])
    expect(missed("cdrs")).toEqual(["02:00-04:00 3 down"])
    expect(starts("05:00:30")).toEqual(["cdrs 05:00"])
  })

  test("a year later it takes no longer, and does not pretend to have counted", () => {
    const { starts, missed, again } = down("latest")
    again("+365 00:30")
    expect(starts("+365 00:30")).toEqual(["cdrs +365 00:00"])
    expect(missed("cdrs")).toEqual(["02:00-+364 23:00 many down"])
  })

  test("another schedule begins anew: what the old one missed is not run", () => {
    const { starts, again, missed } = down("latest")
    again("04:30", [jobOf("cdrs", every(2 * hourMs), { schedule: "another" })])
    expect(starts("04:30")).toEqual([])
    expect(starts("06:00")).toEqual(["cdrs 06:00"])
    expect(missed("cdrs")).toEqual([])
  })
})

describe("a run that was killed", () => {
  const killed = (given = {}) => {
    const made = schedulerOf([jobOf("cdrs", hourly, given)])
    expect(made.starts("01:00")).toEqual(["cdrs 01:00"])
    return made
  }

  test("is run again", () => {
    const { starts, again, missed } = killed()
    again("01:20")
    expect(starts("01:20")).toEqual(["cdrs 01:00 again (2)"])
    expect(missed("cdrs")).toEqual([])
  })

  test("is not run again where its end is set down", () => {
    const { starts, again, catalog } = killed()
    const run = beginRun(catalog, { id: "1", job: "cdrs", started: "2026-11-22T01:00:01.000Z", fence: 1 })
    endRun(catalog, run, { ended: "2026-11-22T01:10:00.000Z", outcome: "ok", report: "{}" })
    again("01:20")
    expect(starts("01:20")).toEqual([])
    expect(starts("02:00")).toEqual(["cdrs 02:00"])
  })

  test("gives way to a newer due time", () => {
    const { starts, again, missed } = killed()
    again("02:20")
    expect(starts("02:20")).toEqual(["cdrs 02:00"])
    expect(missed("cdrs")).toEqual(["01:00-01:00 1 down"])
  })

  test("and killed each time is given up, so that it does not take all others with it for ever", () => {
    const { starts, again, missed } = killed()
    for (const attempt of [2, 3]) {
      again("01:20")
      expect(starts("01:20")).toEqual([`cdrs 01:00 again (${String(attempt)})`])
    }
    again("01:20")
    expect(starts("01:20")).toEqual([])
    expect(missed("cdrs")).toEqual(["01:00-01:00 1 killed"])
    expect(starts("02:00")).toEqual(["cdrs 02:00"])
  })

  test("is missed where nothing is to be caught up", () => {
    const { starts, again, missed } = killed({ catchUp: "none" })
    again("01:20")
    expect(starts("01:20")).toEqual([])
    expect(missed("cdrs")).toEqual(["01:00-01:00 1 killed"])
  })

  test("while it held up a newer due time is remembered as well", () => {
    const { starts, again, missed } = killed()
    expect(starts("02:00")).toEqual([])
    expect(starts("03:00")).toEqual([])
    again("03:10")
    expect(missed("cdrs")).toEqual(["01:00-01:00 1 killed", "02:00-02:00 1 running"])
    expect(starts("03:10")).toEqual(["cdrs 03:00"])
  })
})

test("a run that could not be is tried again, and does not count as begun", () => {
  const { scheduler, starts, again, missed } = schedulerOf([jobOf("cdrs", hourly)])
  expect(starts("01:00")).toEqual(["cdrs 01:00"])
  scheduler.gaveBack("cdrs", at("01:00"), at("01:05"))
  expect(starts("01:00")).toEqual([])
  expect(starts("01:05")).toEqual(["cdrs 01:00"])
  scheduler.gaveBack("cdrs", at("01:00"), at("01:10"))
  again("01:06")
  expect(starts("01:06")).toEqual(["cdrs 01:00"])
  expect(starts("02:00")).toEqual([])
  expect(starts("03:00")).toEqual([])
  scheduler.gaveBack("cdrs", at("01:00"), at("03:00"))
  expect(missed("cdrs")).toContain("02:00-02:00 1 running")
})

describe("when the clock is set", () => {
  test("forwards, what was passed over counts as missed, and the latest is run", () => {
    const { starts, ends, missed } = schedulerOf([jobOf("cdrs", hourly)])
    expect(starts("01:00")).toEqual(["cdrs 01:00"])
    ends("cdrs", "01:00")
    expect(starts("05:30")).toEqual(["cdrs 05:00"])
    expect(missed("cdrs")).toEqual(["02:00-04:00 3 down"])
  })

  test("forwards, what waited for its turn is remembered before what is newer", () => {
    const { starts, ends, missed } = schedulerOf([jobOf("a", every(24 * hourMs, hourMs)), jobOf("b", hourly)], { concurrency: 1 })
    expect(starts("01:00")).toEqual(["a 01:00"])
    expect(starts("04:30")).toEqual([])
    expect(missed("b")).toEqual(["01:00-01:00 1 waiting", "02:00-03:00 2 down"])
    ends("a", "01:00")
    expect(starts("04:31")).toEqual(["b 04:00"])
  })

  test("back a little, what was run is not run again", () => {
    const { starts, ends, again } = schedulerOf([jobOf("cdrs", hourly)])
    expect(starts("03:00")).toEqual(["cdrs 03:00"])
    ends("cdrs", "03:00")
    expect(starts("00:30")).toEqual([])
    again("00:40")
    for (const time of ["01:00", "02:00", "03:00", "03:59"]) expect(starts(time), time).toEqual([])
    expect(starts("04:00")).toEqual(["cdrs 04:00"])
  })

  test("back by days, as it was wrong before, jobs do not wait for days", () => {
    const { starts, ends, events } = schedulerOf([jobOf("cdrs", hourly)])
    expect(starts("+9 03:00")).toEqual(["cdrs +9 03:00"])
    ends("cdrs", "+9 03:00")
    expect(starts("01:30")).toEqual([])
    expect(events.map(({ type }) => type)).toContain("clock-back")
    expect(starts("02:00")).toEqual(["cdrs 02:00"])
  })
})

describe("in a blackout", () => {
  const night = { days: [...weekdays] satisfies Weekday[], from: 60, to: 240 }
  const blackout = (ms: number) => freeFrom(ms, [night], "UTC")

  test("a start is put off to its end, and what is due in it comes as one", () => {
    const { starts, missed, wakeAt } = schedulerOf([jobOf("cdrs", hourly, { freeFrom: blackout })], { from: "00:30" })
    for (const time of ["01:00", "02:00", "03:00"]) expect(starts(time)).toEqual([])
    expect(wakeAt("03:00")).toBe("04:00")
    expect(starts("04:00")).toEqual(["cdrs 04:00"])
    expect(missed("cdrs")).toEqual(["01:00-03:00 3 blackout"])
  })

  test("a daily job comes at its end", () => {
    const { starts, missed } = schedulerOf([jobOf("cdrs", timetable("30 2 * * *", "UTC"), { freeFrom: blackout })])
    expect(starts("02:30")).toEqual([])
    expect(starts("03:59")).toEqual([])
    expect(starts("04:00")).toEqual(["cdrs 02:30"])
    expect(missed("cdrs")).toEqual([])
  })

  test("a start is missed where the job says so", () => {
    const { starts, missed } = schedulerOf([jobOf("cdrs", hourly, { freeFrom: blackout, inBlackout: "skip" })], { from: "00:30" })
    for (const time of ["01:00", "02:00", "03:00"]) expect(starts(time)).toEqual([])
    expect(starts("04:00")).toEqual(["cdrs 04:00"])
    expect(missed("cdrs")).toEqual(["01:00-03:00 3 blackout"])
  })

  test("what waited for its turn until then does not start either", () => {
    const { starts, ends } = schedulerOf(
      [jobOf("a", every(24 * hourMs, midnightAnd(50))), jobOf("b", every(24 * hourMs, midnightAnd(55)), { freeFrom: blackout })],
      { concurrency: 1 },
    )
    expect(starts("00:50")).toEqual(["a 00:50"])
    expect(starts("00:55")).toEqual([])
    ends("a", "00:50")
    expect(starts("01:30")).toEqual([])
    expect(starts("04:00")).toEqual(["b 00:55"])
  })
})

function midnightAnd(minutes: number): number {
  return minutes * minuteMs
}

describe("of several jobs", () => {
  test("the one with the highest priority starts first, then the one that waits longest, then by name", () => {
    const jobs = [
      jobOf("c", hourly),
      jobOf("b", hourly),
      jobOf("early", every(hourMs, 50 * minuteMs)),
      jobOf("urgent", hourly, { priority: 90 }),
    ]
    const { starts, ends } = schedulerOf(jobs, { concurrency: 1, from: "00:30" })
    const order: string[] = []
    for (let round = 0; round < 4; round++) {
      const [start = ""] = starts("01:00")
      order.push(start)
      const [name = "", due = ""] = start.split(" ")
      ends(name, due)
    }
    expect(order).toEqual(["urgent 01:00", "early 00:50", "b 01:00", "c 01:00"])
  })

  test("no more run at once than may", () => {
    const { starts, ends } = schedulerOf(
      ["a", "b", "c", "d", "e"].map((name) => jobOf(name, hourly)),
      { concurrency: 2 },
    )
    expect(starts("01:00")).toEqual(["a 01:00", "b 01:00"])
    ends("b", "01:00")
    expect(starts("01:01")).toEqual(["c 01:00"])
  })

  test("media come after the database of the same time or before, though they are more urgent", () => {
    const jobs = [
      jobOf("media", hourly, { after: ["database"], priority: 99 }),
      jobOf("database", hourly),
      jobOf("other", hourly, { priority: 1 }),
    ]
    const { starts, ends } = schedulerOf(jobs, { concurrency: 2 })
    expect(starts("01:00")).toEqual(["database 01:00", "other 01:00"])
    ends("other", "01:00")
    expect(starts("01:10")).toEqual([])
    ends("database", "01:00")
    expect(starts("01:20")).toEqual(["media 01:00"])
  })

  test("who comes before is waited for where it is due before as well, and not where it is due later", () => {
    const jobs = [
      jobOf("media", hourly, { after: ["database", "late", "gone"] }),
      jobOf("database", every(24 * hourMs, 30 * minuteMs), { freeFrom: (ms) => Math.max(ms, at("01:15")) }),
      jobOf("late", every(24 * hourMs, 65 * minuteMs)),
    ]
    const { starts, ends } = schedulerOf(jobs, { from: "00:10" })
    expect(starts("01:00")).toEqual([])
    expect(starts("01:05")).toEqual(["late 01:05"])
    expect(starts("01:15")).toEqual(["database 00:30"])
    ends("database", "00:30")
    expect(starts("01:16")).toEqual(["media 01:00"])
  })

  test("who does not come is not waited for for ever", () => {
    const jobs = [jobOf("media", every(24 * hourMs, hourMs), { after: ["database"] }), jobOf("database", every(24 * hourMs, hourMs))]
    const { starts, wakeAt, events } = schedulerOf(jobs)
    expect(starts("01:00")).toEqual(["database 01:00"])
    expect(wakeAt("01:00")).toBe("07:00")
    expect(starts("06:59")).toEqual([])
    expect(starts("07:00")).toEqual(["media 01:00"])
    expect(events).toContainEqual({ type: "not-waited", job: "media", due: at("01:00"), for: "database" })
  })
})

test("other jobs from now on: what runs goes on, what is gone is not started, what waits stays", () => {
  const { scheduler, starts, ends, missed } = schedulerOf([jobOf("a", hourly), jobOf("b", hourly), jobOf("c", hourly)], { concurrency: 1 })
  expect(starts("01:00")).toEqual(["a 01:00"])
  scheduler.setJobs([jobOf("a", halfHourly, { schedule: "another" }), jobOf("c", hourly), jobOf("d", hourly)], at("01:05"))
  expect(starts("01:05")).toEqual([])
  ends("a", "01:00")
  expect(starts("01:10")).toEqual(["c 01:00"])
  ends("c", "01:00")
  expect(starts("01:30")).toEqual(["a 01:30"])
  expect(["a", "b", "c", "d"].flatMap(missed)).toEqual([])
})
