import { join } from "node:path"
import { expect, test } from "vitest"
import { sha256 } from "../../src/digest.ts"
import { restore } from "../../src/operation/restore.ts"
import { type MemoryObjects, memorySite } from "../../src/site/memory.ts"
import type { OpenedSite } from "../../src/site/site.ts"
import type { Source } from "../../src/source/source.ts"
import { labClock, openLab } from "./lab.ts"
import { filesOf } from "./trees.ts"

const hour = 3_600_000
const rowsAnHour = 4_000

/** Each run gives every account a piece of an hour's calls. */
function calls(accounts: number): Source {
  return {
    description: "calls",
    async *capture({ now }) {
      const time = now.toISOString()
      for (let account = 0; account < accounts; account++) {
        const bytes = Buffer.from(`${time}\tcustomer-${String(account)}\tanswered\n`.repeat(rowsAnHour / 60))
        const stableId = `customer-${String(account)}`
        const path = Buffer.from(`accounts/${stableId}/cdr/${time.slice(0, 10)}/${time.slice(11, 13)}.tsv`)
        const item = { stableId, day: time.slice(0, 10), path, type: "file" as const, size: bytes.length, mtimeNs: 0n, mode: 0o600 }
        yield { item: { ...item, uid: 0, gid: 0, compressible: true, flags: [], content: { kind: "bytes", bytes, sha256: sha256(bytes) } } }
      }
    },
  }
}

/** The site, and how many bytes were read from it. */
function counted(opened: OpenedSite): { readonly opened: OpenedSite; readonly read: () => number } {
  let bytes = 0
  const { site } = opened
  const counting = {
    name: site.name,
    put: site.put.bind(site),
    head: site.head.bind(site),
    list: site.list.bind(site),
    get: async (...given: Parameters<typeof site.get>) => {
      const got = await site.get(...given)
      bytes += got.length
      return got
    },
  }
  return { opened: { ...opened, site: counting }, read: () => bytes }
}

test("one customer of many comes back from many runs for little more than its own bytes; without the catalog's memory for more, and the same", async () => {
  const [accounts, runs] = [60, 24]
  const clock = labClock(new Date("2031-03-04T00:30:00Z"))
  const objects: MemoryObjects[] = [new Map(), new Map()]
  const sites = objects.map((of, index) => counted(memorySite(`site-${String(index)}`, clock, of)))
  const [a, b] = sites
  if (a === undefined || b === undefined) throw new Error("two sites")
  await using lab = await openLab({ now: clock.now(), sites: { a: a.opened, b: b.opened } })
  for (let run = 0; run < runs; run++) {
    expect(await lab.run({ guard: { shrink: 0.9 } }, calls(accounts))).toMatchObject({ outcome: "ok" })
    lab.clock.advance(hour)
  }
  const before = a.read() + b.read()
  const request = { dataset: "call-recordings", accounts: ["customer-7"], identities: [lab.operations] }
  const report = await restore(request, { path: join(lab.directory, "one"), owners: false }, lab.world())
  expect(report).toMatchObject({ outcome: "ok", restored: { files: runs } })
  expect(a.read() + b.read() - before).toBeLessThan(1.2 * report.restored.bytes + 4096 * runs)

  const { Catalog } = await import("../../src/catalog/catalog.ts")
  const empty = Catalog.open(":memory:", () => undefined)
  const world = lab.world({ catalog: empty })
  expect(await restore(request, { path: join(lab.directory, "cold"), owners: false }, world)).toMatchObject({ outcome: "ok" })
  expect(filesOf(join(lab.directory, "cold"))).toEqual(filesOf(join(lab.directory, "one")))
  empty.close()
}, 60_000)
