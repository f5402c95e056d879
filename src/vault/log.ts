import type { Digest } from "../digest.ts"
import { BackupError, FormatError, SiteError } from "../errors.ts"
import { type Commit, decodeCommit } from "../format/commit.ts"
import { logPrefix, parseCommitKey } from "../format/names.ts"
import type { Failover } from "./fetch.ts"
import { fetchNamed } from "./named.ts"
import type { Vault } from "./vault.ts"

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
  /** Sites whose log could not be read whole. */
  readonly unreadable: readonly SiteError[]
}

export interface LogOptions {
  readonly signal: AbortSignal
  readonly onFailover?: ((failover: Failover) => void) | undefined
}

/** Everything the sites list of one agent's log. A site that fails is named, never counted as empty. */
export async function listLog(vault: Vault, agent: string, { signal }: LogOptions): Promise<LogListing> {
  const found = new Map<string, { agent: string; seq: number; sites: string[]; storedAt: Date }>()
  const unreadable: SiteError[] = []
  await Promise.all(
    vault.sites.map(async ({ name, opened }) => {
      try {
        for await (const { key, storedAt } of opened.site.list(logPrefix(agent), { signal })) {
          const parsed = parseCommitKey(key)
          if (parsed === null) continue
          const entry = found.get(key)
          if (entry === undefined) found.set(key, { agent, seq: parsed.seq, sites: [name], storedAt })
          else {
            entry.sites.push(name)
            if (storedAt < entry.storedAt) entry.storedAt = storedAt
          }
        }
      } catch (error) {
        if (!(error instanceof SiteError)) throw error
        unreadable.push(error)
      }
    }),
  )
  const entries = [...found].map(([key, entry]) => ({ key, ...entry }))
  return { entries: entries.toSorted((a, b) => a.seq - b.seq || (a.key < b.key ? -1 : 1)), unreadable }
}

/** A memory of commits that were read before; its content is checked again each time, so it saves only the way to the site. */
export interface CommitMemory {
  recall(key: string): Uint8Array | undefined
  remember(key: string, bytes: Uint8Array): void
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

/** Reads the commits of a listing, each from any site that has good bytes of it. */
export async function readLog(vault: Vault, entries: readonly LogEntry[], options: ReadLogOptions): Promise<LogReading> {
  const commits: LoggedCommit[] = []
  const refused: { key: string; error: BackupError }[] = []
  const batch = 32
  for (let start = 0; start < entries.length; start += batch) {
    await Promise.all(
      entries.slice(start, start + batch).map(async (entry) => {
        try {
          commits.push({ entry, commit: await readCommit(vault, entry, options) })
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

async function readCommit(vault: Vault, entry: LogEntry, options: ReadLogOptions): Promise<Commit> {
  const known = options.memory.recall(entry.key)
  const { signal, onFailover } = options
  const bytes = known ?? (await fetchNamed(vault, entry.key, { signal, onFailover, from: entry.sites })).bytes
  const commit = decodeCommit(bytes, options.keysOf)
  const { body } = commit
  if (body.repository !== options.repository || body.agent !== entry.agent || body.seq !== entry.seq) {
    throw new FormatError("format/foreign", `${entry.key}: a commit of another repository, agent or place in the log`)
  }
  if (known === undefined) options.memory.remember(entry.key, bytes)
  return commit
}

/** The commits that no other one follows: one, unless the log was forked by restoring an old copy of its agent. */
export function headsOf(commits: readonly LoggedCommit[]): Digest[] {
  const followed = new Set(commits.flatMap(({ commit }) => commit.body.prev))
  return commits.filter(({ commit }) => !followed.has(commit.sha256)).map(({ commit }) => commit.sha256)
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
