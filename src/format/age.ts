import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, type KeyObject } from "node:crypto"
import { FormatError } from "../errors.ts"
import { release } from "../memory.ts"

/**
 * The payload of an age v1 file (C2SP age.md, "Payload"): a nonce, then STREAM: ChaCha20-Poly1305 over chunks of 64 KiB, each with
 * an 11-byte counter and a last-chunk flag as its nonce. Headers are key/header.ts's.
 */
export const chunkBytes = 64 * 1024
export const tagBytes = 16
export const nonceBytes = 16
const sealedChunkBytes = chunkBytes + tagBytes

/** How an age file of `fileBytes` bytes with a header of `headerBytes` is laid out. */
export interface PayloadLayout {
  readonly chunks: number
  readonly plaintextBytes: number
  /** Bytes from the start of the file to the first chunk. */
  readonly start: number
}

export function payloadLayout(fileBytes: number, headerBytes: number): PayloadLayout {
  const start = headerBytes + nonceBytes
  const sealed = fileBytes - start
  const chunks = Math.ceil(sealed / sealedChunkBytes)
  const last = sealed - (chunks - 1) * sealedChunkBytes
  if (sealed < tagBytes || last < tagBytes) throw new FormatError("format/malformed", "age file: cut short")
  if (last === tagBytes && chunks > 1) throw new FormatError("format/malformed", "age file: empty last chunk")
  return { chunks, plaintextBytes: sealed - chunks * tagBytes, start }
}

/** Bytes of an age file holding `plaintextBytes`. */
export function sealedBytes(plaintextBytes: number, headerBytes: number): number {
  return headerBytes + nonceBytes + plaintextBytes + Math.max(1, Math.ceil(plaintextBytes / chunkBytes)) * tagBytes
}

/** What the payload of one file is sealed and opened with. */
export interface PayloadKey {
  readonly nonce: Uint8Array
  /** As a key object: from plain bytes Node makes one anew for every chunk, which costs a third of sealing it. */
  readonly key: KeyObject
}

/** To seal with, the nonce must never repeat for a file key. */
export function payloadKey(fileKey: Uint8Array, nonce: Uint8Array): PayloadKey {
  const bytes = new Uint8Array(hkdfSync("sha256", createSecretKey(fileKey), nonce, "payload", 32))
  const key = createSecretKey(bytes)
  bytes.fill(0)
  return { nonce, key }
}

function chunkNonce(index: number, last: boolean): Uint8Array {
  const nonce = Buffer.allocUnsafe(12).fill(0)
  nonce.writeUIntBE(index, 5, 6)
  nonce[11] = last ? 1 : 0
  return nonce
}

/** Writes nonce and sealed chunks into `out` from `at`; returns the position after them. */
export function sealPayload(plaintext: Uint8Array, { nonce, key }: PayloadKey, out: Uint8Array, at: number): number {
  out.set(nonce, at)
  let position = at + nonceBytes
  const chunks = Math.max(1, Math.ceil(plaintext.length / chunkBytes))
  for (let index = 0; index < chunks; index++) {
    const cipher = createCipheriv("chacha20-poly1305", key, chunkNonce(index, index === chunks - 1), { authTagLength: tagBytes })
    const sealed = cipher.update(plaintext.subarray(index * chunkBytes, (index + 1) * chunkBytes))
    out.set(sealed, position)
    position += sealed.length
    release(sealed)
    cipher.final()
    out.set(cipher.getAuthTag(), position)
    position += tagBytes
  }
  return position
}

/** The chunks that hold the plaintext bytes from `offset` to `offset + length`, and where they lie in the age file. */
export interface ChunkRange {
  readonly first: number
  readonly count: number
  readonly offset: number
  readonly length: number
}

export function chunkRange(layout: PayloadLayout, offset: number, length: number): ChunkRange {
  if (offset < 0 || length < 0 || offset + length > layout.plaintextBytes) {
    throw new FormatError("format/malformed", "age payload: range past its end")
  }
  const first = Math.min(Math.floor(offset / chunkBytes), layout.chunks - 1)
  const last = Math.min(Math.floor(Math.max(offset, offset + length - 1) / chunkBytes), layout.chunks - 1)
  const start = layout.start + first * sealedChunkBytes
  const sealedEnd = layout.start + layout.plaintextBytes + layout.chunks * tagBytes
  const end = Math.min(layout.start + (last + 1) * sealedChunkBytes, sealedEnd)
  return { first, count: last - first + 1, offset: start, length: end - start }
}

/** Opens `range.count` sealed chunks; every one is authenticated, with its place and whether it is the file's last. */
export function openChunks(sealed: Uint8Array, key: PayloadKey, range: ChunkRange, layout: PayloadLayout): Uint8Array {
  const chunks = chunkOpener(key, layout)(sealed, range)
  const [only] = chunks
  if (chunks.length === 1 && only !== undefined) return only
  const plaintext = Buffer.concat(chunks)
  for (const chunk of chunks) release(chunk)
  return plaintext
}

/** openChunks for many ranges of one file: each chunk's plaintext by itself, as it left the cipher. */
export function chunkOpener({ key }: PayloadKey, layout: PayloadLayout): (sealed: Uint8Array, range: ChunkRange) => Uint8Array[] {
  return (sealed, range) => {
    if (sealed.length !== range.length) throw new FormatError("format/malformed", "age payload: chunks cut short")
    return Array.from({ length: range.count }, (_, i) => {
      const index = range.first + i
      const chunk = sealed.subarray(i * sealedChunkBytes, Math.min((i + 1) * sealedChunkBytes, sealed.length))
      return openChunk(chunk, key, chunkNonce(index, index === layout.chunks - 1))
    })
  }
}

function openChunk(chunk: Uint8Array, key: KeyObject, nonce: Uint8Array): Uint8Array {
  const body = chunk.length - tagBytes
  const decipher = createDecipheriv("chacha20-poly1305", key, nonce, { authTagLength: tagBytes })
  decipher.setAuthTag(chunk.subarray(body))
  const opened = decipher.update(chunk.subarray(0, body))
  try {
    decipher.final()
  } catch (cause) {
    throw new FormatError("format/mismatch", "age payload: authentication failed", { cause })
  }
  return opened
}
