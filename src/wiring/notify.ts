import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { type Alarm, type AlarmRules, take } from "../alarm/alarm.ts"
import type { Channel } from "../alarm/channel.ts"
import { mailChannel } from "../alarm/mail.ts"
import { type AlarmState, noAlarms, parseAlarmState } from "../alarm/memory.ts"
import { channelConcerns } from "../alarm/outbox.ts"
import { pagerDutyChannel, ping, slackChannel, webhookChannel } from "../alarm/webhook.ts"
import type { Catalog } from "../catalog/catalog.ts"
import { lockState } from "../catalog/lock.ts"
import { ConfigError, JobError } from "../errors.ts"
import { isMissing, writeAtomically } from "../files.ts"
import { alarmRound } from "../operation/alarm-round.ts"
import { type Charge, concernsOf } from "../operation/concerns.ts"
import { randomId } from "../random.ts"
import { Secret } from "../secret.ts"
import { zoneOffsetMs } from "../time-zone.ts"
import { minuteOfWeek, minutesLeft } from "../week.ts"
import type { Loaded } from "./config.ts"
import type { Io } from "./io.ts"
import type { NotifySettings } from "./notify-schema.ts"
import { openSecret } from "./secret.ts"
import { prepareState } from "./state.ts"
import type { SecretReference } from "./values.ts"

const dayMs = 86_400_000
const minuteMs = 60_000

/** Where PagerDuty takes events (Events API v2). */
const pagerDutyUrl = "https://events.pagerduty.com/v2/enqueue"

/** Who is told of what on this host, as configured; a ConfigError where nobody is. */
export function notifySettings({ config }: Loaded): NotifySettings {
  if (config.notify !== undefined) return config.notify
  throw new ConfigError("config/invalid", "notify: is not configured, so this host tells nobody when something is wrong", {
    hint: "`holdline config explain notify` says what it takes",
  })
}

/** Every channel, or those that are named. A secret that cannot be read fails it. */
export async function openChannels(loaded: Loaded, io: Pick<Io, "env">, names?: readonly string[]): Promise<Channel[]> {
  const { channels } = notifySettings(loaded)
  for (const name of names ?? [])
    if (!Object.hasOwn(channels, name))
      throw new ConfigError("config/not-found", `notify.channels has no ${name}`, { hint: `it has ${Object.keys(channels).join(", ")}` })
  const chosen = Object.entries(channels).filter(([name]) => names === undefined || names.includes(name))
  return await Promise.all(chosen.map(([name, settings]) => openChannel(name, settings, { loaded, io })))
}

interface Opening {
  readonly loaded: Loaded
  readonly io: Pick<Io, "env">
}

async function openChannel(name: string, settings: NotifySettings["channels"][string], opening: Opening): Promise<Channel> {
  const key = `notify.channels.${name}`
  const secret = (part: string, reference: SecretReference) => secretAt(`${key}.${part}`, reference, opening)
  const url = async (reference: SecretReference): Promise<Secret> => checkedUrl(`${key}.url`, await secret("url", reference))
  switch (settings.kind) {
    case "mail": {
      const { host, port, tls, user, password, from, to } = settings
      if ((user === undefined) !== (password === undefined))
        throw new ConfigError("config/invalid", `${key}: expected both of user and password, or neither`)
      if (tls === "none" && !isLoopbackHost(host))
        throw new ConfigError("config/invalid", `${key}.tls: without TLS only servers on this host are spoken to`)
      const login = user === undefined || password === undefined ? null : { user, password: await secret("password", password) }
      return mailChannel({ name, host, port, tls, login, from, to })
    }
    case "webhook":
      return webhookChannel({
        name,
        url: await url(settings.url),
        secret: settings.secret === undefined ? null : await secret("secret", settings.secret),
      })
    case "slack":
      return slackChannel({ name, url: await url(settings.url) })
    case "pagerduty":
      return pagerDutyChannel({
        name,
        url: settings.url === undefined ? new Secret(pagerDutyUrl) : await url(settings.url),
        routingKey: await secret("routingKey", settings.routingKey),
      })
  }
}

async function secretAt(key: string, reference: SecretReference, { loaded, io }: Opening): Promise<Secret> {
  return await openSecret(reference, { key, origin: loaded.origins.get(key) ?? { default: true }, env: io.env })
}

// What is posted names sites and jobs, and whoever reads it on its way could change it.
function checkedUrl(key: string, url: Secret): Secret {
  const parsed = URL.parse(url.reveal().trim())
  if (parsed === null) throw new ConfigError("config/secret", `${key}: what it refers to is no URL`)
  if (parsed.protocol === "https:" || (parsed.protocol === "http:" && isLoopbackHost(parsed.hostname))) return new Secret(parsed.href)
  throw new ConfigError("config/invalid", `${key}: without TLS only servers on this host are spoken to`, { hint: "use an https URL" })
}

