import { z } from "zod"
import type { AlarmMemory } from "./alarm.ts"
import type { Outbox } from "./outbox.ts"

/** What is remembered between two looks. */
export interface AlarmState {
  readonly memory: AlarmMemory
  readonly outbox: Outbox
}

export const noAlarms: AlarmState = { memory: { alarms: [], digestMs: 0 }, outbox: { letters: [], failing: [] } }

const alarm = z.object({
  id: z.string(),
  severity: z.enum(["warning", "critical"]),
  text: z.string(),
  next: z.string().nullable(),
  sinceMs: z.number(),
  goneMs: z.number().nullable(),
  told: z.boolean(),
  escalated: z.int(),
  taken: z.string().nullable(),
})

const notice = z.object({
  id: z.string(),
  host: z.string(),
  kind: z.enum(["opened", "worsened", "escalated", "over", "digest", "test"]),
  time: z.iso.datetime().transform((text) => new Date(text)),
  subject: z.string(),
  text: z.string(),
  alarms: z.array(alarm),
})

const state = z.object({
  memory: z.object({ alarms: z.array(alarm), digestMs: z.number() }),
  outbox: z.object({
    letters: z.array(z.object({ notice, channel: z.string(), attempts: z.int(), sinceMs: z.number(), dueMs: z.number() })),
    failing: z.array(z.object({ channel: z.string(), sinceMs: z.number(), why: z.string() })),
  }),
})

/** Reads what `JSON.stringify` wrote of a state; null where it is none. */
export function parseAlarmState(text: string): AlarmState | null {
  try {
    return state.safeParse(JSON.parse(text)).data ?? null
  } catch {
    return null
  }
}
