import { expect, test } from "vitest"
import { Catalog } from "../../src/catalog/catalog.ts"
import { type CapturedItem, Items } from "../../src/catalog/items.ts"
import { sourceMemory } from "../../src/catalog/memory.ts"
import { sha256 } from "../../src/digest.ts"

const [path, key, value] = ["cdr/piece.tsv", "row 1", "as it was"].map((text) => Buffer.from(text))
const commit = sha256("a commit")

function piece(more: Partial<CapturedItem> = {}): CapturedItem {
  const place = { account: "a1", epoch: "2031-W10", day: "2031-03-04", class: "cdrs-400" }
  const looks = { type: "file", size: 1, mtimeNs: 0n, ctimeNs: null, inode: null, mode: 0o600, uid: 0, gid: 0 } as const
  return { ...place, ...looks, path: path ?? Buffer.alloc(0), at: [], flags: [], ...more }
}

test("what a source remembers counts while the piece that holds it is kept, and not before or after", () => {
  const catalog = Catalog.open(":memory:", () => undefined)
  const items = new Items(catalog, "cdrs")
  const memory = sourceMemory(catalog, "cdrs")
  if (path === undefined || key === undefined || value === undefined) throw new Error("three")
  const recalled = (): unknown => [memory.recall("rows", [key])[0], [...memory.entries("rows", Buffer.from("row"))].length]

  memory.remember("rows", [[key, value]], { path, day: "2031-03-04" })
  expect(recalled()).toEqual([null, 0])
  items.record([piece({ missing: { reason: "failed", detail: "the server went away" } })], [], 1)
  expect(recalled()).toEqual([null, 0])
  items.record([piece()], [], 1)
  expect(recalled()).toEqual([value, 1])
  expect(sourceMemory(catalog, "others").recall("rows", [key])).toEqual([null])

  items.recall([piece()], [], commit)
  expect(recalled()).toEqual([value, 1])
  items.forgetCommit(commit)
  expect(recalled()).toEqual([null, 0])
  catalog.close()
})
