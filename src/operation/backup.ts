import { Items } from "../catalog/items.ts"
import { beginRun, endRun } from "../catalog/runs.ts"
import { timestamp } from "../clock.ts"
import { sha256 } from "../digest.ts"
import { BackupError, JobError } from "../errors.ts"
import { commitEveryBytes, commitEveryMs } from "../limits.ts"
import { randomId } from "../random.ts"
import type { LinksReport } from "../report/links.ts"
import type { CommitReport, Outcome, RunReport } from "../report/run.ts"
import type { Source } from "../source/source.ts"
import { count } from "../units.ts"
import { askSites } from "../vault/ask.ts"
import { isDurable, requireAttainable } from "../vault/vault.ts"
import { openAnomalies, settleAnomalies } from "./anomalies.ts"
import { judge } from "./anomaly-judge.ts"
import { MediaWatch } from "./anomaly-watch.ts"
import { approvalsIn, leaveOut, retiredInMemory, retiredSites } from "./approvals.ts"
import { Capture } from "./capture.ts"
import { converge, freeSpool } from "./converge.ts"
import { type Before, heldBefore } from "./emptied.ts"
import { anchorLedger } from "./ledger.ts"
import type { LinkSettings } from "./links.ts"
import { refuseLostKeys } from "./lost-keys.ts"
import { OwnLog, refuseImpossibleClock } from "./own-log.ts"
import { publish } from "./publish.ts"
import { type Promoted, type Promoting, promotionOf, type RunClassDays } from "./retention-class.ts"
import { forgetWhatIsGone } from "./reuse.ts"
import { Tally } from "./tally.ts"
import type { AgentWorld } from "./world.ts"

/** A job as its run needs it. */
export interface BackupJob {
  readonly name: string
  readonly dataset: string
  readonly mode: "archive" | "state"
  readonly class: RunClassDays
  /** State mode: which runs are kept in another class, for longer. */
  readonly promote?: Promoting
  /** Accounts that are kept in another class than the rest, by their stable ids. */
  readonly accountClasses?: ReadonlyMap<string, RunClassDays>
  /** Where what cannot be attributed is kept. */
  readonly mixedClass: string
  readonly afterExpiry: "recapture" | "let-go"
  readonly guard: {
    /** A whole that lost more than this share of its files or bytes is an anomaly. */
    readonly shrink: number
    /** Of an archive of files: so is more than this share of the recent ones gone or changed. Absent where a source yields only what is new: it may yield nothing. */
    readonly change?: number
  }
  /** Whose rows point at its files. */
  readonly links?: LinkSettings
  /** What is beside what it reads and no job captures, for its report: asked when all is captured, and never rejects. */
  uncovered?(): Promise<readonly string[]>
}

/**
 * One run of a job: captures what changed, encrypts it, places it at the job's sites, and writes the commit that makes it true. It always
 * ends in a report, also where it failed; only what is a bug is thrown.
 */
export async function backup(job: BackupJob, source: Source, world: AgentWorld): Promise<RunReport> {
  const run = beginWork(job, source, world)
  let failure: unknown
  try {
    await work(job, source, run)
  } catch (error) {
    failure = error
    if (!(error instanceof BackupError) && !world.signal.aborted) throw error
  }
  const uncovered = world.signal.aborted ? [] : ((await job.uncovered?.()) ?? [])
  const report = { ...reportOf(job, source, run, failure), ...(uncovered.length > 0 && { uncovered }) }
  remember(run, report)
  world.tell({ type: "run-ended", report })
  return report
}

// A disk that was too full for the work may be too full for its report.
function remember({ world, number }: Run, report: RunReport): void {
  const { ended, outcome } = report
  try {
    endRun(world.catalog, number, { ended, outcome, report: JSON.stringify(report) })
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    world.tell({ type: "warning", message: `this run is not remembered: ${error.message}` })
  }
}

/** A run under way. */
interface Run {
  readonly id: string
  readonly number: number
  readonly started: Date
  /** Without the sites that are found to be retired. */
  world: AgentWorld
  readonly items: Items
  readonly before: Before
  readonly tally: Tally
  readonly commits: CommitReport[]
  readonly missedSites: Map<string, string>
  readonly warnings: string[]
  capture: Capture | null
  links: LinksReport | null
  promoted: Promoted | null
}

