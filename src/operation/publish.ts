import { recipientOf } from "../catalog/accounts.ts"
import { rememberedCommits } from "../catalog/commits.ts"
import type { CapturedItem, Items, Partition, RecordedPack, WrittenManifest } from "../catalog/items.ts"
import { findPack } from "../catalog/items.ts"
import { type MemberPlace, rememberInventory, rememberMembers } from "../catalog/listings.ts"
import { timestamp, utcDay } from "../clock.ts"
import type { Digest } from "../digest.ts"
import { JobError } from "../errors.ts"
import { decodeCommit, encodeBackupCommit, type ListedPack, packNameOf } from "../format/commit.ts"
import { encodeInventory, type InventoryPartition, ListingDigest } from "../format/inventory.ts"
import { encodeManifest } from "../format/manifest.ts"
import { commitKey, packKey } from "../format/names.ts"
import { commitPacksMax, inventoryLinesMax, manifestBytesTarget, manifestItemsMax, metaMembersMax, packBytesTarget } from "../limits.ts"
import type { CommitReport } from "../report/run.ts"
import { type Listing, sealListings } from "../stream/listing.ts"
import { PackBuilder } from "../stream/pack.ts"
import { placeCommit } from "../vault/commit.ts"
import { place } from "../vault/place.ts"
import { isDurable } from "../vault/vault.ts"
import type { OwnLog } from "./own-log.ts"
import { type AgentWorld, inForce } from "./world.ts"

/** What a commit is about. */
export interface PublishSettings {
  readonly job: string
  readonly dataset: string
  readonly mode: "archive" | "state"
  readonly class: string
  readonly run: string
  readonly runNumber: number
  readonly cut: Date
  readonly items: Items
  readonly log: OwnLog
  readonly complete: boolean
  readonly final: boolean
}

/**
 * Makes what was captured true: manifests for each account, an inventory of them, and last the commit. Nothing is visible to a restore
 * before the commit is placed; where it is, everything it lists is.
 */
export async function publish(world: AgentWorld, settings: PublishSettings): Promise<CommitReport> {
  const meta = new MetaPacks(world)
  try {
    return await publishWith(world, settings, meta)
  } finally {
    meta.abandon()
  }
}

async function publishWith(world: AgentWorld, settings: PublishSettings, meta: MetaPacks): Promise<CommitReport> {
  const contents = await writeManifests(world, settings, meta)
  const inventory = await writeInventory(world, settings, contents, meta)
  await meta.close()
  const packs = [...contents.packs.values(), ...meta.packs].map(listed)
  if (packs.length > commitPacksMax) {
    throw new JobError("job/source", `${settings.job}: a snapshot of ${String(packs.length)} packs is more than a commit can list`, {
      hint: "split the source into several jobs",
    })
  }
  const bytes = encodeBackupCommit(
    {
      repository: world.repository.id,
      agent: world.agent.id,
      ...settings.log.next(),
      seen: [],
      trust: inForce(world).reference,
      run: settings.run,
      job: settings.job,
      dataset: settings.dataset,
      mode: settings.mode,
      cut: timestamp(settings.cut),
      time: timestamp(world.clock.now()),
      complete: settings.complete,
      final: settings.final,
      packs,
      inventory: inventory.map(located),
    },
    world.agent.signer,
  )
  const report = await commit(world, settings, bytes)
  if (report.durable) {
    const { mode, runNumber: run } = settings
    const written = mode === "state" ? contents.written.map(({ line, ...rest }) => ({ ...rest, line: line() })) : []
    const manifests = { written, packs: mode === "state" ? meta.packs : [] }
    settings.items.committed(report.sha256, [...contents.packs.keys()], { run, mode, manifests })
    if (mode === "archive") rememberListings(world, settings, { commit: report.sha256, contents, meta })
  }
  return report
}

// A restore of one customer out of thousands of commits needs a line of each: read from the sites, they would be most of what it fetches.
function rememberListings(
  { catalog, clock }: AgentWorld,
  { dataset }: PublishSettings,
  { commit: sha256, contents, meta }: { readonly commit: Digest; readonly contents: Contents; readonly meta: MetaPacks },
): void {
  catalog.transaction(() => {
    const lines = contents.partitions.map((line) => line())
    rememberInventory(catalog, { commit: sha256, dataset, time: timestamp(clock.now()), lines })
    for (const [pack, places] of meta.places) rememberMembers(catalog, pack, places)
  })
}

