import { createHmac } from "node:crypto"
import { anyOf } from "../abort.ts"
import { AlarmError, reasonOf } from "../errors.ts"
import type { Secret } from "../secret.ts"
import { type Channel, sendTimeoutMs } from "./channel.ts"
import type { Notice } from "./notice.ts"

export interface WebhookSettings {
  readonly name: string
  readonly url: Secret
  /** What the receiver verifies the signature with; null: it is not signed. */
  readonly secret: Secret | null
}

/**
 * Posts JSON. `Holdline-Signature` is `v1=` and the HMAC-SHA-256, in hexadecimal, of `Holdline-Timestamp`, a full stop and the body: a
 * receiver refuses what is older than minutes, and what does not fit. `Holdline-Delivery` is the same where a notice comes twice.
 */
export function webhookChannel({ name, url, secret }: WebhookSettings): Channel {
  return {
    name,
    send(notice, { signal }) {
      const body = JSON.stringify(webhookBody(notice))
      const timestamp = String(Math.floor(notice.time.getTime() / 1000))
      const signature = secret === null ? {} : { "Holdline-Signature": `v1=${signatureOf(secret, timestamp, body)}` }
      return post(name, url, body, { headers: { "Holdline-Timestamp": timestamp, "Holdline-Delivery": notice.id, ...signature }, signal })
    },
  }
}

function signatureOf(secret: Secret, timestamp: string, body: string): string {
  return createHmac("sha256", secret.reveal()).update(`${timestamp}.${body}`).digest("hex")
}

function webhookBody({ id, host, kind, time, subject, text, alarms }: Notice) {
  return {
    ...{ v: 1, id, host, kind, time: time.toISOString(), subject, text },
    alarms: alarms.map((alarm) => ({
      ...{ id: alarm.id, severity: alarm.severity, text: alarm.text, next: alarm.next, taken: alarm.taken },
      since: new Date(alarm.sinceMs).toISOString(),
    })),
  }
}

/** Posts what a Slack incoming webhook takes; Mattermost and Rocket.Chat take it as well. */
export function slackChannel({ name, url }: Pick<WebhookSettings, "name" | "url">): Channel {
  return {
    name,
    send: ({ subject, text }, { signal }) =>
      post(name, url, JSON.stringify({ text: `*${escaped(subject)}*\n${escaped(text)}` }), { headers: {}, signal }),
  }
}

/** Slack's own three: anything else is text. */
function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")
}

export interface PagerDutySettings {
  readonly name: string
  readonly url: Secret
  readonly routingKey: Secret
}

/** PagerDuty's Events API v2: an incident for each alarm, which the end of the alarm resolves. A digest is none. */
export function pagerDutyChannel({ name, url, routingKey }: PagerDutySettings): Channel {
  return {
    name,
    async send(notice, { signal }) {
      for (const event of pagerDutyEvents(notice)) {
        await post(name, url, JSON.stringify({ routing_key: routingKey.reveal(), ...event }), { headers: {}, signal })
      }
    },
  }
}

function pagerDutyEvents({ kind, host, id, subject, time, alarms }: Notice) {
  if (kind === "digest") return []
  if (kind === "test") {
    const payload = { summary: subject, source: host, severity: "info", timestamp: time.toISOString() }
    return [
      { event_action: "trigger", dedup_key: id, payload },
      { event_action: "resolve", dedup_key: id },
    ]
  }
  return alarms.map((alarm) => {
    const key = `holdline ${host} ${alarm.id}`
    if (kind === "over") return { event_action: "resolve", dedup_key: key }
    const payload = {
      ...{ summary: alarm.text.slice(0, 1024), source: host, severity: alarm.severity, timestamp: new Date(alarm.sinceMs).toISOString() },
      ...(alarm.next !== null && { custom_details: { next: alarm.next } }),
    }
    return { event_action: "trigger", dedup_key: key, payload }
  })
}

/** Tells whoever waits for it that this host is still looking: a GET, as dead man's switches take it. */
export async function ping(name: string, url: Secret, signal: AbortSignal): Promise<void> {
  await request(name, url, { method: "GET", signal })
}

interface Posting {
  readonly headers: Readonly<Record<string, string>>
  readonly signal: AbortSignal
}

async function post(name: string, url: Secret, body: string, { headers, signal }: Posting): Promise<void> {
  await request(name, url, { method: "POST", body, headers: { ...headers, "Content-Type": "application/json" }, signal })
}

// The address itself is a secret: whoever knows it may post there. It is in no message.
async function request(name: string, url: Secret, init: RequestInit & { readonly signal: AbortSignal }): Promise<void> {
  let response: Response
  try {
    response = await fetch(url.reveal(), {
      ...init,
      redirect: "error",
      signal: anyOf(init.signal, AbortSignal.timeout(sendTimeoutMs)),
    })
  } catch (error) {
    init.signal.throwIfAborted()
    throw new AlarmError(name, "alarm/unreachable", `cannot be reached: ${failureOf(error).replaceAll(url.reveal(), "…")}`, {
      hint: "check the address, and whether this host may connect to it",
    })
  }
  await response.body?.cancel()
  if (response.ok) return
  const later = response.status === 429 || response.status >= 500
  throw new AlarmError(name, later ? "alarm/unreachable" : "alarm/refused", `answered ${String(response.status)}`, {
    hint: later ? "it is tried again" : "check the address, and its key or token",
  })
}

/** fetch says "fetch failed", and why in its cause; both may quote the address. */
function failureOf(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
  if (cause instanceof Error && "code" in cause && typeof cause.code === "string") return cause.code
  if (cause instanceof Error && cause.name === "TimeoutError") return `no answer within ${String(sendTimeoutMs / 1000)} seconds`
  return reasonOf(cause)
}
