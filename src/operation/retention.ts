import { provenCommits } from "../catalog/proofs.ts"
import { type Commit, isBackup, packNameOf } from "../format/commit.ts"
import { packKey } from "../format/names.ts"
import type { TrustList } from "../format/trust.ts"
import type { ExpiryFacts, KeptCommit } from "../retention/expiry.ts"
import { count } from "../units.ts"
import { frozenDatasets } from "./anomalies.ts"
import { holdsInForce, type RecordedHold } from "./hold.ts"
import { type AgentLog, type ReadCommit, readLogs } from "./logs.ts"
import type { KeeperWorld } from "./world.ts"

/** What the logs of all agents say of how long everything is kept. */
export interface RetentionFacts extends ExpiryFacts {
  readonly holds: readonly RecordedHold[]
}

/**
 * Reads the logs of all agents, at every site that answers. Whatever was not read, or not understood, is a doubt: with one, nothing may
 * be dropped. `now` is this host's own clock, which is good enough to plan by; whoever deletes asks the sites.
 */
export async function readRetention(world: KeeperWorld): Promise<RetentionFacts> {
  const logs = await readLogs(world)
  const believed = logs.flatMap(({ commits }) => commits.filter((commit) => commit.believed))
  const commits = believed.map(({ commit }) => commit)
  const packs = new Map<string, ListedPack>()
  return {
    now: world.clock.now(),
    commits: believed.flatMap((read) => keptCommit(read, packs)),
    days: longestDays(world.trust),
    holds: holdsInForce(commits),
    frozen: frozenDatasets(commits),
    proven: provenCommits(world.catalog),
    doubts: logs.flatMap(doubtsOf),
  }
}

type ListedPack = KeptCommit["packs"][number]

function keptCommit({ commit, entry }: ReadCommit, known: Map<string, ListedPack>): KeptCommit[] {
  if (!isBackup(commit)) return []
  const { agent, dataset, run, seq, complete, time } = commit.body
  return [
    {
      ...{ sha256: commit.sha256, agent, dataset, run, seq, complete, packs: packsOf(commit, known) },
      ...{ acceptedAt: entry.storedAt, claimedAt: new Date(time) },
    },
  ]
}

// A thousand states list mostly the same packs: what is said of each is kept once.
function packsOf({ body }: Commit, known: Map<string, ListedPack>): KeptCommit["packs"] {
  return body.packs.map((listed) => {
    const name = packNameOf(body.agent, listed)
    const key = packKey(name)
    const pack = known.get(key) ?? { key, class: name.class, bytes: name.bytes }
    known.set(key, pack)
    return pack
  })
}

/** Expiry counts with the longest definition of a class that any list of the chain gives (README §8). */
function longestDays(lists: readonly TrustList[]): Map<string, number> {
  const longest = new Map<string, number>()
  for (const { body } of lists) {
    for (const [name, { days }] of Object.entries(body.classes)) longest.set(name, Math.max(days, longest.get(name) ?? 0))
  }
  return longest
}

function doubtsOf({ agent, refused, missing, unreadable }: AgentLog): string[] {
  return [
    ...unreadable.map(({ site, message }) => `${site}: the log of ${agent} was not read whole: ${message}`),
    ...refused.map(({ key, error }) => `${key}: not believed: ${error.message}`),
    ...(missing === 0 ? [] : [`log of ${agent}: ${count(missing, "commit")} not at the sites asked: they are at other sites, or lost`]),
  ]
}
