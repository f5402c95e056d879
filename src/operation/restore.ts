import { mkdir, readdir, realpath } from "node:fs/promises"
import { rememberSpeed } from "../catalog/site-memory.ts"
import { timestamp } from "../clock.ts"
import { errnoOf, JobError, reasonOf } from "../errors.ts"
import type { RankedSite } from "../report/ranking.ts"
import type { FailoverReport, RestoreReport } from "../report/restore.ts"
import { appraise } from "./appraise.ts"
import { type Contents, type ContentsRequest, chooseContents } from "./contents.ts"
import type { Event } from "./event.ts"
import { snapshotReport } from "./history.ts"
import { homecomings } from "./homecoming.ts"
import { countLines, isWhole, needsOf } from "./needs.ts"
import { type Preference, rank } from "./rank.ts"
import { RestoreWork } from "./restore-work.ts"
import { Route } from "./route.ts"
import type { World } from "./world.ts"

/** What to restore, and what counts when a site is chosen. */
export interface RestoreRequest extends ContentsRequest, Preference {}

export interface RestoreTarget {
  /** Made if it is not there. What it holds already is compared, never overwritten. */
  readonly path: string
  /** Give files their original owners; needs the right to. */
  readonly owners: boolean
}

/**
 * Brings a selection back into a directory: only what its manifests list, only with the SHA-256 they say, never outside the target. What is
 * there already and equal is left alone, so that an interrupted restore is simply started again. Any one site suffices: the best is asked
 * first, and the next where it fails.
 */
export async function restore(request: RestoreRequest, target: RestoreTarget, outer: World): Promise<RestoreReport> {
  const warnings = new Set<string>()
  const failovers = new Failovers()
  let work: RestoreWork | undefined
  const route = new Route(outer.vault, () => work?.bytesLeft ?? 0)
  const world: World = {
    ...outer,
    vault: route.vault,
    tell(event) {
      if (event.type === "warning" || event.type === "site-missed") warnings.add(event.message)
      if (event.type === "failover") failovers.add(event)
      if (event.type === "failover" && event.next !== null) route.failedOver(event.site, event.next)
      outer.tell(event)
    },
  }
  const started = world.clock.now()
  // One is enough for a single file, and begins while that is looked for.
  world.pool.wake(1)
  const chosen = await chooseContents(request, world)
  if (chosen.groups.length === 0 && chosen.losses.length === 0) throw nothingFound(request)
  const sites = await chooseRoute(request, chosen, route, world)
  const root = await openTarget(target.path)
  work = new RestoreWork(world, { root: root.path, owners: target.owners, resuming: !root.empty }, countLines(chosen))
  try {
    await bringHome(request, chosen, work, world)
  } finally {
    await work.settled().catch(() => undefined)
    await world.pool.abandon()
    work.close()
  }
  const ended = world.clock.now()
  rememberSpeeds(work, world)
  const outcome = work.outcome()
  tellDeed(request, outcome, world)
  return {
    dataset: request.dataset,
    target: root.path,
    ...outcome,
    sites,
    failovers: failovers.report(),
    warnings: [...warnings],
    started: timestamp(started),
    ended: timestamp(ended),
    seconds: (ended.getTime() - started.getTime()) / 1000,
    ...(request.asOf === undefined ? {} : { asOf: timestamp(request.asOf) }),
    snapshots: chosen.snapshots.map(snapshotReport),
  }
}

// Which paths were asked for may name a customer; ids of accounts do not.
function tellDeed({ dataset, accounts = [] }: RestoreRequest, outcome: ReturnType<RestoreWork["outcome"]>, world: World): void {
  const { files, bytes } = outcome.restored
  const asked = accounts.length === 0 ? {} : { accounts: accounts.length }
  world.tell({ type: "deed", deed: { what: "restore", subject: dataset, outcome: outcome.outcome, details: { files, bytes, ...asked } } })
}

// A single site is not compared with anything, so it is not asked first.
async function chooseRoute(request: RestoreRequest, chosen: Contents, route: Route, world: World): Promise<readonly RankedSite[]> {
  if (world.vault.sites.length < 2) return []
  const needs = needsOf(chosen, { ...countLines(chosen), whole: isWhole(request) })
  const ranked = rank(await appraise(needs, world), request, world.clock.now())
  route.take(ranked, needs.fetchBytes)
  return ranked
}

async function bringHome(request: RestoreRequest, chosen: Contents, work: RestoreWork, world: World): Promise<void> {
  let found = 0
  for await (const { items, displaced } of homecomings(chosen, request)) {
    world.signal.throwIfAborted()
    found += items.length + displaced.length
    await work.bring(chosen, items)
    for (const { item, detail } of displaced) work.displace(item.path, detail)
  }
  if (found === 0 && chosen.losses.length === 0) throw nothingFound(request)
  await work.flush()
  await work.settled()
  work.finish()
  for (const loss of chosen.losses) work.lose(loss)
}

// What was brought home is home, even where the catalog cannot be written.
function rememberSpeeds(work: RestoreWork, world: World): void {
  try {
    for (const speed of work.speeds()) rememberSpeed(world.catalog, { ...speed, time: timestamp(world.clock.now()) })
  } catch (error) {
    if (!(error instanceof JobError)) throw error
    world.tell({ type: "warning", message: `how fast the sites were is not remembered: ${error.message}` })
  }
}

/** From which site to which, how often and why. */
class Failovers {
  readonly #met = new Map<string, { from: string; to: string | null; times: number; reason: string }>()

  add({ site: from, next: to, message: reason }: Extract<Event, { type: "failover" }>): void {
    const key = JSON.stringify([from, to])
    const met = this.#met.get(key)
    if (met === undefined) this.#met.set(key, { from, to, times: 1, reason })
    else met.times += 1
  }

  report(): FailoverReport[] {
    return [...this.#met.values()]
  }
}

// A success that brought nothing home would be found out on the day it was needed.
function nothingFound({ dataset, accounts, paths, from, to }: RestoreRequest): JobError {
  const days = [from === undefined ? "" : `from ${from}`, to === undefined ? "" : `to ${to}`].filter((day) => day !== "").join(" ")
  const asked = [
    ...(paths === undefined || paths.length === 0 ? [] : [`the pattern ${paths.join(", ")}`]),
    ...(accounts === undefined ? [] : [`the account ${accounts.join(", ")}`]),
    ...(days === "" ? [] : [`the days ${days}`]),
  ]
  const what = asked.length === 0 ? "the chosen snapshot holds nothing" : `nothing fits ${asked.join(" and ")}`
  const hint =
    asked.length === 0
      ? "list the snapshots with `holdline snapshots list`, and choose another"
      : "patterns are matched against whole paths below the source's root, such as **/*.wav; `holdline snapshots files` lists them"
  return new JobError("job/not-found", `${dataset}: ${what}`, { hint })
}

async function openTarget(path: string): Promise<{ readonly path: string; readonly empty: boolean }> {
  if (process.platform === "win32") {
    throw new JobError("job/target", "this release does not restore on Windows: links and names are not confined there", {
      hint: "restore on Linux or macOS, or in the Windows Subsystem for Linux",
    })
  }
  try {
    await mkdir(path, { recursive: true })
    const real = await realpath(path)
    return { path: real, empty: (await readdir(real)).length === 0 }
  } catch (cause) {
    throw new JobError("job/target", `${path}: cannot be used as a target: ${errnoOf(cause) ?? reasonOf(cause)}`, {
      cause,
      hint: "name a directory that can be written, with --to DIR",
    })
  }
}
