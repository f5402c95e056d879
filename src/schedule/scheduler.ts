import type { Catalog } from "../catalog/catalog.ts"
import {
  beginDue,
  beginSchedule,
  endDue,
  giveBackDue,
  hasEndedSince,
  type MissedDue,
  type MissedReason,
  noteMissed,
  type ScheduleProgress,
  scheduleProgress,
} from "../catalog/schedule.ts"
import { catchUpRunsMax, clockBackMaxMs, dependencyWaitMs, dueAttemptsMax, startGraceMs } from "../limits.ts"
import type { Timetable } from "./timetable.ts"

/** A job as the scheduler needs it. */
export interface ScheduledJob {
  readonly name: string
  /** What its due times follow from: where this text is another, the due times before are of no account. */
  readonly schedule: string
  readonly timetable: Timetable
  readonly catchUp: "latest" | "all" | "none"
  /** This agent's own delay after each due time. */
  readonly jitterMs: number
  /** The first moment at or after another at which it may start. */
  freeFrom(ms: number): number
  readonly inBlackout: "postpone" | "skip"
  readonly timeLimitMs: number
  readonly after: readonly string[]
  readonly priority: number
}

export interface Start {
  readonly job: ScheduledJob
  readonly due: number
  readonly attempts: number
}

export type ScheduleEvent =
  | ({ readonly type: "missed"; readonly job: string } & MissedDue)
  | { readonly type: "not-waited"; readonly job: string; readonly due: number; readonly for: string }
  | { readonly type: "clock-back"; readonly job: string; readonly handled: number }

export interface SchedulerOptions {
  readonly catalog: Catalog
  /** How many runs at once. */
  readonly concurrency: number
  tell(event: ScheduleEvent): void
}

interface Waiting {
  readonly due: number
  startAt: number
}

interface Running {
  readonly due: number
}

/** What is known of one job; the catalog knows the same, but for what waits, which follows from it. */
interface Standing {
  readonly job: ScheduledJob
  handled: number
  /** The first due time that has not been looked at. */
  next: number | null
  /** Oldest first; more than one only where all are caught up. */
  waiting: Waiting[]
  running: Running | null
  /** A run that was begun and killed. */
  killed: { readonly due: number; readonly attempts: number } | null
}

/**
 * Decides what starts when. It holds no timer and starts nothing itself: whoever asks says what time it is, however wrong the clock may have
 * become meanwhile. What it decides is in the catalog before it is done, so that one that is killed at any moment and begun again goes on
 * where it was: a due time is run to its end at most once, and one that is not run is remembered as missed, with the reason.
 */
export class Scheduler {
  readonly #options: SchedulerOptions
  #standings = new Map<string, Standing>()

  constructor(jobs: readonly ScheduledJob[], options: SchedulerOptions, now: number) {
    this.#options = options
    this.setJobs(jobs, now)
  }

