import { readFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { sha256 } from "../../src/digest.ts"
import { readHistory, type Snapshot } from "../../src/operation/history.ts"
import { Keyring } from "../../src/operation/keyring.ts"
import { restore } from "../../src/operation/restore.ts"
import { Listings } from "../../src/operation/select.ts"
import { type MemoryObjects, memorySite } from "../../src/site/memory.ts"
import type { Source } from "../../src/source/source.ts"
import { type Lab, labClock, openLab } from "./lab.ts"
import { sharedPool } from "./lab-pool.ts"

const pool = sharedPool()

type Contents = Readonly<Record<string, Readonly<Record<string, string>>>>

/** A whole of several accounts, such as a database by account: files of text by account. */
function whole(contents: Contents): Source {
  return {
    description: "a whole",
    async *capture({ now }) {
      for (const [stableId, files] of Object.entries(contents)) {
        for (const [name, text] of Object.entries(files)) {
          const bytes = Buffer.from(text)
          const mtimeNs = BigInt(now.getTime()) * 1_000_000n
          const item = { stableId, day: "", path: Buffer.from(`${stableId}/${name}`), type: "file" as const, size: bytes.length, mtimeNs }
          const looks = { mode: 0o600, uid: 0, gid: 0, compressible: true, flags: [] }
          yield { item: { ...item, ...looks, content: { kind: "bytes", bytes, sha256: sha256(bytes) } } }
        }
      }
    },
  }
}

const day = 86_400_000
const first: Contents = { maple: { a: "maple a", b: "maple b" }, birch: { a: "birch a" }, cedar: { a: "cedar a", b: "cedar b" } }

async function newest(lab: Lab): Promise<{ readonly snapshot: Snapshot; readonly partitions: string[] }> {
  const world = lab.world()
  const history = await readHistory(world)
  const snapshot = history.snapshots.at(-1)
  if (snapshot === undefined) throw new Error("no snapshot")
  const listings = new Listings(world, new Keyring(world, history, [lab.operations]))
  const lines = (await listings.partitions(snapshot)).map(({ line }) => line)
  return { snapshot, partitions: lines.map(({ partition }) => partition) }
}

async function restored(lab: Lab, name: string): Promise<(path: string) => string> {
  const path = join(lab.directory, name)
  const report = await restore({ dataset: "switch-config", identities: [lab.escrow] }, { path, owners: false }, lab.world())
  expect(report).toMatchObject({ outcome: "ok" })
  return (file) => readFileSync(join(path, file), "utf8")
}

test("a run writes the lists of accounts that changed, and lists those of the others again", async () => {
  await using lab = await openLab({ pool })
  const before = await lab.run({ mode: "state" }, whole(first))
  lab.clock.advance(day)
  const after = await lab.run({ mode: "state" }, whole({ ...first, birch: { a: "birch changed" } }))

  const { partitions } = await newest(lab)
  expect(partitions.toSorted()).toEqual([before.run, before.run, after.run].toSorted())
  const text = await restored(lab, "out")
  expect(["maple/a", "maple/b", "birch/a", "cedar/b"].map(text)).toEqual(["maple a", "maple b", "birch changed", "cedar b"])
})

test("a file that is gone, or came, is in a new list", async () => {
  await using lab = await openLab({ pool })
  await lab.run({ mode: "state" }, whole(first))
  const after = await lab.run({ mode: "state" }, whole({ ...first, maple: { a: "maple a" }, cedar: { a: "cedar a", c: "cedar b" } }))

  expect((await newest(lab)).partitions.filter((run) => run === after.run)).toHaveLength(2)
  const text = await restored(lab, "out")
  expect(() => text("maple/b")).toThrow("ENOENT")
  expect(() => text("cedar/b")).toThrow("ENOENT")
  expect(text("cedar/c")).toBe("cedar b")
})

test("lists that no site has any more, or that are too old to be listed again, are written anew", async () => {
  const clock = labClock(new Date("2031-03-04T12:00:00Z"))
  const objects: MemoryObjects[] = [new Map(), new Map()]
  const [a, b] = objects.map((of, index) => memorySite(`site-${String(index)}`, clock, of))
  if (a === undefined || b === undefined) throw new Error("two sites")
  await using lab = await openLab({ pool, now: clock.now(), sites: { a, b } })
  await lab.run({ mode: "state" }, whole(first))
  for (const of of objects) for (const key of of.keys()) if (key.includes("/meta/")) of.delete(key)

  const again = await lab.run({ mode: "state" }, whole(first))
  expect(again).toMatchObject({ outcome: "ok", captured: { files: 0 }, unchanged: { files: 5 } })
  expect((await newest(lab)).partitions).toEqual([again.run, again.run, again.run])
  expect((await restored(lab, "out"))("maple/b")).toBe("maple b")

  clock.advance(60 * day)
  lab.clock.advance(60 * day)
  const late = await lab.run({ mode: "state" }, whole(first))
  expect((await newest(lab)).partitions).toEqual([late.run, late.run, late.run])
})

test("of more accounts than a worker takes lists at once, each finds its own", async () => {
  await using lab = await openLab({ pool })
  const names = Array.from({ length: 150 }, (_, index) => `account-${String(index)}`)
  await lab.run({ mode: "state" }, whole(Object.fromEntries(names.map((name) => [name, { a: `of ${name}` }]))))
  const text = await restored(lab, "out")
  for (const name of names) expect(text(`${name}/a`)).toBe(`of ${name}`)
})

test("what a run that was not durable wrote is not listed again", async () => {
  await using lab = await openLab({ pool })
  const sites = lab.world().vault.sites.slice(0, 1)
  const short = await lab.run({ mode: "state" }, whole(first), { sites, durable: { copies: 2, providers: 1 }, spool: null })
  expect(short.outcome).toBe("failed")
  const good = await lab.run({ mode: "state" }, whole(first))
  expect(good.outcome).toBe("ok")
  expect((await newest(lab)).partitions).toEqual([good.run, good.run, good.run])
})

test("a source that gives one path twice captures nothing: the one would hide the other", async () => {
  await using lab = await openLab()
  const twice: Source = {
    description: "twice",
    async *capture(options) {
      yield* whole(first).capture(options)
      yield* whole({ maple: { a: "other rows" } }).capture(options)
    },
  }
  expect(await lab.run({ mode: "state" }, twice)).toMatchObject({ outcome: "failed", commits: [], failure: { code: "job/source" } })
})
