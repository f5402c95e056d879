import { rememberedAnomalies } from "../catalog/anomalies.ts"
import type { Items } from "../catalog/items.ts"
import { runsOf } from "../catalog/runs.ts"
import { readStoredRun } from "../report/stored-run.ts"
import { count, formatSize } from "../units.ts"
import type { Finding } from "./anomalies.ts"
import type { Tally } from "./tally.ts"
import type { World } from "./world.ts"

/** What a dataset held before a run. */
export interface Before {
  readonly files: number
  readonly bytes: number
  /** Whether the source said that this is nothing: a database without a table has bytes, too. */
  readonly empty: boolean
}

interface Whole {
  readonly name: string
  readonly dataset: string
  readonly mode: "archive" | "state"
}

/** Must be asked before the run changes what is remembered. */
export function heldBefore(world: Pick<World, "catalog">, items: Items, job: Whole): Before {
  const { accepted, ...last } = lastBelieved(world, job)
  // What an archive keeps is remembered whatever its source holds: what was met there says more, and that it held nothing was looked at.
  if (job.mode === "archive" && (accepted || last.files > 0)) return last
  const remembered = items.amount()
  // A commit of nothing takes a whole's items out of memory; what the runs before it said is still known.
  return { ...(remembered.bytes > 0 ? remembered : last), empty: last.empty }
}

// A run that found nothing where there was something is asked about again and again, until a person says that it is right.
function lastBelieved({ catalog }: Pick<World, "catalog">, { name, dataset }: Whole): Before & { readonly accepted: boolean } {
  const lifted = lastLifted({ catalog }, dataset, "emptied")
  for (const { report } of runsOf(catalog, name)) {
    const run = report === null ? null : readStoredRun(report)
    if (run === null || run.dataset !== dataset || run.outcome === "failed") continue
    const bytes = run.captured.bytes + run.unchanged.bytes
    const empty = run.notes.empty !== undefined
    const held = { files: run.captured.files + run.unchanged.files, bytes, empty }
    const accepted = lifted !== null && run.started <= lifted
    if (accepted || run.outcome === "ok" || (bytes > 0 && !empty)) return { ...held, accepted }
  }
  return { files: 0, bytes: 0, empty: false, accepted: false }
}

/** When a person last lifted an anomaly of this kind: said that a dataset, or tables of it, may hold nothing. */
export function lastLifted({ catalog }: Pick<World, "catalog">, dataset: string, wanted: "emptied" | "emptied-table"): string | null {
  const times = rememberedAnomalies(catalog, dataset).flatMap(({ kind, lifted }) => (kind === wanted ? (lifted ?? []) : []))
  return times.toSorted().at(-1) ?? null
}

/** What a run of a source met, once it has met all of it. */
export interface Met {
  readonly dataset: string
  readonly mode: "archive" | "state"
  /** The source, as reports name it. */
  readonly source: string
  readonly tally: Tally
  /** Items, misses and notes; null of an archive whose source yields only what is new: that it yields nothing says nothing. */
  readonly found: number | null
  /** A whole that lost more than this share of its files or bytes has shrunk. */
  readonly shrunkShare: number
}

/**
 * A disk that is not mounted and a table that was dropped look like a source that holds nothing. Where there was something before, or
 * much more, that is never a success: the run is partial, and the last whole snapshot stays the one that is restored. While an anomaly
 * is open, what counts is what was there before it was found.
 */
export function doubtEmptiness(world: Pick<World, "tell" | "catalog">, last: Before, met: Met): Finding[] {
  const { mode, source, tally, found } = met
  const before = beforeAnomalies(world, last, met.dataset)
  const { captured, unchanged } = tally.amounts
  const now = { files: captured.files + unchanged.files, bytes: captured.bytes + unchanged.bytes }
  const was = `${count(before.files, "file")} with ${formatSize(before.bytes)}`
  const numbers = { ...now, filesBefore: before.files, bytesBefore: before.bytes }
  const emptied = mode === "archive" ? found === 0 && before.files > 0 : isEmptied(before, now, tally)
  if (emptied) {
    const said = !tally.complete
    tally.doubt()
    // A program that failed has said so already.
    if (said) return []
    const see = "see whether its disk is mounted and its data is where it was; if nothing is meant to be there, lift the anomaly"
    world.tell({ type: "warning", message: `${source}: holds nothing, and held ${was} before: ${see}` })
    return [{ kind: "emptied", numbers }]
  }
  if (mode === "archive" || !isShrunk(before, now, met.shrunkShare)) return []
  tally.doubt()
  const message = `${source}: ${count(now.files, "file")} with ${formatSize(now.bytes)}, and ${was} before: see whether something is missing`
  world.tell({ type: "warning", message })
  return [{ kind: "shrunk", numbers }]
}

function beforeAnomalies({ catalog }: Pick<World, "catalog">, last: Before, dataset: string): Before {
  const open = rememberedAnomalies(catalog, dataset).filter(({ lifted }) => lifted === null)
  const most = (name: "files" | "bytes"): number => Math.max(last[name], ...open.map(({ numbers }) => numbers[`${name}Before`] ?? 0))
  return { ...last, files: most("files"), bytes: most("bytes") }
}

interface Held {
  readonly files: number
  readonly bytes: number
}

function isEmptied(before: Before, now: Held, tally: Tally): boolean {
  if (before.files > 0 && now.files === 0) return true
  return before.bytes > 0 && (now.bytes === 0 || (tally.notes.empty !== undefined && !before.empty))
}

function isShrunk(before: Before, now: Held, share: number): boolean {
  const keeps = 1 - share
  return now.files < before.files * keeps || now.bytes < before.bytes * keeps
}
