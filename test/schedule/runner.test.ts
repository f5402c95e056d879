import { setImmediate } from "node:timers/promises"
import { expect, test } from "vitest"
import { Catalog } from "../../src/catalog/catalog.ts"
import { scheduleProgress } from "../../src/catalog/schedule.ts"
import type { Sleep } from "../../src/clock.ts"
import { JobError } from "../../src/errors.ts"
import { Runner, type RunnerEvent, type RunnerOptions, type RunResult } from "../../src/schedule/runner.ts"
import type { ScheduledJob } from "../../src/schedule/scheduler.ts"
import { at, clockText, every, hourMs, jobOf, minuteMs } from "./clockwork.ts"

/** Time that passes when everything waits, and not before. */
function simulated(start: number) {
  let steady = 0
  let set = start
  const sleepers = new Set<{ readonly until: number; wake(): void }>()
  const sleep: Sleep = async (ms, { signal } = {}) => {
    signal?.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const sleeper = { until: steady + ms, wake: resolve }
    sleepers.add(sleeper)
    const wakened = (): void => reject(signal?.reason)
    signal?.addEventListener("abort", wakened)
    try {
      await promise
    } finally {
      sleepers.delete(sleeper)
      signal?.removeEventListener("abort", wakened)
    }
  }
  const next = () => [...sleepers].toSorted((a, b) => a.until - b.until)[0]
  return {
    sleep,
    now: () => new Date(set + steady),
    /** Lets time pass up to a time of day. */
    async until(time: string) {
      await setImmediate()
      for (let sleeper = next(); sleeper !== undefined && set + sleeper.until <= at(time); sleeper = next()) {
        steady = sleeper.until
        sleeper.wake()
        await setImmediate()
      }
      steady = Math.max(steady, at(time) - set)
    },
    setTo(time: string) {
      set = at(time) - steady
    },
  }
}

type Work = (job: string, signal: AbortSignal, sleep: Sleep) => Promise<RunResult>

const lasting =
  (ms: number): Work =>
  async (_, signal, sleep) => {
    await sleep(ms, { signal })
    return { outcome: "ok" }
  }

function day(jobs: readonly ScheduledJob[], work: Work, given: Partial<RunnerOptions> & { readonly from?: string } = {}) {
  const time = simulated(at(given.from ?? "00:30"))
  const stop = new AbortController()
  const lines: string[] = []
  const catalog = given.catalog ?? Catalog.open(":memory:", () => undefined)
  const tell = (event: RunnerEvent) => void lines.push(`${clockText(time.now().getTime())} ${text(event)}`)
  const options = {
    concurrency: 5,
    drainMs: minuteMs,
    holds: () => true,
    ...given,
    catalog,
    clock: time,
    sleep: time.sleep,
    signal: stop.signal,
    tell,
  }
  const runner = new Runner(jobs, { ...options, run: (job, signal) => work(job, signal, time.sleep) })
  const kept = runner.keep()
  return { ...{ time, lines, catalog, runner, kept }, stop: () => stop.abort(new Error("asked to stop")) }
}

function text(event: RunnerEvent): string {
  if (event.type === "stopping") return `stopping ${event.running.join()}`
  if (event.type === "ended") return `ended ${event.job} ${event.outcome}${event.code === undefined ? "" : ` ${event.code}`}`
  if (event.type === "missed") return `missed ${event.job} ${clockText(event.first)} ${event.reason}`
  return `${event.type} ${event.job}`
}

test("a day of two jobs, one after the other", async () => {
  const jobs = [jobOf("media", every(2 * hourMs), { after: ["database"], priority: 90 }), jobOf("database", every(2 * hourMs))]
  const { time, lines, stop, kept } = day(jobs, lasting(5 * minuteMs), { from: "01:00" })
  await time.until("04:30")
  stop()
  await kept
  expect(lines).toEqual([
    "02:00 started database",
    "02:05 ended database ok",
    "02:05 started media",
    "02:10 ended media ok",
    "04:00 started database",
    "04:05 ended database ok",
    "04:05 started media",
    "04:10 ended media ok",
  ])
})

