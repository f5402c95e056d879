import { count, formatDuration, formatSize } from "../units.ts"
import { anomalyText } from "./anomaly.ts"
import { linksText } from "./links.ts"
import type { Mark, Paint } from "./paint.ts"
import type { Outcome, RunReport } from "./run.ts"
import { visible } from "./visible.ts"

export const markOf: Readonly<Record<Outcome, Mark>> = { ok: "good", partial: "attention", failed: "bad" }

export interface RunTextOptions {
  readonly paint: Paint
  /** Whether missed paths are named: to a person who asked, never in a log, as paths may name customers. */
  readonly paths: boolean
}

/** What a run did, in words: one line where all is well, and below it whatever somebody should act on, with what to do. */
export function runText(report: RunReport, options: RunTextOptions): string[] {
  const { paint } = options
  const rows = [
    ...promotedRows(report),
    ...missedRows(report, options),
    ...noteRows(report),
    ...linkRows(report, options),
    ...anomalyRows(report, paint),
    ...uncoveredRows(report, paint),
    ...siteRows(report, paint),
    ...failureRows(report, paint),
    ...report.warnings.map((warning) => ["warning", visible(warning)] as const),
    ...(report.outcome === "ok" ? [] : [keptRow(report)]),
  ]
  return [`${paint.status(markOf[report.outcome], report.outcome)}  ${headline(report)}`, ...detailRows(rows)]
}

/** Rows of a name and what is said of it; a row without a name goes on with the one above. */
export function detailRows(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(0, ...rows.map(([name]) => name.length))
  return rows.map(([name, text]) => `   ${name.padEnd(width)}  ${text}`)
}

/** "call-recordings: 2 files, 18.4 MiB stored, 3 of 3 sites, present, 1.2 s". */
function headline(report: RunReport): string {
  const { job, captured, unchanged, stored, sites, commits, seconds } = report
  const parts = [count(captured.files, "file")]
  if (unchanged.files > 0) parts.push(`${count(unchanged.files, "file")} unchanged`)
  parts.push(`${formatSize(stored.bytes)} stored`)
  if (commits.length > 0) parts.push(`${String(sites.filter(({ held }) => held).length)} of ${count(sites.length, "site")}`, "present")
  parts.push(formatDuration(seconds * 1000))
  return `${job}: ${parts.join(", ")}`
}

function promotedRows({ promoted }: RunReport): (readonly [string, string])[] {
  if (promoted === undefined) return []
  const { name, days, period } = promoted
  return [["kept", `${count(days, "day")}, in class ${name}, as the first of ${period}`]]
}

// What an operator can do about each reason.
const remedies: ReadonlyMap<string, string> = new Map([
  ["unreadable", "let the agent's user read these files, then run the job again"],
  ["torn", "they changed while they were read: run the job again, or give the job a longer `settle`"],
  ["failed", "see why the program or the database copy failed, then run the job again"],
])

function missedRows({ missed, run }: RunReport, { paint, paths }: RunTextOptions): (readonly [string, string])[] {
  return missed.flatMap(({ reason, count: many, examples }, index) => {
    const rows: (readonly [string, string])[] = [[index === 0 ? "missed" : "", `${count(many, "item")} ${reason}`]]
    if (paths) rows.push(...examples.map(({ path, detail }) => ["", `  ${visible(path)}: ${visible(detail)}`] as const))
    const remedy = remedies.get(reason)
    if (remedy !== undefined) rows.push(["", paint.next(remedy)])
    if (!paths && index === missed.length - 1) rows.push(["", paint.next(`holdline runs show ${run.slice(0, 12)}   names some of them`)])
    return rows
  })
}

