import { lstatSync, type Stats } from "node:fs"
import { ownerOf } from "../catalog/accounts.ts"
import { accountNamed } from "../catalog/memory.ts"
import {
  countOrphans,
  countReferences,
  forgetReferencesBefore,
  keptMedia,
  keptPathsSince,
  type LinkedDatasets,
  unresolvedReferences,
} from "../catalog/references.ts"
import { findRunOf } from "../catalog/runs.ts"
import { utcDay } from "../clock.ts"
import { errnoOf } from "../errors.ts"
import { linkDaysMax, linkNamesMax, pathBytesMax } from "../limits.ts"
import type { LinksReport } from "../report/links.ts"
import { readStoredRun } from "../report/stored-run.ts"
import type { MediaReference } from "../source/source.ts"
import { count } from "../units.ts"
import { type LinkRule, otherDays, ruleOf, stemOf, tellsCalls } from "./link-paths.ts"
import type { Tally } from "./tally.ts"
import type { World } from "./world.ts"

/** Which rows point at the files of a job, and how. */
export interface LinkSettings {
  /** The dataset of the rows. */
  readonly from: string
  /** How many days of rows are held against the files. */
  readonly days: number
  /** How many rows without their medium, and without a reason, leave a run whole. */
  readonly tolerate: number
  /** Where the job's files are: the paths of references begin here. */
  readonly root: string
  readonly settleMs: number
  /** The profile's names of the job's files: rows that point at others are not held against it. Absent: all are. */
  readonly files?: readonly string[]
  /** How rows name their media; the first that fits a path says what is expected of it. */
  readonly rules: readonly LinkRule[]
}

const dayMs = 86_400_000
const examplesMax = 5

/**
 * Holds what rows point at against what is kept, when the media of a run are captured and before its commit: a row without its medium
 * has a reason, or the run is partial. The rows must have been captured first. Reads no more of the source than the status of the files
 * that are missing.
 */
export function checkLinks(
  world: Pick<World, "catalog" | "tell">,
  { links, dataset, started }: { readonly links: LinkSettings; readonly dataset: string; readonly started: Date },
  tally: Tally,
): LinksReport {
  const report = new LinkCheck(world, links, dataset, started).report()
  const { unknown } = report.missing
  if (unknown > links.tolerate) {
    tally.doubt()
    const message = `links: ${count(unknown, "row")} of ${links.from} ${unknown === 1 ? "points" : "point"} at media that ${unknown === 1 ? "is" : "are"} neither kept nor at the source, and nothing says why`
    world.tell({ type: "warning", message })
  }
  if (report.rowsAt === null) {
    const message = `links: ${links.from} was not captured in the last ${String(links.days)} days: run its job before this one`
    world.tell({ type: "warning", message })
  }
  return report
}

type Reason = keyof LinksReport["missing"]

class LinkCheck {
  readonly #world: Pick<World, "catalog">
  readonly #links: LinkSettings
  readonly #datasets: LinkedDatasets
  readonly #rules: ReadonlyMap<string, readonly LinkRule[]>
  readonly #started: Date
  readonly #owners = new Map<string, string | undefined>()
  readonly #missing: Record<Reason, number> = { purged: 0, moved: 0, notSettled: 0, unknown: 0 }
  readonly #examples: string[] = []
  /** References whose file may be elsewhere, by the name that tells calls apart. */
  readonly #sought = new Map<string, MediaReference[]>()
  #soughtCount = 0
  /** Kept files that a reference leads to by another path than its own. */
  #elsewhere = 0
  #resolvedElsewhere = 0

  constructor(world: Pick<World, "catalog">, links: LinkSettings, media: string, started: Date) {
    this.#world = world
    this.#links = links
    this.#started = started
    this.#datasets = { from: links.from, media, files: links.files, since: daysBefore(started, links.days) }
    this.#rules = Map.groupBy(links.rules, ({ files }) => files)
  }

