import PQueue from "p-queue"
import { forgetFlaw, rememberFlaw } from "../catalog/scrubs.ts"
import { timestamp } from "../clock.ts"
import { type Digest, sha256 } from "../digest.ts"
import { KeyError, SiteError, VaultError } from "../errors.ts"
import { ListingDigest } from "../format/inventory.ts"
import type { Extent, ManifestItem } from "../format/manifest.ts"
import { type PackName, packKey, trustKey } from "../format/names.ts"
import type { Identity } from "../key/recipient.ts"
import { packsInFlightMax } from "../limits.ts"
import { release } from "../memory.ts"
import { type Rung, rungs, type SiteProof } from "../report/verify.ts"
import type { ObjectInfo } from "../site/site.ts"
import type { ExtractFile, ExtractSegment } from "../stream/task.ts"
import { fetch } from "../vault/fetch.ts"
import { heldAt } from "../vault/presence.ts"
import type { VaultSite } from "../vault/vault.ts"
import { isLost } from "./contents.ts"
import type { History, Snapshot, SnapshotChoice } from "./history.ts"
import { Keyring } from "./keyring.ts"
import type { Ladder } from "./ladder.ts"
import type { Wanted } from "./ranges.ts"
import { Retrieval } from "./retrieve.ts"
import { Listings, type PackNames, packNames, type SnapshotPartition } from "./select.ts"
import type { World } from "./world.ts"

export interface VerifyRequest extends SnapshotChoice {
  /** Without any, nothing can be opened: the proof ends at `hashed`. */
  readonly identities: readonly Identity[]
  /** How far to climb. */
  readonly upTo: Rung
}

interface SegmentFiles {
  readonly length: number
  readonly identities: readonly string[]
  readonly files: ExtractFile[]
}

/** What of a pack the manifests of a snapshot say. */
type PackContents = Map<number, SegmentFiles>

/** One verification under way: the rungs of one dataset's snapshots, site by site and snapshot by snapshot. */
export class Verification {
  readonly #world: World
  readonly #request: VerifyRequest
  readonly #ladder: Ladder
  readonly #keyring: Keyring | null
  readonly #listings: Listings | null
  readonly #history: History
  readonly #present = new Map<string, ReadonlyMap<string, ObjectInfo>>()
  readonly #proofs = new Map<string, { packs: number; missing: number; rotten: number; unreadable?: string }>()
  readonly #packs = new Map<Digest, PackName>()
  readonly #hashed = new Set<Digest>()
  /** Sites that did not give back something they hold. */
  readonly #unread = new Set<string>()
  readonly #paths = new Map<number, string>()
  #bytes = 0
  #files = 0
  #nextId = 0

  constructor(world: World, request: VerifyRequest, ladder: Ladder, history: History) {
    this.#world = world
    this.#request = request
    this.#ladder = ladder
    this.#history = history
    const opens = request.identities.length > 0 && this.#climbs("decrypted")
    this.#keyring = opens ? new Keyring(world, history, request.identities) : null
    this.#listings = this.#keyring === null ? null : new Listings(world, this.#keyring)
  }

