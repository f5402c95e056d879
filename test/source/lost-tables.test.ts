import { describe, expect, test } from "vitest"
import { lostTables } from "../../src/source/lost-tables.ts"
import type { CaptureOptions } from "../../src/source/source.ts"
import { memory } from "./memory.ts"

const day = (n: number): Date => new Date(Date.UTC(2031, 2, n, 12))

/** A database whose tables are counted, day by day; gives what each run says. */
function database() {
  const remembered = memory()
  return (now: Date, rows: Readonly<Record<string, number>>, emptyAccepted?: Date): string[] => {
    const options: CaptureOptions = { now, scratch: "", signal: new AbortController().signal, memory: remembered }
    const found = lostTables(Object.entries(rows), emptyAccepted === undefined ? options : { ...options, emptyAccepted })
    return [...found].map(({ note }) => note.detail ?? "")
  }
}

describe("a table that held rows and holds none", () => {
  test("is said by every run, until it is filled again", () => {
    const run = database()
    expect(run(day(1), { extensions: 20, notes: 0 })).toEqual([])
    expect(run(day(2), { extensions: 0, notes: 0 })).toEqual(["extensions: holds no row, and held 20 before"])
    const still = "extensions: holds no row since 2031-03-02T12:00:00.000Z, and held 20 before"
    expect(run(day(3), { extensions: 0, notes: 0 })).toEqual([still])
    expect(run(day(4), { extensions: 0, notes: 0 })).toEqual([still])
    expect(run(day(5), { extensions: 3, notes: 0 })).toEqual([])
    expect(run(day(6), { extensions: 0, notes: 0 })).toEqual(["extensions: holds no row, and held 3 before"])
  })

  test("is not said any more once a person said that it may be so; what is emptied after that is", () => {
    const run = database()
    run(day(1), { extensions: 20, notes: 5 })
    run(day(2), { extensions: 0, notes: 5 })
    expect(run(day(4), { extensions: 0, notes: 0 }, day(3))).toEqual(["notes: holds no row, and held 5 before"])
    expect(run(day(5), { extensions: 0, notes: 0 }, day(3))).toEqual([expect.stringMatching(/^notes: holds no row since 2031-03-04/)])
    expect(run(day(7), { extensions: 0, notes: 0 }, day(6))).toEqual([])
    expect(run(day(8), { extensions: 1, notes: 0 }, day(6))).toEqual([])
    expect(run(day(9), { extensions: 0, notes: 0 }, day(6))).toEqual(["extensions: holds no row, and held 1 before"])
  })
})
