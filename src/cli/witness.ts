import type { Command } from "commander"
import { ConfigError } from "../errors.ts"
import { type Promised, witness } from "../operation/witness.ts"
import type { Mark } from "../report/paint.ts"
import { table } from "../report/table.ts"
import { visible } from "../report/visible.ts"
import type { WitnessedDataset, WitnessReport } from "../report/witness.ts"
import { count, formatDuration } from "../units.ts"
import type { Loaded } from "../wiring/config.ts"
import { openKeeper } from "../wiring/keeper.ts"
import type { Bench } from "./bench.ts"
import { exitCodes } from "./exit.ts"
import { manual } from "./manual.ts"
import { rendererFor } from "./progress.ts"

export function addWitnessCommand(command: Command, bench: Bench): void {
  command
    .description(
      "Judges from another machine, read-only and without any identity, whether every dataset meets its objective: by the signed commits at the " +
        "sites and the sites' own clocks. It notices a backup host that is gone, or that says it is well and is not.",
    )
    .option("--timeout <duration>", "end after this long, such as 5m")
    .action(async ({ timeout }: { readonly timeout?: string }) => {
      bench.limitTime(timeout)
      await judge(bench)
    })
  manual(command, {
    examples: [
      ["holdline witness", "once, for a person"],
      ["holdline witness --quiet || mail -s 'backups are late' ops@example.net </dev/null", "from cron, on a machine of its own"],
    ],
    reads:
      "the logs of all agents at the sites. `witness` in the configuration names the datasets; absent, those of its jobs with an objective",
    writes: "nothing at any site",
    exits: ["done", "failed", "usage", "denied", "findings", "timeout", "interrupted"],
  })
}

async function judge(bench: Bench): Promise<void> {
  const loaded = await bench.load()
  const promised = promisedIn(loaded)
  const renderer = rendererFor(bench, "witness")
  let report: WitnessReport
  try {
    await using session = await openKeeper(loaded, { io: bench.io(renderer), write: false })
    report = await witness(promised, session.world)
  } finally {
    renderer.end()
  }
  const { datasets, findings, unreadable } = report
  const kept = datasets.filter(({ state }) => state === "ok").length
  const well = kept === datasets.length && findings.length === 0
  if (!well) bench.ends("findings")
  bench.out(
    `${well ? bench.paint.status("good", "KEPT") : bench.paint.status("bad", "NOT KEPT")}  ${String(kept)} of ${count(datasets.length, "dataset")} within objective, as the sites say`,
    "",
    ...table(
      ["AGENT", "DATASET", "STORED", ">AGE", ">RPO", "SITES", "STATE"],
      datasets.map((dataset) => cells(dataset, bench)),
    ),
  )
  for (const finding of findings) bench.out(`${bench.paint.status("bad", "found")}  ${visible(finding)}`)
  for (const dataset of datasets) bench.record("dataset", dataset)
  bench.record("summary", { command: "witness", exit: exitCodes[bench.exit].code, datasets: datasets.length, kept, findings, unreadable })
}

const marks: Readonly<Record<WitnessedDataset["state"], Mark>> = { ok: "good", late: "bad", never: "bad", unknown: "attention" }

function cells({ agent, dataset, newest, rpoSeconds, state, why, anomalies }: WitnessedDataset, bench: Bench): string[] {
  const open = anomalies === 0 ? [] : [count(anomalies, "open anomaly", "open anomalies")]
  const reasons = [...(why === null ? [] : [why]), ...open]
  return [
    agent,
    dataset,
    newest === null ? "never" : bench.moment(newest.storedAt),
    newest === null ? "" : formatDuration(newest.ageSeconds * 1000),
    formatDuration(rpoSeconds * 1000),
    newest === null ? "" : newest.held.join(" "),
    bench.paint.status(marks[state], reasons.length === 0 ? state : `${state}: ${reasons.join("; ")}`),
  ]
}

function promisedIn({ config, jobs }: Loaded): Promised[] {
  if (config.witness !== undefined) return config.witness.map(({ agent, dataset, rpo }) => ({ agent, dataset, rpoMs: rpo }))
  const own = [...jobs.values()].flatMap(({ dataset, objective }) =>
    objective === undefined ? [] : [{ agent: config.agent, dataset, rpoMs: objective.rpo }],
  )
  if (own.length > 0) return own
  throw new ConfigError("config/invalid", "witness: nothing to judge: no dataset is named, and no job here has an objective", {
    hint: "name them in the configuration: witness: [{agent: pbx-fra-1, dataset: cdrs, rpo: 6h}]",
  })
}