async function commit(
  world: AgentWorld,
  settings: PublishSettings,
  bytes: Uint8Array,
): Promise<CommitReport & { readonly sha256: Digest }> {
  const made = decodeCommit(bytes, () => [world.agent.signer.publicKey])
  const { seq, packs } = made.body
  const key = commitKey(world.agent.id, seq, bytes)
  const names = packs.map((pack) => packNameOf(world.agent.id, pack))
  const needs = { key, bytes, packs: names, keys: settings.log.register() }
  const targets = world.vault.sites.map(({ name }) => name)
  const { signal, tierOf, vault, everywhere, lease } = world
  const options = { signal, tierOf, targets, durable: vault.durable, guard: () => lease.check() }
  const { held, missed } = await placeCommit(everywhere, needs, options)
  for (const { site, message } of missed) world.tell({ type: "site-missed", site, message })
  const durable = isDurable(held, vault)
  if (!durable) lease.check()
  const waits = !durable && (await everywhere.spool?.keep(key, bytes, made.sha256)) === true
  if (held.length > 0 || waits) {
    rememberedCommits(world.catalog).remember(key, bytes)
    settings.log.append({ entry: { key, agent: world.agent.id, seq, sites: held, storedAt: world.clock.now() }, commit: made })
  }
  world.tell({ type: "committed", seq, held, durable })
  return { seq, sha256: made.sha256, held, durable, waits }
}

function listed({ sha256, bytes, class: className, kind, date }: RecordedPack): ListedPack {
  return [sha256, bytes, className, kind, date]
}

/** What a commit is going to say, as it grows. */
interface Contents {
  readonly partitions: (() => InventoryPartition)[]
  readonly classes: Set<string>
  /** What this commit writes manifests of. */
  readonly written: WrittenPartition[]
  /** Everything the partitions need, also the meta packs of manifests that are listed again. */
  readonly packs: Map<Digest, RecordedPack>
}

interface WrittenPartition extends Omit<WrittenManifest, "line"> {
  readonly line: () => InventoryPartition
}

async function writeManifests(world: AgentWorld, settings: PublishSettings, meta: MetaPacks): Promise<Contents> {
  const contents: Contents = { partitions: [], classes: new Set(), written: [], packs: new Map() }
  await meta.write(manifests(world, settings, contents))
  return contents
}

function* manifests(world: AgentWorld, settings: PublishSettings, contents: Contents): Generator<MetaListing> {
  const { items, mode, runNumber: run } = settings
  if (mode === "archive") {
    for (const partition of items.pendingPartitions()) {
      const cuts = cutsOf(items.pendingSizes(partition))
      yield* manifestOf(world, settings, { partition, rows: items.pending(partition), cuts, contents })
    }
    return
  }
  for (const partition of items.runPartitions(run)) {
    const kept = items.keptManifest(partition)
    if (kept === undefined) {
      const cuts = cutsOf(items.runSizes(partition, run))
      yield* manifestOf(world, settings, { partition, rows: items.ofRun(partition, run), cuts, contents })
    } else {
      for (const pack of [...kept.packs, ...kept.line.manifests.map(([metaPack]) => metaPack)]) rememberPack(world, contents.packs, pack)
      contents.partitions.push(() => kept.line)
      contents.classes.add(partition.class)
    }
  }
}

interface PartitionWriting {
  readonly partition: Partition
  readonly rows: Iterable<CapturedItem>
  /** How many items each part of the manifest holds. */
  readonly cuts: readonly number[]
  readonly contents: Contents
}

