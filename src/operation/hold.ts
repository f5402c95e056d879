import { accountIdOf, ownerOf } from "../catalog/accounts.ts"
import { timestamp } from "../clock.ts"
import { ConfigError, JobError } from "../errors.ts"
import { type Commit, type HoldLiftedRecord, type HoldRecord, isControl, isHoldLiftedRecord, isHoldRecord } from "../format/commit.ts"
import { isAccountId, isDate, namePattern } from "../format/names.ts"
import { holdAccountsMax, holdReasonMax } from "../limits.ts"
import { randomId } from "../random.ts"
import type { Hold, HoldScope } from "../retention/hold.ts"
import { commitRecords, type Recorded } from "./control.ts"
import { converge } from "./converge.ts"
import { readLogs } from "./logs.ts"
import { OwnLog } from "./own-log.ts"
import type { AgentWorld, KeeperWorld } from "./world.ts"

/** A legal hold, as the log of an agent has it. */
export interface RecordedHold extends Hold {
  readonly agent: string
  /** Who lifted it, why, and when by the clock of the agent; absent while it is in force. */
  readonly lifted?: { readonly by: string; readonly reason: string; readonly time: string }
}

/** The holds that these commits record, in the order given. Only an agent's own log lifts its holds; of several with one id the first counts. */
export function holdsIn(commits: Iterable<Commit>): RecordedHold[] {
  const found = new Map<string, RecordedHold>()
  const lifted = new Map<string, RecordedHold["lifted"]>()
  for (const commit of commits) {
    if (!isControl(commit)) continue
    const { agent, records, time } = commit.body
    for (const { type: _, ...record } of records.filter(isHoldRecord)) {
      const key = `${agent} ${record.id}`
      if (!found.has(key)) found.set(key, { ...record, agent })
    }
    for (const { id, by, reason } of records.filter(isHoldLiftedRecord)) {
      const key = `${agent} ${id}`
      if (!lifted.has(key)) lifted.set(key, { by, reason, time })
    }
  }
  return [...found].map(([key, hold]) => {
    const lifting = lifted.get(key)
    return lifting === undefined ? hold : { ...hold, lifted: lifting }
  })
}

/** Those that nobody has lifted. The commits must be all that are believed of every agent. */
export function holdsInForce(commits: Iterable<Commit>): RecordedHold[] {
  return holdsIn(commits).filter(({ lifted }) => lifted === undefined)
}

/** Every agent's holds, as the sites that answer have them, oldest first. What is not believed is told, and counts for nothing. */
export async function readHolds(world: KeeperWorld): Promise<RecordedHold[]> {
  const commits: Commit[] = []
  for (const log of await readLogs(world)) {
    for (const { key, error } of log.refused) world.tell({ type: "warning", message: `${key}: not believed: ${error.message}` })
    commits.push(...log.commits.flatMap(({ believed, commit }) => (believed ? [commit] : [])))
  }
  return holdsIn(commits).toSorted((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0))
}

/** This agent's log, to place or lift a hold in it, and the holds it records. */
export async function ownHolds(world: AgentWorld): Promise<{ readonly log: OwnLog; readonly holds: RecordedHold[] }> {
  const log = await OwnLog.read(world)
  // Of no dataset: only what every site must have, so that a record which too few sites took at first gets to the others.
  await converge(world, log, "")
  return { log, holds: holdsIn(log.commits.map(({ commit }) => commit)) }
}

export interface Placing extends HoldScope {
  readonly by: string
  readonly reason: string
}

/** Records a hold: from now on nothing that it names expires. JobError where too few sites took it, ConfigError for a scope that is none. */
export async function placeHold(
  world: AgentWorld,
  log: OwnLog,
  { by, reason, ...scope }: Placing,
): Promise<Recorded & { readonly id: string }> {
  refuseNoScope(scope)
  const { dataset, accounts, from, to } = scope
  const id = randomId(world.random)
  const record: HoldRecord = {
    ...{ type: "hold", id, time: timestamp(world.clock.now()), by, reason: reasonFrom(reason) },
    ...(dataset !== undefined && { dataset }),
    ...(accounts !== undefined && accounts.length > 0 && { accounts: [...accounts] }),
    ...(from !== undefined && { from }),
    ...(to !== undefined && { to }),
  }
  return { ...(await recordDurably(world, log, record)), id }
}

