import { count, formatDuration, formatSize } from "../units.ts"
import type { Paint } from "./paint.ts"
import type { Replica, ReplicaReport, ReplicaSite } from "./replicas.ts"
import { table } from "./table.ts"
import { visible } from "./visible.ts"

export interface ReplicasTextOptions {
  readonly paint: Paint
  readonly now: Date
}

/** The replica matrix: which site answers, and how far it is with every dataset; below it what to do. */
export function replicasText(report: ReplicaReport, options: ReplicasTextOptions): string[] {
  const { paint } = options
  const { sites, rows, spool, warnings } = report
  const names = sites.map(({ name }) => name)
  const matrix = rows.map(({ agent, dataset, newest, at }) => [
    dataset === null ? `${agent}: keys` : `${agent}/${dataset}`,
    `${ago(newest, options)} ago`,
    ...names.map((name) => cell(at[name], options)),
  ])
  return [
    ...table(
      ["SITE", "PROVIDER", "ZONE", "STATE", "LAST SCRUB"],
      sites.map((site) => [site.name, site.provider, site.zone, stateOf(site, options), scrubOf(site, options)]),
    ),
    ...sites.flatMap(({ reason }) => (reason === undefined ? [] : [`   ${visible(reason)}`])),
    "",
    ...(rows.length === 0
      ? ["no commit is at these sites"]
      : table(["COMMITS OF", "NEWEST", ...names.map((name) => name.toUpperCase())], matrix)),
    ...(spool.objects === 0 ? [] : ["", `${count(spool.objects, "object")}, ${formatSize(spool.bytes)}, wait on this host for sites`]),
    ...warnings.map((warning) => `warning  ${visible(warning)}`),
    ...advice(report).map((command) => paint.next(command)),
  ]
}

function stateOf({ state, restUntil, failingSince }: ReplicaSite, { paint, now }: ReplicasTextOptions): string {
  if (state === "answers") return paint.status("good", "answers")
  const since = failingSince === undefined ? "" : ` for ${formatDuration(Math.max(0, now.getTime() - Date.parse(failingSince)))}`
  if (state === "silent" || restUntil === undefined) return paint.status("bad", `silent${since}`)
  const left = Date.parse(restUntil) - now.getTime()
  if (left <= 0) return paint.status("attention", `silent${since}`)
  return paint.status("attention", `silent${since}, left alone for ${formatDuration(left)}`)
}

function scrubOf({ scrub }: ReplicaSite, options: ReplicasTextOptions): string {
  if (scrub === null) return "never"
  const text = `${scrub.outcome}, ${ago(scrub.started, options)} ago`
  return scrub.outcome === "ok" ? text : options.paint.status("attention", text)
}

function cell(replica: Replica | undefined, { paint, now }: ReplicasTextOptions): string {
  if (replica === undefined || (replica.owed === 0 && replica.held !== null)) return "·"
  const { owed, held, behindSince } = replica
  if (held === null) return paint.status("none", "unknown")
  if (behindSince === null) return paint.status("good", `all ${String(owed)}`)
  const lag = formatDuration(Math.max(0, now.getTime() - Date.parse(behindSince)))
  return paint.status("attention", `${String(owed - held)} of ${String(owed)} behind, ${lag}`)
}

function ago(time: string, { now }: ReplicasTextOptions): string {
  return formatDuration(Math.max(0, now.getTime() - Date.parse(time)))
}

function advice({ sites, rows }: ReplicaReport): string[] {
  const silent = sites.filter(({ state }) => state !== "answers").map(({ name }) => `holdline site check ${name}`)
  const behind = rows.some(({ at }) => Object.values(at).some(({ behindSince }) => behindSince !== null))
  const flawed = sites.some(({ scrub }) => scrub !== null && scrub.outcome === "findings")
  return [...silent, ...(behind || flawed ? ["holdline repair"] : [])]
}
