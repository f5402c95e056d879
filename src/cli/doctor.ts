import type { Command } from "commander"
import { count } from "../units.ts"
import { examineHost } from "../wiring/doctor.ts"
import type { Bench } from "./bench.ts"
import { exitCodes } from "./exit.ts"
import { findingLines } from "./finding.ts"
import { manual } from "./manual.ts"

export function addDoctorCommand(command: Command, bench: Bench): void {
  command
    .description(
      "Looks at Node, configuration, trust, keys, state, sites, clocks, sources and jobs, and for identities that were left on a backup " +
        "host. Each finding says what to do about it. Nothing is mended by itself.",
    )
    .option("--timeout <duration>", "end after this long, such as 1m")
    .action(async ({ timeout }: { timeout?: string }) => {
      bench.limitTime(timeout)
      await examine(bench)
    })
  manual(command, {
    examples: [
      ["holdline doctor", "after setting a host up, and whenever something is odd"],
      ["holdline doctor --json", "for monitoring: one line for each thing looked at"],
    ],
    reads: "configuration, trust file, signing key, state, the beginning of each site's listing, small files where keys usually are",
    writes: "nothing that stays; a directory site is asked for its time with a temporary file",
    exits: ["done", "findings", "timeout", "interrupted"],
  })
}

async function examine(bench: Bench): Promise<void> {
  const { env, clock, random, signal, sleep } = bench.io({ tell: () => undefined })
  let findings = 0
  const host = { env, clock, random, signal, sleep, nodeVersion: process.version.slice(1), load: () => bench.load() }
  for await (const finding of examineHost(host)) {
    if (finding.state === "wrong") findings += 1
    bench.out(...findingLines(finding, { paint: bench.paint, checkWidth }))
    bench.record("check", finding)
  }
  if (findings > 0) bench.ends("findings")
  const verdict = findings === 0 ? bench.paint.status("good", "nothing found") : bench.paint.status("bad", count(findings, "finding"))
  bench.out("", verdict)
  bench.record("summary", { command: "doctor", exit: exitCodes[bench.exit].code, findings })
}

/** Of the longest check that is not named after a site or a job. */
const checkWidth = "signed settings".length
