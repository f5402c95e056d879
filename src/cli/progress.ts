import { timestamp } from "../clock.ts"
import type { Event, Progress } from "../operation/event.ts"
import { visible } from "../report/visible.ts"
import { count, formatDuration, formatSize } from "../units.ts"
import type { Bench } from "./bench.ts"

/** Draws what an operation tells while it works. It ends before the result is printed. */
export interface Renderer {
  tell(event: Event): void
  end(): void
}

/** One live line on a terminal, plain lines in a log, JSON lines with --json. */
export function rendererFor(bench: Bench, what: string): Renderer {
  const renderer = bench.flags.json ? jsonLines(bench) : bench.isLive ? liveLine(bench, what) : plainLines(bench, what)
  const interrupted = (): void => renderer.tell({ type: "warning", message: stopping(bench) })
  bench.signal.addEventListener("abort", interrupted)
  return {
    tell: (event) => renderer.tell(event),
    end() {
      bench.signal.removeEventListener("abort", interrupted)
      renderer.end()
    },
  }
}

function stopping({ signal }: Bench): string {
  const isLimit = signal.reason instanceof Error && signal.reason.name === "TimeLimitReached"
  return isLimit ? "time limit reached: finishing what is under way" : "finishing what is under way; press again to stop now"
}

/** Between two lines of progress in a log that a person may have to read. */
const logEveryMs = 60_000
/** Between two looks of the live line: a person sees no more. */
const drawEveryMs = 100
/** Between two JSON lines of progress. */
const jsonEveryMs = 1000

/** One line, written over in place; warnings push it down. */
function liveLine(bench: Bench, what: string): Renderer {
  const { stderr, clock } = bench
  const paint = bench.notePaint
  const started = clock.now().getTime()
  const said = new Set<string>()
  let drawn = false
  let lastDrawn = Number.NEGATIVE_INFINITY
  const clear = (): void => {
    if (drawn) stderr.write("\r\u001b[K")
    drawn = false
  }
  return {
    tell(event) {
      if (event.type === "progress") {
        const now = clock.now().getTime()
        if (now - lastDrawn < drawEveryMs && now >= lastDrawn) return
        lastDrawn = now
        const elapsed = formatDuration(now - started)
        const line = `${what}  ${progressText(event.progress)}  ${elapsed}`
        stderr.write(`\r\u001b[K${line.slice(0, Math.max(20, stderr.columns - 1))}`)
        drawn = true
        return
      }
      const text = noticeText(event)
      if (text === null || said.has(text)) return
      said.add(text)
      clear()
      stderr.line(`${paint.status("attention", "notice")}  ${text}`)
    },
    end: clear,
  }
}

/** Lines for a log: time, job and run, and what happened; never a path, as paths may name customers. */
function plainLines(bench: Bench, what: string): Renderer {
  const { stderr, clock, flags } = bench
  const said = new Set<string>()
  let ids = what
  let lastProgress = clock.now().getTime()
  const say = (text: string): void => stderr.line(`${timestamp(clock.now())} ${ids} ${text}`)
  return {
    tell(event) {
      if (event.type === "run-started") {
        ids = `${event.job} ${event.run.slice(0, 12)}`
        if (!flags.quiet) say(`started: ${event.source}, to ${event.sites.join(", ")}`)
        return
      }
      if (event.type === "progress") {
        const now = clock.now().getTime()
        if (flags.quiet || now - lastProgress < logEveryMs) return
        lastProgress = now
        say(progressText(event.progress))
        return
      }
      const text = noticeText(event)
      if (text !== null && !said.has(text)) say(text)
      if (text !== null) said.add(text)
      else if (event.type === "committed" && !flags.quiet) say(`commit ${String(event.seq)} held by ${event.held.join(", ")}`)
    },
    end: () => undefined,
  }
}

function jsonLines(bench: Bench): Renderer {
  const { clock } = bench
  let lastProgress = Number.NEGATIVE_INFINITY
  const write = (type: string, fields: object): void => bench.record(type, { time: timestamp(clock.now()), ...fields })
  return {
    tell(event) {
      switch (event.type) {
        case "progress": {
          const now = clock.now().getTime()
          if (now - lastProgress < jsonEveryMs) return
          lastProgress = now
          write("progress", event.progress)
          return
        }
        // A path may name a customer; `runs show --json` has examples.
        case "missed":
          write("missed", { reason: event.reason })
          return
        case "run-ended":
        case "deed":
          return
        default: {
          const { type, ...fields } = event
          write(type, fields)
        }
      }
    },
    end: () => undefined,
  }
}

/** What somebody should know at once, and once only; null for everything else. */
export function noticeText(event: Event): string | null {
  switch (event.type) {
    case "warning":
      return visible(event.message)
    case "site-missed":
      return `${event.site} left out: ${visible(event.message)}`
    case "failover":
      return `${visible(event.message)}; ${event.next === null ? "no other site left" : `trying ${event.next}`}`
    default:
      return null
  }
}

function progressText({ phase, files, bytes, unchanged, totalFiles, totalBytes, noun = "file" }: Progress): string {
  const of = totalFiles === undefined ? count(files, noun) : `${files.toLocaleString("en-US")} of ${count(totalFiles, noun)}`
  const size = totalBytes === undefined ? formatSize(bytes) : `${formatSize(bytes)} of ${formatSize(totalBytes)}`
  const parts = [of]
  if (bytes > 0) parts.push(size)
  if (unchanged > 0) parts.push(`${unchanged.toLocaleString("en-US")} unchanged`)
  return `${phase}  ${parts.join(", ")}`
}
