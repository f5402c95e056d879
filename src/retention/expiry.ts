import { classDaysMin, expiryGraceDays, unlistedPackDays } from "../limits.ts"
import { type Hold, isHeld } from "./hold.ts"

const dayMs = 86_400_000

/** A backup commit that is believed. */
export interface KeptCommit {
  readonly sha256: string
  readonly agent: string
  readonly dataset: string
  readonly run: string
  readonly seq: number
  readonly complete: boolean
  /** What its accept record says, or else the earliest time by a site's own clock. */
  readonly acceptedAt: Date
  /** What the agent says. No retention follows from it, but suspicion may. */
  readonly claimedAt: Date
  readonly packs: readonly { readonly key: string; readonly class: string; readonly bytes: number }[]
}

/** A pack as a site lists it. */
export interface StoredPack {
  readonly key: string
  readonly storedAt: Date
  readonly lockedUntil?: Date | undefined
}

/** All that a decision rests on. */
export interface ExpiryFacts {
  /** On which the sites' clocks agree. */
  readonly now: Date
  /** Every commit at any site. */
  readonly commits: readonly KeptCommit[]
  /** By class, the most that any trust list ever gave it. */
  readonly days: ReadonlyMap<string, number>
  readonly holds: readonly Hold[]
  /** "agent/dataset" of which an anomaly is open. */
  readonly frozen: ReadonlySet<string>
  /** What verifications have shown. */
  readonly proven: readonly { readonly commit: string; readonly rung: string }[]
  /** What is not known, a sentence each: a log not read, a commit not understood, clocks that differ. With any of them nothing is dropped. */
  readonly doubts: readonly string[]
}

export type ReasonKind = "doubt" | "hold" | "anomaly" | "newest" | "unsigned-class" | "class" | "lock" | "quarantine" | "passed"

export interface Reason {
  readonly kind: ReasonKind
  readonly text: string
}

export interface Verdict {
  readonly verdict: "keep" | "drop"
  /** Until then time alone keeps it; null where nothing says how long. */
  readonly until: Date | null
  /** Everything that keeps it; or why nothing does. */
  readonly reasons: readonly Reason[]
}

/** What may go, and why not. Nothing here deletes, and whoever does reads the facts again before. */
export class Expiry {
  readonly #facts: ExpiryFacts
  readonly #beyond: ReadonlyMap<string, readonly Reason[]>
  readonly #listed: ReadonlyMap<string, Listing>
  readonly #doubts: readonly Reason[]

  constructor(facts: ExpiryFacts) {
    this.#facts = facts
    this.#beyond = beyondTime(facts)
    this.#listed = listings(facts, this.#beyond)
    const doubts = Number.isNaN(facts.now.getTime()) ? [...facts.doubts, "nobody knows what time it is"] : facts.doubts
    this.#doubts = doubts.map((text) => ({ kind: "doubt", text }))
  }

