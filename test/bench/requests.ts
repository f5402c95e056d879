import { systemClock, systemSleep } from "../../src/clock.ts"
import { backup } from "../../src/operation/backup.ts"
import { systemRandom } from "../../src/random.ts"
import { counted, type SiteCounts } from "../../src/site/count.ts"
import type { OpenedSite } from "../../src/site/site.ts"
import { SiteHealth } from "../../src/vault/health.ts"
import { type Durable, openVault, type Vault } from "../../src/vault/vault.ts"
import { loadConfig } from "../../src/wiring/config.ts"
import { openAgent } from "../../src/wiring/world.ts"
import { sinkSite } from "./sink-site.ts"
import type { Stage } from "./stage.ts"

/** What one run asks of a site. */
export interface Requests extends SiteCounts {
  readonly run: "first backup" | "unchanged backup"
}

/** Two runs of a stage with one site, one after the other, in this process; the site keeps no packs. */
export async function countRequests(stage: Stage): Promise<Requests[]> {
  const loaded = await loadConfig({ env: {}, cwd: "/", flags: { config: stage.config } })
  const sink = sinkSite("one", systemClock)
  const requests: Requests[] = []
  for (const run of ["first backup", "unchanged backup"] as const) {
    const site = counted(sink.site)
    const report = await runAt({ ...sink, site }, loaded, stage.job)
    if (report.outcome !== "ok") throw new Error(`${run}: ended ${report.outcome}: ${report.failure?.message ?? ""}`)
    requests.push({ run, ...site.counts })
  }
  return requests
}

/** A run of a job of the project, at another site than the configured one. */
export async function runAt(opened: OpenedSite, loaded: Awaited<ReturnType<typeof loadConfig>>, job: string) {
  return await runAtSites(() => opened, loaded, job)
}

/** The same with a place for each configured site; `durable` where it is to be reached with fewer than all of them. */
export async function runAtSites(
  at: (site: string) => OpenedSite,
  loaded: Awaited<ReturnType<typeof loadConfig>>,
  job: string,
  durable?: Durable,
) {
  const { signal } = new AbortController()
  const io = { env: {}, clock: systemClock, random: systemRandom, sleep: systemSleep, signal, tell: () => undefined }
  await using session = await openAgent(loaded, job, io)
  const { vault, everywhere } = session.world
  const health = new SiteHealth(systemClock)
  const moved = (to: Vault): Vault =>
    openVault({ ...to, health, durable: durable ?? to.durable, sites: to.sites.map((site) => ({ ...site, opened: at(site.name) })) })
  return await backup(session.job, session.source, { ...session.world, vault: moved(vault), everywhere: moved(everywhere) })
}
