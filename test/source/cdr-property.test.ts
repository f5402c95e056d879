import fc from "fast-check"
import { expect, test } from "vitest"
import { parseCdrPiecePath } from "../../src/source/cdr-pieces.ts"
import { text } from "./captured.ts"
import { Archive, contentOf } from "./cdr-archive.ts"
import { type FakeRow, fakeDatabase, stampOf } from "./cdr-database.ts"
import { call, callsTable, day, hour, plainTable, readBack, sourceOf, start } from "./cdr-scene.ts"

const pick = fc.nat(1000)
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant("insert" as const), agoHours: fc.nat(3), account: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("insert" as const), agoHours: fc.nat(60 * 24), account: fc.nat(2) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("update" as const), row: pick, dated: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("delete" as const), row: pick }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("repeat" as const), row: pick }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("run" as const),
      loses: fc.option(pick, { nil: null }),
      hours: fc.integer({ min: 1, max: 40 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("die" as const), rows: fc.nat(10) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("wait" as const), days: fc.integer({ min: 1, max: 60 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("lose" as const), piece: pick }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("forget" as const), every: fc.integer({ min: 1, max: 4 }) }) },
)
type Step = typeof step extends fc.Arbitrary<infer Each> ? Each : never

/** A database, an archive of it, and what can be said of the archive at any time. */
class World {
  readonly calls = callsTable()
  readonly plain = plainTable()
  readonly database = fakeDatabase([this.calls, this.plain])
  readonly archive = new Archive()
  nowMs = start
  /** Every image that a call ever had, and how often a row without a key was ever there. */
  readonly images = new Map<string, Set<string>>()
  readonly mostTimes = new Map<string, number>()
  /** The latest image of each call that a run saw and that was never in danger. */
  readonly certain = new Map<string, string>()
  #next = 0

  async do(one: Step): Promise<void> {
    switch (one.do) {
      case "insert":
        return this.#insert(one.agoHours, one.account)
      case "update":
        return this.#update(one.row, one.dated)
      case "delete":
        this.calls.rows.splice(one.row % Math.max(1, this.calls.rows.length), 1)
        this.plain.rows.splice(one.row % Math.max(1, this.plain.rows.length), 1)
        return
      case "repeat":
        return this.#repeat(one.row)
      case "run":
        return await this.run(one.hours, one.loses)
      case "die":
        this.database.diesAfterRows = one.rows
        await this.run(1, null)
        this.database.diesAfterRows = null
        return
      case "wait":
        this.nowMs += one.days * day
        return
      case "lose":
        return this.#lose(one.piece)
      case "forget":
        return this.archive.forgetSome((index) => index % one.every === 0)
    }
  }

  async run(hours: number, loses: number | null): Promise<void> {
    this.nowMs += hours * hour
    let piece = 0
    const lost = (path: string) => loses !== null && path.startsWith("accounts/") && piece++ % 5 === loses % 5
    const run = await this.archive.run(sourceOf(this.database), new Date(this.nowMs), "", ({ path }) => lost(text(path)))
    if (this.database.diesAfterRows !== null) return
    expect(run.failed).toBeUndefined()
    const kept = new Set(this.archive.kept.keys())
    for (const item of run.pieces) if (!kept.has(text(item.path))) this.#doubt(contentOf(item))
    if (loses === null) for (const row of readBack(this.archive)) this.certain.set(row.id ?? "", JSON.stringify(row))
  }

  #insert(agoHours: number, account: number): void {
    const startedMs = this.nowMs - agoHours * hour
    const domain = [null, "acme", "zeta"][account] ?? null
    const row = call(`id${String(this.#next++)}`, startedMs, { domain, inserted: stampOf(this.nowMs) })
    this.calls.rows.push(row)
    this.#saw(row)
    this.#plainRow({ domain, started: stampOf(startedMs), number: "1" })
  }

  // What is not dated must be of a row that the compare reads, or nobody can know.
  #update(at: number, dated: boolean): void {
    const index = at % Math.max(1, this.calls.rows.length)
    const row = this.calls.rows[index]
    if (row === undefined) return
    const young = Date.parse((row.inserted ?? "").replace(" ", "T").replace("+00", "Z")) > this.nowMs - 35 * day
    const changed = { ...row, number: `${String(at)}-${String(this.nowMs)}`, ...(dated || !young ? { updated: stampOf(this.nowMs) } : {}) }
    this.calls.rows[index] = changed
    this.#saw(changed)
  }

  #repeat(at: number): void {
    const row = this.plain.rows[at % Math.max(1, this.plain.rows.length)]
    if (row !== undefined) this.#plainRow(row)
  }

  #plainRow(row: FakeRow): void {
    this.plain.rows.push(row)
    const id = JSON.stringify(row)
    const times = this.plain.rows.filter((other) => JSON.stringify(other) === id).length
    this.mostTimes.set(id, Math.max(this.mostTimes.get(id) ?? 0, times))
  }

  #saw(row: FakeRow): void {
    const images = this.images.get(row.id ?? "") ?? new Set<string>()
    this.images.set(row.id ?? "", images.add(imageOf(row)))
  }

  /** Packs that no commit lists are lost within a week, or never. */
  #lose(at: number): void {
    const recent = [...this.archive.kept.keys()].filter((path) => {
      const cut = parseCdrPiecePath(Buffer.from(path, "latin1"))?.cut.replace(/^(.{4})(..)(.{5})(..)(..)Z$/, "$1-$2-$3:$4:$5Z")
      return cut !== undefined && Date.parse(cut) > this.nowMs - 6 * day
    })
    const path = recent[at % Math.max(1, recent.length)]
    if (path === undefined) return
    this.#doubt(contentOf(this.archive.kept.get(path)))
    this.archive.lose(path)
  }

  #doubt(content: string): void {
    for (const line of content.split("\n")) this.certain.delete(line.split("\t")[0] ?? "")
  }
}

function imageOf(row: FakeRow): string {
  const { id, domain, started, inserted, updated, number } = row
  return JSON.stringify(
    Object.fromEntries(Object.entries({ id, domain, started, inserted, updated, number }).filter(([, value]) => value !== null)),
  )
}

test("whatever happens, a reader has the latest image of every row that a run saw, and of every row that is still there", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 50, size: "max" }), async (steps) => {
      const world = new World()
      for (const one of steps) await world.do(one)
      await world.run(25, null)

      const state = new Map(readBack(world.archive).map((row) => [row.id ?? "", JSON.stringify(row)]))
      for (const row of world.calls.rows) expect(state.get(row.id ?? "")).toBe(imageOf(row))
      for (const [id, image] of state) expect([...(world.images.get(id) ?? [])]).toContain(image)
      for (const [id, image] of world.certain) expect(state.get(id), "what a run saw is never lost").toBe(image)

      const plain = new Map(readBack(world.archive, "public.plain").map(({ times = "1", ...row }) => [plainId(row), Number(times)]))
      for (const [id, times] of plain) expect(times).toBeLessThanOrEqual(world.mostTimes.get(id) ?? 0)
      const there = Map.groupBy(world.plain.rows, plainId)
      for (const [id, [row, ...more]] of there) {
        // Nothing says when these were written: what came when its moment was long past is found by no run.
        const young = row !== undefined && (row.started ?? "") > stampOf(world.nowMs - 35 * day)
        if (young) expect(plain.get(id)).toBeGreaterThanOrEqual(1 + more.length)
      }
    }),
    { numRuns: 80 },
  )
}, 120_000)

function plainId({ domain = null, started = null, number = null }: Readonly<Record<string, string | null>>): string {
  return JSON.stringify({ domain, started, number })
}
