import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { parse } from "yaml"
import { z } from "zod"
import { type HostStanding, jobStates, metricsOf, metricsText, runOutcomes, severities } from "../../src/report/metrics.ts"

const project = join(import.meta.dirname, "../..")

const standing: HostStanding = {
  version: "0.1.0",
  agent: "pbx-fra-1",
  jobs: [
    {
      standing: { name: "cdrs", lastGood: "2026-11-21T12:00:00.500Z", rpoSeconds: 21_600, state: "late", anomalies: 1 },
      last: { outcome: "partial", ended: "2026-11-21T18:00:00Z", seconds: 12.5, capturedFiles: 3, capturedBytes: 1e15, storedBytes: 800 },
    },
    { standing: { name: "new", lastGood: null, rpoSeconds: null, state: "never", anomalies: 0 }, last: null },
  ],
  wrong: ["typo"],
  sites: [
    { name: "fra", failingSince: null },
    { name: "s3-dub", failingSince: new Date("2026-11-21T17:00:00Z") },
  ],
  lags: [
    { site: "fra", dataset: "cdrs", commits: 0, since: null },
    { site: "s3-dub", dataset: "cdrs", commits: 2, since: "2026-11-21T16:00:00Z" },
    { site: "gcs-bru", dataset: "cdrs", commits: null, since: null },
  ],
  alarms: [
    { severity: "critical", taken: false },
    { severity: "critical", taken: true },
    { severity: "critical", taken: false },
  ],
  silentChannels: ["pager"],
  ledger: { entries: 42 },
  spool: { objects: 2, bytes: 4096, bytesMax: 20 * 1024 ** 3 },
}

const nothing: HostStanding = {
  ...{ version: "0.1.0", agent: "a", jobs: [], wrong: [], sites: [], lags: [], alarms: [], silentChannels: [], ledger: null },
  spool: { objects: 0, bytes: 0, bytesMax: 1 },
}

function samples(host: HostStanding): string[] {
  return metricsText(metricsOf(host))
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
}

test("a host is measured as it stands", () => {
  expect(samples(standing)).toEqual([
    'holdline_build_info{version="0.1.0",agent="pbx-fra-1"} 1',
    "holdline_jobs 2",
    "holdline_jobs_wrong 1",
    'holdline_alarms_open{severity="warning",taken="false"} 0',
    'holdline_alarms_open{severity="warning",taken="true"} 0',
    'holdline_alarms_open{severity="critical",taken="false"} 2',
    'holdline_alarms_open{severity="critical",taken="true"} 1',
    "holdline_channels_silent 1",
    "holdline_ledger_entries 42",
    "holdline_spool_bytes 4096",
    "holdline_spool_objects 2",
    "holdline_spool_limit_bytes 21474836480",
    'holdline_job_state{job_name="cdrs",state="ok"} 0',
    'holdline_job_state{job_name="cdrs",state="degraded"} 0',
    'holdline_job_state{job_name="cdrs",state="late"} 1',
    'holdline_job_state{job_name="cdrs",state="never"} 0',
    'holdline_job_state{job_name="new",state="ok"} 0',
    'holdline_job_state{job_name="new",state="degraded"} 0',
    'holdline_job_state{job_name="new",state="late"} 0',
    'holdline_job_state{job_name="new",state="never"} 1',
    'holdline_job_last_good_timestamp_seconds{job_name="cdrs"} 1795262400.5',
    'holdline_job_objective_seconds{job_name="cdrs"} 21600',
    'holdline_anomalies_open{job_name="cdrs"} 1',
    'holdline_anomalies_open{job_name="new"} 0',
    'holdline_run_outcome{job_name="cdrs",outcome="ok"} 0',
    'holdline_run_outcome{job_name="cdrs",outcome="partial"} 1',
    'holdline_run_outcome{job_name="cdrs",outcome="failed"} 0',
    'holdline_run_ended_timestamp_seconds{job_name="cdrs"} 1795284000',
    'holdline_run_duration_seconds{job_name="cdrs"} 12.5',
    'holdline_run_captured_files{job_name="cdrs"} 3',
    'holdline_run_captured_bytes{job_name="cdrs"} 1000000000000000',
    'holdline_run_stored_bytes{job_name="cdrs"} 800',
    'holdline_site_failing{site="fra"} 0',
    'holdline_site_failing{site="s3-dub"} 1',
    'holdline_site_failing_since_timestamp_seconds{site="s3-dub"} 1795280400',
    'holdline_site_lag_commits{site="fra",dataset="cdrs"} 0',
    'holdline_site_lag_commits{site="s3-dub",dataset="cdrs"} 2',
    'holdline_site_lag_since_timestamp_seconds{site="s3-dub",dataset="cdrs"} 1795276800',
  ])
})

