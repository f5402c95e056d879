import { setFlagsFromString } from "node:v8"
import { systemClock, systemSleep } from "../../src/clock.ts"
import { s3Retry } from "../../src/limits.ts"
import { systemRandom } from "../../src/random.ts"
import { type CountedSite, counted } from "../../src/site/count.ts"
import { openedRetrying } from "../../src/site/retry.ts"
import type { OpenedSite } from "../../src/site/site.ts"
import { loadConfig } from "../../src/wiring/config.ts"
import { runAtSites } from "./requests.ts"
import { sinkSite } from "./sink-site.ts"

/**
 * `node sites-child.ts CONFIG JOB [FROZEN]`: a first run of the job to sink sites that are 20 ms away, of which the one named never answers.
 * Prints its seconds, and what was asked of each site.
 */
const [config = "", job = "", frozen] = process.argv.slice(2)
// As bin/holdline does.
setFlagsFromString("--semi-space-growth-factor=1 --heap-growing-percent=100")
const loaded = await loadConfig({ env: {}, cwd: "/", flags: { config } })
const sites = new Map(Object.keys(loaded.config.sites).map((name) => [name, siteAt(name)]))
const copies = Math.min(2, sites.size)
const begun = performance.now()
const report = await runAtSites((name) => openedAt(name), loaded, job, { copies, providers: copies })
const seconds = (performance.now() - begun) / 1000
if (report.outcome !== "ok") throw new Error(`ended ${report.outcome}: ${report.failure?.message ?? ""}`)
const requests = [...sites].map(([name, { site }]) => ({ name, ...site.counts.calls }))
const peakBytes = process.resourceUsage().maxRSS * 1024
console.log(JSON.stringify({ seconds, peakBytes, packs: report.stored.packs, bytes: report.stored.bytes, requests }))
// What was asked of the frozen site is still waited for.
process.exit(0)

function siteAt(name: string): { readonly opened: OpenedSite; readonly site: CountedSite } {
  const sink = sinkSite(name, systemClock, { checks: false, latencyMs: 20 })
  const opened = name === frozen ? { ...sink, site: { ...frozenSite(sink), name }, serverTime: never } : sink
  const site = counted(opened.site)
  return { opened: openedRetrying({ ...opened, site }, s3Retry, { sleep: systemSleep, random: systemRandom }), site }
}

function openedAt(name: string): OpenedSite {
  const found = sites.get(name)
  if (found === undefined) throw new Error(`no site ${name}`)
  return found.opened
}

function never<T>(): Promise<T> {
  return new Promise(() => undefined)
}

function frozenSite({ site }: OpenedSite): OpenedSite["site"] {
  return { name: site.name, put: never, get: never, head: never, list: () => ({ [Symbol.asyncIterator]: () => ({ next: never }) }) }
}