/** One partition's manifest, in as many parts as its size asks for. Its place in a pack is known once the pack is full. */
function* manifestOf(world: AgentWorld, settings: PublishSettings, writing: PartitionWriting): Generator<MetaListing> {
  const { partition, cuts: parts, contents } = writing
  const name = settings.mode === "state" ? settings.run : partition.day
  const recipients = [recipientOf(world.catalog, partition.account, partition.epoch)]
  const summary = new Summary(Buffer.from(world.random.bytes(16)).toString("hex"))
  const written: { readonly place: MetaPlace; readonly sha256: Digest }[] = []
  let pending: CapturedItem[] = []
  let items = 0
  const packs = new Set<Digest>()
  for (const item of writing.rows) {
    pending.push(item)
    items += 1
    summary.add(item)
    for (const { pack } of item.at) packs.add(pack)
    if (pending.length < (parts[written.length] ?? 0)) continue
    const header = {
      repository: world.repository.id,
      agent: world.agent.id,
      account: partition.account,
      dataset: settings.dataset,
      partition: name,
      part: written.length,
      parts: parts.length,
    }
    const { tar, sha256 } = encodeManifest(header, pending)
    const place: MetaPlace = { at: null }
    written.push({ place, sha256 })
    pending = []
    yield { tar, recipients, class: partition.class, place }
  }
  for (const pack of packs) rememberPack(world, contents.packs, pack)
  const fields = summary.fields()
  const line = (): InventoryPartition => ({
    account: partition.account,
    epoch: partition.epoch,
    partition: name,
    manifests: written.map(({ place, sha256 }) => [...located(place), sha256]),
    ...fields,
  })
  contents.partitions.push(line)
  contents.classes.add(partition.class)
  contents.written.push({ partition, line, packs: [...packs], items })
}

function rememberPack(world: AgentWorld, packs: Map<Digest, RecordedPack>, sha256: Digest): void {
  if (packs.has(sha256)) return
  const pack = findPack(world.catalog, sha256)
  if (pack === undefined) throw new Error(`catalog: pack ${sha256} of an item is unknown`)
  packs.set(sha256, pack)
}

/** How many items each part of a manifest holds, so that no part is larger than a reader will take. */
function cutsOf(sizes: Iterable<number>): number[] {
  const cuts: number[] = []
  let count = 0
  let bytes = 0
  for (const size of sizes) {
    count += 1
    bytes += size
    if (count < manifestItemsMax && bytes < manifestBytesTarget) continue
    cuts.push(count)
    count = 0
    bytes = 0
  }
  if (count > 0) cuts.push(count)
  return cuts
}

/** What an inventory says of a partition. */
class Summary {
  readonly #salt: string
  readonly #listing: ListingDigest
  readonly #missing = new Map<string, number>()
  #files = 0
  #bytes = 0

  constructor(salt: string) {
    this.#salt = salt
    this.#listing = new ListingDigest(salt)
  }

  add(item: CapturedItem): void {
    if (item.missing !== undefined) {
      this.#missing.set(item.missing.reason, (this.#missing.get(item.missing.reason) ?? 0) + 1)
    } else if (item.type === "file") {
      this.#files += 1
      this.#bytes += item.size
      this.#listing.add(item.path, item.size, item.mtimeNs)
    }
  }

