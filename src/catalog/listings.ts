import { zstdCompressSync, zstdDecompressSync } from "node:zlib"
import { z } from "zod"
import type { Digest } from "../digest.ts"
import { type InventoryPartition, inventoryPartitionSchema } from "../format/inventory.ts"
import { listingBytesMax } from "../limits.ts"
import type { Catalog } from "./catalog.ts"
import { blobOf } from "./rows.ts"

/** Where a member of a meta pack lies in it, in bytes. */
export type MemberPlace = readonly [offset: number, length: number]

/** What a commit's inventory says, remembered so that a restore of one account need not read the inventories of thousands of commits. */
export interface RememberedInventory {
  readonly commit: Digest
  readonly dataset: string
  readonly time: string
  readonly lines: readonly InventoryPartition[]
}

export function rememberInventory(catalog: Catalog, { commit, dataset, time, lines }: RememberedInventory): void {
  const bytes = zstdCompressSync(JSON.stringify(lines))
  catalog.run("INSERT OR REPLACE INTO inventory (commit_sha, dataset, time, lines) VALUES (?, ?, ?, ?)", commit, dataset, time, bytes)
}

/** The lines of a commit's inventory; undefined where they are not remembered. */
export function rememberedInventory(catalog: Catalog, commit: Digest): readonly InventoryPartition[] | undefined {
  const row = catalog.get("SELECT lines FROM inventory WHERE commit_sha = ?", commit)
  if (row === undefined) return undefined
  return linesSchema.parse(JSON.parse(zstdDecompressSync(blobOf(row, "lines"), { maxOutputLength: linesBytesMax }).toString("utf8")))
}

const linesSchema = z.array(inventoryPartitionSchema)
const linesBytesMax = 4 * listingBytesMax

/** Forgets the inventories of a dataset's commits that were written before a time; what is asked for again is read from a site. */
export function forgetInventoriesBefore(catalog: Catalog, dataset: string, time: string): void {
  catalog.run("DELETE FROM inventory WHERE dataset = ? AND time < ?", dataset, time)
}

export function rememberMembers(catalog: Catalog, pack: Digest, places: readonly MemberPlace[]): void {
  const bytes = Buffer.alloc(places.length * 8)
  for (const [index, [offset, length]] of places.entries()) {
    bytes.writeUInt32LE(offset, index * 8)
    bytes.writeUInt32LE(length, index * 8 + 4)
  }
  catalog.run("INSERT OR REPLACE INTO meta_member (pack, places) VALUES (?, ?)", pack, bytes)
}

/** Where the members of a meta pack lie, in order; undefined where that is not remembered. */
export function rememberedMembers(catalog: Catalog, pack: Digest): readonly MemberPlace[] | undefined {
  const row = catalog.get("SELECT places FROM meta_member WHERE pack = ?", pack)
  if (row === undefined) return undefined
  const bytes = blobOf(row, "places")
  return Array.from({ length: bytes.length / 8 }, (_, index) => [bytes.readUInt32LE(index * 8), bytes.readUInt32LE(index * 8 + 4)] as const)
}