function beginWork(job: BackupJob, source: Source, outer: AgentWorld): Run {
  const missedSites = new Map<string, string>()
  const warnings: string[] = []
  const told: AgentWorld = {
    ...outer,
    tell(event) {
      if (event.type === "site-missed") {
        // That it is left alone since is nothing new.
        const known = missedSites.get(event.site)
        if (known !== undefined && (event.message.startsWith(known) || known.startsWith(event.message))) return
        missedSites.set(event.site, event.message)
      }
      if (event.type === "warning") warnings.push(event.message)
      if (event.type === "failover")
        warnings.push(`${event.message}; ${event.next === null ? "no other site left" : `read from ${event.next}`}`)
      outer.tell(event)
    },
  }
  const world = leaveOut(told, retiredInMemory(told))
  const id = randomId(world.random)
  const started = world.clock.now()
  const number = beginRun(world.catalog, { id, job: job.name, started: timestamp(started), fence: world.lease.fence })
  const sites = world.vault.sites.map(({ name }) => name)
  world.tell({ type: "run-started", job: job.name, run: id, source: source.description, sites })
  const items = new Items(world.catalog, job.dataset)
  const before = heldBefore(world, items, job)
  return {
    id,
    number,
    started,
    world,
    items,
    before,
    tally: new Tally(world),
    commits: [],
    missedSites,
    warnings,
    capture: null,
    links: null,
    promoted: null,
  }
}

/** The road out. */
async function work(job: BackupJob, source: Source, run: Run): Promise<void> {
  const log = await OwnLog.read(run.world)
  run.world = leaveOut(run.world, retiredSites({ approvals: approvalsIn(run.world, log.commits) }))
  const { world } = run
  requireAttainable(world.vault)
  await placeRootObjects(world)
  refuseImpossibleClock(world, log)
  await freeSpool(world, log, job.dataset)
  await settleAnomalies(world, log)
  await anchorLedger(world, log)
  try {
    await captureAndPublish(job, source, run, log)
  } finally {
    // Also where the source could not be read: sites that were away get what there is.
    if (!world.signal.aborted) await converge(world, log, job.dataset)
    for (const [index, commit] of run.commits.entries()) run.commits[index] = asHeldNow(commit, log, world)
  }
  if (!run.commits.every(({ durable }) => durable)) await refuseLostKeys(world, log)
}

// What lagged when the commit was placed may have been brought it since.
function asHeldNow(commit: CommitReport, log: OwnLog, { vault }: AgentWorld): CommitReport {
  const now = log.sitesOf(commit.sha256)
  const held = vault.sites.map(({ name }) => name).filter((name) => commit.held.includes(name) || now.includes(name))
  const durable = isDurable(held, vault)
  return { ...commit, held, durable, waits: commit.waits && !durable }
}

async function captureAndPublish(job: BackupJob, source: Source, run: Run, log: OwnLog): Promise<void> {
  const { world, items, tally } = run
  const { number, started } = run
  const { accountClasses = new Map<string, RunClassDays>() } = job
  run.promoted = promotionOf(job.dataset, job.promote, log, started)
  const { name } = run.promoted ?? job.class
  const mixedClass = job.mixedClass === job.class.name ? name : job.mixedClass
  const classDays = Math.max(job.class.days, ...accountClasses.values().map(({ days }) => days))
  await forgetWhatIsGone(world, { items, log, mode: job.mode, classDays, recapture: job.afterExpiry === "recapture" })

  const { change } = job.guard
  const watch = change === undefined ? null : new MediaWatch(world, { dataset: job.dataset, run: number, started, share: change })
  const settings = { mode: job.mode, class: name, accountClasses, mixedClass, items, run: number, started, tally, log }
  const capture = new Capture(world, settings)
  run.capture = capture
  const publishing = {
    ...{ job: job.name, dataset: job.dataset, mode: job.mode, class: name, items, log },
    ...{ run: run.id, runNumber: run.number, cut: run.started },
  }
  let committedAt = { bytes: 0, time: run.started.getTime() }
  const whole = await untilSpoolIsFull(run, async () => {
    await capture.run(watch?.watched(source) ?? source, async () => {
      const now = world.clock.now().getTime()
      if (job.mode === "state" || (capture.bytes - committedAt.bytes < commitEveryBytes && now - committedAt.time < commitEveryMs)) return
      await capture.flush()
      run.commits.push(await publish(world, { ...publishing, complete: tally.complete, final: false }))
      committedAt = { bytes: capture.bytes, time: now }
    })
  })
  if (whole) run.links = await judge(world, job, { source: source.description, ...run, log, watch, found: capture.met })
  tally.progress("committing")
  run.commits.push(await publish(world, { ...publishing, complete: tally.complete, final: true }))
}

