import { lstatSync } from "node:fs"
import { type KnownAccount, ownerOf } from "../catalog/accounts.ts"
import type { CapturedItem, Items, KnownItem } from "../catalog/items.ts"
import { accountNamed, rememberAccountNames, sourceMemory } from "../catalog/memory.ts"
import { rememberReferences } from "../catalog/references.ts"
import { rememberStretches, type Stretch, stretchAt } from "../catalog/stretches.ts"
import type { Digest } from "../digest.ts"
import { BackupError, JobError, reasonOf } from "../errors.ts"
import { packBytesTarget, pieceBytes } from "../limits.ts"
import type { AccountNames, Found, Source, SourceItem, SourceMiss, ToldOfMedia } from "../source/source.ts"
import { PackPlanner, streamPiece } from "../stream/plan.ts"
import { bear, epochOf, livingAccount } from "./birth.ts"
import { lastLifted } from "./emptied.ts"
import { type Met, Neighbours, sealOf } from "./neighbours.ts"
import type { OwnLog } from "./own-log.ts"
import { capturedItem, type Departure, Sender } from "./send.ts"
import type { Tally } from "./tally.ts"
import type { AgentWorld } from "./world.ts"

/** What a job asks of a run. */
export interface CaptureSettings {
  readonly mode: "archive" | "state"
  readonly class: string
  /** Accounts that are kept in another one, by their stable ids. */
  readonly accountClasses: ReadonlyMap<string, { readonly name: string }>
  /** Where whatever cannot be attributed is kept: a short class, if the operator has one. */
  readonly mixedClass: string
  readonly items: Items
  readonly run: number
  /** When the run began: key epochs are those of this moment, however long it takes. */
  readonly started: Date
  readonly tally: Tally
  readonly log: OwnLog
}

/** Items looked at before accounts are born for the new ones among them: one commit for many births. */
const windowItems = 2000
const windowBytes = 4 * packBytesTarget
/** Items that the catalog is asked about at once, and their bytes where they come with them. */
const askedItems = 256
const heldBytesMax = packBytesTarget / 4
/** How often a file that changes while it is read is tried in all; only where a whole is wanted. */
const attemptsMax = 3

/**
 * From the source to the sites: what is new or changed is read, encrypted to its account and placed; what is not is recognised without
 * being opened. When it resolves, everything captured is at the sites and in the catalog, pending until a commit lists it.
 */
export class Capture {
  readonly #world: AgentWorld
  readonly #settings: CaptureSettings
  readonly #lanes = new Map<string, Lane>()
  readonly #kept: Buffer[] = []
  readonly #neighbours: Neighbours | null
  readonly #found: Met[] = []
  #foundItems = 0
  #foundBytes = 0
  #stretches: { unchanged: Stretch[]; changed: Buffer[] } = { unchanged: [], changed: [] }
  readonly #references: ToldOfMedia[] = []
  readonly #names: AccountNames[] = []
  /** Directories, links and what is missing: recorded, though there is nothing to send. */
  readonly #contentless: CapturedItem[] = []
  #window: SourceItem[] = []
  #windowBytes = 0
  #again: { readonly departure: Departure; readonly miss: SourceMiss }[] = []
  #nextId = 0
  #accounts = new Set<string>()
  readonly #owners = new Map<string, string | undefined>()
  born = 0
  /** How much the source said: items, misses and notes. */
  met = 0

  constructor(world: AgentWorld, settings: CaptureSettings) {
    this.#world = world
    this.#settings = settings
    // A whole's items are each marked as met.
    this.#neighbours = settings.mode === "archive" ? new Neighbours() : null
  }

