import fc from "fast-check"
import { expect, test } from "vitest"
import { escapeField, type RowRun, RowSum, rowRunBytes, rowRuns, unescapeField } from "../../src/database/rows.ts"
import { type RowPiece, RowPieces, rowPieceBytesMax } from "../../src/source/row-pieces.ts"
import { Dice } from "../world/dice.ts"

interface Row {
  readonly lead: string
  readonly line: string
}

/** The stream of a table's rows, cut into chunks of random sizes. */
async function* stream(rows: readonly Row[], sizes: () => number): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(rows.map(({ lead, line }) => `${lead}\t${line}\n`).join(""), "latin1")
  for (let at = 0; at < bytes.length; ) {
    const size = sizes()
    yield bytes.subarray(at, at + size)
    at += size
  }
}

async function linesByLead(runs: AsyncIterable<RowRun>): Promise<{ lead: string; text: string; rows: number; sum: string }[]> {
  const found: { lead: string; text: string; rows: number; sum: RowSum }[] = []
  for await (const run of runs) {
    const last = found.at(-1)
    const text = Buffer.from(run.bytes).toString("latin1")
    for (const cut of run.cuts) expect(run.bytes[cut - 1]).toBe(0x0a)
    if (last?.lead === run.lead) {
      last.text += text
      last.rows += run.rows
      last.sum.join(run.sum)
    } else found.push({ lead: run.lead, text, rows: run.rows, sum: run.sum })
  }
  return found.map((one) => ({ ...one, sum: one.sum.digest() }))
}

function sumOf(lines: readonly string[]): RowSum {
  const sum = new RowSum()
  for (const line of lines) sum.add(Buffer.from(line, "latin1"))
  return sum
}

const field = fc.string({ unit: "binary", maxLength: 40 }).map((text) => escapeField(Buffer.from(text).toString("latin1")))

test("rows come out as they went in, with the lead they had, however the stream is cut", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(fc.integer({ min: 0, max: 3 }), field), { maxLength: 60 }), fc.nat(), async (given, seed) => {
      const rows = given.toSorted(([a], [b]) => a - b).map(([lead, line]) => ({ lead: `account-${String(lead)}`, line }))
      const dice = new Dice(String(seed))
      const found = await linesByLead(
        rowRuns(
          stream(rows, () => dice.between(1, 30)),
          1,
          "table",
        ),
      )
      const leads = [...new Set(rows.map(({ lead }) => lead))]
      expect(found).toEqual(
        leads.map((lead) => {
          const lines = rows.filter((row) => row.lead === lead).map(({ line }) => line)
          return { lead, text: lines.map((line) => `${line}\n`).join(""), rows: lines.length, sum: sumOf(lines).digest() }
        }),
      )
    }),
    { numRuns: 200 },
  )
})

test("a sum does not depend on the order of rows, and does on each row and on how often it is there", () => {
  const lines = ["a", "b", "b", "c"]
  expect(sumOf(lines.toReversed()).digest()).toBe(sumOf(lines).digest())
  const joined = sumOf(lines.slice(0, 2))
  joined.join(sumOf(lines.slice(2)))
  expect(joined.digest()).toBe(sumOf(lines).digest())
  for (const other of [
    ["a", "b", "c"],
    ["a", "b", "b", "b"],
    ["a", "b", "b", "d"],
    ["a", "bb", "c", ""],
  ])
    expect(sumOf(other).digest()).not.toBe(sumOf(lines).digest())
})

test("a row longer than all that is held at once comes through whole, and small ones around it too", async () => {
  const long = "x".repeat(3 * rowRunBytes + 17)
  for (const lengths of [
    [1, 1],
    [rowRunBytes - 1, rowRunBytes],
    [rowRunBytes, rowRunBytes + 1],
  ]) {
    const around = lengths.map((length) => "y".repeat(length))
    const lines = [around[0] ?? "", long, around[1] ?? "", long]
    const rows = lines.map((line) => ({ lead: "one", line }))
    const [found, ...others] = await linesByLead(
      rowRuns(
        stream(rows, () => 65_536),
        1,
        "table",
      ),
    )
    expect(others).toEqual([])
    expect(found?.rows).toBe(4)
    expect(found?.sum).toBe(sumOf(lines).digest())
    expect(found?.text).toBe(lines.map((line) => `${line}\n`).join(""))
  }
})

