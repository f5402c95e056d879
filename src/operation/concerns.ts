import type { Concern } from "../alarm/alarm.ts"
import type { Catalog } from "../catalog/catalog.ts"
import { rememberedConditions } from "../catalog/conditions.ts"
import { anomalyText } from "../report/anomaly.ts"
import type { StatusJob } from "../report/status.ts"
import { formatDuration } from "../units.ts"
import { type StandingJob, standingOf } from "./standing.ts"

/** What this host is told to look after. */
export interface Charge {
  readonly jobs: readonly StandingJob[]
  /** Jobs whose files cannot be followed. */
  readonly wrong: readonly string[]
}

/** A site that rests for a moment is no news. */
const siteAwayMs = 15 * 60_000

/** All that is wrong by what this host remembers, without asking a site. Nothing of a customer is in it. */
export function concernsOf({ jobs, wrong }: Charge, catalog: Catalog | null, now: Date): Concern[] {
  return [
    ...wrong.map(
      (name): Concern => ({
        id: `job-wrong ${name}`,
        severity: "critical",
        text: `${name}: its file cannot be followed, so it does not run`,
        next: "holdline config validate",
      }),
    ),
    ...jobs.flatMap((job) => ofJob(standingOf(job, catalog, now))),
    ...(catalog === null ? [] : rememberedConditions(catalog)).flatMap(({ site, failingSince, reason }): Concern[] => {
      const ms = failingSince === null ? 0 : now.getTime() - failingSince.getTime()
      if (ms < siteAwayMs) return []
      const text = `${site} has not answered for ${formatDuration(ms)}: ${reason}`
      return [{ id: `site-away ${site}`, severity: "warning", text, next: `holdline site check ${site}` }]
    }),
  ]
}

function ofJob({ name, state, why, next, anomalies }: StatusJob): Concern[] {
  const found = anomalies.map(
    (anomaly): Concern => ({
      id: `anomaly ${anomaly.id}`,
      severity: "critical",
      text: `${anomaly.dataset}: ${anomalyText(anomaly)}; nothing of it expires`,
      next: "holdline anomaly list",
    }),
  )
  if (state === "late" || state === "never") {
    return [
      { id: `job-late ${name}`, severity: "critical", text: `${name}: ${why ?? state}`, next: next ?? `holdline run ${name}` },
      ...found,
    ]
  }
  // An anomaly is a concern of its own.
  if (state === "degraded" && anomalies.length === 0)
    return [{ id: `job-degraded ${name}`, severity: "warning", text: `${name}: ${why ?? state}`, next }]
  return found
}
