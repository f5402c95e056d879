import type { Command } from "commander"
import { metricsOf, metricsText } from "../report/metrics.ts"
import { hostStanding } from "../wiring/metrics.ts"
import type { Bench } from "./bench.ts"
import { manual } from "./manual.ts"
import { version } from "./version.ts"

export function addMetricsCommand(command: Command, bench: Bench): void {
  command
    .description(
      "Prints how every job and site stands by what this host remembers, in the text format of Prometheus, once. `holdline serve` gives the " +
        "same at /metrics of the address that `listen` names; this is for a textfile collector.",
    )
    .action(async () => {
      using catalog = await bench.openCatalog()
      const metrics = metricsOf(
        await hostStanding(await bench.load(), catalog, { version: version(), clock: bench.clock, random: bench.random }),
      )
      if (!bench.flags.json) bench.stdout.write(metricsText(metrics))
      for (const { name, samples } of metrics) for (const sample of samples) bench.record("sample", { name, ...sample })
      bench.record("summary", { command: "metrics", metrics: metrics.length })
    })
  manual(command, {
    examples: [["holdline metrics > holdline.prom.new && mv holdline.prom.new holdline.prom", "where a node exporter looks for *.prom"]],
    reads: "the configuration, and what this host remembers; no site",
    writes: "nothing",
    exits: ["done", "failed", "usage", "notFound"],
  })
}
