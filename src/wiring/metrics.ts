import { existsSync } from "node:fs"
import type { Catalog } from "../catalog/catalog.ts"
import { rememberedConditions } from "../catalog/conditions.ts"
import { rememberedLags } from "../catalog/lag.ts"
import { listRuns } from "../catalog/runs.ts"
import { standingOf } from "../operation/standing.ts"
import type { HostStanding, JobMeasured, RunMeasured } from "../report/metrics.ts"
import { readStoredRun } from "../report/stored-run.ts"
import type { Loaded } from "./config.ts"
import type { Io } from "./io.ts"
import type { Job } from "./jobs.ts"
import { ledgerPath, ledgerToRead } from "./ledger.ts"
import { readAlarms } from "./notify.ts"
import { waitingHere } from "./spool.ts"

/** How this host stands by what it remembers; no site is asked. */
export async function hostStanding(
  loaded: Loaded,
  catalog: Catalog | null,
  { version, clock, random }: { readonly version: string } & Pick<Io, "clock" | "random">,
): Promise<HostStanding> {
  const { config, jobs, invalidJobs } = loaded
  const { memory, outbox } = await readAlarms(loaded)
  const now = clock.now()
  const failing = new Map((catalog === null ? [] : rememberedConditions(catalog)).map(({ site, failingSince }) => [site, failingSince]))
  return {
    ...{ version, agent: config.agent, wrong: [...invalidJobs.keys()] },
    jobs: [...jobs.values()].map((job) => measured(job, catalog, now)),
    sites: Object.keys(config.sites).map((name) => ({ name, failingSince: failing.get(name) ?? null })),
    lags: catalog === null ? [] : rememberedLags(catalog).filter(({ site }) => Object.hasOwn(config.sites, site)),
    alarms: memory.alarms.map(({ severity, taken }) => ({ severity, taken: taken !== null })),
    silentChannels: outbox.failing.map(({ channel }) => channel),
    ledger: ledgerLength(config.state),
    spool: { ...(await waitingHere(config, random)), bytesMax: config.spool.max },
  }
}

function measured(job: Job, catalog: Catalog | null, now: Date): JobMeasured {
  const { name, lastGood, rpoSeconds, state, anomalies } = standingOf(job, catalog, now)
  return { standing: { name, lastGood, rpoSeconds, state, anomalies: anomalies.length }, last: lastRun(job.name, catalog) }
}

/** The last few may be under way, or were killed: they left no report. */
const lookBack = 10

function lastRun(job: string, catalog: Catalog | null): RunMeasured | null {
  for (const { report } of catalog === null ? [] : listRuns(catalog, { job, limit: lookBack })) {
    const run = report === null ? null : readStoredRun(report)
    if (run === null) continue
    const { outcome, ended, seconds, captured, stored } = run
    return { outcome, ended, seconds, capturedFiles: captured.files, capturedBytes: captured.bytes, storedBytes: stored.bytes }
  }
  return null
}

function ledgerLength(state: string): HostStanding["ledger"] {
  if (!existsSync(ledgerPath(state))) return null
  using ledger = ledgerToRead(state)
  return { entries: ledger.head().n }
}
