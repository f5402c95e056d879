import { hash } from "node:crypto"
import { type Digest, digestOf } from "../digest.ts"
import { FormatError } from "../errors.ts"
import { packedBytes, packHeader, type SegmentKind } from "../format/pack.ts"
import { blockBytes, paddingOf, trailer } from "../format/tar.ts"
import { packBytesMax, packMembersMax } from "../limits.ts"
import { encrypt, type SealOptions } from "./encrypt.ts"

/** Where a member's age file lies in its pack. */
export interface MemberRange {
  readonly offset: number
  readonly length: number
}

/** A pack as it grows in a buffer that is not its own; unpacking is decrypt's and extract's, by the ranges of a manifest. */
export class PackBuilder {
  readonly #out: Uint8Array
  #position = 0
  #members = 0

  constructor(buffer: ArrayBuffer) {
    this.#out = new Uint8Array(buffer, 0, Math.min(buffer.byteLength, packBytesMax))
  }

  get members(): number {
    return this.#members
  }

  /** What the pack would have if it were finished now. */
  get bytes(): number {
    return this.#position + trailer.length
  }

  /** Seals a segment into the pack; says where its age file lies. */
  add(kind: SegmentKind, plaintext: Uint8Array, options: SealOptions): MemberRange {
    return rangeOf(encrypt(plaintext, options, (length) => this.#begin(kind, length)))
  }

  /** Adds a segment that is an age file already. */
  append(kind: SegmentKind, sealed: Uint8Array): MemberRange {
    const member = this.#begin(kind, sealed.length)
    member.set(sealed)
    return rangeOf(member)
  }

  #begin(kind: SegmentKind, length: number): Uint8Array {
    if (this.#members >= packMembersMax) throw new FormatError("format/too-large", "pack: too many members")
    if (this.bytes + packedBytes(length) > this.#out.length) throw new FormatError("format/too-large", "pack: planned too large")
    this.#out.set(packHeader(this.#members, kind, length), this.#position)
    const start = this.#position + blockBytes
    const end = start + length
    this.#position = end + paddingOf(length)
    this.#out.fill(0, end, this.#position)
    this.#members += 1
    return this.#out.subarray(start, end)
  }

  finish(): { readonly bytes: number; readonly sha256: Digest } {
    if (this.#members === 0) throw new FormatError("format/malformed", "pack: nothing in it")
    this.#out.set(trailer, this.#position)
    const bytes = this.#position + trailer.length
    return { bytes, sha256: digestOf(hash("sha256", this.#out.subarray(0, bytes), "hex")) }
  }
}

// A pack's buffer begins with the pack.
function rangeOf({ byteOffset, length }: Uint8Array): MemberRange {
  return { offset: byteOffset, length }
}
