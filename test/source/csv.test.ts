import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { beforeEach, describe, expect, test } from "vitest"
import { csvSource } from "../../src/source/csv.ts"
import type { CsvRules } from "../../src/source/csv-capture.ts"
import { csvPiecePath } from "../../src/source/csv-pieces.ts"
import { csvState } from "../../src/source/csv-state.ts"
import type { Source, SourceItem } from "../../src/source/source.ts"
import { scratchDirectories } from "./captured.ts"
import { Archive, contentOf } from "./cdr-archive.ts"

const scratch = scratchDirectories()
const hour = 3_600_000
const nowMs = Date.parse("2026-11-02T12:00:00Z")
let folder = ""
let archive = new Archive()
let ran = 0

beforeEach(async () => {
  folder = await scratch()
  archive = new Archive()
  ran = 0
})

const ofNobody: CsvRules = {
  path: "",
  files: ["Master.csv", "Master.csv.[0-9]*"],
  columns: ["accountcode", "name", "start", "uniqueid"],
  day: { column: "start", stored: "local" },
}
const rules: CsvRules = { ...ofNobody, account: "accountcode" }

function source(more: Partial<CsvRules> = {}, base = rules): Source {
  return csvSource({ name: "cdr-csv", rules: { ...base, path: folder, ...more }, single: undefined, timezone: "Europe/Berlin" })
}

/** Each run is an hour after the one before; files were changed in that hour. */
async function run(more: Partial<CsvRules> = {}, loses?: (item: SourceItem) => boolean, base = rules) {
  ran += 1
  const result = await archive.run(source(more, base), new Date(nowMs + ran * hour), "", loses)
  expect(result.failed).toBeUndefined()
  return result
}

function row(id: number, account = "acme", start = "2026-11-02 09:00:00"): string {
  return `"${account}","Bob ""B"" Smith","${start}","170000${String(id)}.1"\n`
}

const at = (name: string) => join(folder, name)

function touched(name: string, agoMs = 0): void {
  const seconds = (nowMs + ran * hour - agoMs) / 1000
  utimesSync(at(name), seconds, seconds)
}

function append(name: string, text: string): void {
  appendFileSync(at(name), text)
  touched(name)
}

function state(stableId?: string): string {
  return [...csvState(archive.items)]
    .filter(({ name }) => stableId === undefined || name.stableId === stableId)
    .toSorted((a, b) => (a.name.cut < b.name.cut ? -1 : 1))
    .map(({ bytes }) => bytes.toString())
    .join("")
}

const sorted = (text: string) => text.split("\n").toSorted().join("\n")

