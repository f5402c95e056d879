import { Items } from "../catalog/items.ts"
import { beginRun, endRun } from "../catalog/runs.ts"
import { timestamp } from "../clock.ts"
import { sha256 } from "../digest.ts"
import { BackupError, SiteError } from "../errors.ts"
import { commitEveryBytes, commitEveryMs } from "../limits.ts"
import { randomId } from "../random.ts"
import type { CommitReport, Outcome, RunReport } from "../report/run.ts"
import type { Source } from "../source/source.ts"
import { requireAttainable } from "../vault/vault.ts"
import { Capture } from "./capture.ts"
import { type Before, doubtEmptiness, heldBefore } from "./emptied.ts"
import { catchUp, OwnLog, refuseImpossibleClock } from "./own-log.ts"
import { publish } from "./publish.ts"
import { forgetWhatIsGone } from "./reuse.ts"
import { Tally } from "./tally.ts"
import type { AgentWorld } from "./world.ts"

/** A job as its run needs it. */
export interface BackupJob {
  readonly name: string
  readonly dataset: string
  readonly mode: "archive" | "state"
  readonly class: { readonly name: string; readonly days: number }
  /** Where what cannot be attributed is kept. */
  readonly mixedClass: string
  readonly afterExpiry: "recapture" | "let-go"
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
  const report = reportOf(job, source, run, failure)
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
  readonly world: AgentWorld
  readonly items: Items
  readonly before: Before
  readonly tally: Tally
  readonly commits: CommitReport[]
  readonly missedSites: Map<string, string>
  readonly warnings: string[]
  capture: Capture | null
}

function beginWork(job: BackupJob, source: Source, outer: AgentWorld): Run {
  const missedSites = new Map<string, string>()
  const warnings: string[] = []
  const world: AgentWorld = {
    ...outer,
    tell(event) {
      if (event.type === "site-missed") missedSites.set(event.site, event.message)
      if (event.type === "warning") warnings.push(event.message)
      if (event.type === "failover")
        warnings.push(`${event.message}; ${event.next === null ? "no other site left" : `read from ${event.next}`}`)
      outer.tell(event)
    },
  }
  const id = randomId(world.random)
  const started = world.clock.now()
  const number = beginRun(world.catalog, { id, job: job.name, started: timestamp(started) })
  const sites = world.vault.sites.map(({ name }) => name)
  world.tell({ type: "run-started", job: job.name, run: id, source: source.description, sites })
  const items = new Items(world.catalog, job.dataset)
  const before = heldBefore(world, items, job)
  return { id, number, started, world, items, before, tally: new Tally(world), commits: [], missedSites, warnings, capture: null }
}

/** The road out. */
async function work(job: BackupJob, source: Source, run: Run): Promise<void> {
  const { world, items, tally } = run
  requireAttainable(world.vault)
  await placeRootObjects(world)
  const log = await OwnLog.read(world)
  refuseImpossibleClock(world, log)
  await catchUp(world, log, job.dataset)
  const { days, name } = job.class
  await forgetWhatIsGone(world, { items, log, mode: job.mode, classDays: days, recapture: job.afterExpiry === "recapture" })

  const { number, started } = run
  const settings = { mode: job.mode, class: name, mixedClass: job.mixedClass, items, run: number, started, tally, log }
  const capture = new Capture(world, settings)
  run.capture = capture
  const publishing = {
    ...{ job: job.name, dataset: job.dataset, mode: job.mode, class: name, items, log },
    ...{ run: run.id, runNumber: run.number, cut: run.started },
  }
  let committedAt = { bytes: 0, time: run.started.getTime() }
  await capture.run(source, async () => {
    const now = world.clock.now().getTime()
    if (job.mode === "state" || (capture.bytes - committedAt.bytes < commitEveryBytes && now - committedAt.time < commitEveryMs)) return
    await capture.flush()
    run.commits.push(await publish(world, { ...publishing, complete: tally.complete, final: false }))
    committedAt = { bytes: capture.bytes, time: now }
  })
  doubtEmptiness(world, run.before, { mode: job.mode, source: source.description, tally, found: capture.met })
  tally.progress("committing")
  run.commits.push(await publish(world, { ...publishing, complete: tally.complete, final: true }))
}

/** Trust, repository and the catalog's key objects: every site has them, so that any one of them is enough to begin again. */
async function placeRootObjects(world: AgentWorld): Promise<void> {
  await Promise.all(
    world.everywhere.sites.map(async ({ opened }) => {
      try {
        for (const { key, bytes } of world.rootObjects) {
          if ((await opened.site.head(key, { signal: world.signal })) !== null) continue
          await opened.site.put(key, bytes, { sha256: sha256(bytes), signal: world.signal })
        }
      } catch (error) {
        if (!(error instanceof SiteError)) throw error
        world.tell({ type: "site-missed", site: error.site, message: error.message })
      }
    }),
  )
}

function reportOf(job: BackupJob, source: Source, run: Run, failure: unknown): RunReport {
  const { world, tally, commits, capture } = run
  const ended = world.clock.now()
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
  const message = `commit ${String(short.seq)} is held by ${short.held.join(", ") || "no site"}: ${String(copies)} copies at ${String(providers)} providers were promised`
  return { failure: { code: "job/not-durable", message, hint: "bring the other sites back; the next run catches them up" } }
}
