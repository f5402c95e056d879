import { rememberedCommits } from "../catalog/commits.ts"
import { timestamp } from "../clock.ts"
import { VaultError } from "../errors.ts"
import { fitsName } from "../format/names.ts"
import { upkeepPortionMax } from "../limits.ts"
import type { RepairOutcome, RepairReport } from "../report/repair.ts"
import { count } from "../units.ts"
import { sitesChosen } from "../vault/vault.ts"
import type { AgentLog } from "./logs.ts"
import { Mending } from "./mend.ts"
import { type OwedCommit, owedOf, type Portion, portionsOf } from "./owed.ts"
import { reviveCommits } from "./revive.ts"
import { beginRounds } from "./upkeep.ts"
import type { UpkeepWorld } from "./world.ts"

export interface RepairRequest {
  /** Only these sites are repaired, and snapshots of other hosts are brought to them; absent: all. */
  readonly sites?: readonly string[] | undefined
  /** Says what would be done, and writes nothing at any site. */
  readonly dryRun: boolean
  /** Reads every copy first; else only those that a scrub found bad, or whose length is wrong. */
  readonly full: boolean
}

/**
 * Makes every commit whole at every site that must have it (FORMAT S1): what the root signed, then key objects, then packs, and the
 * commit last. Bytes come from any site that has good ones, or from behind what a site shows now, and are hashed before they are
 * written: rot does not spread, and what no believed commit lists is never copied. Needs no key. It may be interrupted anywhere
 * and run again.
 */
export async function repair(request: RepairRequest, outer: UpkeepWorld): Promise<RepairReport> {
  const started = outer.clock.now()
  const warnings: string[] = []
  const told: UpkeepWorld = {
    ...outer,
    tell(event) {
      if (event.type === "warning") warnings.push(event.message)
      outer.tell(event)
    },
  }
  const named = sitesChosen(outer.vault, request.sites)
  const { entries, shadowed, unseen } = await reviveCommits(told)
  const { world, logs } = await beginRounds(told, entries)
  const mending = new Mending(world, { ...request, targets: world.vault.sites.filter((site) => named.includes(site)) })
  for (const { site, key } of shadowed) mending.suspect(site, key)
  judgeLogs(logs, mending, { world, unseen: unseen.filter((name) => world.vault.sites.some((site) => site.name === name)) })
  const owed = owedOf(logs, world, request.sites ?? [])

  await mending.mend(owed.roots)
  for (let start = 0; start < owed.keys.length; start += upkeepPortionMax)
    await mending.mend(owed.keys.slice(start, start + upkeepPortionMax))
  const registers = new Registers(mending)
  for (const portion of portionsOf(owed.commits, upkeepPortionMax)) await mendPortion(portion, mending, { world, registers })
  const outcome = outcomeOf(mending, logs)
  if (!request.dryRun) tellDeed(world, outcome, mending)
  return {
    ...{ outcome, dryRun: request.dryRun, sites: mending.sites() },
    ...{ remaining: mending.remaining, remainingCount: mending.remainingCount },
    lost: [...mending.lost].slice(0, examplesMax).map(([object, detail]) => ({ object, detail })),
    lostCount: mending.lost.size,
    elsewhere: owed.elsewhere,
    started: timestamp(started),
    seconds: (world.clock.now().getTime() - started.getTime()) / 1000,
    warnings,
  }
}

const examplesMax = 200

/** A commit that nobody can read is lost with all it lists; one that nobody believes is left where it is, and goes nowhere. */
function judgeLogs(
  logs: readonly AgentLog[],
  mending: Mending,
  { world, unseen }: { world: UpkeepWorld; unseen: readonly string[] },
): void {
  for (const { agent, refused, missing, unreadable } of logs) {
    for (const { site, message } of unreadable) mending.giveUp(site, message)
    for (const { key, error } of refused) {
      if (isLost(error) && unreadable.length === 0 && unseen.length === 0) mending.lost.set(key, error.message)
      else if (isLost(error)) world.tell({ type: "warning", message: `${key}: no site that answers has good bytes of it` })
      else world.tell({ type: "warning", message: `${key}: not believed, and not copied: ${error.message}` })
    }
    if (missing > 0) world.tell({ type: "warning", message: `log of ${agent}: ${count(missing, "commit")} of it at no site that answers` })
  }
}

function isLost(error: unknown): boolean {
  return error instanceof VaultError
}

interface Portioning {
  readonly world: UpkeepWorld
  readonly registers: Registers
}

async function mendPortion({ packs, commits }: Portion, mending: Mending, { world, registers }: Portioning): Promise<void> {
  await mending.mend(packs)
  const memory = rememberedCommits(world.catalog)
  for (const commit of commits) {
    const { key, sites, listedAt } = commit
    const wanted = mending.reachable.filter((site) => sites.has(site) && (!listedAt.has(site) || mending.suspects(site, key)))
    const ready = wanted.filter((site) => isReady(site, commit, mending, registers))
    if (ready.length > 0) {
      const bytes = memory.recall(key)
      await mending.mend([{ key, sites: new Set(ready), bytes: bytes !== undefined && fitsName(key, bytes) ? bytes : undefined }])
    }
    registers.passed(commit)
  }
}

/** Whether a site has everything that a commit needs; what it lacks is said. */
function isReady(site: string, commit: OwedCommit, mending: Mending, registers: Registers): boolean {
  const lacking = [...commit.packs.map(({ key }) => key), ...commit.registers].filter((key) => mending.lacks(site, key))
  const register = registers.lackingAt(site, commit.agent)
  if (lacking.length === 0 && register === undefined) return true
  const why = lacking.length > 0 ? `${count(lacking.length, "object")} that it needs` : `${register ?? ""}, which it needs,`
  // Where it is listed already, it is those that are missed.
  if (!commit.listedAt.has(site)) mending.postpone(site, commit.key, `${why} could not be brought there`)
  return false
}

/** Which registers a site lacks: without them nobody could say whose keys a later commit's are. */
class Registers {
  readonly #mending: Mending
  readonly #lacking = new Map<string, string>()

  constructor(mending: Mending) {
    this.#mending = mending
  }

  /** All that could be done for this commit was done. */
  passed({ key, agent, registers }: OwedCommit): void {
    if (registers.length === 0) return
    for (const site of this.#mending.reachable) {
      const at = `${site} ${agent}`
      if (!this.#lacking.has(at) && [key, ...registers].some((needed) => this.#mending.lacks(site, needed))) this.#lacking.set(at, key)
    }
  }

  /** The first register of an agent that a site lacks. */
  lackingAt(site: string, agent: string): string | undefined {
    return this.#lacking.get(`${site} ${agent}`)
  }
}

function tellDeed(world: UpkeepWorld, outcome: RepairOutcome, mending: Mending): void {
  for (const { site, copied, replaced, remaining } of mending.sites()) {
    if (copied + replaced + remaining > 0)
      world.tell({ type: "deed", deed: { what: "repair", subject: site, outcome, details: { copied, replaced, remaining } } })
  }
}

function outcomeOf(mending: Mending, logs: readonly AgentLog[]): RepairOutcome {
  const away = mending.sites().filter(({ unreadable }) => unreadable !== null).length
  if (mending.lost.size > 0 || mending.reachable.length === 0) return "failed"
  const doubtful = logs.some(({ unreadable, refused }) => unreadable.length > 0 || refused.some(({ error }) => isLost(error)))
  return mending.remainingCount > 0 || away > 0 || doubtful ? "partial" : "ok"
}
