import { count, formatDuration, formatSize } from "../units.ts"
import type { Mark, Paint } from "./paint.ts"
import { detailRows } from "./run-text.ts"
import type { ScrubReport, SiteScrub } from "./scrub.ts"
import { table } from "./table.ts"
import { findingRows, rungTable } from "./verify-text.ts"
import { visible } from "./visible.ts"

export interface ScrubTextOptions {
  readonly paint: Paint
  moment(time: string): string
}

/** How far the proof went, site by site, and what was found. */
export function scrubText(report: ScrubReport, { paint, moment }: ScrubTextOptions): string[] {
  const { outcome, proven, findingCount, sites, rungs, short, seconds } = report
  const word = outcome === "ok" ? (proven ?? "nothing proven") : count(findingCount, "finding")
  const mark: Mark = outcome === "findings" ? "bad" : proven === null ? "attention" : "good"
  const read = sites.reduce((sum, { readBytes }) => sum + readBytes, 0)
  const head = `${count(sites.length, "site")}, ${formatSize(read)} read and hashed, ${formatDuration(seconds * 1000)}`
  const cells = sites.map((site) => siteCells(site, paint, moment))
  const shortRow =
    short === null || short === 0 ? [] : [["short", `${count(short, "object")} with fewer good copies than promised`] as const]
  return [
    `${paint.status(mark, word)}  ${head}`,
    ...rungTable(rungs, paint).map((line) => `   ${line}`),
    "",
    ...table(["SITE", "STATE", ">OBJECTS", ">SIZE", ">READ", ">MISSING", ">CUT", ">ROTTEN", ">UNREAD", "ALL READ SINCE"], cells).map(
      (line) => `   ${line}`,
    ),
    ...detailRows([...findingRows(report), ...shortRow, ...report.warnings.map((warning) => ["warning", visible(warning)] as const)]),
    ...(outcome === "ok" ? [] : [paint.next("holdline repair --dry-run   says what can be put right; `holdline repair` does it")]),
  ]
}

const states: Readonly<Record<SiteScrub["outcome"], Mark>> = { ok: "good", findings: "bad", unreadable: "attention" }

function siteCells(site: SiteScrub, paint: Paint, moment: (time: string) => string): string[] {
  const { outcome, objects, bytes, read, missing, cut, rotten, unread, readSince } = site
  const numbers = [objects, formatSize(bytes), read, missing, cut, rotten, unread]
  return [
    ...[site.site, paint.status(states[outcome], outcome)],
    ...numbers.map((number) => (typeof number === "number" ? number.toLocaleString("en-US") : number)),
    readSince === null ? "not yet" : moment(readSince),
  ]
}
