import { anyOf } from "../abort.ts"
import type { Catalog } from "../catalog/catalog.ts"
import type { Clock, Sleep } from "../clock.ts"
import { BackupError, JobError, reasonOf } from "../errors.ts"
import { busyRetryMs, clockLookMs } from "../limits.ts"
import { formatDuration } from "../units.ts"
import { type ScheduledJob, type ScheduleEvent, Scheduler, type Start } from "./scheduler.ts"

/** How a run ended; `busy` where it could not begin, as another process works with the state directory. */
export interface RunResult {
  readonly outcome: "ok" | "partial" | "failed" | "busy"
  readonly code?: string | undefined
  readonly message?: string | undefined
}

export type RunnerEvent =
  | ScheduleEvent
  | { readonly type: "started"; readonly job: string; readonly due: number; readonly lateMs: number; readonly attempts: number }
  | ({ readonly type: "ended"; readonly job: string; readonly due: number; readonly ms: number } & RunResult)
  | { readonly type: "put-off"; readonly job: string; readonly due: number }
  | { readonly type: "stopping"; readonly running: readonly string[] }

export interface RunnerOptions {
  readonly catalog: Catalog
  readonly clock: Clock
  readonly sleep: Sleep
  /** Aborted when nothing more is to start. */
  readonly signal: AbortSignal
  /** Whether this process may still write down what it does: one that was stopped for long finds another in its place. */
  holds(): boolean
  readonly concurrency: number
  /** How long what runs may go on when nothing more starts; then it is ended. */
  readonly drainMs: number
  /** Runs a job to its end; ends early, and in order, when the signal is aborted. */
  run(job: string, signal: AbortSignal): Promise<RunResult>
  tell(event: RunnerEvent): void
}

/**
 * Starts jobs when they are due, until it is asked to stop. It looks at the clock every few seconds, as that may be set at any time; nothing
 * it waits for is a reason to be late. When it is asked to stop, nothing starts any more, and what runs has a while to end.
 */
export class Runner {
  readonly #options: RunnerOptions
  readonly #scheduler: Scheduler
  readonly #running = new Map<string, Promise<void>>()
  readonly #stop = new AbortController()
  readonly #putOff = new Map<string, number>()
  #bell = Promise.withResolvers<void>()

  constructor(jobs: readonly ScheduledJob[], options: RunnerOptions) {
    this.#options = options
    this.#scheduler = new Scheduler(jobs, options, this.#now)
  }

  /** From now on these jobs; what runs goes on. */
  setJobs(jobs: readonly ScheduledJob[]): void {
    this.#scheduler.setJobs(jobs, this.#now)
    this.#ring()
  }

  /** Resolves when it has stopped and nothing runs any more. */
  async keep(): Promise<void> {
    const { signal } = this.#options
    const ring = (): void => this.#ring()
    signal.addEventListener("abort", ring)
    try {
      while (!signal.aborted && this.#options.holds()) {
        const { starts, wakeAt } = this.#scheduler.step(this.#now)
        for (const start of starts) this.#running.set(start.job.name, this.#launch(start))
        await this.#pause(Math.min(Math.max(0, wakeAt - this.#now), clockLookMs))
      }
      await this.#drain()
    } finally {
      signal.removeEventListener("abort", ring)
    }
  }

  get #now(): number {
    return this.#options.clock.now().getTime()
  }

  #ring(): void {
    this.#bell.resolve()
  }

  /** Until so long has passed, something has ended, or someone has rung. */
  async #pause(ms: number): Promise<void> {
    const waking = new AbortController()
    try {
      await Promise.race([this.#bell.promise, this.#sleep(ms, waking.signal)])
    } finally {
      waking.abort()
      this.#bell = Promise.withResolvers()
    }
  }

  /** Sleeps, and ends without complaint when it is woken. */
  async #sleep(ms: number, signal: AbortSignal): Promise<void> {
    try {
      await this.#options.sleep(ms, { signal })
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }

  async #launch({ job, due, attempts }: Start): Promise<void> {
    const { tell } = this.#options
    const started = this.#now
    if (this.#putOff.get(job.name) !== due) tell({ type: "started", job: job.name, due, lateMs: started - due, attempts })
    const result = await this.#run(job)
    const now = this.#now
    this.#running.delete(job.name)
    this.#ring()
    if (!this.#options.holds()) return
    if (result.outcome === "busy") {
      if (this.#putOff.get(job.name) !== due) tell({ type: "put-off", job: job.name, due })
      this.#putOff.set(job.name, due)
      this.#scheduler.gaveBack(job.name, due, now + busyRetryMs)
    } else {
      this.#putOff.delete(job.name)
      tell({ type: "ended", job: job.name, due, ms: now - started, ...result })
      if (this.#stop.signal.aborted && result.outcome === "failed") this.#scheduler.gaveBack(job.name, due, now)
      else this.#scheduler.ended(job.name, due)
    }
  }

  async #run({ name, timeLimitMs }: ScheduledJob): Promise<RunResult> {
    const over = new AbortController()
    const ended = new AbortController()
    const signal = anyOf(this.#stop.signal, over.signal)
    const limit = this.#sleep(timeLimitMs, ended.signal).then(() => {
      const message = `${name}: ended after ${formatDuration(timeLimitMs)}, its time limit`
      over.abort(new JobError("job/time-limit", message, { hint: "the next run goes on where it was; give it more time with `timeLimit`" }))
    })
    try {
      return await this.#options.run(name, signal)
    } catch (error) {
      // Whatever one run does, others are still due.
      const code = error instanceof BackupError ? error.code : signal.aborted ? "job/interrupted" : "bug"
      return { outcome: "failed", code, message: reasonOf(error) }
    } finally {
      ended.abort()
      await limit
    }
  }

  async #drain(): Promise<void> {
    if (this.#running.size === 0) return
    const { drainMs, signal, tell, holds } = this.#options
    tell({ type: "stopping", running: [...this.#running.keys()] })
    const drained = new AbortController()
    const all = Promise.all(this.#running.values()).finally(() => drained.abort())
    if (holds()) await this.#sleep(drainMs, drained.signal)
    if (!drained.signal.aborted) this.#stop.abort(signal.reason)
    await all
  }
}
