import type { Command } from "commander"
import { chooseSnapshots, readHistory, type Snapshot } from "../operation/history.ts"
import { Keyring } from "../operation/keyring.ts"
import { Listings, type SnapshotPartition } from "../operation/select.ts"
import type { World } from "../operation/world.ts"
import { table } from "../report/table.ts"
import { count, formatSize } from "../units.ts"
import { openReader } from "../wiring/world.ts"
import type { Bench } from "./bench.ts"
import { manual } from "./manual.ts"
import { rendererFor } from "./progress.ts"
import { addReaderOptions, choiceOf, type ReaderOptions, readIdentities } from "./reader.ts"
import { parseReference } from "./reference.ts"
import { addFilesCommand } from "./snapshot-files.ts"

export function addSnapshotsCommands(group: Command, bench: Bench): void {
  group.description("Lists snapshots, as the sites have them, and what is in them.")
  addList(group, bench)
  addShow(group, bench)
  addFilesCommand(group, bench)
}

interface ListOptions {
  readonly job?: string
  readonly from: readonly string[]
  readonly timeout?: string
}

function addList(group: Command, bench: Bench): void {
  const command = group
    .command("list")
    .summary("list snapshots, newest first")
    .description("Lists the snapshots that the sites have, newest first. It needs no identity.")
    .option("--job <dataset>", "only this dataset, by default called like its job")
    .option("--from <site>", "ask this site only; may be repeated", (site: string, before: readonly string[]) => [...before, site], [])
    .option("--timeout <duration>", "end after this long, such as 5m")
    .action((options: ListOptions) => list(options, bench))
  manual(command, {
    examples: [
      ["holdline snapshots list", "all that can be restored"],
      ["holdline snapshots list --job cdrs --from gcs-bru", "what one site alone could give back"],
    ],
    reads: "the logs of all agents, at the sites",
    writes: "nothing but the catalog's memory of commits that were read",
    exits: ["done", "failed", "usage", "denied", "notFound", "timeout", "interrupted"],
  })
}

async function list({ job, from, timeout }: ListOptions, bench: Bench): Promise<void> {
  bench.limitTime(timeout)
  const loaded = await bench.load()
  const renderer = rendererFor(bench, "snapshots")
  try {
    const sites = from.length === 0 ? undefined : from
    await using session = await openReader(loaded, { io: bench.io(renderer), sites })
    const { snapshots } = await readHistory(session.world)
    renderer.end()
    const chosen = snapshots.filter(({ commit }) => job === undefined || commit.body.dataset === job).toReversed()
    if (chosen.length === 0) bench.note(job === undefined ? "no snapshots at these sites yet" : `no snapshots of ${job} at these sites`)
    else
      bench.out(
        ...table(
          ["SNAPSHOT", "DATASET", "STORED", ">PACKS", ">SIZE", "SITES", "STATE"],
          chosen.map((each) => cells(each, session.world, bench)),
        ),
      )
    for (const snapshot of chosen) bench.record("snapshot", recordOf(snapshot))
    bench.record("summary", { command: "snapshots list", snapshots: chosen.length })
  } finally {
    renderer.end()
  }
}

function cells({ commit, entry }: Snapshot, world: World, bench: Bench): string[] {
  const { run, dataset, packs, complete } = commit.body
  const bytes = packs.reduce((sum, [, size]) => sum + size, 0)
  const state = bench.paint.status(complete ? "good" : "attention", complete ? "complete" : "partial")
  return [
    run.slice(0, 12),
    dataset,
    bench.moment(entry.storedAt),
    String(packs.length),
    formatSize(bytes),
    sitesOf(entry.sites, world).join(" "),
    state,
  ]
}

/** In the configuration's order, as everywhere. */
function sitesOf(names: readonly string[], { vault }: World): string[] {
  return vault.sites.map(({ name }) => name).filter((name) => names.includes(name))
}

