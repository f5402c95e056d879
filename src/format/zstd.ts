import { FormatError } from "../errors.ts"
import { frameBytesMax } from "../limits.ts"

/** RFC 8878. Only what is needed to bound a frame before it is inflated, and to know where it ends. */
export interface ZstdFrame {
  /** Bytes of the frame, compressed, with its header and checksum. */
  readonly length: number
  /** Bytes it inflates to; 0 for a skippable frame, which holds padding. */
  readonly contentBytes: number
  readonly skippable: boolean
}

const frameMagic = 0xfd2fb528
/** The skippable frame that pads a compressed segment (README §4). */
const padMagic = 0x184d2a50
const skippableHeaderBytes = 8

/** The frame that starts at `offset`. It must say its content size and carry a checksum, as this format's frames do. */
export function zstdFrameAt(bytes: Uint8Array, offset: number): ZstdFrame {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset + offset, bytes.length - offset)
  try {
    const magic = view.readUInt32LE(0)
    if (magic === padMagic) return skippableFrame(view)
    if (magic !== frameMagic) throw new FormatError("format/malformed", "zstd: not a frame")
    return dataFrame(view)
  } catch (error) {
    if (error instanceof RangeError) throw new FormatError("format/malformed", "zstd: frame is cut", { cause: error })
    throw error
  }
}

function skippableFrame(view: Buffer): ZstdFrame {
  const length = skippableHeaderBytes + view.readUInt32LE(4)
  if (length > view.length) throw new FormatError("format/malformed", "zstd: padding is cut")
  return { length, contentBytes: 0, skippable: true }
}

function dataFrame(view: Buffer): ZstdFrame {
  const descriptor = view.readUInt8(4)
  const singleSegment = (descriptor & 0x20) !== 0
  const hasChecksum = (descriptor & 0x04) !== 0
  const sizeCode = descriptor >> 6
  if ((descriptor & 0x0b) !== 0 || !hasChecksum || (sizeCode === 0 && !singleSegment)) {
    throw new FormatError("format/malformed", "zstd: frame without content size or checksum, or with a dictionary")
  }
  const sizeAt = singleSegment ? 5 : 6
  const contentBytes = contentSize(view, sizeAt, sizeCode)
  if (contentBytes > frameBytesMax) throw new FormatError("format/too-large", `zstd: frame of ${String(contentBytes)} bytes`)
  const sizeBytes = sizeCode === 0 ? 1 : 1 << sizeCode
  return { length: endOfBlocks(view, sizeAt + sizeBytes) + 4, contentBytes, skippable: false }
}

function contentSize(view: Buffer, at: number, code: number): number {
  if (code === 0) return view.readUInt8(at)
  if (code === 1) return view.readUInt16LE(at) + 256
  if (code === 2) return view.readUInt32LE(at)
  const size = view.readBigUInt64LE(at)
  return size > BigInt(frameBytesMax) ? frameBytesMax + 1 : Number(size)
}

// A block says its size in three bytes: bit 0 last, bits 1-2 type (1: one byte repeated), the rest the size.
function endOfBlocks(view: Buffer, start: number): number {
  let position = start
  for (;;) {
    const block = view.readUIntLE(position, 3)
    position += 3 + ((block & 0x06) === 0x02 ? 1 : block >> 3)
    if (position + 4 > view.length) throw new FormatError("format/malformed", "zstd: frame is cut")
    if ((block & 1) !== 0) return position
  }
}

/** A skippable frame of exactly `length` bytes, at least 8. */
export function writePadding(out: Uint8Array, at: number, length: number): void {
  const view = Buffer.from(out.buffer, out.byteOffset + at, length)
  view.fill(0)
  view.writeUInt32LE(padMagic, 0)
  view.writeUInt32LE(length - skippableHeaderBytes, 4)
}

export const paddingBytesMin = skippableHeaderBytes
