import type { SiteErrorCode } from "../../src/errors.ts"
import type { Dice } from "../world/dice.ts"

export const siteNames = ["a", "b", "c"] as const
export type SiteName = (typeof siteNames)[number]

/** Everything that goes wrong; each must be met at least once for every time it was planned. */
export const faultKinds = [
  "call failed", // a few calls in a row, before they did anything
  "answer lost", // the same, after they did what they were asked
  "hours away",
  "long away", // a week, where there is a month
  "two away", // one is left, and one is not enough
  "all away", // every site, for an hour
  "objects lost",
  "objects rotten",
  "killed",
  "killed, catalog lost",
  "killed, host lost", // the catalog and the spool
  "items unreadable",
  "source away",
] as const
export type FaultKind = (typeof faultKinds)[number]

/** Before a site's call of that number, from 0, among those of an hour. */
export interface Moment {
  readonly hour: number
  readonly call: number
}

export interface Outage {
  readonly kind: "hours away" | "long away" | "two away" | "all away"
  readonly sites: readonly SiteName[]
  readonly from: Moment
  readonly until: Moment
}

/** So many of a site's calls in a row, from the first that it can meet. */
export interface Burst {
  readonly kind: "call failed" | "answer lost"
  readonly site: SiteName
  readonly from: Moment
  readonly length: number
  readonly code: SiteErrorCode
}

/** Done to a site's objects, once what was done before is repaired. */
export interface Damage {
  readonly kind: "objects lost" | "objects rotten"
  readonly site: SiteName
  readonly hour: number
  readonly objects: number
}

/** A process dies at that call of its run. */
export interface Death {
  readonly kind: "killed" | "killed, catalog lost" | "killed, host lost"
  readonly hour: number
  readonly call: number
  readonly applied: boolean
}

export interface SourceTrouble {
  readonly kind: "items unreadable" | "source away"
  readonly hour: number
}

export interface Plan {
  readonly outages: readonly Outage[]
  readonly bursts: readonly Burst[]
  readonly damages: readonly Damage[]
  readonly deaths: readonly Death[]
  readonly troubles: readonly SourceTrouble[]
}

/** After the last fault there is a quiet day, and an hour. */
const quietHours = 25
const weekHours = 7 * 24

function allBut(site: SiteName): SiteName[] {
  return siteNames.filter((name) => name !== site)
}

/** What goes wrong in `days` days, at least two: as often as in a bad month, and everything at least once. */
export function makePlan(dice: Dice, days: number): Plan {
  const last = days * 24 - quietHours
  const times = (aMonth: number): number[] => Array.from({ length: Math.max(1, Math.round((aMonth * days) / 30)) }, (_, index) => index)
  const hour = (): number => dice.between(1, last - 1)
  const site = (): SiteName => dice.pick(siteNames)
  const away = (kind: Outage["kind"], sites: readonly SiteName[], hours: number): Outage => {
    const from = { hour: dice.between(1, Math.max(1, last - hours)), call: dice.between(0, 9) }
    return { kind, sites, from, until: { hour: Math.min(last, from.hour + hours), call: from.call } }
  }
  const burst = (kind: Burst["kind"]): Burst => ({
    ...{ kind, site: site(), from: { hour: hour(), call: dice.between(0, 7) }, length: dice.between(1, 6) },
    code: dice.pick(["site/unavailable", "site/throttled"]),
  })
  const death = (kind: Death["kind"]): Death => ({ kind, hour: hour(), call: dice.between(1, 80), applied: dice.chance(0.5) })
  return {
    outages: [
      ...times(18).map(() => away("hours away", [site()], dice.between(1, 8))),
      away("long away", [site()], Math.min(weekHours, Math.floor(last / 3))),
      ...times(4).map(() => away("two away", allBut(site()), dice.between(1, 6))),
      ...times(2).map(() => away("all away", siteNames, 1)),
    ],
    bursts: [...times(60).map(() => burst("call failed")), ...times(60).map(() => burst("answer lost"))],
    damages: (["objects lost", "objects rotten"] as const).flatMap((kind) =>
      times(5).map(() => ({ kind, site: site(), hour: hour(), objects: dice.between(1, 6) })),
    ),
    deaths: [
      ...times(20).map(() => death("killed")),
      ...times(1).map(() => death("killed, catalog lost")),
      ...times(1).map(() => death("killed, host lost")),
    ],
    troubles: [
      ...times(10).map(() => ({ kind: "items unreadable" as const, hour: hour() })),
      ...times(5).map(() => ({ kind: "source away" as const, hour: hour() })),
    ],
  }
}
