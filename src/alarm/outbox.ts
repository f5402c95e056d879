import { AlarmError } from "../errors.ts"
import { formatDuration } from "../units.ts"
import type { Concern, Message } from "./alarm.ts"
import type { Channel } from "./channel.ts"
import { type Notice, noticeOf } from "./notice.ts"

/** A notice that one channel has not taken yet. */
export interface Letter {
  readonly notice: Notice
  readonly channel: string
  readonly attempts: number
  readonly sinceMs: number
  /** When it is tried again. */
  readonly dueMs: number
}

/** A channel that took nothing the last time. */
export interface Failing {
  readonly channel: string
  readonly sinceMs: number
  readonly why: string
}

export interface Outbox {
  readonly letters: readonly Letter[]
  readonly failing: readonly Failing[]
}

export interface Sending {
  /** Every channel of the configuration. */
  readonly channels: readonly Channel[]
  readonly host: string
  readonly now: Date
  readonly signal: AbortSignal
  newId(): string
}

const minuteMs = 60_000
/** A server that comes back within minutes loses nobody time, and one that is away for hours is not asked each minute. */
const againMsMax = 60 * minuteMs
/** After a day a notice is told by the next digest, and by the alarm that its channel fails; it is not sent any more. */
const letterMsMax = 24 * 3_600_000

/**
 * Sends what is new, and again what was not taken. A channel that fails does not hold up the others; where none of a message's channels
 * takes it, every other one that is configured is asked at once, for somebody must hear of it. What was not taken stays.
 */
export async function send(outbox: Outbox, messages: readonly Message[], sending: Sending): Promise<Outbox> {
  const work = new Dispatch(outbox, sending)
  await Promise.all([...outbox.letters.map((letter) => work.again(letter)), ...messages.map((message) => work.first(message))])
  return work.outbox()
}

/** What the next look finds of the channels: that alarms cannot be sent is an alarm, which goes by those that work. */
export function channelConcerns({ failing }: Outbox, now: Date): Concern[] {
  return failing.map(({ channel, sinceMs, why }) => ({
    id: `channel ${channel}`,
    severity: "critical",
    text: `alarms cannot be sent by ${why}, since ${formatDuration(now.getTime() - sinceMs)}`,
    next: `holdline notify test ${channel}`,
  }))
}

class Dispatch {
  readonly #sending: Sending
  readonly #channels: ReadonlyMap<string, Channel>
  readonly #left: Letter[] = []
  readonly #failing: Map<string, Failing>

  constructor({ failing }: Outbox, sending: Sending) {
    this.#sending = sending
    this.#channels = new Map(sending.channels.map((channel) => [channel.name, channel]))
    // One that is configured no more is no concern.
    this.#failing = new Map(failing.filter(({ channel }) => this.#channels.has(channel)).map((each) => [each.channel, each]))
  }

  outbox(): Outbox {
    const byAge = (a: Letter, b: Letter): number => a.sinceMs - b.sinceMs || (a.channel < b.channel ? -1 : 1)
    return { letters: this.#left.toSorted(byAge), failing: [...this.#failing.values()] }
  }

  async first(message: Message): Promise<void> {
    const { host, now } = this.#sending
    const notice = noticeOf(message, { id: this.#sending.newId(), host, time: now })
    const fresh = (channel: string): Letter => ({ notice, channel, attempts: 0, sinceMs: now.getTime(), dueMs: now.getTime() })
    const taken = await Promise.all(message.channels.map((channel) => this.#try(fresh(channel))))
    if (taken.some(Boolean) || message.kind === "digest") return
    const others = [...this.#channels.keys()].filter((channel) => !message.channels.includes(channel))
    await Promise.all(others.map((channel) => this.#try(fresh(channel))))
  }

  async again(letter: Letter): Promise<void> {
    const now = this.#sending.now.getTime()
    if (!this.#channels.has(letter.channel) || now - letter.sinceMs > letterMsMax) return
    if (letter.dueMs > now) this.#left.push(letter)
    else await this.#try(letter)
  }

  /** Whether the channel took it. */
  async #try(letter: Letter): Promise<boolean> {
    const { now, signal } = this.#sending
    const channel = this.#channels.get(letter.channel)
    if (channel === undefined) return false
    try {
      await channel.send(letter.notice, { signal })
      this.#failing.delete(channel.name)
      return true
    } catch (error) {
      if (!(error instanceof AlarmError) && !signal.aborted) throw error
      const attempts = letter.attempts + 1
      this.#left.push({ ...letter, attempts, dueMs: now.getTime() + Math.min(againMsMax, minuteMs * 2 ** (attempts - 1)) })
      const sinceMs = this.#failing.get(channel.name)?.sinceMs ?? now.getTime()
      if (error instanceof AlarmError) this.#failing.set(channel.name, { channel: channel.name, sinceMs, why: error.message })
      return false
    }
  }
}
