import { mkdirSync, utimesSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import type { PostgresServer } from "../database/servers.ts"
import type { WorldAccount } from "../world/accounts.ts"
import { bytesPerSecond } from "../world/audio.ts"
import { type Call, plainCalls, recordedCalls } from "../world/calls.ts"
import { Dice } from "../world/dice.ts"
import { copyIn } from "./fusionpbx.ts"
import { momentText, Values } from "./values.ts"

/** A call as the database comes to know it: late, perhaps, and not for the last time. */
export interface CdrEvent {
  readonly call: Call
  /** When its row is written. */
  readonly writtenMs: number
  readonly changes: readonly { readonly atMs: number; readonly kind: "transcript" | "disposition" | "deleted" }[]
}

export interface CdrOptions {
  readonly seed: string
  /** The first moment of the first day, and the first after the last. */
  readonly fromMs: number
  readonly toMs: number
  /** Of the switch. */
  readonly timezone: string
  readonly calls: number
}

/** Calls of some days in the order their rows are written: 3 % of the rows are late, some by days, and some change. */
export function cdrEvents(accounts: readonly WorldAccount[], options: CdrOptions): readonly CdrEvent[] {
  const dice = new Dice(`${options.seed} calls`)
  const recorded = Math.round(options.calls * recordedShare)
  const calls = [
    ...recordedCalls(accounts, options, { count: recorded, bytes: recorded * 180 * bytesPerSecond.mp3 }, dice).map(({ call }) => call),
    ...plainCalls(accounts, options, options.calls - recorded, dice),
  ]
  return calls.map((call) => eventOf(call, dice)).sort((a, b) => a.writtenMs - b.writtenMs || (a.call.uuid < b.call.uuid ? -1 : 1))
}

const recordedShare = 0.17

function eventOf(call: Call, dice: Dice): CdrEvent {
  const writtenMs = call.endMs + Math.round(lateness(dice) * 1000)
  const after = (seconds: number): number => writtenMs + Math.round(dice.next() * seconds * 1000)
  const changes: { atMs: number; kind: "transcript" | "disposition" | "deleted" }[] = []
  if (call.recordName !== "" && dice.chance(0.2)) changes.push({ atMs: after(600), kind: "transcript" })
  if (dice.chance(0.02)) changes.push({ atMs: after(86_400), kind: "disposition" })
  if (call.recordName !== "" && dice.chance(0.003)) changes.push({ atMs: after(30 * 86_400), kind: "deleted" })
  return { call, writtenMs, changes }
}

function lateness(dice: Dice): number {
  const [low, high] = (
    [
      [0, 5],
      [5, 300],
      [300, 3600],
      [3600, 72 * 3600],
    ] as const
  )[dice.weighted([97, 2.5, 0.45, 0.05])] ?? [0, 5]
  return low + dice.next() * (high - low)
}

/** What the switch calls the root of its recordings. */
export const recordingsRoot = "/var/lib/freeswitch/recordings"

/** Brings the database from one moment to a later one: the rows written between them, and the changes made between them. */
export async function passTime(
  server: PostgresServer,
  database: string,
  events: readonly CdrEvent[],
  period: { readonly fromMs: number; readonly toMs: number },
): Promise<void> {
  const within = (ms: number): boolean => ms >= period.fromMs && ms < period.toMs
  const written = events.filter(({ writtenMs }) => within(writtenMs))
  const values = new Values(new Dice(`${String(period.fromMs)} satellites`), period.toMs)
  await copyIn(server, database, `v_xml_cdr (${cdrColumns})`, written.map(cdrLine))
  await copyIn(
    server,
    database,
    "v_xml_cdr_flow (xml_cdr_flow_uuid, xml_cdr_uuid, domain_uuid, call_flow, insert_date)",
    written.map(({ call, writtenMs }) => `${values.uuid()}\t${call.uuid}\t${call.account.uuid}\t${flow(call)}\t${momentText(writtenMs)}\n`),
  )
  const changed = events.flatMap((event) =>
    event.changes.filter(({ atMs }) => within(atMs)).map((change) => ({ ...change, call: event.call })),
  )
  await server.sql(changed.map(({ kind, atMs, call }) => changeStatement(kind, atMs, call, values.uuid())).join("\n"), database)
}

const cdrColumns =
  "xml_cdr_uuid, domain_uuid, domain_name, accountcode, direction, context, caller_id_name, caller_id_number, destination_number, start_epoch, start_stamp, answer_stamp, end_epoch, end_stamp, duration, billsec, read_codec, write_codec, record_path, record_name, record_length, leg, missed_call, hangup_cause, processed, insert_date"

function cdrLine({ call, writtenMs }: CdrEvent): string {
  const { account, caller } = call
  const recorded = call.recordName !== ""
  const seconds = Math.round((call.endMs - call.startMs) / 1000)
  const fields = [
    ...[call.uuid, account.uuid, account.domain, account.domain, caller.name === "" ? "inbound" : "outbound", account.domain],
    ...[caller.name, caller.number, call.callee, String(Math.floor(call.startMs / 1000)), momentText(call.startMs)],
    ...[call.answered ? momentText(call.endMs - Math.round(call.seconds * 1000)) : "\\N"],
    ...[String(Math.floor(call.endMs / 1000)), momentText(call.endMs), String(seconds)],
    ...[call.answered ? String(Math.round(call.seconds)) : "0", "PCMU", "PCMU"],
    ...(recorded ? [`${recordingsRoot}/${call.recordPath}`, call.recordName, String(Math.round(call.seconds))] : ["\\N", "\\N", "\\N"]),
    ...["a", call.answered ? "f" : "t", call.answered ? "NORMAL_CLEARING" : "NO_ANSWER", "t", momentText(writtenMs)],
  ]
  return `${fields.join("\t")}\n`
}

function flow({ caller, callee, account, startMs, endMs }: Call): string {
  return `[{"caller_profile": {"caller_id_number": "${caller.number}", "destination_number": "${callee}", "context": "${account.domain}"}, "times": {"created_time": "${startMs}000", "hangup_time": "${endMs}000"}}]`
}

function changeStatement(kind: CdrEvent["changes"][number]["kind"], atMs: number, { uuid, account }: Call, newUuid: string): string {
  const at = momentText(atMs)
  switch (kind) {
    case "transcript":
      return `INSERT INTO v_xml_cdr_transcripts (xml_cdr_transcript_uuid, xml_cdr_uuid, domain_uuid, transcript_summary, insert_date) VALUES ('${newUuid}', '${uuid}', '${account.uuid}', 'Asked for a call back', '${at}');`
    case "disposition":
      return `UPDATE v_xml_cdr SET call_disposition = 'handled', update_date = '${at}' WHERE xml_cdr_uuid = '${uuid}';`
    case "deleted":
      return `UPDATE v_xml_cdr SET record_path = NULL, record_name = NULL, record_length = NULL, update_date = '${at}' WHERE xml_cdr_uuid = '${uuid}';`
  }
}

/** Writes a small file where each recorded call of the list says its recording is, as of the call's end; gives their paths below `root`. */
export function writeRecordings(root: string, calls: readonly Call[]): readonly string[] {
  return calls
    .filter(({ recordName }) => recordName !== "")
    .map(({ recordPath, recordName, uuid, endMs }) => {
      const path = `${recordPath}/${recordName}`
      mkdirSync(dirname(join(root, path)), { recursive: true })
      writeFileSync(join(root, path), new Dice(uuid).bytes(512))
      utimesSync(join(root, path), endMs / 1000, endMs / 1000)
      return path
    })
}
