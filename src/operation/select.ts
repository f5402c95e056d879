import picomatch from "picomatch"
import { type MemberPlace, rememberedInventory, rememberedMembers } from "../catalog/listings.ts"
import type { Digest } from "../digest.ts"
import { FormatError, KeyError } from "../errors.ts"
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

/**
 * Reads listings of snapshots, each from the best site that has good bytes of it; a meta pack read last is kept. What the catalog
 * remembers of an inventory is not read again, and where few members of a pack are wanted, only these are fetched.
 */
export class Listings {
  readonly #world: World
  readonly #keyring: Keyring
  readonly #cache = new Map<Digest, OpenPack>()
  /** How many members of a pack are going to be asked for, as far as that was said. */
  readonly #wanted = new Map<Digest, number>()
  readonly #ahead = new Map<string, Promise<Uint8Array>>()

  readonly #remembered: boolean

  /** `remembered`: what the catalog knows need not be read; not for who has to prove what the sites hold. */
  constructor(world: World, keyring: Keyring, { remembered = false } = {}) {
    this.#world = world
    this.#keyring = keyring
    this.#remembered = remembered
  }

  async partitions(snapshot: Snapshot): Promise<SnapshotPartition[]> {
    const known = this.#remembered ? rememberedInventory(this.#world.catalog, snapshot.commit.sha256) : undefined
    const lines = known ?? (await this.#inventory(snapshot))
    return lines.map((line) => ({ snapshot, line }))
  }

  /** Says which partitions are going to be asked for, in this order. */
  expect(partitions: readonly SnapshotPartition[]): void {
    for (const { line } of partitions) for (const [pack] of line.manifests) this.#wanted.set(pack, (this.#wanted.get(pack) ?? 0) + 1)
  }

  /** Begins to fetch the lists of partitions that come soon, where each is fetched by itself. */
  begin(partitions: readonly SnapshotPartition[]): void {
    for (const { snapshot, line } of partitions) {
      for (const [pack, member] of line.manifests) {
        const key = memberKey(pack, member)
        const place = this.#placeIn(pack, member)
        if (place === undefined || this.#ahead.has(key)) continue
        const fetched = this.#member(snapshot, pack, place)
        // Whoever asks for it hears of the failure.
        fetched.catch(() => undefined)
        this.#ahead.set(key, fetched)
      }
    }
  }

  async #inventory(snapshot: Snapshot): Promise<InventoryPartition[]> {
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
    return lines
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
    const ahead = this.#ahead.get(memberKey(pack, member))
    this.#ahead.delete(memberKey(pack, member))
    const place = this.#placeIn(pack, member)
    if (ahead !== undefined || place !== undefined) {
      try {
        return decode(extractListing(await (ahead ?? this.#member(snapshot, pack, place)), identity))
      } catch (error) {
        // Of a part nobody can say beforehand whether it is rotten: then the whole pack is read, from a site that has it whole.
        if (!(error instanceof FormatError || error instanceof KeyError)) throw error
      }
    }
    const { bytes, members } = await this.#pack(snapshot, pack)
    const found = members[member]
    if (found === undefined) throw new FormatError("format/malformed", `meta pack ${pack}: has no member ${String(member)}`)
    return decode(extractListing(bytes.subarray(found.offset, found.offset + found.length), identity))
  }

  /** Where a member lies, if it is worth while to fetch it alone. */
  #placeIn(pack: Digest, member: number): MemberPlace | undefined {
    const wanted = this.#wanted.get(pack)
    if (!this.#remembered || wanted === undefined || this.#cache.has(pack)) return undefined
    const places = rememberedMembers(this.#world.catalog, pack)
    return places === undefined || wanted * fewShare > places.length ? undefined : places[member]
  }

  async #member(snapshot: Snapshot, pack: Digest, place: MemberPlace | undefined): Promise<Uint8Array> {
    const name = metaName(snapshot, pack)
    if (place === undefined) throw new FormatError("format/malformed", `meta pack ${pack}: its members are not known`)
    const [offset, length] = place
    const { vault, signal } = this.#world
    const range = { offset, length }
    return (await fetch(vault, packKey(name), { range, signal, onFailover: failoverTeller(this.#world) })).bytes
  }

  async #pack(snapshot: Snapshot, sha256: Digest): Promise<OpenPack> {
    const known = this.#cache.get(sha256)
    if (known !== undefined) return known
    const name = metaName(snapshot, sha256)
    const { vault, signal } = this.#world
    const { bytes } = await fetch(vault, packKey(name), { sha256, signal, onFailover: failoverTeller(this.#world) })
    for (const oldest of this.#cache.keys()) if (this.#cache.size >= cachedPacksMax) this.#cache.delete(oldest)
    const opened = { bytes, members: decodePack(bytes) }
    this.#cache.set(sha256, opened)
    return opened
  }
}

/** A pack is read whole unless at most one in so many of its members is wanted. */
const fewShare = 4

function memberKey(pack: Digest, member: number): string {
  return `${pack} ${String(member)}`
}

function metaName(snapshot: Snapshot, sha256: Digest): PackName {
  const listed = snapshot.commit.body.packs.find(([pack]) => pack === sha256)
  const name = listed === undefined ? undefined : packNameOf(snapshot.commit.body.agent, listed)
  if (name?.kind !== "meta") throw new FormatError("format/malformed", `commit ${snapshot.commit.sha256}: does not list its meta pack`)
  return name
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
