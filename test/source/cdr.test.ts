import { describe, expect, test } from "vitest"
import { parseCdrPiecePath } from "../../src/source/cdr-pieces.ts"
import { cdrState } from "../../src/source/cdr-state.ts"
import { text } from "./captured.ts"
import { Archive, contentOf } from "./cdr-archive.ts"
import { fakeDatabase, stampOf } from "./cdr-database.ts"
import { call, callsTable, day, hour, plainTable, profile, readBack, sourceOf, start } from "./cdr-scene.ts"

const at = (ms: number) => new Date(start + ms)
const ids = (archive: Archive) =>
  readBack(archive)
    .map(({ id }) => id)
    .toSorted()

describe("what a run captures", () => {
  test("rows stand under their account and local day, in pieces that name their description", async () => {
    const late = Date.parse("2026-11-01T23:30:00Z")
    const rows = [call("1", start - hour), call("2", late, { domain: "b/c" }), call("3", start - 2 * hour)]
    const archive = new Archive()
    const run = await archive.run(sourceOf(fakeDatabase([callsTable(rows)])), at(0), "")
    const names = run.pieces.map(({ path }) => parseCdrPiecePath(path))
    expect(names).toMatchObject([
      { stableId: "acme", table: "public.calls", day: "2026-11-02", cut: "20261102T120000Z", number: 1 },
      { stableId: "b/c", table: "public.calls", day: "2026-11-02", number: 2 },
    ])
    expect(run.pieces[0]).toMatchObject({ stableId: "acme", day: "2026-11-02", compressible: true })
    expect(
      contentOf(run.pieces[0])
        .split("\n")
        .map((line) => line.split("\t")[0]),
    ).toEqual(["1", "3", ""])
    const description = run.items.find(({ path }) => text(path) === `tables/public.calls/${names[0]?.description ?? ""}.json`)
    expect(description?.stableId).toBe("platform")
    expect(JSON.parse(contentOf(description))).toMatchObject({ v: 1, key: ["id"], day: { column: "started", timezone: "Europe/Berlin" } })
  })

  test("nothing is sent again, and nothing at all when nothing happened", async () => {
    const database = fakeDatabase([callsTable([call("1", start - hour)])])
    const archive = new Archive()
    await archive.run(sourceOf(database), at(0), "")
    expect((await archive.run(sourceOf(database), at(hour), "")).items).toEqual([])
    database.tables[0]?.rows.push(call("2", start + hour))
    const third = await archive.run(sourceOf(database), at(2 * hour), "")
    expect(third.pieces.map(contentOf).join("")).toMatch(/^2\t.*\n$/)
    expect(ids(archive)).toEqual(["1", "2"])
  })

  test("the first run takes all, however old; later ones read only what is new", async () => {
    const rows = Array.from({ length: 200 }, (_, index) => call(String(index), start - index * day))
    const database = fakeDatabase([callsTable(rows)])
    const archive = new Archive()
    await archive.run(sourceOf(database), at(0), "")
    expect(ids(archive)).toHaveLength(200)
    const given = database.given
    expect((await archive.run(sourceOf(database), at(hour), "")).items).toEqual([])
    expect(database.given - given).toBeLessThan(4)
  })

  test("rows of no account are kept under `mixed` and reported, unless a rule says whose they are", async () => {
    const rows = [call("1", start - hour, { domain: null }), call("2", start - hour, { domain: "platform" }), call("3", start - hour)]
    const archive = new Archive()
    const run = await archive.run(sourceOf(fakeDatabase([callsTable(rows)])), at(0), "")
    expect(run.pieces.map(({ stableId }) => stableId).toSorted()).toEqual(["acme", "mixed", "mixed"])
    expect(run.notes.map(({ kind }) => kind)).toEqual(["unattributed", "unattributed"])

    const said = structuredClone(profile)
    const rules = said.databases?.pbx?.cdrs?.calls
    if (rules !== undefined) rules.null = "platform"
    const other = await new Archive().run(sourceOf(fakeDatabase([callsTable(rows.slice(0, 1))]), { profile: said }), at(0), "")
    expect(other.pieces.map(({ stableId }) => stableId)).toEqual(["platform"])
    expect(other.notes).toEqual([])
  })

  test("an account's name stands for its id, once the platform's accounts were captured", async () => {
    const archive = new Archive()
    archive.names.set("acme", "0b5c")
    const run = await archive.run(sourceOf(fakeDatabase([callsTable([call("1", start)])])), at(hour), "")
    expect(run.pieces.map(({ stableId }) => stableId)).toEqual(["0b5c"])
  })

  test("a row that says nothing of its day is kept under the day of the run", async () => {
    const archive = new Archive()
    const rows = [call("1", start, { started: null }), call("2", start, { started: null, inserted: null })]
    const run = await archive.run(sourceOf(fakeDatabase([callsTable(rows)])), at(hour), "")
    expect(new Set(run.pieces.map((item) => item.day))).toEqual(new Set(["2026-11-02"]))
    expect(ids(archive)).toEqual(["1", "2"])
  })

  test("a call across midnight is filed under the day it began, also when clocks change", async () => {
    const rows = [
      call("midnight", Date.parse("2026-11-01T22:59:40Z")),
      // Summer time ended at 01:00 UTC of this day: its local day has 25 hours.
      call("first", Date.parse("2026-10-24T22:00:00Z")),
      call("last", Date.parse("2026-10-25T22:59:59Z")),
      call("next", Date.parse("2026-10-25T23:00:00Z")),
    ]
    const archive = new Archive()
    await archive.run(sourceOf(fakeDatabase([callsTable(rows)])), at(0), "")
    const days = [...cdrState(archive.items)].map(({ line, day: of }) => [line.split("\t")[0], of])
    expect(Object.fromEntries(days)).toEqual({ midnight: "2026-11-01", first: "2026-10-25", last: "2026-10-25", next: "2026-10-26" })
  })

  test("rows that point at a recording say so, below the root of the recordings", async () => {
    const rows = [call("1", start, { record_path: "/recordings/acme/2026/11/02/a.wav" }), call("2", start)]
    const run = await new Archive().run(sourceOf(fakeDatabase([callsTable(rows)])), at(hour), "")
    const path = Buffer.from("acme/2026/11/02/a.wav")
    expect(run.references).toMatchObject([{ files: "recordings", stableId: "acme", day: "2026-11-02", path, ended: new Date(start) }])
    expect(run.unreferenced, "new rows").toEqual([])
  })

  test("a row that is captured again takes back what it said, and says what it points at now", async () => {
    const database = fakeDatabase([callsTable([call("1", start, { record_path: "/recordings/a.wav" }), call("2", start)])])
    const archive = new Archive()
    const [first] = (await archive.run(sourceOf(database), at(hour), "")).references
    const [row, other] = database.tables[0]?.rows ?? []
    Object.assign(row ?? {}, { record_path: null, updated: stampOf(start + 2 * hour) })
    Object.assign(other ?? {}, { record_path: "/recordings/b.wav", updated: stampOf(start + 2 * hour) })
    const run = await archive.run(sourceOf(database), at(3 * hour), "")
    expect(run.unreferenced).toHaveLength(2)
    expect(run.unreferenced[0]).toEqual(first?.row)
    expect(run.references).toMatchObject([{ path: Buffer.from("b.wav"), row: run.unreferenced[1] }])
    expect((await archive.run(sourceOf(database), at(4 * hour), "")).unreferenced).toEqual([])
  })

  test("a large day is cut into pieces of a few MiB, and a row larger than any piece is a miss", async () => {
    const rows = Array.from({ length: 6 }, (_, index) => call(String(index), start + index, { number: "9".repeat(900_000) }))
    rows.push(call("huge", start, { number: "9".repeat(16 * 1024 * 1024) }))
    const archive = new Archive()
    const run = await archive.run(sourceOf(fakeDatabase([callsTable(rows)])), at(hour), "")
    expect(run.pieces).toHaveLength(3)
    for (const { size } of run.pieces) expect(size).toBeLessThan(3 * 1024 * 1024)
    expect(ids(archive)).toHaveLength(6)
    expect(run.misses).toMatchObject([{ reason: "failed", stableId: "acme", day: "2026-11-02" }])
  })

  test("a key that tells no rows apart is refused: rows would be lost", async () => {
    const rows = [call("1", start), call("1", start, { number: "200" })]
    const run = await new Archive().run(sourceOf(fakeDatabase([callsTable(rows)])), at(hour), "")
    expect(run.failed).toMatchObject({ code: "job/source" })
  })

  test("a database without any table of call detail records is refused, never empty", async () => {
    const run = await new Archive().run(sourceOf(fakeDatabase([])), at(0), "")
    expect(run.failed).toMatchObject({ code: "job/source" })
  })
})