  report(): LinksReport {
    const { catalog } = this.#world
    const { from } = this.#links
    forgetReferencesBefore(catalog, from, daysBefore(this.#started, linkDaysMax + 1))
    const rowsAt = this.#rowsAt()
    const references = countReferences(catalog, this.#datasets)
    for (const reference of unresolvedReferences(catalog, this.#datasets)) this.#meet(reference)
    this.#seek()
    const missing = { ...this.#missing }
    const resolved = references - Object.values(missing).reduce((sum, n) => sum + n, 0)
    return { from, rowsAt, references, resolved, missing, orphans: this.#orphans(references), examples: [...this.#examples] }
  }

  // Without any row nothing says which file is an orphan.
  #orphans(references: number): LinksReport["orphans"] {
    if (references === 0) return { noRow: 0, truncated: 0 }
    const { files, truncated } = countOrphans(this.#world.catalog, this.#datasets)
    return { noRow: Math.max(0, files - truncated - this.#elsewhere - this.#resolvedElsewhere), truncated }
  }

  #rowsAt(): string | null {
    const found = findRunOf(this.#world.catalog, this.#datasets.since, (row) => {
      const run = row.report === null ? null : readStoredRun(row.report)
      return run !== null && run.dataset === this.#links.from && run.outcome !== "failed"
    })
    return found?.started ?? null
  }

  #meet(reference: MediaReference): void {
    if (reference.path.length > pathBytesMax) {
      this.#unknown(reference)
      return
    }
    const rule = ruleOf(this.#rules.get(reference.files) ?? [], reference)
    const others = rule === undefined ? [] : otherDays(rule, reference)
    if (others.some((path) => this.#isKept(path, reference, "exactly"))) {
      this.#resolvedElsewhere += 1
      return
    }
    const stem = stemOf(reference.path)
    if ([reference.path, ...others].some((path) => this.#isKept(beforeExtension(path), reference, "beginning"))) this.#found()
    else if (this.#isUnsettled(reference)) this.#missing.notSettled += 1
    else if (rule?.purgedMs !== undefined && reference.ended.getTime() + rule.purgedMs <= this.#started.getTime()) this.#missing.purged += 1
    else if (!tellsCalls(stem)) this.#unknown(reference)
    else this.#remember(stem, reference)
  }

  #isKept(path: Buffer, reference: MediaReference, how: "exactly" | "beginning"): boolean {
    const kept = keptMedia(this.#world.catalog, this.#datasets.media, path, how)
    return kept.some(({ account, path: found }) => {
      if (!this.#isOf(account, reference.stableId)) return false
      return how === "exactly" || /^[A-Za-z0-9]{1,5}$/.test(found.subarray(path.length).toString("latin1"))
    })
  }

  // As a capture judges it: files under an account's name are its own, and what could not be attributed may be anyone's.
  #isOf(account: string, stableId: string): boolean {
    if (!this.#owners.has(account)) this.#owners.set(account, ownerOf(this.#world.catalog, account))
    const owner = this.#owners.get(account)
    if (owner === stableId || owner === "mixed" || stableId === "mixed") return true
    return owner !== undefined && accountNamed(this.#world.catalog, owner) === stableId
  }

  // Nothing that was young when the run began could be captured by it; a call without its file has not written it yet.
  #isUnsettled({ path, ended }: MediaReference): boolean {
    const youngest = this.#started.getTime() - this.#links.settleMs
    if (ended.getTime() > youngest) return true
    if (!isBelow(path)) return false
    const stats = statusOf(Buffer.concat([Buffer.from(`${this.#links.root}/`), path]))
    return stats?.isFile() === true && Math.max(stats.mtimeMs, stats.ctimeMs) > youngest
  }

  #remember(stem: string, reference: MediaReference): void {
    this.#sought.set(stem, [...(this.#sought.get(stem) ?? []), reference])
    this.#soughtCount += 1
    if (this.#soughtCount >= linkNamesMax) this.#seek()
  }

  /** Looks for the names of what is missing among all that is kept of these days. */
  #seek(): void {
    if (this.#sought.size === 0) return
    const { catalog } = this.#world
    const { media, since } = this.#datasets
    for (const path of keptPathsSince(catalog, media, since)) {
      const stem = stemOf(path)
      const sought = this.#sought.get(stem)
      if (sought === undefined) continue
      const [kept] = keptMedia(catalog, media, path, "exactly")
      const left = sought.filter(({ stableId }) => kept === undefined || !this.#isOf(kept.account, stableId))
      for (let n = left.length; n < sought.length; n++) this.#found()
      if (left.length === 0) this.#sought.delete(stem)
      else this.#sought.set(stem, left)
    }
    for (const references of this.#sought.values()) for (const reference of references) this.#unknown(reference)
    this.#sought.clear()
    this.#soughtCount = 0
  }

  #found(): void {
    this.#missing.moved += 1
    this.#elsewhere += 1
  }

  #unknown({ path }: MediaReference): void {
    this.#missing.unknown += 1
    if (this.#examples.length < examplesMax) this.#examples.push(path.subarray(0, pathBytesMax).toString())
  }
}

function daysBefore(moment: Date, days: number): string {
  return utcDay(new Date(moment.getTime() - days * dayMs))
}

/** Whether a path stays below the root it is joined to: a row may say anything. */
function isBelow(path: Buffer): boolean {
  if (path.length === 0 || path[0] === 0x2f || path.includes(0)) return false
  return !path.toString("latin1").split("/").includes("..")
}

/** A path up to and with the dot of its extension. */
function beforeExtension(path: Buffer): Buffer {
  const text = path.toString("latin1")
  return Buffer.from(`${text.replace(/\.[A-Za-z0-9]{1,5}$/, "")}.`, "latin1")
}

// What cannot be looked at was not captured either, and the run has said so.
function statusOf(path: Buffer): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false })
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
    return undefined
  }
}
