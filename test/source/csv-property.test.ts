import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { gunzipSync, gzipSync } from "node:zlib"
import fc from "fast-check"
import { expect, test } from "vitest"
import { csvSource } from "../../src/source/csv.ts"
import { csvState } from "../../src/source/csv-state.ts"
import { scratchDirectories, text } from "./captured.ts"
import { Archive, contentOf } from "./cdr-archive.ts"

const scratch = scratchDirectories()
const hour = 3_600_000

const pick = fc.nat(1000)
const step = fc.oneof(
  { weight: 10, arbitrary: fc.record({ do: fc.constant("append" as const), rows: fc.integer({ min: 1, max: 4 }), begun: fc.nat(40) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("rename" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("copy and cut" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("cut" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("compress" as const), file: pick }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("remove" as const), file: pick }) },
  { weight: 10, arbitrary: fc.record({ do: fc.constant("run" as const), loses: fc.option(pick, { nil: null }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("lose" as const), piece: pick }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("forget" as const), every: fc.integer({ min: 1, max: 3 }) }) },
)
type Step = typeof step extends fc.Arbitrary<infer Each> ? Each : never

/** A directory that a switch writes to and a rotation tidies, and an archive of it. */
class World {
  readonly archive = new Archive()
  readonly #folder: string
  /** Rows that a run saw and whose pieces were never in danger; and all there ever were. */
  readonly certain = new Set<string>()
  readonly all = new Set<string>()
  #nowMs = Date.parse("2026-11-02T12:00:00Z")
  #rows = 0
  #rest = ""

  constructor(folder: string) {
    this.#folder = folder
  }

  async do(one: Step): Promise<void> {
    this.#nowMs += hour
    switch (one.do) {
      case "append":
        return this.#append(one.rows, one.begun)
      case "rename":
        return this.#rotated((to) => renameSync(this.#master, to))
      case "copy and cut":
        return this.#rotated((to) => {
          copyFileSync(this.#master, to)
          truncateSync(this.#master, 0)
        })
      case "cut":
        return this.#rotated(() => truncateSync(this.#master, 0))
      case "compress":
        return this.#old(one.file, (path) => {
          if (path.endsWith(".gz")) return
          writeFileSync(`${path}.gz`, gzipSync(readFileSync(path)))
          this.#touch(`${path}.gz`)
          rmSync(path)
        })
      case "remove":
        return this.#old(one.file, (path) => rmSync(path))
      case "run":
        return await this.run(one.loses)
      case "lose":
        return this.#lose(one.piece)
      case "forget":
        return this.archive.forgetSome((index) => index % one.every === 0)
    }
  }

  async run(loses: number | null): Promise<void> {
    this.#nowMs += hour
    let piece = 0
    const source = csvSource({
      ...{ name: "cdr-csv", single: undefined, timezone: "UTC" },
      rules: {
        ...{ path: this.#folder, files: ["Master.csv", "Master.csv.[0-9]*"], columns: ["account", "id", "start"], account: "account" },
        day: { column: "start", stored: "local" },
      },
    })
    const lost = (path: string) => loses !== null && path.startsWith("accounts/") && piece++ % 3 === loses % 3
    const run = await this.archive.run(source, new Date(this.#nowMs), "", ({ path }) => lost(text(path)))
    expect(run.failed).toBeUndefined()
    for (const item of run.pieces) {
      if (this.archive.kept.has(text(item.path))) for (const line of linesOf(contentOf(item))) this.certain.add(line)
    }
  }

  /** Rows that stand in a file, with their ends. */
  get there(): string[] {
    return readdirSync(this.#folder).flatMap((name) => {
      const bytes = readFileSync(join(this.#folder, name))
      return linesOf((name.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString())
    })
  }

  get #master(): string {
    return join(this.#folder, "Master.csv")
  }

  #append(rows: number, begun: number): void {
    let written = this.#rest
    for (let left = rows; left > 0; left--) {
      const [account, day] = [["acme", "zeta", ""][this.#rows % 3] ?? "", ["02", "03"][this.#rows % 2] ?? ""]
      const row = `${account},"${String(this.#rows++)}${this.#rows % 5 === 0 ? "\n" : ""}",2026-11-${day} 10:00:00\n`
      written += row
      for (const line of linesOf(row)) this.all.add(line)
    }
    // The last row is written in two goes.
    const now = written.slice(0, Math.max(this.#rest.length, written.length - begun))
    this.#rest = written.slice(now.length)
    appendFileSync(this.#master, now)
    this.#touch(this.#master)
  }

  // A switch that is told to open its file anew has written its row.
  #rotated(rotate: (to: string) => void): void {
    this.#append(1, 0)
    rotate(join(this.#folder, `Master.csv.${String(this.#nowMs)}`))
  }

  #old(at: number, change: (path: string) => void): void {
    const old = readdirSync(this.#folder).filter((name) => name !== "Master.csv")
    const name = old[at % Math.max(1, old.length)]
    if (name !== undefined) change(join(this.#folder, name))
  }

  #lose(at: number): void {
    const pieces = [...this.archive.kept.keys()].filter((path) => path.startsWith("accounts/"))
    const path = pieces[at % Math.max(1, pieces.length)]
    if (path === undefined) return
    for (const line of linesOf(contentOf(this.archive.kept.get(path)))) this.certain.delete(line)
    this.archive.lose(path)
  }

  #touch(path: string): void {
    if (existsSync(path)) utimesSync(path, this.#nowMs / 1000, this.#nowMs / 1000)
  }
}

/** Whole lines; those of a row over two lines count by themselves. */
function linesOf(text: string): string[] {
  return text.match(/[^\n]*\n/g) ?? []
}

test("whatever happens to files, a reader has every row that stands in one and every row that a run saw, each once", async () => {
  const folder = await scratch()
  let world = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 50, size: "max" }), async (steps) => {
      const own = join(folder, String(world++))
      mkdirSync(own)
      const one = new World(own)
      for (const each of steps) await one.do(each)
      await one.do({ do: "append", rows: 1, begun: 0 })
      await one.run(null)

      const lines = [...csvState(one.archive.items)].flatMap(({ bytes }) => linesOf(bytes.toString()))
      const numbered = lines.filter((line) => line.includes('"'))
      const state = new Set(lines)
      for (const line of one.there) expect(state).toContain(line)
      for (const line of one.certain) expect(state, "what a run saw is never lost").toContain(line)
      for (const line of state) expect(one.all).toContain(line)
      const beginnings = numbered.filter((line) => line.indexOf('"') < line.length - 3 && /^[a-z]*,/.test(line))
      expect(beginnings.length, "each once").toBe(new Set(beginnings).size)
    }),
    { numRuns: 100 },
  )
}, 120_000)
