import { spawn } from "node:child_process"
import { readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as wait } from "node:timers/promises"

/** One program as a whole child process, from its start to its end. */
export interface Command {
  readonly argv: readonly [string, ...string[]]
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
}

export interface Measured {
  readonly wallSeconds: number
  /** User and system time of the process and of all it started; null where the kernel does not say. */
  readonly cpuSeconds: number | null
  /** Of the whole process tree at once, sampled; and at least the highest that any of its processes saw of itself. */
  readonly peakBytes: number | null
  /** What it wrote to standard output: for what a program says about itself. */
  readonly stdout: string
}

const sampleMs = 50
const ticksPerSecond = 100

/** Runs a command and measures it; throws with what it said where it fails. */
export async function measure(command: Command): Promise<Measured> {
  const [program, ...args] = command.argv
  const cpuBefore = childSeconds()
  const started = performance.now()
  const child = spawn(program, args, {
    detached: true,
    env: { ...baseEnvironment(), ...command.env },
    stdio: ["ignore", "pipe", "pipe"],
    ...(command.cwd === undefined ? {} : { cwd: command.cwd }),
  })
  const output = { stdout: "", stderr: "" }
  child.stdout.on("data", (bytes: Buffer) => {
    output.stdout += bytes.toString("utf8")
  })
  child.stderr.on("data", (bytes: Buffer) => {
    output.stderr = (output.stderr + bytes.toString("utf8")).slice(-4000)
  })
  const ended = new Promise<{ readonly code: number | null; readonly at: number }>((resolve, reject) => {
    child.on("error", reject)
    child.on("exit", (code) => resolve({ code, at: performance.now() }))
  })
  const closed = new Promise((resolve) => child.on("close", resolve))
  const sampling = new AbortController()
  const peak = child.pid === undefined ? Promise.resolve(null) : samplePeak(child.pid, sampling.signal)
  const { code, at } = await ended
  sampling.abort()
  await closed
  const cpuAfter = childSeconds()
  if (code !== 0) throw new Error(`${command.argv.join(" ")}: ended with ${String(code)}\n${output.stderr}${output.stdout.slice(-2000)}`)
  return {
    wallSeconds: (at - started) / 1000,
    cpuSeconds: cpuBefore === null || cpuAfter === null ? null : cpuAfter - cpuBefore,
    peakBytes: await peak,
    stdout: output.stdout,
  }
}

/** What every program gets, so that nobody's own settings change a measurement. */
function baseEnvironment(): Record<string, string> {
  return { PATH: process.env.PATH ?? "", HOME: "/nonexistent", LANG: "C.UTF-8", LC_ALL: "C.UTF-8" }
}

/** Time of children that have ended, with their own children: proc(5), fields cutime and cstime. */
function childSeconds(): number | null {
  const fields = statFields("self")
  if (fields === null) return null
  return (Number(fields[13]) + Number(fields[14])) / ticksPerSecond
}

/** /proc/PID/stat after the name, which may hold spaces: state is the first. */
function statFields(pid: string): string[] | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1")
    return text.slice(text.lastIndexOf(")") + 2).split(" ")
  } catch {
    return null
  }
}

async function samplePeak(group: number, signal: AbortSignal): Promise<number | null> {
  let peak = 0
  while (!signal.aborted) {
    peak = Math.max(peak, groupBytes(group))
    await wait(sampleMs, undefined, { signal }).catch(() => undefined)
  }
  return peak === 0 ? null : peak
}

function groupBytes(group: number): number {
  let resident = 0
  let highest = 0
  for (const pid of processIds()) {
    if (Number(statFields(pid)?.[2]) !== group) continue
    const status = statusOf(pid)
    resident += status.resident
    highest = Math.max(highest, status.highest)
  }
  return Math.max(resident, highest)
}

function processIds(): string[] {
  try {
    return readdirSync("/proc").filter((name) => /^\d+$/.test(name))
  } catch {
    return []
  }
}

function statusOf(pid: string): { readonly resident: number; readonly highest: number } {
  try {
    const text = readFileSync(`/proc/${pid}/status`, "latin1")
    const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text)?.[1] ?? 0) * 1024
    return { resident: field("VmRSS"), highest: field("VmHWM") }
  } catch {
    return { resident: 0, highest: 0 }
  }
}

/** Bytes of all files below a path. */
export function bytesBelow(path: string): number {
  const stat = statSync(path)
  if (!stat.isDirectory()) return stat.size
  return readdirSync(path).reduce((sum, name) => sum + bytesBelow(join(path, name)), 0)
}
