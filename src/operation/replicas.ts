import { rememberedConditions } from "../catalog/conditions.ts"
import { scrubsOf } from "../catalog/scrubs.ts"
import { timestamp } from "../clock.ts"
import { isBackup } from "../format/commit.ts"
import type { Replica, ReplicaReport, ReplicaRow, ReplicaSite } from "../report/replicas.ts"
import type { VaultSite } from "../vault/vault.ts"
import { type AgentLog, type ReadCommit, readLogs } from "./logs.ts"
import { type OwedCommit, owedOf } from "./owed.ts"
import type { UpkeepWorld } from "./world.ts"

/**
 * Which site has which commits, by asking every site for its logs. A commit is placed after everything it lists, so that a site that
 * has it had all of that; whether it still has is what a scrub finds out.
 */
export async function replicas(outer: UpkeepWorld): Promise<Omit<ReplicaReport, "spool">> {
  const warnings: string[] = []
  const silent = new Map<string, string>()
  const world: UpkeepWorld = {
    ...outer,
    tell(event) {
      if (event.type === "site-missed") silent.set(event.site, event.message)
      else if (event.type === "warning") warnings.push(event.message)
      else outer.tell(event)
    },
  }
  const logs = await readLogs(world)
  const owed = new Map(owedOf(logs, world, []).commits.map((commit) => [commit.key, commit]))
  const names = world.vault.sites.map(({ name }) => name)
  const rows = [...grouped(logs)].map(([, commits]) => rowOf(commits, { owed, names, silent }))
  return { sites: world.vault.sites.map((site) => siteOf(site, world, silent)), rows, warnings }
}

function grouped(logs: readonly AgentLog[]): Map<string, ReadCommit[]> {
  const groups = new Map<string, ReadCommit[]>()
  for (const read of logs.flatMap(({ commits }) => commits.filter(({ believed }) => believed))) {
    const { body } = read.commit
    const key = `${body.agent} ${isBackup(read.commit) ? read.commit.body.dataset : ""}`
    groups.set(key, [...(groups.get(key) ?? []), read])
  }
  return new Map([...groups].toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

interface Matrix {
  readonly owed: ReadonlyMap<string, OwedCommit>
  readonly names: readonly string[]
  readonly silent: ReadonlyMap<string, string>
}

function rowOf(commits: readonly ReadCommit[], { owed, names, silent }: Matrix): ReplicaRow {
  const [first] = commits
  const last = commits.at(-1)
  if (first === undefined || last === undefined) throw new Error("a row of no commits")
  const at = names.map((name): [string, Replica] => {
    const due = commits.filter(({ entry }) => owed.get(entry.key)?.sites.has(name) === true)
    if (silent.has(name)) return [name, { owed: due.length, held: null, behindSince: null }]
    const lacking = due.filter(({ entry }) => !entry.sites.includes(name))
    const behindSince = lacking[0]?.commit.body.time ?? null
    return [name, { owed: due.length, held: due.length - lacking.length, behindSince }]
  })
  return {
    agent: first.commit.body.agent,
    dataset: isBackup(first.commit) ? first.commit.body.dataset : null,
    newest: last.commit.body.time,
    at: Object.fromEntries(at),
  }
}

function siteOf({ name, provider, zone, region }: VaultSite, world: UpkeepWorld, silent: ReadonlyMap<string, string>): ReplicaSite {
  const condition = rememberedConditions(world.catalog).find(({ site }) => site === name)
  const reason = silent.get(name)
  const scrub = scrubsOf(world.catalog).find(({ site }) => site === name)
  const rests = (condition?.restUntil ?? null) !== null && condition !== undefined
  return {
    name,
    provider,
    zone: zone ?? region,
    state: reason === undefined ? "answers" : rests ? "resting" : "silent",
    ...(reason === undefined ? {} : { reason }),
    ...(rests && reason !== undefined && condition.restUntil !== null ? { restUntil: timestamp(condition.restUntil) } : {}),
    ...(condition === undefined || condition.failingSince === null ? {} : { failingSince: timestamp(condition.failingSince) }),
    scrub: scrub === undefined ? null : { outcome: scrub.outcome, started: scrub.started, readSince: scrub.readSince },
  }
}
