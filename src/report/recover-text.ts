import { count, formatDuration, formatSize } from "../units.ts"
import type { Paint } from "./paint.ts"
import type { RecoverReport } from "./recover.ts"
import { detailRows } from "./run-text.ts"
import { table } from "./table.ts"
import { visible } from "./visible.ts"

export interface RecoverTextOptions {
  readonly paint: Paint
  moment(time: string): string
}

/** What was found at the sites after a loss, and what can be had back from it. */
export function recoverText(report: RecoverReport, { paint, moment }: RecoverTextOptions): string[] {
  const { repository, rootFingerprint, trustLists, agents, accounts, commits, seconds, datasets } = report
  const doubt = report.refused.length + report.gaps.length + report.sites.filter(({ readable }) => !readable).length > 0
  const rows: (readonly [string, string])[] = [
    ["repository", repository],
    ["root", rootFingerprint],
    ["trust", `${count(trustLists, "list")}; agents ${agents.join(", ")}`],
    ["found", `${count(commits, "snapshot")}, ${count(accounts, "account")}`],
    ...report.sites.flatMap(({ name, readable, reason = "" }) =>
      readable ? [] : [["site", `${name} not read: ${visible(reason)}`] as const],
    ),
    ...report.refused.map(({ key, reason }) => ["refused", `${key}: ${visible(reason)}`] as const),
    ...report.gaps.map(({ agent, missing }) => ["gap", `log of ${agent}: ${count(missing, "commit")} not at the sites asked`] as const),
    ...report.warnings.map((warning) => ["warning", visible(warning)] as const),
  ]
  const cells = datasets.map(({ dataset, agent, mode, snapshots, files, bytes, newest, complete }) => [
    ...[dataset, agent, mode, String(snapshots), files.toLocaleString("en-US"), formatSize(bytes), moment(newest)],
    paint.status(complete ? "good" : "attention", complete ? "complete" : "partial"),
  ])
  const head = `${paint.status(doubt ? "attention" : "good", "recovered")}  ${count(datasets.length, "dataset")} in ${formatDuration(seconds * 1000)}`
  const listed = table(["DATASET", "AGENT", "MODE", ">SNAPSHOTS", ">FILES", ">SIZE", "NEWEST", "STATE"], cells)
  return [head, ...detailRows(rows), ...(cells.length === 0 ? [] : ["", ...listed])]
}
