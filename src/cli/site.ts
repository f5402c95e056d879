import type { Command } from "commander"
import { type RetiredSites, retirementText } from "../operation/approvals.ts"
import { table } from "../report/table.ts"
import { visible } from "../report/visible.ts"
import type { SiteSettings } from "../site/settings.ts"
import { knownRetired } from "../wiring/retired.ts"
import type { Bench } from "./bench.ts"
import { manual } from "./manual.ts"
import { addSiteCheckCommand } from "./site-check.ts"
import { addSitePolicyCommand } from "./site-policy.ts"
import { addSiteRetireCommand } from "./site-retire.ts"
import { addSiteStatusCommand } from "./site-status.ts"

export function addSiteCommands(site: Command, bench: Bench): void {
  site.description("Lists and checks the places where packs are kept.")
  addList(site, bench)
  addSiteCheckCommand(site, bench)
  addSitePolicyCommand(site, bench)
  addSiteStatusCommand(site, bench)
  addSiteRetireCommand(site, bench)
}

function addList(site: Command, bench: Bench): void {
  const command = site
    .command("list")
    .summary("list the sites")
    .description("Lists the sites of the configuration, without asking any of them.")
    .action(async () => {
      const loaded = await bench.load()
      const { config, jobs } = loaded
      using catalog = await bench.openCatalog()
      const retired: RetiredSites = catalog === null ? new Map() : await knownRetired(loaded, catalog)
      const usedBy = (name: string): string[] => [...jobs.values()].filter((job) => job.sites.includes(name)).map((job) => job.name)
      const sites = Object.entries(config.sites)
      const rows = sites.map(([name, settings]) => [
        ...[name, settings.kind, settings.provider, settings.region, settings.zone ?? "", placeOf(settings)],
        String(usedBy(name).length),
      ])
      bench.out(...table(["SITE", "KIND", "PROVIDER", "REGION", "ZONE", "PLACE", ">JOBS"], rows))
      for (const [name, settings] of sites) {
        const { kind, provider, region, zone } = settings
        const approval = retired.get(name)
        const retirement = approval === undefined ? undefined : retirementText(approval)
        if (retirement !== undefined) bench.out(`${bench.paint.status("attention", "retired")}  ${name}: ${visible(retirement)}`)
        bench.record("site", { name, kind, provider, region, zone, place: placeOf(settings), jobs: usedBy(name), retired: retirement })
      }
      bench.record("summary", { command: "site list", sites: sites.length })
    })
  manual(command, {
    examples: [["holdline site list", "all sites"]],
    reads: "the configuration and this host's memory of retired sites",
    writes: "nothing",
    exits: ["done", "usage", "denied", "notFound"],
  })
}

function placeOf(settings: SiteSettings): string {
  return settings.kind === "directory" ? settings.path : settings.bucket
}
