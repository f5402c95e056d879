import { highestRemembered, rememberedCommits } from "../catalog/commits.ts"
import type { Digest } from "../digest.ts"
import { JobError } from "../errors.ts"
import { isBackup, isControl, isKeyRecord, packNameOf } from "../format/commit.ts"
import { agentKeys } from "../format/trust.ts"
import { count } from "../units.ts"
import { placeCommit } from "../vault/commit.ts"
import { headsOf, highestSeq, type LogEntry, type LoggedCommit, listLog, readLog } from "../vault/log.ts"
import { unreachable } from "../vault/unreachable.ts"
import { type AgentWorld, inForce } from "./world.ts"

interface LogMemory {
  /** Sites whose log could not be read. */
  readonly unreadable: readonly string[]
  /** The highest place in the log that this host has written to; no place is written to twice. */
  readonly remembered: number
}

/** What the sites say this agent has done so far, and where its next commit goes. Local memory only saves the way there. */
export class OwnLog {
  readonly #entries: Map<string, LogEntry>
  readonly #commits: LoggedCommit[]
  /** Sites whose log could not be read. */
  readonly unreadable: readonly string[]
  #heads: Digest[]
  #seq: number

  private constructor(entries: readonly LogEntry[], commits: LoggedCommit[], { unreadable, remembered }: LogMemory) {
    this.#entries = new Map(entries.map((entry) => [entry.key, entry]))
    this.#commits = commits
    this.#heads = headsOf(commits)
    this.#seq = Math.max(remembered, highestSeq(commits))
    this.unreadable = unreadable
  }

  static async read(world: AgentWorld): Promise<OwnLog> {
    const { id } = world.agent
    const { entries, unreadable } = await listLog(world.everywhere, id, optionsOf(world))
    if (unreadable.length === world.everywhere.sites.length) throw unreachable(unreadable)
    for (const { site, message } of unreadable) world.tell({ type: "site-missed", site, message })
    const { commits, refused } = await readLog(world.everywhere, entries, {
      ...optionsOf(world),
      repository: world.repository.id,
      keysOf: (agent) => agentKeys(world.trust, agent),
      memory: rememberedCommits(world.catalog),
    })
    for (const { key, error } of refused) world.tell({ type: "warning", message: `${key}: not believed: ${error.message}` })
    const remembered = highestRemembered(world.catalog, id)
    const log = new OwnLog(entries, [...commits], { unreadable: unreadable.map(({ site }) => site), remembered })
    if (unreadable.length === 0 && remembered > highestSeq(commits)) {
      const message = `this host wrote ${count(remembered - highestSeq(commits), "commit")} that no site has any more: were the sites set back?`
      world.tell({ type: "warning", message })
    }
    if (log.#heads.length > 1) {
      const message = `the log of ${id} was forked into ${count(log.#heads.length, "branch", "branches")}: was this machine restored from an image? The next commit joins them`
      world.tell({ type: "warning", message })
    }
    return log
  }

  get commits(): readonly LoggedCommit[] {
    return this.#commits
  }

  /** The fields by which the next commit continues the log. */
  next(): { readonly seq: number; readonly prev: Digest[] } {
    return { seq: this.#seq + 1, prev: [...this.#heads] }
  }

  /** A commit of ours that at least one site holds now. */
  append(commit: LoggedCommit): void {
    this.#entries.set(commit.entry.key, commit.entry)
    this.#commits.push(commit)
    this.#heads = [commit.commit.sha256]
    this.#seq = commit.entry.seq
  }

  /** Names of all key objects this agent has registered. */
  registeredKeys(): string[] {
    return [...new Set(this.#registers().flatMap(({ objects }) => objects))]
  }

  /**
   * What a commit needs besides its packs: the key objects registered so far, and then the commits that register them, without which
   * a site alone could not say whose keys they are. `until` is the commit's own place in the log; absent: the next one's.
   */
  register(until = Number.POSITIVE_INFINITY): string[] {
    const before = this.#registers().filter(({ seq }) => seq < until)
    return [...new Set([...before.flatMap(({ objects }) => objects), ...before.map(({ key }) => key)])]
  }

  #registers(): { readonly seq: number; readonly key: string; readonly objects: string[] }[] {
    return this.#commits.flatMap(({ entry, commit }) => {
      const objects = isControl(commit) ? commit.body.records.filter(isKeyRecord).map(({ object }) => object) : []
      return objects.length === 0 ? [] : [{ seq: entry.seq, key: entry.key, objects }]
    })
  }

