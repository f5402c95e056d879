import type { Command } from "commander"
import { declareLost } from "../operation/lost-keys.ts"
import { count } from "../units.ts"
import { openAgentLog } from "../wiring/world.ts"
import type { Bench } from "./bench.ts"
import { manual } from "./manual.ts"
import { rendererFor } from "./progress.ts"

export function addKeyLostCommand(key: Command, bench: Bench): void {
  const command = key
    .command("lost")
    .summary("let runs go on without key objects that no site has any more")
    .description(
      "Records in this agent's log that key objects are lost, after asking every site for them, and for older versions of them. What was " +
        "encrypted to them cannot be opened any more; the next run captures what the source still holds under a new key. Try " +
        "`holdline repair` first, and look for old copies of the sites' `v1/keys`.",
    )
    .argument("<object...>", "names of the key objects, as a failed run or a repair says them")
    .option("--timeout <duration>", "end after this long, such as 5m")
    .action(async (objects: string[], { timeout }: { timeout?: string }) => {
      bench.limitTime(timeout)
      await declare(objects, bench)
    })
  manual(command, {
    examples: [
      ["holdline repair", "first: it brings back what any site still has, in front or behind"],
      ["holdline key lost v1/keys/platform/1-e1-0f1e2d3c4b5a69788796a5b4c3d2e1f0.age", "what a failed run says is at no site"],
    ],
    reads: "this agent's log, and the key objects at every site; each has to answer",
    writes: "one commit in this agent's log at every site. It deletes nothing, anywhere",
    exits: ["done", "failed", "usage", "denied", "notFound", "busy", "timeout", "interrupted"],
  })
}

async function declare(objects: readonly string[], bench: Bench): Promise<void> {
  const loaded = await bench.load()
  const renderer = rendererFor(bench, "key lost")
  try {
    await using session = await openAgentLog(loaded, bench.io(renderer), [])
    const { seq, held } = await declareLost(session.world, [...new Set(objects)])
    renderer.end()
    bench.out(
      `${bench.paint.status("attention", "lost")}  ${count(objects.length, "key object")}, recorded in commit ${String(seq)} at ${held.join(", ")}`,
    )
    bench.note(bench.notePaint.next("holdline run JOB   captures what the source still holds under a new key"))
    bench.record("summary", { command: "key lost", exit: 0, objects, seq, held })
  } finally {
    renderer.end()
  }
}
