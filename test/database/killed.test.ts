import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, expect, test } from "vitest"
import { Catalog } from "../../src/catalog/catalog.ts"
import { systemRandom } from "../../src/random.ts"
import { directorySite } from "../../src/site/directory.ts"
import type { Found, Source } from "../../src/source/source.ts"
import { type Lab, openLab, vaultSites } from "../operation/lab.ts"
import { Dice } from "../world/dice.ts"
import type { ChildOrders } from "./killed-child.ts"
import { dataset, KilledDatabase } from "./killed-world.ts"
import { type PostgresServer, requirePostgres, startPostgres } from "./servers.ts"

const lacking = requirePostgres()
/** Moments of each kind; more on demand. */
const moments = Number(process.env.HOLDLINE_KILLS ?? 5)
const seed = process.env.HOLDLINE_KILLS_SEED ?? "moments"

let server: PostgresServer

beforeAll(async () => {
  if (lacking === null) server = await startPostgres()
}, 60_000)
afterAll(async () => {
  if (lacking === null) await server.stop()
})

/** When somebody was killed: before anything was found, while it was read and kept, or when all was over. */
type Phase = "before" | "within" | "after"
const job = { name: dataset, mode: "state" } as const

/** Calls `point` at each point of a run: with each item, and before and in each stream. */
function struck(source: Source, point: () => Promise<void>): Source {
  async function* stream(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    await point()
    for await (const chunk of chunks) {
      await point()
      yield chunk
    }
  }
  const opened = (found: Found): Found => {
    if (!("item" in found) || found.item.content.kind !== "stream") return found
    const { open } = found.item.content
    return { item: { ...found.item, content: { kind: "stream", open: (signal) => stream(open(signal)) } } }
  }
  return {
    description: source.description,
    async *capture(options) {
      for await (const found of source.capture(options)) {
        await point()
        yield opened(found)
      }
    },
  }
}

/** How many points a run has that nobody disturbs. */
async function pointsOf(lab: Lab, database: KilledDatabase): Promise<number> {
  let points = 0
  const run = struck(database.source(), () => {
    points += 1
    return Promise.resolve()
  })
  expect((await lab.run(job, run)).failure).toBeUndefined()
  return points
}

interface Met {
  readonly phases: Record<Phase, number>
  /** Runs that did not claim to be complete. */
  failed: number
}

/** Who is struck; what waits for somebody to strike has until the signal, which comes when the run is over. */
type Strike = (dice: Dice, over: AbortSignal) => Promise<void>

/**
 * Kills at so many moments of runs in this process, and proves after each what there is; then a run must be whole again.
 * Goes on, up to ten times as long, until `least` runs have failed: on a fast machine, the struck may have been done with.
 */
async function killing(name: string, least: number, strike: Strike): Promise<Met> {
  await using lab = await openLab()
  const database = await KilledDatabase.make(server, `killed-${name}`)
  const dice = new Dice(`${seed} ${name}`)
  await database.next()
  const points = await pointsOf(lab, database)
  const met: Met = { phases: { before: 0, within: 0, after: 0 }, failed: 0 }
  for (let attempt = 0; attempt < moments || (met.failed < least && attempt < 10 * moments); attempt++) {
    await database.next()
    const over = new AbortController()
    const at = momentOf(attempt, points, dice)
    let within = false
    let left = at
    const point = async (): Promise<void> => {
      left -= 1
      if (left !== 0) return
      within = true
      await pause(dice.between(0, 30))
      await strike(dice, over.signal)
    }
    if (at === 0) await strike(dice, over.signal)
    lab.clock.advance(60_000)
    const report = await lab.run(job, struck(database.source(), point))
    over.abort()
    if (at === Number.POSITIVE_INFINITY) await strike(dice, over.signal)
    met.phases[at === 0 ? "before" : within ? "within" : "after"] += 1
    if (report.outcome !== "ok") met.failed += 1
    await ready()
    const complete = await database.prove(lab, lab.world({ spool: null }))
    if (report.outcome === "ok") expect(complete).toBeGreaterThan(0)
  }
  await database.next()
  lab.clock.advance(60_000)
  expect((await lab.run(job, database.source())).failure).toBeUndefined()
  await database.prove(lab, lab.world({ spool: null }))
  return met
}

/** Before which point of a run: one in six before anything, one in six when all is over. */
function momentOf(attempt: number, points: number, dice: Dice): number {
  if (attempt % 6 === 0) return 0
  return attempt % 6 === 1 ? Number.POSITIVE_INFINITY : dice.between(1, points)
}

function phaseOf(attempt: number): Phase {
  if (attempt % 6 === 0) return "before"
  return attempt % 6 === 1 ? "after" : "within"
}

/** Until the server takes connections again: it restarts by itself when one of its processes is killed. */
async function ready(): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const answer = await server.sql("SELECT 1").catch(() => null)
    if (answer === "1") return
    await pause(50)
  }
  throw new Error("the server did not come back")
}

function expectAll({ phases, failed }: Met, least: number): void {
  for (const phase of ["before", "within", "after"] as const) expect({ phase, met: phases[phase] > 0 }).toEqual({ phase, met: true })
  expect(phases.before + phases.within + phases.after).toBeGreaterThanOrEqual(moments)
  // Who is killed and nobody ever notices was not killed.
  expect(failed).toBeGreaterThanOrEqual(least)
}

/** Processes of this test's own run: the server's that serve it, or the programs that it started. */
async function backends(): Promise<readonly number[]> {
  const pids = await server.sql("SELECT pid FROM pg_stat_activity WHERE application_name IN ('holdline', 'pg_dump')")
  return pids
    .split("\n")
    .filter((pid) => pid !== "")
    .map(Number)
}

