import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { type RowRun, rowRuns } from "../../src/database/rows.ts"
import { runsOf } from "../../src/source/run-frames.ts"
import { RowSpool, type TableLines } from "../../src/source/spool.ts"

let folder: string
let files = 0
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "spool-"))
})
afterAll(() => rmSync(folder, { recursive: true }))

const file = (): string => join(folder, String(files++))

async function* chunks(text: string, size: number): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text, "latin1")
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

function table(text: string, size = 777): TableLines {
  return { chunks: chunks(text, size), leads: 1, what: "public.t" }
}

/** Rows of accounts with few, with many, and with one that is longer than all that is held at once. */
const lines = [
  ...Array.from(
    { length: 9000 },
    (_, row) => `account-${String(Math.trunc(row / 7)).padStart(5, "0")}\t${String(row)}\t${"x".repeat(row % 90)}\n`,
  ),
  ...Array.from({ length: 4000 }, (_, row) => `b\xe9rri\t${String(row)}\t${"y".repeat(40)}\n`),
  `long\t${"z".repeat(1_300_000)}\n`,
  "long\tshort\n",
  "\\N\t\\N\n",
].join("")

/** What the runs of each lead say together. */
async function said(runs: AsyncIterable<RowRun> | Iterable<RowRun>): Promise<unknown[]> {
  const found: { lead: string; text: string; rows: number; sum: string[] }[] = []
  for await (const { lead, bytes, rows, sum, cuts, open } of runs) {
    const text = Buffer.from(bytes).toString("latin1")
    if (found.at(-1)?.lead !== lead) found.push({ lead, text: "", rows: 0, sum: [] })
    const last = found.at(-1)
    if (last === undefined) continue
    last.text += text
    last.rows += rows
    expect(sum.rows).toBe(rows)
    for (const cut of cuts) expect(text[cut - 1]).toBe("\n")
    if (open) expect(text.endsWith("\n")).toBe(false)
  }
  return found
}

test("a table comes back from its file, and through the thread, as it would have been cut here", async () => {
  await using spool = new RowSpool()
  const expected = await said(rowRuns(chunks(lines, 5000), 1, "public.t"))
  const [path, other] = [file(), file()]
  const [runs] = await Promise.all([said(spool.runs(table(lines, 70_000))), spool.write(path, table(lines)), spool.write(other, table(""))])
  expect(await said(runsOf(path))).toEqual(expected)
  expect(runs).toEqual(expected)
  expect([...runsOf(other)]).toEqual([])
})

test("sums and cuts are those of the rows", async () => {
  await using spool = new RowSpool()
  const text = lines.slice(0, lines.indexOf("long\t"))
  const path = file()
  await spool.write(path, table(text))
  const here: [string, number[]][] = []
  for await (const { lead, sum, cuts } of rowRuns(chunks(text, 9000), 1, "public.t")) here.push([`${lead} ${sum.digest()}`, [...cuts]])
  const there = runsOf(path)
    .map(({ lead, sum, cuts }): [string, number[]] => [`${lead} ${sum.digest()}`, [...cuts]])
    .toArray()
  // The last account is larger than a run here.
  expect(there.slice(0, 1000)).toEqual(here.slice(0, 1000))
  expect(there.some(([, cuts]) => cuts.length > 0)).toBe(true)
})

test("a stream that ends within a row, one that fails and a file that cannot be made fail the table, and the next goes well", async () => {
  await using spool = new RowSpool()
  await expect(spool.write(file(), table("a\t1\na\t2"))).rejects.toMatchObject({
    code: "job/source",
    message: expect.stringContaining("public.t"),
  })
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield Buffer.from("a\t1\n")
    throw new Error("the server went away")
  }
  await expect(spool.write(file(), { ...table(""), chunks: failing() })).rejects.toThrow("the server went away")
  await expect(spool.write(join(folder, "nowhere", "t"), table(lines))).rejects.toMatchObject({ code: "job/source" })
  const path = file()
  await spool.write(path, table("a\t1\n"))
  expect(await said(runsOf(path))).toMatchObject([{ lead: "a", text: "1\n", rows: 1 }])
})

test("a file that was cut off is no table", async () => {
  await using spool = new RowSpool()
  const path = file()
  await spool.write(path, table("a\t1\nb\t2\n"))
  truncateSync(path, 100)
  expect(() => [...runsOf(path)]).toThrow("cut off")
  writeFileSync(path, Buffer.from([1, 0]))
  expect(() => [...runsOf(path)]).toThrow("cut off")
})
