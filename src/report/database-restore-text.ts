import { count, formatDuration } from "../units.ts"
import type {
  AccountRestoreReport,
  AccountTable,
  CdrRestoreReport,
  DatabaseRestoreReport,
  DatabaseRung,
  FingerprintDifference,
} from "./database-restore.ts"
import type { Paint } from "./paint.ts"
import { detailRows, markOf } from "./run-text.ts"
import { table } from "./table.ts"
import { visible } from "./visible.ts"

type Row = readonly [name: string, text: string]

/** What a restore of a whole database did. Tables are named and rows counted; no value is shown. */
export function databaseRestoreText(report: DatabaseRestoreReport, { paint }: { readonly paint: Paint }): string[] {
  const { dataset, into, way, tables, rows, sequences, seconds, rung } = report
  const how =
    way === "whole" ? "from its whole dump" : `from the rows of its accounts: ${count(tables, "table")}, ${count(sequences, "counter")}`
  const details: Row[] = [
    ["into", visible(into)],
    ["how", how],
    ...failureRow(
      report.failure,
      tables === 0 ? undefined : "what was loaded until then is still there: empty the database before the next try",
    ),
    ["proof", proofOf(rung)],
    ...differenceRows(report.differences, report.differenceCount),
    ...report.leftOut.map((what): Row => ["left out", visible(what)]),
    ...warningRows(report.warnings),
  ]
  const amount = rows === null ? amountUncounted(report) : count(rows, "row")
  const line = `${visible(dataset)}: ${amount}, ${formatDuration(seconds * 1000)}`
  return [`${paint.status(markOf[report.outcome], rung ?? report.outcome)}  ${line}`, ...detailRows(details)]
}

function amountUncounted({ rung }: DatabaseRestoreReport): string {
  return rung === null ? "no rows" : "the whole dump, its rows not counted"
}

/** What a restore of one account did, or would do: a line for each table, and why nothing was done where nothing was. */
export function accountRestoreText(report: AccountRestoreReport, { paint }: { readonly paint: Paint }): string[] {
  const { account, into, preview, stops, tables, triggers, triggersAct, advanced, seconds, rung } = report
  const details: Row[] = [
    ["into", visible(into)],
    ...failureRow(report.failure),
    ...stops.map((stop): Row => ["stops", visible(stop)]),
    ...conflictRows(report),
    ...danglingRows(report),
    ...(triggers.length === 0
      ? []
      : [["triggers", `${triggersAct ? "act" : "do not act"} on what comes: ${visible(triggers.join(", "))}`] as const]),
    ...(advanced.length === 0 ? [] : [["counters", `set forward: ${visible(advanced.join(", "))}`] as const]),
    ...(report.changed ? [["proof", proofOf(rung)] as const] : []),
    ...differenceRows(report.differences, report.differenceCount),
    ...warningRows(report.warnings),
  ]
  const inserted = tables.reduce((sum, one) => sum + one.inserted, 0)
  const replaced = tables.reduce((sum, one) => sum + one.replaced, 0)
  const did = preview
    ? "preview, nothing changed"
    : report.changed
      ? `${count(inserted, "row")} added, ${count(replaced, "row")} replaced`
      : "nothing changed"
  const head = `${paint.status(markOf[report.outcome], rung ?? report.outcome)}  account ${visible(account)}: ${did}, ${formatDuration(seconds * 1000)}`
  return [head, ...detailRows(details), ...accountTables(tables)]
}

/** What a restore of call detail records wrote, and where. */
export function cdrRestoreText(report: CdrRestoreReport, { paint }: { readonly paint: Paint }): string[] {
  const { account, since, until, form, rows, created, inserted, equal, different } = report
  const counts =
    form === "csv" ? count(rows, "row") : `${count(inserted, "row")} added, ${equal.toLocaleString("en-US")} there already and equal`
  const details: Row[] = [
    ["to", visible(report.to)],
    ["days", `${since} to ${until}`],
    ...(form === "table" && created ? [["table", "made: it was not there"] as const] : []),
    ...(different === 0 ? [] : [["different", `${count(different, "row")} there with other values: left as they are`] as const]),
    ...failureRow(report.failure),
    ...report.stops.map((stop): Row => ["stops", visible(stop)]),
    ...warningRows(report.warnings),
  ]
  return [`${paint.status(markOf[report.outcome], report.outcome)}  records of ${visible(account)}: ${counts}`, ...detailRows(details)]
}

function proofOf(rung: DatabaseRung): string {
  switch (rung) {
    case "matched":
      return "matched: rows and their sums, read back, are those taken from the source"
    case "loaded":
      return "loaded: the rows are in; that they are equal to the source's is not shown"
    case null:
      return "none"
  }
}

function failureRow(failure: string | undefined, then?: string): Row[] {
  if (failure === undefined) return []
  return [["failed", visible(failure)], ...(then === undefined ? [] : [["", then] as const])]
}

function differenceRows(differences: readonly FingerprintDifference[], total: number): Row[] {
  const shown = differences.slice(0, shownMax).map(({ table: name, account, rowsKept, rowsThere }): Row => {
    const whose = account === null ? "" : ` of ${visible(account)}`
    const rows =
      rowsKept === rowsThere
        ? `${count(rowsKept, "row")}, and others than`
        : `${count(rowsThere, "row")}, and not the ${rowsKept.toLocaleString("en-US")}`
    return ["different", `${visible(name)}${whose}: ${rows} captured`]
  })
  const more = total - shown.length
  return more > 0 ? [...shown, ["", `and ${count(more, "more", "more")}; --json lists up to 100`]] : shown
}

function conflictRows({ onConflict, tables }: AccountRestoreReport): Row[] {
  if (onConflict !== "stop" || tables.every(({ different }) => different === 0)) return []
  return [["help", "--on-conflict keep leaves such rows as they are, replace gives them the snapshot's values"]]
}

function danglingRows({ dangling }: AccountRestoreReport): Row[] {
  return dangling
    .filter(({ keptAsShared }) => keptAsShared)
    .map(({ toTable }): Row => ["help", `the snapshot has shared rows of ${visible(toTable)}: --with-shared brings those that are needed`])
}

/** What was found before anything was written: a line for each table where not all is there already and equal. */
function accountTables(tables: readonly AccountTable[]): string[] {
  const apart = tables.filter((one) => takenOf(one) + one.new + one.different + one.shared + one.onlyThere > 0)
  const same = tables.filter((one) => !apart.includes(one))
  const rows = apart.map((one) => [
    visible(one.table),
    ...[one.kept, one.new, one.equal, one.different, takenOf(one), one.shared, one.onlyThere].map((n) => n.toLocaleString("en-US")),
  ])
  const heading = ["TABLE", ">KEPT", ">NEW", ">EQUAL", ">DIFFERENT", ">TAKEN", ">SHARED", ">ONLY THERE"]
  const equal = same.reduce((sum, one) => sum + one.equal, 0)
  return [
    ...(rows.length === 0 ? [] : ["", ...table(heading, rows)]),
    ...(same.length === 0 ? [] : ["", `there already and equal: ${count(equal, "row")} of ${count(same.length, "table")}`]),
  ]
}

/** Rows whose place something else has: another account's row, or one with the same unique value. */
function takenOf({ foreign, clashes }: AccountTable): number {
  return foreign + clashes.reduce((sum, { rows }) => sum + rows, 0)
}

function warningRows(warnings: readonly string[]): Row[] {
  return warnings.map((warning): Row => ["warning", visible(warning)])
}

const shownMax = 10