function dumps(): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const [, comm, parent] = /\((.*)\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, "latin1")) ?? []
        return comm === "pg_dump" && Number(parent) === process.pid ? [Number(pid)] : []
      } catch {
        return []
      }
    })
}

function kill(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(pid, "SIGKILL")
  } catch {
    // It ended in this moment.
  }
}

test.skipIf(lacking !== null)(
  "a server that is killed, whenever it was, leaves no commit that claims more than it holds",
  async () => {
    const met = await killing("server", 2, async (dice) => {
      const [first, ...others] = await backends()
      const checkpointer = Number(await server.sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'"))
      // When one process of the server is killed, it ends all others, and recovers as after a crash.
      kill(first === undefined ? checkpointer : dice.pick([first, ...others]))
    })
    expectAll(met, 2)
  },
  300_000,
)

test.skipIf(lacking !== null)(
  "a connection that is cut, whenever it was, leaves no commit that claims more than it holds",
  async () => {
    const met = await killing("connection", 2, async (dice) => {
      const [first, ...others] = await backends()
      if (first === undefined) return
      const cut = dice.chance(0.5) ? [first, ...others] : [dice.pick([first, ...others])]
      await server.sql(cut.map((pid) => `SELECT pg_terminate_backend(${String(pid)});`).join(" "))
    })
    expectAll(met, 2)
  },
  300_000,
)

test.skipIf(lacking !== null)(
  "a dump program that is killed, whenever it was, leaves no commit that claims more than it holds",
  async () => {
    const found = { running: 0 }
    const met = await killing("dump", 1, async (_, over) => {
      // Where none runs yet, the next one that does.
      let pids = dumps()
      const wait = async (): Promise<void> => {
        while (pids.length === 0 && !over.aborted) {
          await pause(1)
          pids = dumps()
        }
        if (pids.length > 0) found.running += 1
        for (const pid of pids) kill(pid)
      }
      void wait()
      await pause(0)
    })
    expect(found.running).toBeGreaterThan(0)
    expectAll(met, 1)
  },
  300_000,
)

/** Runs a backup in a process of its own and kills it so many milliseconds after it said `phase`; gives what it said last. */
async function runKilled(lab: Lab, orders: ChildOrders, phase: Phase | null, afterMs: number): Promise<string> {
  const file = join(lab.directory, "orders.json")
  writeFileSync(file, JSON.stringify(orders))
  const program = fileURLToPath(new URL("./killed-child.ts", import.meta.url))
  const child: ChildProcess = spawn(process.execPath, [program, file], { stdio: ["ignore", "pipe", "inherit"] })
  const closed = once(child, "close")
  let said = ""
  const reached = new Promise<void>((resolve) => {
    child.stdout?.on("data", (chunk) => {
      said += String(chunk)
      if (phase !== null && said.includes(phase)) resolve()
    })
  })
  if (phase !== null) {
    await Promise.race([reached, closed])
    await Promise.race([pause(afterMs), closed])
    child.kill("SIGKILL")
  }
  await closed
  return said.trimEnd().split("\n").at(-1) ?? ""
}

test.skipIf(lacking !== null)(
  "Holdline that is killed, whenever it was, leaves only what can be restored, and then finishes",
  async () => {
    await using lab = await openLab({ now: new Date("2026-01-01T00:00:00Z") })
    const database = await KilledDatabase.make(server, "killed-holdline")
    const sites = Object.fromEntries(["a", "b", "c"].map((name) => [name, join(lab.directory, "sites", name)]))
    const scratch = join(lab.directory, "scratch")
    for (const path of [scratch, ...Object.values(sites)]) mkdirSync(path, { recursive: true })
    const orders: ChildOrders = {
      root: lab.root.fingerprint,
      signingKey: lab.agentKey.exportPrivate(),
      rootObjects: lab.rootObjects.map(({ key, bytes }) => ({ key, bytes: Buffer.from(bytes).toString("base64") })),
      settings: server.settings("killed-holdline"),
      environment: server.environment,
      sites,
      catalog: join(lab.directory, "victim.sqlite"),
      scratch,
    }
    const prove = async (): Promise<number> => {
      const opened = await Promise.all(
        Object.entries(sites).map(
          async ([name, path]) => [name, await directorySite({ name, path, readOnly: true }, systemRandom)] as const,
        ),
      )
      using catalog = Catalog.open(":memory:", () => undefined)
      return await database.prove(lab, lab.world({ sites: vaultSites(Object.fromEntries(opened)), catalog, spool: null }))
    }
    const dice = new Dice(`${seed} holdline`)
    const died: Record<Phase, number> = { before: 0, within: 0, after: 0 }
    await database.next()
    let lastsMs = performance.now()
    expect(await runKilled(lab, orders, null, 0)).toBe("after ok")
    lastsMs = performance.now() - lastsMs
    const unmet = (): boolean => Object.values(died).includes(0)
    for (let attempt = 0; attempt < moments || (unmet() && attempt < 10 * moments); attempt++) {
      await database.next()
      const phase = phaseOf(attempt)
      // Of a short run much was the beginning of its process: sooner and sooner, until one is met.
      const beforeMs = phase === "within" ? lastsMs / (2 + (died.within === 0 ? attempt : 0)) : 20
      const said = await runKilled(lab, orders, phase, dice.between(0, beforeMs))
      const at = said.startsWith("after") ? "after" : said === "within" ? "within" : "before"
      died[at] += 1
      const complete = await prove()
      if (at === "after") expect(complete).toBeGreaterThan(0)
    }
    for (const phase of ["before", "within", "after"] as const) expect({ phase, met: died[phase] > 0 }).toEqual({ phase, met: true })
    await database.next()
    expect(await runKilled(lab, orders, null, 0)).toBe("after ok")
    await prove()
  },
  300_000,
)