  /** Whether any site lists this commit. */
  lists(sha256: Digest): boolean {
    return this.#commits.some(({ commit }) => commit.sha256 === sha256)
  }

  /** Commits that some site lists and others, whose log was read, do not: oldest first. */
  behind(sites: readonly string[]): readonly { readonly logged: LoggedCommit; readonly lacking: readonly string[] }[] {
    const readable = sites.filter((site) => !this.unreadable.includes(site))
    return this.#commits.flatMap((logged) => {
      const lacking = readable.filter((site) => !logged.entry.sites.includes(site))
      return lacking.length === 0 ? [] : [{ logged, lacking }]
    })
  }
}

function optionsOf(world: AgentWorld) {
  return {
    signal: world.signal,
    onFailover: ({ key, error, next }: { key: string; error: { site: string; message: string }; next: string | null }) => {
      world.tell({ type: "failover", key, site: error.site, message: error.message, next })
    },
  }
}

/** What a run may catch up; a site that lacks more is repair's. */
const catchUpCommitsMax = 100
const catchUpBytesMax = 10 * 1024 ** 3

/**
 * Brings sites that were away what they missed, with what that needs: the register to every site, snapshots of this job's dataset to
 * this job's sites, and to no other. Oldest first; what is too much for a run is for the next one, or for repair.
 */
export async function catchUp(world: AgentWorld, log: OwnLog, dataset: string): Promise<void> {
  const behind = behindOf(world, log, dataset)
  const counted = new Set<Digest>()
  let bytes = 0
  for (const [index, { logged, lacking }] of behind.entries()) {
    for (const [sha256, size] of logged.commit.body.packs) {
      if (!counted.has(sha256)) bytes += size
      counted.add(sha256)
    }
    if (index >= catchUpCommitsMax || bytes > catchUpBytesMax) {
      const sites = [...new Set(behind.slice(index).flatMap((left) => left.lacking))].join(", ")
      const message = `${sites}: still ${count(behind.length - index, "commit")} behind; the next run brings more`
      world.tell({ type: "warning", message })
      return
    }
    await bring(world, log, logged, lacking)
  }
}

function behindOf(world: AgentWorld, log: OwnLog, dataset: string) {
  const ofJob = new Set(world.vault.sites.map(({ name }) => name))
  const everywhere = world.everywhere.sites.map(({ name }) => name)
  return log.behind(everywhere).flatMap(({ logged, lacking }) => {
    const { commit } = logged
    if (isControl(commit)) return [{ logged, lacking }]
    const allowed = isBackup(commit) && commit.body.dataset === dataset ? lacking.filter((site) => ofJob.has(site)) : []
    return allowed.length === 0 ? [] : [{ logged, lacking: allowed }]
  })
}

async function bring(world: AgentWorld, log: OwnLog, logged: LoggedCommit, lacking: readonly string[]): Promise<void> {
  const { key } = logged.entry
  const bytes = rememberedCommits(world.catalog).recall(key)
  if (bytes === undefined) return
  const { body } = logged.commit
  const own = isControl(logged.commit) ? logged.commit.body.records.filter(isKeyRecord).map(({ object }) => object) : []
  const keys = [...log.register(logged.entry.seq), ...own]
  const packs = body.packs.map((pack) => packNameOf(body.agent, pack))
  const options = { ...optionsOf(world), tierOf: world.tierOf, targets: lacking }
  const placement = await placeCommit(world.everywhere, { key, bytes, packs, keys }, options)
  for (const { site, message } of placement.missed) world.tell({ type: "site-missed", site, message })
}

/**
 * The clock must not be before what the root signed: dates in names, settling and schedules would be wrong. That it is before our own
 * last commit may as well mean that it was wrong then: that is said, and stops nothing.
 */
export function refuseImpossibleClock(world: AgentWorld, log: OwnLog): void {
  const now = world.clock.now()
  const signed = new Date(inForce(world).body.created)
  if (now.getTime() < signed.getTime() - clockToleranceMs) {
    throw new JobError(
      "job/clock",
      `this machine's clock says ${now.toISOString()}, but the trust list was signed at ${signed.toISOString()}`,
      {
        hint: "set the clock (timedatectl), then run again; nothing was changed",
      },
    )
  }
  const last = log.commits.at(-1)?.commit.body.time
  if (last === undefined || now.getTime() >= Date.parse(last) - clockToleranceMs) return
  const message = `this machine's clock says ${now.toISOString()}, but its last commit says ${last}: one of them is wrong`
  world.tell({ type: "warning", message })
}

const clockToleranceMs = 24 * 3_600_000
