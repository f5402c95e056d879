import type { Digest } from "../digest.ts"
import { BackupError, FormatError, type SiteError } from "../errors.ts"
import { type Commit, decodeCommit, isKeyOf } from "../format/commit.ts"
import { fitsName, logPrefix, parseCommitKey } from "../format/names.ts"
import { failingPatienceMs, readPatienceMs } from "../limits.ts"
import type { ObjectInfo, Site } from "../site/site.ts"
import { type AskOptions, askSites } from "./ask.ts"
import type { Failover } from "./fetch.ts"
import { fetchNamed } from "./named.ts"
import { isDurable, type Vault } from "./vault.ts"

/** One commit as the sites list it. */
export interface LogEntry {
  readonly key: string
  readonly agent: string
  readonly seq: number
  /** Sites that list it. */
  readonly sites: readonly string[]
  /** The earliest time any site says it was stored. */
  readonly storedAt: Date
}

export interface LogListing {
  /** The union over all sites that answered, by sequence number. */
  readonly entries: readonly LogEntry[]
  /** Sites whose log could not be read whole; those that are late among them. */
  readonly unreadable: readonly SiteError[]
  /** What sites that are waited for no longer may still answer, by site. */
  readonly late: ReadonlyMap<string, Promise<readonly ObjectInfo[]>>
}

export interface LogOptions {
  readonly signal: AbortSignal
  readonly onFailover?: ((failover: Failover) => void) | undefined
}

export interface ListLogOptions extends LogOptions {
  /** How long sites are waited for once enough others have answered; what they answer later is `late`. Absent: a reader's patience. */
  readonly patienceMs?: number | undefined
}

/** Everything the sites list of one agent's log. A site that fails is named, never counted as empty. */
export async function listLog(vault: Vault, agent: string, { signal, patienceMs }: ListLogOptions): Promise<LogListing> {
  const { answers, failures, late } = await askSites(vault.sites, ({ opened }, given) => commitsAt(opened.site, agent, given), {
    signal,
    enough: (answered) => isDurable(answered, vault),
    ...patienceOf(vault, patienceMs),
  })
  return { entries: unionOf(agent, answers), unreadable: failures, late }
}

/** How long sites are waited for when enough others have answered: for a run so many milliseconds, and for a reader as long as it may help. */
export function patienceOf({ health }: Vault, patienceMs: number | undefined): Pick<AskOptions, "patienceMs" | "late"> {
  if (patienceMs !== undefined) return { patienceMs: (_site, waitedMs) => patienceMs - waitedMs, late: "go on" }
  return { patienceMs: (site, waitedMs) => (health.isFailing(site) ? failingPatienceMs : readPatienceMs) - waitedMs, late: "end" }
}

async function commitsAt(site: Site, agent: string, signal: AbortSignal): Promise<readonly ObjectInfo[]> {
  const found: ObjectInfo[] = []
  for await (const info of site.list(logPrefix(agent), { signal })) if (parseCommitKey(info.key) !== null) found.push(info)
  return found
}

/** One entry per commit of an agent's log that any of these sites lists. */
export function unionOf(agent: string, listed: ReadonlyMap<string, readonly ObjectInfo[]>): LogEntry[] {
  const found = new Map<string, { key: string; agent: string; seq: number; sites: string[]; storedAt: Date }>()
  for (const [site, infos] of listed) {
    for (const { key, storedAt } of infos) {
      const entry = found.get(key)
      if (entry === undefined) found.set(key, { key, agent, seq: parseCommitKey(key)?.seq ?? 0, sites: [site], storedAt })
      else {
        entry.sites.push(site)
        if (storedAt < entry.storedAt) entry.storedAt = storedAt
      }
    }
  }
  return [...found.values()].toSorted((a, b) => a.seq - b.seq || (a.key < b.key ? -1 : 1))
}

/** A memory of commits that were read before. What it recalls may have been changed meanwhile, and is checked again. */
export interface CommitMemory {
  recall(key: string): Uint8Array | undefined
  remember(key: string, bytes: Uint8Array): void
  /** Commits that this process has checked, by key: with the bytes that their names tell, they are the same for ever. */
  readonly checked: Map<string, Commit>
}

export interface LogReading {
  /** Signed by a trusted key of their agent, of this repository, and where their name says; by agent and sequence number. */
  readonly commits: readonly LoggedCommit[]
  /** Objects in a log that are not to be believed, with the reason. */
  readonly refused: readonly { readonly key: string; readonly error: BackupError }[]
}

export interface LoggedCommit {
  readonly entry: LogEntry
  readonly commit: Commit
}

