import { join } from "node:path"
import type { Command } from "commander"
import { anyOf } from "../abort.ts"
import type { Catalog } from "../catalog/catalog.ts"
import { lockState } from "../catalog/lock.ts"
import { timestamp } from "../clock.ts"
import { BackupError, ConfigError } from "../errors.ts"
import { drainMs } from "../limits.ts"
import { backup } from "../operation/backup.ts"
import { visible } from "../report/visible.ts"
import { Runner, type RunnerEvent, type RunResult } from "../schedule/runner.ts"
import type { ScheduledJob } from "../schedule/scheduler.ts"
import type { Loaded } from "../wiring/config.ts"
import { lookOnce, pingDeadman } from "../wiring/notify.ts"
import { prepareState } from "../wiring/state.ts"
import { openAgent, openCatalog } from "../wiring/world.ts"
import type { Bench } from "./bench.ts"
import { manual } from "./manual.ts"
import { noticeText } from "./progress.ts"
import { scheduledJob } from "./scheduled.ts"
import { watched } from "./watched.ts"

export function addServeCommand(command: Command, bench: Bench): void {
  command
    .description(
      "Runs every job that has a schedule when it is due, in the foreground, until it is asked to stop. SIGTERM or Ctrl-C: nothing starts any more, and what runs has a minute to end. SIGHUP: the configuration is read again.",
    )
    .action(() => serve(bench))
  manual(command, {
    examples: [
      ["holdline serve", "one line for all that happens, for a service manager's log"],
      ["holdline serve --json", "the same as JSON lines"],
      ["holdline jobs", "from another terminal: what ran, and what runs next"],
    ],
    reads: "the configuration, and what `holdline run` reads",
    writes: "what `holdline run` writes, and in the catalog which due times were run and which were missed",
    exits: ["done", "failed", "usage", "notFound", "busy"],
  })
}

/** The runs of an agent write one log, and each uses the whole machine by itself. */
const concurrency = 1

async function serve(bench: Bench): Promise<void> {
  let loaded = await bench.load()
  const { state } = loaded.config
  await prepareState(state)
  using lease = lockState(join(state, "serve-lock"))
  const log = logOf(bench)
  const signal = anyOf(bench.signal, lease.lost)
  using catalog = openCatalog(state, bench.io({ tell: (event) => log.notice("", noticeText(event)) }))
  const runner = new Runner(scheduledJobs(loaded), {
    ...{ catalog, signal, concurrency, drainMs, clock: bench.clock, sleep: bench.sleep },
    holds: () => lease.holds(),
    run: (name, given) => run(loaded, name, { bench, log, signal: given }),
    tell: (event) => log.event(event),
  })
  const reload = async (): Promise<void> => {
    try {
      const next = await bench.loadAgain()
      refuseWhatCannotChange(next, loaded)
      log.say("reloaded", differenceOf(loaded, next))
      loaded = next
      runner.setJobs(scheduledJobs(loaded))
    } catch (error) {
      if (!(error instanceof BackupError)) throw error
      log.say("reload-refused", { code: error.code, message: error.message })
    }
  }
  await using front = await watched({
    ...{ bench, catalog, signal, loaded: () => loaded },
    failed: (failure) => log.say("unwatched", failure),
  })
  const stopListening = bench.onHangup(() => void front.reloading(reload))
  const ending = new AbortController()
  const watching = watch(() => loaded, { bench, log, catalog, signal: anyOf(signal, ending.signal) })
  try {
    log.say("serving", { jobs: scheduledJobs(loaded).length, state })
    if (loaded.config.notify === undefined)
      log.say("notice", { message: "notify is not configured: nobody is told when something is wrong" })
    for (const [name, { message }] of loaded.invalidJobs) log.say("invalid-job", { job: name, message })
    await runner.keep()
    lease.lost.throwIfAborted()
    log.say("stopped", {})
  } finally {
    stopListening()
    ending.abort()
    await watching
  }
}

const lookEveryMs = 60_000

interface Watching extends Running {
  readonly catalog: Catalog
}

