import type { Command } from "commander"
import { ConfigError } from "../errors.ts"
import type { ManifestItem } from "../format/manifest.ts"
import { chooseSnapshots, type History, readHistory, type Snapshot } from "../operation/history.ts"
import { Keyring } from "../operation/keyring.ts"
import { accountsNamed } from "../operation/register.ts"
import { itemFilter, Listings, type Selection, type SnapshotPartition, selectPartitions } from "../operation/select.ts"
import type { World } from "../operation/world.ts"
import { visible } from "../report/visible.ts"
import { formatSize } from "../units.ts"
import { openReader } from "../wiring/world.ts"
import type { Bench } from "./bench.ts"
import { addCallOptions, areCallsMeant, type CallOptions, findCalls } from "./find-calls.ts"
import { manual } from "./manual.ts"
import { rendererFor } from "./progress.ts"
import {
  addReaderOptions,
  addSelectionOptions,
  choiceOf,
  type ReaderOptions,
  readIdentities,
  type SelectionOptions,
  selectionOf,
} from "./reader.ts"
import { parseReference } from "./reference.ts"

type FilesOptions = ReaderOptions & SelectionOptions

const exits = ["done", "failed", "usage", "denied", "notFound", "timeout", "interrupted"] as const

export function addFilesCommand(group: Command, bench: Bench): void {
  const command = group
    .command("files")
    .summary("list the files of a snapshot")
    .description(
      "Lists the files that a restore of the same reference would look at. A file that was captured again is listed for each snapshot.",
    )
    .argument("<snapshot>", "JOB@latest, JOB@2026-11-20 or the beginning of an id; `holdline help references`")
    .action((text: string, options: FilesOptions) => files(text, options, bench))
  addReaderOptions(addSelectionOptions(command))
  manual(command, {
    examples: [
      ["holdline snapshots files switch-config@latest --identity operations.identity", "all of it"],
      ["holdline snapshots files call-recordings --account c-1042 --since 2026-11-01 --identity -", "one customer's November"],
    ],
    reads: "logs, inventories and manifests at the sites; no data",
    writes: "nothing",
    exits,
  })
}

export function addFindCommand(command: Command, bench: Bench): void {
  command
    .description(
      "Finds files by their path in all snapshots, newest first, and says in which of them each is. With --number or --calls it answers a " +
        "trace request: it finds calls in all call records that are kept, each with its recordings and where both are. Fetched are the " +
        "pieces of the days and accounts asked for, with one day before and after; they are removed again. A number is recognised " +
        "however it is written, by its last seven digits at least; an extension must be equal.",
    )
    .argument("[glob]", 'a pattern of paths, such as "**/7f3e*.wav"')
    .option("--job <dataset>", "only in this dataset")
    .action((glob: string | undefined, options: FindOptions) => {
      if (areCallsMeant(options)) return calls(glob, options, bench)
      if (glob === undefined) throw new ConfigError("config/usage", "find: expected a pattern of paths, --number or --calls")
      return find(glob, options, bench)
    })
  addReaderOptions(addSelectionOptions(addCallOptions(command)))
  manual(command, {
    examples: [
      ['holdline find "**/*1042*.xml" --job switch-config --identity operations.identity', "every version of a file"],
      ["holdline find --number +4930123456 --since 2026-11-01 --identity operations.identity", "calls of a number, and their recordings"],
      [
        "holdline find --calls --account c-1042 --since 2026-11-20T14:00 --until 2026-11-20T15:00 --json --identity -",
        "one customer's calls in an hour, with every column",
      ],
    ],
    reads: "logs, inventories and manifests at the sites; of calls the pieces of their days too",
    writes: "nothing that stays; of calls a private directory below the state directory, while they are read",
    exits: ["done", "failed", "usage", "partial", "denied", "notFound", "timeout", "interrupted", "terminated"],
  })
}

type FindOptions = FilesOptions & CallOptions & { readonly job?: string }