describe("what later runs find", () => {
  test("a row that comes late is found by when it was written", async () => {
    const database = fakeDatabase([callsTable([call("1", start - hour)])])
    const archive = new Archive()
    await archive.run(sourceOf(database), at(0), "")
    database.tables[0]?.rows.push(
      call("late", start - 72 * hour, { inserted: stampOf(start + 100) }),
      call("very late", start - 90 * day, { inserted: stampOf(start + 200) }),
      // Its transaction had begun before the first run, and was not committed yet.
      call("unseen", start - 2 * hour, { inserted: stampOf(start - 60_000) }),
    )
    await archive.run(sourceOf(database), at(hour), "")
    expect(ids(archive)).toEqual(["1", "late", "unseen", "very late"])
  })

  test("a row that comes late to a table that does not say when is found by the daily compare", async () => {
    const table = { ...callsTable([call("1", start - hour)]), name: "202611_r" }
    const database = fakeDatabase([table])
    const archive = new Archive()
    await archive.run(sourceOf(database), at(0), "")
    table.rows.push(call("late", start - 72 * hour))
    await archive.run(sourceOf(database), at(hour), "")
    expect(readBack(archive, "public.202611_r")).toHaveLength(1)
    await archive.run(sourceOf(database), at(day), "")
    expect(readBack(archive, "public.202611_r")).toHaveLength(2)
  })

  test("a row that changes is captured again, and its latest image counts, whatever day or account it has now", async () => {
    const database = fakeDatabase([callsTable([call("1", start - hour), call("2", start - hour)])])
    const archive = new Archive()
    await archive.run(sourceOf(database), at(0), "")
    const changed = call("1", start - 2 * day, { number: "200", domain: "other", updated: stampOf(start + hour) })
    database.tables[0]?.rows.splice(0, 1, changed)
    const second = await archive.run(sourceOf(database), at(2 * hour), "")
    expect(second.pieces.map(({ stableId }) => stableId)).toEqual(["other"])
    expect(readBack(archive).toSorted((a, b) => ((a.id ?? "") < (b.id ?? "") ? -1 : 1))).toMatchObject([
      { id: "1", number: "200", domain: "other" },
      { id: "2", number: "100" },
    ])
  })

  test("a change that nothing dates is found by the daily compare; one of an old row by its date", async () => {
    const database = fakeDatabase([callsTable([call("1", start - 3 * day), call("old", start - 100 * day)])])
    const archive = new Archive()
    await archive.run(sourceOf(database), at(0), "")
    database.tables[0]?.rows.splice(0, 1, call("1", start - 3 * day, { number: "200" }))
    await archive.run(sourceOf(database), at(hour), "")
    expect(readBack(archive).find(({ id }) => id === "1")).toMatchObject({ number: "100" })
    await archive.run(sourceOf(database), at(day + hour), "")
    expect(readBack(archive).find(({ id }) => id === "1")).toMatchObject({ number: "200" })

    database.tables[0]?.rows.splice(1, 1, call("old", start - 100 * day, { number: "300", updated: stampOf(start + day + hour) }))
    const later = await archive.run(sourceOf(database), at(day + 2 * hour), "")
    expect(readBack(archive).find(({ id }) => id === "old")).toMatchObject({ number: "300" })
    expect(later.pieces).toHaveLength(1)
    expect((await archive.run(sourceOf(database), at(day + 3 * hour), "")).items).toEqual([])
  })

  test("a row without a key is kept as often as it is there: three times, then four", async () => {
    const row = { domain: "acme", started: stampOf(start - hour), number: "100" }
    const table = plainTable([row, row, { ...row, number: "200" }, row])
    const database = fakeDatabase([table])
    const archive = new Archive()
    const first = await archive.run(sourceOf(database), at(0), "")
    expect(
      first.pieces
        .map(contentOf)
        .join("")
        .split("\n")
        .map((line) => line.split("\t")[0]),
    ).toEqual(["3", "1", ""])
    table.rows.push(row)
    await archive.run(sourceOf(database), at(hour), "")
    expect(readBack(archive, "public.plain")).toMatchObject([{ number: "100", times: "4" }, { number: "200" }])
    table.rows.splice(0, 2)
    expect((await archive.run(sourceOf(database), at(2 * hour), "")).pieces).toEqual([])
  })

  test("a table of a month that appears between runs is captured whole", async () => {
    const database = fakeDatabase([{ ...callsTable([call("1", start - hour)]), name: "202610_r" }])
    const archive = new Archive()
    await archive.run(sourceOf(database), at(0), "")
    database.tables.push({ ...callsTable([call("2", start - 60 * day)]), name: "202611_r" })
    await archive.run(sourceOf(database), at(hour), "")
    expect(readBack(archive, "public.202611_r")).toHaveLength(1)
  })

  test("a column that a table gains is in the rows captured from then on; a reader has each row once", async () => {
    const row = { domain: "acme", started: stampOf(start - hour), number: "100" }
    const database = fakeDatabase([callsTable([call("1", start - hour), call("old", start - 100 * day)]), plainTable([row, row])])
    const archive = new Archive()
    await archive.run(sourceOf(database), at(0), "")
    for (const table of database.tables) {
      table.columns.push("cost")
      table.rows = table.rows.map((one) => (one.id === "old" ? one : { ...one, cost: "12" }))
    }
    await archive.run(sourceOf(database), at(day), "")
    expect(readBack(archive).toSorted((a, b) => ((a.id ?? "") < (b.id ?? "") ? -1 : 1))).toMatchObject([
      { id: "1", cost: "12" },
      { id: "old" },
    ])
    expect(readBack(archive, "public.plain")).toEqual([{ ...row, cost: "12", times: "2" }])
  })
})

