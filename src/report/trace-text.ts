import { count, formatDuration, formatSize } from "../units.ts"
import type { Paint } from "./paint.ts"
import { table } from "./table.ts"
import type { FoundCall, FoundRecording, TraceReport } from "./trace.ts"
import { visible } from "./visible.ts"

export interface TraceTextOptions {
  readonly paint: Paint
  moment(time: string): string
}

/** Calls as a table, and below it where each recording is. */
export function callLines(calls: readonly FoundCall[], { moment }: Pick<TraceTextOptions, "moment">): string[] {
  const rows = calls.map((call) => [
    call.time === undefined ? call.day : moment(call.time),
    visible(call.stableId),
    visible(call.from ?? ""),
    visible(call.to ?? ""),
    call.seconds === undefined ? "" : formatDuration(call.seconds * 1000),
    visible(call.table),
    call.kept.run.slice(0, 12),
    `${call.kept.sites.join(", ")}${remarks(call)}`,
  ])
  const [heading = "", ...lines] = table(["TIME", "ACCOUNT", "FROM", "TO", ">DURATION", "TABLE", "SNAPSHOT", "KEPT AT"], rows)
  return [heading, ...lines.flatMap((line, index) => [line, ...(calls[index]?.recordings ?? []).map(recordingLine)])]
}

function remarks({ version, times }: FoundCall): string {
  const said = [
    ...(version === "earlier" ? ["the number was there earlier"] : []),
    ...(times === undefined ? [] : [`${String(times)} times`]),
  ]
  return said.length === 0 ? "" : `  (${said.join("; ")})`
}

const states: Readonly<Record<FoundRecording["state"], string>> = {
  kept: "kept",
  missing: "named by a snapshot, but could not be read when it was taken",
  "not-kept": "not kept: purged, moved or never captured",
  unknown: "not found, and not everything could be read",
}

function recordingLine({ said, state, dataset, bytes, kept, note }: FoundRecording): string {
  const where = kept === undefined ? "" : `: ${dataset ?? ""} ${kept.run.slice(0, 12)} ${visible(kept.path)} at ${kept.sites.join(", ")}`
  const size = state === "kept" && bytes !== undefined ? `, ${formatSize(bytes)}` : ""
  const name = kept === undefined ? ` ${visible(said)}` : ""
  return `   recording${name} ${states[state]}${where}${size}${note === undefined ? "" : ` (${visible(note)})`}`
}

/** What was looked at, in words. A file of call records may be named after a customer. */
export function traceText(report: TraceReport, { paint }: Pick<TraceTextOptions, "paint">): string[] {
  const { calls, datasets, partitions, pieces, rows, bytes, seconds, recordings, losses, searched, left } = report
  const found = calls === 0 ? "no call was found" : count(calls, "call")
  const media =
    recordings.kept + recordings.others === 0
      ? ""
      : `, ${String(recordings.kept)} of ${count(recordings.kept + recordings.others, "recording")} kept`
  const looked = `${datasets.join(", ")}: ${count(partitions, "partition")}, ${count(pieces, "piece")}, ${count(rows, "row")}, ${formatSize(bytes)} fetched, ${formatDuration(seconds * 1000)}`
  const columns = searched.map(
    ({ table: name, columns: names }) =>
      `${visible(name)}: ${names.length === 0 ? "every field, as none is known to hold numbers" : visible(names.join(", "))}`,
  )
  const notLooked = left.length === 0 ? [] : [`   not looked at, as no column of theirs holds a number: ${visible(left.join(", "))}`]
  return [
    `${paint.status(losses.length > 0 ? "attention" : "good", found)}${media}  ${looked}`,
    ...columns.map((line) => `   looked at ${line}`),
    ...notLooked,
    ...losses.slice(0, lossesShown).map((loss) => `   not read: ${visible(loss)}`),
    ...(losses.length > lossesShown ? [`   and ${count(losses.length - lossesShown, "more loss", "more losses")}`] : []),
  ]
}

const lossesShown = 10
