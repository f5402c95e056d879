import type { StatusJob } from "./status.ts"

/** What this host remembers, as it is measured. Names of the configuration, and nothing of a customer. */
export interface HostStanding {
  readonly version: string
  readonly agent: string
  readonly jobs: readonly JobMeasured[]
  /** Jobs whose files cannot be followed. */
  readonly wrong: readonly string[]
  readonly sites: readonly SiteMeasured[]
  readonly lags: readonly LagMeasured[]
  readonly alarms: readonly { readonly severity: "warning" | "critical"; readonly taken: boolean }[]
  /** Channels of `notify` that take nothing. */
  readonly silentChannels: readonly string[]
  /** Null where this host has no ledger yet. */
  readonly ledger: { readonly entries: number } | null
  readonly spool: { readonly objects: number; readonly bytes: number; readonly bytesMax: number }
}

export interface JobMeasured {
  readonly standing: Pick<StatusJob, "name" | "lastGood" | "rpoSeconds" | "state"> & { readonly anomalies: number }
  /** The newest run that ended; null where there is none. */
  readonly last: RunMeasured | null
}

export interface RunMeasured {
  readonly outcome: "ok" | "partial" | "failed"
  readonly ended: string
  readonly seconds: number
  readonly capturedFiles: number
  readonly capturedBytes: number
  readonly storedBytes: number
}

export interface SiteMeasured {
  readonly name: string
  /** Null where it answered when it was last asked. */
  readonly failingSince: Date | null
}

export interface LagMeasured {
  readonly site: string
  readonly dataset: string
  /** Null where the site could not say. */
  readonly commits: number | null
  readonly since: string | null
}

/** Samples of one name, with what they mean. All are gauges: each is as it is now. */
export interface Metric {
  readonly name: string
  readonly help: string
  readonly samples: readonly Sample[]
}

export interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export const jobStates = ["ok", "degraded", "late", "never"] as const
export const runOutcomes = ["ok", "partial", "failed"] as const
export const severities = ["warning", "critical"] as const

/** Everything that is measured, also what has no sample now: the names are a promise to dashboards and rules. */
export function metricsOf(host: HostStanding): Metric[] {
  return [...hostMetrics(host), ...jobMetrics(host.jobs), ...runMetrics(host.jobs), ...siteMetrics(host)]
}

function hostMetrics({ version, agent, jobs, wrong, alarms, silentChannels, ledger, spool }: HostStanding): Metric[] {
  return [
    metric("holdline_build_info", "1, with the release and the agent's name.", [sample(1, { version, agent })]),
    metric("holdline_jobs", "Jobs that can be followed.", [sample(jobs.length)]),
    metric("holdline_jobs_wrong", "Jobs whose files cannot be followed: they do not run.", [sample(wrong.length)]),
    metric(
      "holdline_alarms_open",
      "Alarms that the last look left open, by severity and by whether somebody takes care of them.",
      severities.flatMap((severity) =>
        [false, true].map((taken) =>
          sample(alarms.filter((alarm) => alarm.severity === severity && alarm.taken === taken).length, { severity, taken: String(taken) }),
        ),
      ),
    ),
    metric("holdline_channels_silent", "Channels of `notify` that take nothing.", [sample(silentChannels.length)]),
    metric(
      "holdline_ledger_entries",
      "Number of the ledger's last entry; it never becomes smaller.",
      ledger === null ? [] : [sample(ledger.entries)],
    ),
    metric("holdline_spool_bytes", "Bytes that wait on this host until enough sites hold them.", [sample(spool.bytes)]),
    metric("holdline_spool_objects", "Packs and commits that wait on this host.", [sample(spool.objects)]),
    metric("holdline_spool_limit_bytes", "How much may wait: when it is full, reading stops.", [sample(spool.bytesMax)]),
  ]
}

function jobMetrics(jobs: readonly JobMeasured[]): Metric[] {
  const each = (value: (standing: JobMeasured["standing"]) => number | null): Sample[] =>
    jobs.flatMap(({ standing }) => some(value(standing), { job_name: standing.name }))
  return [
    metric(
      "holdline_job_state",
      "How a job stands: 1 for the state it is in. late: older than its objective; degraded: within it, but something needs a look.",
      jobs.flatMap(({ standing }) => oneOf(jobStates, standing.state, (state) => ({ job_name: standing.name, state }))),
    ),
    metric(
      "holdline_job_last_good_timestamp_seconds",
      "When the newest run began that captured everything it was asked to.",
      each(({ lastGood }) => secondsOf(lastGood)),
    ),
    metric(
      "holdline_job_objective_seconds",
      "How old its newest good run may get (rpo).",
      each(({ rpoSeconds }) => rpoSeconds),
    ),
    metric(
      "holdline_anomalies_open",
      "Anomalies of a job's dataset that nobody has lifted: nothing of it expires.",
      each(({ anomalies }) => anomalies),
    ),
  ]
}

