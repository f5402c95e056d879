import { rememberedCommits } from "../catalog/commits.ts"
import { type BackupError, KeyError, type SiteError } from "../errors.ts"
import { agentKeys } from "../format/trust.ts"
import { removalGraceMs } from "../limits.ts"
import { formatDuration } from "../units.ts"
import { gapsIn, type LogEntry, type LoggedCommit, listLog, readLog } from "../vault/log.ts"
import { unreachable } from "../vault/unreachable.ts"
import type { KeeperWorld } from "./world.ts"

/** One agent's log, as the sites that answer have it. */
export interface AgentLog {
  readonly agent: string
  /** In the order of the log, each no older than the one before. */
  readonly commits: readonly ReadCommit[]
  /** Objects in the log that are not to be believed, with the reason. */
  readonly refused: readonly { readonly key: string; readonly error: BackupError }[]
  /** How many places of the log no commit has. */
  readonly missing: number
  /** Sites whose log could not be read whole. */
  readonly unreadable: readonly SiteError[]
}

export interface ReadCommit extends LoggedCommit {
  /** False where the root had taken the agent off its list before a site stored it; it is among the refused as well. */
  readonly believed: boolean
}

export interface ReadLogsOptions {
  /** Commits that no site lists, and whose bytes the catalog remembers. */
  readonly unlisted?: readonly LogEntry[]
  /** How long a site is waited for once enough others have answered; absent: as a reader does, who can do without it. */
  readonly patienceMs?: number
}

/** Reads the logs of all agents that the root ever named. */
export async function readLogs(world: KeeperWorld, options: ReadLogsOptions = {}): Promise<AgentLog[]> {
  const logs: AgentLog[] = []
  for (const agent of agentsOf(world)) logs.push(await readAgent(world, agent, options))
  return logs
}

export function agentsOf({ trust }: Pick<KeeperWorld, "trust">): string[] {
  return [...new Set(trust.flatMap(({ body }) => body.agents.map(({ id }) => id)))]
}

async function readAgent(world: KeeperWorld, agent: string, { unlisted = [], patienceMs }: ReadLogsOptions): Promise<AgentLog> {
  const { signal, vault } = world
  const onFailover = failoverTeller(world)
  const { entries, unreadable } = await listLog(vault, agent, { signal, onFailover, patienceMs })
  if (unreadable.length === vault.sites.length) throw unreachable(unreadable)
  for (const { site, message } of unreadable) world.tell({ type: "site-missed", site, message })
  const listed = new Set(entries.map(({ key }) => key))
  const all = [...entries, ...unlisted.filter((entry) => entry.agent === agent && !listed.has(entry.key))]
  const { commits, refused } = await readLog(vault, all, {
    ...{ signal, onFailover, repository: world.repository.id, memory: rememberedCommits(world.catalog) },
    keysOf: (id) => agentKeys(world.trust, id),
  })
  const read = inOrder(commits, world).map((commit) => ({ ...commit, believed: !wasRemovedBefore(world, agent, commit.entry.storedAt) }))
  const late = read.filter(({ believed }) => !believed).map(({ entry }) => ({ key: entry.key, error: removed(agent) }))
  return { agent, commits: read, refused: [...refused, ...late], missing: gapsIn(commits), unreadable }
}

/** Tells of every site that did not deliver. */
export function failoverTeller(world: Pick<KeeperWorld, "tell">) {
  return ({ key, error, next }: { key: string; error: { site: string; message: string }; next: string | null }): void => {
    world.tell({ type: "failover", key, site: error.site, message: error.message, next })
  }
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

/** Whether the root had taken the agent off its list before a site stored this. */
function wasRemovedBefore(world: KeeperWorld, agent: string, storedAt: Date): boolean {
  const last = world.trust.findLastIndex(({ body }) => body.agents.some(({ id }) => id === agent))
  const removal = world.trust[last + 1]
  return removal !== undefined && storedAt.getTime() > Date.parse(removal.body.created) + removalGraceMs
}

function removed(agent: string): KeyError {
  return new KeyError("key/untrusted", `agent ${agent} had been removed from the trust list when a site stored it`)
}
