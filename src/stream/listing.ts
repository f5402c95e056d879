import { padme } from "../format/padme.ts"
import { paddingBytesMin, writePadding } from "../format/zstd.ts"
import type { PreparedIdentity } from "../key/header.ts"
import { frameBytesMax, listingBytesMax } from "../limits.ts"
import type { Random } from "../random.ts"
import { compress, decompressAll } from "./compress.ts"
import { decrypt, encrypt } from "./encrypt.ts"

/** A manifest or an inventory on its way out. */
export interface Listing {
  readonly tar: Uint8Array
  readonly recipients: readonly string[]
}

/** The age file of a listing; all of it was opened again. */
export function sealListing({ tar, recipients }: Listing, random: Random): Uint8Array {
  return encrypt(collectListing(tar), { recipients, reopen: "all", random }, (length) => new Uint8Array(length))
}

export interface SealedListing<L extends Listing> {
  readonly listing: L
  readonly file: Uint8Array
}

/** What a worker is given at once: enough that sending it costs nothing, little enough that few wait in memory. */
const batchListings = 64
const batchBytes = 1024 * 1024

/**
 * The age files of listings, in their order. Workers seal one batch each while the caller makes the next; the last batch is sealed here,
 * since beginning a thread for a few of them would take longer. Listings' tars are gone afterwards.
 */
export async function* sealListings<L extends Listing>(listings: Iterable<L>, sealing: Sealing): AsyncGenerator<SealedListing<L>> {
  const underWay: Promise<SealedListing<L>[]>[] = []
  let batch: L[] = []
  let bytes = 0
  for (const listing of listings) {
    if (batch.length === batchListings || bytes >= batchBytes) {
      const sealed = sealedBy(sealing, batch)
      // Whoever gives up before it is this batch's turn hears of an earlier failure.
      sealed.catch(() => undefined)
      underWay.push(sealed)
      batch = []
      bytes = 0
      if (underWay.length > sealing.pool.size) yield* (await underWay.shift()) ?? []
    }
    batch.push(listing)
    bytes += listing.tar.length
  }
  const last = batch.map((listing) => ({ listing, file: sealListing(listing, sealing.random) }))
  for (const sealed of underWay) yield* await sealed
  yield* last
}

interface Sealing {
  /** The workers. */
  readonly pool: { readonly size: number; seal(listings: readonly Listing[]): Promise<readonly Uint8Array[]> }
  readonly random: Random
}

async function sealedBy<L extends Listing>({ pool }: Sealing, batch: readonly L[]): Promise<SealedListing<L>[]> {
  const files = await pool.seal(batch)
  return batch.map((listing, index) => {
    const file = files[index]
    if (file === undefined) throw new Error("a worker sealed fewer listings than it was given")
    return { listing, file }
  })
}

/** The plaintext of a manifest's or inventory's segment: its tar in zstd frames, padded. */
function collectListing(tar: Uint8Array): Uint8Array {
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
