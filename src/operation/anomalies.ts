import { rememberAnomaly, rememberedAnomalies } from "../catalog/anomalies.ts"
import { timestamp } from "../clock.ts"
import { BackupError, ConfigError, JobError } from "../errors.ts"
import {
  type AnomalyLiftedRecord,
  type AnomalyRecord,
  type Commit,
  isAnomalyLiftedRecord,
  isAnomalyRecord,
  isControl,
} from "../format/commit.ts"
import { anomalyReasonMax } from "../limits.ts"
import { randomId } from "../random.ts"
import type { AnomalyReport } from "../report/anomaly.ts"
import { commitRecords, type Recorded } from "./control.ts"
import { converge } from "./converge.ts"
import { readLogs } from "./logs.ts"
import { OwnLog } from "./own-log.ts"
import type { Tally } from "./tally.ts"
import type { AgentWorld, KeeperWorld } from "./world.ts"

/** What a run found that may be damage, as the log of its agent says it. */
export interface Anomaly extends Omit<AnomalyRecord, "type"> {
  readonly agent: string
  /** Who let its dataset go, why, and when by the clock of the agent; absent while it is open. */
  readonly lifted?: { readonly by: string; readonly reason: string; readonly time: string }
}

/** What a run found, before it is recorded: one kind is one record while it is open. */
export interface Finding {
  readonly kind: AnomalyKind
  /** Counts only: they are in clear at every site. */
  readonly numbers: Readonly<Record<string, number>>
}

export type AnomalyKind =
  | "emptied" // the source held something and holds nothing
  | "emptied-table" // a table of a database did
  | "shrunk" // a whole lost more than a set share of its files or bytes
  | "mass-change" // more than a set share of an archive's recent files went or changed
  | "failed" // a program or the copy of a database failed

/** What a run met that is an anomaly by itself: it was told as it was met, and the run is partial for it. */
export function findingsOf({ notes, missed }: Pick<Tally, "notes" | "missed">): Finding[] {
  const failed = missed.find(({ reason }) => reason === "failed")?.count ?? 0
  return [
    ...(notes.emptied === undefined ? [] : [{ kind: "emptied-table" as const, numbers: { tables: notes.emptied } }]),
    ...(failed === 0 ? [] : [{ kind: "failed" as const, numbers: { failed } }]),
  ]
}

/**
 * The anomalies that these commits record, by agent and in the order given. Only an agent's own log lifts its anomalies; of several
 * records with one id the first counts.
 */
export function anomaliesIn(commits: Iterable<Commit>): Anomaly[] {
  const found = new Map<string, Anomaly>()
  const lifted = new Map<string, Anomaly["lifted"]>()
  for (const commit of commits) {
    if (!isControl(commit)) continue
    const { agent, records, time } = commit.body
    for (const { type: _, ...record } of records.filter(isAnomalyRecord)) {
      const key = `${agent} ${record.id}`
      if (!found.has(key)) found.set(key, { ...record, agent })
    }
    for (const { id, by, reason } of records.filter(isAnomalyLiftedRecord)) {
      const key = `${agent} ${id}`
      if (!lifted.has(key)) lifted.set(key, { by, reason, time })
    }
  }
  return [...found].map(([key, anomaly]) => {
    const lifting = lifted.get(key)
    return lifting === undefined ? anomaly : { ...anomaly, lifted: lifting }
  })
}

/**
 * The datasets of which nothing may be expired, as "agent/dataset": an anomaly of theirs is open (FORMAT §7). The commits must be all
 * that are believed of every agent whose datasets are asked about.
 */
export function frozenDatasets(commits: Iterable<Commit>): ReadonlySet<string> {
  const open = anomaliesIn(commits).filter(({ lifted }) => lifted === undefined)
  return new Set(open.map(({ agent, dataset }) => `${agent}/${dataset}`))
}

/** Every agent's anomalies, as the sites that answer have them, oldest first. What is not believed is told, and counts for nothing. */
export async function readAnomalies(world: KeeperWorld): Promise<Anomaly[]> {
  const commits: Commit[] = []
  for (const log of await readLogs(world)) {
    for (const { key, error } of log.refused) world.tell({ type: "warning", message: `${key}: not believed: ${error.message}` })
    commits.push(...log.commits.flatMap(({ believed, commit }) => (believed ? [commit] : [])))
  }
  return anomaliesIn(commits).toSorted((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0))
}

/**
 * Takes over what this agent's own log says of its anomalies, and records those that no site has taken yet. What cannot be recorded
 * now waits for the next run.
 */
export async function settleAnomalies(world: AgentWorld, log: OwnLog): Promise<void> {
  rememberAll(world, anomaliesIn(log.commits.map(({ commit }) => commit)))
  const waiting = rememberedAnomalies(world.catalog).filter(({ recorded }) => !recorded)
  if (waiting.length === 0) return
  const records = waiting.map(({ id, dataset, kind, time, numbers }) => ({ type: "anomaly" as const, id, dataset, kind, time, numbers }))
  const held = await heldBy(world, log, records)
  if (held) for (const anomaly of waiting) rememberAnomaly(world.catalog, { ...anomaly, recorded: true })
}