describe("when something goes wrong", () => {
  const many = Array.from({ length: 60 }, (_, index) => call(String(index), start - index * day))

  test("a server that dies in the middle moves nothing on: the next run misses nothing", async () => {
    for (const alive of [0, 1, 30, 60]) {
      const database = fakeDatabase([callsTable([...many])])
      const archive = new Archive()
      database.diesAfterRows = alive
      expect((await archive.run(sourceOf(database), at(0), "")).failed, String(alive)).toMatchObject({ code: "job/source" })
      database.diesAfterRows = null
      await archive.run(sourceOf(database), at(60 * hour), "")
      expect(ids(archive), String(alive)).toHaveLength(60)
    }
  })

  test("a first run that broke off sends only what was not kept of it", async () => {
    const large = many.map((row) => ({ ...row, number: "9".repeat(200_000) }))
    const database = fakeDatabase([callsTable(large)])
    const archive = new Archive()
    database.diesAfterRows = 50
    const first = await archive.run(sourceOf(database), at(0), "")
    database.diesAfterRows = null
    const second = await archive.run(sourceOf(database), at(hour), "")
    expect(first.pieces.length).toBeGreaterThan(10)
    expect(first.pieces.length + second.pieces.length).toBe(60)
  })

  test("a piece that is lost is captured again with the next compare, whether its rows are of the window or older", async () => {
    const database = fakeDatabase([callsTable([...many])])
    const archive = new Archive()
    const first = await archive.run(sourceOf(database), at(0), "")
    for (const { path } of [first.pieces[3], first.pieces[57]].filter((item) => item !== undefined)) archive.lose(text(path))
    expect(ids(archive)).toHaveLength(58)
    const second = await archive.run(sourceOf(database), at(day), "")
    expect(ids(archive)).toHaveLength(60)
    expect(second.pieces).toHaveLength(2)
  })

  test("a piece lost within a week is captured again, though its rows have left the window by then", async () => {
    const database = fakeDatabase([callsTable([call("edge", start - 34 * day), call("old", start - 36 * day)])])
    const archive = new Archive()
    const first = await archive.run(sourceOf(database), at(0), "")
    for (let passed = 1; passed < 6; passed++) expect((await archive.run(sourceOf(database), at(passed * day), "")).pieces).toEqual([])
    for (const item of first.pieces) if (contentOf(item).startsWith("edge")) archive.lose(text(item.path))
    await archive.run(sourceOf(database), at(6 * day), "")
    expect(ids(archive)).toEqual(["edge", "old"])
  })

  test("what moves the next run on comes last, when every piece of the table was handed over", async () => {
    const run = await new Archive().run(sourceOf(fakeDatabase([callsTable([...many])])), at(0), "")
    expect(run.items.findIndex(({ path }) => text(path).includes("/runs/"))).toBe(run.items.length - 1)
  })

  test("a run whose last item was not kept does not count", async () => {
    const database = fakeDatabase([callsTable([call("1", start)])])
    const archive = new Archive()
    await archive.run(sourceOf(database), at(hour), "")
    database.tables[0]?.rows.push(call("2", start + 2 * hour))
    await archive.run(sourceOf(database), at(3 * hour), "", () => true)
    // The overlap alone would not reach back.
    await archive.run(sourceOf(database), at(60 * hour), "")
    expect(ids(archive)).toEqual(["1", "2"])
  })

  test("without any memory all is captured again, and a reader has the same state", async () => {
    const row = { domain: "acme", started: stampOf(start - hour), number: "100" }
    const database = fakeDatabase([callsTable([...many]), plainTable([row, row])])
    const archive = new Archive()
    await archive.run(sourceOf(database), at(0), "")
    const before = [readBack(archive), readBack(archive, "public.plain")]
    archive.forgetAll()
    const again = await archive.run(sourceOf(database), at(hour), "")
    expect(again.pieces).toHaveLength(61)
    expect(archive.items.length).toBeGreaterThan(120)
    expect([readBack(archive), readBack(archive, "public.plain")]).toEqual(before)
  })

  test("a deleted row stays kept; a table that lost all its rows, or is gone, is pointed out", async () => {
    const database = fakeDatabase([callsTable([call("1", start - hour)]), plainTable()])
    const archive = new Archive()
    await archive.run(sourceOf(database), at(0), "")
    database.tables[0]?.rows.splice(0)
    expect((await archive.run(sourceOf(database), at(day), "")).notes).toMatchObject([
      { kind: "emptied", path: Buffer.from("public.calls") },
    ])
    database.tables.shift()
    expect((await archive.run(sourceOf(database), at(day + hour), "")).notes).toMatchObject([{ kind: "emptied" }])
    expect(ids(archive)).toEqual(["1"])
    // When the rows would be out of the window, nothing is strange about it.
    expect((await archive.run(sourceOf(database), at(50 * day), "")).notes).toEqual([])
  })

  test("a clock that was ahead does not make a run look too short a way back", async () => {
    const database = fakeDatabase([callsTable([call("1", start - hour)])])
    const archive = new Archive()
    await archive.run(sourceOf(database), at(400 * day), "")
    database.tables[0]?.rows.push(call("2", start))
    const second = await archive.run(sourceOf(database), at(hour), "")
    expect(ids(archive)).toEqual(["1", "2"])
    const cuts = second.pieces.map(({ path }) => parseCdrPiecePath(path)?.cut ?? "")
    expect(
      cuts.every((cut) => cut > "20271207T120000Z"),
      "a later run has a later cut",
    ).toBe(true)
  })

  test("what is remembered does not grow for ever", async () => {
    const table = callsTable()
    const archive = new Archive()
    for (let passed = 0; passed < 80; passed++) {
      table.rows.push(call(String(passed), start + passed * day))
      await archive.run(sourceOf(fakeDatabase([table])), at(passed * day + hour), "")
    }
    expect(ids(archive)).toHaveLength(80)
    expect(archive.remembered).toBeLessThan(56)
  })
})