export interface ReadLogOptions extends LogOptions {
  readonly repository: string
  keysOf(agent: string): readonly string[]
  readonly memory: CommitMemory
}

/**
 * Reads the commits of a listing, each from any site that has good bytes of it. What comes from a site has its signature checked. So has
 * what is remembered, unless a checked commit of the same agent names it by its hash: of a log that was read before, that leaves the last.
 */
export async function readLog(vault: Vault, entries: readonly LogEntry[], options: ReadLogOptions): Promise<LogReading> {
  const commits: LoggedCommit[] = []
  const refused: { key: string; error: BackupError }[] = []
  const checks = new Checks(options)
  // Newest first: a commit names those before it.
  const newestFirst = entries.toReversed()
  const batch = 32
  for (let start = 0; start < newestFirst.length; start += batch) {
    await Promise.all(
      newestFirst.slice(start, start + batch).map(async (entry) => {
        try {
          commits.push({ entry, commit: await readCommit(vault, entry, checks, options) })
        } catch (error) {
          options.signal.throwIfAborted()
          if (!(error instanceof BackupError)) throw error
          refused.push({ key: entry.key, error })
        }
      }),
    )
  }
  return { commits: commits.toSorted((a, b) => a.entry.seq - b.entry.seq || (a.entry.key < b.entry.key ? -1 : 1)), refused }
}

async function readCommit(vault: Vault, entry: LogEntry, checks: Checks, options: ReadLogOptions): Promise<Commit> {
  const { memory, signal, onFailover } = options
  const before = checks.before(entry)
  if (before !== undefined) return checks.passed(entry, before)
  const known = memory.recall(entry.key)
  if (known !== undefined && fitsName(entry.key, known))
    return checks.passed(entry, decodeCommit(known, checks.keysOf, checks.namedOf(entry.agent)))
  const { bytes } = await fetchNamed(vault, entry.key, { signal, onFailover, from: entry.sites })
  const commit = checks.passed(entry, decodeCommit(bytes, checks.keysOf))
  memory.remember(entry.key, bytes)
  return commit
}

/** What is known of signatures while a log is read. */
class Checks {
  readonly #options: ReadLogOptions
  readonly #keys = new Map<string, readonly string[]>()
  readonly #named = new Map<string, Set<Digest>>()

  constructor(options: ReadLogOptions) {
    this.#options = options
  }

  readonly keysOf = (agent: string): readonly string[] => {
    const keys = this.#keys.get(agent) ?? this.#options.keysOf(agent)
    this.#keys.set(agent, keys)
    return keys
  }

  /** Hashes that checked commits of this agent name. */
  namedOf(agent: string): Set<Digest> {
    const named = this.#named.get(agent) ?? new Set()
    this.#named.set(agent, named)
    return named
  }

  /** A commit that this process has checked before, if its key is still trusted. */
  before({ key, agent }: LogEntry): Commit | undefined {
    const commit = this.#options.memory.checked.get(key)
    return commit !== undefined && isKeyOf(commit, this.keysOf(agent)) ? commit : undefined
  }

  /** A commit with a good signature, if it is what its name says. */
  passed({ key, agent, seq }: LogEntry, commit: Commit): Commit {
    const { body } = commit
    if (body.repository !== this.#options.repository || body.agent !== agent || body.seq !== seq) {
      throw new FormatError("format/foreign", `${key}: a commit of another repository, agent or place in the log`)
    }
    const named = this.namedOf(agent)
    for (const hash of body.prev) named.add(hash)
    this.#options.memory.checked.set(key, commit)
    return commit
  }
}

/** The commits that no other one follows: one, unless the log was forked by restoring an old copy of its agent. */
export function headsOf(commits: readonly LoggedCommit[]): Digest[] {
  const followed = new Set(commits.flatMap(({ commit }) => commit.body.prev))
  return commits.filter(({ commit }) => !followed.has(commit.sha256)).map(({ commit }) => commit.sha256)
}

/** Whether every commit that these name as the one before them is among them. */
export function reachesBack(commits: readonly LoggedCommit[]): boolean {
  const known = new Set(commits.map(({ commit }) => commit.sha256))
  return commits.every(({ commit }) => commit.body.prev.every((hash) => known.has(hash)))
}

/** How many places below the highest no commit has: something that was there is not found at the sites asked. */
export function gapsIn(commits: readonly LoggedCommit[]): number {
  const known = new Set(commits.map(({ entry }) => entry.seq))
  return highestSeq(commits) - known.size
}

/** The highest place in the log that a verified commit has; what sites merely list is not believed. */
export function highestSeq(commits: readonly LoggedCommit[]): number {
  return commits.reduce((highest, { entry }) => Math.max(highest, entry.seq), 0)
}
