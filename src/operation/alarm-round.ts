import { type AlarmRules, type Concern, look } from "../alarm/alarm.ts"
import type { Channel } from "../alarm/channel.ts"
import type { AlarmState } from "../alarm/memory.ts"
import { channelConcerns, send } from "../alarm/outbox.ts"

export interface AlarmRound {
  readonly rules: AlarmRules
  readonly channels: readonly Channel[]
  readonly host: string
  readonly now: Date
  readonly signal: AbortSignal
  newId(): string
}

/** One look at what is wrong, and what is told of it. `found` is all that there is; that alarms cannot be sent is added to it. */
export async function alarmRound(state: AlarmState, found: readonly Concern[], round: AlarmRound): Promise<AlarmState> {
  const { now, rules } = round
  const concerns = [...found, ...channelConcerns(state.outbox, now)]
  const { memory, messages } = look(state.memory, concerns, rules, { now, doubtful: [] })
  return { memory, outbox: await send(state.outbox, messages, round) }
}
