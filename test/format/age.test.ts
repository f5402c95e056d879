import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { Decrypter, Encrypter } from "age-encryption"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import {
  chunkBytes,
  chunkRange,
  nonceBytes,
  openChunks,
  payloadKey,
  payloadLayout,
  sealedBytes,
  sealPayload,
  tagBytes,
} from "../../src/format/age.ts"
import { requireTool } from "../requires.ts"
import { flipped } from "./damage.ts"

const folder = join(import.meta.dirname, "../vectors/age")
const sizes = [0, 1, 65_535, 65_536, 65_537, 131_072, 200_000] as const
const kinds = ["x25519", "hybrid"] as const
const sealedChunk = chunkBytes + tagBytes

/** What the vectors' README says is in them. */
function plaintextOf(size: number): Buffer {
  return Buffer.from(Array.from({ length: size }, (_, i) => (i * 131 + (i >> 8) * 17 + 7) & 255))
}

const identityIn = (file: string): string => /AGE-SECRET-KEY-\S+/.exec(readFileSync(join(folder, file), "utf8"))?.[0] ?? "none"

function headerBytesOf(file: Buffer): number {
  const mac = file.indexOf("\n--- ")
  const end = mac < 0 ? -1 : file.indexOf("\n", mac + 1)
  if (end < 0) throw new Error("no whole header")
  return end + 1
}

async function fileKeyOf(header: Uint8Array, identity: string): Promise<Uint8Array> {
  const decrypter = new Decrypter()
  decrypter.addIdentity(identity)
  return await decrypter.decryptHeader(header)
}

interface Vector {
  readonly file: Buffer
  readonly headerBytes: number
  readonly fileKey: Uint8Array
}

async function vectorOf(kind: string, size: number): Promise<Vector> {
  const file = readFileSync(join(folder, `${kind}-${String(size)}.age`))
  const headerBytes = headerBytesOf(file)
  const fileKey = await fileKeyOf(file.subarray(0, headerBytes), identityIn(`${kind}.txt`))
  return { file, headerBytes, fileKey }
}

/** A range of plaintext, read from just the chunks it lies in; the nonce is the file's own. */
function read(file: Buffer, headerBytes: number, fileKey: Uint8Array, offset?: number, length?: number): Buffer {
  const layout = payloadLayout(file.length, headerBytes)
  const wanted = { offset: offset ?? 0, length: length ?? layout.plaintextBytes }
  const range = chunkRange(layout, wanted.offset, wanted.length)
  const key = payloadKey(fileKey, file.subarray(headerBytes, layout.start))
  const opened = openChunks(file.subarray(range.offset, range.offset + range.length), key, range, layout)
  const skip = wanted.offset - range.first * chunkBytes
  return Buffer.from(opened.subarray(skip, skip + wanted.length))
}

const refused = expect.objectContaining({ code: expect.stringMatching(/^format\/(?:malformed|mismatch)$/) })

