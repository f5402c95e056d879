import { execFileSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import fc from "fast-check"
import { extract } from "tar-stream"
import { expect, test } from "vitest"
import { z } from "zod"
import { sha256 } from "../../src/digest.ts"
import { padme } from "../../src/format/padme.ts"
import { fileHeader, fileMember, padHeader, pieceMember, sumLine } from "../../src/format/segment.ts"
import { blockBytes, paddingOf, readTar, tarHeader, trailer } from "../../src/format/tar.ts"
import { tarSegment } from "../recover/segments.ts"
import { requireTool } from "../requires.ts"
import { accepted, cuts, flips } from "./damage.ts"

interface File {
  readonly name: Buffer
  readonly content: Buffer
  readonly mode: number
  readonly mtime: number
}

function tarOf(files: readonly File[]): Buffer {
  const parts = files.flatMap(({ name, content, mode, mtime }) => [
    tarHeader({ name, size: content.length, mode, mtime }),
    content,
    new Uint8Array(paddingOf(content.length)),
  ])
  return Buffer.concat([...parts, trailer])
}

const read = (tar: Uint8Array) => readTar(tar, { what: "tar", membersMax: 1000 })

/** Bytes of any value but zero, with slashes where they hurt. */
const nameBytes = fc
  .oneof(
    fc.uint8Array({ min: 1, minLength: 1, maxLength: 400 }),
    fc.array(fc.constantFrom(0x2f, 0x61, 0xe9), { minLength: 90, maxLength: 300 }).map((bytes) => Uint8Array.from(bytes)),
    fc.integer({ min: 3990, max: 4097 }).map((length) => new Uint8Array(length).fill(0x62)),
  )
  .map((bytes) => Buffer.from(bytes))
const file: fc.Arbitrary<File> = fc.record({
  name: nameBytes,
  content: fc.uint8Array({ maxLength: 1500 }).map((bytes) => Buffer.from(bytes)),
  mode: fc.integer({ min: 0, max: 0o7777 }),
  mtime: fc.integer({ min: 0, max: 2 ** 33 - 1 }),
})

test("what goes in comes out: any name, content, mode and time", () => {
  fc.assert(
    fc.property(fc.array(file, { maxLength: 6 }), (files) => {
      const tar = tarOf(files)
      const back = read(tar).map(({ name, mode, mtime, offset, size }) => ({
        name: Buffer.from(name),
        content: tar.subarray(offset, offset + size),
        mode,
        mtime,
      }))
      expect(back).toEqual(files)
      expect(tar.length % blockBytes).toBe(0)
    }),
    { numRuns: 300 },
  )
})

const small = tarOf([
  { name: Buffer.from("d/a"), content: Buffer.from("content"), mode: 0o640, mtime: 1 },
  { name: Buffer.from("é".repeat(90)), content: Buffer.alloc(0), mode: 0o600, mtime: 2 ** 33 - 1 },
])

test("an archive cut anywhere is refused", () => {
  expect(accepted(cuts(small), read)).toEqual([])
})

// What a tar does not protect by itself is content, and a pax name beyond the hundred bytes that are there twice: age and the hash of
// the pack do.
test("an archive with a bit changed is refused, wherever its headers hold more than one way to say it", () => {
  const [first] = read(small)
  const content = { from: first?.offset ?? 0, to: (first?.offset ?? 0) + (first?.size ?? 0) }
  const name = small.indexOf(" path=") + 6
  const unprotected = (at: number): boolean => (at >= content.from && at < content.to) || (at >= name + 100 && at < name + 180)
  const damages = [...flips(small)].filter(({ what }) => !unprotected(Number(/byte (\d+)/.exec(what)?.[1])))
  expect(accepted(damages, read)).toEqual([])
  expect(damages.length).toBe(2 * (small.length - 7 - 80))
})

test("random bytes are refused, and nothing but refused", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 4096 }), fc.boolean(), (bytes, headed) => {
      const start = headed ? [small.subarray(0, 512)] : []
      expect(() => read(Buffer.concat([...start, bytes]))).toThrow(expect.objectContaining({ code: expect.stringMatching(/^format\//) }))
    }),
  )
})