  /** From now on these jobs; what runs goes on, and what waits does where its schedule has not changed. */
  setJobs(jobs: readonly ScheduledJob[], now: number): void {
    const progress = scheduleProgress(this.#options.catalog)
    this.#standings = new Map(jobs.map((job) => [job.name, this.#standingOf(job, progress.get(job.name), now)]))
  }

  /** What starts now, in this order, and when to ask again if nothing ends before. */
  step(now: number): { readonly starts: Start[]; readonly wakeAt: number } {
    const starts: Start[] = []
    let running = 0
    for (const standing of this.#standings.values()) {
      this.#notice(standing, now)
      if (standing.running !== null) running += 1
    }
    let wakeAt = Number.POSITIVE_INFINITY
    const ready: { readonly standing: Standing; readonly waiting: Waiting }[] = []
    for (const standing of this.#standings.values()) {
      const [waiting] = standing.waiting
      if (standing.next !== null) wakeAt = Math.min(wakeAt, standing.next)
      if (waiting === undefined || standing.running !== null) continue
      if (waiting.startAt <= now) ready.push({ standing, waiting })
      else wakeAt = Math.min(wakeAt, waiting.startAt)
    }
    ready.sort(byUrgency)
    for (const { standing, waiting } of ready) {
      if (running >= this.#options.concurrency) break
      const later = this.#laterThan(standing, waiting, now)
      if (later !== null) wakeAt = Math.min(wakeAt, later)
      else if (standing.waiting[0] === waiting) {
        starts.push(this.#begin(standing, waiting, now))
        running += 1
      }
    }
    return { starts, wakeAt }
  }

  /** The run has ended, whatever came of it. */
  ended(name: string, due: number): void {
    endDue(this.#options.catalog, name, due)
    const standing = this.#standings.get(name)
    if (standing === undefined) return
    standing.running = null
    standing.killed = null
    standing.handled = Math.max(standing.handled, due)
  }

  /** The run could not be, or was ended so that the process can end: it is tried again from `at` on. */
  gaveBack(name: string, due: number, at: number): void {
    giveBackDue(this.#options.catalog, name)
    const standing = this.#standings.get(name)
    if (standing === undefined) return
    standing.running = null
    const isOvertaken = due <= standing.handled || (standing.waiting.length > 0 && standing.job.catchUp !== "all")
    if (isOvertaken) this.#miss(standing, { first: due, last: due, count: 1, reason: "waiting" })
    else standing.waiting.unshift({ due, startAt: at })
  }

  #standingOf(job: ScheduledJob, progress: ScheduleProgress | undefined, now: number): Standing {
    const before = this.#standings.get(job.name)
    if (before !== undefined && before.job.schedule === job.schedule) return { ...before, job }
    const { catalog } = this.#options
    const running = before?.running ?? null
    const begun = running === null ? (progress?.begun ?? null) : null
    const isKnown = progress?.schedule === job.schedule
    const standing: Standing = { job, handled: now, next: null, waiting: [], running, killed: null }
    if (isKnown) standing.handled = progress.handled
    if (begun !== null) this.#resume(standing, begun, isKnown)
    if (!isKnown) {
      beginSchedule(catalog, job.name, { schedule: job.schedule, handled: now })
      standing.handled = now
    }
    standing.next = job.timetable.after(standing.handled)
    return standing
  }

  /** What becomes of a run that was begun and whose end is not set down. */
  #resume(standing: Standing, begun: { readonly due: number; readonly at: number; readonly attempts: number }, isKnown: boolean): void {
    const { catalog } = this.#options
    const { job } = standing
    if (hasEndedSince(catalog, job.name, begun.at)) {
      endDue(catalog, job.name, begun.due)
      if (isKnown) standing.handled = Math.max(standing.handled, begun.due)
      return
    }
    const isOver = !isKnown || begun.due <= standing.handled || begun.attempts >= dueAttemptsMax || job.catchUp === "none"
    if (!isOver) {
      standing.killed = begun
      return
    }
    giveBackDue(catalog, job.name)
    this.#miss(standing, { first: begun.due, last: begun.due, count: 1, reason: "killed" })
  }

  /** Looks at the due times that have come since it last did. */
  #notice(standing: Standing, now: number): void {
    const { job } = standing
    if (standing.handled > now + clockBackMaxMs) this.#setBack(standing, now)
    const first = standing.next
    if (first === null || first > now) return
    const after = job.timetable.after(first)
    const newest = after === null || after > now ? first : (job.timetable.upTo(now) ?? first)
    standing.next = newest === first ? after : job.timetable.after(newest)
    const kept = this.#keptOf(standing, { first, newest }, now)
    const why: MissedReason = standing.running === null ? "waiting" : "running"
    for (const due of kept) {
      if (job.catchUp === "all") {
        if (standing.waiting.length >= catchUpRunsMax) this.#drop(standing, why)
      } else if (standing.waiting.length > 0) this.#drop(standing, why)
      this.#await(standing, due, now)
    }
  }

  /** Of the due times from the first to the newest, those that are to be run; the others are missed. */
  #keptOf(standing: Standing, { first, newest }: { readonly first: number; readonly newest: number }, now: number): number[] {
    const { job, running, killed } = standing
    const due = lastOf(job.timetable, { first, newest }, catchUpRunsMax + 1)
    const isRefused = job.catchUp === "none" && (running !== null || now - newest > startGraceMs)
    const keep = isRefused ? 0 : job.catchUp === "all" ? catchUpRunsMax : 1
    const missed = due.slice(0, Math.max(0, due.length - keep))
    const last = missed.at(-1)
    if (last === undefined) return due
    // Older ones first: when a row says that due times up to here were handled, they were.
    while (standing.waiting.length > 0) this.#drop(standing, running === null ? "waiting" : "running")
    const count = due[0] === first ? missed.length : null
    this.#miss(standing, { first, last, count, reason: running === null ? "down" : "running" })
    if (killed !== null && killed.due <= last) {
      giveBackDue(this.#options.catalog, job.name)
      standing.killed = null
    }
    return due.slice(missed.length)
  }

  #await(standing: Standing, due: number, now: number): void {
    const { job } = standing
    const jitterMs = standing.next === null ? job.jitterMs : Math.min(job.jitterMs, (standing.next - due) / 2)
    const wanted = now - due > startGraceMs ? now : due + jitterMs
    standing.waiting.push({ due, startAt: job.inBlackout === "skip" ? wanted : job.freeFrom(wanted) })
  }

  /** The oldest of what waits is not run: another due time has come. */
  #drop(standing: Standing, why: MissedReason): void {
    const dropped = standing.waiting.shift()
    if (dropped === undefined) return
    const reason = standing.job.freeFrom(dropped.due) > dropped.due && why === "waiting" ? "blackout" : why
    this.#miss(standing, { first: dropped.due, last: dropped.due, count: 1, reason })
  }

