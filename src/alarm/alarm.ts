/** Something that somebody should know of, as it is now. */
export interface Concern {
  /** The same for the same thing each time it is looked for, such as "job-late cdrs". */
  readonly id: string
  readonly severity: Severity
  /** One sentence, without personal data. */
  readonly text: string
  /** The command to go on with. */
  readonly next: string | null
}

/** Critical: what was promised is not kept, or will not be soon. Warning: it still is, but somebody has to look within days. */
export type Severity = "warning" | "critical"

/** A concern that was found, as it is remembered between rounds. */
export interface Alarm extends Concern {
  readonly sinceMs: number
  /** Since when it has not been found any more; null while it is. */
  readonly goneMs: number | null
  /** Whether anybody was told; not yet in quiet hours. */
  readonly told: boolean
  /** How many steps of the escalation were taken. */
  readonly escalated: number
  /** Who takes care of it: then it escalates no further. */
  readonly taken: string | null
}

export interface AlarmRules {
  /** Who is told of what at once. */
  readonly channels: Readonly<Record<Severity, readonly string[]>>
  /** A concern must be gone so long before it counts as over: one that comes and goes is one alarm. */
  readonly settleMs: number
  /** Whether warnings wait at a moment; critical ones never do. */
  isQuiet(now: Date): boolean
  /** Who else is told of a critical alarm that nobody took, each so long after it began. */
  readonly escalation: readonly { readonly afterMs: number; readonly channels: readonly string[] }[]
  /** Who gets all that is open, each day at this moment; also where nothing is: silence would say the same as a daemon that died. */
  readonly digest: { readonly channels: readonly string[]; lastDue(now: Date): Date } | null
}

/** What is sent, to whom. */
export interface Message {
  readonly kind: "opened" | "worsened" | "escalated" | "over" | "digest"
  readonly channels: readonly string[]
  readonly alarms: readonly Alarm[]
}

export interface AlarmMemory {
  readonly alarms: readonly Alarm[]
  /** When the last digest was due that was sent. */
  readonly digestMs: number
}

export interface Round {
  readonly memory: AlarmMemory
  readonly messages: readonly Message[]
}

/**
 * One look: what is told to whom now that these concerns are found, and what is remembered. Each change of an alarm is told once: that it
 * began, that it became critical, that nobody took it, that it is over. `doubtful` names concerns that could not be looked for this
 * time, by the beginning of their ids: what is known of them stays as it is, for not having looked is no good news.
 */
export function look(
  memory: AlarmMemory,
  found: readonly Concern[],
  rules: AlarmRules,
  at: { readonly now: Date; readonly doubtful: readonly string[] },
): Round {
  const now = at.now.getTime()
  const known = new Map(memory.alarms.map((alarm) => [alarm.id, alarm]))
  const seen = new Set(found.map(({ id }) => id))
  const messages: Message[] = []
  const alarms: Alarm[] = []
  const quiet = rules.isQuiet(at.now)
  for (const concern of worstOfEach(found)) alarms.push(...held(known.get(concern.id), concern))
  for (const alarm of memory.alarms) {
    if (seen.has(alarm.id)) continue
    const left = gone(alarm)
    if (left !== null) alarms.push(left)
  }
  const digest = digestOf()
  return {
    memory: { alarms: alarms.toSorted((a, b) => a.sinceMs - b.sinceMs || (a.id < b.id ? -1 : 1)), digestMs: digest },
    messages: merged(messages),
  }

  function held(before: Alarm | undefined, concern: Concern): Alarm[] {
    const worse = before?.told === true && before.severity === "warning" && concern.severity === "critical"
    const alarm: Alarm = {
      ...concern,
      // Who was told that it is critical is told when it is over, and not each time it comes back.
      severity: before?.severity === "critical" ? "critical" : concern.severity,
      sinceMs: before?.sinceMs ?? now,
      goneMs: null,
      told: before?.told ?? false,
      // From when it became critical, it escalates anew.
      escalated: worse ? 0 : (before?.escalated ?? 0),
      taken: worse ? null : (before?.taken ?? null),
    }
    if (worse) return [tell("worsened", { ...alarm, sinceMs: now })]
    if (!alarm.told) return [alarm.severity === "warning" && quiet ? alarm : tell("opened", alarm)]
    return [escalate(alarm)]
  }

  function tell(kind: "opened" | "worsened", alarm: Alarm): Alarm {
    const told = { ...alarm, told: true }
    messages.push({ kind, channels: rules.channels[alarm.severity], alarms: [told] })
    return told
  }

  function escalate(alarm: Alarm): Alarm {
    const step = rules.escalation[alarm.escalated]
    if (alarm.severity !== "critical" || alarm.taken !== null || step === undefined || now - alarm.sinceMs < step.afterMs) return alarm
    const escalated = { ...alarm, escalated: alarm.escalated + 1 }
    messages.push({ kind: "escalated", channels: step.channels, alarms: [escalated] })
    return escalated
  }

  function gone(alarm: Alarm): Alarm | null {
    if (at.doubtful.some((start) => alarm.id.startsWith(start))) return alarm
    const goneMs = alarm.goneMs ?? now
    if (now - goneMs < rules.settleMs) return { ...alarm, goneMs }
    // Whoever was told that it began is told that it is over; nobody else.
    const channels = [...rules.channels[alarm.severity], ...rules.escalation.slice(0, alarm.escalated).flatMap((step) => step.channels)]
    if (alarm.told) messages.push({ kind: "over", channels: [...new Set(channels)], alarms: [{ ...alarm, goneMs }] })
    return null
  }

  function digestOf(): number {
    if (rules.digest === null) return memory.digestMs
    const due = rules.digest.lastDue(at.now).getTime()
    if (due <= memory.digestMs) return memory.digestMs
    messages.push({ kind: "digest", channels: rules.digest.channels, alarms: alarms.filter(({ goneMs }) => goneMs === null) })
    return due
  }
}

/** Of one id there is one: the worst of those that were found. */
function worstOfEach(found: readonly Concern[]): readonly Concern[] {
  const worst = new Map<string, Concern>()
  for (const concern of found) {
    const before = worst.get(concern.id)
    if (before === undefined || (before.severity === "warning" && concern.severity === "critical")) worst.set(concern.id, concern)
  }
  return [...worst.values()]
}

/** One message for all that is told to the same people in one round: a site that dies is not twenty calls. */
function merged(messages: readonly Message[]): Message[] {
  const together = new Map<string, Message>()
  for (const message of messages) {
    if (message.channels.length === 0) continue
    const key = JSON.stringify([message.kind, message.channels.toSorted()])
    const before = together.get(key)
    together.set(key, before === undefined ? message : { ...before, alarms: [...before.alarms, ...message.alarms] })
  }
  return [...together.values()]
}

/** Somebody takes care of an alarm: it escalates no further until it is over. */
export function take(memory: AlarmMemory, id: string, by: string): AlarmMemory {
  return { ...memory, alarms: memory.alarms.map((alarm) => (alarm.id === id ? { ...alarm, taken: by } : alarm)) }
}
