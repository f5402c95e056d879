import { byAcceptance, classEnd, Expiry, type ExpiryFacts, type KeptCommit, type Reason, type Verdict } from "./expiry.ts"
import { localDay } from "./period.ts"

const dayMs = 86_400_000
/** Drops of so many days are shown by day, those after them by month, and those of later years by year. */
const daysByDay = 14
const daysByMonth = 730

/** What is kept of one agent's dataset, until when, and what goes next. */
export interface DatasetCalendar {
  readonly agent: string
  readonly dataset: string
  readonly snapshots: number
  readonly bytes: number
  /** The class kept for the shortest time first. */
  readonly classes: readonly ClassCalendar[]
  /** On which days there is something, and the class of it that is kept longest. */
  readonly days: readonly { readonly day: string; readonly class: string }[]
  /** Soonest first. */
  readonly drops: readonly Drop[]
  /** What keeps snapshots beyond their time, and how many. */
  readonly keepers: readonly { readonly reason: Reason; readonly snapshots: number }[]
}

export interface ClassCalendar {
  readonly class: string
  /** null: no trust list names it. */
  readonly days: number | null
  readonly snapshots: number
  readonly bytes: number
  readonly oldest: Date
  readonly newest: Date
  /** When the first of them goes; null where none does, for now. */
  readonly next: Date | null
}

export interface Drop {
  /** "now", a day, a month or a year. */
  readonly when: string
  /** The moment at which the first of them may go. */
  readonly due: Date
  readonly class: string
  readonly snapshots: number
  /** Of packs that no later snapshot lists. */
  readonly bytes: number
  /** When the first and the last of the snapshots was stored. */
  readonly from: Date
  readonly to: Date
}

/** The calendar of every dataset, by name and agent. Only what is in the facts counts: what was not read may keep more. */
export function calendarsOf(facts: ExpiryFacts, timezone: string): DatasetCalendar[] {
  const expiry = new Expiry(facts)
  const datasets = Map.groupBy(facts.commits, ({ agent, dataset }) => `${dataset} ${agent}`)
  return [...datasets]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([, commits]) => calendarOf(commits.toSorted(byAcceptance), { facts, expiry, timezone }))
}

interface Looking {
  readonly facts: ExpiryFacts
  readonly expiry: Expiry
  readonly timezone: string
}

type Pack = KeptCommit["packs"][number]

/** What is kept under one class: the snapshots that list any of it, oldest first, and all of it. */
interface Kept {
  readonly class: string
  readonly commits: readonly KeptCommit[]
  readonly packs: readonly Pack[]
}

function calendarOf(commits: readonly KeptCommit[], looking: Looking): DatasetCalendar[] {
  const { expiry, facts, timezone } = looking
  const [first] = commits
  if (first === undefined) return []
  const { agent, dataset } = first
  const packs = packsOf(commits)
  const kept = [...Map.groupBy(packs, (pack) => pack.class)]
    .map(
      ([name, own]): Kept => ({
        class: name,
        commits: commits.filter((commit) => commit.packs.some((pack) => pack.class === name)),
        packs: own,
      }),
    )
    .toSorted((a, b) => (facts.days.get(a.class) ?? 0) - (facts.days.get(b.class) ?? 0) || (a.class < b.class ? -1 : 1))
  const verdicts = new Map(commits.map((commit) => [commit, expiry.commit(commit)]))
  const drops = kept.flatMap((each) => dropsOf(each, verdicts, looking)).toSorted((a, b) => a.due.getTime() - b.due.getTime())
  // The class that is kept longest comes last, and takes the place of the others.
  const days = new Map(kept.flatMap((each) => each.commits.map(({ acceptedAt }) => [localDay(acceptedAt, timezone), each.class] as const)))
  return [
    {
      ...{ agent, dataset, snapshots: commits.length, bytes: bytesOf(packs) },
      classes: kept.flatMap((each) => classOf(each, facts, drops)),
      days: [...days].map(([day, name]) => ({ day, class: name })).toSorted((a, b) => (a.day < b.day ? -1 : 1)),
      drops,
      keepers: keepersOf(verdicts, facts),
    },
  ]
}

function classOf({ class: name, commits, packs }: Kept, facts: ExpiryFacts, drops: readonly Drop[]): ClassCalendar[] {
  const [oldest] = commits
  const newest = commits.at(-1)
  if (oldest === undefined || newest === undefined) return []
  return [
    {
      ...{ class: name, days: facts.days.get(name) ?? null, snapshots: commits.length, bytes: bytesOf(packs) },
      ...{ oldest: oldest.acceptedAt, newest: newest.acceptedAt, next: drops.find((drop) => drop.class === name)?.due ?? null },
    },
  ]
}

function dropsOf({ class: name, commits, packs }: Kept, verdicts: ReadonlyMap<KeptCommit, Verdict>, looking: Looking): Drop[] {
  const { facts, expiry, timezone } = looking
  const bytes = new Map<string, number>()
  for (const pack of packs) {
    const { until, reasons } = expiry.pack({ key: pack.key, storedAt: facts.now })
    if (until === null || isKeptBeyond(reasons, until, facts)) continue
    const when = whenOf(until, facts.now, timezone)
    bytes.set(when, (bytes.get(when) ?? 0) + pack.bytes)
  }
  const dropping = commits.flatMap((commit) => {
    const due = classEnd(name, commit.acceptedAt, facts)
    return due === null || isKeptBeyond(verdicts.get(commit)?.reasons ?? [], due, facts) ? [] : [{ commit, due }]
  })
  return [...Map.groupBy(dropping, ({ due }) => whenOf(due, facts.now, timezone))].flatMap(([when, group]) => {
    const [first] = group
    const last = group.at(-1)
    if (first === undefined || last === undefined) return []
    const stored = { from: first.commit.acceptedAt, to: last.commit.acceptedAt }
    return [{ when, due: first.due, class: name, snapshots: group.length, bytes: bytes.get(when) ?? 0, ...stored }]
  })
}

// A newest snapshot is followed by others before its time has come; only where it has come, nothing followed.
function isKeptBeyond(reasons: readonly Reason[], due: Date, { now }: ExpiryFacts): boolean {
  return reasons.some(({ kind }) => beyond.has(kind) || (kind === "newest" && due <= now))
}

const beyond: ReadonlySet<Reason["kind"]> = new Set(["hold", "anomaly", "unsigned-class"])

function keepersOf(verdicts: ReadonlyMap<KeptCommit, Verdict>, facts: ExpiryFacts): DatasetCalendar["keepers"] {
  const reasons = [...verdicts.values()].flatMap(({ reasons: all, until }) => {
    return all.filter((reason) => beyond.has(reason.kind) || (until !== null && isKeptBeyond([reason], until, facts)))
  })
  return [...Map.groupBy(reasons, ({ text }) => text)].flatMap(([, same]) => {
    const [reason] = same
    return reason === undefined ? [] : [{ reason, snapshots: same.length }]
  })
}

function whenOf(due: Date, now: Date, timezone: string): string {
  const days = (due.getTime() - now.getTime()) / dayMs
  const day = localDay(due, timezone)
  if (days <= 0) return "now"
  return days <= daysByDay ? day : days <= daysByMonth ? day.slice(0, 7) : day.slice(0, 4)
}

function packsOf(commits: readonly KeptCommit[]): Pack[] {
  const packs = new Map<string, Pack>()
  for (const commit of commits) for (const pack of commit.packs) packs.set(pack.key, pack)
  return [...packs.values()]
}

function bytesOf(packs: readonly Pack[]): number {
  return packs.reduce((sum, { bytes }) => sum + bytes, 0)
}
