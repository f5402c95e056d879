import { readFileSync, readlinkSync } from "node:fs"
import { hostname } from "node:os"
import { errnoOf } from "./errors.ts"

/** Who a process is, so that another can tell later whether it is still there; a process id alone is given again to others. */
export interface ProcessIdentity {
  readonly pid: number
  /** When it was started, in the kernel's own count; "" where the kernel does not say. */
  readonly started: string
  /** Within what its process id counts: another container has another. */
  readonly namespace: string
  /** Since when the machine runs: another text each time it is started; "" where the kernel does not say. */
  readonly boot: string
  readonly machine: string
}

/** What can be known here about processes, and about time that no one sets. */
export interface Machine {
  readonly self: ProcessIdentity
  /** Whether that process is there; null where this cannot be known from here. */
  isAlive(other: ProcessIdentity): boolean | null
  /** Milliseconds that pass steadily, whatever becomes of the clock; the same for all processes since the machine was started. */
  steadyMs(): number
}

export function thisMachine(): Machine {
  const self = {
    pid: process.pid,
    started: startOf(process.pid) ?? "",
    namespace: namespaceOfPids(),
    boot: readText("/proc/sys/kernel/random/boot_id"),
    machine: readText("/etc/machine-id") || hostname(),
  }
  return {
    self,
    isAlive(other) {
      if (other.boot !== self.boot) return other.machine === self.machine ? false : null
      if (other.namespace !== self.namespace || (self.boot === "" && other.machine !== self.machine)) return null
      return other.started === "" ? answersSignals(other.pid) : startOf(other.pid) === other.started
    },
    steadyMs: () => Number(process.hrtime.bigint() / 1_000_000n),
  }
}

/** The 22nd field of the kernel's line about a process; the second is its name, which may hold anything. */
function startOf(pid: number): string | undefined {
  const line = readText(`/proc/${String(pid)}/stat`)
  const [state, ...fields] = line.slice(line.lastIndexOf(")") + 2).split(" ")
  // A zombie runs no more code; its parent has only not asked how it ended.
  return line === "" || state === "Z" || state === "X" ? undefined : fields[18]
}

function answersSignals(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return errnoOf(error) === "EPERM"
  }
}

function namespaceOfPids(): string {
  try {
    return readlinkSync("/proc/self/ns/pid")
  } catch {
    return ""
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8").trim()
  } catch {
    return ""
  }
}
