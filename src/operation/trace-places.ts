import { JobError } from "../errors.ts"
import { parseDescriptionPath } from "../source/cdr-pieces.ts"
import { type Contents, isLost, type Loss } from "./contents.ts"
import type { History, Snapshot } from "./history.ts"
import type { Keyring } from "./keyring.ts"
import { readRegister } from "./register.ts"
import { Listings, type SnapshotPartition } from "./select.ts"
import { parseCallPiece } from "./trace-piece.ts"
import type { World } from "./world.ts"

/** The archives that the sites keep, told apart by what is in them, and whose their accounts are. */
export class TracePlaces {
  readonly history: History
  readonly keyring: Keyring
  readonly listings: Listings
  readonly losses: Loss[] = []
  readonly #customers: ReadonlyMap<string, string>

  private constructor(history: History, keyring: Keyring, listings: Listings, customers: ReadonlyMap<string, string>) {
    this.history = history
    this.keyring = keyring
    this.listings = listings
    this.#customers = customers
  }

  static async open(history: History, keyring: Keyring, world: World): Promise<TracePlaces> {
    const { accounts } = await readRegister(history, keyring.given)
    const customers = new Map(accounts.map(({ account, entry }) => [account, entry.stableId]))
    return new TracePlaces(history, keyring, new Listings(world, keyring, { remembered: true }), customers)
  }

  /** The platform's own id of an account; its own where the register does not say. */
  customerOf(account: string): string {
    return this.#customers.get(account) ?? account
  }

  /** What the machinery of a restore needs to bring home what was chosen here. */
  contents(): Contents {
    const { history, keyring, listings, losses } = this
    const newest = history.snapshots.at(-1)
    if (newest === undefined) throw new Error("a trace without snapshots")
    return { history, snapshots: history.snapshots, newest, keyring, listings, groups: [], losses }
  }

  /** Every dataset that only gains things, with its snapshots, oldest first. */
  archives(): Map<string, Snapshot[]> {
    const archives = this.history.snapshots.filter(({ commit }) => commit.body.mode === "archive")
    return Map.groupBy(archives, ({ commit }) => commit.body.dataset)
  }

  /** Of every dataset that is a whole the newest snapshot, and where a moment is given the first after it. */
  wholes(until: Date | undefined): Snapshot[] {
    const states = this.history.snapshots.filter(({ commit }) => commit.body.mode === "state")
    const datasets = Map.groupBy(states, ({ commit: { body } }) => `${body.agent}/${body.dataset}`)
    return [...datasets.values()].flatMap((snapshots) => {
      const first = until === undefined ? undefined : snapshots.find(({ entry }) => entry.storedAt >= until)
      return [...new Set([first, snapshots.at(-1)])].filter((snapshot) => snapshot !== undefined)
    })
  }

  /** Which archives hold call records: those named, or those in which the newest thing found looks like it. */
  async callDatasets(named: readonly string[] | undefined): Promise<ReadonlyMap<string, readonly Snapshot[]>> {
    const archives = this.archives()
    const chosen = new Map<string, readonly Snapshot[]>()
    for (const name of named ?? []) {
      const snapshots = archives.get(name)
      if (snapshots === undefined) throw notAnArchive(name, archives)
      chosen.set(name, snapshots)
    }
    if (named !== undefined && named.length > 0) return chosen
    for (const [name, snapshots] of archives) if (await this.holdCalls(snapshots)) chosen.set(name, snapshots)
    return chosen
  }

  /** Whether these snapshots hold call records: the newest thing in them looks like it. */
  async holdCalls(snapshots: readonly Snapshot[]): Promise<boolean> {
    for (const snapshot of snapshots.toReversed()) {
      for (const partition of await this.partitions(snapshot)) {
        if (partition.line.files === 0) continue
        for await (const item of this.listings.items(partition)) {
          return parseCallPiece(item.path) !== null || parseDescriptionPath(item.path) !== null
        }
      }
    }
    return false
  }

  /** The partitions of a snapshot; none, and a loss, where no site can list them any more. */
  async partitions(snapshot: Snapshot): Promise<readonly SnapshotPartition[]> {
    try {
      return await this.listings.partitions(snapshot)
    } catch (error) {
      if (!isLost(error)) throw error
      const { run, time } = snapshot.commit.body
      this.losses.push({ what: `snapshot ${run.slice(0, 12)} of ${time}`, detail: error.message, files: 1, unreachable: false })
      return []
    }
  }

  /** The partitions of these snapshots that `wanted` takes, read some snapshots at a time. */
  async choose(snapshots: readonly Snapshot[], wanted: (partition: SnapshotPartition) => boolean): Promise<SnapshotPartition[]> {
    const chosen: SnapshotPartition[] = []
    for (let at = 0; at < snapshots.length; at += readAtOnce) {
      const lists = await Promise.all(snapshots.slice(at, at + readAtOnce).map((snapshot) => this.partitions(snapshot)))
      for (const partition of lists.flat()) if (wanted(partition)) chosen.push(partition)
    }
    this.listings.expect(chosen)
    return chosen
  }
}

/** Inventories are small, and each waits for a site to answer. */
const readAtOnce = 8

function notAnArchive(name: string, archives: ReadonlyMap<string, unknown>): JobError {
  const names = [...archives.keys()].toSorted()
  return new JobError("job/not-found", `${name}: no dataset of that name at these sites holds call records`, {
    hint: names.length === 0 ? "none there was captured in archive mode, as call records are" : `archives are ${names.join(", ")}`,
  })
}
