import type { Command } from "commander"
import { Cron } from "croner"
import type { Catalog } from "../catalog/catalog.ts"
import { type Lag, rememberedLags } from "../catalog/lag.ts"
import { lastProof, type Proof } from "../catalog/proofs.ts"
import { listRuns } from "../catalog/runs.ts"
import { openAnomalies } from "../operation/anomalies.ts"
import type { AnomalyReport } from "../report/anomaly.ts"
import type { RunReport } from "../report/run.ts"
import { type StatusJob, statusText } from "../report/status.ts"
import { readStoredRun } from "../report/stored-run.ts"
import { count, formatDuration } from "../units.ts"
import type { Loaded } from "../wiring/config.ts"
import type { Job } from "../wiring/jobs.ts"
import type { Bench } from "./bench.ts"
import { exitCodes } from "./exit.ts"
import { manual } from "./manual.ts"

export function addStatusCommand(program: Command, bench: Bench): void {
  const command = program
    .command("status")
    .helpGroup("Backups")
    .summary("answer whether everything is safe now")
    .description("Answers in one line whether every job is within what was promised for it, then says how each one stands.")
    .option("--check", "exit with 6 where a job is outside its objective, for monitoring")
    .action(({ check = false }: { check?: boolean }) => status({ check }, bench))
  manual(command, {
    examples: [
      ["holdline status", "are we safe now"],
      ["holdline status --check --quiet", "the same for monitoring: the exit code says it"],
    ],
    reads: "the configuration and this host's catalog; no site",
    writes: "nothing",
    exits: ["done", "usage", "notFound", "findings"],
  })
}

async function status({ check }: { check: boolean }, bench: Bench): Promise<void> {
  const loaded = await bench.load()
  using catalog = await bench.openCatalog()
  const now = bench.clock.now()
  const jobs = [...loaded.jobs.values()].map((job) => statusOf(job, catalog, now))
  const wrong = [...loaded.invalidJobs.keys()]
  const within = jobs.filter(({ state }) => state === "ok" || state === "degraded").length
  if (check && (within < jobs.length || wrong.length > 0)) bench.ends("findings")

  bench.out(...statusText({ jobs, wrong, next: nextRun(loaded, now) }, { paint: bench.paint, now, moment: (time) => bench.moment(time) }))
  for (const job of jobs) bench.record("job", job)
  for (const name of wrong) bench.record("job", { name, state: "wrong" })
  const counts = { jobs: jobs.length + wrong.length, within, degraded: jobs.filter(({ state }) => state === "degraded").length }
  bench.record("summary", { command: "status", exit: exitCodes[bench.exit].code, ...counts })
  if (jobs.length + wrong.length === 0) bench.note(bench.notePaint.next("holdline init job"))
}

/** How a job stands by what this host remembers. */
function statusOf(job: Job, catalog: Catalog | null, now: Date): StatusJob {
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

/** The job that is due next by its schedule. */
function nextRun({ jobs }: Loaded, now: Date): { readonly job: string; readonly at: Date } | null {
  const due = [...jobs.values()].flatMap(({ name, schedule, timezone }) => {
    const at = schedule === undefined ? null : new Cron(schedule, { timezone, paused: true }).nextRun(now)
    return at === null ? [] : [{ job: name, at }]
  })
  return due.toSorted((a, b) => a.at.getTime() - b.at.getTime())[0] ?? null
}