function recordOf({ commit, entry }: Snapshot): object {
  const { run, job, dataset, mode, agent, seq, cut, complete, final, packs } = commit.body
  const bytes = packs.reduce((sum, [, size]) => sum + size, 0)
  const { sites, storedAt } = entry
  return { run, commit: commit.sha256, job, dataset, mode, agent, seq, cut, storedAt, complete, final, packs: packs.length, bytes, sites }
}

function addShow(group: Command, bench: Bench): void {
  const command = group
    .command("show")
    .summary("show what a snapshot holds")
    .description("Shows a snapshot: when and by whom it was made, where it is and, with an identity, which accounts and days it holds.")
    .argument("<snapshot>", "JOB@latest, JOB@2026-11-20 or the beginning of an id; `holdline help references`")
    .action((text: string, options: ReaderOptions) => showSnapshot(text, options, bench))
  addReaderOptions(command)
  manual(command, {
    examples: [
      ["holdline snapshots show call-recordings@latest", "the newest snapshot of a job"],
      ["holdline snapshots show 3f9a0c21 --identity operations.identity", "with its accounts and days"],
    ],
    reads: "the logs at the sites; with an identity, the snapshot's inventory",
    writes: "nothing but the catalog's memory of commits that were read",
    exits: ["done", "failed", "usage", "denied", "notFound", "timeout", "interrupted"],
  })
}

async function showSnapshot(text: string, options: ReaderOptions, bench: Bench): Promise<void> {
  bench.limitTime(options.timeout)
  const named = parseReference(text, bench.timezone)
  const identities = await readIdentities(options.identity, bench)
  const loaded = await bench.load()
  const renderer = rendererFor(bench, text)
  try {
    const sites = options.from.length === 0 ? undefined : options.from
    await using session = await openReader(loaded, { io: bench.io(renderer), sites })
    const { world } = session
    const history = await readHistory(world)
    const snapshot = chooseSnapshots(history, await choiceOf(named, world, { allowPartial: true })).at(-1)
    if (snapshot === undefined) throw new Error("no snapshot was chosen")
    const partitions =
      identities.length === 0 ? null : await new Listings(world, new Keyring(world, history, identities)).partitions(snapshot)
    renderer.end()
    bench.out(...factsOf(snapshot, world, bench))
    bench.record("snapshot", recordOf(snapshot))
    if (partitions === null) bench.note(bench.notePaint.next("--identity FILE shows its accounts and days"))
    else printPartitions(partitions, bench)
    bench.record("summary", { command: "snapshots show", run: snapshot.commit.body.run })
  } finally {
    renderer.end()
  }
}

function factsOf({ commit, entry }: Snapshot, world: World, bench: Bench): string[] {
  const { run, dataset, mode, agent, seq, cut, complete, packs } = commit.body
  const missing = world.vault.sites.map(({ name }) => name).filter((name) => !entry.sites.includes(name))
  const bytes = packs.reduce((sum, [, size]) => sum + size, 0)
  return [
    `snapshot  ${run}`,
    `commit    ${commit.sha256}, number ${String(seq)} of agent ${agent}`,
    `dataset   ${dataset}, ${mode}, ${bench.paint.status(complete ? "good" : "attention", complete ? "complete" : "partial")}`,
    `cut       ${bench.moment(cut)}`,
    `stored    ${bench.moment(entry.storedAt)} at ${sitesOf(entry.sites, world).join(", ")}${missing.length === 0 ? "" : `, not at ${missing.join(", ")}`}`,
    `packs     ${count(packs.length, "pack")}, ${formatSize(bytes)}`,
  ]
}

function printPartitions(partitions: readonly SnapshotPartition[], bench: Bench): void {
  const lines = partitions.map(({ line }) => line)
  const rows = lines.map(({ account, partition, files, bytes }) => [account, partition, files.toLocaleString("en-US"), formatSize(bytes)])
  bench.out("", ...table(["ACCOUNT", "DAY OR RUN", ">FILES", ">SIZE"], rows))
  for (const { account, epoch, partition, files, bytes } of lines) bench.record("partition", { account, epoch, partition, files, bytes })
}