test("more members than allowed are refused as soon as they are", () => {
  const many = tarOf(Array.from({ length: 5 }, () => ({ name: Buffer.from("a"), content: Buffer.alloc(0), mode: 0, mtime: 0 })))
  expect(readTar(many, { what: "x", membersMax: 5 })).toHaveLength(5)
  expect(() => readTar(many, { what: "x", membersMax: 4 })).toThrow(expect.objectContaining({ code: "format/too-large" }))
})

test("the short name beside a pax name never ends in a slash, which would make a directory of the file for older readers", () => {
  for (let slash = 90; slash < 110; slash++) {
    const name = Buffer.from(`${"a".repeat(slash)}/${"b".repeat(150)}`)
    const header = Buffer.from(tarHeader({ name, size: 0, mode: 0o600, mtime: 0 }))
    const [short = ""] = header.subarray(-512, -412).toString("latin1").split("\0")
    expect(name.toString().startsWith(short)).toBe(true)
    expect(short.endsWith("/")).toBe(false)
    expect(read(Buffer.concat([header, trailer])).map((entry) => entry.name)).toEqual([name])
  }
})

test("names and numbers that a header cannot hold are refused", () => {
  const member = { name: Buffer.from("a"), size: 0, mode: 0, mtime: 0 }
  for (const wrong of [
    { name: Buffer.alloc(0) },
    { name: Buffer.alloc(4098, 0x61) },
    { name: Buffer.from("a\0b") },
    { size: 2 ** 33 },
    { size: -1 },
    { mtime: 2 ** 33 },
    { mtime: -1 },
  ]) {
    expect(() => tarHeader({ ...member, ...wrong })).toThrow(expect.objectContaining({ code: expect.stringMatching(/^format\//) }))
  }
})

const bytesOf = (part: string | Buffer): Buffer => (typeof part === "string" ? Buffer.from(part) : part)

/** Names that a file system can hold, each in a folder of its own: at every length and split that ustar and pax treat differently. */
function hardNames(): Buffer[] {
  const names: Buffer[] = []
  const add = (...parts: (string | Buffer)[]): void => {
    names.push(Buffer.concat([Buffer.from(`d/${String(names.length).padStart(3, "0")}/`), ...parts.map(bytesOf)]))
  }
  for (const length of [1, 92, 93, 94, 95, 149, 150, 151, 250, 255]) add("n".repeat(length))
  for (const first of [92, 93, 94, 148, 149, 150])
    for (const second of [1, 99, 100, 101, 250]) add("a".repeat(first), "/", "b".repeat(second))
  add(Buffer.from([0xe9, 0xff, 0xfe]))
  add(Buffer.alloc(250, 0xe9))
  add("é".repeat(125))
  add("\n\r\t\\ '\"*")
  add("long\nline\\ ".repeat(20))
  add("-rf")
  add("deep/".repeat(200), "file")
  return names
}

const hardParts = hardNames().map((path, index) => ({
  path: path.subarray(2),
  content: Buffer.alloc(index * 37, index),
  mode: 0o640,
  mtimeNs: 1_763_640_000_000_000_000n,
}))

function below(folder: Buffer): Buffer[] {
  return readdirSync(folder, { withFileTypes: true, encoding: "buffer" }).flatMap((entry) => {
    const path = Buffer.concat([folder, Buffer.from("/"), entry.name])
    return entry.isDirectory() ? below(path) : [path]
  })
}

test("GNU tar unpacks a segment with names of every kind, and sha256sum agrees with it", (context) => {
  for (const tool of ["tar", "sha256sum"]) {
    const lacking = requireTool(tool)
    if (lacking !== null) context.skip(lacking)
  }
  const scratch = mkdtempSync(join(tmpdir(), "tar-"))
  try {
    writeFileSync(join(scratch, "segment.tar"), tarSegment(hardParts).plaintext)
    execFileSync("tar", ["-xf", "segment.tar", "--no-same-owner"], { cwd: scratch })
    const checked = execFileSync("sha256sum", ["--strict", "-c", "SHA256SUMS"], { cwd: scratch, env: { ...process.env, LC_ALL: "C" } })
    expect(checked.toString("latin1").match(/: OK$/gm)).toHaveLength(hardParts.length)
    const prefix = Buffer.byteLength(scratch) + 3
    const found = new Map(
      below(Buffer.from(join(scratch, "d"))).map((path) => [path.subarray(prefix).toString("latin1"), readFileSync(path)]),
    )
    expect(found).toEqual(new Map(hardParts.map(({ path, content }) => [path.toString("latin1"), content])))
  } finally {
    rmSync(scratch, { recursive: true })
  }
})

test("tar-stream reads the same members, none of them a directory", async () => {
  const parts = hardParts.filter(({ path }) => Buffer.from(path.toString()).equals(path))
  const found: unknown[] = []
  const reader = extract()
  reader.end(tarSegment(parts).plaintext)
  for await (const entry of reader) {
    const chunks: Buffer[] = []
    for await (const chunk of entry) chunks.push(z.instanceof(Buffer).parse(chunk))
    found.push([entry.header.type, entry.header.name, Buffer.concat(chunks).length])
  }
  const expected = parts.map(({ path, content }) => ["file", `d/${path.toString()}`, content.length])
  expect(found.slice(0, parts.length)).toEqual(expected)
  expect(found.slice(parts.length).map((entry) => String(entry).split(",")[1])).toEqual(["SHA256SUMS", ".pad"])
})

test("a segment's tar has a Padmé number of blocks, by one member of zeros", () => {
  fc.assert(
    fc.property(fc.integer({ min: 3, max: 40_000 }), (blocks) => {
      const pad = padHeader(blocks * blockBytes)
      const padded = blocks + (pad === null ? 0 : 1 + pad.contentBytes / blockBytes)
      expect(padded).toBe(padme(blocks))
      expect(padme(padded)).toBe(padded)
      expect(padded).toBeLessThanOrEqual(blocks * 1.12 + 1)
    }),
  )
})

test("sizes that differ little are padded to the same", () => {
  expect([100, 1000, 10_000, 1_000_000].map(padme)).toEqual([104, 1024, 10_240, 1_015_808])
  expect(new Set(Array.from({ length: 1000 }, (_, index) => padme(1_000_000 + index))).size).toBe(1)
})

test("members of a data segment lie below d/ and p/, whatever the path", () => {
  fc.assert(
    fc.property(nameBytes, fc.integer({ min: 1, max: 9_999_999 }), (path, piece) => {
      expect(fileMember(path).subarray(0, 2).toString()).toBe("d/")
      expect(pieceMember(path, piece).toString()).toBe(`p/${sha256(path)}/${String(piece).padStart(7, "0")}`)
    }),
  )
})

test("a time that a tar header cannot hold is clamped; the manifest has the true one", () => {
  const timeOf = (mtimeNs: bigint) => {
    const header = fileHeader(Buffer.from("a"), 0, { mode: 0o100_640, mtimeNs })
    const [entry] = read(Buffer.concat([header, trailer]))
    return [entry?.mtime, entry?.mode]
  }
  expect(timeOf(-5n)).toEqual([0, 0o640])
  expect(timeOf(10n ** 19n - 1n)).toEqual([2 ** 33 - 1, 0o640])
  expect(timeOf(1_999_999_999n)).toEqual([1, 0o640])
})

test("a line of SHA256SUMS is one line, however the name breaks", () => {
  const line = sumLine(sha256(""), Buffer.from("d/a\\b\nc\rd"))
  expect(line.toString()).toBe(`\\${sha256("")}  d/a\\\\b\\nc\\rd\n`)
})
