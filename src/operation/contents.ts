import { type BackupError, FormatError, KeyError, VaultError } from "../errors.ts"
import type { ManifestItem } from "../format/manifest.ts"
import type { Identity } from "../key/recipient.ts"
import { unanswered } from "../vault/fetch.ts"
import { chooseSnapshots, type History, readHistory, type Snapshot, type SnapshotChoice } from "./history.ts"
import { Keyring } from "./keyring.ts"
import { accountsNamed, customersOf } from "./register.ts"
import { Listings, type Selection, type SnapshotPartition, selectPartitions } from "./select.ts"
import type { World } from "./world.ts"

/** What of which snapshots is wanted, and what opens it. */
export interface ContentsRequest extends SnapshotChoice, Selection {
  readonly identities: readonly Identity[]
}

/** The chosen snapshots and what of them is wanted, partition by partition. */
export interface Contents {
  readonly history: History
  readonly snapshots: readonly Snapshot[]
  readonly newest: Snapshot
  readonly keyring: Keyring
  readonly listings: Listings
  /** Partitions of one agent whose items may replace one another, oldest snapshot first. */
  readonly groups: readonly (readonly SnapshotPartition[])[]
  /** What cannot be listed, because no site gives good bytes of it; it grows while partitions are opened. */
  readonly losses: Loss[]
}

export interface Loss {
  /** Such as "partition 2026-11-21 of account 0f…". */
  readonly what: string
  readonly detail: string
  /** How many files are in it; 1 where nobody can say. */
  readonly files: number
  /** Whether a site that does not answer now may still have it. */
  readonly unreachable: boolean
}

/** Finds what is wanted. What no site can list any more is a loss, not the end: the rest can still be brought home. */
export async function chooseContents(request: ContentsRequest, world: World): Promise<Contents> {
  const history = await readHistory(world)
  const snapshots = chooseSnapshots(history, request)
  const newest = snapshots.at(-1)
  if (newest === undefined) throw new Error("no snapshot was chosen")
  const keyring = new Keyring(world, history, request.identities)
  const listings = new Listings(world, keyring, { remembered: true })
  const accounts = request.accounts === undefined ? null : await accountsNamed(history, keyring, request.accounts, world.catalog)
  const partitions: SnapshotPartition[] = []
  const losses: Loss[] = []
  let listed = 0
  for (const snapshot of snapshots) {
    try {
      partitions.push(...selectPartitions(await listings.partitions(snapshot), request, accounts))
      listed += 1
    } catch (error) {
      if (!isLost(error) || (snapshot === newest && listed === 0)) throw error
      const { run, time } = snapshot.commit.body
      const { detail, unreachable } = reachOf(error)
      losses.push({ what: `snapshot ${run.slice(0, 12)} of ${time}`, detail: `its inventory: ${detail}`, files: 1, unreachable })
    }
  }
  listings.expect(partitions)
  const groups = await grouped(partitions, history, keyring)
  return { history, snapshots, newest, keyring, listings, groups, losses }
}

/** Whether it will never be there again. What only does not answer now, or asks for another identity, must end the work. */
export function isLost(error: unknown): error is BackupError {
  if (error instanceof KeyError) return error.code === "key/missing"
  return error instanceof FormatError || (error instanceof VaultError && error.code === "vault/lost")
}

/** Whether it may be there again: a site that does not answer may have it. */
function isAway(error: unknown): error is VaultError {
  return error instanceof VaultError && (error.code === "vault/unreachable" || unanswered(error).length > 0)
}

/**
 * Late rows and changed items are new pieces of the same partition. What could not be attributed may change its day too. An agent that
 * lost its memory gave its customers second accounts: what it captured again is the same customer's. What another agent captured is
 * always something else.
 */
async function grouped(partitions: readonly SnapshotPartition[], history: History, keyring: Keyring): Promise<SnapshotPartition[][]> {
  const groups = new Map<string, SnapshotPartition[]>()
  const accounts = new Set(partitions.map(({ line }) => line.account))
  const several = accounts.size > 1 && new Set(partitions.map(({ snapshot }) => snapshot)).size > 1
  const customers = several ? await customersOf(history, keyring, accounts) : new Map<string, string>()
  for (const partition of partitions) {
    const { account, partition: name } = partition.line
    const { agent } = partition.snapshot.commit.body
    const key = JSON.stringify(account === "mixed" ? [agent, account] : [agent, customers.get(account) ?? account, name])
    const group = groups.get(key) ?? []
    groups.set(key, group)
    group.push(partition)
  }
  return [...groups.values()]
}

/** An item with the snapshot whose pieces hold it. */
export interface ChosenItem {
  readonly item: ManifestItem
  readonly partition: SnapshotPartition
}

/** Every item of a partition, as far as it can be listed: what of it is lost, or out of reach, is added to the losses. */
export async function* itemsOf(contents: Contents, partition: SnapshotPartition): AsyncGenerator<ManifestItem> {
  try {
    yield* contents.listings.items(partition)
  } catch (error) {
    if (!isLost(error) && !isAway(error)) throw error
    contents.losses.push(lossOf(partition, error))
  }
}

function lossOf({ line }: SnapshotPartition, error: BackupError): Loss {
  return { what: `partition ${line.partition} of account ${line.account}`, files: Math.max(1, line.files), ...reachOf(error) }
}

function reachOf(error: BackupError): Pick<Loss, "detail" | "unreachable"> {
  if (!isAway(error)) return { detail: error.message, unreachable: false }
  return { detail: `${unanswered(error).join(", ")} did not answer`, unreachable: true }
}