async function heldBy(world: AgentWorld, log: OwnLog, records: readonly AnomalyRecord[]): Promise<boolean> {
  const why = (reason: string) => {
    world.tell({ type: "warning", message: `what was found is not recorded at any site yet, the next run does it: ${reason}` })
    return false
  }
  try {
    const { held, missed } = await commitRecords(world, log, records)
    return held.length > 0 || why(missed[0]?.message ?? "no site answers")
  } catch (error) {
    if (!(error instanceof BackupError)) throw error
    return why(error.message)
  }
}

function rememberAll({ catalog }: Pick<AgentWorld, "catalog">, anomalies: readonly Anomaly[]): void {
  const known = new Map(rememberedAnomalies(catalog).map((anomaly) => [anomaly.id, anomaly]))
  for (const { id, dataset, kind, time, numbers, lifted: lifting } of anomalies) {
    const lifted = lifting?.time ?? null
    const before = known.get(id)
    if (before?.recorded === true && before.lifted === lifted) continue
    rememberAnomaly(catalog, { ...{ id, dataset, kind, time, numbers, lifted }, recorded: true })
  }
}

/** Records what a run found and no open anomaly of its dataset says already: from then on nothing of the dataset expires. */
export async function raiseAnomalies(world: AgentWorld, log: OwnLog, dataset: string, findings: readonly Finding[]): Promise<void> {
  const open = new Set(openAnomalies(world, dataset).map(({ kind }) => kind))
  const fresh = findings.filter(({ kind }) => !open.has(kind))
  if (fresh.length === 0) return
  const time = timestamp(world.clock.now())
  for (const { kind, numbers } of fresh) {
    rememberAnomaly(world.catalog, { id: randomId(world.random), dataset, kind, time, numbers, lifted: null, recorded: false })
  }
  await settleAnomalies(world, log)
}

/** What is open of a dataset of this agent, as this host remembers it. */
export function openAnomalies({ catalog }: Pick<AgentWorld, "catalog">, dataset?: string): AnomalyReport[] {
  return rememberedAnomalies(catalog, dataset).flatMap(({ lifted, recorded: _, ...anomaly }) => (lifted === null ? [anomaly] : []))
}

export interface Lifting {
  /** The beginning of an anomaly's id, long enough to mean one. */
  readonly id: string
  /** Who lifts it. */
  readonly by: string
  readonly reason: string
}

/** The open anomaly of this agent's log that an id means; JobError job/not-found says why there is none. */
export function anomalyToLift(anomalies: readonly Anomaly[], id: string, agent: string): Anomaly {
  const [found, ...others] = anomalies.filter((anomaly) => anomaly.id.startsWith(id))
  if (found === undefined) throw new JobError("job/not-found", `no anomaly ${id}`, { hint: "list them with `holdline anomaly list`" })
  if (others.length > 0)
    throw new JobError("job/not-found", `${id} is the beginning of ${String(others.length + 1)} anomalies`, { hint: "give more of the id" })
  if (found.agent !== agent) {
    throw new JobError("job/not-found", `anomaly ${found.id.slice(0, 12)} is of ${found.agent}, and only its own log can lift it`, {
      hint: `give the same command on ${found.agent}`,
    })
  }
  if (found.lifted !== undefined)
    throw new JobError("job/not-found", `anomaly ${found.id.slice(0, 12)} was lifted on ${found.lifted.time} by ${found.lifted.by}`)
  return found
}

/** This agent's log, to lift something in it, and the anomalies it records. */
export async function ownAnomalies(world: AgentWorld): Promise<{ readonly log: OwnLog; readonly anomalies: Anomaly[] }> {
  const log = await OwnLog.read(world)
  // Of no dataset: only what every site must have, so that a record which too few sites took at first gets to the others.
  await converge(world, log, "")
  return { log, anomalies: anomaliesIn(log.commits.map(({ commit }) => commit)) }
}

/** Records that a person looked at an anomaly: what it froze expires again as its class says. JobError where too few sites took it, ConfigError for a reason nobody could read. */
export async function liftAnomaly(world: AgentWorld, log: OwnLog, { id, by, reason }: Lifting): Promise<Recorded> {
  const given = reason.trim()
  if (given === "" || given.length > anomalyReasonMax)
    throw new ConfigError("config/usage", `--reason: expected 1 to ${String(anomalyReasonMax)} characters`)
  const record: AnomalyLiftedRecord = { type: "anomaly-lifted", id, by, reason: given }
  const recorded = await commitRecords(world, log, [record])
  if (recorded.held.length > 0) rememberAll(world, anomaliesIn(log.commits.map(({ commit }) => commit)))
  world.tell({ type: "deed", deed: { what: "anomaly-lifted", subject: id, outcome: recorded.durable ? "ok" : "failed", details: { by } } })
  if (recorded.durable) return recorded
  throw new JobError("job/not-durable", `too few sites took the record: ${recorded.missed[0]?.message ?? "no reason given"}`, {
    hint: "bring the other sites back; the next run brings them what they lack",
  })
}
