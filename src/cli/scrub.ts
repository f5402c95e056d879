import { type Command, Option } from "commander"
import { ConfigError } from "../errors.ts"
import type { Reading } from "../operation/rolling.ts"
import { scrub } from "../operation/scrub.ts"
import { scrubText } from "../report/scrub-text.ts"
import { openKeeper } from "../wiring/keeper.ts"
import type { Bench } from "./bench.ts"
import { exitCodes } from "./exit.ts"
import { manual } from "./manual.ts"
import { rendererFor } from "./progress.ts"
import { collect } from "./reader.ts"

interface ScrubOptions {
  readonly site: readonly string[]
  readonly full?: boolean
  readonly sample?: string
  readonly days: string
  readonly timeout?: string
}

export function addScrubCommand(command: Command, bench: Bench): void {
  command
    .description(
      "Looks at everything that must be at the sites, of every agent and every job: whether it is there, and, of the part whose turn it is, " +
        "whether its bytes still have the SHA-256 of its name. Run it daily; it needs no key, changes nothing and is remembered, so that " +
        "`holdline repair` knows what to replace.",
    )
    .option("--site <name>", "only this site; may be repeated", collect, [])
    .option("--days <number>", "read as much as has every object read within so many days", "30")
    .addOption(new Option("--sample <percent>", "read this part, such as 5%, and go on with the next part the next time").conflicts("full"))
    .option("--full", "read every object of every site")
    .option("--timeout <duration>", "end after this long, such as 6h; what was begun is read again the next time")
    .action((options: ScrubOptions) => run(options, bench))
  manual(command, {
    examples: [
      ["holdline scrub", "every day, from cron: everything is read once in 30 days"],
      ["holdline scrub --site gcs-bru --full", "one site, every byte"],
      ["holdline scrub --sample 5%", "a twentieth of each site"],
    ],
    reads: "listings of every site, the logs, and the objects whose turn it is",
    writes: "nothing at any site; the catalog remembers what is bad, and how far the reading came",
    exits: ["done", "failed", "usage", "notFound", "findings", "timeout", "interrupted", "terminated"],
  })
}

async function run(options: ScrubOptions, bench: Bench): Promise<void> {
  bench.limitTime(options.timeout)
  const reading = readingOf(options)
  const loaded = await bench.load()
  const renderer = rendererFor(bench, "scrub")
  try {
    await using session = await openKeeper(loaded, { io: bench.io(renderer), write: false })
    const sites = options.site.length === 0 ? undefined : options.site
    const report = await scrub({ reading, sites }, session.world)
    renderer.end()
    if (report.outcome === "findings") bench.ends("findings")
    bench.out(...scrubText(report, { paint: bench.paint, moment: (time) => bench.moment(time) }))
    for (const site of report.sites) bench.record("site", site)
    bench.record("summary", { command: "scrub", exit: exitCodes[bench.exit].code, ...report })
  } finally {
    renderer.end()
  }
}

function readingOf({ full = false, sample, days }: ScrubOptions): Reading {
  if (full) return "full"
  if (sample !== undefined) {
    const percent = Number(/^(\d{1,3}(?:\.\d{1,3})?)%$/.exec(sample)?.[1])
    if (percent > 0 && percent <= 100) return { share: percent / 100 }
    throw new ConfigError("config/usage", `--sample ${sample}: expected a part such as 5%, more than 0% and at most 100%`)
  }
  const withinDays = Number(/^\d{1,4}$/.exec(days)?.[0])
  if (withinDays > 0) return { withinDays }
  throw new ConfigError("config/usage", `--days ${days}: expected a number of days such as 30`)
}