test("a stream that ends within a row is no table", async () => {
  async function* cut(): AsyncGenerator<Uint8Array> {
    yield Buffer.from("a\t1\na\t2")
  }
  async function* cutLong(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(`a\t${"x".repeat(2 * rowRunBytes)}`)
  }
  for (const chunks of [cut(), cutLong()])
    await expect(Array.fromAsync(rowRuns(chunks, 1, "public.t"))).rejects.toMatchObject({ code: "job/source", message: /public\.t/ })
})

async function piecesOf(lines: readonly string[]): Promise<RowPiece[]> {
  const rows = lines.map((line) => ({ lead: "one", line }))
  const pieces = new RowPieces()
  const found: RowPiece[] = []
  for await (const run of rowRuns(
    stream(rows, () => 65_536),
    1,
    "table",
  ))
    found.push(...pieces.add("public.t", run))
  return [...found, ...pieces.end()]
}

const header = "\\.public.t\n"

/** The rows of pieces, without what says whose table they are. */
function rowsOf(pieces: readonly RowPiece[]): string {
  return pieces
    .map(({ bytes, part }) => {
      const text = Buffer.from(bytes).toString()
      expect(text.startsWith(header)).toBe(part < 2)
      return part < 2 ? text.slice(header.length) : text
    })
    .join("")
}

test("a row that comes, changes or goes changes the pieces it is in, and no others", async () => {
  const dice = new Dice("pieces")
  const lines = Array.from({ length: 20_000 }, (_, index) => `${String(index)}\t${dice.next()}\t${"-".repeat(100)}`)
  const pieces = await piecesOf(lines)
  expect(pieces.length).toBeGreaterThan(6)
  expect(rowsOf(pieces)).toBe(lines.map((line) => `${line}\n`).join(""))
  const before = new Set(pieces.map(({ sha256 }) => sha256))
  for (const changed of [lines.toSpliced(3, 0, "new"), lines.toSpliced(10_000, 1, "changed"), lines.toSpliced(15_000, 1)]) {
    const others = (await piecesOf(changed)).filter(({ sha256 }) => !before.has(sha256))
    expect(others.length).toBeLessThanOrEqual(2)
  }
})

test("a row larger than a piece takes several, numbered in order; its neighbours are whole pieces again after it", async () => {
  const long = "z".repeat(2 * rowPieceBytesMax + 5)
  const pieces = await piecesOf(["first", long, "last", long, "end"])
  expect(rowsOf(pieces)).toBe(["first", long, "last", long, "end"].map((line) => `${line}\n`).join(""))
  for (const [index, { bytes, part }] of pieces.entries()) {
    expect(bytes.length).toBeLessThanOrEqual(rowPieceBytesMax + header.length)
    const endsWithin = bytes.at(-1) !== 0x0a
    const beginsWithin = index > 0 && pieces[index - 1]?.bytes.at(-1) !== 0x0a
    expect(part > 0).toBe(endsWithin || beginsWithin)
    if (beginsWithin) expect(part).toBe((pieces[index - 1]?.part ?? 0) + 1)
  }
})

test("fields keep every byte", () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const text = Buffer.from(bytes).toString("latin1")
      const escaped = escapeField(text)
      expect(escaped).not.toMatch(/[\t\n\r\0]/)
      expect(unescapeField(escaped)).toBe(text)
    }),
  )
  expect(unescapeField("\\N")).toBeNull()
  expect(escapeField(null)).toBe("\\N")
})
