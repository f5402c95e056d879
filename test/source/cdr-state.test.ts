import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, describe, expect, test } from "vitest"
import { sha256 } from "../../src/digest.ts"
import { cdrPiecePath, descriptionPath } from "../../src/source/cdr-pieces.ts"
import { CdrSpill } from "../../src/source/cdr-spill.ts"
import { type CdrItem, type CdrStateRow, cdrState, cdrTables } from "../../src/source/cdr-state.ts"

const made: string[] = []
afterEach(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true })
})
function directory(): string {
  made.push(mkdtempSync(join(tmpdir(), "spill-")))
  return join(made.at(-1) ?? "", "rows")
}

/** The pieces of one run: lines of a table that has these columns then. */
function run(table: string, hour: number, [columns, key]: readonly [string[], string[]], lines: readonly string[]): CdrItem[] {
  const json = { v: 1, columns: columns.map((name) => ({ name, type: "text" })), key }
  const description = Buffer.from(JSON.stringify(json))
  const short = sha256(description).slice(0, 16)
  const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(""))
  const at = { stableId: "acme", table, day: "2031-03-04", cut: `20310304T${String(hour).padStart(2, "0")}0000Z`, number: 1 }
  const path = cdrPiecePath({ ...at, description: short, content: sha256(bytes).slice(0, 16) })
  return [
    { path: descriptionPath(table, short), bytes: description },
    { path, bytes },
  ]
}

const numbers = Array.from({ length: 40 }, (_, n) => String(n))
const before: [string[], string[]] = [["id", "number"], ["id"]]
const after: [string[], string[]] = [["id", "cost", "number"], ["id"]]
const plain: [string[], string[]] = [["day", "number"], []]
const wider: [string[], string[]] = [["day", "number", "cost"], []]

/** Calls that changed and tables that gained a column, with a key and without. */
const items = [
  ...run(
    "public.calls",
    1,
    before,
    numbers.map((n) => `${n}\tfirst`),
  ),
  ...run("public.calls", 2, before, ["3\tchanged", "7\tchanged"]),
  ...run(
    "public.calls",
    3,
    after,
    numbers.slice(0, 20).map((n) => `${n}\t${n}.50\tlast`),
  ),
  ...run(
    "public.plain",
    1,
    plain,
    numbers.map((n) => `${String((Number(n) % 3) + 1)}\tmon\t${n}`),
  ),
  ...run("public.plain", 2, plain, ["2\tmon\t0", "5\tmon\t3"]),
  ...run(
    "public.plain",
    3,
    wider,
    numbers.slice(0, 20).map((n) => `1\tmon\t${n}\t${n}.50`),
  ),
]

function shown(rows: Iterable<CdrStateRow>): string[] {
  return [...rows].map(({ table, columns, line, times }) => `${table} ${columns.join(",")} ${line} x${String(times)}`).toSorted()
}

describe("rows that are too many to be held at once", () => {
  test("are the same rows, sorted on disk first, in however many parts", () => {
    const whole = shown(cdrState(items))
    expect(whole.filter((row) => row.startsWith("public.calls"))).toHaveLength(40)
    expect(whole).toContain("public.plain day,number mon\t3 x4")
    for (const buckets of [2, 3, 16]) {
      const spill = { directory: directory(), buckets }
      expect(shown(cdrState(items, spill))).toEqual(whole)
      expect(existsSync(spill.directory)).toBe(false)
    }
  })

  test("have each of their pieces read once, and none for what is known by its name", () => {
    const reads = new Map<string, number>()
    const lazy = items.map(({ path, bytes }): CdrItem => {
      return {
        path,
        get bytes() {
          reads.set(String(path), (reads.get(String(path)) ?? 0) + 1)
          return bytes
        },
      }
    })
    expect(cdrTables(lazy)).toEqual([
      { table: "public.calls", columns: ["id", "number", "cost"], stableIds: ["acme"] },
      { table: "public.plain", columns: ["day", "number", "cost"], stableIds: ["acme"] },
    ])
    const pieces = [...reads.keys()].filter((path) => path.startsWith("accounts/"))
    expect(pieces, "only descriptions were read").toEqual([])
    expect(shown(cdrState(lazy, { directory: directory(), buckets: 4 }))).toHaveLength(shown(cdrState(items)).length)
    expect([...reads].filter(([path]) => path.startsWith("accounts/")).map(([, times]) => times)).toEqual([1, 1, 1, 1, 1, 1])
  })

  test("leave nothing behind where whoever reads them stops", () => {
    const spill = { directory: directory(), buckets: 4 }
    for (const row of cdrState(items, spill)) {
      expect(row.times).toBeGreaterThan(0)
      break
    }
    expect(existsSync(spill.directory)).toBe(false)
  })

  test("come back in their order, part by part", () => {
    const path = directory()
    {
      using spill = new CdrSpill({ directory: path, buckets: 2 })
      const rows = Array.from({ length: 5000 }, (_, index) => ({ index, line: `\xe9${"x".repeat(index % 50)}`, times: index + 0.5 }))
      for (const row of rows) spill.add(row.index % 2, row)
      expect([...spill.take(1)]).toEqual(rows.filter(({ index }) => index % 2 === 1))
      expect([...spill.take(0)]).toEqual(rows.filter(({ index }) => index % 2 === 0))
    }
    expect(existsSync(path)).toBe(false)
  })
})
