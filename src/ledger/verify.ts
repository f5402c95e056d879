import { type LedgerPlace, parseLine, placeOf } from "./entry.ts"

/** A line as it is kept, and the place it is kept at. */
export interface KeptLine {
  readonly n: number
  readonly line: string
}

/** What of a ledger was signed and kept elsewhere. */
export interface LedgerAnchor extends LedgerPlace {
  /** The commit that says so, for people. */
  readonly commit: string
}

export type LedgerProblem =
  | { readonly kind: "malformed" | "edited" | "gap"; readonly n: number }
  | { readonly kind: "rewritten" | "cut"; readonly n: number; readonly commit: string }
  | { readonly kind: "fork"; readonly n: number; readonly commits: readonly [string, string] }

export interface LedgerProof {
  /** Entries that were read, and the first and last of them. */
  readonly entries: number
  readonly first: number | null
  readonly last: LedgerPlace
  /** Anchors that an entry was compared with. */
  readonly anchored: number
  readonly problems: readonly LedgerProblem[]
}

/**
 * Whether nothing in a ledger was changed, left out or cut off. Each line names the one before; `floor` is the last one that was pruned.
 * Whoever rewrites all that follows an edit, or cuts the end off, is found by what was anchored. An edit is told once: what follows is
 * compared with the line as it is.
 */
export function verifyLedger(lines: Iterable<KeptLine>, floor: LedgerPlace, anchors: readonly LedgerAnchor[]): LedgerProof {
  const problems: LedgerProblem[] = [...forksOf(anchors)]
  const waiting = new Map(anchors.filter(({ n }) => n > floor.n).map((anchor) => [anchor.n, anchor]))
  for (const { n, sha256, commit } of anchors) if (n === floor.n && sha256 !== floor.sha256) problems.push({ kind: "rewritten", n, commit })
  let before = floor
  let first: number | null = null
  let entries = 0
  let anchored = 0
  for (const { n, line } of lines) {
    first ??= n
    entries += 1
    const entry = parseLine(line)
    if (n !== before.n + 1) problems.push({ kind: "gap", n: before.n + 1 })
    if (entry === null || entry.n !== n) problems.push({ kind: "malformed", n })
    else if (n === before.n + 1 && entry.prev !== before.sha256) problems.push({ kind: "edited", n: before.n })
    before = placeOf(n, line)
    const anchor = waiting.get(n)
    if (anchor === undefined) continue
    waiting.delete(n)
    anchored += 1
    if (anchor.sha256 !== before.sha256) problems.push({ kind: "rewritten", n, commit: anchor.commit })
  }
  // Those within a gap were told by it.
  for (const { n, commit } of waiting.values()) if (n > before.n) problems.push({ kind: "cut", n, commit })
  return { entries, first, last: before, anchored, problems: problems.toSorted((a, b) => a.n - b.n) }
}

/** Two anchors of one place that say different things: the ledger went on twice from a copy of this host. */
function* forksOf(anchors: readonly LedgerAnchor[]): Generator<LedgerProblem> {
  const known = new Map<number, LedgerAnchor>()
  for (const anchor of anchors) {
    const other = known.get(anchor.n)
    if (other === undefined) known.set(anchor.n, anchor)
    else if (other.sha256 !== anchor.sha256) yield { kind: "fork", n: anchor.n, commits: [other.commit, anchor.commit] }
  }
}
