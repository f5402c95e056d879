import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { setTimeout as pause } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { afterAll, describe, expect, onTestFinished, test, vi } from "vitest"
import { type Lease, type LeaseOptions, lockState } from "../../src/catalog/lock.ts"
import { listRuns } from "../../src/catalog/runs.ts"
import { JobError } from "../../src/errors.ts"
import { type Machine, type ProcessIdentity, thisMachine } from "../../src/machine.ts"
import { type MemoryObjects, memorySite } from "../../src/site/memory.ts"
import { openSource } from "../../src/source/open.ts"
import type { Source } from "../../src/source/source.ts"
import { labClock, openLab } from "../operation/lab.ts"
import { sharedPool } from "../operation/lab-pool.ts"

const root = mkdtempSync(join(tmpdir(), "lease-"))
afterAll(() => rmSync(root, { recursive: true }))

const pool = sharedPool()
let made = 0

function fresh(): string {
  made += 1
  return join(root, `lock-${String(made)}`)
}

const expiryMs = 60_000
const renewMs = 20_000

/** Processes of one machine that come, go, and hang; time passes as it is told. */
function world() {
  let now = 1_000_000
  const gone = new Set<number>()
  const options = (pid: number, given: Partial<ProcessIdentity> = {}): LeaseOptions => {
    const self = { pid, started: "1", namespace: "n", boot: "b", machine: "m", ...given }
    const isAlive: Machine["isAlive"] = (other) => {
      if (other.boot !== self.boot) return other.machine === self.machine ? false : null
      return other.namespace === self.namespace ? !gone.has(other.pid) : null
    }
    return { machine: { self, isAlive, steadyMs: () => now }, renewMs, expiryMs }
  }
  return {
    options,
    pass(ms: number) {
      now += ms
    },
    die: (pid: number) => gone.add(pid),
  }
}

const busy = expect.objectContaining({ code: "job/busy" })
const superseded = expect.objectContaining({ code: "job/superseded" })

describe("a lease", () => {
  test("is held by one at a time, and each has a higher number", () => {
    const { options } = world()
    const path = fresh()
    const first = lockState(path, options(1))
    expect(() => lockState(path, options(2))).toThrow(busy)
    first[Symbol.dispose]()
    using second = lockState(path, options(2))
    expect(second.fence).toBe(first.fence + 1)
    expect(() => lockState(path, options(2)), "nor twice by one process").toThrow(busy)
  })

  test("is not kept by who is gone", () => {
    const { options, die } = world()
    const path = fresh()
    const dead = lockState(path, options(1))
    die(1)
    using next = lockState(path, options(2))
    expect(next.fence).toBe(dead.fence + 1)
  })

  test("is not kept over a restart of the machine, though the process id is taken again", () => {
    const { options } = world()
    const path = fresh()
    lockState(path, options(1))
    using next = lockState(path, options(1, { boot: "after" }))
    expect(next.fence).toBe(2)
  })

  test("is kept for hours by who is there and says so", async () => {
    vi.useFakeTimers()
    onTestFinished(() => void vi.useRealTimers())
    const { options, pass } = world()
    const path = fresh()
    using _lease = lockState(path, options(1))
    for (let minute = 0; minute < 300; minute++) {
      pass(expiryMs)
      await vi.advanceTimersByTimeAsync(renewMs)
      expect(() => lockState(path, options(2))).toThrow(busy)
    }
  })

  test("is taken from who is there and silent, who then is refused for good", () => {
    const { options, pass } = world()
    const path = fresh()
    const stopped = lockState(path, options(1))
    pass(expiryMs)
    expect(() => lockState(path, options(2))).toThrow(busy)
    pass(1)
    const next = lockState(path, options(2))
    expect(() => stopped.check()).toThrow(superseded)
    expect(stopped.lost.aborted).toBe(true)
    stopped[Symbol.dispose]()
    next.check()
    expect(() => lockState(path, options(3)), "its end frees nothing").toThrow(busy)
    next[Symbol.dispose]()
    expect(() => stopped.check()).toThrow(superseded)
  })

  test.each([
    ["of another container", { namespace: "other" }],
    ["of another machine", { namespace: "other", boot: "other", machine: "other" }],
  ])("%s is believed while it says that it is there", (_, given) => {
    const { options, pass, die } = world()
    const path = fresh()
    using lease = lockState(path, options(1))
    die(1)
    expect(() => lockState(path, options(1, given))).toThrow(busy)
    lease.check()
    if (given.namespace === "other" && !("boot" in given)) {
      pass(expiryMs + 1)
      lockState(path, options(1, given))[Symbol.dispose]()
    }
  })

  test("is no lease where the file is damaged", () => {
    const path = fresh()
    writeFileSync(path, "not a database, whatever its name says".repeat(100))
    expect(() => lockState(path)).toThrow(expect.objectContaining({ code: "job/target" }))
  })

  test("left by an earlier release is taken", () => {
    const path = fresh()
    writeFileSync(path, "")
    using lease = lockState(path)
    expect(lease.fence).toBe(1)
  })
})

