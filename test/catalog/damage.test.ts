import { closeSync, existsSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { Catalog } from "../../src/catalog/catalog.ts"
import { type CapturedItem, Items } from "../../src/catalog/items.ts"

let folder = ""
let path = ""
const told: string[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "catalog-"))
  path = join(folder, "catalog.sqlite")
  told.length = 0
})

afterEach(() => rmSync(folder, { recursive: true }))

function open(): Catalog {
  return Catalog.open(path, (reason) => told.push(reason))
}

function fileNamed(name: string): CapturedItem {
  const place = { account: "a1", epoch: "1", day: "2031-03-04", class: "recordings-90" }
  const looks = { type: "file", size: 1, mtimeNs: 0n, ctimeNs: null, inode: null, mode: 0o600, uid: 0, gid: 0 } as const
  return { ...place, ...looks, path: Buffer.from(name), at: [], flags: [] }
}

/** Writes over the pages of a table, or, where it has several, over all but the one that leads to them. */
function damage(table: string): void {
  const pages = pagesOf(table)
  const file = openSync(path, "r+")
  for (const page of pages.slice(pages.length > 1 ? 1 : 0)) writeSync(file, Buffer.alloc(4096, 0xff), 0, 4096, (page - 1) * 4096)
  closeSync(file)
}

function pagesOf(table: string): number[] {
  using catalog = open()
  return catalog.all("SELECT pageno FROM dbstat WHERE name = ? ORDER BY pageno", table).map(({ pageno }) => Number(pageno))
}

function fill(): void {
  using catalog = open()
  const files = Array.from({ length: 500 }, (_, index) => fileNamed(`maple.example/${String(index)}`))
  new Items(catalog, "calls").record(files, [], 1)
}

function amount(): unknown {
  using catalog = open()
  return new Items(catalog, "calls").amount()
}

test("what grows with what is backed up is not read when a catalog is opened; damage there fails what meets it", () => {
  fill()
  damage("item")
  const met = { code: "job/target", message: expect.stringContaining("the catalog is damaged"), hint: expect.stringContaining("run again") }
  expect(amount).toThrow(expect.objectContaining(met))
  expect(told).toEqual([])
  expect(amount()).toEqual({ files: 0, bytes: 0 })
  expect(told).toEqual([expect.stringContaining("damage was met")])
  expect(existsSync(`${path}.damaged`)).toBe(true)
  expect(amount()).toEqual({ files: 0, bytes: 0 })
  expect(told).toHaveLength(1)
})

test("damage in what every run reads puts the catalog aside at once", () => {
  fill()
  damage("run")
  expect(amount()).toEqual({ files: 0, bytes: 0 })
  expect(told).toHaveLength(1)
  expect(existsSync(`${path}.damaged`)).toBe(true)
})

test("who only reads looks through all of it first, and goes without where it is damaged", () => {
  fill()
  damage("item")
  using catalog = Catalog.openToRead(path)
  expect(new Items(catalog, "calls").amount()).toEqual({ files: 0, bytes: 0 })
  expect(existsSync(`${path}.damaged`)).toBe(false)
})

test("damage that was met is not held against a catalog that took its place", () => {
  fill()
  damage("item")
  expect(amount).toThrow("damaged")
  for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true })
  fill()
  expect(amount()).toEqual({ files: 500, bytes: 500 })
})
