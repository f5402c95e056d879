import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { afterAll, expect, test } from "vitest"
import { Catalog } from "../../src/catalog/catalog.ts"
import { runsOf } from "../../src/catalog/runs.ts"
import { missedSince, scheduleProgress } from "../../src/catalog/schedule.ts"
import type { ScheduledJob } from "../../src/schedule/scheduler.ts"
import { Dice } from "../world/dice.ts"
import { midnight } from "./clockwork.ts"
import { dueOf, manyJobs } from "./many.ts"

const count = 2000
/** How often a process lives, and how much faster its clock runs: a second of it is an hour. */
const lives = 5
const rate = 3600

const directory = mkdtempSync(join(tmpdir(), "killed-"))
afterAll(() => rmSync(directory, { recursive: true }))

async function live(began: number): Promise<ChildProcess> {
  const child = spawn(
    process.execPath,
    [fileURLToPath(new URL("./mortal.ts", import.meta.url)), directory, String(count), String(began), String(midnight), String(rate)],
    { stdio: ["ignore", "pipe", "inherit"] },
  )
  await Promise.race([once(child.stdout ?? child, "data"), once(child, "close")])
  return child
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "close")
}

test(`${String(count)} jobs, with the process killed and stopped at random: no two runs of a job at once, none lost`, async () => {
  const dice = new Dice("deaths")
  const began = Date.now()
  for (let life = 0; life < lives; life++) {
    const child = await live(began)
    await pause(dice.between(200, 900))
    child.kill(life === 2 ? "SIGSTOP" : "SIGKILL")
    if (life === 2) {
      // Another takes over from one that is stopped, which then goes on and is refused.
      await pause(700)
      const next = await live(began)
      await pause(300)
      child.kill("SIGCONT")
      await ended(child)
      next.kill("SIGKILL")
      // It may have given up by itself: one that is stopped while it writes to the lease holds that file.
      await ended(next)
    } else await ended(child)
  }
  using catalog = Catalog.open(join(directory, "catalog.sqlite"), () => undefined)
  const progress = scheduleProgress(catalog)
  const faults = manyJobs(count).flatMap((job) => faultsOf(job, catalog, progress.get(job.name)?.handled ?? 0))
  expect(faults).toEqual([])
  expect(manyJobs(count).reduce((sum, { name }) => sum + [...runsOf(catalog, name)].length, 0)).toBeGreaterThan(0)
})

/** Each due time up to the newest that is handled has one run that ended, or was missed. */
function faultsOf(job: ScheduledJob, catalog: Catalog, handled: number): string[] {
  const runs = [...runsOf(catalog, job.name)].reverse()
  const ended = runs.filter((run) => run.ended !== null)
  const done = ended.map(({ id }) => Number(id.split(" ")[1]))
  const missed = missedSince(catalog, job.name, 0)
  const isMissed = (due: number) => missed.some(({ first, last }) => due >= first && due <= last)
  const from = Math.min(handled, ...done, ...missed.map(({ first }) => first))
  const due = done.length + missed.length === 0 ? [] : dueOf(job, from - 1, handled)
  const faults: string[] = []
  if (new Set(done).size < done.length) faults.push(`${job.name} ran twice for one due time`)
  if (done.some(isMissed)) faults.push(`${job.name} ran for what it says was missed`)
  for (const each of due) if (!done.includes(each) && !isMissed(each)) faults.push(`${job.name} lost ${new Date(each).toISOString()}`)
  for (const run of ended) {
    const next = runs.find(({ number }) => number > run.number)
    if (run.ended !== null && next !== undefined && next.started < run.ended) faults.push(`${run.id} and ${next.id} at once`)
  }
  return faults
}
