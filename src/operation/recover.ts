import { addAccounts } from "../catalog/accounts.ts"
import { type CapturedItem, Items, type RecordedPack } from "../catalog/items.ts"
import { rememberTrustLists } from "../catalog/trust-lists.ts"
import { timestamp } from "../clock.ts"
import type { Digest } from "../digest.ts"
import type { ManifestItem } from "../format/manifest.ts"
import type { Identity } from "../key/recipient.ts"
import type { RecoveredDataset, RecoverReport } from "../report/recover.ts"
import { fingerprintOf } from "../signature.ts"
import { isLost } from "./contents.ts"
import { chooseSnapshots, type History, readHistory, type Snapshot } from "./history.ts"
import { Keyring } from "./keyring.ts"
import { readRegister } from "./register.ts"
import { Listings, packNames, type SnapshotPartition } from "./select.ts"
import { inForce, type World } from "./world.ts"

export interface RecoverRequest {
  readonly identities: readonly Identity[]
  /** The agent that this host goes on as: only its accounts and items are remembered. Absent: the only one there is. */
  readonly agent?: string | undefined
}

/** Items written to the catalog in one transaction. */
const batchItems = 5000

/**
 * Begins again from nothing: reads every log at the sites given, believes only what is signed, and fills an empty catalog with what it
 * finds: commits, trust, accounts, and the items that later runs will recognise.
 */
export async function recover(request: RecoverRequest, world: World): Promise<RecoverReport> {
  const started = world.clock.now()
  const warnings: string[] = []
  const sitesMissed = new Map<string, string>()
  const listening: World = {
    ...world,
    tell(event) {
      if (event.type === "warning" || event.type === "failover") warnings.push(event.message)
      if (event.type === "site-missed") sitesMissed.set(event.site, event.message)
      world.tell(event)
    },
  }
  rememberTrustLists(
    world.catalog,
    world.trust.map(({ body, bytes }) => ({ n: body.n, bytes })),
  )
  const history = await readHistory(listening)
  const keyring = new Keyring(listening, history, request.identities)
  const successor = successorOf(request, listening)
  const accounts = await recallAccounts(listening, history, request.identities, successor)
  const listings = new Listings(listening, keyring)
  const datasets: RecoveredDataset[] = []
  for (const [agent, dataset] of datasetsOf(history)) {
    datasets.push(await recallDataset(listening, history, listings, { agent, dataset, remember: agent === successor }))
  }
  return {
    repository: world.repository.id,
    rootFingerprint: fingerprintOf(world.repository.root),
    trustLists: world.trust.length,
    agents: inForce(world).body.agents.map(({ id }) => id),
    sites: world.vault.sites.map(({ name }) => {
      const reason = sitesMissed.get(name)
      return { name, readable: reason === undefined, ...(reason === undefined ? {} : { reason }) }
    }),
    commits: history.snapshots.length,
    refused: history.refused.map(({ key, error }) => ({ key, reason: error.message })),
    gaps: history.gaps,
    accounts,
    datasets,
    seconds: (world.clock.now().getTime() - started.getTime()) / 1000,
    warnings: [...new Set(warnings)],
  }
}

function successorOf({ agent }: RecoverRequest, world: World): string | undefined {
  const known = inForce(world)
    .body.agents.filter(({ role }) => role === "agent")
    .map(({ id }) => id)
  if (agent !== undefined && known.includes(agent)) return agent
  if (known.length === 1) return known[0]
  world.tell({
    type: "warning",
    message: `there are several agents, ${known.join(", ")}: nothing is remembered for a next run without --agent NAME`,
  })
  return undefined
}

async function recallAccounts(
  world: World,
  history: History,
  identities: readonly Identity[],
  successor: string | undefined,
): Promise<number> {
  const { accounts: register, unreadable } = await readRegister(history, identities)
  for (const reason of unreadable) world.tell({ type: "warning", message: `the register: ${reason}` })
  const own = register.filter(({ object }) => history.registeredBy.get(object) === successor)
  addAccounts(
    world.catalog,
    own.map(({ account, epoch, object, entry }) => ({
      ...{ stableId: entry.stableId, epoch, account, recipient: entry.recipient, keyName: object },
      ...{ keyBytes: null, registered: true },
    })),
  )
  return new Set(register.map(({ account }) => account)).size
}

