import { padme } from "../format/padme.ts"
import { paddingBytesMin, writePadding } from "../format/zstd.ts"
import type { PreparedIdentity } from "../key/header.ts"
import { frameBytesMax, listingBytesMax } from "../limits.ts"
import { compress, decompressAll } from "./compress.ts"
import { decrypt } from "./encrypt.ts"

/** The plaintext of a manifest's or inventory's segment: its tar in zstd frames, padded. */
export function collectListing(tar: Uint8Array): Uint8Array {
  const frames: Uint8Array[] = []
  for (let start = 0; start < tar.length; start += frameBytesMax) frames.push(compress(tar.subarray(start, start + frameBytesMax)))
  const bytes = frames.reduce((sum, frame) => sum + frame.length, 0)
  const plaintext = Buffer.allocUnsafe(padme(bytes + paddingBytesMin))
  let position = 0
  for (const frame of frames) {
    plaintext.set(frame, position)
    position += frame.length
  }
  writePadding(plaintext, position, plaintext.length - position)
  return plaintext
}

/** The tar of a whole segment that holds a listing. */
export function extractListing(sealed: Uint8Array, identity: PreparedIdentity): Uint8Array {
  const segment = decrypt(
    { length: sealed.length, head: sealed, bytes: (offset, length) => sealed.subarray(offset, offset + length) },
    identity,
  )
  try {
    return decompressAll(segment.read(0, segment.plaintextBytes), listingBytesMax + 4096)
  } finally {
    segment.close()
  }
}
