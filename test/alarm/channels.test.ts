import { createHmac } from "node:crypto"
import { once } from "node:events"
import { createServer, type IncomingHttpHeaders, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { text } from "node:stream/consumers"
import { SMTPServer, type SMTPServerOptions } from "smtp-server"
import { afterEach, describe, expect, test } from "vitest"
import type { Alarm } from "../../src/alarm/alarm.ts"
import { type MailSettings, mailChannel } from "../../src/alarm/mail.ts"
import { noticeOf, testNotice } from "../../src/alarm/notice.ts"
import { pagerDutyChannel, ping, slackChannel, webhookChannel } from "../../src/alarm/webhook.ts"
import { Secret } from "../../src/secret.ts"

const time = new Date("2031-03-04T12:00:00Z")
const given = { id: "0123", host: "pbx-1", time }
const alarm: Alarm = {
  ...{ id: "job-late cdrs", severity: "critical", text: "cdrs is older than promised <1h>", next: "holdline run cdrs" },
  ...{ sinceMs: time.getTime() - 3_600_000, goneMs: null, told: true, escalated: 0, taken: null },
}
const opened = noticeOf({ kind: "opened", alarms: [alarm] }, given)
const { signal } = new AbortController()

test("a notice says what is wrong, since when, and what to do", () => {
  expect(opened.subject).toBe("[holdline pbx-1] CRITICAL: cdrs is older than promised <1h>")
  expect(opened.text).toBe(
    [
      "CRITICAL: cdrs is older than promised <1h>, on pbx-1",
      "",
      "CRITICAL  cdrs is older than promised <1h>",
      "  since 2031-03-04T11:00:00Z (1h 00m); job-late cdrs",
      "  -> holdline run cdrs",
      "",
    ].join("\n"),
  )
  expect(noticeOf({ kind: "digest", alarms: [] }, given).subject).toContain("nothing is open")
  expect(noticeOf({ kind: "over", alarms: [{ ...alarm, goneMs: time.getTime() }] }, given).text).not.toContain("->")
})

interface Received {
  readonly method: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

let server: Server | undefined
afterEach(() => {
  server?.closeAllConnections()
  server?.close()
})

/** A server that answers with these in turn, the last one for ever; its address, and what it got. */
async function receiver(...answers: readonly number[]): Promise<{ readonly url: Secret; readonly received: Received[] }> {
  const received: Received[] = []
  const started = createServer((request, response) => {
    void text(request).then((body) => {
      received.push({ method: request.method ?? "", headers: request.headers, body })
      const status = answers[Math.min(received.length, answers.length) - 1] ?? 200
      response.writeHead(status, status === 302 ? { location: "http://127.0.0.1:1/elsewhere" } : {}).end("no")
    })
  })
  server = started
  started.listen(0, "127.0.0.1")
  await once(started, "listening")
  return { url: new Secret(`http://127.0.0.1:${String(portOf(started.address()))}/hook/very-secret`), received }
}

function portOf(address: AddressInfo | string | null): number {
  if (address === null || typeof address === "string") throw new Error("no port")
  return address.port
}

describe("a webhook", () => {
  test("gets JSON that it can verify", async () => {
    const { url, received } = await receiver(204)
    await webhookChannel({ name: "hook", url, secret: new Secret("shared") }).send(opened, { signal })
    const [{ headers, body }] = received as [Received]
    expect(JSON.parse(body)).toMatchObject({
      v: 1,
      host: "pbx-1",
      kind: "opened",
      alarms: [{ id: "job-late cdrs", since: "2031-03-04T11:00:00.000Z" }],
    })
    const signature = createHmac("sha256", "shared")
      .update(`${String(time.getTime() / 1000)}.${body}`)
      .digest("hex")
    expect(headers).toMatchObject({
      "holdline-timestamp": String(time.getTime() / 1000),
      "holdline-signature": `v1=${signature}`,
      "holdline-delivery": "0123",
      "content-type": "application/json",
    })
  })

  test.each([
    [500, "alarm/unreachable"],
    [429, "alarm/unreachable"],
    [404, "alarm/refused"],
    [302, "alarm/unreachable"],
  ])("that answers %i has not taken it, and its address is in no message", async (status, code) => {
    const { url } = await receiver(status)
    const sending = webhookChannel({ name: "hook", url, secret: null }).send(opened, { signal })
    await expect(sending).rejects.toMatchObject({ code, message: expect.stringMatching(/^hook: (?!.*very-secret)/) })
  })

  test("that is not there is unreachable", async () => {
    const { url } = await receiver(200)
    server?.close()
    await once(server ?? createServer(), "close")
    const sending = webhookChannel({ name: "hook", url, secret: null }).send(opened, { signal })
    await expect(sending).rejects.toMatchObject({ code: "alarm/unreachable", message: "hook: cannot be reached: ECONNREFUSED" })
  })
})

test("Slack gets text whose angle brackets are no markup", async () => {
  const { url, received } = await receiver(200)
  await slackChannel({ name: "slack", url }).send(opened, { signal })
  expect(JSON.parse(received[0]?.body ?? "").text).toContain("*[holdline pbx-1] CRITICAL: cdrs is older than promised &lt;1h&gt;*")
})

test("PagerDuty gets an incident for each alarm, resolved by its end, and none for a digest", async () => {
  const { url, received } = await receiver(202)
  const channel = pagerDutyChannel({ name: "pager", url, routingKey: new Secret("route") })
  await channel.send(opened, { signal })
  await channel.send(noticeOf({ kind: "over", alarms: [alarm] }, given), { signal })
  await channel.send(noticeOf({ kind: "digest", alarms: [alarm] }, given), { signal })
  const key = "holdline pbx-1 job-late cdrs"
  expect(received.map(({ body }) => JSON.parse(body))).toMatchObject([
    { routing_key: "route", event_action: "trigger", dedup_key: key, payload: { severity: "critical", source: "pbx-1" } },
    { event_action: "resolve", dedup_key: key },
  ])
  await channel.send(testNotice(given), { signal })
  expect(received.slice(2).map(({ body }) => JSON.parse(body).event_action)).toEqual(["trigger", "resolve"])
})

test("a dead man's switch is asked for, and one that does not answer well is told", async () => {
  const { url, received } = await receiver(200, 500)
  await ping("switch", url, signal)
  expect(received[0]?.method).toBe("GET")
  await expect(ping("switch", url, signal)).rejects.toMatchObject({ code: "alarm/unreachable" })
})

describe("mail", () => {
  let smtp: SMTPServer | undefined
  afterEach(async () => {
    await new Promise<void>((resolve) => (smtp === undefined ? resolve() : smtp.close(() => resolve())))
    smtp = undefined
  })

  /** A real SMTP server on loopback: its port, and the messages that it took. */
  async function mailServer(options: SMTPServerOptions = {}): Promise<{ readonly port: number; readonly mails: string[] }> {
    const mails: string[] = []
    const started = new SMTPServer({
      ...{ disabledCommands: ["STARTTLS"], authOptional: true, logger: false },
      onData: (stream, _, done) => void text(stream).then((mail) => [mails.push(mail), done()]),
      ...options,
    })
    smtp = started
    // A client that breaks off is its own affair.
    started.on("error", () => undefined)
    const listening = started.listen(0, "127.0.0.1")
    await once(listening, "listening")
    return { port: portOf(listening.address()), mails }
  }

  function settings(port: number, more: Partial<MailSettings> = {}): MailSettings {
    return {
      name: "mail",
      host: "127.0.0.1",
      port,
      tls: "none",
      login: null,
      from: "holdline@example.net",
      to: ["ops@example.net"],
      ...more,
    }
  }

  test("reaches every address as plain text, and says that a machine wrote it", async () => {
    const { port, mails } = await mailServer()
    await mailChannel(settings(port, { to: ["ops@example.net", "boss@example.net"] })).send(opened, { signal })
    expect(mails).toHaveLength(1)
    expect(mails[0]).toMatch(/Subject: \[holdline pbx-1\] CRITICAL: cdrs is older than promised/)
    expect(mails[0]).toContain("Auto-Submitted: auto-generated")
    expect(mails[0]).toContain("Message-ID: <0123@pbx-1.holdline.invalid>")
    expect(mails[0]).toContain("-> holdline run cdrs")
  })

  test("one address that is refused is not silence", async () => {
    const { port } = await mailServer({
      onRcptTo: ({ address }, _, done) =>
        done(address.startsWith("boss") ? Object.assign(new Error("unknown"), { responseCode: 550 }) : null),
    })
    const sending = mailChannel(settings(port, { to: ["ops@example.net", "boss@example.net"] })).send(opened, { signal })
    await expect(sending).rejects.toMatchObject({ code: "alarm/refused", message: "mail: the server refused 1 of 2 addresses" })
  })

  test("a login that is wrong is refused for good, and the password is in no message", async () => {
    const { port } = await mailServer({
      authOptional: false,
      allowInsecureAuth: true,
      onAuth: (_, __, done) => done(Object.assign(new Error("no hunter2"), { responseCode: 535 })),
    })
    const login = { user: "ops", password: new Secret("hunter2") }
    const sending = mailChannel(settings(port, { login })).send(opened, { signal })
    await expect(sending).rejects.toMatchObject({ code: "alarm/refused", message: "mail: the server answered 535" })
  })

  test("a server that is busy is tried again", async () => {
    const { port } = await mailServer({ onMailFrom: (_, __, done) => done(Object.assign(new Error("later"), { responseCode: 451 })) })
    await expect(mailChannel(settings(port)).send(opened, { signal })).rejects.toMatchObject({ code: "alarm/unreachable" })
  })

  test("where TLS is asked for, a server that has none gets nothing", async () => {
    const { port, mails } = await mailServer()
    await expect(mailChannel(settings(port, { tls: "starttls" })).send(opened, { signal })).rejects.toMatchObject({
      code: "alarm/refused",
    })
    expect(mails).toEqual([])
  })

  test("a server with a certificate that nobody vouches for gets nothing", async () => {
    const { port, mails } = await mailServer({ disabledCommands: [] })
    await expect(mailChannel(settings(port, { tls: "starttls" })).send(opened, { signal })).rejects.toMatchObject({
      code: "alarm/unreachable",
    })
    expect(mails).toEqual([])
  })
})
