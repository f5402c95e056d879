import { upkeepPatienceMs } from "../limits.ts"
import type { LogEntry } from "../vault/log.ts"
import { approvalsIn, retiredSites, retirementText } from "./approvals.ts"
import { type AgentLog, readLogs } from "./logs.ts"
import type { UpkeepWorld } from "./world.ts"

/** What upkeep works on. */
export interface Rounds {
  /** Without the sites that two people took out of the count: they owe nothing, and are not waited for. */
  readonly world: UpkeepWorld
  readonly logs: readonly AgentLog[]
}

/** Reads all logs from every site; `unlisted`: commits that no site lists, and whose bytes the catalog remembers. */
export async function beginRounds(world: UpkeepWorld, unlisted: readonly LogEntry[] = []): Promise<Rounds> {
  const logs = await readLogs(world, { unlisted, patienceMs: upkeepPatienceMs })
  const believed = logs.flatMap(({ commits }) => commits.filter((commit) => commit.believed))
  const retired = retiredSites({ approvals: approvalsIn(world, believed) })
  for (const { name } of world.vault.sites) {
    const approval = retired.get(name)
    if (approval !== undefined) world.tell({ type: "warning", message: `${name}: ${retirementText(approval)}: not looked after` })
  }
  const sites = world.vault.sites.filter(({ name }) => !retired.has(name))
  return {
    world: { ...world, vault: { ...world.vault, sites } },
    logs: logs.map((log) => ({ ...log, unreadable: log.unreadable.filter(({ site }) => !retired.has(site)) })),
  }
}
