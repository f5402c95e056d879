import { highestRemembered, rememberedCommits, rememberedKeys } from "../catalog/commits.ts"
import type { Digest } from "../digest.ts"
import { JobError, VaultError } from "../errors.ts"
import { isControl, isKeyRecord, lostKeysOf } from "../format/commit.ts"
import { logPrefix } from "../format/names.ts"
import { agentKeys } from "../format/trust.ts"
import { beginPatienceMs } from "../limits.ts"
import { count } from "../units.ts"
import { askSites } from "../vault/ask.ts"
import { unanswered } from "../vault/fetch.ts"
import {
  headsOf,
  highestSeq,
  type LogEntry,
  type LoggedCommit,
  type LogListing,
  listLog,
  reachesBack,
  readLog,
  unionOf,
} from "../vault/log.ts"
import { unreachable } from "../vault/unreachable.ts"
import { type AgentWorld, inForce } from "./world.ts"

/** What the sites say this agent has done so far, and where its next commit goes. Local memory only saves the way there. */
export class OwnLog {
  readonly #world: AgentWorld
  readonly #entries = new Map<string, LogEntry>()
  readonly #commits: LoggedCommit[] = []
  readonly #unreadable = new Set<string>()
  #late: LogListing["late"] = new Map()
  #heads: Digest[] = []
  /** The highest place in the log that this host has written to; no place is written to twice. */
  #seq = 0

  private constructor(world: AgentWorld) {
    this.#world = world
  }

