import { execFileSync } from "node:child_process"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { type Digest, sha256 } from "../../src/digest.ts"
import {
  commitKey,
  isAccountId,
  isAgentId,
  keyObjectKey,
  packKey,
  packPrefix,
  parseCommitKey,
  parseKeyObjectKey,
  parsePackKey,
} from "../../src/format/names.ts"
import { decodePack, encodePack, memberName, packedBytes, packHeader, type SegmentKind } from "../../src/format/pack.ts"
import { trailer } from "../../src/format/tar.ts"
import { packBytesMax } from "../../src/limits.ts"
import { requireTool } from "../requires.ts"
import { accepted, cuts, flips } from "./damage.ts"

const kind = fc.constantFrom<SegmentKind>("tar", "tar.zst")
const segment = fc.record({ kind, bytes: fc.uint8Array({ maxLength: 2000 }) })

describe("a pack", () => {
  test("gives back the segments that went in, from where it says they are", () => {
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 8 }), (segments) => {
        const pack = encodePack(segments)
        const members = decodePack(pack)
        expect(
          members.map((member) => ({
            kind: member.kind,
            bytes: new Uint8Array(pack.subarray(member.offset, member.offset + member.length)),
          })),
        ).toEqual(segments)
        expect(pack.length).toBe(segments.reduce((sum, { bytes }) => sum + packedBytes(bytes.length), trailer.length))
      }),
    )
  })

  const small = encodePack([
    { kind: "tar", bytes: Buffer.alloc(3, 1) },
    { kind: "tar.zst", bytes: Buffer.alloc(600, 2) },
  ])

  test("cut anywhere is refused", () => {
    expect(accepted(cuts(small), decodePack)).toEqual([])
  })

  test("with a bit changed is refused, or has the same members in the same places", () => {
    const outside = [...flips(small)].filter(({ bytes }) => {
      const members = decodePack(small)
      return members.every(({ offset, length }) =>
        bytes.subarray(offset, offset + length).equals(Buffer.from(small.subarray(offset, offset + length))),
      )
    })
    expect(outside.length).toBe(2 * (small.length - 603))
    expect(accepted(outside, decodePack)).toEqual([])
  })

  test("with anything behind it is refused", () => {
    for (const more of [1, 512, 1024]) expect(() => decodePack(Buffer.concat([small, Buffer.alloc(more)]))).toThrow("bytes after the end")
  })

  test("has 4096 members at most, and 32 MiB", () => {
    const one = { kind: "tar" as const, bytes: new Uint8Array(1) }
    expect(decodePack(encodePack(Array.from({ length: 4096 }, () => one)))).toHaveLength(4096)
    expect(() => encodePack(Array.from({ length: 4097 }, () => one))).toThrow(expect.objectContaining({ code: "format/too-large" }))
    expect(() => encodePack([])).toThrow(expect.objectContaining({ code: "format/too-large" }))
    const many = Buffer.concat([...Array.from({ length: 4097 }, (_, index) => [packHeader(index, "tar", 0)]).flat(), trailer])
    expect(() => decodePack(many)).toThrow(expect.objectContaining({ code: "format/too-large" }))
    expect(() => decodePack(new Uint8Array(packBytesMax + 1))).toThrow(expect.objectContaining({ code: "format/too-large" }))
    expect(() => encodePack([{ kind: "tar", bytes: new Uint8Array(packBytesMax) }])).toThrow(
      expect.objectContaining({ code: "format/too-large" }),
    )
  })

  test("is listed and unpacked by GNU tar", (context) => {
    const lacking = requireTool("tar")
    if (lacking !== null) context.skip(lacking)
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 5 }), (segments) => {
        const input = encodePack(segments)
        const names = segments.map((one, index) => memberName(index, one.kind))
        expect(execFileSync("tar", ["-tf", "-"], { input }).toString()).toBe(`${names.join("\n")}\n`)
        expect(execFileSync("tar", ["-xOf", "-"], { input })).toEqual(Buffer.concat(segments.map(({ bytes }) => bytes)))
      }),
      { numRuns: 20 },
    )
  })
})