  totals(): { packs: number; bytes: number; files: number; sites: SiteProof[] } {
    const sites = [...this.#proofs].map(([name, proof]) => ({ name, ...proof }))
    return { packs: this.#packs.size, bytes: this.#bytes, files: this.#files, sites }
  }

  /** Sites of which every byte they hold was read and hashed. */
  readSites(): string[] {
    return this.#climbs("hashed") ? [...this.#present.keys()].filter((name) => !this.#unread.has(name)) : []
  }

  /** present and checksummed, site by site. */
  async begin(snapshots: readonly Snapshot[]): Promise<void> {
    for (const snapshot of snapshots) {
      for (const pack of packNames(snapshot).values()) this.#packs.set(pack.sha256, pack)
      for (const [, bytes] of snapshot.commit.body.packs) this.#bytes += bytes
    }
    const keys = [...[...this.#packs.values()].map(packKey), ...snapshots.map(({ entry }) => entry.key), ...this.#keysNeeded(snapshots)]
    await Promise.all(this.#world.vault.sites.map((site) => this.#beginSite(site, keys)))
  }

  // Without the key objects and the trust lists a site alone could not be opened, whatever packs it holds.
  #keysNeeded(snapshots: readonly Snapshot[]): string[] {
    const agents = new Set(snapshots.map(({ commit }) => commit.body.agent))
    const objects = [...this.#history.registeredBy].filter(([, agent]) => agents.has(agent)).map(([object]) => object)
    return [...objects, ...this.#world.trust.map(({ body, bytes }) => trustKey(body.n, bytes))]
  }

  async #beginSite({ name, opened }: VaultSite, keys: readonly string[]): Promise<void> {
    const proof = { packs: this.#packs.size, missing: 0, rotten: 0 }
    this.#proofs.set(name, proof)
    try {
      const { present, missing } = await heldAt(opened.site, keys, { signal: this.#world.signal })
      this.#present.set(name, present)
      this.#ladder.passed("present", present.size)
      proof.missing = missing.length
      for (const object of missing) this.#ladder.failed({ rung: "present", site: name, object, detail: "is not there" })
      for (const info of present.values()) this.#checksum(name, info)
    } catch (error) {
      if (!(error instanceof SiteError)) throw error
      this.#proofs.set(name, { ...proof, unreadable: error.message })
      this.#ladder.failed({ rung: "present", site: name, object: "listing", detail: error.message })
    }
  }

  #checksum(site: string, { key, checksum }: ObjectInfo): void {
    const expected = /([0-9a-f]{64})\.tar$/.exec(key)?.[1]
    if (!this.#climbs("checksummed") || checksum?.algorithm !== "sha256" || expected === undefined) return
    if (checksum.value === expected) this.#ladder.passed("checksummed")
    else this.#ladder.failed({ rung: "checksummed", site, object: key, detail: "the provider's own checksum is another" })
  }

  /** hashed and above. */
  async snapshot(snapshot: Snapshot): Promise<void> {
    if (!this.#climbs("hashed")) return
    const contents = new Map<Digest, PackContents>()
    const split: Wanted[] = []
    if (this.#keyring !== null && this.#listings !== null)
      await this.#readContents(snapshot, this.#keyring, this.#listings, { contents, split })
    const queue = new PQueue({ concurrency: packsInFlightMax })
    const packs = [...packNames(snapshot).values()]
    try {
      await queue.addAll(packs.map((pack) => () => this.#pack(pack, contents.get(pack.sha256))))
    } finally {
      // After a failure nothing may go on behind it.
      queue.clear()
      await queue.onIdle()
    }
    await this.#splitFiles(split)
  }

  async #readContents(snapshot: Snapshot, keyring: Keyring, listings: Listings, into: Contents): Promise<void> {
    const names = packNames(snapshot)
    const what = `inventory of snapshot ${snapshot.commit.body.run.slice(0, 12)}`
    const partitions = (await this.#unlessLost(what, () => listings.partitions(snapshot))) ?? []
    for (const partition of partitions) {
      const { account, epoch, salt, listing, partition: name } = partition.line
      await this.#unlessLost(`manifest of partition ${name} of account ${account}`, async () => {
        const identities = (await keyring.identities(account, epoch)).map(({ secret }) => secret.reveal())
        const digest = new ListingDigest(salt)
        for await (const item of listings.items(partition)) {
          if (item.type !== "file" || item.missing !== undefined || item.gone === true) continue
          digest.add(item.path, item.size, item.mtimeNs)
          this.#files += 1
          this.#add(item, identities, names, into)
        }
        if (digest.digest() !== listing) this.#ladder.failed(wrongListing(partition))
      })
    }
  }

  // A listing that nobody can have back is a finding, and all that it would have named; the rest is still verified.
  async #unlessLost<T>(object: string, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work()
    } catch (error) {
      if (!isLost(error)) throw error
      const rung =
        error instanceof VaultError ? ("hashed" as const) : error instanceof KeyError ? ("decrypted" as const) : ("decoded" as const)
      this.#ladder.failed({ rung, object, detail: error.message })
      return undefined
    }
  }

  #add(item: ManifestItem, identities: readonly string[], names: PackNames, { contents, split }: Contents): void {
    const segments = new Set(item.at.map(({ pack, segmentOffset }) => `${pack} ${String(segmentOffset)}`))
    if (item.at.length === 0) {
      this.#emptyFile(item)
      return
    }
    const id = this.#nextId++
    this.#paths.set(id, item.path.toString())
    if (segments.size > 1) split.push({ id, item, packs: names, identities })
    for (const extent of item.at) {
      const pack = contents.get(extent.pack) ?? new Map<number, SegmentFiles>()
      contents.set(extent.pack, pack)
      const segment = pack.get(extent.segmentOffset) ?? { length: extent.segmentLength, identities, files: [] }
      pack.set(extent.segmentOffset, segment)
      if (segments.size === 1 && segment.files.at(-1)?.id !== id) segment.files.push(fileOf(item, id))
    }
  }

  #emptyFile(item: ManifestItem): void {
    if (item.sha256 === sha256("")) this.#ladder.passed("matched")
    else this.#ladder.failed({ rung: "matched", object: item.path.toString(), detail: "an empty file with another hash" })
  }

  // Every site's copy is hashed; the first good one is opened.
  async #pack(pack: PackName, contents: PackContents | undefined): Promise<void> {
    this.#world.signal.throwIfAborted()
    let opened = contents === undefined
    if (!this.#hashed.has(pack.sha256)) {
      this.#hashed.add(pack.sha256)
      for (const site of this.#world.vault.sites) {
        const bytes = await this.#hashAt(site, pack)
        if (bytes === null) continue
        if (opened || contents === undefined) {
          release(bytes)
          continue
        }
        opened = true
        await this.#open(bytes, pack, contents)
      }
    }
    if (!opened && contents !== undefined) await this.#openAgain(pack, contents)
  }

  // Listed by an earlier snapshot too, and hashed then: only what this one keeps in it is left to open.
  async #openAgain(pack: PackName, contents: PackContents): Promise<void> {
    try {
      const { vault, signal } = this.#world
      const { bytes } = await fetch(vault, packKey(pack), { sha256: pack.sha256, released: true, signal })
      await this.#open(bytes, pack, contents)
    } catch (error) {
      if (!(error instanceof VaultError)) throw error
      this.#reopenLost(pack, contents)
    }
  }

  async #hashAt({ name, opened }: VaultSite, pack: PackName): Promise<Uint8Array | null> {
    const key = packKey(pack)
    if (this.#present.get(name)?.has(key) !== true) return null
    try {
      const bytes = await opened.site.get(key, { signal: this.#world.signal, released: true })
      if (sha256(bytes) === pack.sha256) {
        this.#ladder.passed("hashed")
        forgetFlaw(this.#world.catalog, name, key)
        return bytes
      }
      const detail = "its bytes do not have the SHA-256 of its name"
      rememberFlaw(this.#world.catalog, { site: name, key, kind: "rotten", detail }, timestamp(this.#world.clock.now()))
      this.#rotten(name, key, detail)
    } catch (error) {
      if (!(error instanceof SiteError)) throw error
      this.#unread.add(name)
      if (error.retryable) this.#silent(name, key, error.message)
      else this.#rotten(name, key, error.message)
    }
    return null
  }

  // A site that does not answer has not lost anything.
  #silent(site: string, object: string, detail: string): void {
    const proof = this.#proofs.get(site)
    if (proof !== undefined) proof.unreadable ??= detail
    this.#ladder.failed({ rung: "hashed", site, object, detail })
  }

  #rotten(site: string, object: string, detail: string): void {
    const proof = this.#proofs.get(site)
    if (proof !== undefined) proof.rotten += 1
    this.#ladder.failed({ rung: "hashed", site, object, detail })
  }

  async #open(bytes: Uint8Array, pack: PackName, contents: PackContents): Promise<void> {
    const segments: ExtractSegment[] = [...contents].map(([offset, segment]) => ({ offset, ...segment }))
    const task = { type: "extract" as const, fetched: [{ offset: 0, bytes }], segments, target: null, owners: false, audit: true }
    const { files, failures } = await this.#world.pool.extract(task)
    for (const { rung, detail } of failures) {
      if (rung === "decoded") this.#ladder.passed("decrypted")
      this.#ladder.failed({ rung, object: packKey(pack), detail })
    }
    this.#ladder.passed("decrypted", segments.length - failures.length)
    this.#ladder.passed("decoded", segments.length - failures.length)
    for (const file of files) {
      if (file.outcome === "done") this.#ladder.passed("matched")
      else this.#ladder.failed({ rung: "matched", object: this.#paths.get(file.id) ?? "", detail: file.detail })
      this.#paths.delete(file.id)
    }
    this.#tell()
  }

  // No site had good bytes: what was in the pack cannot be had back, and each file is said.
  #reopenLost(pack: PackName, contents: PackContents): void {
    for (const { files } of contents.values()) {
      for (const { id } of files) {
        this.#ladder.failed({ rung: "matched", object: this.#paths.get(id) ?? "", detail: `no site has good bytes of ${packKey(pack)}` })
        this.#paths.delete(id)
      }
    }
  }

  async #splitFiles(split: readonly Wanted[]): Promise<void> {
    const retrieval = new Retrieval(this.#world, {
      target: null,
      owners: false,
      onResult: ({ item }, result) => {
        if (result.outcome === "done") this.#ladder.passed("matched")
        else this.#ladder.failed({ rung: "matched", object: item.path.toString(), detail: result.detail })
      },
    })
    await retrieval.bring(split)
  }

  #tell(): void {
    const progress = { phase: "verifying", files: this.#files - this.#paths.size, bytes: 0, unchanged: 0, totalFiles: this.#files }
    this.#world.tell({ type: "progress", progress })
  }

  #climbs(rung: Rung): boolean {
    return rungs.indexOf(rung) <= rungs.indexOf(this.#request.upTo)
  }
}

interface Contents {
  readonly contents: Map<Digest, PackContents>
  readonly split: Wanted[]
}

function wrongListing({ line }: SnapshotPartition) {
  const object = `partition ${line.partition} of account ${line.account}`
  return { rung: "matched" as const, object, detail: "its files are not those the inventory counted" }
}

function fileOf(item: ManifestItem, id: number): ExtractFile {
  const { path, mode, mtimeNs, uid, gid } = item
  const extents = item.at.map(({ frameOffset, frameLength, skip, length }: Extent) => ({ frameOffset, frameLength, skip, length }))
  return { id, path, sha256: item.sha256 ?? "", mode, mtimeNs, uid, gid, extents, first: true, last: true }
}
