import { type ChildProcessByStdio, spawn } from "node:child_process"
import type { Readable } from "node:stream"
import { Complaint } from "./complaint.ts"
import { JobError, reasonOf } from "./errors.ts"
import { commandGraceMs } from "./limits.ts"
import { formatDuration } from "./units.ts"

/** What a program that is started sees as its environment: PATH, HOME, LANG and what the operator gave it, nothing inherited. */
export type Environment = Readonly<Record<string, string>>

export interface Program {
  readonly stdout: Readable
  /** Resolves once the program ended with status 0 and closed its output; rejects with a JobError that says why it did not. */
  succeeded(): Promise<void>
  /** Ends the program and all it started, where they still run. */
  end(): void
}

export interface ProgramOptions {
  /** All the program sees of an environment. */
  readonly environment: Environment
  readonly signal: AbortSignal
  readonly timeoutMs: number
}

/**
 * Starts a program without a shell, in a process group of its own, with its standard input closed. `stdout` must be read to its end.
 * When the signal aborts or the time is over, its output is cut, the whole group is asked to end, and killed where it does not.
 */
export function startProgram(command: readonly [string, ...string[]], options: ProgramOptions): Program {
  const [name] = command
  const child = start(command, options.environment)
  const group = processGroup(child)
  const complaint = new Complaint(name, options.environment)
  child.stderr.on("data", (chunk: Buffer) => complaint.add(chunk))
  let timedOut = false

  const timer = setTimeout(
    () => {
      timedOut = true
      group.end()
    },
    Math.min(options.timeoutMs, timerMsMax),
  )
  options.signal.addEventListener("abort", group.end, { once: true })
  if (options.signal.aborted) group.end()

  const outcome = new Promise<void>((resolve, reject) => {
    child.once("error", (cause) => reject(commandError(name, `cannot be started: ${reasonOf(cause)}`, "", cause)))
    child.once("close", (status, killedBy) => {
      if (options.signal.aborted) reject(options.signal.reason)
      else if (timedOut) reject(commandError(name, `did not end within ${formatDuration(options.timeoutMs)}`, complaint.text))
      else if (killedBy !== null) reject(commandError(name, `was ended by ${killedBy}`, complaint.text))
      else if (status !== 0) reject(commandError(name, `ended with status ${String(status)}`, complaint.text))
      else resolve()
    })
  })
  const settle = (): void => {
    clearTimeout(timer)
    options.signal.removeEventListener("abort", group.end)
  }
  // Also keeps a failure from counting as unhandled before the reader, who first reads the output, asks for it.
  outcome.then(settle, settle)
  return { stdout: child.stdout, succeeded: () => outcome, end: group.end }
}

function start([name, ...args]: readonly [string, ...string[]], environment: Environment): ReadableChild {
  try {
    return spawn(name, args, {
      cwd: "/",
      env: { ...environment },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true, // a group of its own, so that what the program starts ends with it
    })
  } catch (cause) {
    throw commandError(name, `cannot be started: ${reasonOf(cause)}`, "", cause)
  }
}

type ReadableChild = ChildProcessByStdio<null, Readable, Readable>

/** The longest a timer of Node can run; a longer one would go off at once. */
const timerMsMax = 2 ** 31 - 1

/** A program that could not be started, failed, was killed or took too long. */
function commandError(name: string, why: string, complaint: string, cause?: unknown): JobError {
  return new JobError("job/command", `${name}: ${why}${complaint === "" ? "" : `: ${complaint}`}`, cause === undefined ? {} : { cause })
}

function processGroup(child: ReadableChild): { readonly end: () => void } {
  let asked = false
  let closed = false
  let killer: NodeJS.Timeout | undefined
  child.once("close", () => {
    closed = true
    clearTimeout(killer)
  })
  return {
    end() {
      // Once all of it is gone, the number may belong to another group.
      if (asked || closed || child.pid === undefined) return
      asked = true
      const { pid } = child
      child.stdout.destroy()
      signalGroup(pid, "SIGTERM")
      killer = setTimeout(() => {
        signalGroup(pid, "SIGKILL")
        // A process that left the group may hold the pipe for ever.
        child.stderr.destroy()
      }, commandGraceMs)
    },
  }
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch {
    // It ended by itself in this moment, which is what was wanted.
  }
}