function datasetsOf(history: History): [string, string][] {
  const found = new Map<string, [string, string]>()
  for (const { commit } of history.snapshots)
    found.set(`${commit.body.agent} ${commit.body.dataset}`, [commit.body.agent, commit.body.dataset])
  return [...found.values()]
}

async function recallDataset(
  world: World,
  whole: History,
  listings: Listings,
  { agent, dataset, remember }: { readonly agent: string; readonly dataset: string; readonly remember: boolean },
): Promise<RecoveredDataset> {
  const history = { ...whole, snapshots: whole.snapshots.filter(({ commit }) => commit.body.agent === agent) }
  const known = history.snapshots.filter(({ commit }) => commit.body.dataset === dataset)
  const chosen = chooseSnapshots(history, { dataset, allowPartial: true })
  const newest = known.at(-1)
  if (newest === undefined) throw new Error("a dataset without snapshot")
  const items = new Items(world.catalog, dataset)
  let files = 0
  let bytes = 0
  let remembered = 0
  for (const snapshot of chosen) {
    for (const partition of await partitionsOf(world, listings, snapshot)) {
      files += partition.line.files
      bytes += partition.line.bytes
      if (remember) remembered += await recallWhatThereIs(world, items, listings, partition)
      world.tell({ type: "progress", progress: { phase: "recovering", files: remembered, bytes: 0, unchanged: 0 } })
    }
  }
  return {
    dataset,
    mode: newest.commit.body.mode,
    agent,
    snapshots: known.length,
    files,
    bytes,
    newest: timestamp(newest.entry.storedAt),
    complete: (newest.commit.body.mode === "archive" ? known : [newest]).every(({ commit }) => commit.body.complete),
    remembered,
  }
}

// What cannot be listed any more is said and passed over: the rest is still there, and the next run captures what is not remembered.
async function partitionsOf(world: World, listings: Listings, snapshot: Snapshot): Promise<SnapshotPartition[]> {
  try {
    return await listings.partitions(snapshot)
  } catch (error) {
    passOver(world, error, `snapshot ${snapshot.commit.body.run.slice(0, 12)}`)
    return []
  }
}

async function recallWhatThereIs(world: World, items: Items, listings: Listings, partition: SnapshotPartition): Promise<number> {
  try {
    return await recallPartition(items, listings, partition)
  } catch (error) {
    passOver(world, error, `partition ${partition.line.partition} of account ${partition.line.account}`)
    return 0
  }
}

function passOver(world: World, error: unknown, what: string): void {
  if (!isLost(error)) throw error
  world.tell({ type: "warning", message: `${what}: cannot be listed: ${error.message}` })
}

async function recallPartition(items: Items, listings: Listings, partition: SnapshotPartition): Promise<number> {
  const { snapshot, line } = partition
  const packs = recordedPacks(snapshot)
  let batch: CapturedItem[] = []
  let count = 0
  for await (const item of listings.items(partition)) {
    if (item.missing !== undefined || item.gone === true) continue
    batch.push(capturedItem(item, partition, packs))
    count += 1
    if (batch.length < batchItems) continue
    items.recall(batch, packsOf(batch, packs), snapshot.commit.sha256)
    batch = []
  }
  items.recall(batch, packsOf(batch, packs), snapshot.commit.sha256)
  return line.files === 0 && count === 0 ? 0 : count
}

function recordedPacks(snapshot: Snapshot): Map<Digest, RecordedPack> {
  const sizes = new Map(snapshot.commit.body.packs.map(([sha256, bytes]) => [sha256, bytes]))
  return new Map(
    [...packNames(snapshot).values()].map((name) => [name.sha256, { ...name, bytes: sizes.get(name.sha256) ?? 0, listed: true }]),
  )
}

function packsOf(items: readonly CapturedItem[], packs: ReadonlyMap<Digest, RecordedPack>): RecordedPack[] {
  const used = new Set(items.flatMap(({ at }) => at.map(({ pack }) => pack)))
  return [...used].flatMap((sha256) => packs.get(sha256) ?? [])
}

function capturedItem(item: ManifestItem, { snapshot, line }: SnapshotPartition, packs: ReadonlyMap<Digest, RecordedPack>): CapturedItem {
  const [extent] = item.at
  const className = (extent === undefined ? undefined : packs.get(extent.pack)?.class) ?? snapshot.commit.body.packs[0]?.[2] ?? ""
  const day = snapshot.commit.body.mode === "archive" ? line.partition : ""
  return { ...item, account: line.account, epoch: line.epoch, day, class: className, ctimeNs: null, inode: null }
}
