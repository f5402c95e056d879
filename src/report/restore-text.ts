import { count, formatDuration, formatSize } from "../units.ts"
import type { Paint } from "./paint.ts"
import type { ProblemFile, RestorePlan, RestoreReport } from "./restore.ts"
import { detailRows, markOf } from "./run-text.ts"
import { visible } from "./visible.ts"

export interface RestoreTextOptions {
  readonly paint: Paint
  moment(time: string): string
}

/** What a restore would do, before it does it. */
export function planText(plan: RestorePlan, { paint, moment }: RestoreTextOptions): string[] {
  const { dataset, asOf, files, bytes, accounts, snapshots, newest, fetchBytes, estimatedSeconds, sites, warnings } = plan
  const rows: (readonly [string, string])[] = [
    ["+", `${count(files, "file")}, ${formatSize(bytes)}, of ${count(accounts, "account")}`],
    [
      "from",
      `${count(snapshots, "snapshot")}, the newest ${newest.run.slice(0, 12)} of ${moment(newest.storedAt)}${newest.complete ? "" : ", partial"}`,
    ],
    [
      "fetch",
      `${formatSize(fetchBytes)}, first from ${sites[0]?.name ?? ""}; about ${formatDuration(estimatedSeconds * 1000)}, as far as can be told before`,
    ],
    ...sites.map(({ name, why }, index) => [index === 0 ? "sites" : "", `${String(index + 1)} ${name}: ${visible(why)}`] as const),
    ...warnings.map((warning) => ["warning", visible(warning)] as const),
  ]
  const when = asOf === undefined ? "as it is in the newest snapshot" : `as of ${moment(asOf)}`
  return [`${paint.strong("plan")}  ${dataset}, ${when}`, ...detailRows(rows)]
}

/** What a restore did. Files are named: it is run by a person, who has them on the disk now. */
export function restoreText(report: RestoreReport, { paint }: RestoreTextOptions): string[] {
  const { restored, present, missingAtSource, leftovers, snapshots, target } = report
  const rows: (readonly [string, string])[] = [
    ["in", target],
    ...fetchedRow(report),
    ...siteRows(report),
    ...problemRows("lost", report.lostCount, report.lost, "no site has good bytes"),
    ...problemRows("waiting", report.unreachableCount, report.unreachable, "no site that answers has them; run the same command again"),
    ...problemRows("refused", report.refusedCount, report.refused, "the target cannot take them"),
    ...missingRow(missingAtSource),
    ...(leftovers === 0 ? [] : [["removed", `${count(leftovers, "unfinished file")} of an earlier restore`] as const]),
    ...(snapshots.some(({ complete }) => !complete) ? [["from", "a partial snapshot: its run said what it missed"] as const] : []),
    ...report.warnings.map((warning) => ["warning", visible(warning)] as const),
  ]
  const parts = [`${count(restored.files, "file")} restored and equal`]
  if (present.files > 0) parts.push(`${count(present.files, "file")} there already and equal`)
  parts.push(formatSize(restored.bytes), formatDuration(report.seconds * 1000))
  return [`${paint.status(markOf[report.outcome], report.outcome)}  ${report.dataset}: ${parts.join(", ")}`, ...detailRows(rows)]
}

function missingRow(items: number): (readonly [string, string])[] {
  if (items === 0) return []
  return [["missing", `${count(items, "item")} not in the snapshot: the run that took it could not read them; its report says why`]]
}

function fetchedRow({ fetched }: RestoreReport): (readonly [string, string])[] {
  if (fetched.length === 0) return []
  return [["fetched", fetched.map(({ site, bytes }) => `${formatSize(bytes)} from ${site}`).join(", ")]]
}

/** Why the first site was asked first, and why others were. */
function siteRows({ sites: [first], failovers }: RestoreReport): (readonly [string, string])[] {
  return [
    ...(first === undefined ? [] : [["first", `${first.name}: ${visible(first.why)}`] as const]),
    ...failovers.map(({ from, to, times, reason }) => {
      const often = times === 1 ? "" : `, ${times.toLocaleString("en-US")} times, the first time as`
      const what = to === null ? `${from} did not deliver, and no other was left` : `from ${from} to ${to}`
      return ["switched", `${what}${often}: ${visible(reason)}`] as const
    }),
  ]
}

function problemRows(name: string, total: number, files: readonly ProblemFile[], why: string): (readonly [string, string])[] {
  if (total === 0) return []
  const shown = files.slice(0, shownMax)
  const more = total - shown.length
  return [
    [name, `${count(total, "file")}: ${why}`],
    ...shown.map(({ path, detail }) => ["", `  ${visible(path)}: ${visible(detail)}`] as const),
    ...(more > 0 ? [["", `  and ${count(more, "more file", "more files")}; --json lists up to 100`] as const] : []),
  ]
}

const shownMax = 10
