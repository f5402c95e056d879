import { ConfinedTree } from "../confined.ts"
import type { FileAttributes } from "../confined-file.ts"
import { BackupError, errnoOf, JobError, reasonOf } from "../errors.ts"
import type { ManifestItem } from "../format/manifest.ts"
import type { ProblemFile } from "../report/restore.ts"
import { count } from "../units.ts"
import type { ChosenItem, Contents, Loss } from "./contents.ts"
import type { Snapshot } from "./history.ts"
import type { Wanted } from "./ranges.ts"
import { Retrieval, type Retrieved } from "./retrieve.ts"
import { packNames, type SnapshotPartition } from "./select.ts"
import type { World } from "./world.ts"

export interface WorkOptions {
  readonly root: string
  readonly owners: boolean
  /** Whether something may be there already. */
  readonly resuming: boolean
}

const problemsMax = 100
/** Why a snapshot may lack an item and still be whole, as the run that took it was. */
const noLoss: ReadonlySet<string> = new Set(["vanished", "refused"])
const waitingItemsMax = 2048
const waitingBytesMax = 128 * 1024 * 1024

/** A restore under way. */
export class RestoreWork {
  readonly #world: World
  readonly #options: WorkOptions
  readonly #expected: { readonly files: number; readonly bytes: number }
  readonly #tree: ConfinedTree
  readonly #retrieval: Retrieval
  readonly #directories: { readonly path: Buffer; readonly attributes: FileAttributes }[] = []
  readonly #links: ManifestItem[] = []
  readonly #restored = { files: 0, bytes: 0 }
  readonly #present = { files: 0, bytes: 0 }
  readonly #lost = new Problems()
  readonly #unreachable = new Problems()
  readonly #refused = new Problems()
  readonly #waiting: Wanted[] = []
  #coming: Promise<void> = Promise.resolve()
  #waitingBytes = 0
  #missingAtSource = 0
  /** Those of them that the snapshot should hold: neither deleted while it was taken, nor sockets and the like. */
  #wantedAtSource = 0
  #madeLinks = 0
  #leftovers = 0
  #nextId = 0

  constructor(world: World, options: WorkOptions, expected: { readonly files: number; readonly bytes: number }) {
    this.#world = world
    this.#options = options
    this.#expected = expected
    this.#tree = new ConfinedTree(options.root)
    const { root, owners } = options
    this.#retrieval = new Retrieval(world, { target: root, owners, onResult: (wanted, result) => this.#settle(wanted, result) })
  }

  /** Files wait until there are many: neighbours in one pack are then fetched together. */
  async bring(chosen: Contents, items: readonly ChosenItem[]): Promise<void> {
    for (const { item, partition } of items) {
      if (item.type === "file") this.#sweep(item.path)
      if (item.missing !== undefined) {
        this.#missingAtSource += 1
        if (!noLoss.has(item.missing.reason)) this.#wantedAtSource += 1
      } else if (item.type === "directory") this.#directory(item)
      else if (item.type === "symlink") this.#links.push(item)
      else if (item.at.length === 0) this.#emptyFile(item)
      else {
        this.#waiting.push(await this.#want(chosen, item, partition))
        this.#waitingBytes += item.size
      }
    }
    if (this.#waiting.length >= waitingItemsMax || this.#waitingBytes >= waitingBytesMax) await this.flush()
  }

  /** Begins to bring home what waits, once what was begun before is home: meanwhile the next is listed. */
  async flush(): Promise<void> {
    await this.#coming
    this.#waitingBytes = 0
    const waiting = this.#waiting.splice(0)
    this.#coming = this.#bringHome(waiting)
    // Whoever waits for it hears of the failure.
    this.#coming.catch(() => undefined)
  }

  /** Resolves when all that was begun is home. */
  async settled(): Promise<void> {
    await this.#coming
  }

  async #bringHome(wanted: readonly Wanted[]): Promise<void> {
    await this.#retrieval.bring(await this.#withoutPresent(wanted))
  }

  /** An older item of a path that something else is restored under. */
  displace(path: Buffer, detail: string): void {
    this.#refuse(path, detail, "")
  }

