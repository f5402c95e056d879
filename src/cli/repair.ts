import type { Command } from "commander"
import { repair } from "../operation/repair.ts"
import type { RepairOutcome } from "../report/repair.ts"
import { repairText } from "../report/repair-text.ts"
import { openKeeper } from "../wiring/keeper.ts"
import type { Bench } from "./bench.ts"
import { type Exit, exitCodes } from "./exit.ts"
import { manual } from "./manual.ts"
import { rendererFor } from "./progress.ts"
import { collect } from "./reader.ts"

interface RepairOptions {
  readonly site: readonly string[]
  readonly full?: boolean
  readonly dryRun?: boolean
  readonly timeout?: string
}

export function addRepairCommand(command: Command, bench: Bench): void {
  command
    .description(
      "Makes every snapshot whole at every site that must have it: copies what is missing from a site with good bytes, and replaces what a scrub " +
        "found rotten. Every byte is hashed before it is written, and a commit comes last, so that it may be interrupted and run again. It " +
        "needs no key.",
    )
    .option("--site <name>", "repair only this site, such as a new one; may be repeated", collect, [])
    .option("--dry-run", "say what would be done, and write nothing at any site")
    .option("--full", "read every copy first, whether or not a scrub found it bad")
    .option("--timeout <duration>", "end after this long, such as 6h; the next repair goes on")
    .action((options: RepairOptions) => run(options, bench))
  manual(command, {
    examples: [
      ["holdline repair --dry-run", "what is missing or rotten where, and can be put right"],
      ["holdline repair", "puts it right"],
      ["holdline repair --site gcs-bru", "fills a new or an empty site from the others"],
    ],
    reads: "listings of every site, the logs, and what is copied",
    writes: "what sites lack, and good bytes in place of rotten ones; nothing is deleted",
    exits: ["done", "failed", "usage", "partial", "notFound", "busy", "timeout", "interrupted", "terminated"],
  })
}

const exitOf: Readonly<Record<RepairOutcome, Exit>> = { ok: "done", partial: "partial", failed: "failed" }

async function run(options: RepairOptions, bench: Bench): Promise<void> {
  bench.limitTime(options.timeout)
  const { dryRun = false, full = false } = options
  const loaded = await bench.load()
  const renderer = rendererFor(bench, "repair")
  try {
    await using session = await openKeeper(loaded, { io: bench.io(renderer), write: true })
    const sites = options.site.length === 0 ? undefined : options.site
    const report = await repair({ sites, dryRun, full }, session.world)
    renderer.end()
    bench.ends(exitOf[report.outcome])
    bench.out(...repairText(report, { paint: bench.paint }))
    for (const site of report.sites) bench.record("site", site)
    bench.record("summary", { command: "repair", exit: exitCodes[bench.exit].code, ...report })
  } finally {
    renderer.end()
  }
}
