import type { Command } from "commander"
import { replicas } from "../operation/replicas.ts"
import type { ReplicaReport } from "../report/replicas.ts"
import { replicasText } from "../report/replicas-text.ts"
import { openKeeper } from "../wiring/keeper.ts"
import { waitingHere } from "../wiring/spool.ts"
import type { Bench } from "./bench.ts"
import { exitCodes } from "./exit.ts"
import { manual } from "./manual.ts"
import { rendererFor } from "./progress.ts"

export function addSiteStatusCommand(site: Command, bench: Bench): void {
  const command = site
    .command("status")
    .summary("show which site has what, and how far each is behind")
    .description(
      "Asks every site for its logs and shows the replica matrix: which site answers, which commits of each dataset it holds, and for how long it has been behind.",
    )
    .option("--check", "exit with 6 where a site is silent or behind, for monitoring")
    .action(({ check = false }: { check?: boolean }) => status({ check }, bench))
  manual(command, {
    examples: [
      ["holdline site status", "which site has what"],
      ["holdline site status --check --quiet", "the same for monitoring: the exit code says it"],
    ],
    reads: "the logs at the sites, and this host's memory of how they answered",
    writes: "nothing",
    exits: ["done", "failed", "usage", "denied", "notFound", "findings"],
  })
}

async function status({ check }: { check: boolean }, bench: Bench): Promise<void> {
  const loaded = await bench.load()
  const renderer = rendererFor(bench, "site status")
  try {
    await using session = await openKeeper(loaded, { io: bench.io(renderer), write: false })
    const report: ReplicaReport = { ...(await replicas(session.world)), spool: await waitingHere(loaded.config, bench.random) }
    renderer.end()
    bench.out(...replicasText(report, { paint: bench.paint, now: bench.clock.now() }))
    if (check && !isWhole(report)) bench.ends("findings")
    for (const each of report.sites) bench.record("site", each)
    for (const row of report.rows) bench.record("replicas", row)
    bench.record("summary", { command: "site status", exit: exitCodes[bench.exit].code, whole: isWhole(report), spool: report.spool })
  } finally {
    renderer.end()
  }
}

function isWhole({ sites, rows }: ReplicaReport): boolean {
  return (
    sites.every(({ state }) => state === "answers") && rows.every(({ at }) => Object.values(at).every(({ owed, held }) => owed === held))
  )
}
