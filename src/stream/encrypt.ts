import { FormatError } from "../errors.ts"
import {
  type ChunkRange,
  chunkBytes,
  chunkOpener,
  chunkRange,
  nonceBytes,
  openChunks,
  type PayloadKey,
  type PayloadLayout,
  payloadKey,
  payloadLayout,
  sealedBytes,
  sealPayload,
} from "../format/age.ts"
import { type PreparedIdentity, parseHeader, prepareRecipients } from "../key/header.ts"
import { release } from "../memory.ts"
import type { Random } from "../random.ts"

/** What of a segment is opened again before its key is forgotten. */
export type Reopen = "all" | "sample"

export interface SealOptions {
  /** One account's recipient for data; several for what the organisation reads. */
  readonly recipients: readonly string[]
  readonly reopen: Reopen
  readonly random: Random
}

/**
 * Writes the age file of `plaintext` into what `room` gives for its size, reads it back from there with the key it was sealed with, and
 * forgets that key.
 */
export function encrypt(plaintext: Uint8Array, options: SealOptions, room: (length: number) => Uint8Array): Uint8Array {
  const { header, fileKey } = prepareRecipients(options.recipients).seal(options.random)
  const key = payloadKey(fileKey, options.random.bytes(nonceBytes))
  fileKey.fill(0)
  const file = room(sealedBytes(plaintext.length, header.length))
  file.set(header)
  const end = sealPayload(plaintext, key, file, header.length)
  if (end !== file.length) throw new FormatError("format/mismatch", "age file: not as long as planned")
  reopen(plaintext, key, file, options.reopen)
  return file
}

// What was configured as encryption must be what was written: another tool once kept plaintext for months with every check green.
function reopen(plaintext: Uint8Array, key: PayloadKey, file: Uint8Array, amount: Reopen): void {
  const layout = payloadLayout(file.length, parseHeader(file).length)
  for (const [offset, length] of samples(plaintext.length, amount)) {
    const range = chunkRange(layout, offset, length)
    const opened = openChunks(file.subarray(range.offset, range.offset + range.length), key, range, layout)
    const first = range.first * chunkBytes
    if (Buffer.compare(opened, plaintext.subarray(first, first + opened.length)) !== 0) {
      throw new FormatError("format/mismatch", "age file: does not open to what was sealed")
    }
    release(opened)
  }
}

function samples(length: number, amount: Reopen): readonly (readonly [number, number])[] {
  if (amount === "all" || length <= 2 * chunkBytes) return [[0, length]]
  return [
    [0, 1],
    [length - 1, 1],
  ]
}

/** An age file of which only some bytes are at hand: its header, and runs of sealed chunks. */
export interface SealedParts {
  readonly length: number
  /** The first bytes of the file, at least its header and nonce. */
  readonly head: Uint8Array
  /** The bytes from `offset` on, or undefined where they are not at hand. */
  bytes(offset: number, length: number): Uint8Array | undefined
}

export interface OpenedSegment {
  readonly plaintextBytes: number
  /** Exactly these bytes of the plaintext; each chunk they lie in is authenticated. */
  read(offset: number, length: number): Uint8Array
  /** The same bytes as they left the cipher, chunk by chunk: for who writes them on, and may release them then. */
  pieces(offset: number, length: number): readonly Uint8Array[]
  /** Forgets the file key. */
  close(): void
}

/** encrypt's inverse, for any range. */
export function decrypt(sealed: SealedParts, identity: PreparedIdentity): OpenedSegment {
  const { length: headerBytes } = parseHeader(sealed.head)
  const layout = payloadLayout(sealed.length, headerBytes)
  const fileKey = identity.open(sealed.head)
  const key = payloadKey(fileKey, sealed.head.slice(headerBytes, layout.start))
  const reader = new ChunkReader(sealed, key, layout)
  return {
    plaintextBytes: layout.plaintextBytes,
    read: (offset, length) => joined(reader.pieces(offset, length)),
    pieces: (offset, length) => reader.pieces(offset, length),
    close: () => fileKey.fill(0),
  }
}

/** Reads ranges in ascending order well: the last chunk opened is kept, since small files share one. */
class ChunkReader {
  readonly #sealed: SealedParts
  readonly #layout: PayloadLayout
  readonly #open: (sealed: Uint8Array, range: ChunkRange) => Uint8Array[]
  #last: { readonly index: number; readonly plaintext: Uint8Array } | null = null

  constructor(sealed: SealedParts, key: PayloadKey, layout: PayloadLayout) {
    this.#sealed = sealed
    this.#layout = layout
    this.#open = chunkOpener(key, layout)
  }

  pieces(offset: number, length: number): Uint8Array[] {
    const { first, count } = chunkRange(this.#layout, offset, length)
    const known = this.#last?.index === first ? [this.#last.plaintext] : []
    const chunks = known.length === count ? known : [...known, ...this.#fresh((first + known.length) * chunkBytes, offset + length)]
    const plaintext = chunks.at(-1)
    const end = (first + count - 1) * chunkBytes + (plaintext?.length ?? 0)
    // A chunk given out to its end is the caller's.
    this.#last = plaintext === undefined || offset + length === end ? null : { index: first + count - 1, plaintext }
    return chunks.map((chunk, i) => {
      const start = (first + i) * chunkBytes
      return chunk.subarray(Math.max(0, offset - start), Math.min(chunk.length, offset + length - start))
    })
  }

  #fresh(start: number, end: number): Uint8Array[] {
    const range = chunkRange(this.#layout, start, Math.max(0, end - start))
    const chunks = this.#sealed.bytes(range.offset, range.length)
    if (chunks === undefined) throw new FormatError("format/malformed", "age file: the bytes asked for were not fetched")
    return this.#open(chunks, range)
  }
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const [only] = pieces
  if (pieces.length === 1 && only !== undefined) return only
  const bytes = Buffer.concat(pieces)
  for (const piece of pieces) release(piece)
  return bytes
}
