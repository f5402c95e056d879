import { expect, test } from "vitest"
import { Catalog } from "../../src/catalog/catalog.ts"
import { beginRun, endRun } from "../../src/catalog/runs.ts"
import { missedSince } from "../../src/catalog/schedule.ts"
import { catchUpRunsMax, startGraceMs } from "../../src/limits.ts"
import { type ScheduledJob, type ScheduleEvent, Scheduler } from "../../src/schedule/scheduler.ts"
import { Dice } from "../world/dice.ts"
import { hourMs, midnight, minuteMs } from "./clockwork.ts"
import { dueOf, manyJobs } from "./many.ts"

const jobCount = 2000
const days = 2

interface Begun {
  readonly due: number
  readonly at: number
  readonly endsAt: number
}

/** One process after another works through the days: each is killed or stopped at random, and the next goes on from the catalog. */
class Days {
  readonly #dice: Dice
  readonly #jobs: readonly ScheduledJob[]
  readonly #concurrency: number
  readonly catalog = Catalog.open(":memory:", () => undefined)
  readonly events: ScheduleEvent[] = []
  readonly begun = new Map<string, Begun>()
  /** Runs that came to their end, by job. */
  readonly done = new Map<string, number[]>()
  readonly starts: { job: ScheduledJob; due: number; at: number }[] = []
  most = 0
  deaths = 0
  #runs = 0

  constructor(dice: Dice, jobs: readonly ScheduledJob[], concurrency: number) {
    this.#dice = dice
    this.#jobs = jobs
    this.#concurrency = concurrency
  }

  /** Works until then, and gives when it did. */
  work(from: number, until: number, runMs: () => number): void {
    const options = { catalog: this.catalog, concurrency: this.#concurrency, tell: (event: ScheduleEvent) => void this.events.push(event) }
    const scheduler = new Scheduler(this.#jobs, options, from)
    for (let now = from; now < until; ) {
      for (const [name, { due, at, endsAt }] of [...this.begun]) {
        if (endsAt > now) continue
        this.#finish(name, due, at, now)
        scheduler.ended(name, due)
      }
      const { starts, wakeAt } = scheduler.step(now)
      for (const { job, due } of starts) {
        expect(this.begun.has(job.name), `${job.name} runs twice at once`).toBe(false)
        this.begun.set(job.name, { due, at: now, endsAt: now + runMs() })
        this.starts.push({ job, due, at: now })
      }
      this.most = Math.max(this.most, this.begun.size)
      now = Math.max(now + 1, Math.min(wakeAt, ...[...this.begun.values()].map(({ endsAt }) => endsAt)))
    }
    this.#end(scheduler, until)
  }

  #end(scheduler: Scheduler, now: number): void {
    const isStopped = this.#dice.between(0, 2) === 0
    for (const [name, { due, at }] of this.begun) {
      // Killed between the last write of the run and the scheduler's own: the run is done, though nobody was told.
      if (this.#dice.between(0, 9) === 0) this.#finish(name, due, at, now)
      else if (isStopped) scheduler.gaveBack(name, due, now)
      else this.deaths += 1
    }
    this.begun.clear()
  }

  #finish(name: string, due: number, at: number, now: number): void {
    this.begun.delete(name)
    this.done.set(name, [...(this.done.get(name) ?? []), due])
    this.#runs += 1
    const started = new Date(at).toISOString()
    const run = beginRun(this.catalog, { id: String(this.#runs), job: name, started, fence: 1 })
    endRun(this.catalog, run, { ended: new Date(now).toISOString(), outcome: "ok", report: "{}" })
  }
}

test(`${String(jobCount)} jobs over days: each starts the moment it is due, and none is left out`, () => {
  const dice = new Dice("1")
  const jobs = manyJobs(jobCount)
  const all = new Days(dice, jobs, jobCount)
  const end = midnight + 24 * hourMs
  all.work(midnight, end, () => dice.between(1, 20) * minuteMs)
  const late = all.starts.filter(({ job, due, at }) => job.after.length === 0 && at !== due + job.jitterMs)
  expect(late).toEqual([])
  expect(all.events).toEqual([])
  const started = all.starts.length
  const due = jobs.reduce((sum, job) => sum + dueOf(job, midnight, end - 11 * minuteMs).length, 0)
  expect(started).toBeGreaterThanOrEqual(due)
  for (const { job, due: mine, at } of all.starts) {
    for (const name of job.after) {
      const before = all.starts.filter((each) => each.job.name === name && each.due <= mine && each.at > at)
      expect(before, `${job.name} began before ${name}`).toEqual([])
    }
  }
})

test.each([1])("%i: killed and stopped at random, with the clock set back and forth, no due time is run twice or lost", (seed) => {
  const dice = new Dice(String(seed))
  const jobs = manyJobs(jobCount)
  const all = new Days(dice, jobs, 40)
  const end = midnight + days * 24 * hourMs
  let now = midnight
  while (now < end) {
    const until = Math.min(end, now + dice.between(1, 16 * 30) * minuteMs)
    all.work(now, until, () => dice.between(1, 8) * 30_000)
    // Away for a while, or back at once, with a clock that was set meanwhile.
    now = until + dice.pick([0, 1000, startGraceMs, 3 * hourMs, 9 * hourMs, -30 * minuteMs, -2 * hourMs])
  }
  expect(all.most).toBeLessThanOrEqual(40)
  expect(all.deaths).toBeGreaterThan(10)
  expect(jobs.flatMap((job) => faultsOf(job, all, end)).slice(0, 10)).toEqual([])
  expect(all.starts.filter(({ due, at }) => at < due)).toEqual([])
  expect(all.events.filter(({ type }) => type === "missed").length).toBeGreaterThan(100)
})

function faultsOf(job: ScheduledJob, { done: all, catalog }: Days, end: number): string[] {
  const faults: string[] = []
  const done = all.get(job.name) ?? []
  if (new Set(done).size < done.length) faults.push(`${job.name} ran twice for one due time`)
  const missed = missedSince(catalog, job.name, 0)
  const wasMissed = (due: number) => missed.some(({ first, last }) => due >= first && due <= last)
  if (done.some(wasMissed)) faults.push(`${job.name} ran for what it says was missed`)
  const due = dueOf(job, midnight, end)
  const newest = Math.max(0, ...done, ...missed.map(({ last }) => last))
  for (const each of due.filter((time) => time <= newest)) {
    if (!done.includes(each) && !wasMissed(each)) faults.push(`${job.name} lost ${new Date(each).toISOString()}`)
  }
  // What is due shortly before the end may still wait for its turn.
  if (due.filter((time) => time > newest).length > catchUpRunsMax) faults.push(`${job.name} does not go on`)
  return faults
}
