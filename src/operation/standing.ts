import type { Catalog } from "../catalog/catalog.ts"
import { type Lag, rememberedLags } from "../catalog/lag.ts"
import { lastProof, type Proof } from "../catalog/proofs.ts"
import { listRuns } from "../catalog/runs.ts"
import type { AnomalyReport } from "../report/anomaly.ts"
import type { RunReport } from "../report/run.ts"
import type { StatusJob } from "../report/status.ts"
import { readStoredRun } from "../report/stored-run.ts"
import { count, formatDuration } from "../units.ts"
import { openAnomalies } from "./anomalies.ts"

/** A job as it is judged. */
export interface StandingJob {
  readonly name: string
  readonly dataset: string
  readonly sites: readonly string[]
  /** Milliseconds. */
  readonly objective?: { readonly rpo: number } | undefined
}

/** How a job stands by what this host remembers. */
export function standingOf(job: StandingJob, catalog: Catalog | null, now: Date): StatusJob {
  const reports = catalog === null ? [] : listRuns(catalog, { job: job.name, limit: remembered }).map(({ report }) => report)
  const parsed = reports.flatMap((report) => (report === null ? [] : [readStoredRun(report)])).filter((report) => report !== null)
  const good = parsed.find(({ outcome }) => outcome === "ok")
  const [last] = parsed
  const ageSeconds = good === undefined ? null : (now.getTime() - Date.parse(good.started)) / 1000
  const rpoSeconds = job.objective === undefined ? null : job.objective.rpo / 1000
  const proof = catalog === null ? undefined : lastProof(catalog, job.dataset)
  const anomalies = catalog === null ? [] : openAnomalies({ catalog }, job.dataset)
  const lags = catalog === null ? [] : rememberedLags(catalog).filter(({ dataset }) => dataset === job.dataset)
  const held = new Set(good?.sites.filter((site) => site.held).map(({ name }) => name))
  if (good !== undefined) for (const { site, commits } of lags) if (commits === 0) held.add(site)
  return {
    name: job.name,
    lastGood: good?.started ?? null,
    ageSeconds,
    rpoSeconds,
    sites: job.sites.map((name) => ({ name, held: held.has(name) })),
    proven: provenOf(good, proof, now),
    ...judgement({ good, last, proof, ageSeconds, rpoSeconds, behind: job.sites.filter((name) => !held.has(name)), lags, anomalies, now }),
    anomalies,
  }
}

function provenOf(good: RunReport | undefined, proof: Proof | undefined, now: Date): StatusJob["proven"] {
  if (proof !== undefined && proof.rung !== "none") return { rung: proof.rung, ageSeconds: (now.getTime() - Date.parse(proof.time)) / 1000 }
  return good === undefined ? null : { rung: "present", ageSeconds: (now.getTime() - Date.parse(good.ended)) / 1000 }
}

/** A job whose last good run is further back than this has other troubles. */
const remembered = 500

interface Evidence {
  readonly good: RunReport | undefined
  readonly last: RunReport | undefined
  readonly proof: Proof | undefined
  readonly ageSeconds: number | null
  readonly rpoSeconds: number | null
  /** Sites that do not hold everything. */
  readonly behind: readonly string[]
  readonly lags: readonly Lag[]
  readonly anomalies: readonly AnomalyReport[]
  readonly now: Date
}

function judgement({
  good,
  last,
  proof,
  ageSeconds,
  rpoSeconds,
  behind,
  lags,
  anomalies,
  now,
}: Evidence): Pick<StatusJob, "state" | "why" | "next"> {
  const show = (report: RunReport): string => `holdline runs show ${report.run.slice(0, 12)}`
  if (good === undefined) {
    if (last === undefined) return { state: "never", why: "has never run on this host", next: null }
    return { state: "never", why: `no good run yet; the last was ${last.outcome}`, next: show(last) }
  }
  const lastWord = last !== undefined && last.run !== good.run ? `; the last run was ${last.outcome}` : ""
  const look = last !== undefined && last.run !== good.run ? show(last) : null
  if (rpoSeconds !== null && ageSeconds !== null && ageSeconds > rpoSeconds)
    return { state: "late", why: `older than promised${lastWord}`, next: look }
  if (proof?.outcome === "findings") {
    return { state: "degraded", why: "the last verification found something", next: `holdline verify ${good.dataset}@latest` }
  }
  if (lastWord !== "") return { state: "degraded", why: lastWord.slice(2), next: look }
  if (anomalies.length > 0)
    return { state: "degraded", why: count(anomalies.length, "open anomaly", "open anomalies"), next: "holdline anomaly list" }
  if (behind.length === 0) return { state: "ok", why: null, next: null }
  const why = behind.map(
    (name) =>
      `${name} behind${lagOf(
        lags.find(({ site }) => site === name),
        now,
      )}`,
  )
  return { state: "degraded", why: why.join(", "), next: `holdline site check ${behind.join(" ")}` }
}

function lagOf(lag: Lag | undefined, now: Date): string {
  if (lag === undefined || lag.since === null) return ""
  return ` for ${formatDuration(Math.max(0, now.getTime() - Date.parse(lag.since)))}`
}
