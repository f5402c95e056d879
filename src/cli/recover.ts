import { resolve } from "node:path"
import type { Command } from "commander"
import { ConfigError } from "../errors.ts"
import type { Identity } from "../key/recipient.ts"
import { recover } from "../operation/recover.ts"
import type { RecoverReport } from "../report/recover.ts"
import { recoverText } from "../report/recover-text.ts"
import type { Io } from "../wiring/io.ts"
import { type BareOptions, openBare } from "../wiring/recover.ts"
import { openReader } from "../wiring/world.ts"
import type { Bench } from "./bench.ts"
import { exitCodes } from "./exit.ts"
import { manual } from "./manual.ts"
import { rendererFor } from "./progress.ts"
import { addReaderOptions, collect, type ReaderOptions, readIdentities } from "./reader.ts"

interface RecoverOptions extends ReaderOptions {
  readonly site: readonly string[]
  readonly root?: string
  readonly out?: string
}

export function addRecoverCommand(command: Command, bench: Bench): void {
  command
    .description(
      "Reads every log at the sites, believes only what the root and trusted agents signed, and rebuilds the catalog from it. " +
        "One site, one identity and the root's fingerprint are enough: with --site no configuration is needed, and one is written.",
    )
    .option("--site <name=path>", "a directory that holds what a site kept; may be repeated; the name is the one it had", collect, [])
    .option("--root <fingerprint>", "with --site: the root's, SHA256:…, as on the escrow sheet")
    .option("--out <directory>", "with --site: a new directory for configuration, trust file and catalog")
    .action((options: RecoverOptions) => run(options, bench))
  addReaderOptions(command)
  manual(command, {
    examples: [
      [
        "holdline recover --site fra=/mnt/vault --root SHA256:… --out found --identity escrow.identity",
        "on a new machine, with nothing else",
      ],
      ["holdline recover --from gcs-bru --identity -", "with this host's configuration, from one of its sites"],
    ],
    reads: "trust lists, logs, inventories and manifests at the sites; no data",
    writes: "the directory of --out, or the catalog in the state directory; nothing at any site",
    exits: ["done", "failed", "usage", "denied", "notFound", "findings", "timeout", "interrupted", "terminated"],
  })
}

async function run(options: RecoverOptions, bench: Bench): Promise<void> {
  bench.limitTime(options.timeout)
  const identities = await readIdentities(options.identity, bench)
  const bare = bareOf(options, bench)
  const renderer = rendererFor(bench, "recover")
  try {
    const io = bench.io(renderer)
    const { report, config } =
      bare === null
        ? await fromConfiguration(options, identities, { bench, io })
        : await fromNothing({ ...bare, agent: bench.flags.agent, io }, identities)
    renderer.end()
    if (report.refused.length > 0 || report.gaps.length > 0 || report.sites.some(({ readable }) => !readable)) bench.ends("findings")
    bench.out(...recoverText(report, { paint: bench.paint, moment: (time) => bench.moment(time) }))
    if (config !== null) bench.out("", `configuration  ${config}`)
    const [first] = report.datasets
    const where = config === null ? "" : `--config ${config} `
    if (first !== undefined) bench.note(bench.notePaint.next(`holdline ${where}restore plan ${first.dataset}@latest --identity FILE`))
    bench.record("summary", { command: "recover", exit: exitCodes[bench.exit].code, ...(config === null ? {} : { config }), ...report })
  } finally {
    renderer.end()
  }
}

interface Recovered {
  readonly report: RecoverReport
  /** The configuration that was written; null where there was one. */
  readonly config: string | null
}

async function fromConfiguration(
  options: RecoverOptions,
  identities: readonly Identity[],
  { bench, io }: { bench: Bench; io: Io },
): Promise<Recovered> {
  const sites = options.from.length === 0 ? undefined : options.from
  const loaded = await bench.load()
  await using session = await openReader(loaded, { io, sites })
  return { report: await recover({ identities, agent: loaded.config.agent }, session.world), config: null }
}

async function fromNothing(options: BareOptions, identities: readonly Identity[]): Promise<Recovered> {
  await using session = await openBare(options)
  const report = await recover({ identities, agent: options.agent }, session.world)
  return { report, config: await session.writeProject() }
}

/** What beginning without a configuration needs, all of it or nothing. */
function bareOf({ site, root, out, from }: RecoverOptions, bench: Bench): Omit<BareOptions, "io" | "agent"> | null {
  if (site.length === 0 && root === undefined && out === undefined) return null
  if (site.length === 0 || root === undefined || out === undefined || from.length > 0) {
    throw new ConfigError("config/usage", "without a configuration, --site, --root and --out are needed together, and --from is not", {
      hint: 'such as: holdline recover --site bru=/mnt/bru --root "SHA256:…" --identity escrow.identity --out recovered',
    })
  }
  const sites = site.map((text) => {
    const [, name, path] = /^([a-z0-9][a-z0-9-]{0,62})=(.+)$/.exec(text) ?? []
    if (name !== undefined && path !== undefined) return { name, path: resolve(bench.cwd, path) }
    throw new ConfigError("config/usage", `--site ${text}: expected NAME=PATH, such as bru=/mnt/bru`)
  })
  return { sites, root, out: resolve(bench.cwd, out) }
}
