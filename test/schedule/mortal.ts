import { Catalog } from "../../src/catalog/catalog.ts"
import { lockState } from "../../src/catalog/lock.ts"
import { beginRun, endRun } from "../../src/catalog/runs.ts"
import { systemSleep } from "../../src/clock.ts"
import { thisMachine } from "../../src/machine.ts"
import { Runner } from "../../src/schedule/runner.ts"
import { manyJobs } from "./many.ts"

// A daemon to be killed: jobs that do nothing but begin and end, on a clock that runs fast.
const [directory = "", count = "", began = "", from = "", rate = ""] = process.argv.slice(2)
const now = () => new Date(Number(from) + (Date.now() - Number(began)) * Number(rate))
const scaled = (ms: number) => ms / Number(rate)

const lease = lockState(`${directory}/lock`, { machine: thisMachine(), renewMs: 50, expiryMs: 500 })
const catalog = Catalog.open(`${directory}/catalog.sqlite`, () => {
  throw new Error("a kill damages nothing")
})
const due = new Map<string, number>()
const runner = new Runner(manyJobs(Number(count)), {
  ...{ catalog, clock: { now }, signal: lease.lost, concurrency: 20, drainMs: 60_000, holds: () => lease.holds() },
  tell(event) {
    if (event.type === "started") due.set(event.job, event.due)
  },
  sleep: (ms, options) => systemSleep(scaled(ms), options),
  async run(job, signal) {
    const started = now().toISOString()
    const number = beginRun(catalog, { id: [job, due.get(job), lease.fence].join(" "), job, started, fence: lease.fence })
    await systemSleep(scaled(60_000), { signal })
    lease.check()
    endRun(catalog, number, { ended: now().toISOString(), outcome: "ok", report: "{}" })
    return { outcome: "ok" }
  },
})
process.stdout.write("begun\n")
await runner.keep()