test("a table that lost all its rows, or is gone, is pointed out until a person said that it may be so", async () => {
  const database = fakeDatabase([
    callsTable([call("1", start - hour)]),
    plainTable([{ domain: "acme", started: stampOf(start), number: "1" }]),
  ])
  const archive = new Archive()
  const said = async (n: number) => (await archive.run(sourceOf(database), at(n * day), "")).notes.map(({ path }) => path.toString())
  expect(await said(0)).toEqual([])
  database.tables[0]?.rows.splice(0)
  expect(await said(1)).toEqual(["public.calls"])
  expect(await said(1.1), "between two compares").toEqual(["public.calls"])
  expect(await said(2)).toEqual(["public.calls"])
  archive.emptyAccepted = at(2.5 * day)
  expect(await said(3)).toEqual([])
  expect(await said(3.1)).toEqual([])
  database.tables.pop()
  expect(await said(4), "another table, after that").toEqual(["public.plain"])
  expect(await said(5)).toEqual(["public.plain"])
  archive.emptyAccepted = at(5.5 * day)
  expect(await said(6)).toEqual([])
  database.tables[0]?.rows.push(call("2", start + 6 * day))
  expect(await said(7), "filled again").toEqual([])
  database.tables[0]?.rows.splice(0)
  expect(await said(8)).toEqual(["public.calls"])
})

test("rows that have no moment at all are found by every compare, and kept once", async () => {
  const none = { started: null, inserted: null, updated: null }
  const database = fakeDatabase([callsTable([call("1", start), call("first", start, none)]), plainTable([{ domain: "acme", number: "1" }])])
  const archive = new Archive()
  await archive.run(sourceOf(database), at(hour), "")
  database.tables[0]?.rows.push(call("later", start, none))
  expect((await archive.run(sourceOf(database), at(2 * hour), "")).pieces, "between two compares").toEqual([])
  expect((await archive.run(sourceOf(database), at(2 * day), "")).pieces).toHaveLength(1)
  expect(ids(archive)).toEqual(["1", "first", "later"])
  for (const n of [3, 4, 60, 120]) expect((await archive.run(sourceOf(database), at(n * day), "")).pieces, `day ${String(n)}`).toEqual([])
  const row = database.tables[0]?.rows.find(({ id }) => id === "first")
  Object.assign(row ?? {}, { number: "changed" })
  await archive.run(sourceOf(database), at(121 * day), "")
  expect(readBack(archive).find(({ id }) => id === "first")).toMatchObject({ number: "changed" })
})