const noteTexts = new Map<string, (n: number) => string>([
  ["settling", (n) => `${count(n, "file")} too young to be finished: a later run takes them`],
  ["unmatched", (n) => `${count(n, "file")} outside the template: kept under the account mixed; correct the job's \`template\``],
  ["excluded", (n) => `${count(n, "path")} left out by \`exclude\``],
  ["hard-link", (n) => `${count(n, "hard link")} kept as files of their own`],
  ["extended-attributes", (n) => `${count(n, "file")} with extended attributes or access lists, which are not kept`],
  ["attributes-not-examined", () => "extended attributes and access lists: not kept, and this host cannot say which files have them"],
  ["empty", () => "the source succeeded and holds nothing: see whether it should"],
  ["unattributed", (n) => `${count(n, "part")} of tables with rows of no account: kept under the account mixed; see the tenancy map`],
  ["not-covered", (n) => `${count(n, "table")} left out by the tenancy map`],
  ["large-objects", () => "large objects are in no table: capture the whole, too"],
  ["snapshot", (n) => `${count(n, "remark")} about the moment at which the database was read: see the warnings`],
  ["emptied", (n) => `${count(n, "table")} that held rows ${n === 1 ? "holds" : "hold"} none: see whether that is meant`],
  ["foreign-keys", () => "the database is intact, but breaks its own references"],
])

function noteRows({ notes }: RunReport): (readonly [string, string])[] {
  return Object.entries(notes).map(([kind, n], index) => {
    return [index === 0 ? "noted" : "", noteTexts.get(kind)?.(n) ?? `${count(n, "item")} ${kind}`]
  })
}

function linkRows({ links, run }: RunReport, { paint, paths }: RunTextOptions): (readonly [string, string])[] {
  if (links === undefined) return []
  const rows = linksText(links).map((line, index) => [index === 0 ? "links" : "", line] as const)
  if (links.examples.length === 0) return rows
  if (!paths) return [...rows, ["", paint.next(`holdline runs show ${run.slice(0, 12)}   names some of the missing`)]]
  return [...rows, ...links.examples.map((path) => ["", `  ${visible(path)}: missing`] as const)]
}

function anomalyRows({ anomalies = [] }: RunReport, paint: Paint): (readonly [string, string])[] {
  return anomalies.flatMap((anomaly, index) => [
    [
      index === 0 ? "anomaly" : "",
      `${visible(anomalyText(anomaly))}: nothing of ${anomaly.dataset} expires until a person lifts it`,
    ] as const,
    ["", paint.next(`holdline anomaly lift ${anomaly.id.slice(0, 12)} --reason "…"`)] as const,
  ])
}

function uncoveredRows({ uncovered = [] }: RunReport, paint: Paint): (readonly [string, string])[] {
  if (uncovered.length === 0) return []
  const rows = uncovered.map((sentence, index) => [index === 0 ? "left out" : "", visible(sentence)] as const)
  return [...rows, ["", paint.next("holdline doctor   says what to add for each")]]
}

function siteRows({ sites, commits }: RunReport, paint: Paint): (readonly [string, string])[] {
  const missing = commits.length === 0 ? sites.filter(({ reason }) => reason !== undefined) : sites.filter(({ held }) => !held)
  const rows = missing.flatMap(({ name, reason = "no reason given" }) => [
    ["", `${name} does not hold it: ${visible(reason)}`] as const,
    ["", paint.next(`holdline site check ${name}; the next run catches it up`)] as const,
  ])
  const near = sites.filter(({ sameDevice }) => sameDevice).map(({ name }) => name)
  if (near.length > 0) rows.push(["", `${near.join(", ")}: on the source's own device, and lost with it`])
  return rows.map(([, text], index) => [index === 0 ? "sites" : "", text])
}

function failureRows({ failure }: RunReport, paint: Paint): (readonly [string, string])[] {
  if (failure === undefined) return []
  const { message, hint } = failure
  const [first, ...lines] = hint === undefined ? [] : hint.split("\n")
  return [
    ["why", visible(message)],
    ...(first === undefined ? [] : [["", paint.next(first)] as const]),
    ...lines.map((line) => ["", visible(line)] as const),
  ]
}

function keptRow({ commits, run, stored }: RunReport): readonly [string, string] {
  const last = commits.findLast(({ durable }) => durable)
  if (last !== undefined) return ["kept", `snapshot ${run.slice(0, 12)} at ${last.held.join(", ")}; it can be restored as far as it goes`]
  const some = stored.packs > 0 ? `${count(stored.packs, "pack")} that the next run lists without reading the files again` : "nothing new"
  return ["kept", `${some}; earlier snapshots are as they were`]
}