describe("what is captured", () => {
  test("raw lines, byte for byte, under their account and the day of the call", async () => {
    append("Master.csv", row(1) + row(2, "zeta", "2026-11-01 23:59:59") + row(3))
    const { pieces, items } = await run()
    expect(pieces.map(({ stableId, day }) => [stableId, day])).toEqual([
      ["acme", "2026-11-02"],
      ["zeta", "2026-11-01"],
    ])
    expect(contentOf(pieces[0])).toBe(row(1) + row(3))
    expect(pieces[0]?.path.toString()).toMatch(
      /^accounts\/acme\/Master\.csv\/2026-11-02\/20261102T130000Z-[0-9a-f]{16}-0{15}-\d{15}-[0-9a-f]{16}\.csv$/,
    )
    expect(JSON.parse(contentOf(items.find(({ stableId }) => stableId === "platform")))).toMatchObject({
      columns: rules.columns,
      delimiter: ",",
    })
  })

  test("only what was added since, and nothing where nothing was", async () => {
    append("Master.csv", row(1))
    await run()
    expect((await run()).items).toEqual([])
    append("Master.csv", row(2))
    expect((await run()).pieces.map(contentOf)).toEqual([row(2)])
  })

  test("a row that is only begun waits for its end", async () => {
    append("Master.csv", row(1) + row(2).slice(0, 20))
    expect((await run()).pieces.map(contentOf)).toEqual([row(1)])
    append("Master.csv", row(2).slice(20))
    expect((await run()).pieces.map(contentOf)).toEqual([row(2)])
  })

  test("a row whose end never comes is kept under `mixed` once the file grows no more", async () => {
    append("Master.csv", row(1) + row(2).slice(0, 20))
    await run()
    touched("Master.csv", 25 * hour)
    const { pieces, notes } = await run()
    expect(pieces.map((item) => [item.stableId, contentOf(item)])).toEqual([["mixed", row(2).slice(0, 20)]])
    expect(notes.map(({ kind }) => kind)).toEqual(["unmatched"])
  })

  test("a field in quotes may hold newlines and delimiters", async () => {
    const long = '"acme","a\nb,\r\n""c""","2026-11-02 09:00:00","1.1"\n'
    append("Master.csv", row(1) + long + row(2))
    expect((await run()).pieces.map(contentOf)).toEqual([row(1) + long + row(2)])
  })

  test("lines that are no rows are kept under `mixed` and reported; a quote that nothing closes spoils no other row", async () => {
    const broken = ['"acme","Bob "The, one","2026-11-02 09:00:00"\n', "rubbish\n", '"acme","x","no date","1.1"\n', '"acme","open\n']
    append("Master.csv", row(1) + broken.join("") + row(2))
    touched("Master.csv", 30 * hour)
    const { notes } = await run()
    expect(state("acme")).toBe(row(1) + row(2))
    expect(sorted(state("mixed"))).toBe(sorted(broken.join("")))
    expect(notes.map(({ kind }) => kind)).toEqual(["unmatched"])
  })

  test("quotes that nobody doubled are part of a field", async () => {
    const careless = '"acme","Bob "The" Man, Jr","2026-11-02 09:00:00","1.1"\n'
    append("Master.csv", careless)
    expect((await run()).pieces.map((item) => [item.stableId, contentOf(item)])).toEqual([["acme", careless]])
  })

  test("files that begin with the same row are not the same file", async () => {
    append("Master.csv", row(1) + row(2, "zeta") + row(3))
    append("acme.csv", row(1) + row(3))
    await run({ files: ["*.csv"] })
    expect(sorted(state())).toBe(sorted(row(1) + row(2, "zeta") + row(3) + row(1) + row(3)))
  })

  test("a caller's name cannot put a row under another account", async () => {
    append("Master.csv", '"acme","x","zeta","2026-11-02 09:00:00","1.1"\n')
    expect((await run()).pieces.map(({ stableId }) => stableId)).toEqual(["mixed"])
  })

  test("rows without an account are under `mixed` and reported, unless a rule says so", async () => {
    append("Master.csv", row(1, ""))
    expect((await run()).notes.map(({ kind }) => kind)).toEqual(["unattributed"])
    archive = new Archive()
    const said = await run({ null: "mixed" })
    expect(said.pieces.map(({ stableId }) => stableId)).toEqual(["mixed"])
    expect(said.notes).toEqual([])
  })

  test("names of fields from the first line, another delimiter, seconds since 1970", async () => {
    append("queue_log", "time|call|what\n1793577600|1.1|ENTERQUEUE\n")
    const more: Partial<CsvRules> = {
      ...{ files: ["queue_log"], columns: "header", delimiter: "|" },
      day: { column: "time", stored: "epoch", timezone: "UTC" },
    }
    const { pieces } = await run(more, undefined, ofNobody)
    expect(pieces.map((item) => [item.stableId, item.day, contentOf(item)])).toEqual([
      ["mixed", "2026-11-02", "1793577600|1.1|ENTERQUEUE\n"],
    ])
  })

  test("a large file is read in slices, and a file that grows while it is read gives whole rows only", async () => {
    const rows = Array.from({ length: 100_000 }, (_, index) => row(index))
    append("Master.csv", rows.join(""))
    const pieces: SourceItem[] = []
    for await (const found of source().capture({
      now: new Date(nowMs),
      scratch: "",
      signal: new AbortController().signal,
      memory: archive.memory,
    })) {
      if (!("item" in found)) continue
      archive.kept.set(found.item.path.toString("latin1"), found.item)
      if (found.item.stableId === "acme") pieces.push(found.item)
      append("Master.csv", `${row(7_000_000 + pieces.length)}"acme"`.slice(0, 90))
      appendFileSync(at("Master.csv"), "\n")
    }
    expect(pieces.length).toBeGreaterThan(1)
    for (const { size } of pieces) expect(size).toBeLessThan(5 * 1024 * 1024)
    await run()
    expect(sorted(state())).toBe(sorted(readFileSync(at("Master.csv"), "utf8")))
  })
})

