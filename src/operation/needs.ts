import { packNameOf } from "../format/commit.ts"
import { packKey } from "../format/names.ts"
import type { Contents } from "./contents.ts"
import type { Selection } from "./select.ts"

/** Files and bytes that are expected. */
export interface Expected {
  readonly files: number
  readonly bytes: number
}

/** By the inventories: of several captures of one path each is counted, so it is at most this much. */
export function countLines({ groups }: Contents): Expected {
  const lines = groups.flat().map(({ line }) => line)
  return { files: lines.reduce((sum, line) => sum + line.files, 0), bytes: lines.reduce((sum, line) => sum + line.bytes, 0) }
}

/** Whether everything is wanted that the snapshots hold. */
export function isWhole({ accounts, paths, from, to }: Selection): boolean {
  return accounts === undefined && paths === undefined && from === undefined && to === undefined
}

/** What a restore is going to fetch. */
export interface Needs {
  readonly dataset: string
  /** The newest commit: what every site can be asked about first. */
  readonly commitKey: string
  /** Everything that its snapshots need, by key. */
  readonly packs: ReadonlyMap<string, NeededPack>
  readonly fetchBytes: number
  readonly files: number
}

export interface NeededPack {
  readonly bytes: number
  readonly class: string
  readonly kind: "pack" | "meta"
}

/** What is to be fetched for so many files and bytes; `whole` where that is everything that the snapshots hold. */
export function needsOf(contents: Contents, { files, bytes, whole }: Expected & { readonly whole: boolean }): Needs {
  const chosen = new Set(contents.groups.flat().map(({ snapshot }) => snapshot))
  const packs = new Map<string, NeededPack>()
  for (const { commit } of chosen.size === 0 ? contents.snapshots : chosen) {
    for (const listed of commit.body.packs) {
      const name = packNameOf(commit.body.agent, listed)
      packs.set(packKey(name), { bytes: name.bytes, class: name.class, kind: name.kind })
    }
  }
  const stored = [...packs.values()].reduce((sum, pack) => sum + (pack.kind === "pack" ? pack.bytes : 0), 0)
  // Age and tar add about 3 % to what ranges of a pack hold.
  const fetchBytes = whole ? stored : Math.min(stored, Math.ceil(bytes * 1.03))
  return { dataset: contents.newest.commit.body.dataset, commitKey: contents.newest.entry.key, packs, fetchBytes, files }
}
