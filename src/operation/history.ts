import { rememberedCommits } from "../catalog/commits.ts"
import { type BackupError, JobError, KeyError } from "../errors.ts"
import { type BackupCommit, type Commit, isBackup, isControl, isKeyRecord, type KeyRecord } from "../format/commit.ts"
import { agentKeys } from "../format/trust.ts"
import { count, formatDuration } from "../units.ts"
import { gapsIn, type LogEntry, type LoggedCommit, listLog, readLog } from "../vault/log.ts"
import { unreachable } from "../vault/unreachable.ts"
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
  /** Which agent registered a key object, by its name. */
  readonly registeredBy: ReadonlyMap<string, string>
  readonly refused: readonly { readonly key: string; readonly error: BackupError }[]
  /** Agents of whose log something is missing at the sites asked. */
  readonly gaps: readonly { readonly agent: string; readonly missing: number }[]
}

export async function readHistory(world: KeeperWorld): Promise<History> {
  const agents = [...new Set(world.trust.flatMap(({ body }) => body.agents.map(({ id }) => id)))]
  const snapshots: Snapshot[] = []
  const keys = new Map<string, KeyRecord[]>()
  const registeredBy = new Map<string, string>()
  const refused: { key: string; error: BackupError }[] = []
  const gaps: { agent: string; missing: number }[] = []
  for (const agent of agents) {
    const reading = await readAgent(world, agent)
    refused.push(...reading.refused)
    const missing = gapsIn(reading.commits)
    if (missing > 0) gaps.push({ agent, missing })
    for (const { commit, entry } of inOrder(reading.commits, world)) {
      if (wasRemovedBefore(world, agent, entry.storedAt)) refused.push({ key: entry.key, error: removed(agent) })
      else if (isBackup(commit)) snapshots.push({ commit, entry })
      if (!isControl(commit)) continue
      for (const record of commit.body.records.filter(isKeyRecord)) {
        addKey(keys, record)
        registeredBy.set(record.object, agent)
      }
    }
  }
  for (const { key, error } of refused) world.tell({ type: "warning", message: `${key}: not believed: ${error.message}` })
  for (const { agent, missing } of gaps) {
    world.tell({
      type: "warning",
      message: `log of ${agent}: ${count(missing, "commit")} not at the sites asked: they are at other sites, or lost`,
    })
  }
  return { snapshots: snapshots.toSorted(byTime), keys, registeredBy, refused, gaps }
}

/**
 * One agent's commits in the order of its log, each no older than the one before: a site with a wrong clock, or one that was copied
 * without times, must not make an old snapshot the newest.
 */
function inOrder(commits: readonly LoggedCommit[], world: KeeperWorld): LoggedCommit[] {
  let latest = new Date(0)
  let worst = 0
  const ordered = commits.map(({ commit, entry }) => {
    worst = Math.max(worst, latest.getTime() - entry.storedAt.getTime())
    if (entry.storedAt > latest) latest = entry.storedAt
    return { commit, entry: { ...entry, storedAt: latest } }
  })
  const [first] = commits
  if (first !== undefined && worst > siteTimeToleranceMs) {
    const message = `log of ${first.entry.agent}: the sites' times are out of order by ${formatDuration(worst)}; the order of the log counts`
    world.tell({ type: "warning", message })
  }
  return ordered
}

const siteTimeToleranceMs = 10 * 60_000
/** A commit on its way when the root removed its agent may still arrive. */
const removalGraceMs = 24 * 3_600_000

/** Whether the root had taken the agent off its list before a site stored this. */
function wasRemovedBefore(world: KeeperWorld, agent: string, storedAt: Date): boolean {
  const last = world.trust.findLastIndex(({ body }) => body.agents.some(({ id }) => id === agent))
  const removal = world.trust[last + 1]
  return removal !== undefined && storedAt.getTime() > Date.parse(removal.body.created) + removalGraceMs
}

function removed(agent: string): KeyError {
  return new KeyError("key/untrusted", `agent ${agent} had been removed from the trust list when a site stored it`)
}

async function readAgent(world: KeeperWorld, agent: string) {
  const { signal, vault } = world
  const onFailover = failoverTeller(world)
  const { entries, unreadable } = await listLog(vault, agent, { signal, onFailover })
  if (unreadable.length === vault.sites.length) throw unreachable(unreadable)
  for (const { site, message } of unreadable) world.tell({ type: "site-missed", site, message })
  return await readLog(vault, entries, {
    ...{ signal, onFailover, repository: world.repository.id, memory: rememberedCommits(world.catalog) },
    keysOf: (id) => agentKeys(world.trust, id),
  })
}

/** Tells of every site that did not deliver. */
export function failoverTeller(world: Pick<KeeperWorld, "tell">) {
  return ({ key, error, next }: { key: string; error: { site: string; message: string }; next: string | null }): void => {
    world.tell({ type: "failover", key, site: error.site, message: error.message, next })
  }
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