  /** Bytes placed since the last commit, for runs long enough to commit in between. */
  get bytes(): number {
    return [...this.#lanes.values()].reduce((sum, { sender }) => sum + sender.bytes, 0)
  }

  get accounts(): number {
    return this.#accounts.size
  }

  async run(source: Source, onWindow: () => Promise<void>): Promise<void> {
    const { clock, signal, scratch, catalog } = this.#world
    try {
      const memory = sourceMemory(catalog, this.#settings.items.dataset)
      const lifted = lastLifted(this.#world, this.#settings.items.dataset, "emptied-table")
      const accepted = lifted === null ? {} : { emptyAccepted: new Date(lifted) }
      for await (const found of source.capture({ now: clock.now(), scratch, signal, memory, ...accepted })) {
        signal.throwIfAborted()
        this.met += 1
        this.#take(found)
        if ("item" in found && found.item.content.kind === "bytes") this.#foundBytes += found.item.content.bytes.length
        // A stream may end with what it is read from: a database's snapshot lasts until its source is asked for what comes next.
        const now = "item" in found && found.item.content.kind === "stream"
        if (!now && this.#foundItems < askedItems && this.#foundBytes < heldBytesMax) continue
        this.#meetFound()
        if (!now && this.#window.length < windowItems && this.#windowBytes < windowBytes) continue
        await this.#sendWindow()
        await onWindow()
      }
      this.#neighbours?.end(this.#found)
      this.#meetFound()
      await this.#sendWindow()
      await this.#flush()
      for (let attempt = 1; this.#again.length > 0; attempt++) await this.#tryAgain(attempt)
    } finally {
      for (const { sender } of this.#lanes.values()) await sender.drained()
      await this.#world.pool.abandon()
    }
  }

  /** Everything sent so far is placed and remembered when it resolves. */
  async flush(): Promise<void> {
    await this.#sendWindow()
    await this.#flush()
  }

  #take(found: Found): void {
    const before = this.#found.length
    if (this.#neighbours === null) this.#found.push(found)
    else this.#neighbours.next(found, this.#found)
    for (const met of this.#found.slice(before)) this.#foundItems += "stretch" in met ? met.stretch.length : 1
  }

  #meetFound(): void {
    this.#world.catalog.reading(() => {
      for (const met of this.#found.splice(0)) {
        if ("stretch" in met) this.#meetStretch(met.stretch)
        else this.#meet(met)
      }
    })
    this.#foundItems = 0
    this.#foundBytes = 0
    this.#rememberTold()
    if (this.#kept.length >= windowItems) this.#flushKept()
    if (this.#stretches.unchanged.length + this.#stretches.changed.length >= askedItems) this.#rememberStretches()
  }

  // Of millions of files next to all are as they were: then one answer of the catalog does for many.
  #meetStretch(stretch: readonly SourceItem[]): void {
    const [first] = stretch
    if (first === undefined) return
    const { tally, items } = this.#settings
    const { stableId, path } = first
    const seal = sealOf(stretch)
    const known = stretchAt(this.#world.catalog, items.dataset, path)
    if (known?.seal.equals(seal) === true && known.class === this.#classOf(stableId) && this.#owns(stableId, known.account)) {
      this.#accounts.add(stableId)
      tally.unchanged(
        stretch.reduce((sum, { size }) => sum + (size ?? 0), 0),
        stretch.length,
      )
      return
    }
    const kept = stretch.map((item) => this.#meetItem(item))
    const [one] = kept
    if (one !== undefined && kept.every((each) => each?.account === one.account && each.class === one.class)) {
      this.#stretches.unchanged.push({ path, seal, account: one.account, class: one.class })
    } else if (known !== undefined) this.#stretches.changed.push(path)
  }

  #rememberStretches(): void {
    if (this.#stretches.unchanged.length + this.#stretches.changed.length === 0) return
    rememberStretches(this.#world.catalog, this.#settings.items.dataset, this.#stretches)
    this.#stretches = { unchanged: [], changed: [] }
  }

  // What a source says of its accounts and of media elsewhere is no item: other jobs ask for it.
  #rememberTold(): void {
    const { catalog } = this.#world
    for (const { stableId, names } of this.#names.splice(0)) rememberAccountNames(catalog, stableId, names)
    if (this.#references.length > 0) rememberReferences(catalog, this.#settings.items.dataset, this.#references.splice(0))
  }

  #meet(found: Found): void {
    const { tally } = this.#settings
    if ("note" in found) {
      tally.note(found.note)
      return
    }
    if ("miss" in found) {
      this.#miss(found.miss)
      return
    }
    if ("account" in found) {
      this.#names.push(found.account)
      return
    }
    if ("reference" in found || "unreferenced" in found) {
      this.#references.push(found)
      return
    }
    this.#meetItem(found.item)
  }

  /** What is remembered of the item, where it is unchanged. */
  #meetItem(item: SourceItem): KnownItem | undefined {
    const { tally, items, mode } = this.#settings
    if (item.content.kind === "bytes") this.#refuseTwice(item.path, item.content.sha256)
    this.#accounts.add(item.stableId)
    const known = items.known(item.path)
    if (known !== undefined && this.#isUnchanged(known, item)) {
      if (item.type === "file") tally.unchanged(known.size)
      if (mode === "state") this.#kept.push(item.path)
      return known
    }
    this.#window.push(item)
    this.#windowBytes += item.size ?? pieceBytes
    // What is in memory already is sent on sooner than what workers read themselves.
    if (item.content.kind === "bytes") this.#windowBytes += 3 * (item.size ?? 0)
    return undefined
  }

  // The second would take the place of the first, and rows be lost in silence. Paths of files cannot come twice.
  #refuseTwice(path: Buffer, sha256: Digest): void {
    const name = path.toString("latin1")
    const given = this.#given.get(name)
    if (given !== undefined && given !== sha256)
      throw new JobError("job/source", `${path.toString()}: the source gave this path twice, with other bytes`)
    this.#given.set(name, sha256)
  }

  readonly #given = new Map<string, Digest>()

  #isUnchanged(known: KnownItem, item: SourceItem): boolean {
    if (item.content.kind === "bytes") return item.content.sha256 === known.sha256 && this.#isWhereItBelongs(known, item)
    if (item.type !== known.type || item.size !== known.size || item.mtimeNs !== known.mtimeNs) return false
    // What was recalled from the sites has no time of its inode: then only these tell that it was given another owner or mode.
    if (item.mode !== known.mode || item.uid !== known.uid || item.gid !== known.gid) return false
    if (item.type === "symlink")
      return item.link !== undefined && known.link?.equals(item.link) === true && this.#isWhereItBelongs(known, item)
    if (item.identity === undefined) return false
    if (known.ctimeNs !== null && known.ctimeNs !== item.identity.ctimeNs) return false
    if (known.inode !== null && known.inode !== item.identity.inode) return false
    return this.#isWhereItBelongs(known, item)
  }

  // The same bytes, but under whose key, for how long, and of which day: a corrected template moves an item from `mixed` to its account.
  #isWhereItBelongs(known: KnownItem, { stableId, day }: SourceItem): boolean {
    const { mode, started } = this.#settings
    if (known.class !== this.#classOf(stableId) || !this.#owns(stableId, known.account)) return false
    // An archive's item stays in the week it was captured in; a whole lists all its items under the key epoch of its run.
    return mode === "archive" ? known.day === day : known.epoch === epochOf(stableId, started)
  }

  // What was captured under an account's name, before its database said its id, stays where it is.
  #owns(stableId: string, account: string): boolean {
    const owner = this.#ownerOf(account)
    return owner === stableId || (owner !== undefined && accountNamed(this.#world.catalog, owner) === stableId)
  }

  #ownerOf(account: string): string | undefined {
    if (!this.#owners.has(account)) this.#owners.set(account, ownerOf(this.#world.catalog, account))
    return this.#owners.get(account)
  }

  #flushKept(): void {
    if (this.#kept.length > 0) this.#settings.items.keep(this.#kept.splice(0), this.#settings.run)
  }

  #miss(miss: SourceMiss): void {
    this.#settings.tally.miss(miss)
    const { path, stableId, day } = miss
    const item: SourceItem = { ...emptyItem, path, stableId, day }
    this.#window.push(item)
    this.#missing.set(item, miss)
  }

  readonly #missing = new Map<SourceItem, SourceMiss>()

  async #sendWindow(): Promise<void> {
    this.#flushKept()
    this.#rememberStretches()
    const window = this.#window.splice(0)
    this.#windowBytes = 0
    if (window.some(({ content }) => content.kind !== "none")) this.#world.pool.wake()
    await this.#sendAll(window)
    this.#recordContentless()
  }

  async #sendAll(items: readonly SourceItem[]): Promise<void> {
    const accounts = this.#livingAccounts(items)
    const strangers = items.map(({ stableId }) => stableId).filter((stableId) => !accounts.has(stableId))
    if (strangers.length > 0) this.born += await bear(this.#world, this.#settings.log, strangers, this.#settings.started)
    const born = strangers.length === 0 ? accounts : this.#livingAccounts(items)
    for (const item of items) await this.#sendItem(item, born.get(item.stableId))
  }

  #livingAccounts(items: readonly SourceItem[]): ReadonlyMap<string, KnownAccount> {
    const accounts = new Map<string, KnownAccount>()
    for (const stableId of new Set(items.map((item) => item.stableId))) {
      const account = livingAccount(this.#world, stableId, this.#settings.started)
      if (account !== undefined) accounts.set(stableId, account)
    }
    return accounts
  }

  async #sendItem(item: SourceItem, account: KnownAccount | undefined): Promise<void> {
    if (account === undefined) throw new Error("the account of an item was not born")
    const departure: Departure = {
      item,
      account: account.account,
      epoch: account.epoch,
      size: item.size,
      pieces: 1,
      arrived: null,
      sha256: null,
      flags: [],
    }
    const miss = this.#missing.get(item)
    if (miss !== undefined || item.content.kind === "none") {
      this.#missing.delete(item)
      this.#recordWithoutContent(departure, miss)
      return
    }
    if (item.content.kind === "stream") {
      await this.#sendStream(departure, account.recipient, item.content)
      return
    }
    if (item.content.kind === "bytes") {
      departure.size = item.content.bytes.length
      await this.#depart(departure, account.recipient, item.content.bytes)
      return
    }
    departure.pieces = Math.max(1, (item.size ?? 0) > pieceBytes ? Math.ceil((item.size ?? 0) / pieceBytes) : 1)
    await this.#depart(departure, account.recipient)
  }

  #recordWithoutContent(departure: Departure, miss: SourceMiss | undefined): void {
    const className = this.#classOf(departure.item.stableId)
    const item = capturedItem(departure, className, { at: [], size: 0 })
    const missing = miss === undefined ? {} : { missing: { reason: miss.reason, detail: miss.detail.slice(0, 500) } }
    this.#contentless.push({ ...item, ...missing })
  }

  // Together: every transaction waits for the disk.
  #recordContentless(): void {
    if (this.#contentless.length > 0) this.#settings.items.record(this.#contentless.splice(0), [], this.#settings.run)
  }

  async #depart(departure: Departure, recipient: string, bytes?: Uint8Array): Promise<void> {
    const id = this.#nextId++
    const { planner, sender } = this.#lane(departure.item.stableId)
    sender.announce(id, departure)
    for (const plan of planner.add({ id, item: departure.item, recipient }, bytes)) await sender.send(plan)
  }

  // A stream's size is known at its end, and whether it was whole too: nothing of it counts before its producer ended well.
  async #sendStream(departure: Departure, recipient: string, content: Extract<SourceItem["content"], { kind: "stream" }>): Promise<void> {
    const id = this.#nextId++
    const { planner, sender } = this.#lane(departure.item.stableId)
    const outgoing = { id, item: departure.item, recipient }
    departure.pieces = null
    departure.size = null
    sender.announce(id, departure)
    let size = 0
    let number = 0
    try {
      for await (const { bytes, last } of pieces(content.open(this.#world.signal))) {
        number += 1
        size += bytes.length
        if (last) Object.assign(departure, { size, pieces: number })
        const plans = last && number === 1 ? planner.add(outgoing, bytes) : [streamPiece(outgoing, bytes, { number, last })]
        for (const plan of plans) await sender.send(plan)
      }
      // A source cannot say so itself: it is asked for what comes next before its stream is read.
      if (size === 0) this.#settings.tally.note({ kind: "empty" })
    } catch (error) {
      if (!(error instanceof BackupError)) throw error
      sender.forget(id)
      const { stableId, day, path } = departure.item
      const miss: SourceMiss = { stableId, day, path, reason: "failed", detail: reasonOf(error) }
      this.#settings.tally.miss(miss)
      this.#recordWithoutContent(departure, miss)
    }
  }

  async #flush(): Promise<void> {
    for (const { planner, sender } of this.#lanes.values()) for (const plan of planner.flush()) await sender.send(plan)
    for (const { sender } of this.#lanes.values()) await sender.settled()
    this.#recordContentless()
  }

  #onMiss(departure: Departure, miss: SourceMiss): void {
    if (miss.reason === "torn" && this.#settings.mode === "state") {
      this.#again.push({ departure, miss })
      return
    }
    this.#settings.tally.miss(miss)
    if (miss.reason !== "vanished") this.#recordWithoutContent(departure, miss)
  }

  async #tryAgain(attempt: number): Promise<void> {
    const items: SourceItem[] = []
    for (const { departure, miss } of this.#again.splice(0)) {
      const fresh = attempt < attemptsMax ? lookAgain(departure.item) : null
      if (fresh !== null) items.push(fresh)
      else {
        this.#settings.tally.miss(miss)
        this.#recordWithoutContent(departure, miss)
      }
    }
    await this.#sendAll(items)
    await this.#flush()
  }

  #classOf(stableId: string): string {
    const { accountClasses, class: className, mixedClass } = this.#settings
    return stableId === "mixed" ? mixedClass : (accountClasses.get(stableId)?.name ?? className)
  }

  #lane(stableId: string): Lane {
    const className = this.#classOf(stableId)
    const known = this.#lanes.get(className)
    if (known !== undefined) return known
    const { items, run, tally } = this.#settings
    const onMiss = (departure: Departure, miss: SourceMiss) => this.#onMiss(departure, miss)
    const lane = { planner: new PackPlanner(), sender: new Sender(this.#world, { class: className, items, run, tally, onMiss }) }
    this.#lanes.set(className, lane)
    return lane
  }
}

/** One class's way out: one pack, one class. */
interface Lane {
  readonly planner: PackPlanner
  readonly sender: Sender
}

const emptyItem = {
  type: "file" as const,
  size: 0,
  mtimeNs: 0n,
  mode: 0,
  uid: 0,
  gid: 0,
  compressible: false,
  flags: [],
  content: { kind: "none" as const },
}

function lookAgain(item: SourceItem): SourceItem | null {
  if (item.content.kind !== "file") return null
  const stat = lstatSync(item.content.path, { bigint: true, throwIfNoEntry: false })
  if (stat === undefined || !stat.isFile()) return null
  return {
    ...item,
    size: Number(stat.size),
    mtimeNs: stat.mtimeNs,
    mode: Number(stat.mode) & 0o7777,
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    identity: { ctimeNs: stat.ctimeNs, inode: stat.ino, device: stat.dev },
  }
}

/** A stream in pieces of one size, the last one known to be the last; an empty stream is one empty piece. */
async function* pieces(stream: AsyncIterable<Uint8Array>): AsyncGenerator<{ readonly bytes: Uint8Array; readonly last: boolean }> {
  let piece = Buffer.allocUnsafeSlow(pieceBytes)
  let filled = 0
  for await (const chunk of stream) {
    for (let taken = 0; taken < chunk.length; ) {
      if (filled === pieceBytes) {
        yield { bytes: piece, last: false }
        piece = Buffer.allocUnsafeSlow(pieceBytes)
        filled = 0
      }
      const part = chunk.subarray(taken, taken + pieceBytes - filled)
      piece.set(part, filled)
      filled += part.length
      taken += part.length
    }
  }
  yield { bytes: piece.subarray(0, filled), last: true }
}
