import { count, formatDuration } from "../units.ts"
import type { Alarm, Message } from "./alarm.ts"

/** A message as a channel sends it. */
export interface Notice {
  /** Of this one message: whoever gets it twice can tell. */
  readonly id: string
  readonly host: string
  readonly kind: Message["kind"] | "test"
  readonly time: Date
  /** One line. */
  readonly subject: string
  /** All of it, for people. */
  readonly text: string
  readonly alarms: readonly Alarm[]
}

const severe = (alarms: readonly Alarm[]): boolean => alarms.some(({ severity }) => severity === "critical")

/** A message in words: what is wrong comes first, then since when, then what to do. */
export function noticeOf(
  { kind, alarms }: Pick<Message, "kind" | "alarms">,
  given: { readonly id: string; readonly host: string; readonly time: Date },
): Notice {
  const lines = alarms.flatMap((alarm) => alarmLines(alarm, kind, given.time))
  return {
    ...given,
    kind,
    subject: `[holdline ${given.host}] ${headline(kind, alarms)}`,
    text: `${[`${headline(kind, alarms)}, on ${given.host}`, "", ...lines].join("\n").trimEnd()}\n`,
    alarms,
  }
}

/** What `notify test` sends. */
export function testNotice(given: { readonly id: string; readonly host: string; readonly time: Date }): Notice {
  return {
    ...given,
    kind: "test",
    subject: `[holdline ${given.host}] test: alarms of this host arrive here`,
    text: `This is a test. Alarms of ${given.host} arrive here.\n`,
    alarms: [],
  }
}

function headline(kind: Message["kind"], alarms: readonly Alarm[]): string {
  const [only] = alarms
  const what = alarms.length === 1 && only !== undefined ? only.text : count(alarms.length, "alarm")
  const word = severe(alarms) ? "CRITICAL" : "warning"
  switch (kind) {
    case "opened":
    case "worsened":
      return `${word}: ${what}`
    case "escalated":
      return `${word}, and nobody has taken it: ${what}`
    case "over":
      return `over: ${what}`
    case "digest":
      return alarms.length === 0 ? "today: nothing is open" : `today: ${count(alarms.length, "alarm")} open`
  }
}

function alarmLines(alarm: Alarm, kind: Message["kind"], now: Date): string[] {
  const { severity, text, sinceMs, goneMs, taken, next, id } = alarm
  const lasted = formatDuration((kind === "over" ? (goneMs ?? now.getTime()) : now.getTime()) - sinceMs)
  const since = new Date(sinceMs).toISOString().replace(/\.\d{3}Z$/, "Z")
  const state =
    kind === "over" ? `from ${since}, for ${lasted}` : `since ${since} (${lasted})${taken === null ? "" : `, taken by ${taken}`}`
  return [
    `${severity === "critical" ? "CRITICAL" : "warning"}  ${text}`,
    `  ${state}; ${id}`,
    ...(next === null || kind === "over" ? [] : [`  -> ${next}`]),
    "",
  ]
}
