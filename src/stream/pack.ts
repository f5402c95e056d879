import { hash } from "node:crypto"
import { type Digest, digestSchema } from "../digest.ts"
import { FormatError } from "../errors.ts"
import { packedBytes, packHeader, type SegmentKind } from "../format/pack.ts"
import { blockBytes, paddingOf, trailer } from "../format/tar.ts"
import { packBytesMax, packMembersMax } from "../limits.ts"
import { encrypt, type SealOptions } from "./encrypt.ts"

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

  /** Seals a segment into the pack; says where its age file lies. */
  add(kind: SegmentKind, plaintext: Uint8Array, options: SealOptions): { readonly offset: number; readonly length: number } {
    if (this.#members >= packMembersMax) throw new FormatError("format/too-large", "pack: too many members")
    const offset = this.#position + blockBytes
    const length = encrypt(plaintext, options, (sealed) => {
      if (this.#position + packedBytes(sealed) + trailer.length > this.#out.length) {
        throw new FormatError("format/too-large", "pack: planned too large")
      }
      this.#out.set(packHeader(this.#members, kind, sealed), this.#position)
      return { out: this.#out, at: offset }
    })
    const end = offset + length
    this.#out.fill(0, end, end + paddingOf(length))
    this.#position = end + paddingOf(length)
    this.#members += 1
    return { offset, length }
  }

  finish(): { readonly bytes: number; readonly sha256: Digest } {
    if (this.#members === 0) throw new FormatError("format/malformed", "pack: nothing in it")
    this.#out.set(trailer, this.#position)
    const bytes = this.#position + trailer.length
    return { bytes, sha256: digestSchema.parse(hash("sha256", this.#out.subarray(0, bytes), "hex")) }
  }
}
