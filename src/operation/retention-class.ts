import { isBackup } from "../format/commit.ts"
import type { Rung } from "../retention/period.ts"
import { classOfRun } from "../retention/promotion.ts"
import type { OwnLog } from "./own-log.ts"

/** A class as a run needs it. */
export interface RunClassDays {
  readonly name: string
  readonly days: number
}

/** State mode: in which class the first whole run of a period is kept instead. */
export interface Promoting {
  readonly classes: Readonly<Partial<Record<Rung, RunClassDays>>>
  /** In which days, weeks, months and years are counted. */
  readonly timezone: string
}

/** That a run is kept for longer than others of its job, and why. */
export interface Promoted extends RunClassDays {
  readonly rung: Rung
  /** The day, week, month or year whose first run it is. */
  readonly period: string
}

/**
 * Which run this is among those of its dataset, as the agent's own log at the sites has them: null where it is one as any other. What
 * this host remembers is not asked, so that a host that lost its memory keeps no run for longer that need not be.
 */
export function promotionOf(dataset: string, promoting: Promoting | undefined, log: OwnLog, cut: Date): Promoted | null {
  if (promoting === undefined) return null
  const { classes, timezone } = promoting
  const past = log.commits.flatMap(({ commit }) => {
    if (!isBackup(commit) || commit.body.dataset !== dataset) return []
    const { cut: at, complete, packs } = commit.body
    return [{ cut: new Date(at), complete, classes: new Set(packs.map(([, , name]) => name)) }]
  })
  const promotions = Object.fromEntries(Object.entries(classes).map(([rung, { name }]) => [rung, name]))
  const { promoted } = classOfRun({ class: "", promotions, timezone }, { cut, past })
  const found = promoted === null ? undefined : classes[promoted.rung]
  return promoted === null || found === undefined ? null : { ...found, ...promoted }
}