describe("a name", () => {
  const name = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,20}$/)
  const digest = fc.uint8Array().map((bytes): Digest => sha256(bytes))
  const date = fc.constantFrom("2026-11-21", "1999-01-01")

  test("of a pack says all that it was made of", () => {
    fc.assert(
      fc.property(name.filter(isAgentId), fc.constantFrom("pack", "meta"), name, date, digest, (agent, packKind, className, day, sha) => {
        const made = { agent, kind: packKind, class: className, date: day, sha256: sha }
        const key = packKey(made)
        expect(parsePackKey(key)).toEqual(made)
        expect(key.startsWith(packPrefix(made))).toBe(true)
        expect([parseCommitKey(key), parseKeyObjectKey(key)]).toEqual([null, null])
      }),
    )
  })

  test("of a commit and of a key object says all that it was made of", () => {
    const bytes = Buffer.from("x")
    const hash32 = sha256(bytes).slice(0, 32)
    expect(parseCommitKey(commitKey("pbx-1", 42, bytes))).toEqual({ agent: "pbx-1", seq: 42, hash32 })
    const made = { account: "a".repeat(32), epoch: "2026w47", orgEpoch: 3 }
    expect(parseKeyObjectKey(keyObjectKey(made, bytes))).toEqual({ ...made, hash32 })
    expect(keyObjectKey({ account: "catalog", epoch: "tombstone", orgEpoch: 1 }, bytes)).toBe(`v1/keys/catalog/tombstone-e1-${hash32}.age`)
  })

  test("that nothing of this format has is nobody's", () => {
    const sha = sha256("")
    for (const key of [
      `v1/keys/pack/c/2026-11-21/${sha}.tar`,
      `v1/trust/meta/c/2026-11-21/${sha}.tar`,
      `v1/repository-1/pack/c/2026-11-21/${sha}.tar`,
      `v1/A/pack/c/2026-11-21/${sha}.tar`,
      `v1/a/pack/../2026-11-21/${sha}.tar`,
      `v1/a/pack/c/2026-11-21/${sha}.tar.tmp`,
      `v1/a/pack/c/2026-11-21/${sha.toUpperCase()}.tar`,
      `v2/a/pack/c/2026-11-21/${sha}.tar`,
      `v1/a/log/1-${sha.slice(0, 32)}.json`,
      `v1/keys/log/000000000001-${sha.slice(0, 32)}.json`,
      `v1/keys/somebody/1-e1-${sha.slice(0, 32)}.age`,
      `v1/keys/platform/1-e01-${sha.slice(0, 32)}.age`,
    ]) {
      expect([parsePackKey(key), parseCommitKey(key), parseKeyObjectKey(key)], key).toEqual([null, null, null])
    }
  })

  test("of an agent is never that of a folder beside it", () => {
    expect(["keys", "trust", "repository-1", "repository-", "", "-a", "a/b", "..", "Ä", "a".repeat(64)].filter(isAgentId)).toEqual([])
    expect(["repository", "keys-1", "a", "0", "a".repeat(63)].every(isAgentId)).toBe(true)
  })

  test("of a key object is refused where account or epoch is none", () => {
    for (const wrong of [
      { account: "Muster GmbH" },
      { account: "A".repeat(32) },
      { epoch: "1/2" },
      { epoch: "" },
      { epoch: "x".repeat(17) },
    ]) {
      const made = { account: "platform", epoch: "1", orgEpoch: 1, ...wrong }
      expect(() => keyObjectKey(made, Buffer.alloc(0))).toThrow(expect.objectContaining({ code: "format/malformed" }))
    }
    expect(["platform", "mixed", "catalog", "0".repeat(32)].every(isAccountId)).toBe(true)
  })
})
