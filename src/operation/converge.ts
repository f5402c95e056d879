import { rememberedCommits } from "../catalog/commits.ts"
import { findPack } from "../catalog/items.ts"
import { rememberLag } from "../catalog/lag.ts"
import { timestamp } from "../clock.ts"
import type { Digest } from "../digest.ts"
import { BackupError } from "../errors.ts"
import { isBackup, isControl, isKeyRecord, packNameOf } from "../format/commit.ts"
import { fitsName, parsePackKey } from "../format/names.ts"
import { unlistedPackDaysMax } from "../limits.ts"
import { count } from "../units.ts"
import { askSites } from "../vault/ask.ts"
import { placeCommit } from "../vault/commit.ts"
import type { LoggedCommit } from "../vault/log.ts"
import { heldAt } from "../vault/presence.ts"
import { isDurable } from "../vault/vault.ts"
import { type OwnLog, optionsOf } from "./own-log.ts"
import type { AgentWorld } from "./world.ts"

/** Before a run reads anything new: what waits on this host goes to the sites that are back, and makes room. */
export async function freeSpool(world: AgentWorld, log: OwnLog, dataset: string): Promise<void> {
  const { spool } = world.everywhere
  if (spool === undefined || (await spool.bytes()) === 0) return
  await catchUp(world, log, dataset)
  await evict(world, log)
}

/** At the end of a run: sites that were away or slow are brought what they lack, and how far each still lags is remembered. */
export async function converge(world: AgentWorld, log: OwnLog, dataset: string): Promise<void> {
  try {
    await log.joinLate()
    await catchUp(world, log, dataset)
    await evict(world, log)
  } catch (error) {
    // It is more than the run promised, and what is missing is the next one's.
    if (!(error instanceof BackupError)) throw error
    world.tell({ type: "warning", message: `sites that lag were not brought everything: ${error.message}` })
  }
  rememberLags(world, log, dataset)
}

function rememberLags(world: AgentWorld, log: OwnLog, dataset: string): void {
  const behind = behindOf(world, log, dataset)
  const time = timestamp(world.clock.now())
  for (const { name } of world.everywhere.sites) {
    const lacking = behind.filter((each) => each.lacking.includes(name))
    const unknown = log.unreadable.includes(name)
    rememberLag(world.catalog, {
      site: name,
      dataset,
      time,
      commits: unknown ? null : lacking.length,
      since: lacking[0]?.logged.commit.body.time ?? null,
    })
  }
}

/** Lets go what enough sites hold, and what no commit lists and nobody remembers. */
async function evict(world: AgentWorld, log: OwnLog): Promise<void> {
  const { everywhere, catalog, signal, clock } = world
  const waiting = (await everywhere.spool?.waiting()) ?? []
  if (everywhere.spool === undefined || waiting.length === 0) return
  const { answers } = await askSites(
    everywhere.sites,
    async ({ opened }, given) =>
      (
        await heldAt(
          opened.site,
          waiting.map(({ key }) => key),
          { signal: given },
        )
      ).present,
    { signal },
  )
  const listed = new Set(log.commits.flatMap(({ commit }) => commit.body.packs.map(([sha256]) => sha256)))
  for (const { key, storedAt } of waiting) {
    const held = [...answers].filter(([, present]) => present.has(key)).map(([site]) => site)
    const sha256 = parsePackKey(key)?.sha256
    const forgotten = sha256 !== undefined && !listed.has(sha256) && findPack(catalog, sha256) === undefined
    const old = clock.now().getTime() - storedAt.getTime() > unlistedPackDaysMax * dayMs
    if (isDurable(held, everywhere) || (forgotten && old)) await everywhere.spool.evict(key)
  }
}

const dayMs = 86_400_000

/** What a run may catch up; a site that lacks more is repair's. */
const catchUpCommitsMax = 100
const catchUpBytesMax = 10 * 1024 ** 3

/**
 * Brings sites that were away what they missed, with what that needs: the register to every site, snapshots of this job's dataset to
 * this job's sites, and to no other. Oldest first; what is too much for a run is for the next one, or for repair.
 */
async function catchUp(world: AgentWorld, log: OwnLog, dataset: string): Promise<void> {
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
  if (bytes === undefined || !fitsName(key, bytes)) return
  const { body } = logged.commit
  const own = isControl(logged.commit) ? logged.commit.body.records.filter(isKeyRecord).map(({ object }) => object) : []
  const keys = [...log.register(logged.entry.seq), ...own]
  const packs = body.packs.map((pack) => packNameOf(body.agent, pack))
  const options = { ...optionsOf(world), tierOf: world.tierOf, targets: lacking }
  const placement = await placeCommit(world.everywhere, { key, bytes, packs, keys }, options)
  log.holding(key, placement.held)
  for (const { site, message } of placement.missed) world.tell({ type: "site-missed", site, message })
}