/** Looks every minute what is wrong, and tells whom it concerns; what a look fails for is said, and the next one comes. */
async function watch(current: () => Loaded, { bench, log, catalog, signal }: Watching): Promise<void> {
  const io = { ...bench.io({ tell: (event) => log.notice("", noticeText(event)) }), signal }
  let askedMs = Number.NEGATIVE_INFINITY
  while (!signal.aborted) {
    const loaded = current()
    const { notify } = loaded.config
    try {
      if (notify !== undefined) {
        await lookOnce(loaded, catalog, io)
        const now = bench.clock.now().getTime()
        if (notify.deadman !== undefined && Math.abs(now - askedMs) >= notify.deadman.every) {
          await pingDeadman(loaded, io)
          askedMs = now
        }
      }
      await bench.sleep(lookEveryMs, { signal })
    } catch (error) {
      if (signal.aborted) return
      if (!(error instanceof BackupError)) throw error
      log.say("look-failed", { code: error.code, message: error.message })
      await bench.sleep(lookEveryMs, { signal }).catch(() => undefined)
    }
  }
}

function scheduledJobs({ jobs, config }: Loaded): ScheduledJob[] {
  return [...jobs.values()].map((job) => scheduledJob(job, config.agent)).filter((job) => job !== null)
}

// What was read before stays in force, whole: half of a new configuration is one that nobody wrote.
function refuseWhatCannotChange(next: Loaded, { config: { state } }: Loaded): void {
  for (const error of next.invalidJobs.values()) throw error
  if (next.config.state !== state) throw new ConfigError("config/usage", "state: cannot change while it is served: stop and start again")
}

function differenceOf(before: Loaded, after: Loaded): object {
  const names = [...new Set([...before.jobs.keys(), ...after.jobs.keys()])]
  const same = (name: string) => JSON.stringify(before.jobs.get(name)) === JSON.stringify(after.jobs.get(name))
  return {
    configuration: JSON.stringify(before.effective) === JSON.stringify(after.effective) ? "unchanged" : "changed",
    added: names.filter((name) => !before.jobs.has(name)),
    removed: names.filter((name) => !after.jobs.has(name)),
    changed: names.filter((name) => before.jobs.has(name) && after.jobs.has(name) && !same(name)),
  }
}

interface Running {
  readonly bench: Bench
  readonly log: Log
  readonly signal: AbortSignal
}

/** What `holdline run` does. */
async function run(loaded: Loaded, name: string, { bench, log, signal }: Running): Promise<RunResult> {
  const io = { ...bench.io({ tell: (event) => log.notice(name, noticeText(event)) }), signal }
  try {
    await using session = await openAgent(loaded, name, io)
    const { outcome, failure } = await backup(session.job, session.source, session.world)
    return { outcome, code: failure?.code, message: failure?.message }
  } catch (error) {
    if (error instanceof BackupError && error.code === "job/busy") return { outcome: "busy" }
    throw error
  }
}

interface Log {
  say(type: string, fields: object): void
  event(event: RunnerEvent): void
  /** What an operation tells, where it is for people; each thing once a run. */
  notice(job: string, text: string | null): void
}

/** One line for each thing that happens: time, what, and its details as names and values. */
function logOf(bench: Bench): Log {
  const say = (type: string, fields: object): void => {
    const time = timestamp(bench.clock.now())
    bench.out([time, type, ...Object.entries(fields).flatMap(([key, value]) => fieldText(key, value))].join(" "))
    bench.record(type, { time, ...fields })
  }
  let said = new Set<string>()
  return {
    say,
    event({ type, ...fields }) {
      if (type === "started") said = new Set()
      say(
        type,
        Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, isTime(key, value) ? timestamp(new Date(value)) : value])),
      )
    },
    notice(job, text) {
      if (text === null || said.has(text)) return
      said.add(text)
      say("notice", { ...(job !== "" && { job }), message: text })
    },
  }
}

const times: ReadonlySet<string> = new Set(["due", "first", "last", "handled"])

function isTime(key: string, value: unknown): value is number {
  return times.has(key) && typeof value === "number"
}

function fieldText(key: string, value: unknown): string[] {
  if (value === undefined) return []
  const text = Array.isArray(value) ? value.join(",") : typeof value === "string" ? value : JSON.stringify(value)
  return [`${key}=${/^[\w.,:/@+-]*$/.test(text) ? text : JSON.stringify(visible(text))}`]
}