  /** Waits for enough sites, and for the others a moment longer: what they answer later is looked at by `joinLate`. */
  static async read(world: AgentWorld): Promise<OwnLog> {
    const { id } = world.agent
    const log = new OwnLog(world)
    const { entries, unreadable, late } = await listLog(world.everywhere, id, { ...optionsOf(world), patienceMs: beginPatienceMs })
    for (const { site, message } of unreadable) {
      log.#unreadable.add(site)
      if (!late.has(site)) world.tell({ type: "site-missed", site, message })
    }
    log.#late = late
    log.#seq = highestRemembered(world.catalog, id)
    const remembered = await log.#rememberedHere()
    await log.#add([...entries, ...remembered])
    // A memory that was lost, and read again in part, says neither where the log goes on nor which keys it needs.
    const isKnown = remembered.length > 0 && reachesBack(log.#commits)
    if (unreadable.length === world.everywhere.sites.length && !isKnown) throw unreachable(unreadable)
    log.#heads = headsOf(log.#commits)
    log.#warn()
    return log
  }

  /** Sites whose log could not be read, or not yet. */
  get unreadable(): readonly string[] {
    return [...this.#unreadable]
  }

  /** Looks at what sites answered that had not yet when the run began; those that still have not are missed. */
  async joinLate(): Promise<void> {
    const { agent, everywhere, signal } = this.#world
    const late = this.#late
    this.#late = new Map()
    const { answers, failures } = await askSites(
      everywhere.sites.filter(({ name }) => late.has(name)),
      async ({ name }) => (await late.get(name)) ?? [],
      { signal, enough: () => true, patienceMs: (site, waitedMs) => (waitedMs > 0 ? 0 : everywhere.health.patienceMs(site)) },
    )
    for (const { site, message } of failures) this.#world.tell({ type: "site-missed", site, message })
    await this.#add(unionOf(agent.id, answers))
    for (const site of answers.keys()) this.#unreadable.delete(site)
    this.#commits.sort((a, b) => a.entry.seq - b.entry.seq || (a.entry.key < b.entry.key ? -1 : 1))
    this.#heads = headsOf(this.#commits)
    this.#seq = Math.max(this.#seq, highestSeq(this.#commits))
  }

  // What waits in the spool is ours and at no site yet; where no site answers, what this host remembers must do.
  async #rememberedHere(): Promise<LogEntry[]> {
    const { catalog, agent, everywhere } = this.#world
    const waiting = (await everywhere.spool?.waiting(logPrefix(agent.id))) ?? []
    const isAlone = this.#unreadable.size === everywhere.sites.length
    const remembered = isAlone ? rememberedKeys(catalog, agent.id) : []
    return unionOf(agent.id, new Map([["spool", [...waiting, ...remembered]]])).map((entry) => ({ ...entry, sites: [] }))
  }

  async #add(listed: readonly LogEntry[]): Promise<void> {
    const { everywhere, repository, trust, catalog } = this.#world
    const fresh: LogEntry[] = []
    for (const entry of listed) {
      const known = this.#entries.get(entry.key)
      if (known === undefined) fresh.push(entry)
      this.#entries.set(entry.key, known === undefined ? entry : { ...known, sites: [...new Set([...known.sites, ...entry.sites])] })
    }
    const { commits, refused } = await readLog(everywhere, fresh, {
      ...optionsOf(this.#world),
      repository: repository.id,
      keysOf: (agent) => agentKeys(trust, agent),
      memory: rememberedCommits(catalog),
    })
    for (const { key, error } of refused) {
      // It may register keys, and no commit may go to a site that lacks those.
      if (error instanceof VaultError && unanswered(error).length > 0) throw error
      this.#world.tell({ type: "warning", message: `${key}: not believed: ${error.message}` })
    }
    this.#commits.push(...commits)
    this.#seq = Math.max(this.#seq, highestSeq(commits))
  }

  #warn(): void {
    const highest = highestSeq(this.#commits)
    if (this.#unreadable.size === 0 && this.#seq > highest) {
      const message = `this host wrote ${count(this.#seq - highest, "commit")} that no site has any more: were the sites set back?`
      this.#world.tell({ type: "warning", message })
    }
    if (this.#heads.length > 1) {
      const branches = count(this.#heads.length, "branch", "branches")
      const message = `the log of ${this.#world.agent.id} was forked into ${branches}: was this machine restored from an image? The next commit joins them`
      this.#world.tell({ type: "warning", message })
    }
  }

  get commits(): readonly LoggedCommit[] {
    return this.#commits.map(({ entry, commit }) => ({ entry: this.#entries.get(entry.key) ?? entry, commit }))
  }

  /** The fields by which the next commit continues the log. */
  next(): { readonly seq: number; readonly prev: Digest[] } {
    return { seq: this.#seq + 1, prev: [...this.#heads] }
  }

  /** A commit of ours that at least one site holds now, or the spool. */
  append(commit: LoggedCommit): void {
    this.#entries.set(commit.entry.key, commit.entry)
    this.#commits.push(commit)
    this.#heads = [commit.commit.sha256]
    this.#seq = commit.entry.seq
  }

  /** Sites that hold a commit of this log as well by now. */
  holding(key: string, sites: readonly string[]): void {
    const entry = this.#entries.get(key)
    if (entry !== undefined) this.#entries.set(key, { ...entry, sites: [...new Set([...entry.sites, ...sites])] })
  }

  /** Names of all key objects this agent has registered, but for those that it said are lost. */
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

  // What was said to be lost is needed no more, by earlier commits either.
  #registers(): { readonly seq: number; readonly key: string; readonly objects: string[] }[] {
    const lost = lostKeysOf(this.#commits.map(({ commit }) => commit))
    return this.#commits.flatMap(({ entry, commit }) => {
      const records = isControl(commit) ? commit.body.records.filter(isKeyRecord) : []
      const objects = records.map(({ object }) => object).filter((object) => !lost.has(object))
      return objects.length === 0 ? [] : [{ seq: entry.seq, key: entry.key, objects }]
    })
  }

  /** The sites that hold a commit, as far as this log knows. */
  sitesOf(sha256: Digest | string): readonly string[] {
    return this.commits.find(({ commit }) => commit.sha256 === sha256)?.entry.sites ?? []
  }

  /** Whether any site lists this commit. */
  lists(sha256: Digest): boolean {
    return this.#commits.some(({ commit }) => commit.sha256 === sha256)
  }

  /** Commits that some site lists and others, whose log was read, do not: oldest first. */
  behind(sites: readonly string[]): readonly { readonly logged: LoggedCommit; readonly lacking: readonly string[] }[] {
    const readable = sites.filter((site) => !this.#unreadable.has(site))
    return this.commits.flatMap((logged) => {
      const lacking = readable.filter((site) => !logged.entry.sites.includes(site))
      return lacking.length === 0 ? [] : [{ logged, lacking }]
    })
  }
}

/** How this agent reads and copies at the sites. */
export function optionsOf(world: AgentWorld) {
  return {
    signal: world.signal,
    onFailover: ({ key, error, next }: { key: string; error: { site: string; message: string }; next: string | null }) => {
      world.tell({ type: "failover", key, site: error.site, message: error.message, next })
    },
  }
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
