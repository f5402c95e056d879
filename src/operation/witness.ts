import { timestamp } from "../clock.ts"
import { isBackup } from "../format/commit.ts"
import type { WitnessedDataset, WitnessedSnapshot, WitnessReport } from "../report/witness.ts"
import { count, formatDuration } from "../units.ts"
import { headsOf } from "../vault/log.ts"
import { isDurable } from "../vault/vault.ts"
import { anomaliesIn } from "./anomalies.ts"
import { type AgentLog, agentsOf, readLogs } from "./logs.ts"
import type { KeeperWorld } from "./world.ts"

/** What was promised of a dataset. */
export interface Promised {
  readonly agent: string
  readonly dataset: string
  readonly rpoMs: number
}

/**
 * Whether what was promised is kept, judged from another machine, without any key: by the commits that the sites list, signed by agents
 * that the root trusts, with the sites' own times. What an agent claims of itself counts for nothing, and neither does its silence.
 */
export async function witness(promised: readonly Promised[], world: KeeperWorld): Promise<WitnessReport> {
  const logs = await readLogs(world)
  const unreadable = new Map(logs.flatMap((log) => log.unreadable.map(({ site, message }) => [site, message] as const)))
  const known = new Set(agentsOf(world))
  return {
    datasets: promised.map((promise) => {
      const log = logs.find(({ agent }) => agent === promise.agent)
      if (known.has(promise.agent) && log !== undefined) return judged(promise, log, world)
      return { ...bare(promise), state: "never", why: `the trust list names no agent ${promise.agent}` }
    }),
    unreadable: [...unreadable].map(([site, message]) => ({ site, message })),
    findings: logs.flatMap(findingsOf),
  }
}

function bare({ agent, dataset, rpoMs }: Promised) {
  return { agent, dataset, rpoSeconds: rpoMs / 1000, newest: null, anomalies: 0 }
}

function judged(promise: Promised, log: AgentLog, world: KeeperWorld): WitnessedDataset {
  const believed = log.commits.filter((commit) => commit.believed)
  const own = believed.filter(({ commit }) => isBackup(commit) && commit.body.dataset === promise.dataset)
  const whole = own.filter(
    ({ commit, entry }) => isBackup(commit) && commit.body.complete && commit.body.final && isDurable(entry.sites, world.vault),
  )
  const last = whole.at(-1)
  const open = anomaliesIn(believed.map(({ commit }) => commit)).filter(
    ({ dataset, lifted }) => dataset === promise.dataset && lifted === undefined,
  )
  const now = world.clock.now().getTime()
  const newest = last === undefined || !isBackup(last.commit) ? null : shown({ commit: last.commit.body, entry: last.entry }, now)
  const { state, why } = verdict(newest, { promise, partial: own.length > whole.length, away: log.unreadable.length })
  return { ...bare(promise), newest, anomalies: open.length, state, why }
}

interface Found {
  readonly commit: { readonly seq: number; readonly run: string }
  readonly entry: { readonly storedAt: Date; readonly sites: readonly string[] }
}

function shown({ commit: { seq, run }, entry: { storedAt, sites } }: Found, now: number): WitnessedSnapshot {
  return { seq, run, storedAt: timestamp(storedAt), ageSeconds: (now - storedAt.getTime()) / 1000, held: sites }
}

interface Circumstances {
  readonly promise: Promised
  /** Whether there are snapshots that are partial, or at too few sites. */
  readonly partial: boolean
  /** Sites that did not answer. */
  readonly away: number
}

function verdict(newest: WitnessedSnapshot | null, { promise, partial, away }: Circumstances): Pick<WitnessedDataset, "state" | "why"> {
  // A site whose clock is ahead would make every snapshot young.
  if (newest !== null && newest.ageSeconds < -clockToleranceSeconds)
    return { state: "unknown", why: `a site stored it ${formatDuration(-newest.ageSeconds * 1000)} from now: one of the clocks is wrong` }
  if (newest !== null && newest.ageSeconds * 1000 <= promise.rpoMs) return { state: "ok", why: null }
  const doubt = partial ? "; newer ones are partial, or at too few sites" : ""
  if (away > 0) return { state: "unknown", why: `${count(away, "site")} did not answer${doubt}` }
  if (newest === null) return { state: "never", why: `no complete snapshot at enough sites${doubt}` }
  return { state: "late", why: `${formatDuration(newest.ageSeconds * 1000)} old${doubt}` }
}

const clockToleranceSeconds = 600

function findingsOf({ agent, commits, refused, missing, unreadable }: AgentLog): string[] {
  const heads = headsOf(commits)
  return [
    ...refused.map(({ key, error }) => `${key}: not believed: ${error.message}`),
    ...(missing > 0 && unreadable.length === 0 ? [`log of ${agent}: ${count(missing, "commit")} of it at no site`] : []),
    ...(heads.length > 1 ? [`log of ${agent}: forked into ${count(heads.length, "branch", "branches")}`] : []),
  ]
}
