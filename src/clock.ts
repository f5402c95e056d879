import { setTimeout } from "node:timers/promises"

/** Time is an input. Only bin/ passes systemClock; tests pass a fixed one. */
export interface Clock {
  now(): Date
}

export const systemClock: Clock = { now: () => new Date() }

/** ISO 8601 in UTC with milliseconds, such as 2026-11-21T18:40:00.000Z: how every time in a signed object is written. */
export function timestamp(date: Date): string {
  return date.toISOString()
}

/** The UTC calendar day, such as 2026-11-21. */
export function utcDay(date: Date): string {
  return date.toISOString().slice(0, 10)
}

/** The ISO 8601 week in UTC as used in key epochs, such as 2026w47. */
export function isoWeek(date: Date): string {
  const thursday = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()))
  thursday.setUTCDate(thursday.getUTCDate() + 4 - (thursday.getUTCDay() || 7))
  const firstDay = Date.UTC(thursday.getUTCFullYear(), 0, 1)
  const week = Math.ceil(((thursday.getTime() - firstDay) / 86_400_000 + 1) / 7)
  return `${String(thursday.getUTCFullYear())}w${String(week).padStart(2, "0")}`
}

/** Waits; rejects with the signal's reason as soon as it is aborted. Waiting is an input as time is. */
export type Sleep = (ms: number, options?: { readonly signal?: AbortSignal | undefined }) => Promise<void>

export const systemSleep: Sleep = async (ms, { signal } = {}) => {
  try {
    await setTimeout(ms, undefined, { signal })
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  }
}
