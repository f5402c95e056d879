import type { LinksReport } from "../report/links.ts"
import { findingsOf, raiseAnomalies } from "./anomalies.ts"
import type { MediaWatch } from "./anomaly-watch.ts"
import type { BackupJob } from "./backup.ts"
import { type Before, doubtEmptiness } from "./emptied.ts"
import { checkLinks } from "./links.ts"
import type { OwnLog } from "./own-log.ts"
import type { Tally } from "./tally.ts"
import type { AgentWorld } from "./world.ts"

/** What a run knows when its source was read whole. */
export interface Judging {
  /** The source, as reports name it. */
  readonly source: string
  readonly started: Date
  readonly before: Before
  readonly tally: Tally
  readonly log: OwnLog
  readonly watch: MediaWatch | null
  /** Items, misses and notes. */
  readonly found: number
}

/**
 * Asks whether what was captured is all that should be there, before the commit: what is found makes it a partial one, and is in the
 * log before it, so that a crash between the two forgets nothing. Resolves to what the rows said of the media, where the job has any.
 */
export async function judge(world: AgentWorld, { dataset, mode, guard, links }: BackupJob, judging: Judging): Promise<LinksReport | null> {
  const { source, started, before, tally, log, watch, found } = judging
  const met = { dataset, mode, source, tally, found: watch === null ? null : found, shrunkShare: guard.shrink }
  const findings = [...doubtEmptiness(world, before, met), ...(watch?.judge(tally) ?? []), ...findingsOf(tally)]
  const linked = links === undefined ? null : checkLinks(world, { links, dataset, started }, tally)
  await raiseAnomalies(world, log, dataset, findings)
  return linked
}
