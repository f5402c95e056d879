import { randomBytes } from "node:crypto"
import { describe, expect, test } from "vitest"
import { chunkBytes, nonceBytes, tagBytes } from "../../src/format/age.ts"
import { parseHeader, prepareIdentity } from "../../src/key/header.ts"
import { generateIdentity } from "../../src/key/recipient.ts"
import { systemRandom } from "../../src/random.ts"
import { decrypt, encrypt, type Reopen } from "../../src/stream/encrypt.ts"

const identity = generateIdentity("x25519")
const prepared = prepareIdentity(identity)
const headerBytes = parseHeader(sealed(new Uint8Array(), "all")).length
const chunk = chunkBytes + tagBytes

function sealed(
  plaintext: Uint8Array,
  reopen: Reopen,
  room: (length: number) => Uint8Array = (length) => new Uint8Array(length),
): Uint8Array {
  return encrypt(plaintext, { recipients: [identity.recipient], reopen, random: systemRandom }, room)
}

/** Memory with one bit that does not stay as it is written. */
function memory(length: number, weak: number): Uint8Array {
  class Weak extends Uint8Array {
    override set(bytes: ArrayLike<number>, at = 0): void {
      super.set(bytes, at)
      if (weak >= at && weak < at + bytes.length) this[weak] = (bytes[weak - at] ?? 0) ^ 1
    }
  }
  return new Weak(length)
}

/** The position in an age file of a byte of its payload. */
function inChunk(index: number): number {
  return headerBytes + nonceBytes + index * chunk + 5
}

describe.each(["all", "sample"] as const)("a segment of which %s is opened again", (reopen) => {
  test.each([0, 1, chunkBytes, 3 * chunkBytes + 7])("opens to the %i bytes it was sealed from", (size) => {
    const plaintext = randomBytes(size)
    const file = sealed(plaintext, reopen)
    const opened = decrypt({ length: file.length, head: file, bytes: (at, length) => file.subarray(at, at + length) }, prepared)
    expect(Buffer.from(opened.read(0, opened.plaintextBytes)).equals(plaintext)).toBe(true)
  })

  test("is refused where its header, its first or its last chunk did not become what was written", () => {
    const plaintext = randomBytes(3 * chunkBytes + 7)
    for (const weak of [0, headerBytes - 1, inChunk(0), inChunk(3), headerBytes + nonceBytes + 3 * chunk + 7 + tagBytes - 1]) {
      expect(() => sealed(plaintext, reopen, (length) => memory(length, weak)), `byte ${String(weak)}`).toThrow(
        expect.objectContaining({ code: expect.stringMatching(/^format\/(?:malformed|mismatch)$/) }),
      )
    }
  })
})

test("any chunk counts where all of a segment is opened again", () => {
  const plaintext = randomBytes(4 * chunkBytes)
  for (const index of [1, 2]) {
    expect(() => sealed(plaintext, "all", (length) => memory(length, inChunk(index)))).toThrow(
      expect.objectContaining({ code: "format/mismatch" }),
    )
  }
})
