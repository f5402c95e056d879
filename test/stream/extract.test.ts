import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { sha256 } from "../../src/digest.ts"
import type { SegmentKind } from "../../src/format/pack.ts"
import { generateIdentity } from "../../src/key/recipient.ts"
import { frameBytesMax, packBytesMax } from "../../src/limits.ts"
import { systemRandom } from "../../src/random.ts"
import { compress } from "../../src/stream/compress.ts"
import { Extractor } from "../../src/stream/extract.ts"
import { PackBuilder } from "../../src/stream/pack.ts"
import type { ExtractResult, FrameRange } from "../../src/stream/task.ts"

const identity = generateIdentity("x25519")
const mebibyte = 1024 * 1024
let target: string

beforeAll(() => {
  target = mkdtempSync(join(tmpdir(), "extract-"))
})

afterAll(() => {
  rmSync(target, { recursive: true, force: true })
})

/** What a manifest that names `extents` of a segment gets of it. */
function extract(
  plaintext: Uint8Array,
  kind: SegmentKind,
  extents: readonly FrameRange[],
  hash = "0".repeat(64),
): ExtractResult | undefined {
  const buffer = new ArrayBuffer(packBytesMax)
  const builder = new PackBuilder(buffer)
  const options = { recipients: [identity.recipient], reopen: "sample" as const, random: systemRandom }
  const { offset, length } = builder.add(kind, plaintext, options)
  const { bytes } = builder.finish()
  const looks = { mode: 0o600, mtimeNs: 0n, uid: 0, gid: 0 }
  const file = { id: 1, path: Buffer.from("file"), sha256: hash, ...looks, extents, first: true, last: true }
  const { files } = new Extractor().extract({
    type: "extract",
    fetched: [{ offset: 0, bytes: new Uint8Array(buffer, 0, bytes) }],
    segments: [{ offset, length, identities: [identity.secret.reveal()], files: [file] }],
    target: null,
    owners: false,
    audit: false,
  })
  return files[0]
}

/** As many frames of zeros, each inflating to `bytes`. */
function frames(count: number, bytes: number): { readonly plaintext: Uint8Array; readonly at: readonly FrameRange[] } {
  const frame = compress(Buffer.alloc(bytes))
  const at = Array.from({ length: count }, (_, i) => ({
    frameOffset: i * frame.length,
    frameLength: frame.length,
    skip: 0,
    length: bytes,
  }))
  return { plaintext: Buffer.concat(Array.from({ length: count }, () => frame)), at }
}

const tooMuch = { outcome: "rotten", code: "format/malformed", detail: expect.stringMatching(/locates more of one file than/) }

describe("what one segment is said to hold of one file", () => {
  test("may be a piece, in as many frames as it takes", () => {
    const { plaintext, at } = frames(2, frameBytesMax)
    const hash = sha256(Buffer.alloc(2 * frameBytesMax))
    expect(extract(plaintext, "tar.zst", at, hash)).toEqual({ id: 1, outcome: "done" })
  })

  test("may be the same bytes twice, which no writer of this format says", () => {
    const { plaintext, at } = frames(1, mebibyte)
    const hash = sha256(Buffer.alloc(2 * mebibyte))
    expect(extract(plaintext, "tar.zst", [...at, ...at], hash)).toEqual({ id: 1, outcome: "done" })
  })

  test("may not be more frames than a piece has, each in full", () => {
    const { plaintext, at } = frames(4, frameBytesMax)
    expect(extract(plaintext, "tar.zst", at)).toMatchObject(tooMuch)
  })

  test("may not be a byte of each of more frames than a piece has", () => {
    const { plaintext, at } = frames(4, frameBytesMax)
    const bytes = at.map((range) => ({ ...range, length: 1 }))
    expect(extract(plaintext, "tar.zst", bytes)).toMatchObject(tooMuch)
  })

  test("may not be the same frame again and again", () => {
    const { plaintext, at } = frames(1, mebibyte)
    const again = Array.from({ length: 25 }, () => at).flat()
    expect(extract(plaintext, "tar.zst", again)).toMatchObject(tooMuch)
  })

  test("may not be the same bytes of a recording again and again", () => {
    const range = { frameOffset: 0, frameLength: mebibyte, skip: 0, length: mebibyte }
    expect(
      extract(
        Buffer.alloc(mebibyte),
        "tar",
        Array.from({ length: 25 }, () => range),
      ),
    ).toMatchObject(tooMuch)
  })

  test("may not be single bytes far apart, for each of which much is opened", () => {
    const apart = Array.from({ length: 500 }, (_, i) => ({ frameOffset: (i % 2) * 512 * 1024, frameLength: 1, skip: 0, length: 1 }))
    expect(extract(Buffer.alloc(mebibyte), "tar", apart)).toMatchObject(tooMuch)
  })
})

test("a file that is there is found; what stands in the way of others is no reason to stop looking", () => {
  const bytes = "there"
  mkdirSync(join(target, "directory"))
  writeFileSync(join(target, "there"), bytes)
  const paths = ["there", "there/below", "directory", "directory/new/file", "../there", "new/file"]
  const files = paths.map((path, id) => ({ id, path: Buffer.from(path), size: bytes.length, sha256: sha256(bytes) }))
  const extractor = new Extractor()
  expect(extractor.compare({ type: "compare", target, files })).toEqual({ type: "compared", equal: [0] })
  extractor.abandon()
  expect(readdirSync(target).toSorted()).toEqual(["directory", "there"])
  expect(readdirSync(join(target, "directory"))).toEqual([])
  expect(readFileSync(join(target, "there"), "utf8")).toBe(bytes)
})