test("this machine knows its processes: those that are there, and those that are not though their number is", async () => {
  const machine = thisMachine()
  expect(machine.isAlive(machine.self)).toBe(true)
  expect(machine.isAlive({ ...machine.self, started: `${machine.self.started}0` })).toBe(process.platform !== "linux")
  const child = spawn(process.execPath, ["-e", ""])
  const { pid = 0 } = child
  await once(child, "close")
  expect(machine.isAlive({ ...machine.self, pid })).toBe(false)
  expect(machine.isAlive({ ...machine.self, boot: "another" })).toBe(false)
  expect(machine.isAlive({ ...machine.self, boot: "another", machine: "another" })).toBeNull()
  expect(machine.isAlive({ ...machine.self, namespace: "another" })).toBeNull()
  const before = machine.steadyMs()
  expect(machine.steadyMs()).toBeGreaterThanOrEqual(before)
})

test("a process that is stopped loses its lease, and when it goes on it cannot write; one that is killed loses it at once", async () => {
  const path = fresh()
  const options = { machine: thisMachine(), renewMs: 10, expiryMs: 200 }
  const child = spawn(process.execPath, [fileURLToPath(new URL("./holder.ts", import.meta.url)), path, String(options.expiryMs)], {
    stdio: ["pipe", "pipe", "inherit"],
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const said = async (): Promise<unknown> => (await lines.next()).value
  const write = (): Promise<unknown> => {
    child.stdin.write("\n")
    return said()
  }
  expect(await said()).toBe("fence 1")
  expect(await write()).toBe("written")

  child.kill("SIGSTOP")
  using lease = await takenOnceFree(path, options)
  expect(lease.fence).toBe(2)
  child.kill("SIGCONT")
  expect(await write()).toBe("job/superseded")
  lease.check()

  lease[Symbol.dispose]()
  child.kill("SIGKILL")
  await once(child, "close")
})

async function takenOnceFree(path: string, options: LeaseOptions): Promise<Lease> {
  for (;;) {
    try {
      return lockState(path, options)
    } catch (error) {
      if (!(error instanceof JobError) || error.code !== "job/busy") throw error
      await pause(20)
    }
  }
}

test("a run whose lease was taken meanwhile writes no commit, at no site, and says why", async () => {
  const clock = labClock(new Date("2026-11-22T02:00:00Z"))
  const kept = new Map(["a", "b", "c"].map((name): [string, MemoryObjects] => [name, new Map()]))
  const sites = Object.fromEntries([...kept].map(([name, objects]) => [name, memorySite(name, clock, objects)]))
  await using lab = await openLab({ pool, sites })
  const tree = join(root, "tree")
  mkdirSync(tree)
  writeFileSync(join(tree, "dialplan.xml"), "<extension/>")
  const whole = openSource({ kind: "directory", path: tree, account: "platform" }, "state", {})
  const keysIn = (folder: string) => [...kept.values()].flatMap((objects) => [...objects.keys()].filter((key) => key.includes(folder)))
  await lab.run({ name: "config", mode: "state" }, whole)
  const before = { log: keysIn("/log/"), data: keysIn("/pack/") }
  expect(before.log.length).toBeGreaterThan(0)

  writeFileSync(join(tree, "dialplan.xml"), "<extension/><extension/>")
  const { options, pass } = world()
  const path = fresh()
  const lease = lockState(path, options(1))
  const source: Source = {
    ...whole,
    async *capture(given) {
      yield* whole.capture(given)
      pass(expiryMs + 1)
      lockState(path, options(2))
    },
  }
  const report = await lab.run({ name: "config", mode: "state" }, source, { lease })
  expect(report).toMatchObject({ outcome: "failed", failure: { code: "job/superseded" } })
  expect(report.commits).toEqual([])
  expect(keysIn("/log/")).toEqual(before.log)
  expect(keysIn("/pack/").length, "what was read before is at the sites: it harms nothing there").toBeGreaterThan(before.data.length)
  expect(listRuns(lab.world().catalog, { limit: 1 })).toMatchObject([{ outcome: "failed", fence: lease.fence }])
})
