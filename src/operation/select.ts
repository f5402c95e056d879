import picomatch from "picomatch"
import type { Digest } from "../digest.ts"
import { FormatError } from "../errors.ts"
import { packNameOf } from "../format/commit.ts"
import { decodeInventory, type InventoryPartition } from "../format/inventory.ts"
import { decodeManifest, type ManifestItem } from "../format/manifest.ts"
import { type PackName, packKey } from "../format/names.ts"
import { decodePack, type PackMember } from "../format/pack.ts"
import type { PreparedIdentity } from "../key/header.ts"
import { extractListing } from "../stream/listing.ts"
import { fetch } from "../vault/fetch.ts"
import type { Snapshot } from "./history.ts"
import type { Keyring } from "./keyring.ts"
import { failoverTeller } from "./logs.ts"
import type { World } from "./world.ts"

/** What of a dataset is wanted. */
export interface Selection {
  /** Account ids, or the platform's own stable ids; absent: all. */
  readonly accounts?: readonly string[] | undefined
  /** Glob patterns of paths; absent: all. */
  readonly paths?: readonly string[] | undefined
  /** Event days of an archive, times of change in a state: from this day on, until the end of that day; yyyy-mm-dd, UTC. */
  readonly from?: string | undefined
  readonly to?: string | undefined
}

/** A partition of a snapshot: its line in the inventory. */
export interface SnapshotPartition {
  readonly snapshot: Snapshot
  readonly line: InventoryPartition
}

/** Packs of one commit, so that a manifest's locations become object names. */
export type PackNames = ReadonlyMap<Digest, PackName>

export function packNames(snapshot: Snapshot): PackNames {
  const { agent, packs } = snapshot.commit.body
  return new Map(packs.map((pack) => [pack[0], packNameOf(agent, pack)]))
}

interface OpenPack {
  readonly bytes: Uint8Array
  readonly members: readonly PackMember[]
}

/** Reads listings of snapshots, each from the best site that has good bytes of it; a meta pack read last is kept. */
export class Listings {
  readonly #world: World
  readonly #keyring: Keyring
  readonly #cache = new Map<Digest, OpenPack>()

  constructor(world: World, keyring: Keyring) {
    this.#world = world
    this.#keyring = keyring
  }

  async partitions(snapshot: Snapshot): Promise<SnapshotPartition[]> {
    const { body } = snapshot.commit
    const lines: InventoryPartition[] = []
    for (const [part, [pack, member]] of body.inventory.entries()) {
      const expected = {
        repository: body.repository,
        agent: body.agent,
        dataset: body.dataset,
        run: body.run,
        part,
        parts: body.inventory.length,
      }
      const identity = this.#keyring.organisation()
      lines.push(...(await this.#listing(snapshot, pack, member, identity, (tar) => decodeInventory(tar, expected))).partitions)
    }
    return lines.map((line) => ({ snapshot, line }))
  }

  /** The items of a partition, part by part. */
  async *items({ snapshot, line }: SnapshotPartition): AsyncGenerator<ManifestItem> {
    const { body } = snapshot.commit
    const identity = await this.#keyring.prepared(line.account, line.epoch)
    const { account, partition } = line
    for (const [part, [pack, member, sha256]] of line.manifests.entries()) {
      const expected = { sha256, repository: body.repository, agent: body.agent, account, dataset: body.dataset, partition }
      const manifest = await this.#listing(snapshot, pack, member, identity, (tar) => decodeManifest(tar, expected))
      if (manifest.header.part !== part || manifest.header.parts !== line.manifests.length) {
        throw new FormatError("format/foreign", `manifest of ${account} ${partition}: another part than the inventory says`)
      }
      yield* manifest.items
    }
  }

  // Rot shows at the pack's hash; a copy that lies despite a right hash does not exist.
  async #listing<T>(
    snapshot: Snapshot,
    pack: Digest,
    member: number,
    identity: PreparedIdentity,
    decode: (tar: Uint8Array) => T,
  ): Promise<T> {
    const { bytes, members } = await this.#pack(snapshot, pack)
    const place = members[member]
    if (place === undefined) throw new FormatError("format/malformed", `meta pack ${pack}: has no member ${String(member)}`)
    return decode(extractListing(bytes.subarray(place.offset, place.offset + place.length), identity))
  }

  async #pack(snapshot: Snapshot, sha256: Digest): Promise<OpenPack> {
    const known = this.#cache.get(sha256)
    if (known !== undefined) return known
    const name = packNames(snapshot).get(sha256)
    if (name?.kind !== "meta") throw new FormatError("format/malformed", `commit ${snapshot.commit.sha256}: does not list its meta pack`)
    const { vault, signal } = this.#world
    const { bytes } = await fetch(vault, packKey(name), { sha256, signal, onFailover: failoverTeller(this.#world) })
    for (const oldest of this.#cache.keys()) if (this.#cache.size >= cachedPacksMax) this.#cache.delete(oldest)
    const opened = { bytes, members: decodePack(bytes) }
    this.#cache.set(sha256, opened)
    return opened
  }
}

/** A run's manifests lie together: two of its packs are enough. */
const cachedPacksMax = 2

/** The partitions that can hold something of a selection. */
export function selectPartitions(
  partitions: readonly SnapshotPartition[],
  selection: Selection,
  accounts: ReadonlySet<string> | null,
): SnapshotPartition[] {
  return partitions.filter(({ snapshot, line }) => {
    if (accounts !== null && !accounts.has(line.account)) return false
    if (snapshot.commit.body.mode === "state" || line.partition === "") return true
    return (
      (selection.from === undefined || line.partition >= selection.from) && (selection.to === undefined || line.partition <= selection.to)
    )
  })
}

/** Whether an item of a chosen partition is wanted. */
export function itemFilter(selection: Selection, mode: "archive" | "state"): (item: ManifestItem) => boolean {
  const matches =
    selection.paths === undefined || selection.paths.length === 0 ? () => true : picomatch([...selection.paths], { dot: true })
  const inTime = mode === "archive" ? () => true : (item: ManifestItem) => changedWithin(item, selection)
  return (item) => matches(item.path.toString()) && inTime(item)
}

function changedWithin(item: ManifestItem, { from, to }: Selection): boolean {
  const day = new Date(Number(item.mtimeNs / 1_000_000n)).toISOString().slice(0, 10)
  return (from === undefined || day >= from) && (to === undefined || day <= to)
}
