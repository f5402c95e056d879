import { execFileSync } from "node:child_process"
import { join } from "node:path"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { type Digest, sha256 } from "../../src/digest.ts"
import { decodeInventory, encodeInventory, type InventoryPartition, ListingDigest } from "../../src/format/inventory.ts"
import { decodeManifest, type Extent, encodeManifest, type ManifestItem } from "../../src/format/manifest.ts"
import { tarSegment } from "../recover/segments.ts"
import { accepted, cuts, flips } from "./damage.ts"

const place = { repository: "1".repeat(32), agent: "pbx-1", account: "2".repeat(32), dataset: "cdrs", partition: "2026-11-20" }
const header = { ...place, part: 0, parts: 1 }
const digest = fc.integer({ min: 0, max: 5 }).map((n): Digest => sha256(String(n)))
const count = fc.nat({ max: 2 ** 40 })
const extent: fc.Arbitrary<Extent> = fc.record({
  pack: digest,
  segmentOffset: count,
  segmentLength: count,
  frameOffset: count,
  frameLength: count,
  skip: count,
  length: count,
})
const path = fc
  .oneof(
    fc.uint8Array({ min: 1, minLength: 1, maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    fc
      .string({ unit: "grapheme", minLength: 1, maxLength: 40 })
      .filter((text) => !text.includes("\0"))
      .map((text) => Buffer.from(text)),
  )
  .filter((bytes) => bytes.length > 0)
const common = {
  path,
  mtimeNs: fc.bigInt({ min: -(10n ** 18n), max: 10n ** 19n - 1n }),
  mode: fc.integer({ min: 0, max: 0o7777 }),
  uid: count,
  gid: count,
  flags: fc.array(fc.constantFrom("sparse", "hard-link"), { maxLength: 2 }),
}
const item: fc.Arbitrary<ManifestItem> = fc.oneof(
  fc.record({ ...common, at: fc.array(extent, { maxLength: 3 }), sha256: digest }).map((file) => ({
    ...file,
    type: "file" as const,
    size: file.at.reduce((sum, { length }) => sum + length, 0),
  })),
  fc.record({ ...common, type: fc.constant("directory" as const), size: count, at: fc.constant([]) }),
  fc.record({ ...common, type: fc.constant("symlink" as const), size: count, at: fc.constant([]), link: path }),
  fc.record({
    ...common,
    type: fc.constantFrom("file", "directory", "symlink"),
    size: count,
    at: fc.constant([]),
    missing: fc.record({ reason: fc.constantFrom("torn", "unreadable"), detail: fc.string({ maxLength: 100 }) }),
  }),
  fc.record({
    ...common,
    type: fc.constantFrom("file", "directory", "symlink"),
    size: count,
    at: fc.constant([]),
    gone: fc.constant(true as const),
  }),
)
const items = fc
  .uniqueArray(item, { maxLength: 10, selector: (one) => one.path.toString("latin1") })
  .map((list) => list.toSorted((a, b) => Buffer.compare(a.path, b.path)))

const file = (name: string, content = ""): ManifestItem => ({
  path: Buffer.from(name),
  type: "file",
  size: content.length,
  mtimeNs: 0n,
  mode: 0o644,
  uid: 0,
  gid: 0,
  flags: [],
  sha256: sha256(content),
  at:
    content === ""
      ? []
      : [
          {
            pack: sha256("p"),
            segmentOffset: 512,
            segmentLength: 300,
            frameOffset: 512,
            frameLength: content.length,
            skip: 0,
            length: content.length,
          },
        ],
})

describe("a manifest", () => {
  test("gives back what went in: any path, time, kind and place", () => {
    fc.assert(
      fc.property(items, (list) => {
        const { tar, sha256: named } = encodeManifest(header, list)
        const back = decodeManifest(tar, { ...place, sha256: named })
        expect(back.items).toEqual(list)
        expect(encodeManifest(header, back.items)).toEqual({ tar, sha256: named })
      }),
      { numRuns: 300 },
    )
  })

  const made = encodeManifest(header, [file("a", "abc"), file("b")])
  const decode = (tar: Uint8Array) => decodeManifest(tar, { ...place, sha256: made.sha256 })

  test("cut anywhere, or with any bit changed, is refused", () => {
    expect(decode(made.tar).items).toHaveLength(2)
    expect(accepted(cuts(made.tar), decode)).toEqual([])
    expect(accepted(flips(made.tar), decode)).toEqual([])
  })

  test.each(Object.keys(place))("transplanted to another %s is refused", (field) => {
    const elsewhere = { ...place, sha256: made.sha256, [field]: { repository: "3".repeat(32), account: "4".repeat(32) }[field] ?? "other" }
    expect(() => decodeManifest(made.tar, elsewhere)).toThrow(expect.objectContaining({ code: "format/foreign" }))
  })

  test("cannot be imitated by a file that was captured, whatever it is called or holds", () => {
    for (const name of ["MANIFEST.jsonl", "../MANIFEST.jsonl", "INVENTORY.jsonl"]) {
      const lines = Buffer.from(made.tar.subarray(512, made.tar.length - 1024))
      const { plaintext } = tarSegment([{ path: Buffer.from(name), content: lines, mode: 0o600, mtimeNs: 0n }])
      expect(() => decode(plaintext)).toThrow(
        expect.objectContaining({ code: "format/too-large", message: expect.stringContaining("more than 1 members") }),
      )
    }
  })

  test("is not written where no reader would take it", () => {
    const good = file("a", "abc")
    for (const [wrong, words] of [
      [{ size: 4 }, "do not add up"],
      [{ missing: { reason: "torn", detail: "x".repeat(501) }, at: [] }, "missing.detail"],
      [{ mode: 0o10000 }, "mode"],
      [{ uid: -1 }, "uid"],
      [{ link: Buffer.from("x") }, "a target without link"],
      [{ type: "symlink" as const, at: [] }, "without target"],
      [{ type: "directory" as const }, "no captured file"],
      [{ path: Buffer.alloc(4096, 0x61) }, "bad path"],
      [{ path: Buffer.from("a\0b") }, "bad path"],
      [{ mtimeNs: 10n ** 19n }, "nanoseconds"],
    ] as const) {
      expect(() => encodeManifest(header, [{ ...good, ...wrong }]), words).toThrow(words)
    }
    const { sha256: _, ...without } = good
    expect(() => encodeManifest(header, [without])).toThrow("without SHA-256")
    expect(() => encodeManifest(header, [file("b"), file("a")])).toThrow("out of order")
    expect(() => encodeManifest(header, [file("a"), file("a")])).toThrow("twice")
    expect(() => encodeManifest({ ...header, account: "Muster GmbH" }, [])).toThrow("expected an account id")
  })

  test("sorts by bytes, not by letters", () => {
    const paths = [
      Buffer.from("a"),
      Buffer.from("a/b"),
      Buffer.from("b"),
      Buffer.from("\u{ffff}"),
      Buffer.from("\u{10000}"),
      Buffer.from([0xff]),
    ]
    const list = paths.map((one) => ({ ...file("x"), path: one }))
    const { tar, sha256: named } = encodeManifest(header, list)
    expect(decodeManifest(tar, { ...place, sha256: named }).items.map((one) => one.path)).toEqual(paths)
  })
})

describe("an inventory", () => {
  const partition: InventoryPartition = {
    account: place.account,
    epoch: "1",
    partition: "2026-11-20",
    manifests: [[sha256("meta"), 0, sha256("manifest")]],
    files: 1,
    bytes: 9,
    missing: [["torn", 2]],
    salt: "5".repeat(32),
    listing: sha256("listing"),
    replaces: [sha256("before")],
  }
  const expected = { repository: place.repository, agent: place.agent, dataset: place.dataset, run: "6".repeat(32), part: 2, parts: 3 }
  const made = encodeInventory(expected, [partition, { ...partition, partition: "2026-11-21" }])

  test("gives back what went in", () => {
    const back = decodeInventory(made, expected)
    expect(back.partitions).toEqual([partition, { ...partition, partition: "2026-11-21" }])
    expect(back.header).toEqual({ ...expected, v: 1 })
  })

  // Its integrity is the commit's business, by the hash of its pack: here only its form can be checked.
  test("cut anywhere is refused", () => {
    expect(accepted(cuts(made), (tar) => decodeInventory(tar, expected))).toEqual([])
  })

  test.each(Object.keys(expected))("of another %s is refused", (field) => {
    const elsewhere = { ...expected, [field]: { repository: "3".repeat(32), part: 1, parts: 9 }[field] ?? "other" }
    expect(() => decodeInventory(made, elsewhere)).toThrow(expect.objectContaining({ code: "format/foreign" }))
  })

  test("is not written where no reader would take it", () => {
    expect(() => encodeInventory(expected, [{ ...partition, manifests: [] }])).toThrow("manifests")
    expect(() => encodeInventory(expected, [{ ...partition, account: "Muster GmbH" }])).toThrow("expected an account id")
  })
})

test("the listing digest tells every change of a listing, and without its salt nothing", () => {
  const of = (salt: string, files: readonly (readonly [string, number, bigint])[]): Digest => {
    const listed = new ListingDigest(salt)
    for (const [name, size, mtimeNs] of files) listed.add(Buffer.from(name), size, mtimeNs)
    return listed.digest()
  }
  const salt = "7".repeat(32)
  expect(of(salt, [["a", 1, -2n]])).toBe(sha256(Buffer.concat([Buffer.from(salt, "hex"), Buffer.from("a\x001\0-2\n")])))
  const all = [
    of(salt, [["a", 1, 2n]]),
    of("8".repeat(32), [["a", 1, 2n]]),
    of(salt, [["b", 1, 2n]]),
    of(salt, [["a", 12, 2n]]),
    of(salt, [["a", 1, 22n]]),
    of(salt, []),
    of(salt, [
      ["a", 1, 2n],
      ["b", 1, 2n],
    ]),
  ]
  expect(new Set(all).size).toBe(all.length)
})

test("listings made to use up memory are refused in 128 MiB", () => {
  const bombs = join(import.meta.dirname, "bombs.ts")
  const output = execFileSync(process.execPath, ["--max-old-space-size=128", bombs], { encoding: "utf8" })
  expect(output).toBe("9 refused\n")
})