  /** Links and the looks of directories come last: nothing is written through the one, or into the other, after that. */
  finish(): void {
    for (const item of this.#links) {
      this.#trying(item.path, () => {
        this.#tree.makeSymlink(item.path, item.link ?? Buffer.alloc(0))
        this.#madeLinks += 1
      })
    }
    for (const { path, attributes } of this.#directories.toSorted((a, b) => b.path.length - a.path.length)) {
      this.#trying(path, () => this.#tree.setDirectory(path, attributes))
    }
  }

  /** Files that cannot even be named, because their listing is lost. */
  lose({ what, detail, files, unreachable }: Loss): void {
    this.#miss(unreachable ? "unreachable" : "lost", what, detail, files)
  }

  close(): void {
    this.#tree.close()
  }

  outcome() {
    const problems = this.#lost.count + this.#unreachable.count + this.#refused.count
    const failed = this.#restored.files + this.#present.files === 0 && problems > 0
    const partial = problems + this.#wantedAtSource > 0
    return {
      outcome: failed ? ("failed" as const) : partial ? ("partial" as const) : ("ok" as const),
      restored: this.#restored,
      present: this.#present,
      directories: this.#directories.length,
      links: this.#madeLinks,
      lost: this.#lost.shown,
      lostCount: this.#lost.count,
      unreachable: this.#unreachable.shown,
      unreachableCount: this.#unreachable.count,
      refused: this.#refused.shown,
      refusedCount: this.#refused.count,
      missingAtSource: this.#missingAtSource,
      leftovers: this.#leftovers,
      fetched: [...this.#retrieval.deliveries].map(([site, { bytes }]) => ({ site, bytes })),
    }
  }

  /** How fast each site delivered, as far as it can be told. */
  speeds(): { readonly site: string; readonly bytesPerSecond: number }[] {
    return [...this.#retrieval.deliveries].flatMap(([site, { bytesPerSecond }]) =>
      bytesPerSecond === null ? [] : [{ site, bytesPerSecond }],
    )
  }

  /** Bytes that are still to come, at most. */
  get bytesLeft(): number {
    return Math.max(0, this.#expected.bytes - this.#restored.bytes - this.#present.bytes)
  }

  async #want(chosen: Contents, item: ManifestItem, { snapshot, line }: SnapshotPartition): Promise<Wanted> {
    const identities = await chosen.keyring.identities(line.account, line.epoch)
    const names = this.#names.get(snapshot) ?? packNames(snapshot)
    this.#names.set(snapshot, names)
    return { id: this.#nextId++, item, packs: names, identities: identities.map(({ secret }) => secret.reveal()) }
  }

  readonly #names = new Map<Snapshot, ReturnType<typeof packNames>>()

  async #withoutPresent(wanted: readonly Wanted[]): Promise<readonly Wanted[]> {
    if (!this.#options.resuming || wanted.length === 0) return wanted
    const files = wanted.map(({ id, item }) => ({ id, path: item.path, size: item.size, sha256: item.sha256 ?? "" }))
    const { equal } = await this.#world.pool.compare({ type: "compare", target: this.#options.root, files })
    const there = new Set(equal)
    for (const { id, item } of wanted) if (there.has(id)) this.#wasPresent(item)
    return wanted.filter(({ id }) => !there.has(id))
  }

  // Once for each directory, and before the first file of this restore is begun there.
  #sweep(path: Buffer): void {
    if (!this.#options.resuming) return
    const directory = path.toString("latin1", 0, Math.max(0, path.lastIndexOf("/")))
    if (this.#swept.has(directory)) return
    this.#swept.add(directory)
    this.#leftovers += this.#tree.removeLeftovers(path)
  }

  readonly #swept = new Set<string>()

  #wasPresent(item: ManifestItem): void {
    this.#present.files += 1
    this.#present.bytes += item.size
    this.#tell()
  }

  #directory(item: ManifestItem): void {
    this.#trying(item.path, () => {
      this.#tree.makeDirectory(item.path)
      this.#directories.push({ path: item.path, attributes: this.#attributes(item) })
    })
  }

  #emptyFile(item: ManifestItem): void {
    this.#trying(item.path, () => {
      if (this.#options.resuming && this.#tree.isEmptyFile(item.path)) {
        this.#wasPresent(item)
        return
      }
      const file = this.#tree.create(item.path)
      file.settle(this.#attributes(item))
      this.#restored.files += 1
    })
  }

  #attributes({ mode, mtimeNs, uid, gid }: ManifestItem): FileAttributes {
    return { mode, mtimeNs, ...(this.#options.owners ? { owner: { uid, gid } } : {}) }
  }

  #settle({ item }: Wanted, result: Retrieved): void {
    if (result.outcome === "done") {
      this.#restored.files += 1
      this.#restored.bytes += item.size
    } else if (result.outcome === "refused") this.#refuse(item.path, result.detail, result.code)
    else this.#miss(result.outcome, item.path.toString(), result.detail)
    this.#tell()
  }

  #miss(reason: "lost" | "unreachable" | "refused", path: string, detail: string, files = 1): void {
    const problems = { lost: this.#lost, unreachable: this.#unreachable, refused: this.#refused }[reason]
    problems.add({ path, detail }, files)
    this.#world.tell({ type: "missed", path, reason, detail })
  }

  #trying(path: Buffer, work: () => void): void {
    try {
      work()
    } catch (error) {
      const code = errnoOf(error)
      if (error instanceof BackupError || code !== undefined) this.#refuse(path, reasonOf(error), code ?? "")
      else throw error
    }
  }

  // A full disk refuses every file that follows: it ends the restore, and says so once.
  #refuse(path: Buffer, detail: string, code: string): void {
    if (code === "ENOSPC" || code === "EDQUOT") {
      throw new JobError("job/target", `${this.#options.root}: no space left; ${count(this.#restored.files, "file")} restored so far`, {
        hint: "make room, then run the same command again: what is there is not fetched twice",
      })
    }
    this.#miss("refused", path.toString(), detail)
  }

  #tell(): void {
    const { files, bytes } = this.#expected
    const progress = {
      phase: "restoring",
      files: this.#restored.files,
      bytes: this.#restored.bytes,
      unchanged: this.#present.files,
      totalFiles: files,
      totalBytes: bytes,
    }
    this.#world.tell({ type: "progress", progress })
  }
}

/** Files that did not come home: all are counted, the first are named. */
class Problems {
  readonly shown: ProblemFile[] = []
  count = 0

  add(file: ProblemFile, files: number): void {
    this.count += files
    if (this.shown.length < problemsMax) this.shown.push(file)
  }
}
