import { rememberedCommits } from "../catalog/commits.ts"
import { BackupError, SiteError } from "../errors.ts"
import { decodeCommit } from "../format/commit.ts"
import { logPrefix, parseCommitKey } from "../format/names.ts"
import { agentKeys } from "../format/trust.ts"
import { commitBytesMax } from "../limits.ts"
import type { ObjectVersion, Versions } from "../site/site.ts"
import { readVersion } from "../vault/heal.ts"
import type { LogEntry } from "../vault/log.ts"
import { agentsOf } from "./logs.ts"
import type { UpkeepWorld } from "./world.ts"

/** What lies behind what the sites show of the logs. */
export interface Revived {
  /** Commits with good bytes behind a deletion or behind other bytes; the catalog remembers them now. No site is said to list them. */
  readonly entries: readonly LogEntry[]
  /** Where a commit has other bytes in front of it, good or not. */
  readonly shadowed: readonly { readonly site: string; readonly key: string }[]
  /** Sites that keep versions and would not show them. */
  readonly unseen: readonly string[]
}

/**
 * Finds commits that a PUT or a deletion hid at sites that keep versions: at a site whose objects are locked, that is all that a thief
 * of its credentials can do. A site that will not list its versions is told of; the others are looked at.
 */
export async function reviveCommits(world: UpkeepWorld): Promise<Revived> {
  const entries = new Map<string, LogEntry>()
  const shadowed: { site: string; key: string }[] = []
  const unseen: string[] = []
  for (const { name, opened } of world.vault.sites) {
    if (opened.versions === undefined) continue
    try {
      for await (const entry of hiddenIn(opened.versions, world)) {
        entries.set(entry.key, entry)
        shadowed.push({ site: name, key: entry.key })
      }
    } catch (error) {
      world.signal.throwIfAborted()
      if (!(error instanceof SiteError)) throw error
      unseen.push(name)
      world.tell({ type: "warning", message: `older versions cannot be looked at: ${error.message}` })
    }
  }
  return { entries: [...entries.values()], shadowed, unseen }
}

async function* hiddenIn(versions: Versions, world: UpkeepWorld): AsyncGenerator<LogEntry> {
  for (const agent of agentsOf(world)) {
    for await (const version of versions.list(logPrefix(agent), { signal: world.signal })) {
      if (version.latest || version.deleteMarker) continue
      const entry = await entryOf(agent, version, { versions, world })
      if (entry !== null) yield entry
    }
  }
}

interface Reading {
  readonly versions: Versions
  readonly world: UpkeepWorld
}

/** Null where the version is no commit that was ever this agent's. */
async function entryOf(
  agent: string,
  { key, version, bytes: size, storedAt }: ObjectVersion,
  { versions, world }: Reading,
): Promise<LogEntry | null> {
  const name = parseCommitKey(key)
  if (name === null || size > commitBytesMax) return null
  const memory = rememberedCommits(world.catalog)
  const entry = { key, agent, seq: name.seq, sites: [], storedAt }
  if (memory.recall(key) !== undefined) return entry
  const bytes = await readVersion(versions, key, version, { signal: world.signal })
  if (bytes === null) return null
  try {
    decodeCommit(bytes, (id) => agentKeys(world.trust, id))
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    return null
  }
  memory.remember(key, bytes)
  return entry
}
