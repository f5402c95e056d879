import { count, formatDuration, formatSize } from "../units.ts"
import type { Mark, Paint } from "./paint.ts"
import { detailRows } from "./run-text.ts"
import { table } from "./table.ts"
import type { RungReport, VerifyReport } from "./verify.ts"
import { visible } from "./visible.ts"

/** How far the proof went, rung by rung, and what was found. */
export function verifyText(report: VerifyReport, { paint }: { readonly paint: Paint }): string[] {
  const { dataset, outcome, proven, findingCount, sites, warnings } = report
  const word = outcome === "ok" ? (proven ?? "nothing proven") : count(findingCount, "finding")
  const mark: Mark = outcome === "findings" ? "bad" : proven === null ? "attention" : "good"
  const unreadable = sites.flatMap(({ name, unreadable }) =>
    unreadable === undefined ? [] : [`${name} could not be asked: ${visible(unreadable)}`],
  )
  return [
    `${paint.status(mark, word)}  ${dataset}: ${scopeOf(report)}`,
    ...rungTable(report.rungs, paint).map((line) => `   ${line}`),
    ...detailRows([...findingRows(report), ...[...unreadable, ...warnings.map(visible)].map((warning) => ["warning", warning] as const)]),
  ]
}

const shownMax = 20

/** The first findings, each with its rung, and how many more there are. */
export function findingRows({ findings, findingCount }: Pick<VerifyReport, "findings" | "findingCount">): (readonly [string, string])[] {
  return [
    ...findings.slice(0, shownMax).map(({ rung, site, object, detail }) => {
      return [rung, `${site === undefined ? "" : `${site}: `}${visible(object)}: ${visible(detail)}`] as const
    }),
    ...(findingCount > shownMax ? [["", `and ${count(findingCount - shownMax, "more finding")}; --json lists up to 200`] as const] : []),
  ]
}

function scopeOf({ files, packs, bytes, snapshots, seconds }: VerifyReport): string {
  const parts = files > 0 ? [count(files, "file")] : []
  parts.push(count(packs, "pack"), formatSize(bytes), count(snapshots, "snapshot"), formatDuration(seconds * 1000))
  return parts.join(", ")
}

const results: Readonly<Record<RungReport["result"], readonly [Mark, string]>> = {
  passed: ["good", "passed"],
  failed: ["bad", "failed"],
  "not-applicable": ["none", "not applicable"],
  "not-checked": ["none", "not checked"],
}

export function rungTable(rungs: readonly RungReport[], paint: Paint): string[] {
  const rows = rungs.map(({ rung, result, detail }) => {
    const [mark, word] = results[result]
    return [rung, paint.status(mark, word), visible(detail)]
  })
  return table(["RUNG", "RESULT", "OF WHAT"], rows)
}
