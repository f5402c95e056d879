import { type Command, Option } from "commander"
import { verify } from "../operation/verify.ts"
import type { World } from "../operation/world.ts"
import { type Rung, rungs } from "../report/verify.ts"
import { verifyText } from "../report/verify-text.ts"
import type { Loaded } from "../wiring/config.ts"
import { openReader } from "../wiring/world.ts"
import type { Bench } from "./bench.ts"
import { exitCodes } from "./exit.ts"
import { manual } from "./manual.ts"
import { rendererFor } from "./progress.ts"
import { addReaderOptions, choiceOf, type ReaderOptions, readIdentities } from "./reader.ts"
import { parseReference } from "./reference.ts"

type VerifyOptions = ReaderOptions & { readonly upTo: Rung; readonly partial?: boolean }

export function addVerifyCommand(command: Command, bench: Bench): void {
  command
    .description(
      "Climbs the ladder of proof: present, checksummed, hashed, decrypted, decoded, loaded, linked, matched. It says how far it came, " +
        "and everything that is not what it was. Without an identity it ends at hashed.",
    )
    .argument("<snapshot>", "JOB@latest, JOB@2026-11-20 or the beginning of an id; `holdline help references`")
    .addOption(new Option("--up-to <rung>", "how far to climb").choices([...rungs]).default("matched"))
    .option("--partial", "of a state, the newest snapshot even if it is partial")
    .action((text: string, options: VerifyOptions) => run(text, options, bench))
  addReaderOptions(command)
  manual(command, {
    examples: [
      ["holdline verify call-recordings@latest", "every site's bytes are read and hashed; needs no identity"],
      ["holdline verify call-recordings@latest --identity operations.identity", "and every file is opened and compared"],
      ["holdline verify cdrs@latest --up-to present", "quick: whether everything is there"],
    ],
    reads: "every pack of the snapshot at every site; with --up-to present, listings only",
    writes: "nothing at any site; the catalog remembers how far the proof went",
    exits: ["done", "failed", "usage", "denied", "notFound", "findings", "timeout", "interrupted", "terminated"],
  })
}

async function run(text: string, options: VerifyOptions, bench: Bench): Promise<void> {
  bench.limitTime(options.timeout)
  const named = parseReference(text, bench.timezone)
  const identities = await readIdentities(options.identity, bench)
  const loaded = await bench.load()
  const renderer = rendererFor(bench, `verify ${text}`)
  try {
    const sites = options.from.length === 0 ? undefined : options.from
    await using session = await openReader(loaded, { io: bench.io(renderer), sites })
    const choice = await choiceOf(named, session.world, { allowPartial: options.partial ?? false })
    const world = options.from.length === 0 ? atSitesOfItsJob(choice.dataset, session.world, loaded) : session.world
    const report = await verify({ ...choice, identities, upTo: options.upTo }, world)
    renderer.end()
    if (report.outcome === "findings") bench.ends("findings")
    bench.out(...verifyText(report, { paint: bench.paint }))
    bench.record("summary", { command: "verify", exit: exitCodes[bench.exit].code, ...report })
  } finally {
    renderer.end()
  }
}

/** A site that the dataset's jobs do not name owes nothing of it. Without such a job here, every site is asked. */
function atSitesOfItsJob(dataset: string, world: World, { jobs }: Loaded): World {
  const owing = new Set([...jobs.values()].filter((job) => job.dataset === dataset).flatMap((job) => job.sites))
  if (owing.size === 0) return world
  return { ...world, vault: { ...world.vault, sites: world.vault.sites.filter(({ name }) => owing.has(name)) } }
}
