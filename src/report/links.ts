import { count } from "../units.ts"

/** What rows point at, held against the media that are kept. */
export interface LinksReport {
  /** The dataset of the rows. */
  readonly from: string
  /** When the run began that captured them last; null where none did in the days that were looked at. */
  readonly rowsAt: string | null
  readonly references: number
  readonly resolved: number
  readonly missing: {
    /** The platform itself removes media of that age. */
    readonly purged: number
    /** A file of that name is kept at another place, or in another format. */
    readonly moved: number
    /** Too young to be finished: a later run takes it. */
    readonly notSettled: number
    /** Nothing says why. */
    readonly unknown: number
  }
  /** Media that no row points at: voicemail, or calls that crashed; `truncated`: those whose header says that nothing closed them. */
  readonly orphans: { readonly noRow: number; readonly truncated: number }
  /** Paths of a few whose reason is unknown, for a person to start with. */
  readonly examples: readonly string[]
}

/** What was found, line by line; the paths are added by who may show them. */
export function linksText({ from, references, resolved, missing, orphans }: LinksReport): string[] {
  const reasons = [
    [missing.notSettled, "not settled yet"],
    [missing.moved, "moved"],
    [missing.purged, "purged by the platform"],
    [missing.unknown, "missing, nothing says why"],
  ] as const
  const rest = reasons.flatMap(([n, reason]) => (n === 0 ? [] : [`${n.toLocaleString("en-US")} ${reason}`]))
  const without = orphans.noRow + orphans.truncated
  const cut = orphans.truncated === 0 ? "" : `, ${String(orphans.truncated)} of them cut off by a crash`
  return [
    [`${resolved.toLocaleString("en-US")} of ${count(references, "reference")} of ${from} kept`, ...rest].join(", "),
    ...(without === 0 ? [] : [`${count(without, "file")} that no row points at${cut}: kept all the same`]),
  ]
}
