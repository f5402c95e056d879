import { BackupError, JobError, reasonOf } from "./errors.ts"
import { notifyTimeoutMs } from "./limits.ts"
import { startProgram } from "./program.ts"

/** The service manager that started this process and waits to hear from it. Where none does, saying something is nothing. */
export interface ServiceManager {
  /** Everything that can fail at once has not: the start, or the reload, is over. */
  ready(): Promise<void>
  /** What was read before is read again; `ready` says when that is over. */
  reloading(): Promise<void>
  /** Nothing begins any more. */
  stopping(): Promise<void>
  /** From now until it is disposed of, says that this process lives, as often as the manager asked for; never where it did not ask. */
  watch(): Disposable
}

export interface ServiceManagerOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  /** This process, and the one that started it: a launcher is what the manager knows. */
  readonly pids: readonly number[]
  /** The manager could not be told that this process lives; it is tried again in time. */
  tell(error: BackupError): void
}

/**
 * Speaks sd_notify, whose datagrams Node cannot send, through systemd's own program for it: the unit needs NotifyAccess=all. A JobError
 * where that program fails.
 */
export function serviceManager({ env, pids, tell }: ServiceManagerOptions): ServiceManager {
  const { NOTIFY_SOCKET: socket, PATH: path } = env
  const say = async (state: string): Promise<void> => {
    if (socket === undefined || socket === "") return
    const environment = { NOTIFY_SOCKET: socket, ...(path !== undefined && { PATH: path }) }
    // What is said last is said while everything else is being ended.
    const { signal } = new AbortController()
    const program = startProgram(["systemd-notify", state], { environment, signal, timeoutMs: notifyTimeoutMs })
    program.stdout.resume()
    try {
      await program.succeeded()
    } catch (cause) {
      throw new JobError("job/command", `the service manager was not told ${state}: ${reasonOf(cause)}`, {
        cause,
        hint: "it waits for that: install systemd-notify, or start this without NOTIFY_SOCKET",
      })
    }
  }
  return {
    ready: () => say("READY=1"),
    reloading: () => say("RELOADING=1"),
    stopping: () => say("STOPPING=1"),
    watch() {
      const everyMs = watchdogEveryMs(env, pids)
      if (everyMs === null || socket === undefined || socket === "") return { [Symbol.dispose]: () => undefined }
      const timer = setInterval(() => {
        say("WATCHDOG=1").catch((error: unknown) => {
          if (!(error instanceof BackupError)) throw error
          tell(error)
        })
      }, everyMs)
      // It says that the process lives, and is no reason for it to.
      timer.unref()
      return { [Symbol.dispose]: () => clearInterval(timer) }
    },
  }
}

/**
 * How often a manager that watches these processes wants to hear of them; null where none does. Three times in what it waits for, so that
 * one message may be late.
 */
export function watchdogEveryMs(env: ServiceManagerOptions["env"], pids: readonly number[]): number | null {
  const { WATCHDOG_USEC: usec = "", WATCHDOG_PID: pid = "" } = env
  if (!/^[1-9]\d{0,15}$/.test(usec)) return null
  if (pid !== "" && !pids.includes(Number(pid))) return null
  return Math.min(Math.max(1, Math.floor(Number(usec) / 3000)), 2 ** 31 - 1)
}
