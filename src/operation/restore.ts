import { mkdir, readdir, realpath } from "node:fs/promises"
import { timestamp } from "../clock.ts"
import { ConfinedTree } from "../confined.ts"
import type { FileAttributes } from "../confined-file.ts"
import { BackupError, errnoOf, JobError, reasonOf } from "../errors.ts"
import type { ManifestItem } from "../format/manifest.ts"
import { packKey } from "../format/names.ts"
import type { ProblemFile, RestorePlan, RestoreReport } from "../report/restore.ts"
import { count } from "../units.ts"
import { heldAt } from "../vault/presence.ts"
import { type ChosenItem, type Contents, type ContentsRequest, chooseContents, type Loss, newestItems } from "./contents.ts"
import type { Snapshot } from "./history.ts"
import { homecomings } from "./homecoming.ts"
import { Retrieval, type Retrieved, type Wanted } from "./retrieve.ts"
import { packNames, type SnapshotPartition } from "./select.ts"
import type { World } from "./world.ts"

/** What to restore. */
export type RestoreRequest = ContentsRequest

export interface RestoreTarget {
  /** Made if it is not there. What it holds already is compared, never overwritten. */
  readonly path: string
  /** Give files their original owners; needs the right to. */
  readonly owners: boolean
}

/** What a restore would do: which snapshots, how many files and bytes, from where, how long. Writes nothing. */
export async function planRestore(request: RestoreRequest, world: World): Promise<RestorePlan> {
  const chosen = await chooseContents(request, world)
  const narrow = request.paths !== undefined || (chosen.newest.commit.body.mode === "state" && (request.from ?? request.to) !== undefined)
  const { files, bytes } = await countFiles(chosen, request, narrow)
  const sites = await holdings(world, chosen.snapshots)
  const stored = chosen.snapshots.reduce(
    (sum, { commit }) => sum + commit.body.packs.reduce((s, [, size, , kind]) => s + (kind === "pack" ? size : 0), 0),
    0,
  )
  const fetchBytes = narrow || request.accounts !== undefined || request.from !== undefined ? Math.ceil(bytes * 1.03) : stored
  return {
    dataset: request.dataset,
    mode: chosen.newest.commit.body.mode,
    ...(request.asOf === undefined ? {} : { asOf: timestamp(request.asOf) }),
    snapshots: chosen.snapshots.length,
    newest: snapshotReport(chosen.newest),
    accounts: new Set(chosen.groups.flat().map(({ line }) => line.account)).size,
    files,
    bytes,
    fetchBytes,
    sites,
    from: sites.find(({ holds, of }) => holds === of)?.name ?? sites[0]?.name ?? "",
    estimatedSeconds: 1 + fetchBytes / assumedBytesPerSecond + files / assumedFilesPerSecond,
    warnings: [
      ...chosen.history.gaps.map(({ agent, missing }) => `log of ${agent}: ${count(missing, "commit")} not at the sites asked`),
      ...chosen.losses.map(({ what, detail }) => `${what} is lost: ${detail}`),
    ],
  }
}

/** What a plan reckons with where nothing was measured yet: a modest disk and a modest line. */
const assumedBytesPerSecond = 60 * 1024 * 1024
const assumedFilesPerSecond = 2000

/** Counts as the restore will: manifests are opened only where the inventory's sums would not be exact. */
async function countFiles(chosen: Contents, request: RestoreRequest, narrow: boolean): Promise<{ files: number; bytes: number }> {
  const total = { files: 0, bytes: 0 }
  for (const group of chosen.groups) {
    const [only, ...others] = group
    if (!narrow && only !== undefined && others.length === 0) {
      total.files += only.line.files
      total.bytes += only.line.bytes
      continue
    }
    for (const { item } of await newestItems(chosen, group, request)) {
      if (item.type !== "file" || item.missing !== undefined) continue
      total.files += 1
      total.bytes += item.size
    }
  }
  return total
}

