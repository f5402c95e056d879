import { mkdirSync } from "node:fs"
import { Readable } from "node:stream"
import { expect, test } from "vitest"
import { Catalog } from "../../src/catalog/catalog.ts"
import { lockState } from "../../src/catalog/lock.ts"
import { beginRun, endRun } from "../../src/catalog/runs.ts"
import { beginDue, beginSchedule, noteMissed } from "../../src/catalog/schedule.ts"
import { main } from "../../src/cli/main.ts"
import { systemRandom } from "../../src/random.ts"
import { recorder } from "../cli/terminal.ts"
import { designConfig, designStateJob, type Project, project } from "../config/project.ts"

const now = new Date("2026-11-22T02:20:00Z")

async function jobs(made: Project, ...flags: readonly string[]) {
  const [out, err] = [recorder(false), recorder(false)]
  const exit = await main({
    ...{ argv: ["--state", made.path("state"), ...flags, "jobs"], cwd: made.root, env: {}, random: systemRandom },
    ...{ stdin: Readable.from([]), stdout: out.stream, stderr: err.stream },
    signal: new AbortController().signal,
    clock: { now: () => now },
  })
  return { exit, out: out.text(), err: err.text() }
}

const job = (schedule: string, rest = "") => `${designStateJob.replace('"15 * * * *"', schedule)}${rest}`
const ms = (time: string) => Date.parse(time)

async function host(): Promise<Project> {
  const made = await project({
    "config/holdline.yaml": designConfig,
    "jobs/broken.yaml": job('"61 * * * *"'),
    "jobs/by-hand.yaml": job('"0 2 * * *"').replace(/schedule: .*\n/, ""),
    "jobs/cdrs.yaml": job('"*/15 * * * *"'),
    "jobs/late.yaml": job('"0 * * * *"'),
    "jobs/new.yaml": job('{cron: "30 2 * * *", jitter: 6h}', "timezone: Europe/Berlin\n"),
    "jobs/night.yaml": job('{cron: "0 2 * * *", blackout: [{from: "01:00", to: "05:00"}]}').replace(/objective: .*\n/, ""),
    "jobs/running.yaml": job('"0 * * * *"'),
  })
  mkdirSync(made.path("state"))
  using catalog = Catalog.open(made.path("state/catalog.sqlite"), () => undefined)
  const run = (name: string, started: string, outcome?: string, fence = 1) => {
    const number = beginRun(catalog, { id: `${name}-${started}`, job: name, started, fence })
    if (outcome !== undefined) endRun(catalog, number, { ended: started, outcome, report: "{}" })
  }
  run("cdrs", "2026-11-22T02:00:01.000Z", "ok")
  run("cdrs", "2026-11-22T02:15:01.000Z", "partial")
  beginSchedule(catalog, "cdrs", { schedule: "*/15 * * * * UTC", handled: ms("2026-11-22T02:15:00Z") })
  run("late", "2026-11-21T20:00:00.000Z", "ok")
  run("late", "2026-11-21T21:00:00.000Z", undefined, 0)
  beginSchedule(catalog, "late", { schedule: "0 * * * * UTC", handled: ms("2026-11-21T20:00:00Z") })
  noteMissed(catalog, "late", { first: ms("2026-11-21T21:00:00Z"), last: ms("2026-11-21T21:00:00Z"), count: 1, reason: "killed" })
  noteMissed(catalog, "late", { first: ms("2026-11-21T22:00:00Z"), last: ms("2026-11-22T01:00:00Z"), count: 4, reason: "down" })
  run("night", "2026-11-21T05:00:00.000Z", "failed")
  run("running", "2026-11-22T01:00:00.000Z", "ok")
  run("running", "2026-11-22T02:00:00.000Z")
  beginSchedule(catalog, "running", { schedule: "0 * * * * UTC", handled: ms("2026-11-22T01:00:00Z") })
  beginDue(catalog, "running", { due: ms("2026-11-22T02:00:00Z"), at: ms("2026-11-22T02:00:00Z"), attempts: 1 })
  return made
}

test("jobs says of each when it ran, when it runs next, and how far that is from what was promised", async () => {
  await using made = await host()
  using _running = lockState(made.path("state/lock"))
  using _serving = lockState(made.path("state/serve-lock"))
  const { exit, out, err } = await jobs(made)
  expect(out.split("\n")).toEqual([
    "JOB      SCHEDULE                  LAST RUN                        NEXT                                LAG     RPO  STATE",
    "broken                                                             not scheduled                                    ✗ wrong: its file cannot be followed",
    "by-hand  by hand                   never                           not scheduled                            4h 00m  ✗ no good run yet",
    "cdrs     */15 * * * * UTC          2026-11-22 02:15:01Z ! partial  2026-11-22 02:30:00Z            19m 59s  4h 00m  ✓ ok",
    "late     0 * * * * UTC             2026-11-21 21:00:00Z ✗ killed   due since 2026-11-22 02:00:00Z   6h 20m  4h 00m  ✗ late by 2h 20m; 5 due times missed since: the run was killed; nothing ran here then",
    "new      30 2 * * * Europe/Berlin  never                           2026-11-23 05:17:26Z                     4h 00m  ✗ no good run yet",
    "night    0 2 * * * UTC             2026-11-21 05:00:00Z ✗ failed   2026-11-23 05:00:00Z                             · nothing promised",
    "running  0 * * * * UTC             2026-11-22 02:00:00Z · running  2026-11-22 03:00:00Z             1h 20m  4h 00m  ✓ ok",
    "",
  ])
  expect(err).toBe("→ holdline config validate\n")
  expect(exit).toBe(0)
})

test("without a daemon it says that nothing runs them, and that what began did not survive", async () => {
  await using made = await host()
  const { out, err } = await jobs(made)
  expect(err).toContain("→ holdline serve   runs them when they are due; nothing here does now")
  expect(out).toMatch(/^running .*✗ killed/m)
})

test("as JSON, a line for each job with what it captures, and a summary", async () => {
  await using made = await host()
  const { out } = await jobs(made, "--json")
  const lines = out
    .trim()
    .split("\n")
    .map((line): unknown => JSON.parse(line))
  expect(lines).toHaveLength(8)
  expect(lines).toContainEqual(
    expect.objectContaining({
      ...{ type: "job", name: "late", dataset: "late", mode: "state", source: "directory", class: "state-35", schedule: "0 * * * * UTC" },
      last: { run: "late-2026-11-21T21:00:00.000Z", started: "2026-11-21T21:00:00.000Z", outcome: "killed" },
      next: { at: "2026-11-22T02:00:00.000Z", overdue: true },
      ...{ lagSeconds: 22_800, rpoSeconds: 14_400, lateSeconds: 8400, state: "late", missed: 5, missedReasons: ["killed", "down"] },
    }),
  )
  expect(lines).toContainEqual({
    type: "invalid-job",
    name: "broken",
    code: "config/invalid",
    message: expect.stringContaining("the minute"),
  })
  expect(lines.at(-1)).toEqual({ type: "summary", command: "jobs", jobs: 6, invalidJobs: 1, served: false })
})