function isLoopbackHost(host: string): boolean {
  return host === "localhost" || host === "::1" || host === "[::1]" || /^127(?:\.\d{1,3}){3}$/.test(host)
}

function alarmRules({ critical, warning, settle, quiet, timezone, escalate, digest }: NotifySettings): AlarmRules {
  return {
    channels: { critical, warning },
    settleMs: settle,
    isQuiet: (now) => minutesLeft(quiet, minuteOfWeek(now.getTime() + zoneOffsetMs(now.getTime(), timezone))) > 0,
    escalation: escalate.map(({ after, to }) => ({ afterMs: after, channels: to })),
    digest: digest === undefined ? null : { channels: digest.to, lastDue: (now) => lastAt(now, digest.at, timezone) },
  }
}

/** The last moment, at or before `now`, at which clocks of a zone said this minute of the day. */
function lastAt(now: Date, minute: number, timezone: string): Date {
  const ms = now.getTime()
  const offset = zoneOffsetMs(ms, timezone)
  const today = Math.floor((ms + offset) / dayMs) * dayMs + minute * minuteMs
  const local = today <= ms + offset ? today : today - dayMs
  // Of a clock that was changed since, the offset then counts.
  return new Date(local - zoneOffsetMs(local - offset, timezone))
}

/** This host's alarms, as they were left by the last look. */
export async function readAlarms({ config }: Loaded): Promise<AlarmState> {
  const path = alarmsPath(config.state)
  try {
    const state = parseAlarmState(await readFile(path, "utf8"))
    if (state !== null) return state
  } catch (error) {
    if (!isMissing(error)) throw new JobError("job/target", `${path}: cannot be read`, { cause: error, hint: "check the state directory" })
  }
  return noAlarms
}

async function writeAlarms({ config }: Loaded, state: AlarmState, io: Pick<Io, "random">): Promise<void> {
  const path = alarmsPath(config.state)
  const bytes = Buffer.from(JSON.stringify(state))
  await writeAtomically(path, bytes, { temporary: `${path}.${randomId(io.random)}`, mode: 0o600, replace: true })
}

function alarmsPath(state: string): string {
  return join(state, "alarms.json")
}

// Two that look at once would tell twice.
async function lockAlarms({ config }: Loaded): Promise<Disposable> {
  await prepareState(config.state)
  return lockState(join(config.state, "alarms-lock"))
}

/** One look at this host, telling whom it has to be told; what is open afterwards. */
export async function lookOnce(loaded: Loaded, catalog: Catalog | null, io: Io): Promise<readonly Alarm[]> {
  const settings = notifySettings(loaded)
  using _ = await lockAlarms(loaded)
  const channels = await openChannels(loaded, io)
  const now = io.clock.now()
  const before = await readAlarms(loaded)
  const after = await alarmRound(before, concernsOf(chargeOf(loaded), catalog, now), {
    ...{ rules: alarmRules(settings), channels, host: loaded.config.agent, now, signal: io.signal },
    newId: () => randomId(io.random),
  })
  await writeAlarms(loaded, after, io)
  for (const { text } of channelConcerns(after.outbox, now)) io.tell({ type: "warning", message: text })
  return after.memory.alarms
}

/** Somebody takes care of an alarm, named by its id or the beginning of it. */
export async function takeAlarm(loaded: Loaded, { id, by }: { readonly id: string; readonly by: string }, io: Io): Promise<Alarm> {
  using _ = await lockAlarms(loaded)
  const state = await readAlarms(loaded)
  const [found, ...others] = state.memory.alarms.filter((alarm) => alarm.id.startsWith(id))
  const exact = state.memory.alarms.find((alarm) => alarm.id === id)
  const chosen = exact ?? found
  if (chosen === undefined) throw new JobError("job/not-found", `no alarm begins with ${id}`, { hint: "`holdline alarm list` shows them" })
  if (exact === undefined && others.length > 0)
    throw new JobError("job/not-found", `several alarms begin with ${id}: ${[chosen, ...others].map((alarm) => alarm.id).join("; ")}`)
  await writeAlarms(loaded, { ...state, memory: take(state.memory, chosen.id, by) }, io)
  return chosen
}

/** Tells the dead man's switch that this host looks after everything; an AlarmError where it does not answer. */
export async function pingDeadman(loaded: Loaded, io: Io): Promise<void> {
  const { deadman } = notifySettings(loaded)
  if (deadman === undefined) return
  const key = "notify.deadman.url"
  const url = checkedUrl(key, await secretAt(key, deadman.url, { loaded, io }))
  await ping("deadman", url, io.signal)
}

function chargeOf({ jobs, invalidJobs }: Loaded): Charge {
  return { jobs: [...jobs.values()], wrong: [...invalidJobs.keys()] }
}