  #miss(standing: Standing, missed: MissedDue): void {
    noteMissed(this.#options.catalog, standing.job.name, missed)
    standing.handled = Math.max(standing.handled, missed.last)
    this.#options.tell({ type: "missed", job: standing.job.name, ...missed })
  }

  /** A clock that was far ahead has said that due times were handled which are still to come. */
  #setBack(standing: Standing, now: number): void {
    const { job, handled } = standing
    this.#options.tell({ type: "clock-back", job: job.name, handled })
    beginSchedule(this.#options.catalog, job.name, { schedule: job.schedule, handled: now })
    Object.assign(standing, { handled: now, next: job.timetable.after(now), waiting: [], killed: null })
  }

  /** When it may start, where that is not now; null where it is. */
  #laterThan(standing: Standing, waiting: Waiting, now: number): number | null {
    const { job } = standing
    const free = job.freeFrom(now)
    if (free > now) {
      if (job.inBlackout === "postpone") waiting.startAt = free
      else this.#drop(standing, "blackout")
      return free
    }
    for (const name of job.after) {
      const other = this.#standings.get(name)
      const isBefore = (each: { readonly due: number } | null | undefined) => each !== null && each !== undefined && each.due <= waiting.due
      if (other === undefined || !(isBefore(other.running) || isBefore(other.waiting[0]))) continue
      const limit = waiting.startAt + dependencyWaitMs
      if (now < limit) return limit
      this.#options.tell({ type: "not-waited", job: job.name, due: waiting.due, for: name })
    }
    return null
  }

  #begin(standing: Standing, { due }: Waiting, now: number): Start {
    const { job, killed } = standing
    const attempts = killed?.due === due ? killed.attempts + 1 : 1
    beginDue(this.#options.catalog, job.name, { due, at: now, attempts })
    standing.waiting.shift()
    standing.running = { due }
    standing.killed = null
    return { job, due, attempts }
  }
}

/** The last due times from the first to the newest, oldest first. */
function lastOf({ upTo }: Timetable, { first, newest }: { readonly first: number; readonly newest: number }, most: number): number[] {
  const due = [newest]
  let before = newest > first ? upTo(newest - 1) : null
  while (before !== null && before >= first && due.length < most) {
    due.push(before)
    before = before > first ? upTo(before - 1) : null
  }
  return due.reverse()
}

function byUrgency(a: { standing: Standing; waiting: Waiting }, b: { standing: Standing; waiting: Waiting }): number {
  const byPriority = b.standing.job.priority - a.standing.job.priority
  return byPriority || a.waiting.due - b.waiting.due || (a.standing.job.name < b.standing.job.name ? -1 : 1)
}
