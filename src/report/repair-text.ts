import { count, formatDuration, formatSize } from "../units.ts"
import type { Paint } from "./paint.ts"
import type { RepairReport } from "./repair.ts"
import { detailRows, markOf } from "./run-text.ts"
import { table } from "./table.ts"
import { visible } from "./visible.ts"

type DetailRow = readonly [string, string]

/** What was put right, or would be, site by site, and what remains. */
export function repairText(report: RepairReport, { paint }: { readonly paint: Paint }): string[] {
  const { outcome, sites, elsewhere, warnings } = report
  const cells = sites.map((site) => [
    site.site,
    ...[site.copied, site.replaced, site.commits, site.remaining].map((number) => number.toLocaleString("en-US")),
    formatSize(site.bytes),
  ])
  const rows: DetailRow[] = [
    ...sites.flatMap(({ site, unreadable }) =>
      unreadable === null ? [] : [["site", `${site} not reached: ${visible(unreadable)}`] as const],
    ),
    ...lostRows(report),
    ...remainingRows(report),
    ...elsewhere.map((dataset) => ["left out", `${dataset}: the jobs here keep it elsewhere; name the site in the job first`] as const),
    ...warnings.map((warning) => ["warning", visible(warning)] as const),
  ]
  return [
    `${paint.status(markOf[outcome], outcome)}  ${headline(report)}`,
    ...table(["SITE", ">COPIED", ">REPLACED", ">COMMITS", ">REMAINING", ">SIZE"], cells).map((line) => `   ${line}`),
    ...detailRows(rows),
    ...nextSteps(report).map((step) => paint.next(step)),
  ]
}

const shownMax = 20

function headline({ sites, dryRun, seconds }: RepairReport): string {
  const objects = sites.reduce((sum, { copied, replaced }) => sum + copied + replaced, 0)
  const bytes = sites.reduce((sum, site) => sum + site.bytes, 0)
  const took = formatDuration(seconds * 1000)
  if (objects === 0) return `nothing ${dryRun ? "to repair" : "repaired"}, ${took}`
  return `${count(objects, "object")} ${dryRun ? "would be repaired" : "repaired"}, ${formatSize(bytes)}, ${took}`
}

function lostRows({ lost, lostCount }: RepairReport): DetailRow[] {
  const shown = lost.slice(0, shownMax)
  return [...shown.map(({ detail }) => ["lost", visible(detail)] as const), ...more(lostCount - shown.length)]
}

// What is lost is said once, and not for every site again.
function remainingRows({ remaining, remainingCount, lost }: RepairReport): DetailRow[] {
  const others = remaining.filter((left) => !lost.some(({ object }) => object === left.object))
  const shown = others.slice(0, shownMax)
  const rows = shown.map(({ site, object, detail }) => ["remains", `${site}: ${visible(object)}: ${visible(detail)}`] as const)
  return [...rows, ...more(remainingCount - (remaining.length - others.length) - shown.length)]
}

function more(hidden: number): DetailRow[] {
  return hidden === 0 ? [] : [["", `and ${count(hidden, "more object")}; --json lists up to 200`]]
}

function nextSteps({ dryRun, outcome, lost }: RepairReport): string[] {
  const key = lost.find(({ object }) => object.startsWith("v1/keys/"))
  if (key !== undefined) return [`holdline key lost ${key.object}   lets runs go on, once no old copy of a site has it`]
  if (lost.length > 0) return ["holdline run JOB   captures again what the source still holds"]
  if (dryRun && outcome === "ok") return ["holdline repair"]
  return outcome === "ok" ? [] : ["holdline repair   again, once the sites answer or their locks have ended"]
}