describe("what happens to files", () => {
  test("a file that is renamed is read on, also under a name that no pattern has", async () => {
    for (const rotated of ["Master.csv.1", "Master.csv.2026-11-02-12-00-00", "backup-of-master"]) {
      append("Master.csv", row(1))
      await run()
      append("Master.csv", row(2))
      renameSync(at("Master.csv"), at(rotated))
      append("Master.csv", row(3))
      const { pieces, misses } = await run()
      expect(pieces.map(contentOf).toSorted(), rotated).toEqual([row(2), row(3)])
      expect(misses).toEqual([])
      expect(pieces.every(({ path }) => path.toString().startsWith("accounts/acme/Master.csv/"))).toBe(true)
      for (const name of ["Master.csv", rotated]) rmSync(at(name))
      archive = new Archive()
    }
  })

  test("a file that is copied and cut short: the copy has what came in between, and is not captured twice", async () => {
    append("Master.csv", row(1))
    await run()
    append("Master.csv", row(2))
    copyFileSync(at("Master.csv"), at("Master.csv.1"))
    truncateSync(at("Master.csv"), 0)
    append("Master.csv", row(3))
    const { pieces, misses } = await run()
    expect(pieces.map(contentOf).toSorted()).toEqual([row(2), row(3)])
    expect(misses).toEqual([])
    expect((await run()).items).toEqual([])
  })

  test("a file cut short without a copy begins again, and what may be lost is said", async () => {
    append("Master.csv", row(1) + row(2))
    await run()
    truncateSync(at("Master.csv"), 0)
    append("Master.csv", row(3) + row(4) + row(5))
    const { pieces, misses } = await run()
    expect(pieces.map(contentOf)).toEqual([row(3) + row(4) + row(5)])
    expect(misses).toMatchObject([{ reason: "torn", path: Buffer.from("Master.csv") }])
  })

  test("a file whose beginning is the same and whose rest was written anew is read again", async () => {
    append("Master.csv", row(1) + row(2) + row(3))
    await run()
    writeFileSync(at("Master.csv"), row(1) + row(4))
    touched("Master.csv")
    await run()
    expect(state()).toContain(row(4))
    append("Master.csv", row(5))
    await run()
    expect(state()).toContain(row(2))
    for (const id of [4, 5]) expect(state()).toContain(row(id))
    writeFileSync(at("Master.csv"), row(1) + row(6) + row(7) + row(8) + row(9))
    touched("Master.csv")
    await run()
    for (const id of [2, 4, 5, 6, 9]) expect(state(), String(id)).toContain(row(id))
  })

  test("another file that gets the inode of one that is gone is another file", async () => {
    append("Master.csv", row(1) + row(2))
    await run()
    // The same inode, as after rm and create on a filesystem that reuses them at once.
    writeFileSync(at("Master.csv"), row(8, "zeta") + row(9, "zeta") + row(10, "zeta"))
    touched("Master.csv")
    expect((await run()).pieces.map((item) => [item.stableId, contentOf(item)])).toEqual([
      ["zeta", row(8, "zeta") + row(9, "zeta") + row(10, "zeta")],
    ])
  })

  test("a rotated file that was compressed is read on, and left alone once all of it is kept", async () => {
    append("Master.csv", row(1))
    await run()
    writeFileSync(at("Master.csv.1.gz"), gzipSync(row(1) + row(2)))
    rmSync(at("Master.csv"))
    touched("Master.csv.1.gz")
    expect((await run()).pieces.map(contentOf)).toEqual([row(2)])
    expect(await run()).toMatchObject({ items: [], notes: [], misses: [] })
  })

  test("a compressed file that is damaged, or that cannot be read, is a miss or a note and no other file's loss", async () => {
    append("Master.csv", row(1))
    writeFileSync(at("Master.csv.1.gz"), gzipSync(row(2) + "x".repeat(100)).subarray(0, 40))
    writeFileSync(at("Master.csv.2.xz"), "")
    mkdirSync(at("Master.csv.3"))
    symlinkSync("/etc/hostname", at("Master.csv.4"))
    touched("Master.csv.1.gz", hour)
    const { pieces, misses, notes } = await run()
    expect(pieces.map(contentOf)).toEqual([row(1)])
    expect(misses.map(({ path, reason }) => [path.toString(), reason])).toEqual([
      ["Master.csv.1.gz", "failed"],
      ["Master.csv.3", "refused"],
      ["Master.csv.4", "refused"],
    ])
    expect(notes).toMatchObject([{ kind: "not-covered", path: Buffer.from("Master.csv.2.xz") }])
  })

  test("a directory that is not there is refused", async () => {
    const result = await archive.run(source({ path: join(folder, "gone") }), new Date(nowMs), "")
    expect(result.failed).toMatchObject({ code: "job/source" })
  })
})