/** At most this much: pieces of one partition may replace one another. */
function countLines({ groups }: Contents): { files: number; bytes: number } {
  const lines = groups.flat().map(({ line }) => line)
  return { files: lines.reduce((sum, line) => sum + line.files, 0), bytes: lines.reduce((sum, line) => sum + line.bytes, 0) }
}

async function holdings(world: World, snapshots: readonly Snapshot[]): Promise<RestorePlan["sites"]> {
  const keys = new Set(snapshots.flatMap((snapshot) => [...packNames(snapshot).values()].map(packKey)))
  return await Promise.all(
    world.vault.sites.map(async ({ name, opened }) => {
      try {
        const { present } = await heldAt(opened.site, keys, { signal: world.signal })
        return { name, holds: present.size, of: keys.size }
      } catch (error) {
        if (!(error instanceof BackupError)) throw error
        world.tell({ type: "site-missed", site: name, message: error.message })
        return { name, holds: 0, of: keys.size }
      }
    }),
  )
}

/**
 * Brings a selection back into a directory: only what its manifests list, only with the SHA-256 they say, never outside the target. What is
 * there already and equal is left alone, so that an interrupted restore is simply started again.
 */
export async function restore(request: RestoreRequest, target: RestoreTarget, outer: World): Promise<RestoreReport> {
  const warnings = new Set<string>()
  const world: World = {
    ...outer,
    tell(event) {
      if (event.type === "failover" || event.type === "warning" || event.type === "site-missed") warnings.add(event.message)
      outer.tell(event)
    },
  }
  const started = world.clock.now()
  const chosen = await chooseContents(request, world)
  if (chosen.groups.length === 0 && chosen.losses.length === 0) throw nothingFound(request)
  const root = await openTarget(target.path)
  const work = new RestoreWork(world, { root: root.path, owners: target.owners, resuming: !root.empty }, countLines(chosen))
  try {
    let found = 0
    for await (const { items, displaced } of homecomings(chosen, request)) {
      world.signal.throwIfAborted()
      found += items.length + displaced.length
      await work.bring(chosen, items)
      for (const { item, detail } of displaced) work.displace(item.path, detail)
    }
    if (found === 0 && chosen.losses.length === 0) throw nothingFound(request)
    await work.flush()
    work.finish()
    for (const loss of chosen.losses) work.lose(loss)
  } finally {
    await world.pool.abandon()
    work.close()
  }
  const ended = world.clock.now()
  return {
    dataset: request.dataset,
    target: root.path,
    ...work.outcome(),
    warnings: [...warnings],
    started: timestamp(started),
    ended: timestamp(ended),
    seconds: (ended.getTime() - started.getTime()) / 1000,
    ...(request.asOf === undefined ? {} : { asOf: timestamp(request.asOf) }),
    snapshots: chosen.snapshots.map(snapshotReport),
  }
}

// A success that brought nothing home would be found out on the day it was needed.
function nothingFound({ dataset, accounts, paths, from, to }: RestoreRequest): JobError {
  const days = [from === undefined ? "" : `from ${from}`, to === undefined ? "" : `to ${to}`].filter((day) => day !== "").join(" ")
  const asked = [
    ...(paths === undefined || paths.length === 0 ? [] : [`the pattern ${paths.join(", ")}`]),
    ...(accounts === undefined ? [] : [`the account ${accounts.join(", ")}`]),
    ...(days === "" ? [] : [`the days ${days}`]),
  ]
  const what = asked.length === 0 ? "the chosen snapshot holds nothing" : `nothing fits ${asked.join(" and ")}`
  const hint =
    asked.length === 0
      ? "list the snapshots with `holdline snapshots list`, and choose another"
      : "patterns are matched against whole paths below the source's root, such as **/*.wav; `holdline snapshots files` lists them"
  return new JobError("job/not-found", `${dataset}: ${what}`, { hint })
}

function snapshotReport({ commit, entry }: Snapshot) {
  return { run: commit.body.run, sha256: commit.sha256, storedAt: timestamp(entry.storedAt), complete: commit.body.complete }
}