test("a run that takes longer than it may is ended, and others go on", async () => {
  const jobs = [jobOf("slow", every(24 * hourMs, hourMs), { timeLimitMs: 10 * minuteMs }), jobOf("quick", every(hourMs))]
  const { time, lines, stop, kept } = day(jobs, (job, signal, sleep) => lasting(job === "slow" ? hourMs : minuteMs)(job, signal, sleep), {
    concurrency: 1,
  })
  await time.until("01:30")
  stop()
  await kept
  expect(lines).toEqual(["01:00 started quick", "01:01 ended quick ok", "01:01 started slow", "01:11 ended slow failed job/time-limit"])
})

test("a run that fails, even by a bug, is no reason for others not to start", async () => {
  const fails: Work = (job) => {
    throw job === "a" ? new JobError("job/source", "no such directory") : new TypeError("undefined is not a function")
  }
  const { time, lines, stop, kept } = day([jobOf("a", every(hourMs)), jobOf("b", every(hourMs))], fails)
  await time.until("02:00")
  stop()
  await kept
  expect(lines.filter((line) => line.includes("ended"))).toEqual([
    "01:00 ended a failed job/source",
    "01:00 ended b failed bug",
    "02:00 ended a failed job/source",
    "02:00 ended b failed bug",
  ])
})

test("asked to stop, it starts nothing, and waits for what runs", async () => {
  const { time, lines, stop, kept } = day([jobOf("a", every(hourMs)), jobOf("b", every(hourMs, minuteMs))], lasting(100_000))
  await time.until("01:00:50")
  stop()
  await time.until("01:30")
  await kept
  expect(lines).toEqual(["01:00 started a", "01:00:50 stopping a", "01:01:40 ended a ok"])
})

test("what does not end in time is ended, and begins anew with the next process", async () => {
  const { time, lines, stop, kept, catalog } = day([jobOf("a", every(hourMs))], lasting(hourMs), { drainMs: 10_000 })
  await time.until("01:00:50")
  stop()
  await time.until("01:30")
  await kept
  expect(lines).toEqual(["01:00 started a", "01:00:50 stopping a", "01:01 ended a failed job/interrupted"])
  const next = day([jobOf("a", every(hourMs))], lasting(minuteMs), { catalog, from: "01:40" })
  await next.time.until("01:50")
  next.stop()
  await next.kept
  expect(next.lines).toEqual(["01:40 started a", "01:41 ended a ok"])
})

test("a state directory that another process holds is tried again until it is free, and that is said once", async () => {
  let tries = 0
  const busy: Work = async () => {
    tries += 1
    return { outcome: tries < 5 ? "busy" : "ok" }
  }
  const { time, lines, stop, kept } = day([jobOf("a", every(hourMs))], busy)
  await time.until("01:30")
  stop()
  await kept
  expect(lines).toEqual(["01:00 started a", "01:00 put-off a", "01:02 ended a ok"])
})

test("a clock that is set while it sleeps is noticed within seconds", async () => {
  const { time, lines, stop, kept } = day([jobOf("a", every(24 * hourMs, 3 * hourMs))], lasting(1000))
  await time.until("00:31")
  time.setTo("02:59:50")
  await time.until("03:00:20")
  stop()
  await kept
  expect(lines).toEqual(["03:00:10 started a", "03:00:11 ended a ok"])
})

test("other jobs from now on start when they are due", async () => {
  const { time, lines, stop, kept, runner } = day([jobOf("a", every(24 * hourMs, 20 * hourMs))], lasting(1000))
  await time.until("00:40")
  runner.setJobs([jobOf("b", every(hourMs))])
  await time.until("01:10")
  stop()
  await kept
  expect(lines).toEqual(["01:00 started b", "01:00:01 ended b ok"])
})

test("one in whose place there is another by now writes nothing down, and ends", async () => {
  let holds = true
  const { time, lines, kept, catalog } = day([jobOf("a", every(hourMs))], lasting(10 * minuteMs), { holds: () => holds })
  await time.until("01:05")
  holds = false
  await time.until("01:30")
  await kept
  expect(lines).toEqual(["01:00 started a", "01:05:20 stopping a"])
  expect(scheduleProgress(catalog).get("a")?.begun?.due).toBe(at("01:00"))
})