describe.each(kinds)("files of the age command line, %s", (kind) => {
  test.each(sizes)("%i bytes are exactly the bytes that went in", async (size) => {
    const { file, headerBytes, fileKey } = await vectorOf(kind, size)
    expect(read(file, headerBytes, fileKey).equals(plaintextOf(size))).toBe(true)
    expect(file.length).toBe(sealedBytes(size, headerBytes))
  })

  test.each(sizes)("any range of %i bytes is the slice, read from its chunks alone", async (size) => {
    const { file, headerBytes, fileKey } = await vectorOf(kind, size)
    const plaintext = plaintextOf(size)
    const edges = [0, 1, chunkBytes - 1, chunkBytes, chunkBytes + 1, 2 * chunkBytes - 1, 2 * chunkBytes, size - 1, size].filter(
      (at) => at >= 0 && at <= size,
    )
    for (const from of edges) {
      for (const to of edges) {
        if (to < from) continue
        expect(
          read(file, headerBytes, fileKey, from, to - from).equals(plaintext.subarray(from, to)),
          `${String(from)} to ${String(to)}`,
        ).toBe(true)
      }
    }
    const layout = payloadLayout(file.length, headerBytes)
    for (const [offset, length] of [
      [-1, 1],
      [0, size + 1],
      [size, 1],
      [size + 1, 0],
      [0, -1],
    ] as const) {
      expect(() => chunkRange(layout, offset, length)).toThrow(refused)
    }
  })

  test.each([0, 1])("%i bytes cut at every length, or with every byte changed, are refused", async (size) => {
    const { file, headerBytes, fileKey } = await vectorOf(kind, size)
    for (let length = headerBytes; length < file.length; length++) {
      expect(() => read(file.subarray(0, length), headerBytes, fileKey), `cut at ${String(length)}`).toThrow(refused)
    }
    for (let at = headerBytes; at < file.length; at++) {
      for (let bit = 1; bit < 256; bit *= 2) {
        expect(() => read(flipped(file, at, bit), headerBytes, fileKey), `byte ${String(at)}`).toThrow(refused)
      }
    }
  })

  test("a header cut at every length, or changed, gives no file key", async () => {
    const { file, headerBytes } = await vectorOf(kind, 0)
    const header = file.subarray(0, headerBytes)
    const identity = identityIn(`${kind}.txt`)
    for (let length = 0; length < headerBytes; length++) {
      await expect(fileKeyOf(header.subarray(0, length), identity), `cut at ${String(length)}`).rejects.toThrow()
    }
    // The library takes 6 ms for a hybrid header: every seventh byte of those.
    for (let at = 0; at < headerBytes; at += kind === "hybrid" ? 7 : 1) {
      await expect(fileKeyOf(flipped(header, at, 1), identity), `byte ${String(at)}`).rejects.toThrow()
    }
  })

  test.each(sizes.filter((size) => size > 1))("%i bytes cut or changed, at every boundary and in between, are refused", async (size) => {
    const { file, headerBytes, fileKey } = await vectorOf(kind, size)
    const start = headerBytes + nonceBytes
    const places = new Set<number>([headerBytes, start - 1, start, file.length - 1])
    for (let chunk = start; chunk <= file.length + sealedChunk; chunk += sealedChunk) {
      for (const near of [-17, -16, -15, -1, 0, 1, 15, 16, 17]) places.add(chunk + near)
    }
    for (let at = headerBytes; at < file.length; at += 7919) places.add(at)
    const within = [...places].filter((at) => at >= headerBytes && at < file.length)
    for (const at of within) {
      expect(() => read(file.subarray(0, at), headerBytes, fileKey), `cut at ${String(at)}`).toThrow(refused)
      expect(() => read(flipped(file, at, 0x40), headerBytes, fileKey), `byte ${String(at)}`).toThrow(refused)
    }
    expect(within.length).toBeGreaterThan(15)
    expect(() => read(Buffer.concat([file, Buffer.alloc(1)]), headerBytes, fileKey)).toThrow(refused)
    expect(() => read(Buffer.concat([file, Buffer.alloc(tagBytes)]), headerBytes, fileKey)).toThrow(refused)
  })

  test("chunks that change places, come twice or are dropped are refused", async () => {
    const { file, headerBytes, fileKey } = await vectorOf(kind, 200_000)
    const start = headerBytes + nonceBytes
    const head = file.subarray(0, start)
    const chunks = Array.from({ length: 4 }, (_, index) => file.subarray(start + index * sealedChunk, start + (index + 1) * sealedChunk))
    const [a, b, c, d] = chunks
    if (a === undefined || b === undefined || c === undefined || d === undefined) throw new Error("four chunks were expected")
    const orders = {
      swapped: [b, a, c, d],
      doubled: [a, a, b, c, d],
      dropped: [a, c, d],
      "first dropped": [b, c, d],
      "last dropped": [a, b, c],
      twice: [a, b, c, d, d],
      "last only": [d],
    }
    for (const [what, order] of Object.entries(orders))
      expect(() => read(Buffer.concat([head, ...order]), headerBytes, fileKey), what).toThrow(refused)
    const other = await vectorOf(kind, 131_072)
    const foreign = other.file.subarray(other.headerBytes + nonceBytes, other.headerBytes + nonceBytes + sealedChunk)
    expect(() => read(Buffer.concat([head, foreign, b, c, d]), headerBytes, fileKey)).toThrow(refused)
  })

  test("an empty last chunk after others is refused, though it is sealed as it should be", async () => {
    const { headerBytes, fileKey } = await vectorOf(kind, 0)
    const one = Buffer.alloc(sealedBytes(chunkBytes, headerBytes) + tagBytes)
    const full = Buffer.alloc(sealedBytes(2 * chunkBytes, headerBytes))
    sealPayload(Buffer.alloc(2 * chunkBytes), payloadKey(fileKey, Buffer.alloc(nonceBytes)), full, headerBytes)
    one.set(full.subarray(0, headerBytes + nonceBytes + sealedChunk))
    expect(() => payloadLayout(one.length, headerBytes)).toThrow(refused)
  })
})

