import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib"
import { FormatError, reasonOf } from "../errors.ts"
import { zstdFrameAt } from "../format/zstd.ts"

/** Rows of databases, which are most of what is compressed, gain nothing from more, and take half as long. */
const level = 1

/** One zstd frame with its content size and a checksum. */
export function compress(raw: Uint8Array): Uint8Array {
  return zstdCompressSync(raw, {
    params: {
      [constants.ZSTD_c_compressionLevel]: level,
      [constants.ZSTD_c_checksumFlag]: 1,
      [constants.ZSTD_c_contentSizeFlag]: 1,
    },
    pledgedSrcSize: raw.length,
  })
}

/** The content of exactly one frame; the memory it may take is known before it is inflated. */
export function decompress(frame: Uint8Array): Uint8Array {
  const { length, contentBytes, skippable } = zstdFrameAt(frame, 0)
  if (length !== frame.length || skippable) throw new FormatError("format/malformed", "zstd: not exactly one frame")
  if (contentBytes === 0) return new Uint8Array(0)
  try {
    const raw = zstdDecompressSync(frame, { maxOutputLength: contentBytes })
    if (raw.length === contentBytes) return raw
  } catch (cause) {
    throw new FormatError("format/malformed", `zstd: ${reasonOf(cause)}`, { cause })
  }
  throw new FormatError("format/malformed", "zstd: frame is shorter than it says")
}

/** All frames of a compressed segment's plaintext, inflated in order; its padding is skipped. `bytesMax` bounds their sum. */
export function decompressAll(plaintext: Uint8Array, bytesMax: number): Uint8Array {
  const frames: Uint8Array[] = []
  let total = 0
  for (let position = 0; position < plaintext.length; ) {
    const frame = zstdFrameAt(plaintext, position)
    total += frame.contentBytes
    if (total > bytesMax) throw new FormatError("format/too-large", `zstd: more than ${String(bytesMax)} bytes`)
    if (!frame.skippable) frames.push(decompress(plaintext.subarray(position, position + frame.length)))
    position += frame.length
  }
  return Buffer.concat(frames)
}
