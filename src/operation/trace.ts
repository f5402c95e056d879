import { utcDay } from "../clock.ts"
import { JobError } from "../errors.ts"
import type { Identity } from "../key/recipient.ts"
import type { FoundCall, TraceReport } from "../report/trace.ts"
import { readHistory, type Snapshot } from "./history.ts"
import { Keyring } from "./keyring.ts"
import { accountsNamed } from "./register.ts"
import type { SnapshotPartition } from "./select.ts"
import { findRecordings, type MediaPlaces } from "./trace-media.ts"
import { TracePlaces } from "./trace-places.ts"
import { type CallFilter, mediaOf } from "./trace-row.ts"
import { TraceWork } from "./trace-work.ts"
import type { World } from "./world.ts"

/** Which calls are looked for, and what opens them. */
export interface TraceRequest extends CallFilter {
  readonly identities: readonly Identity[]
  /** Account ids, or the platform's own; absent: all. */
  readonly accounts?: readonly string[] | undefined
  /** Datasets of call records; absent: every archive that holds some. */
  readonly datasets?: readonly string[] | undefined
  /** A private directory on a disk with room for `traceBatchBytes`; it is left empty. */
  readonly scratch: string
}

/**
 * Answers a trace request: finds calls by number, account and time in all call records that are kept, with their recordings and where both
 * are. Only pieces of the days asked for, and of one day before and after as days are counted in the platform's time zone, are fetched,
 * some days at a time, into `scratch`. `onCalls` is given the calls of some days, oldest first, before the next days are fetched. What no
 * site can give any more is said in the report, which is then partial; no event and no warning names a customer or a number.
 */
export async function traceCalls(
  request: TraceRequest,
  outer: World,
  onCalls: (calls: readonly FoundCall[]) => Promise<void>,
): Promise<TraceReport> {
  const warnings = new Set<string>()
  const world: World = {
    ...outer,
    tell(event) {
      // A path has the customer's id in it, and a piece that is missed is counted.
      if (event.type === "missed") return
      if (event.type === "warning" || event.type === "site-missed") warnings.add(event.message)
      outer.tell(event)
    },
  }
  const started = world.clock.now()
  const history = await readHistory(world)
  const keyring = new Keyring(world, history, request.identities)
  const accounts = request.accounts === undefined ? null : await accountsNamed(history, keyring, request.accounts, world.catalog)
  const places = await TracePlaces.open(history, keyring, world)
  const datasets = await places.callDatasets(request.datasets)
  if (datasets.size === 0) throw nothingKept()
  const work = new TraceWork(world, { filter: request, scratch: request.scratch, places })
  const media = new MediaNear(places, request, datasets)
  const recordings = { kept: 0, others: 0 }
  let calls = 0
  for (const [dataset, snapshots] of datasets) {
    const chosen = await places.choose(since(snapshots, request), (partition) => isWanted(partition, request, accounts))
    for await (const found of work.search(dataset, snapshots, chosen)) {
      const whole = found.some((call) => mediaOf(call).length > 0) ? await findRecordings(found, await media.places()) : found
      calls += whole.length
      for (const { state } of whole.flatMap((call) => call.recordings)) recordings[state === "kept" ? "kept" : "others"] += 1
      await onCalls(whole)
    }
  }
  const losses = [...new Set([...places.losses, ...work.losses].map(({ what, detail }) => `${what}: ${detail}`))]
  return {
    outcome: losses.length > 0 ? "partial" : "ok",
    datasets: [...datasets.keys()],
    ...work.counts,
    calls,
    recordings,
    losses,
    warnings: [...warnings],
    seconds: (world.clock.now().getTime() - started.getTime()) / 1000,
  }
}

function nothingKept(): JobError {
  return new JobError("job/not-found", "no dataset of call records is at these sites", {
    hint: "they come from jobs with a source of kind `cdrs` or `csv`; name a dataset with --job",
  })
}

const dayMs = 86_400_000

// A row is captured after its call. Clocks that are two days apart are found out elsewhere.
function since(snapshots: readonly Snapshot[], { since: from }: CallFilter): readonly Snapshot[] {
  if (from === undefined) return snapshots
  return snapshots.filter(({ entry }) => entry.storedAt.getTime() >= from.getTime() - 2 * dayMs)
}

function isWanted({ line }: SnapshotPartition, filter: CallFilter, accounts: ReadonlySet<string> | null): boolean {
  if (accounts !== null && !accounts.has(line.account)) return false
  if (line.partition === "") return true
  const { since: from, until } = filter
  if (from !== undefined && line.partition < utcDay(new Date(from.getTime() - dayMs))) return false
  return until === undefined || line.partition <= utcDay(new Date(until.getTime() + dayMs))
}

/**
 * Where recordings of the calls asked for may be: the archives that hold no call records, on these days and on those beside them, and
 * wholes.
 */
class MediaNear {
  readonly #places: TracePlaces
  readonly #filter: CallFilter
  readonly #callDatasets: ReadonlyMap<string, unknown>
  #chosen: Promise<readonly SnapshotPartition[]> | null = null
  #wholes: Promise<readonly SnapshotPartition[]> | null = null

  constructor(places: TracePlaces, filter: CallFilter, callDatasets: ReadonlyMap<string, unknown>) {
    this.#places = places
    this.#filter = filter
    this.#callDatasets = callDatasets
  }

  /** Read once, and only where a call has a recording. */
  async places(): Promise<MediaPlaces> {
    const places = this.#places
    this.#chosen ??= this.#choose()
    const wholes = (): Promise<readonly SnapshotPartition[]> => {
      this.#wholes ??= places.choose(places.wholes(this.#filter.until), () => true)
      return this.#wholes
    }
    return { contents: places.contents(), partitions: await this.#chosen, wholes, customerOf: (account) => places.customerOf(account) }
  }

  async #choose(): Promise<readonly SnapshotPartition[]> {
    const { since: from, until } = this.#filter
    const around = {
      numbers: [],
      since: from === undefined ? undefined : new Date(from.getTime() - dayMs),
      until: until === undefined ? undefined : new Date(until.getTime() + dayMs),
    }
    const archives = [...this.#places.archives()].filter(([dataset]) => !this.#callDatasets.has(dataset))
    const snapshots = archives.flatMap(([, all]) => since(all, around))
    // Whose they are kept as, the calls will say.
    return await this.#places.choose(snapshots, (partition) => isWanted(partition, around, null))
  }
}