async function calls(glob: string | undefined, options: FindOptions, bench: Bench): Promise<void> {
  if (glob !== undefined || options.path.length > 0 || options.partial === true) {
    throw new ConfigError("config/usage", "find: calls are found by --number, --account, --since, --until and --job, and not by paths", {
      hint: "leave out the pattern, --path and --partial; or leave out --number and --calls to find files",
    })
  }
  await findCalls(options, bench)
}

async function files(text: string, options: FilesOptions, bench: Bench): Promise<void> {
  const named = parseReference(text, bench.timezone)
  await listing(`files ${text}`, options, bench, async (world, history) => {
    const choice = await choiceOf(named, world, { allowPartial: options.partial ?? false })
    return { snapshots: chooseSnapshots(history, choice), selection: selectionOf(options) }
  })
}

async function find(glob: string, options: FilesOptions & { job?: string }, bench: Bench): Promise<void> {
  await listing(`find ${glob}`, options, bench, async (_, { snapshots }) => {
    const { job } = options
    const chosen = snapshots.filter(({ commit }) => job === undefined || commit.body.dataset === job)
    return { snapshots: chosen.toReversed(), selection: { ...selectionOf(options), paths: [glob, ...options.path] } }
  })
}

interface Asked {
  readonly snapshots: readonly Snapshot[]
  readonly selection: Selection
}

async function listing(
  what: string,
  options: FilesOptions,
  bench: Bench,
  ask: (world: World, history: History) => Promise<Asked>,
): Promise<void> {
  bench.limitTime(options.timeout)
  const identities = await readIdentities(options.identity, bench)
  const loaded = await bench.load()
  const renderer = rendererFor(bench, what)
  try {
    const sites = options.from.length === 0 ? undefined : options.from
    await using session = await openReader(loaded, { io: bench.io(renderer), sites })
    const { world } = session
    const history = await readHistory(world)
    const { snapshots, selection } = await ask(world, history)
    const keyring = new Keyring(world, history, identities)
    renderer.end()
    let found = 0
    for await (const each of itemsOf(snapshots, selection, { world, history, keyring })) {
      if (!bench.stdout.isOpen) return
      found += 1
      printItem(each, bench)
      await bench.stdout.drained(bench.signal)
    }
    if (found === 0) bench.note("nothing matches")
    bench.record("summary", { command: what.split(" ")[0] === "find" ? "find" : "snapshots files", items: found })
  } finally {
    renderer.end()
  }
}

interface Found {
  readonly item: ManifestItem
  readonly partition: SnapshotPartition
}

interface Reading {
  readonly world: World
  readonly history: History
  readonly keyring: Keyring
}

async function* itemsOf(snapshots: readonly Snapshot[], selection: Selection, { world, history, keyring }: Reading): AsyncGenerator<Found> {
  const listings = new Listings(world, keyring, { remembered: true })
  const accounts = selection.accounts === undefined ? null : await accountsNamed(history, keyring, selection.accounts, world.catalog)
  for (const snapshot of snapshots) {
    const wanted = itemFilter(selection, snapshot.commit.body.mode)
    for (const partition of selectPartitions(await listings.partitions(snapshot), selection, accounts)) {
      for await (const item of listings.items(partition)) if (wanted(item)) yield { item, partition }
    }
  }
}

function printItem({ item, partition }: Found, bench: Bench): void {
  const { snapshot, line } = partition
  const { path, type, size, mtimeNs, sha256, missing, gone } = item
  const { run } = snapshot.commit.body
  const changed = new Date(Number(mtimeNs / 1_000_000n))
  if (bench.flags.json) {
    const text = path.toString()
    // Bytes that are no UTF-8 would be lost in text.
    const raw = Buffer.from(text).equals(path) ? {} : { pathBase64: path.toString("base64") }
    bench.record("item", {
      path: text,
      ...raw,
      kind: type,
      bytes: size,
      changed,
      sha256,
      account: line.account,
      run,
      missing: missing?.reason,
      gone,
    })
    return
  }
  const what = missing !== undefined ? `missing: ${missing.reason}` : gone === true ? "gone" : type === "file" ? formatSize(size) : type
  bench.out(`${run.slice(0, 12)}  ${bench.moment(changed)}  ${what.padStart(10)}  ${visible(path.toString())}`)
}