// What was read until then is a partial snapshot: better than none.
async function untilSpoolIsFull({ world, tally }: Run, read: () => Promise<void>): Promise<boolean> {
  try {
    await read()
    return true
  } catch (error) {
    if (!(error instanceof JobError) || error.code !== "job/spool-full") throw error
    tally.doubt()
    world.tell({ type: "warning", message: `reading stopped: ${error.message}` })
    return false
  }
}

/** Trust, repository and the catalog's key objects: every site has them, so that any one of them is enough to begin again. */
async function placeRootObjects({ everywhere, rootObjects, signal, tell }: AgentWorld): Promise<void> {
  const { failures } = await askSites(
    everywhere.sites,
    async ({ opened }, given) => {
      for (const { key, bytes } of rootObjects) {
        if ((await opened.site.head(key, { signal: given })) !== null) continue
        await opened.site.put(key, bytes, { sha256: sha256(bytes), signal: given })
      }
    },
    {
      signal,
      enough: (held) => isDurable(held, everywhere),
      patienceMs: (site) => (everywhere.health.hasAnswered(site) ? everywhere.health.patienceMs(site) : 0),
      late: "go on",
    },
  )
  for (const { site, message } of failures) if (everywhere.health.hasAnswered(site)) tell({ type: "site-missed", site, message })
}

function reportOf(job: BackupJob, source: Source, run: Run, failure: unknown): RunReport {
  const { world, tally, commits, capture } = run
  const ended = world.clock.now()
  const anomalies = openAnomalies(world, job.dataset)
  return {
    job: job.name,
    dataset: job.dataset,
    mode: job.mode,
    run: run.id,
    outcome: outcomeOf(run, failure),
    started: timestamp(run.started),
    ended: timestamp(ended),
    seconds: (ended.getTime() - run.started.getTime()) / 1000,
    source: source.description,
    ...tally.amounts,
    accounts: capture?.accounts ?? 0,
    missed: tally.missed,
    notes: tally.notes,
    stored: { packs: tally.packs, bytes: tally.storedBytes },
    commits,
    sites: world.vault.sites.map((site) => {
      const held = commits.length > 0 && commits.every((commit) => commit.held.includes(site.name))
      const reason = run.missedSites.get(site.name)
      return {
        name: site.name,
        provider: site.provider,
        zone: site.zone ?? site.region,
        held,
        ...(held || reason === undefined ? {} : { reason }),
        sameDevice: site.sameDevice ?? false,
      }
    }),
    born: capture?.born ?? 0,
    warnings: run.warnings,
    ...(run.promoted !== null && { promoted: run.promoted }),
    ...(run.links !== null && { links: run.links }),
    ...(anomalies.length > 0 && { anomalies }),
    ...failureOf(run, failure),
  }
}

function outcomeOf({ commits, tally }: Run, failure: unknown): Outcome {
  if (failure !== undefined || commits.length === 0 || commits.some(({ durable }) => !durable)) return "failed"
  return tally.complete ? "ok" : "partial"
}

function failureOf({ world, commits }: Run, failure: unknown): Pick<RunReport, "failure"> {
  if (failure instanceof BackupError) {
    const { code, message, hint } = failure
    return { failure: { code, message, ...(hint === undefined ? {} : { hint }) } }
  }
  if (failure !== undefined) {
    const hint = "run it again: what was captured is not read twice"
    return { failure: { code: "job/interrupted", message: "interrupted before the commit was written", hint } }
  }
  const short = commits.find(({ durable }) => !durable)
  if (short === undefined) return {}
  const { copies, providers } = world.vault.durable
  const promised = `${count(copies, "copy", "copies")} at ${count(providers, "provider")} were promised`
  const waits = short.waits ? "; it waits on this host with all it needs" : ""
  const message = `commit ${String(short.seq)} is held by ${short.held.join(", ") || "no site"}: ${promised}${waits}`
  return { failure: { code: "job/not-durable", message, hint: "bring the other sites back; the next run brings them what they lack" } }
}
