import { setFlagsFromString } from "node:v8"
import { systemClock } from "../../src/clock.ts"
import { loadConfig } from "../../src/wiring/config.ts"
import { runAt } from "./requests.ts"
import { sinkSite } from "./sink-site.ts"

/** `node memory-child.ts CONFIG JOB`: a first and an unchanged run to a site that forgets what it is given. Its memory is measured. */
const [config = "", job = ""] = process.argv.slice(2)
// As bin/holdline does.
setFlagsFromString("--semi-space-growth-factor=1 --heap-growing-percent=100")
const loaded = await loadConfig({ env: {}, cwd: "/", flags: { config } })
const sink = sinkSite("one", systemClock)
for (const run of ["first", "unchanged"]) {
  const report = await runAt(sink, loaded, job)
  if (report.outcome !== "ok") throw new Error(`${run}: ended ${report.outcome}: ${report.failure?.message ?? ""}`)
  const { captured, unchanged, seconds } = report
  console.log(JSON.stringify({ run, captured: captured.bytes, unchanged: unchanged.bytes, seconds }))
}