async function openTarget(path: string): Promise<{ readonly path: string; readonly empty: boolean }> {
  if (process.platform === "win32") {
    throw new JobError("job/target", "this release does not restore on Windows: links and names are not confined there", {
      hint: "restore on Linux or macOS, or in the Windows Subsystem for Linux",
    })
  }
  try {
    await mkdir(path, { recursive: true })
    const real = await realpath(path)
    return { path: real, empty: (await readdir(real)).length === 0 }
  } catch (cause) {
    throw new JobError("job/target", `${path}: cannot be used as a target: ${errnoOf(cause) ?? reasonOf(cause)}`, {
      cause,
      hint: "name a directory that can be written, with --to DIR",
    })
  }
}

interface WorkOptions {
  readonly root: string
  readonly owners: boolean
  /** Whether something may be there already. */
  readonly resuming: boolean
}

const problemsMax = 100
/** Why a snapshot may lack an item and still be whole, as the run that took it was. */
const noLoss: ReadonlySet<string> = new Set(["vanished", "refused"])
const waitingItemsMax = 4096
const waitingBytesMax = 256 * 1024 * 1024

/** A restore under way. */
class RestoreWork {
  readonly #world: World
  readonly #options: WorkOptions
  readonly #expected: { readonly files: number; readonly bytes: number }
  readonly #tree: ConfinedTree
  readonly #retrieval: Retrieval
  readonly #directories: { readonly path: Buffer; readonly attributes: FileAttributes }[] = []
  readonly #links: ManifestItem[] = []
  readonly #restored = { files: 0, bytes: 0 }
  readonly #present = { files: 0, bytes: 0 }
  readonly #lost: ProblemFile[] = []
  readonly #refused: ProblemFile[] = []
  readonly #waiting: Wanted[] = []
  #waitingBytes = 0
  #lostCount = 0
  #refusedCount = 0
  #missingAtSource = 0
  /** Those of them that the snapshot should hold: neither deleted while it was taken, nor sockets and the like. */
  #wantedAtSource = 0
  #madeLinks = 0
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

  async flush(): Promise<void> {
    this.#waitingBytes = 0
    await this.#retrieval.bring(await this.#withoutPresent(this.#waiting.splice(0)))
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
  lose({ what, detail, files }: Loss): void {
    this.#lostCount += files
    if (this.#lost.length < problemsMax) this.#lost.push({ path: what, detail })
    this.#world.tell({ type: "missed", path: what, reason: "lost", detail })
  }

  close(): void {
    this.#tree.close()
  }

  outcome() {
    const problems = this.#lostCount + this.#refusedCount
    const failed = this.#restored.files + this.#present.files === 0 && problems > 0
    const partial = problems + this.#wantedAtSource > 0
    return {
      outcome: failed ? ("failed" as const) : partial ? ("partial" as const) : ("ok" as const),
      restored: this.#restored,
      present: this.#present,
      directories: this.#directories.length,
      links: this.#madeLinks,
      lost: this.#lost,
      lostCount: this.#lostCount,
      refused: this.#refused,
      refusedCount: this.#refusedCount,
      missingAtSource: this.#missingAtSource,
      fetched: [...this.#retrieval.fetched].map(([site, bytes]) => ({ site, bytes })),
    }
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
    } else if (result.outcome === "lost") {
      this.#lostCount += 1
      if (this.#lost.length < problemsMax) this.#lost.push({ path: item.path.toString(), detail: result.detail })
      this.#world.tell({ type: "missed", path: item.path.toString(), reason: "lost", detail: result.detail })
    } else this.#refuse(item.path, result.detail, result.code)
    this.#tell()
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
    this.#refusedCount += 1
    if (this.#refused.length < problemsMax) this.#refused.push({ path: path.toString(), detail })
    this.#world.tell({ type: "missed", path: path.toString(), reason: "refused", detail })
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
