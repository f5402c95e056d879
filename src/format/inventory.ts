import { createHash, type Hash } from "node:crypto"
import { z } from "zod"
import type { Digest } from "../digest.ts"
import { digestSchema } from "../digest-schema.ts"
import { FormatError } from "../errors.ts"
import { accountId, agentId, id128, integer, name, text } from "./fields.ts"
import { decodeListing, encodeListing, listingLines, parseWith } from "./lines.ts"

/** README §6. Which partitions a commit holds and where their manifests are; encrypted to the catalog and organisation recipients. */
const member = "INVENTORY.jsonl"

const headerSchema = z.object({
  v: z.literal(1),
  repository: id128,
  agent: agentId,
  dataset: name,
  run: text,
  part: integer,
  parts: integer,
})
export type InventoryHeader = z.infer<typeof headerSchema>

/** One partition's piece, as a line of an inventory says it. */
export const inventoryPartitionSchema = z.object({
  account: accountId,
  epoch: z.string().regex(/^[0-9a-z]{1,16}$/),
  partition: text,
  /** [meta pack, member index, SHA-256 of the manifest's lines] per part, in order. */
  manifests: z.array(z.tuple([digestSchema, integer, digestSchema])).min(1),
  files: integer,
  bytes: integer,
  /** How many items are missing, by reason; which ones, the manifest says: paths may hold phone numbers. */
  missing: z.array(z.tuple([z.string().max(40), integer])),
  salt: z.string().regex(/^[0-9a-f]{32}$/),
  listing: digestSchema,
  /** Manifest digests of earlier pieces that this one takes the place of. */
  replaces: z.array(digestSchema).optional(),
})
export type InventoryPartition = z.infer<typeof inventoryPartitionSchema>

export interface Inventory {
  readonly header: InventoryHeader
  readonly partitions: InventoryPartition[]
}

/** The tar of one inventory part. */
export function encodeInventory(header: Omit<InventoryHeader, "v">, partitions: readonly InventoryPartition[]): Uint8Array {
  const { repository, agent, dataset, run, part, parts } = header
  const lines = partitions.map(({ account, epoch, partition, manifests, files, bytes, missing, salt, listing, replaces }) => ({
    account,
    epoch,
    partition,
    manifests,
    files,
    bytes,
    missing,
    salt,
    listing,
    replaces,
  }))
  for (const [index, line] of lines.entries()) parseWith(inventoryPartitionSchema, line, `inventory line ${String(index + 2)}`)
  return encodeListing(member, { v: 1, repository, agent, dataset, run, part, parts }, lines).tar
}

export function decodeInventory(tar: Uint8Array, expected: Omit<InventoryHeader, "v">): Inventory {
  const { header, entries } = decodeListing(member, listingLines(member, tar), { header: headerSchema, entry: inventoryPartitionSchema })
  for (const field of ["repository", "agent", "dataset", "run", "part", "parts"] as const) {
    if (header[field] !== expected[field]) throw new FormatError("format/foreign", `inventory: ${field} is not the commit's`)
  }
  return { header, partitions: entries }
}

/**
 * What tells two listings of a partition apart without opening a manifest: SHA-256(salt ‖ for each regular file in path order:
 * path 0x00 size 0x00 mtime 0x0a), numbers in decimal, mtime in nanoseconds.
 */
export class ListingDigest {
  readonly #hash: Hash

  constructor(salt: string) {
    this.#hash = createHash("sha256").update(Buffer.from(salt, "hex"))
  }

  add(path: Uint8Array, size: number, mtimeNs: bigint): void {
    this.#hash.update(path).update(`\u0000${String(size)}\u0000${String(mtimeNs)}\n`)
  }

  digest(): Digest {
    return digestSchema.parse(this.#hash.digest("hex"))
  }
}