  fields() {
    const missing = [...this.#missing].toSorted(([a], [b]) => (a < b ? -1 : 1))
    return { files: this.#files, bytes: this.#bytes, missing, salt: this.#salt, listing: this.#listing.digest() }
  }
}

async function writeInventory(
  world: AgentWorld,
  settings: PublishSettings,
  contents: Contents,
  meta: MetaPacks,
): Promise<readonly MetaPlace[]> {
  // Manifests must have their places before an inventory can name them.
  await meta.close()
  return await meta.write(inventoryParts(world, settings, contents))
}

function* inventoryParts(world: AgentWorld, settings: PublishSettings, { partitions, classes }: Contents): Generator<MetaListing> {
  const { organisation, catalog } = inForce(world).body
  const recipients = [catalog.recipient, ...organisation.recipients.map(({ recipient }) => recipient)]
  const parts = Math.ceil(partitions.length / inventoryLinesMax)
  for (let part = 0; part < parts; part++) {
    const lines = partitions.slice(part * inventoryLinesMax, (part + 1) * inventoryLinesMax).map((line) => line())
    const header = { repository: world.repository.id, agent: world.agent.id, dataset: settings.dataset, run: settings.run, part, parts }
    const tar = encodeInventory(header, lines)
    yield { tar, recipients, class: longestClass(world, settings.class, classes), place: { at: null } }
  }
}

// An inventory is needed for as long as anything that it names is kept.
function longestClass({ trust }: AgentWorld, own: string, others: ReadonlySet<string>): string {
  const signed = new Map(Object.entries(inForce({ trust }).body.classes))
  const daysOf = (name: string): number => signed.get(name)?.days ?? 0
  return [...others].reduce((longest, name) => (daysOf(name) > daysOf(longest) ? name : longest), own)
}

/** Where a listing lies; known once its pack is full. */
interface MetaPlace {
  at: readonly [pack: Digest, member: number] | null
}

function located({ at }: MetaPlace): [Digest, number] {
  if (at === null) throw new Error("a listing was asked for its place before its pack was full")
  return [...at]
}

/** A part of a manifest or of an inventory. */
interface MetaListing extends Listing {
  readonly class: string
  readonly place: MetaPlace
}

interface OpenMeta {
  readonly builder: PackBuilder
  readonly buffer: ArrayBuffer
  /** Of its members, in their order. */
  readonly listings: MetaPlace[]
  readonly ranges: MemberPlace[]
}

/** The meta packs of one commit: one being filled per class, as far as there are buffers. */
class MetaPacks {
  readonly packs: RecordedPack[] = []
  /** Where the members of each pack lie. */
  readonly places = new Map<Digest, readonly MemberPlace[]>()
  readonly #world: AgentWorld
  readonly #open = new Map<string, OpenMeta>()

  constructor(world: AgentWorld) {
    this.#world = world
  }

  /** Seals listings while they are made, and adds them in their order; gives the places that they will have. */
  async write(listings: Iterable<MetaListing>): Promise<readonly MetaPlace[]> {
    const places: MetaPlace[] = []
    for await (const { listing, file } of sealListings(listings, this.#world)) {
      await this.#add(listing, file)
      places.push(listing.place)
    }
    return places
  }

  async #add({ class: className, place: listing }: MetaListing, file: Uint8Array): Promise<void> {
    const full = this.#open.get(className)?.builder
    if (full !== undefined && (full.bytes + file.length > packBytesTarget || full.members >= metaMembersMax)) await this.#close(className)
    const { builder, listings, ranges } = this.#open.get(className) ?? (await this.#begin(className))
    const { offset, length } = builder.append("tar.zst", file)
    ranges.push([offset, length])
    listings.push(listing)
  }

  /** Places every pack begun. */
  async close(): Promise<void> {
    for (const className of [...this.#open.keys()]) await this.#close(className)
  }

  /** Gives up the packs that were not placed: after a failure, others need their buffers. */
  abandon(): void {
    for (const { buffer } of this.#open.values()) this.#world.buffers.giveBack(buffer)
    this.#open.clear()
  }

  async #begin(className: string): Promise<OpenMeta> {
    const { buffers } = this.#world
    let buffer = buffers.takeFree()
    if (buffer === null) {
      // Whoever waits for a buffer holds none: two that do both would wait for one another.
      await this.close()
      buffer = await buffers.take()
    }
    const open = { builder: new PackBuilder(buffer), buffer, listings: [], ranges: [] }
    this.#open.set(className, open)
    return open
  }

  async #close(className: string): Promise<void> {
    const open = this.#open.get(className)
    if (open === undefined) return
    this.#open.delete(className)
    const { agent, vault, everywhere, signal, buffers, clock } = this.#world
    let intact = false
    try {
      const { bytes, sha256 } = open.builder.finish()
      const name = { agent: agent.id, kind: "meta" as const, class: className, date: utcDay(clock.now()), sha256 }
      const object = { key: packKey(name), bytes: new Uint8Array(open.buffer, 0, bytes), sha256 }
      const { held, missed } = await place(vault, object, { signal })
      intact = missed.length === 0
      const waits = !isDurable(held, vault) && (await everywhere.spool?.keep(object.key, object.bytes, sha256)) === true
      if (held.length === 0 && !waits) {
        throw new JobError("job/not-durable", `no site took a meta pack: ${missed.map(({ message }) => message).join("; ")}`)
      }
      for (const [member, listing] of open.listings.entries()) listing.at = [sha256, member]
      this.packs.push({ ...name, bytes, listed: true })
      this.places.set(sha256, open.ranges)
    } finally {
      if (intact) buffers.giveBack(open.buffer)
      else buffers.replace()
    }
  }
}
