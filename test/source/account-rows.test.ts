import { expect, test } from "vitest"
import { RowCutter, type RowRun, rowRuns } from "../../src/database/rows.ts"
import { sha256 } from "../../src/digest.ts"
import { type AccountPart, AccountRows } from "../../src/source/account-rows.ts"
import { Fingerprints } from "../../src/source/fingerprints.ts"
import { byLead } from "../../src/source/merge.ts"
import { goesOn, PieceNames } from "../../src/source/piece-names.ts"
import type { TableOwner, TablePlan } from "../../src/source/tables.ts"

function plan(name: string, owner: TableOwner, namesIn: number | null = null): TablePlan {
  const table = { schema: "public", name, columns: [], key: [], references: [], rowsEstimate: 0, bytesEstimate: 0, transactional: true }
  return { table, name: `public.${name}`, columns: [], owner, namesIn }
}

const byAccount: TableOwner = { kind: "column", lead: { kind: "value", column: "account", via: [] }, ofNull: "mixed" }

function* runsOf(text: string): Generator<RowRun> {
  const cutter = new RowCutter(1, 65_536)
  yield* cutter.cut(Buffer.from(text))
  yield* cutter.end("")
}

/** What tables give, each a text of lines that begin with their account. */
function partsOf(tables: readonly (readonly [TablePlan, string])[]): { readonly parts: AccountPart[]; readonly prints: Fingerprints } {
  const prints = new Fingerprints()
  const rows = new AccountRows(prints, new PieceNames())
  const reading = tables.map(([table, text]) => ({ table, runs: runsOf(text) }))
  const parts: AccountPart[] = []
  for (const { table, run } of byLead(reading)) parts.push(...rows.add(table, run))
  return { parts: [...parts, ...rows.end()], prints }
}

function textsOf(parts: readonly AccountPart[]): string[] {
  return parts.flatMap((part) => ("piece" in part ? [`${part.stableId}: ${Buffer.from(part.piece.bytes).toString()}`] : []))
}

test("rows of one account come together, whatever table they are in", () => {
  const { parts, prints } = partsOf([
    [plan("a", byAccount), "maple\t1\nmaple\t2\nzinnia\t3\n"],
    [plan("b", byAccount), "birch\t4\nmaple\t5\n"],
  ])
  expect(textsOf(parts)).toEqual(["birch: \\.public.b\n4\n", "maple: \\.public.a\n1\n2\n\\.public.b\n5\n", "zinnia: \\.public.a\n3\n"])
  expect([...prints.accounts()].map(({ stableId, tables }) => [stableId, tables.map(({ table, rows }) => [table, rows])])).toEqual([
    ["birch", [["public.b", 1]]],
    [
      "maple",
      [
        ["public.a", 2],
        ["public.b", 1],
      ],
    ],
    ["zinnia", [["public.a", 1]]],
  ])
})

test("rows of no account, and of one that no customer can be called, are said and kept under mixed", () => {
  const { parts } = partsOf([[plan("a", byAccount), "platform\t1\n\\N\t2\n"]])
  expect(textsOf(parts)).toEqual(["mixed: \\.public.a\n1\n2\n"])
  expect(parts.filter((part) => "rows" in part)).toEqual([
    { table: "public.a", rows: 1 },
    { table: "public.a", rows: 1 },
  ])
})

test("the names of accounts are said where they stand", () => {
  const { parts } = partsOf([[plan("domains", byAccount, 1), "id-1\tx\tmaple.example\nid-2\tx\t\\N\n"]])
  expect(parts.filter((part) => "names" in part)).toEqual([{ stableId: "id-1", names: ["maple.example"] }])
})

test("many equal rows are many pieces, and no two have one name", async () => {
  async function* equal(): AsyncGenerator<Uint8Array> {
    const chunk = Buffer.from(`${"x".repeat(99)}\n`.repeat(1000))
    for (let written = 0; written < 130; written++) yield chunk
  }
  const rows = new AccountRows(new Fingerprints(), new PieceNames())
  const table = plan("cdr", { kind: "one", stableId: "maple" })
  const parts: AccountPart[] = []
  for await (const run of rowRuns(equal(), 0, "cdr")) parts.push(...rows.add(table, run))
  parts.push(...rows.end())
  const pieces = parts.flatMap((part) => ("piece" in part ? [part] : []))
  expect(pieces.length).toBeGreaterThan(2)
  expect(new Set(pieces.map(({ name }) => name)).size).toBe(pieces.length)
})

test("a long row of an account that comes up again has names of its own, in order, that say which goes on", () => {
  const names = new PieceNames()
  const of = (part: number) => names.next("platform", { bytes: Buffer.alloc(0), sha256: sha256(String(part)), part })
  const given = [of(1), of(2), of(3), of(0), of(1), of(2), of(0)]
  expect(new Set(given).size).toBe(given.length)
  expect(given.map(goesOn)).toEqual([false, true, true, false, false, true, false])
  const sorted = given.toSorted()
  expect(sorted.filter((name) => name.startsWith("row-"))).toEqual([given[0], given[1], given[2], given[4], given[5]])
  expect(sorted.slice(2)).toEqual(sorted.filter((name) => name.startsWith("row-")))
})
