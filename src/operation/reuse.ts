import { forgetAccounts, type KnownAccount, registeredAccounts } from "../catalog/accounts.ts"
import type { Items, RecordedPack } from "../catalog/items.ts"
import { forgetInventoriesBefore } from "../catalog/listings.ts"
import { timestamp } from "../clock.ts"
import type { Digest } from "../digest.ts"
import { JobError } from "../errors.ts"
import { packKey } from "../format/names.ts"
import { beginPatienceMs, unlistedPackDaysMax } from "../limits.ts"
import { count } from "../units.ts"
import { askSites } from "../vault/ask.ts"
import { heldAt } from "../vault/presence.ts"
import { isDurable } from "../vault/vault.ts"
import type { OwnLog } from "./own-log.ts"
import { type AgentWorld, inForce } from "./world.ts"

const dayMs = 86_400_000

export interface ReuseSettings {
  readonly items: Items
  readonly log: OwnLog
  readonly mode: "archive" | "state"
  readonly classDays: number
  /** Archive mode: whether what expired is captured again while the source still holds it. */
  readonly recapture: boolean
}

/**
 * Before anything is called unchanged: the catalog's memory is held against what the sites list. What rests on a commit or a pack that
 * is not there, or too old to be listed once more, is forgotten, and so captured again. Ages are taken by each site's own clock.
 */
export async function forgetWhatIsGone(world: AgentWorld, settings: ReuseSettings): Promise<void> {
  if (lostAccounts(world, settings).length > 0) {
    await settings.log.joinLate()
    forgetLostAccounts(world, settings)
  }
  forgetLostCommits(world, settings)
  const { items, mode, classDays } = settings
  forgetInventoriesBefore(world.catalog, items.dataset, timestamp(new Date(world.clock.now().getTime() - classDays * dayMs)))
  const packs = [...items.packsInUse({ pendingOnly: mode === "archive" }), ...(mode === "state" ? items.manifestPacks() : [])]
  if (packs.length === 0) return
  const { held, old, answered } = await findPacks(world, packs)
  // Nobody says that anything is gone.
  if (!answered) return
  items.forgetPacks(packs.filter(({ sha256 }) => !held.has(sha256) || old.has(sha256)).map(({ sha256 }) => sha256))
  const lost = packs.filter(({ kind, sha256 }) => kind === "pack" && !held.has(sha256)).length
  if (lost > 0)
    world.tell({ type: "warning", message: `${count(lost, "pack")} at no site that answers: what was in them is captured again` })
}

/**
 * An account counts while a log at the sites registers its key object: sites that were wiped, or others in their place, do not have it,
 * and what was encrypted to it then could never be opened again.
 */
function forgetLostAccounts(world: AgentWorld, settings: ReuseSettings): void {
  const { log } = settings
  const lost = lostAccounts(world, settings)
  if (lost.length === 0) return
  if (log.unreadable.length > 0) {
    const sites = log.unreadable.join(", ")
    throw new JobError("job/not-durable", `${sites}: cannot be read, and no other site knows the key of ${count(lost.length, "account")}`, {
      hint: `bring ${sites} back, then run again`,
    })
  }
  forgetAccounts(world.catalog, lost)
  const message = `the key object of ${count(lost.length, "account")} is in no log any more: captured again under a new key`
  world.tell({ type: "warning", message })
}

function lostAccounts({ catalog }: AgentWorld, { log }: ReuseSettings): KnownAccount[] {
  const registered = new Set(log.registeredKeys())
  return registeredAccounts(catalog).filter(({ keyName }) => !registered.has(keyName))
}

// A commit that no readable site lists is lost, unless it may be at a site that could not be read, or has had its time.
function forgetLostCommits(world: AgentWorld, { items, log, classDays, recapture }: ReuseSettings): void {
  if (log.unreadable.length > 0) return
  for (const commit of items.commitsInUse()) {
    if (log.lists(commit)) continue
    const time = items.committedAt(commit)
    const expired = time !== undefined && world.clock.now().getTime() - Date.parse(time) > classDays * dayMs
    if (expired && !recapture) continue
    const forgot = items.forgetCommit(commit)
    if (forgot && !expired)
      world.tell({ type: "warning", message: `commit ${commit.slice(0, 12)} is at no site any more: what it listed is captured again` })
  }
}

interface FoundPacks {
  /** At least one site holds them, or they wait for one. */
  readonly held: ReadonlySet<Digest>
  /** At some site they are too old to be listed once more. */
  readonly old: ReadonlySet<Digest>
  /** Whether any site could say what it holds. */
  readonly answered: boolean
}

// By the pack's own class: what is kept under `mixed` beside a job's own class expires earlier. A class nobody knows any more promises nothing.
function reuseDaysOf(trust: AgentWorld["trust"], className: string): number {
  const { classes } = inForce({ trust }).body
  const known = Object.hasOwn(classes, className) ? classes[className] : undefined
  return known === undefined ? 0 : Math.min(known.reuseDays, known.days)
}

async function findPacks({ vault, everywhere, signal, tell, trust }: AgentWorld, packs: readonly RecordedPack[]): Promise<FoundPacks> {
  const keys = new Map(packs.map((pack) => [packKey(pack), pack]))
  const { answers, failures } = await askSites(
    vault.sites,
    async ({ opened }, given) => {
      const now = (await opened.serverTime({ signal: given })).getTime()
      const { present } = await heldAt(opened.site, keys.keys(), { signal: given })
      return { now, present }
    },
    {
      signal,
      enough: (answered) => isDurable(answered, vault),
      patienceMs: (site, waitedMs) => (vault.health.hasAnswered(site) ? vault.health.patienceMs(site) : beginPatienceMs - waitedMs),
    },
  )
  for (const { site, message } of failures) tell({ type: "site-missed", site, message })
  const held = new Set<Digest>()
  const old = new Set<Digest>()
  for (const { now, present } of answers.values()) {
    for (const [key, { storedAt }] of present) {
      const pack = keys.get(key)
      if (pack === undefined) continue
      held.add(pack.sha256)
      const days = pack.listed ? reuseDaysOf(trust, pack.class) : unlistedPackDaysMax - 1
      if (now - storedAt.getTime() > days * dayMs) old.add(pack.sha256)
    }
  }
  for (const { key } of (await everywhere.spool?.waiting()) ?? []) {
    const pack = keys.get(key)
    if (pack !== undefined) held.add(pack.sha256)
  }
  return { held, old, answered: answers.size > 0 }
}