/** ConfigError where a hold would name nothing in particular, or nothing at all. */
export function refuseNoScope({ dataset, accounts = [], from, to }: HoldScope): void {
  const usage = (sentence: string, hint?: string) => new ConfigError("config/usage", sentence, hint === undefined ? {} : { hint })
  if (dataset === undefined && accounts.length === 0 && from === undefined && to === undefined)
    throw usage("what is held? name a dataset, an account or days", "to hold everything, give the first day: --since 2020-01-01")
  if (dataset !== undefined && !namePattern.test(dataset))
    throw usage(`--dataset ${dataset}: expected a dataset's name, such as call-recordings`)
  if (accounts.length > holdAccountsMax)
    throw usage(`--account: expected at most ${String(holdAccountsMax)} accounts`, "place several holds")
  for (const [flag, day] of [
    ["--since", from],
    ["--until", to],
  ] as const) {
    if (day !== undefined && (!isDate(day) || Number.isNaN(Date.parse(day))))
      throw usage(`${flag} ${day}: expected a day such as 2026-11-20`)
  }
  if (from !== undefined && to !== undefined && from > to) throw usage(`--until ${to}: expected a day from ${from} on`)
}

/** The account that is meant: by its own id, or by the platform's where this host knows it. */
export function accountToHold({ catalog }: Pick<AgentWorld, "catalog">, text: string): string {
  const account = accountIdOf(catalog, text) ?? (ownerOf(catalog, text) === undefined ? undefined : text)
  if (account !== undefined) return account
  if (isAccountId(text)) return text
  throw new JobError("job/not-found", `no account ${text} is known to this host`, {
    hint: "give its own id of 32 characters, as `holdline snapshots show JOB@latest --identity FILE` lists it",
  })
}

export interface HoldLifting {
  readonly id: string
  readonly by: string
  readonly reason: string
}

/** The hold in force of this agent's log that an id means; JobError job/not-found says why there is none. */
export function holdToLift(holds: readonly RecordedHold[], id: string, agent: string): RecordedHold {
  const [found, ...others] = holds.filter((hold) => hold.id.startsWith(id))
  const missing = (sentence: string, hint?: string) => new JobError("job/not-found", sentence, hint === undefined ? {} : { hint })
  if (found === undefined) throw missing(`no hold ${id}`, "list them with `holdline hold list`")
  if (others.length > 0) throw missing(`${id} is the beginning of ${String(others.length + 1)} holds`, "give more of the id")
  const name = found.id.slice(0, 12)
  if (found.agent !== agent)
    throw missing(`hold ${name} is in the log of ${found.agent}, and only that log can lift it`, `give the same command on ${found.agent}`)
  if (found.lifted !== undefined) throw missing(`hold ${name} was lifted on ${found.lifted.time} by ${found.lifted.by}`)
  return found
}

/** Records that a hold is over: what it named expires again as its class says. */
export async function liftHold(world: AgentWorld, log: OwnLog, { id, by, reason }: HoldLifting): Promise<Recorded> {
  const record: HoldLiftedRecord = { type: "hold-lifted", id, by, reason: reasonFrom(reason) }
  return await recordDurably(world, log, record)
}

function reasonFrom(text: string): string {
  const reason = text.trim()
  if (reason !== "" && reason.length <= holdReasonMax) return reason
  throw new ConfigError("config/usage", `--reason: expected 1 to ${String(holdReasonMax)} characters`)
}

async function recordDurably(world: AgentWorld, log: OwnLog, record: HoldRecord | HoldLiftedRecord): Promise<Recorded> {
  const recorded = await commitRecords(world, log, [record])
  const outcome = recorded.durable ? "ok" : "failed"
  world.tell({
    type: "deed",
    deed: { what: "hold", subject: record.id, outcome, details: { by: record.by, placed: record.type === "hold" } },
  })
  if (recorded.durable) return recorded
  throw new JobError("job/not-durable", `too few sites took the record: ${recorded.missed[0]?.message ?? "no reason given"}`, {
    hint: "bring the other sites back; the next run brings them what they lack",
  })
}
