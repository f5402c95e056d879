import { constants, zstdCompressSync } from "node:zlib"
import { sha256 } from "../../src/digest.ts"
import type { SegmentKind } from "../../src/format/pack.ts"
import { padme } from "../../src/format/padme.ts"
import { fileHeader, fileMember, padHeader, pieceMember, sumLine, sumsHeader } from "../../src/format/segment.ts"
import { paddingOf, trailer } from "../../src/format/tar.ts"
import { paddingBytesMin, writePadding } from "../../src/format/zstd.ts"

/** One member of a segment: a file, or a numbered piece of one. */
export interface Part {
  readonly path: Buffer
  readonly content: Buffer
  readonly mode: number
  readonly mtimeNs: bigint
  readonly piece?: number
}

export interface Place {
  readonly frameOffset: number
  readonly frameLength: number
  readonly skip: number
  readonly length: number
}

export interface BuiltSegment {
  readonly kind: SegmentKind
  readonly plaintext: Buffer
  /** Where each part's content lies, in the order of the parts. */
  readonly places: readonly (readonly Place[])[]
}

/** The tar of a data segment, straight from the specification, and where each part begins in it. */
function dataTar(parts: readonly Part[]): { readonly blocks: Buffer[]; readonly starts: number[] } {
  const blocks: Buffer[] = []
  const starts: number[] = []
  const sums: Buffer[] = []
  let position = 0
  const add = (...more: Uint8Array[]): void => {
    for (const bytes of more) {
      blocks.push(Buffer.from(bytes))
      position += bytes.length
    }
  }
  for (const part of parts) {
    const member = part.piece === undefined ? fileMember(part.path) : pieceMember(part.path, part.piece)
    add(fileHeader(member, part.content.length, part))
    starts.push(position)
    add(part.content, new Uint8Array(paddingOf(part.content.length)))
    sums.push(sumLine(sha256(part.content), member))
  }
  const listed = Buffer.concat(sums)
  add(sumsHeader(listed.length), listed, new Uint8Array(paddingOf(listed.length)))
  return { blocks, starts }
}

export function tarSegment(parts: readonly Part[]): BuiltSegment {
  const { blocks, starts } = dataTar(parts)
  const size = blocks.reduce((sum, block) => sum + block.length, trailer.length)
  const pad = padHeader(size)
  if (pad !== null) blocks.push(Buffer.from(pad.header), Buffer.alloc(pad.contentBytes))
  const plaintext = Buffer.concat([...blocks, trailer])
  const places = parts.map(({ content }, index) =>
    content.length === 0 ? [] : [{ frameOffset: starts[index] ?? 0, frameLength: content.length, skip: 0, length: content.length }],
  )
  return { kind: "tar", plaintext, places }
}

/** A compressed segment whose frames end every `frameBytes` of the tar, wherever that is: a legal way to cut it, and the hardest to read. */
export function framedSegment(parts: readonly Part[], frameBytes: number): BuiltSegment {
  const { blocks, starts } = dataTar(parts)
  const tar = Buffer.concat([...blocks, trailer])
  const frames: { readonly offset: number; readonly length: number }[] = []
  const stored: Buffer[] = []
  let offset = 0
  for (let start = 0; start < tar.length; start += frameBytes) {
    const frame = zstdFrame(tar.subarray(start, start + frameBytes))
    frames.push({ offset, length: frame.length })
    stored.push(frame)
    offset += frame.length
  }
  const places = parts.map(({ content }, index) => {
    const found: Place[] = []
    const start = starts[index] ?? 0
    for (let at = start; at < start + content.length; ) {
      const number = Math.floor(at / frameBytes)
      const frame = frames[number]
      if (frame === undefined) throw new Error("a part outside of all frames")
      const length = Math.min((number + 1) * frameBytes, start + content.length) - at
      found.push({ frameOffset: frame.offset, frameLength: frame.length, skip: at - number * frameBytes, length })
      at += length
    }
    return found
  })
  return { kind: "tar.zst", plaintext: padded(Buffer.concat(stored)), places }
}

/** The plaintext of a listing segment: its tar in one frame, padded. */
export function listingSegment(tar: Uint8Array): Buffer {
  return padded(zstdFrame(tar))
}

function zstdFrame(raw: Uint8Array): Buffer {
  const params = { [constants.ZSTD_c_checksumFlag]: 1, [constants.ZSTD_c_contentSizeFlag]: 1 }
  return zstdCompressSync(raw, { params, pledgedSrcSize: raw.length })
}

function padded(frames: Buffer): Buffer {
  const plaintext = Buffer.alloc(padme(frames.length + paddingBytesMin))
  plaintext.set(frames)
  writePadding(plaintext, frames.length, plaintext.length - frames.length)
  return plaintext
}
