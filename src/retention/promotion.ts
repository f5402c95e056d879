import { promotionTriesMax } from "../limits.ts"
import { periodOf, type Rung, rungs } from "./period.ts"

/** What a job in state mode keeps for longer than its own class says: of each rung the class that its first whole run goes into. */
export type Promotions = Readonly<Partial<Record<Rung, string | undefined>>>

/** A run of the same dataset, as the log has it. */
export interface PastRun {
  /** The moment its snapshot stands for. */
  readonly cut: Date
  readonly complete: boolean
  /** The classes of what its commit lists. */
  readonly classes: ReadonlySet<string>
}

export interface RunClass {
  readonly class: string
  /** The rung it was promoted to, and the period whose first run it is; null where it is a run as any other. */
  readonly promoted: { readonly rung: Rung; readonly period: string } | null
}

/**
 * Which class a run writes: that of the longest rung whose period has no whole run of this rung, or of a longer one, yet; else the job's
 * own. So the first run of a new period is promoted, however many were missed before it. A run that was not whole leaves its period open
 * for the next one, but only so often: a job that never is whole must not keep every run for years.
 */
export function classOfRun(
  settings: { readonly class: string; readonly promotions: Promotions; readonly timezone: string },
  run: { readonly cut: Date; readonly past: readonly PastRun[] },
): RunClass {
  const longer = new Set<string>()
  for (const rung of rungs.toReversed()) {
    const className = settings.promotions[rung]
    if (className === undefined) continue
    longer.add(className)
    const period = periodOf(rung, run.cut, settings.timezone)
    const kept = run.past.filter(({ classes, cut }) => !classes.isDisjointFrom(longer) && periodOf(rung, cut, settings.timezone) === period)
    if (kept.length < promotionTriesMax && !kept.some(({ complete }) => complete)) return { class: className, promoted: { rung, period } }
  }
  return { class: settings.class, promoted: null }
}
