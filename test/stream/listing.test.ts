import { expect, test } from "vitest"
import { encodeListing, listingLines } from "../../src/format/lines.ts"
import { prepareIdentity } from "../../src/key/header.ts"
import { generateIdentity } from "../../src/key/recipient.ts"
import { systemRandom } from "../../src/random.ts"
import { extractListing, type Listing, type SealedListing, sealListing, sealListings } from "../../src/stream/listing.ts"
import { WorkerPool } from "../../src/stream/pool.ts"

const identity = generateIdentity("x25519")
const prepared = prepareIdentity(identity)

interface Numbered extends Listing {
  readonly number: number
}

function* numbered(count: number, entryBytes = 10): Generator<Numbered> {
  for (let number = 0; number < count; number++) {
    const { tar } = encodeListing("MANIFEST.jsonl", { number }, ["x".repeat(entryBytes)])
    yield { tar, recipients: [identity.recipient], number }
  }
}

/** The number that is in the age file, by who opens it. */
function numberIn(file: Uint8Array): unknown {
  const lines = listingLines("MANIFEST.jsonl", extractListing(file, prepared))
  return JSON.parse(Buffer.from(lines).toString().split("\n")[0] ?? "").number
}

async function all<L extends Listing>(sealed: AsyncIterable<SealedListing<L>>): Promise<SealedListing<L>[]> {
  return await Array.fromAsync(sealed)
}

/** Seals in this thread, and answers what it was asked last first. */
class Workers {
  readonly size = 2
  readonly batches: number[] = []
  underWay = 0
  most = 0

  async seal(listings: readonly Listing[]): Promise<Uint8Array[]> {
    this.batches.push(listings.length)
    this.underWay += 1
    this.most = Math.max(this.most, this.underWay)
    for (let turns = 20 - this.batches.length; turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve))
    this.underWay -= 1
    return listings.map((listing) => sealListing(listing, systemRandom))
  }
}

const inOrder = (count: number) => Array.from({ length: count }, (_, number) => number)

test("listings are sealed in their order, whichever worker is done first", async () => {
  const pool = new Workers()
  const sealed = await all(sealListings(numbered(500), { pool, random: systemRandom }))
  expect(sealed.map(({ listing }) => listing.number)).toEqual(inOrder(500))
  expect(sealed.map(({ file }) => numberIn(file))).toEqual(inOrder(500))
  expect(pool.batches).toEqual(Array.from({ length: 7 }, () => 64))
  expect(pool.most).toBe(pool.size + 1)
})

test("threads of the pool give what is sealed here", async () => {
  await using pool = new WorkerPool(2)
  const sealed = await all(sealListings(numbered(130), { pool, random: systemRandom }))
  expect(sealed.map(({ file }) => numberIn(file))).toEqual(inOrder(130))
})

test("a few listings, or one large one, trouble no thread", async () => {
  const pool = { size: 2, seal: () => Promise.reject(new Error("not here")) }
  expect(await all(sealListings(numbered(64), { pool, random: systemRandom }))).toHaveLength(64)
  expect(await all(sealListings(numbered(1, 3 * 1024 * 1024), { pool, random: systemRandom }))).toHaveLength(1)
  expect(await all(sealListings(numbered(0), { pool, random: systemRandom }))).toEqual([])
})

test("large listings wait in memory by their bytes, not by their number", async () => {
  const pool = new Workers()
  let made = 0
  function* large(): Generator<Numbered> {
    for (const listing of numbered(12, 1024 * 1024)) {
      made += 1
      yield listing
    }
  }
  let taken = 0
  for await (const { listing } of sealListings(large(), { pool, random: systemRandom })) {
    expect(made - taken).toBeLessThanOrEqual(pool.size + 2)
    expect(listing.number).toBe(taken++)
  }
  expect(pool.batches).toEqual(Array.from({ length: 11 }, () => 1))
})

test("the first failure of a worker ends the work, and later ones disturb nobody", async () => {
  let calls = 0
  const pool = { size: 2, seal: async () => await Promise.reject(new Error(`batch ${String(++calls)}`)) }
  await expect(all(sealListings(numbered(500), { pool, random: systemRandom }))).rejects.toThrow("batch 1")
  const idle = { size: 2, seal: async () => await Promise.resolve([]) }
  await expect(all(sealListings(numbered(500), { pool: idle, random: systemRandom }))).rejects.toThrow("fewer listings")
})
