import { timestamp } from "../clock.ts"
import { type BackupError, JobError } from "../errors.ts"
import { type BackupCommit, type Commit, isBackup, isControl, isKeyRecord, type KeyRecord, lostKeysOf } from "../format/commit.ts"
import { count } from "../units.ts"
import type { LogEntry } from "../vault/log.ts"
import { approvalsIn, type RecordedApproval, retiredSites, retirementText } from "./approvals.ts"
import { readLogs } from "./logs.ts"
import type { KeeperWorld } from "./world.ts"

/** A snapshot: a backup commit, and where and since when the sites have it. */
export interface Snapshot {
  readonly commit: Commit<BackupCommit>
  readonly entry: LogEntry
}

/** The union of all agents' logs at the sites that answer: what exists. */
export interface History {
  /** In the order in which they count: by the earliest time a site stored them, then agent, then place in its log. */
  readonly snapshots: readonly Snapshot[]
  /** Every key object registered, by account and epoch: `keys.get("account epoch")`. */
  readonly keys: ReadonlyMap<string, readonly KeyRecord[]>
  /** Which agent registered a key object, by its name; without those it said are lost. */
  readonly registeredBy: ReadonlyMap<string, string>
  /** What two people approved, as far as their signatures hold. */
  readonly approvals: readonly RecordedApproval[]
  readonly refused: readonly { readonly key: string; readonly error: BackupError }[]
  /** Agents of whose log something is missing at the sites asked. */
  readonly gaps: readonly { readonly agent: string; readonly missing: number }[]
}

export async function readHistory(world: KeeperWorld): Promise<History> {
  const snapshots: Snapshot[] = []
  const keys = new Map<string, KeyRecord[]>()
  const registeredBy = new Map<string, string>()
  const approvals: RecordedApproval[] = []
  const refused: { key: string; error: BackupError }[] = []
  const gaps: { agent: string; missing: number }[] = []
  for (const { agent, commits, missing, ...log } of await readLogs(world)) {
    refused.push(...log.refused)
    if (missing > 0) gaps.push({ agent, missing })
    const believed = commits.filter((commit) => commit.believed)
    approvals.push(...approvalsIn(world, believed))
    for (const { commit, entry } of believed) if (isBackup(commit)) snapshots.push({ commit, entry })
    for (const record of commits.flatMap(({ commit }) => (isControl(commit) ? commit.body.records.filter(isKeyRecord) : []))) {
      addKey(keys, record)
      registeredBy.set(record.object, agent)
    }
    const lost = lostKeysOf(believed.map(({ commit }) => commit))
    for (const object of lost) if (registeredBy.get(object) === agent) registeredBy.delete(object)
  }
  for (const [site, approval] of retiredSites({ approvals })) {
    if (!world.vault.sites.some(({ name }) => name === site)) continue
    world.tell({ type: "warning", message: `${site}: ${retirementText(approval)}: from now on it is asked only where it is named` })
  }
  for (const { key, error } of refused) world.tell({ type: "warning", message: `${key}: not believed: ${error.message}` })
  for (const { agent, missing } of gaps) {
    world.tell({
      type: "warning",
      message: `log of ${agent}: ${count(missing, "commit")} not at the sites asked: they are at other sites, or lost`,
    })
  }
  return { snapshots: snapshots.toSorted(byTime), keys, registeredBy, approvals, refused, gaps }
}

function addKey(keys: Map<string, KeyRecord[]>, record: KeyRecord): void {
  const id = `${record.account} ${record.epoch}`
  keys.set(id, [...(keys.get(id) ?? []), record])
}

function byTime(a: Snapshot, b: Snapshot): number {
  return (
    a.entry.storedAt.getTime() - b.entry.storedAt.getTime() ||
    (a.entry.agent < b.entry.agent ? -1 : a.entry.agent > b.entry.agent ? 1 : 0) ||
    a.entry.seq - b.entry.seq
  )
}

/** Which snapshots together are the state of a dataset: of an archive, all until then; of a state, the latest whole one. */
export interface SnapshotChoice {
  /** A dataset's name, or "agent/dataset" where several agents have one of that name. */
  readonly dataset: string
  /** The state as of this moment; absent: now. */
  readonly asOf?: Date | undefined
  /** One snapshot only, by a prefix of its commit's SHA-256 or of its run's id. */
  readonly only?: string | undefined
  /** State mode: whether a partial snapshot will do. */
  readonly allowPartial?: boolean | undefined
}

export function chooseSnapshots(history: History, choice: SnapshotChoice): Snapshot[] {
  const { dataset, asOf, only, allowPartial = false } = choice
  const known = snapshotsOf(history, dataset)
  if (only !== undefined) return oneSnapshot(known, only)
  const until = asOf === undefined ? known : known.filter(({ entry }) => entry.storedAt <= asOf)
  const newest = until.at(-1)
  if (newest === undefined) {
    const first = known[0]?.entry.storedAt.toISOString() ?? ""
    throw new JobError("job/not-found", `${dataset}: no snapshot that old; the first was stored at ${first}`)
  }
  if (newest.commit.body.mode === "archive") return until
  const whole = until.findLast(({ commit }) => commit.body.complete || allowPartial)
  if (whole !== undefined) return [whole]
  throw new JobError("job/not-found", `${dataset}: no complete snapshot, only ${count(until.length, "partial one")}`, {
    hint: "say --partial to use the newest of them",
  })
}

/** All snapshots of a dataset; a state that several agents keep under one name must be asked for with its agent. */
function snapshotsOf(history: History, dataset: string): Snapshot[] {
  const slash = dataset.indexOf("/")
  const agent = slash < 0 ? undefined : dataset.slice(0, slash)
  const name = dataset.slice(slash + 1)
  const known = history.snapshots.filter(({ commit: { body } }) => body.dataset === name && (agent === undefined || body.agent === agent))
  if (known.length === 0) throw unknownDataset(history, dataset)
  const agents = new Set(known.map(({ commit }) => commit.body.agent))
  if (agents.size > 1 && known.at(-1)?.commit.body.mode === "state") {
    const names = [...agents].map((id) => `${id}/${name}`).toSorted()
    throw new JobError("job/not-found", `${name}: ${count(agents.size, "agent")} keep a state of that name`, {
      hint: `say which: ${names.join(", ")}`,
    })
  }
  return known
}

function oneSnapshot(known: readonly Snapshot[], prefix: string): Snapshot[] {
  const found = known.filter(({ commit }) => commit.sha256.startsWith(prefix) || commit.body.run.startsWith(prefix))
  if (found.length === 0)
    throw new JobError("job/not-found", `no snapshot begins with ${prefix}`, { hint: "list them with `holdline snapshots list`" })
  if (new Set(found.map(({ commit }) => commit.body.run)).size > 1) {
    throw new JobError("job/not-found", `${prefix} is the beginning of ${String(found.length)} snapshots`, { hint: "give more of the id" })
  }
  return found
}

function unknownDataset(history: History, dataset: string): JobError {
  const names = [...new Set(history.snapshots.map(({ commit }) => commit.body.dataset))].toSorted()
  const hint = names.length === 0 ? "no snapshot of anything is at these sites" : `the datasets are ${names.join(", ")}`
  return new JobError("job/not-found", `${dataset}: no such dataset at these sites`, { hint })
}

/** A snapshot as reports show it. */
export function snapshotReport({ commit, entry }: Snapshot) {
  return { run: commit.body.run, sha256: commit.sha256, storedAt: timestamp(entry.storedAt), complete: commit.body.complete }
}