function runMetrics(jobs: readonly JobMeasured[]): Metric[] {
  const each = (value: (last: RunMeasured) => number | null): Sample[] =>
    jobs.flatMap(({ standing, last }) => (last === null ? [] : some(value(last), { job_name: standing.name })))
  return [
    metric(
      "holdline_run_outcome",
      "How a job's newest run ended: 1 for its outcome.",
      jobs.flatMap(({ standing, last }) =>
        last === null ? [] : oneOf(runOutcomes, last.outcome, (outcome) => ({ job_name: standing.name, outcome })),
      ),
    ),
    metric(
      "holdline_run_ended_timestamp_seconds",
      "When a job's newest run ended.",
      each(({ ended }) => secondsOf(ended)),
    ),
    metric(
      "holdline_run_duration_seconds",
      "How long it took.",
      each(({ seconds }) => seconds),
    ),
    metric(
      "holdline_run_captured_files",
      "Files it read, encrypted and placed.",
      each(({ capturedFiles }) => capturedFiles),
    ),
    metric(
      "holdline_run_captured_bytes",
      "Bytes of these files.",
      each(({ capturedBytes }) => capturedBytes),
    ),
    metric(
      "holdline_run_stored_bytes",
      "Bytes of the packs it wrote, once, however many sites hold them.",
      each(({ storedBytes }) => storedBytes),
    ),
  ]
}

function siteMetrics({ sites, lags }: HostStanding): Metric[] {
  const where = ({ site, dataset }: LagMeasured) => ({ site, dataset })
  return [
    metric(
      "holdline_site_failing",
      "1 where a site did not answer when it was last asked.",
      sites.map(({ name, failingSince }) => sample(failingSince === null ? 0 : 1, { site: name })),
    ),
    metric(
      "holdline_site_failing_since_timestamp_seconds",
      "Since when it has not answered.",
      sites.flatMap(({ name, failingSince }) => some(secondsOf(failingSince), { site: name })),
    ),
    metric(
      "holdline_site_lag_commits",
      "Commits of a dataset that a site lacked when the last run of it ended; none where it could not say.",
      lags.flatMap((lag) => some(lag.commits, where(lag))),
    ),
    metric(
      "holdline_site_lag_since_timestamp_seconds",
      "When the oldest of these was written.",
      lags.flatMap((lag) => some(secondsOf(lag.since), where(lag))),
    ),
  ]
}

/** The text format of Prometheus, version 0.0.4. */
export function metricsText(metrics: readonly Metric[]): string {
  return metrics.flatMap(({ name, help, samples }) => [head(name, help), ...samples.map((each) => sampleText(name, each))]).join("")
}

function head(name: string, help: string): string {
  return `# HELP ${name} ${help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}\n# TYPE ${name} gauge\n`
}

function sampleText(name: string, { labels, value }: Sample): string {
  const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escaped(text)}"`)
  return `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${numberText(value)}\n`
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")
}

function numberText(value: number): string {
  if (Number.isFinite(value)) return String(value)
  return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf"
}

function metric(name: string, help: string, samples: readonly Sample[]): Metric {
  return { name, help, samples }
}

function sample(value: number, labels: Sample["labels"] = {}): Sample {
  return { labels, value }
}

/** What nobody knows has no sample: a zero would be a claim. */
function some(value: number | null, labels: Sample["labels"]): Sample[] {
  return value === null ? [] : [sample(value, labels)]
}

function oneOf<Name extends string>(names: readonly Name[], now: Name, labels: (name: Name) => Sample["labels"]): Sample[] {
  return names.map((name) => sample(name === now ? 1 : 0, labels(name)))
}

function secondsOf(time: string | Date | null): number | null {
  if (time === null) return null
  const ms = new Date(time).getTime()
  return Number.isNaN(ms) ? null : ms / 1000
}
