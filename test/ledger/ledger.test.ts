import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import fc from "fast-check"
import { afterEach, beforeEach, expect, test } from "vitest"
import { sha256 } from "../../src/digest.ts"
import { type LedgerEvent, parseLine } from "../../src/ledger/entry.ts"
import { Ledger } from "../../src/ledger/ledger.ts"
import { type KeptLine, type LedgerAnchor, verifyLedger } from "../../src/ledger/verify.ts"

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ledger-"))
})
afterEach(() => rmSync(folder, { recursive: true }))

const noon = Date.UTC(2026, 10, 1, 12)
const day = 86_400_000

function event(subject: string): LedgerEvent {
  return { what: "run", subject, who: "ada", outcome: "ok", details: { files: 3 } }
}

/** A ledger with an entry a day. */
function filled(entries: number): Ledger {
  const ledger = Ledger.open(join(folder, "ledger.sqlite"))
  for (let index = 0; index < entries; index++)
    ledger.append(event(`job-${String(index)}`), { host: "pbx-1", time: new Date(noon + index * day) })
  return ledger
}

function anchorOf(lines: readonly KeptLine[], n: number): LedgerAnchor {
  const line = lines.find((one) => one.n === n)?.line ?? ""
  return { n, sha256: sha256(line), commit: `commit ${String(n)}` }
}

test("an entry says who did what, when, and what came of it; the next one names it by its line", () => {
  using ledger = filled(2)
  const [first, second] = [...ledger.lines()]
  expect(parseLine(first?.line ?? "")).toEqual({
    v: 1,
    n: 1,
    prev: "0".repeat(64),
    time: "2026-11-01T12:00:00.000Z",
    host: "pbx-1",
    ...event("job-0"),
  })
  expect(parseLine(second?.line ?? "")?.prev).toBe(sha256(first?.line ?? ""))
})

test("two processes that write in turn make one chain", () => {
  using one = filled(1)
  using other = Ledger.open(join(folder, "ledger.sqlite"))
  for (let turn = 0; turn < 5; turn++)
    for (const ledger of [one, other]) ledger.append(event("turn"), { host: "pbx-1", time: new Date(noon) })
  const proof = verifyLedger(other.lines(), other.floor(), [])
  expect(proof).toMatchObject({ entries: 11, first: 1, last: one.head(), problems: [] })
})

test("whatever line is changed, taken out or doubled, it is found, where it is", () => {
  using ledger = filled(12)
  const lines = [...ledger.lines()]
  const anchors = [anchorOf(lines, 12)]
  expect(verifyLedger(lines, ledger.floor(), anchors)).toMatchObject({ anchored: 1, problems: [] })
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 11 }), fc.constantFrom("edit", "remove", "swap"), (at, how) => {
      const changed = lines.map((line) => ({ ...line }))
      const [one, next] = [changed[at], changed[(at + 1) % 12]]
      if (one === undefined || next === undefined) throw new Error("no line")
      if (how === "edit") changed[at] = { n: one.n, line: one.line.replace('"ada"', '"eve"') }
      else if (how === "remove") changed.splice(at, 1)
      else
        [changed[at], changed[(at + 1) % 12]] = [
          { ...next, n: one.n },
          { ...one, n: next.n },
        ]
      const { problems } = verifyLedger(changed, ledger.floor(), anchors)
      expect(problems.length).toBeGreaterThan(0)
      expect(problems.some(({ n }) => Math.abs(n - one.n) <= 1 || how === "swap")).toBe(true)
    }),
  )
})

test("who edits a line and then makes all later ones fit is found by what was anchored", () => {
  using honest = filled(6)
  const lines = [...honest.lines()]
  using forged = Ledger.open(join(folder, "forged.sqlite"))
  for (let index = 0; index < 6; index++)
    forged.append(index === 2 ? event("nothing") : event(`job-${String(index)}`), { host: "pbx-1", time: new Date(noon + index * day) })
  expect(verifyLedger(forged.lines(), forged.floor(), []).problems).toEqual([])
  expect(verifyLedger(forged.lines(), forged.floor(), [anchorOf(lines, 2), anchorOf(lines, 5)]).problems).toEqual([
    { kind: "rewritten", n: 5, commit: "commit 5" },
  ])
})

test("an end that was cut off is found by what was anchored", () => {
  using ledger = filled(6)
  const lines = [...ledger.lines()]
  expect(verifyLedger(lines.slice(0, 4), ledger.floor(), [anchorOf(lines, 6)]).problems).toEqual([
    { kind: "cut", n: 6, commit: "commit 6" },
  ])
})

test("a ledger that went on twice from one copy of the host is a fork", () => {
  using ledger = filled(3)
  const lines = [...ledger.lines()]
  const other = { n: 3, sha256: sha256("another line"), commit: "the copy's" }
  expect(verifyLedger(lines, ledger.floor(), [anchorOf(lines, 3), other]).problems).toContainEqual({
    kind: "fork",
    n: 3,
    commits: ["commit 3", "the copy's"],
  })
})

test("entries that are old and anchored are pruned, and what is left is still proven to follow from them", () => {
  using ledger = filled(10)
  const lines = [...ledger.lines()]
  const anchored = anchorOf(lines, 7)
  // Eight are old enough, seven are anchored.
  const by = { who: "root", host: "pbx-1", time: new Date(noon + 10 * day) }
  expect(ledger.prune(new Date(noon + 8 * day), anchored, by)).toBe(7)
  expect(ledger.floor()).toEqual({ n: 7, sha256: anchored.sha256 })
  expect(verifyLedger(ledger.lines(), ledger.floor(), [anchored])).toMatchObject({ entries: 4, first: 8, problems: [] })
  expect(parseLine([...ledger.lines()].at(-1)?.line ?? "")).toMatchObject({ n: 11, what: "pruned", details: { entries: 7, until: 7 } })
  expect(ledger.prune(new Date(noon + 8 * day), anchored, by)).toBe(0)
})

test("a floor that was moved does not fit what was anchored there", () => {
  using ledger = filled(5)
  const lines = [...ledger.lines()]
  const moved = { n: 3, sha256: sha256("something else") }
  expect(verifyLedger(lines.slice(3), moved, [anchorOf(lines, 3)]).problems).toContainEqual({ kind: "rewritten", n: 3, commit: "commit 3" })
})

test("an event that may hold more than ids and counts is not written", () => {
  using ledger = filled(1)
  const spoken = { ...event("job"), details: { note: "x".repeat(1001) } }
  expect(() => ledger.append(spoken, { host: "pbx-1", time: new Date(noon) })).toThrow(/ledger/)
  expect(ledger.head().n).toBe(1)
})

test("a damaged ledger is refused, and left as it is", () => {
  filled(1).close()
  const path = join(folder, "ledger.sqlite")
  const database = new DatabaseSync(path)
  database.exec("PRAGMA user_version = 9")
  database.close()
  expect(() => Ledger.open(path)).toThrow(/version 9 is newer/)
})
