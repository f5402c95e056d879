import type { Items } from "../catalog/items.ts"
import { runsOf } from "../catalog/runs.ts"
import { shrunkShareMin } from "../limits.ts"
import { readStoredRun } from "../report/stored-run.ts"
import { count, formatSize } from "../units.ts"
import type { Tally } from "./tally.ts"
import type { World } from "./world.ts"

/** What a dataset held before a run. */
export interface Before {
  readonly files: number
  readonly bytes: number
  /** Whether the source said that this is nothing: a database without a table has bytes, too. */
  readonly empty: boolean
}

/** Must be asked before the run changes what is remembered. */
export function heldBefore(world: Pick<World, "catalog">, items: Items, job: { readonly name: string; readonly dataset: string }): Before {
  const remembered = items.amount()
  const last = lastBelieved(world, job)
  // A commit of nothing takes a whole's items out of memory; what the runs before it said is still known.
  return { ...(remembered.bytes > 0 ? remembered : last), empty: last.empty }
}

// A run that found nothing where there was something is asked about again and again, until a person says that it is right.
function lastBelieved({ catalog }: Pick<World, "catalog">, { name, dataset }: { readonly name: string; readonly dataset: string }): Before {
  for (const { report } of runsOf(catalog, name)) {
    const run = report === null ? null : readStoredRun(report)
    if (run === null || run.dataset !== dataset || run.outcome === "failed") continue
    const bytes = run.captured.bytes + run.unchanged.bytes
    const empty = run.notes.empty !== undefined
    if (run.outcome === "ok" || (bytes > 0 && !empty)) return { files: run.captured.files + run.unchanged.files, bytes, empty }
  }
  return { files: 0, bytes: 0, empty: false }
}

/** What a run of a source met, once it has met all of it. */
export interface Met {
  readonly mode: "archive" | "state"
  /** The source, as reports name it. */
  readonly source: string
  readonly tally: Tally
  /** Items, misses and notes. */
  readonly found: number
}

/**
 * A disk that is not mounted and a table that was dropped look like a source that holds nothing. Where there was something before, that is
 * never a success: the run is partial, and the last whole snapshot stays the one that is restored.
 */
export function doubtEmptiness(world: Pick<World, "tell">, before: Before, { mode, source, tally, found }: Met): void {
  const { captured, unchanged } = tally.amounts
  const now = { files: captured.files + unchanged.files, bytes: captured.bytes + unchanged.bytes }
  const was = `${count(before.files, "file")} with ${formatSize(before.bytes)}`
  const emptied = mode === "archive" ? found === 0 && before.files > 0 : isEmptied(before, now, tally)
  if (emptied) {
    const said = !tally.complete
    tally.doubt()
    // A program that failed has said so already.
    if (said) return
    const see = "see whether its disk is mounted and its data is where it was; if nothing is meant to be there, remove the job"
    world.tell({ type: "warning", message: `${source}: holds nothing, and held ${was} before: ${see}` })
  } else if (mode === "state" && isShrunk(before, now)) {
    const message = `${source}: ${count(now.files, "file")} with ${formatSize(now.bytes)}, and ${was} before: see whether something is missing`
    world.tell({ type: "warning", message })
  }
}

interface Held {
  readonly files: number
  readonly bytes: number
}

function isEmptied(before: Before, now: Held, tally: Tally): boolean {
  if (before.files > 0 && now.files === 0) return true
  return before.bytes > 0 && (now.bytes === 0 || (tally.notes.empty !== undefined && !before.empty))
}

function isShrunk(before: Before, now: Held): boolean {
  const keeps = 1 - shrunkShareMin
  return now.files < before.files * keeps || now.bytes < before.bytes * keeps
}
