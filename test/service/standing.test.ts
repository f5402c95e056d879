import { expect, test } from "vitest"
import { Catalog } from "../../src/catalog/catalog.ts"
import { rememberConditions } from "../../src/catalog/conditions.ts"
import { rememberLag } from "../../src/catalog/lag.ts"
import { beginRun, endRun } from "../../src/catalog/runs.ts"
import { systemRandom } from "../../src/random.ts"
import { metricsOf, metricsText } from "../../src/report/metrics.ts"
import type { RunReport } from "../../src/report/run.ts"
import { hostStanding } from "../../src/wiring/metrics.ts"
import { designConfig, designStateJob, project } from "../config/project.ts"

const now = new Date("2026-11-21T12:00:00Z")

function report(run: string, outcome: RunReport["outcome"], started: string): RunReport {
  return {
    ...{ job: "switch", dataset: "switch", mode: "state", run, outcome, started, ended: started, seconds: 7, source: "directory" },
    ...{ captured: { files: 3, bytes: 300 }, unchanged: { files: 0, bytes: 0 }, accounts: 1, notes: {}, born: 0 },
    missed: [{ reason: "unreadable", count: 1, examples: [{ path: "+4930123456.wav", detail: "EACCES" }] }],
    stored: { packs: 1, bytes: 4096 },
    commits: [],
    sites: [{ name: "fra", provider: "own", zone: "fra-2", held: true, sameDevice: false }],
    warnings: ["customer Muster GmbH is odd"],
  }
}

function ran(catalog: Catalog, ended: RunReport): void {
  const number = beginRun(catalog, { id: ended.run, job: ended.job, started: ended.started, fence: 1 })
  endRun(catalog, number, { ended: ended.ended, outcome: ended.outcome, report: JSON.stringify(ended) })
}

test("what this host remembers is measured: runs that ended, sites it has, nothing of a customer", async () => {
  await using made = await project({
    "config/holdline.yaml": designConfig.replace("/var/lib/holdline", "state"),
    "jobs/switch.yaml": designStateJob,
  })
  await made.write(
    "state/alarms.json",
    JSON.stringify({
      memory: {
        digestMs: 0,
        alarms: [
          {
            id: "job-late switch",
            severity: "critical",
            text: "x",
            next: null,
            sinceMs: 1,
            goneMs: null,
            told: true,
            escalated: 0,
            taken: "ada",
          },
        ],
      },
      outbox: { letters: [], failing: [{ channel: "pager", sinceMs: 1, why: "refused" }] },
    }),
  )
  using catalog = Catalog.open(":memory:", () => undefined)
  ran(catalog, report("a", "ok", "2026-11-21T06:00:00.000Z"))
  ran(catalog, report("b", "partial", "2026-11-21T11:00:00.000Z"))
  beginRun(catalog, { id: "c", job: "switch", started: "2026-11-21T11:59:00.000Z", fence: 1 })
  const lag = { dataset: "switch", time: "2026-11-21T11:00:00.000Z", commits: 2, since: "2026-11-21T06:00:00.000Z" }
  rememberLag(catalog, { ...lag, site: "s3-dub" })
  rememberLag(catalog, { ...lag, site: "of-the-past" })
  const failing = {
    failures: 3,
    failingSince: new Date("2026-11-21T10:00:00Z"),
    reason: "ECONNREFUSED 10.0.0.7",
    restUntil: null,
    restMs: 0,
  }
  rememberConditions(catalog, [
    { ...failing, site: "s3-dub" },
    { ...failing, site: "of-the-past" },
  ])
  const host = await hostStanding(await made.load(), catalog, { version: "1", clock: { now: () => now }, random: systemRandom })
  const text = metricsText(metricsOf(host))
  for (const line of [
    'holdline_job_state{job_name="switch",state="late"} 1',
    'holdline_job_last_good_timestamp_seconds{job_name="switch"} 1795240800',
    'holdline_job_objective_seconds{job_name="switch"} 14400',
    'holdline_run_outcome{job_name="switch",outcome="partial"} 1',
    'holdline_run_ended_timestamp_seconds{job_name="switch"} 1795258800',
    'holdline_run_stored_bytes{job_name="switch"} 4096',
    'holdline_site_failing{site="fra"} 0',
    'holdline_site_failing{site="s3-dub"} 1',
    'holdline_site_lag_commits{site="s3-dub",dataset="switch"} 2',
    'holdline_alarms_open{severity="critical",taken="true"} 1',
    "holdline_channels_silent 1",
    "holdline_spool_limit_bytes 21474836480",
  ])
    expect(text).toContain(`${line}\n`)
  expect(text).not.toMatch(/of-the-past|4930|Muster|10\.0\.0\.7|ada/)
})