test("every name has a meaning and a type, once, before its samples, also where nothing is known", () => {
  const lines = metricsText(metricsOf(nothing)).split("\n")
  expect(lines.at(-1)).toBe("")
  const names = metricsOf(standing).map(({ name }) => name)
  expect(new Set(names).size).toBe(names.length)
  for (const name of names) {
    expect(name).toMatch(/^holdline_[a-z_]+$/)
    const help = lines.findIndex((line) => line.startsWith(`# HELP ${name} `))
    expect(lines[help + 1]).toBe(`# TYPE ${name} gauge`)
    expect(lines.filter((line) => line === `# TYPE ${name} gauge`)).toHaveLength(1)
  }
})

test("a value of a label cannot end its line or its quotes", () => {
  const text = metricsText([{ name: "x", help: "a\\b\nc", samples: [{ labels: { reason: 'a"b\\c\nd' }, value: 1 }] }])
  expect(text).toBe('# HELP x a\\\\b\\nc\n# TYPE x gauge\nx{reason="a\\"b\\\\c\\nd"} 1\n')
})

test.each([
  [Number.POSITIVE_INFINITY, "+Inf"],
  [Number.NEGATIVE_INFINITY, "-Inf"],
  [Number.NaN, "NaN"],
  [1e21, "1e+21"],
])("%d is written as %s", (value, text) => {
  expect(metricsText([{ name: "x", help: "", samples: [{ labels: {}, value }] }])).toContain(`x ${text}\n`)
})

const rules = z.object({
  groups: z.array(
    z.object({
      rules: z.array(
        z.object({
          alert: z.string(),
          expr: z.string(),
          for: z.string().optional(),
          labels: z.object({ severity: z.enum(severities) }),
          annotations: z.object({ summary: z.string(), action: z.string() }),
        }),
      ),
    }),
  ),
})

describe.each(["prometheus-rules.yaml", "grafana-dashboard.json"])("config/%s", async (name) => {
  const text = (await readFile(join(project, "config", name), "utf8")).replaceAll('\\"', '"')
  const known = new Map(metricsOf(standing).map((metric) => [metric.name, metric]))

  test("names only what is measured", () => {
    const named = new Set(text.match(/\bholdline_[a-z_]+/g))
    expect(named.size).toBeGreaterThan(5)
    expect([...named].filter((each) => !known.has(each))).toEqual([])
  })

  test("asks only for labels and values that there are", () => {
    const values = new Set<string>([...jobStates, ...runOutcomes, ...severities, "true", "false", "$instance"])
    const labels = new Set([...known.values()].flatMap(({ samples: of }) => of.flatMap((each) => Object.keys(each.labels))))
    for (const [, inside = ""] of text.matchAll(/\bholdline_[a-z_]+\{([^}]*)\}/g))
      for (const [, label = "", value = ""] of inside.matchAll(/(\w+)=~?"([^"]*)"/g)) {
        expect([...labels, "instance"]).toContain(label)
        for (const one of value.split("|")) expect([...values]).toContain(one)
      }
    for (const [, label = ""] of text.matchAll(/\$labels\.(\w+)/g)) expect([...labels, "instance"]).toContain(label)
  })
})

test("every rule says how bad it is, what is the matter and what to do", async () => {
  const { groups } = rules.parse(parse(await readFile(join(project, "config/prometheus-rules.yaml"), "utf8")))
  const all = groups.flatMap((group) => group.rules)
  expect(new Set(all.map(({ alert }) => alert)).size).toBe(all.length)
  expect(all.length).toBeGreaterThan(10)
})

test("what each rule shows is a label of what it asks for", async () => {
  const { groups } = rules.parse(parse(await readFile(join(project, "config/prometheus-rules.yaml"), "utf8")))
  const labelsOf = new Map(
    metricsOf(standing).map(({ name, samples: of }) => [name, new Set(of.flatMap((each) => Object.keys(each.labels)))]),
  )
  for (const { alert, expr, annotations } of groups.flatMap((group) => group.rules)) {
    const [name = ""] = /holdline_[a-z_]+/.exec(expr) ?? []
    for (const [, label = ""] of annotations.summary.matchAll(/\$labels\.(\w+)/g))
      expect(label === "instance" || labelsOf.get(name)?.has(label), `${alert}: ${label}`).toBe(true)
  }
})
