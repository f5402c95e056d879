import { utcDay } from "../clock.ts"
import type { ManifestItem } from "../format/manifest.ts"
import type { FoundCall, FoundRecording } from "../report/trace.ts"
import { type Contents, itemsOf } from "./contents.ts"
import { tellsCalls } from "./link-paths.ts"
import type { SnapshotPartition } from "./select.ts"
import { mediaOf } from "./trace-row.ts"

/** Where recordings may be: partitions of datasets that hold no call records, and whose each account is. */
export interface MediaPlaces {
  readonly contents: Contents
  /** Of archives. */
  readonly partitions: readonly SnapshotPartition[]
  /** Of wholes, such as voicemail; asked for only where an archive does not have all. */
  wholes(): Promise<readonly SnapshotPartition[]>
  /** The platform's own id of an account, as far as the register can be opened. */
  customerOf(account: string): string
}

/**
 * Finds the media that calls point at, at most a day from the call: below the same customer, below one that the path names, as recordings
 * may be kept under a customer's name and rows under its id, or below `mixed`. A row has a path of the platform's own, a snapshot one below
 * its source's root, so that one is the end of the other; a file that was converted since has another extension. What no archive has is
 * looked for in wholes, by names that tell calls apart: voicemail that is renumbered gives a name to one message after another.
 */
export async function findRecordings(calls: readonly FoundCall[], places: MediaPlaces): Promise<FoundCall[]> {
  const wanted = new WantedMedia(calls, places)
  const { contents } = places
  const before = contents.losses.length
  for (const partition of places.partitions) {
    if (!wanted.mayBeIn(partition)) continue
    for await (const item of itemsOf(contents, partition)) if (item.type !== "directory") wanted.look(item, partition)
  }
  const left = wanted.customersLeft()
  for (const partition of left.size === 0 ? [] : await places.wholes()) {
    if (!left.has(places.customerOf(partition.line.account))) continue
    for await (const item of itemsOf(contents, partition)) if (item.type !== "directory") wanted.look(item, partition)
  }
  const absent = contents.losses.length > before ? ("unknown" as const) : ("not-kept" as const)
  return calls.map((call) => ({ ...call, recordings: mediaOf(call).map((said) => wanted.found(call, said) ?? { said, state: absent }) }))
}

interface WantedMedium {
  readonly call: FoundCall
  readonly said: string
  /** Whose it may be kept as. */
  readonly customers: ReadonlySet<string>
  /** Days it may be kept under. */
  readonly days: ReadonlySet<string>
}

/** The media that are looked for, with the best that was met of each. */
class WantedMedia {
  readonly #places: MediaPlaces
  readonly #byStem: ReadonlyMap<string, readonly WantedMedium[]>
  /** Days by customer. */
  readonly #near = new Map<string, Set<string>>()
  readonly #found = new Map<FoundCall, Map<string, FoundRecording>>()

  constructor(calls: readonly FoundCall[], places: MediaPlaces) {
    this.#places = places
    const wanted = calls.flatMap((call) => mediaOf(call).map((said) => wantedMedium(call, said)))
    this.#byStem = Map.groupBy(wanted, ({ said }) => stemOf(said))
    for (const { customers, days } of wanted) {
      for (const customer of customers) {
        const known = this.#near.get(customer) ?? new Set<string>()
        this.#near.set(customer, known)
        for (const day of days) known.add(day)
      }
    }
  }

  mayBeIn({ line }: SnapshotPartition): boolean {
    const days = this.#near.get(this.#places.customerOf(line.account))
    return days !== undefined && (line.partition === "" || days.has(line.partition))
  }

  /** Whose media that were not found yet may be in a whole. */
  customersLeft(): ReadonlySet<string> {
    const left = [...this.#byStem].flatMap(([stem, wanted]) =>
      tellsCalls(stem) ? wanted.filter(({ call, said }) => this.found(call, said)?.state !== "kept") : [],
    )
    return new Set(left.flatMap(({ customers }) => [...customers]))
  }

  look(item: ManifestItem, partition: SnapshotPartition): void {
    const { line } = partition
    const customer = this.#places.customerOf(line.account)
    const stem = stemOf(item.path.toString())
    const whole = isWhole(partition)
    if (whole && !tellsCalls(stem)) return
    for (const { call, said, customers, days } of this.#byStem.get(stem) ?? []) {
      if (!customers.has(customer) || !(whole || line.partition === "" || days.has(line.partition))) continue
      const recording = recordingOf(said, item, partition)
      const ofCall = this.#found.get(call) ?? new Map<string, FoundRecording>()
      this.#found.set(call, ofCall)
      if (recording !== null && rankOf(recording) > rankOf(ofCall.get(said))) ofCall.set(said, recording)
    }
  }

  found(call: FoundCall, said: string): FoundRecording | undefined {
    return this.#found.get(call)?.get(said)
  }
}

function wantedMedium(call: FoundCall, said: string): WantedMedium {
  const customers = new Set([call.stableId, "mixed", ...said.split("/").filter((part) => part !== "")])
  const days = new Set([-1, 0, 1].map((shift) => utcDay(new Date(Date.parse(call.day) + shift * dayMs))))
  return { call, said, customers, days }
}

const dayMs = 86_400_000

/** Whose partitions are runs, and no days. */
function isWhole({ snapshot }: SnapshotPartition): boolean {
  return snapshot.commit.body.mode === "state"
}

function recordingOf(said: string, item: ManifestItem, { snapshot, line }: SnapshotPartition): FoundRecording | null {
  const path = item.path.toString()
  const converted = extensionOf(said) !== extensionOf(path)
  if (!agree(withoutExtension(said), withoutExtension(path))) return null
  const { run, dataset } = snapshot.commit.body
  return {
    said,
    state: item.missing === undefined ? "kept" : "missing",
    dataset,
    ...(isWhole({ snapshot, line }) || line.partition === "" ? {} : { day: line.partition }),
    bytes: item.size,
    kept: { run, sites: snapshot.entry.sites, path },
    ...(converted ? { note: `kept as .${extensionOf(path)}` } : {}),
  }
}

/** What is kept is better than what is missing, the very file better than one of another extension. */
function rankOf(recording: FoundRecording | undefined): number {
  if (recording === undefined) return 0
  return (recording.state === "kept" ? 4 : 1) + (recording.note === undefined ? 1 : 0)
}

function agree(said: string, path: string): boolean {
  return said === path || said.endsWith(`/${path}`) || path.endsWith(`/${said}`)
}

function stemOf(path: string): string {
  return withoutExtension(path.slice(path.lastIndexOf("/") + 1))
}

function withoutExtension(path: string): string {
  return path.replace(/\.[A-Za-z0-9]{1,5}$/, "")
}

function extensionOf(path: string): string {
  return (/\.([A-Za-z0-9]{1,5})$/.exec(path)?.[1] ?? "").toLowerCase()
}
