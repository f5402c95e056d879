import { outsideNumber, type WorldAccount } from "./accounts.ts"
import { type AudioKind, bytesPerSecond } from "./audio.ts"
import type { Dice } from "./dice.ts"
import { dayName, type LocalTime, localTime, momentOf, monthNames, stamp, two } from "./localtime.ts"

export interface Call {
  readonly account: WorldAccount
  readonly uuid: string
  readonly startMs: number
  readonly endMs: number
  readonly start: LocalTime
  readonly answered: boolean
  readonly seconds: number
  readonly caller: { readonly name: string; readonly number: string }
  readonly callee: string
  /** Of the recording, where there is one; emptied when the recording is deleted, rewritten when it is converted. */
  recordPath: string
  recordName: string
}

export interface Period {
  readonly fromMs: number
  readonly toMs: number
  readonly timezone: string
}

/** Recorded calls whose recordings take about `bytes` together; durations are lognormal, and all shortened alike where they must be. */
export function recordedCalls(
  accounts: readonly WorldAccount[],
  period: Period,
  plan: { count: number; bytes: number },
  dice: Dice,
): RecordedCall[] {
  const weights = accounts.map((account) => account.recordingWeight)
  const drafts = Array.from({ length: plan.count }, () => {
    const kind: AudioKind = dice.chance(0.85) ? "mp3" : "wav"
    return { account: chosen(accounts, weights, dice), kind, seconds: talkSeconds(dice) }
  })
  const wanted = drafts.reduce((sum, { kind, seconds }) => sum + seconds * bytesPerSecond[kind], 0)
  const factor = Math.min(1, plan.bytes / Math.max(1, wanted))
  return drafts.map(({ account, kind, seconds }) => {
    const call = makeCall(account, period, { answered: true, seconds: Math.max(0.2, seconds * factor) }, dice)
    const recordName = `${call.uuid}.${kind}`
    return { kind, call: { ...call, recordPath: archiveFolder(account, call.start), recordName } }
  })
}

export interface RecordedCall {
  readonly call: Call
  readonly kind: AudioKind
}

/** Calls that nobody recorded. */
export function plainCalls(accounts: readonly WorldAccount[], period: Period, count: number, dice: Dice): Call[] {
  const weights = accounts.map((account) => account.callWeight)
  return Array.from({ length: count }, () => {
    const answered = dice.chance(0.68)
    const seconds = answered ? talkSeconds(dice) : dice.between(1, 45)
    return makeCall(chosen(accounts, weights, dice), period, { answered, seconds }, dice)
  })
}

/** A call that begins before midnight of the period's last whole day and ends after it. */
export function acrossMidnight(call: Call, period: Period): Call {
  const last = localTime(period.toMs - 86_400_000, period.timezone)
  const start = { ...last, hour: 23, minute: 59, second: 40 }
  const startMs = momentOf(start, period.timezone)
  return {
    ...call,
    startMs,
    start,
    endMs: startMs + 60_000,
    seconds: Math.min(call.seconds, 60),
    recordPath: archiveFolder(call.account, start),
  }
}

function archiveFolder(account: WorldAccount, start: LocalTime): string {
  return `${account.domain}/archive/${String(start.year)}/${monthNames[start.month - 1] ?? ""}/${two(start.day)}`
}

/** The call records of one account and day, as a switch writes them. */
export function csvOf(calls: readonly Call[], timezone: string): Buffer {
  const rows = calls.toSorted((a, b) => a.endMs - b.endMs || (a.uuid < b.uuid ? -1 : 1)).map((call) => csvRow(call, timezone))
  return Buffer.from(`${columns}\n${rows.map((row) => `${row}\n`).join("")}`)
}

export function csvPath(call: Call): string {
  return `${call.account.domain}/${dayName(call.start)}.csv`
}

const columns =
  "caller_id_name,caller_id_number,destination_number,context,start_stamp,answer_stamp,end_stamp,duration,billsec,hangup_cause,uuid,bleg_uuid,accountcode,read_codec,write_codec,record_path,record_name"

function csvRow(call: Call, timezone: string): string {
  const ringing = Math.max(0, Math.round((call.endMs - call.startMs) / 1000 - call.seconds))
  const answer = call.answered ? stamp(localTime(call.startMs + ringing * 1000, timezone)) : ""
  const fields = [
    call.caller.name,
    call.caller.number,
    call.callee,
    call.account.domain,
    stamp(call.start),
    answer,
    stamp(localTime(call.endMs, timezone)),
    String(Math.round((call.endMs - call.startMs) / 1000)),
    call.answered ? String(Math.round(call.seconds)) : "0",
    call.answered ? "NORMAL_CLEARING" : "NO_ANSWER",
    call.uuid,
    "",
    call.account.domain,
    "PCMU",
    "PCMU",
    call.recordPath,
    call.recordName,
  ]
  return fields.map((field) => `"${field.replaceAll('"', '""')}"`).join(",")
}

function makeCall(account: WorldAccount, period: Period, talk: { readonly answered: boolean; readonly seconds: number }, dice: Dice): Call {
  const lengthMs = Math.round((talk.seconds + (talk.answered ? dice.between(2, 20) : 0)) * 1000)
  const drawn = drawStart(period, dice)
  // Nothing in the world is still going on at its end.
  const startMs = Math.max(period.fromMs, Math.min(drawn, period.toMs - lengthMs - quietMs))
  const extension = account.extensions[dice.between(0, account.extensions.length - 1)]
  const inside = extension?.number ?? "100"
  const outside = outsideNumber(dice)
  const inbound = dice.chance(0.5)
  return {
    account,
    uuid: dice.uuid(),
    startMs,
    endMs: startMs + lengthMs,
    start: localTime(startMs, period.timezone),
    answered: talk.answered,
    seconds: talk.seconds,
    caller: inbound ? { name: "", number: outside } : { name: extension?.name ?? "", number: inside },
    callee: inbound ? inside : outside,
    recordPath: "",
    recordName: "",
  }
}

/** Before the world's end no call ends, so that every recording can count as settled by its time of change. */
const quietMs = 15 * 60_000

function drawStart(period: Period, dice: Dice): number {
  const days = Math.max(1, Math.round((period.toMs - period.fromMs) / 86_400_000))
  const moments = Array.from({ length: days }, (_, index) => period.toMs - index * 86_400_000)
  const day = moments[dice.weighted(moments.map((ms) => weekdayWeights[new Date(ms).getUTCDay()] ?? 1))] ?? period.toMs
  const local = {
    ...localTime(day, period.timezone),
    hour: dice.weighted(hourWeights),
    minute: dice.between(0, 59),
    second: dice.between(0, 59),
  }
  return momentOf(local, period.timezone) + dice.between(0, 999)
}

const weekdayWeights = [0.11, 1.12, 1.07, 1.04, 1.02, 0.94, 0.2] as const
const hourWeights = [
  0.19, 0.09, 0.09, 0.09, 0.19, 0.56, 1.3, 2.96, 7.22, 10.37, 11.11, 10.46, 7.96, 9.54, 10.56, 9.81, 7.78, 3.89, 2.04, 1.39, 0.93, 0.74,
  0.46, 0.28,
] as const

function talkSeconds(dice: Dice): number {
  return dice.chance(0.03) ? dice.next() * 2 : Math.min(4 * 3600, dice.lognormal(4.53, 1.15))
}

function chosen(accounts: readonly WorldAccount[], weights: readonly number[], dice: Dice): WorldAccount {
  const account = accounts[dice.weighted(weights)]
  if (account === undefined) throw new Error("a provider without customers")
  return account
}