describe("what a reader finds", () => {
  const piece = (from: number, to: number, bytes: string) => {
    const at = { stableId: "acme", file: "Master.csv", day: "2026-11-02", cut: "20261102T120000Z", origin: "0".repeat(16) }
    return { path: csvPiecePath({ ...at, from, to, description: "0".repeat(16) }), bytes: Buffer.from(bytes) }
  }
  const found = (...pieces: ReturnType<typeof piece>[]) => [...csvState(pieces)].map(({ bytes }) => bytes.toString())

  test("a range within another is left out, as often as its rows are there", () => {
    expect(found(piece(0, 4, "a\na\n"), piece(0, 6, "a\na\nb\n"), piece(6, 8, "a\n"))).toEqual(["a\na\nb\n", "a\n"])
    expect(found(piece(0, 4, "a\na\n"), piece(0, 6, "a\nb\nc\n"))).toEqual(["a\nb\nc\n", "a\n"])
  })
})

describe("what is remembered", () => {
  test("a piece that was not kept is captured again, and only its part of the file", async () => {
    append("Master.csv", row(1) + row(2, "zeta"))
    await run()
    append("Master.csv", row(3) + row(4, "zeta"))
    await run({}, ({ stableId }) => stableId === "zeta")
    append("Master.csv", row(5))
    expect((await run()).pieces.map(contentOf).toSorted()).toEqual([row(3) + row(5), row(4, "zeta")].toSorted())
    expect(state("acme")).toBe(row(1) + row(3) + row(5))
    expect(state("zeta")).toBe(row(2, "zeta") + row(4, "zeta"))
    expect((await run()).items).toEqual([])
  })

  test("a piece lost out of the middle of a file is read again, and nothing else", async () => {
    for (const id of [1, 2, 3]) {
      append("Master.csv", row(id))
      await run()
    }
    const second = archive.items.find(({ bytes }) => Buffer.from(bytes).toString() === row(2))
    archive.lose(second?.path.toString("latin1") ?? "")
    expect((await run()).pieces.map(contentOf)).toEqual([row(2)])
    expect(sorted(state())).toBe(sorted(row(1) + row(2) + row(3)))
  })

  test("a broken line that was lost is read again as it was cut when the file had come to rest", async () => {
    append("Master.csv", `${row(1)}"acme","open\n`)
    touched("Master.csv", 30 * hour)
    const { pieces } = await run()
    append("Master.csv", row(2))
    await run()
    for (const { path } of pieces) archive.lose(path.toString("latin1"))
    append("Master.csv", row(3))
    await run()
    expect(sorted(state())).toBe(sorted(`${row(1)}"acme","open\n${row(2)}${row(3)}`))
  })

  test("without any memory files are read again from their beginnings, and a reader has each row once", async () => {
    append("Master.csv", row(1) + row(1) + row(2, "zeta"))
    await run()
    append("Master.csv", row(3))
    await run()
    renameSync(at("Master.csv"), at("Master.csv.1"))
    append("Master.csv", row(4))
    archive.forgetAll()
    await run()
    append("Master.csv", row(5))
    await run()
    expect(sorted(state("acme"))).toBe(sorted(row(1) + row(1) + row(3) + row(4) + row(5)))
    expect(state("zeta")).toBe(row(2, "zeta"))
  })
})