const byteSize = fc.oneof(
  fc.nat({ max: 300 }),
  fc.tuple(fc.constantFrom(1, 2, 3), fc.integer({ min: -2, max: 2 })).map(([chunks, off]) => chunks * chunkBytes + off),
)

test("what is sealed opens, whole and in any range", () => {
  fc.assert(
    fc.property(byteSize, fc.nat(), fc.nat(), fc.nat({ max: 300 }), (size, a, b, headerBytes) => {
      const plaintext = plaintextOf(size)
      const file = Buffer.alloc(sealedBytes(size, headerBytes))
      const fileKey = Buffer.alloc(16, a & 255)
      const key = payloadKey(fileKey, Buffer.alloc(nonceBytes, b & 255))
      expect(sealPayload(plaintext, key, file, headerBytes)).toBe(file.length)
      const [from, to] = [a % (size + 1), b % (size + 1)].toSorted((one, two) => one - two)
      if (from === undefined || to === undefined) throw new Error("two numbers were expected")
      expect(read(file, headerBytes, fileKey).equals(plaintext)).toBe(true)
      expect(read(file, headerBytes, fileKey, from, to - from).equals(plaintext.subarray(from, to))).toBe(true)
      expect(() => read(file, headerBytes, flipped(fileKey, 0, 1))).toThrow(refused)
    }),
    { numRuns: 60 },
  )
})

/** An age file whose header is the library's and whose payload is ours. */
async function sealed(size: number): Promise<Buffer> {
  let fileKey = new Uint8Array(0)
  const encrypter = new Encrypter()
  encrypter.addRecipient(/age1\S+/.exec(readFileSync(join(folder, "x25519.txt"), "utf8"))?.[0] ?? "none")
  encrypter.addRecipient({
    wrapFileKey: (key) => {
      fileKey = key.slice()
      return []
    },
  })
  const empty = Buffer.from(await encrypter.encrypt(new Uint8Array(0)))
  const header = empty.subarray(0, empty.length - nonceBytes - tagBytes)
  const file = Buffer.alloc(sealedBytes(size, header.length))
  file.set(header)
  sealPayload(plaintextOf(size), payloadKey(fileKey, Buffer.alloc(nonceBytes, 3)), file, header.length)
  return file
}

test.each(sizes)("the library opens %i bytes sealed here", async (size) => {
  const decrypter = new Decrypter()
  decrypter.addIdentity(identityIn("x25519.txt"))
  expect(Buffer.from(await decrypter.decrypt(await sealed(size))).equals(plaintextOf(size))).toBe(true)
})

test.for(sizes)("the age command line opens %i bytes sealed here", async (size, context) => {
  const lacking = requireTool("age")
  if (lacking !== null) context.skip(lacking)
  const opened = execFileSync("age", ["-d", "-i", join(folder, "x25519.txt")], { input: await sealed(size), maxBuffer: 1 << 20 })
  expect(opened.equals(plaintextOf(size))).toBe(true)
})