  /** A commit is kept until the last class of what it lists has passed. */
  commit(commit: KeptCommit): Verdict {
    const until = endOf(commit, this.#facts)
    const { days, unsigned } = until
    const time = { kind: "class" as const, text: keptText(days, commit.acceptedAt, until.ms) }
    return this.#judge([...unsigned, ...(this.#beyond.get(commit.sha256) ?? [])], { ms: until.ms, reason: time }, passedText(until.ms))
  }

  /**
   * A pack goes when every commit that lists it is past the days of the pack's own class, no lock is on it, and none of them is kept
   * beyond its time; one that no commit lists goes after the quarantine.
   */
  pack({ key, storedAt, lockedUntil }: StoredPack): Verdict {
    const listing = this.#listed.get(key)
    const lockedMs = lockedUntil === undefined ? Number.NEGATIVE_INFINITY : timeOf(lockedUntil)
    const locked = { ms: lockedMs, reason: { kind: "lock" as const, text: `locked at the site until ${dayText(lockedMs)}` } }
    if (listing === undefined) {
      const stored = timeOf(storedAt)
      const ms = stored + unlistedPackDays * dayMs
      const text = `no snapshot lists it, and it is kept ${String(unlistedPackDays)} days from ${dayText(stored)}`
      const passed = `no snapshot lists it, and it was stored more than ${String(unlistedPackDays)} days ago, on ${dayText(stored)}`
      return this.#judge([], later({ ms, reason: { kind: "quarantine", text } }, locked), passed)
    }
    const { ms, unsigned, beyond, count, days, last } = listing
    const many = count === 1 ? "the snapshot that lists it" : `the last of ${String(count)} snapshots that list it`
    const time = { ms, reason: { kind: "class" as const, text: `${many} is ${keptText(days, last, ms)}` } }
    return this.#judge([...unsigned, ...beyond], later(time, locked), passedText(ms))
  }

  #judge(keepers: readonly Reason[], { ms, reason }: Timed, passed: string): Verdict {
    const isOver = this.#facts.now.getTime() >= ms
    const reasons = [...this.#doubts, ...keepers, ...(isOver ? [] : [reason])]
    const until = keepers.some(({ kind }) => kind === "unsigned-class") ? null : dateOf(ms)
    if (reasons.length > 0) return { verdict: "keep", until, reasons }
    return { verdict: "drop", until, reasons: [{ kind: "passed", text: passed }] }
  }
}

interface Timed {
  readonly ms: number
  readonly reason: Reason
}

function later(a: Timed, b: Timed): Timed {
  return b.ms > a.ms ? b : a
}

// What is no time at all is after all others: nothing says that it has come.
function timeOf(moment: Date): number {
  const ms = moment.getTime()
  return Number.isNaN(ms) ? Number.POSITIVE_INFINITY : ms
}

/** What the commits that list a pack say of it together. */
interface Listing {
  readonly count: number
  readonly ms: number
  readonly days: number
  /** When the commit that keeps it longest was accepted. */
  readonly last: Date
  readonly unsigned: readonly Reason[]
  readonly beyond: readonly Reason[]
}

function listings(facts: ExpiryFacts, beyond: ReadonlyMap<string, readonly Reason[]>): Map<string, Listing> {
  const found = new Map<string, { count: number; ms: number; days: number; last: Date; unsigned: Reason[]; beyond: Reason[] }>()
  for (const commit of facts.commits) {
    const keepers = beyond.get(commit.sha256) ?? []
    for (const { key, class: className } of commit.packs) {
      const days = daysOf(className, facts)
      const ms = endMs(commit.acceptedAt, days ?? classDaysMin)
      const known = found.get(key) ?? { count: 0, ms: Number.NEGATIVE_INFINITY, days: 0, last: commit.acceptedAt, unsigned: [], beyond: [] }
      found.set(key, known)
      known.count += 1
      if (ms > known.ms) Object.assign(known, { ms, days: days ?? classDaysMin, last: commit.acceptedAt })
      if (days === undefined) addOnce(known.unsigned, unsignedClass(className))
      for (const reason of keepers) addOnce(known.beyond, reason)
    }
  }
  return found
}

function addOnce(reasons: Reason[], reason: Reason): void {
  if (!reasons.some(({ text }) => text === reason.text)) reasons.push(reason)
}

interface CommitEnd {
  readonly ms: number
  readonly days: number
  readonly unsigned: readonly Reason[]
}

// One that lists nothing says that there was nothing: it says so for as long as others of any class would be kept.
function endOf({ acceptedAt, packs }: KeptCommit, facts: ExpiryFacts): CommitEnd {
  const classes = [...new Set(packs.map((pack) => pack.class))]
  const unsigned = classes.filter((name) => daysOf(name, facts) === undefined).map(unsignedClass)
  const asked = classes.length === 0 ? [...facts.days.keys()] : classes
  const days = Math.max(classDaysMin, ...asked.map((name) => daysOf(name, facts) ?? 0))
  return { ms: endMs(acceptedAt, days), days, unsigned }
}

function daysOf(className: string, { days }: Pick<ExpiryFacts, "days">): number | undefined {
  const signed = days.get(className)
  return signed === undefined ? undefined : Math.max(classDaysMin, signed)
}

/** When time alone no longer keeps what a snapshot lists of a class; null where no trust list names the class. */
export function classEnd(className: string, acceptedAt: Date, facts: Pick<ExpiryFacts, "days">): Date | null {
  const days = daysOf(className, facts)
  return days === undefined ? null : dateOf(endMs(acceptedAt, days))
}

function endMs(acceptedAt: Date, days: number): number {
  return timeOf(acceptedAt) + (days + expiryGraceDays) * dayMs
}

function unsignedClass(name: string): Reason {
  return { kind: "unsigned-class", text: `no trust list names the class ${name}: nothing says how long it is kept` }
}

/** What keeps a commit whatever its time, by its hash. */
function beyondTime(facts: ExpiryFacts): Map<string, Reason[]> {
  const newest = newestSnapshots(facts)
  const found = new Map<string, Reason[]>()
  for (const commit of facts.commits) {
    const { agent, dataset, sha256 } = commit
    const held = facts.holds.filter((hold) => isHeld(hold, commit))
    const reasons: Reason[] = held.map(({ id, by, reason }) => ({ kind: "hold", text: `held by ${by} (${id.slice(0, 12)}): ${reason}` }))
    if (facts.frozen.has(`${agent}/${dataset}`)) reasons.push({ kind: "anomaly", text: `an anomaly of ${dataset} of ${agent} is open` })
    const title = newest.get(`${agent}/${commit.run}`)
    if (title !== undefined) reasons.push({ kind: "newest", text: `${title} of ${dataset} of ${agent}` })
    if (reasons.length > 0) found.set(sha256, reasons)
  }
  return found
}

/** The runs of which nothing goes, as "agent/run", and what they are: of each dataset the newest, the newest whole one, and the newest of each rung. */
function newestSnapshots(facts: ExpiryFacts): Map<string, string> {
  const rungs = new Map<string, string[]>()
  for (const { commit, rung } of facts.proven) rungs.set(commit, [...(rungs.get(commit) ?? []), rung])
  const found = new Map<string, string>()
  for (const commits of byDataset(facts.commits).values()) {
    // What came later than its class lasts was not made when it says, or lay about since: it must not take the place of another.
    const plausible = commits.filter((commit) => !isBackdated(commit, facts))
    const candidates = (plausible.length === 0 ? commits : plausible).toSorted(byAcceptance)
    const titles = new Map<string, KeptCommit>()
    for (const commit of candidates) {
      titles.set("the newest snapshot", commit)
      if (commit.complete) titles.set("the newest whole snapshot", commit)
      for (const rung of rungs.get(commit.sha256) ?? []) titles.set(`the newest snapshot that was ${rung}`, commit)
    }
    for (const [title, { agent, run }] of titles) if (!found.has(`${agent}/${run}`)) found.set(`${agent}/${run}`, title)
  }
  return found
}

function byDataset(commits: readonly KeptCommit[]): Map<string, KeptCommit[]> {
  return Map.groupBy(commits, ({ agent, dataset }) => `${agent}/${dataset}`)
}

function isBackdated(commit: KeptCommit, facts: ExpiryFacts): boolean {
  return commit.acceptedAt.getTime() - commit.claimedAt.getTime() > endOf(commit, facts).days * dayMs
}

/** In the order in which snapshots count. */
export function byAcceptance(a: KeptCommit, b: KeptCommit): number {
  return a.acceptedAt.getTime() - b.acceptedAt.getTime() || a.seq - b.seq
}

function keptText(days: number, acceptedAt: Date, ms: number): string {
  return `kept ${String(days)} days from ${dayText(acceptedAt.getTime())} and ${String(expiryGraceDays)} of grace, until ${dayText(ms)}`
}

function passedText(ms: number): string {
  return `its time passed on ${dayText(ms)}, and nothing else keeps it`
}

function dateOf(ms: number): Date | null {
  return Number.isFinite(ms) && Math.abs(ms) <= dateMsMax ? new Date(ms) : null
}

/** What a Date can say. */
const dateMsMax = 8.64e15

function dayText(ms: number): string {
  return dateOf(ms)?.toISOString().slice(0, 10) ?? "nobody knows when"
}
