import { FormatError } from "../errors.ts"
import type { SegmentKind } from "../format/pack.ts"
import { padme } from "../format/padme.ts"
import { padHeader } from "../format/segment.ts"
import { trailer } from "../format/tar.ts"
import { paddingBytesMin, writePadding } from "../format/zstd.ts"
import { frameBytesMax, segmentBytesMax, sharedFrameBytes } from "../limits.ts"
import { compress } from "./compress.ts"
import type { PartExtent } from "./task.ts"

/** Where a part's content lies, before its segment has a place in a pack. */
export type FrameExtent = Pick<PartExtent, "frameOffset" | "frameLength" | "skip" | "length">

/**
 * The plaintext of one segment as it grows: a tar as it is, or cut into zstd frames. Content is read straight into `space`, so
 * nothing is copied on the way. Buffers are reused: one layout serves one segment at a time.
 */
export interface Layout {
  reset(): void
  /** Begins a member whose content is about to be written; `ownFrame` where it should be readable alone. */
  begin(header: Uint8Array, options: { readonly ownFrame: boolean }): void
  /** Room for the next bytes, at most `wanted` and at least one. */
  space(wanted: number): Uint8Array
  /** Says that `length` bytes of the space last handed out are content. */
  filled(length: number): void
  /** Ends the member with `padding` zero bytes; says where its content lies once the segment is finished. */
  end(padding: number): () => readonly FrameExtent[]
  /** Forgets the member begun last. */
  rollback(): void
  /** Adds the trailer and the padding. */
  finish(): Uint8Array
}

class TarLayout implements Layout {
  readonly #plaintext: Buffer
  #position = 0
  #memberStart = 0
  #contentStart = 0

  constructor(plaintext: Buffer) {
    this.#plaintext = plaintext
  }

  reset(): void {
    this.#position = 0
  }

  begin(header: Uint8Array): void {
    this.#memberStart = this.#position
    this.#write(header)
    this.#contentStart = this.#position
  }

  space(wanted: number): Uint8Array {
    return this.#plaintext.subarray(this.#position, this.#position + wanted)
  }

  filled(length: number): void {
    this.#position += length
  }

  end(padding: number): () => readonly FrameExtent[] {
    const offset = this.#contentStart
    const length = this.#position - offset
    this.#zeros(padding)
    const extents = length === 0 ? [] : [{ frameOffset: offset, frameLength: length, skip: 0, length }]
    return () => extents
  }

  rollback(): void {
    this.#position = this.#memberStart
  }

  finish(): Uint8Array {
    const pad = padHeader(this.#position + trailer.length)
    if (pad !== null) {
      this.#write(pad.header)
      this.#zeros(pad.contentBytes)
    }
    this.#zeros(trailer.length)
    return this.#plaintext.subarray(0, this.#position)
  }

  #write(bytes: Uint8Array): void {
    if (this.#position + bytes.length > segmentBytesMax) throw new FormatError("format/too-large", "segment: planned too large")
    this.#plaintext.set(bytes, this.#position)
    this.#position += bytes.length
  }

  #zeros(length: number): void {
    if (this.#position + length > segmentBytesMax) throw new FormatError("format/too-large", "segment: planned too large")
    this.#plaintext.fill(0, this.#position, this.#position + length)
    this.#position += length
  }
}

interface PendingExtent {
  frame: { offset: number; length: number } | null
  readonly skip: number
  length: number
}

interface Mark {
  readonly position: number
  readonly raw: number
  readonly pending: number
}

class FramedLayout implements Layout {
  readonly #plaintext: Buffer
  readonly #raw = Buffer.allocUnsafeSlow(frameBytesMax)
  #position = 0
  #rawLength = 0
  /** Extents whose frame is not written yet. */
  #pending: PendingExtent[] = []
  #content: PendingExtent[] = []
  #mark: Mark = { position: 0, raw: 0, pending: 0 }
  #ownFrame = false

  constructor(plaintext: Buffer) {
    this.#plaintext = plaintext
  }

  reset(): void {
    this.#position = 0
    this.#rawLength = 0
    this.#pending = []
  }

  begin(header: Uint8Array, options: { readonly ownFrame: boolean }): void {
    if (options.ownFrame || this.#rawLength >= sharedFrameBytes) this.#flush()
    this.#mark = { position: this.#position, raw: this.#rawLength, pending: this.#pending.length }
    this.#content = []
    this.#ownFrame = options.ownFrame
    this.#write(header)
  }

  space(wanted: number): Uint8Array {
    if (this.#rawLength === frameBytesMax) this.#flush()
    return this.#raw.subarray(this.#rawLength, Math.min(this.#rawLength + wanted, frameBytesMax))
  }

  filled(length: number): void {
    const last = this.#content.at(-1)
    if (last !== undefined && last.frame === null) last.length += length
    else this.#add({ frame: null, skip: this.#rawLength, length })
    this.#rawLength += length
  }

  end(padding: number): () => readonly FrameExtent[] {
    this.#write(new Uint8Array(padding))
    if (this.#ownFrame) this.#flush()
    const content = this.#content
    return () => content.map(resolved)
  }

  rollback(): void {
    this.#position = this.#mark.position
    this.#rawLength = this.#mark.raw
    this.#pending = this.#pending.slice(0, this.#mark.pending)
  }

  finish(): Uint8Array {
    this.#write(trailer)
    this.#flush()
    const target = padme(this.#position + paddingBytesMin)
    if (target > segmentBytesMax) throw new FormatError("format/too-large", "segment: planned too large")
    writePadding(this.#plaintext, this.#position, target - this.#position)
    this.#position = target
    return this.#plaintext.subarray(0, this.#position)
  }

  #add(extent: PendingExtent): void {
    this.#content.push(extent)
    this.#pending.push(extent)
  }

  #write(bytes: Uint8Array): void {
    let rest = bytes
    while (rest.length > 0) {
      const space = this.space(rest.length)
      space.set(rest.subarray(0, space.length))
      this.#rawLength += space.length
      rest = rest.subarray(space.length)
    }
  }

  #flush(): void {
    if (this.#rawLength === 0) return
    const frame = compress(this.#raw.subarray(0, this.#rawLength))
    if (this.#position + frame.length > segmentBytesMax) throw new FormatError("format/too-large", "segment: planned too large")
    this.#plaintext.set(frame, this.#position)
    for (const extent of this.#pending) extent.frame = { offset: this.#position, length: frame.length }
    this.#pending = []
    this.#position += frame.length
    this.#rawLength = 0
  }
}

function resolved(extent: PendingExtent): FrameExtent {
  if (extent.frame === null) throw new FormatError("format/malformed", "segment: asked for a location before it was finished")
  return { frameOffset: extent.frame.offset, frameLength: extent.frame.length, skip: extent.skip, length: extent.length }
}

/** A layout per kind of segment; they share the buffer of the plaintext, since a worker builds one segment at a time. */
export function layouts(): Readonly<Record<SegmentKind, Layout>> {
  const plaintext = Buffer.allocUnsafeSlow(segmentBytesMax)
  return { tar: new TarLayout(plaintext), "tar.zst": new FramedLayout(plaintext) }
}
