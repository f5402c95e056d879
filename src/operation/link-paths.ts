import type { MediaReference } from "../source/source.ts"

/** How rows of one kind name their media. */
export interface LinkRule {
  /** The profile's name of where the medium is. */
  readonly files: string
  /** As a profile says it: columns in braces, and {yyyy} {MM} {dd} of the row's day. */
  readonly path: string
  /** By how many days the dates in the path may differ from the row's. */
  readonly days: number
  /** So long after the call the platform itself may have removed the medium; absent: never. */
  readonly purgedMs?: number
}

/** The first rule that fits a reference's path. */
export function ruleOf(rules: readonly LinkRule[], reference: Pick<MediaReference, "path" | "day">): LinkRule | undefined {
  const path = reference.path.toString("latin1")
  return rules.find((rule) => pathOf(rule, reference.day).test(path)) ?? (rules.length === 1 ? rules[0] : undefined)
}

/** The same path with the dates of the days around the row's own, nearest first; none where it holds no date of the rule. */
export function otherDays(rule: LinkRule, { path, day }: Pick<MediaReference, "path" | "day">): Buffer[] {
  const match = pathOf(rule, day).exec(path.toString("latin1"))
  if (match === null || !/\{(?:yyyy|MM|dd)\}/.test(rule.path)) return []
  const noon = Date.parse(`${day}T12:00:00Z`)
  const shifts = Array.from({ length: rule.days }, (_, index) => [-index - 1, index + 1]).flat()
  return shifts.map((shift) => {
    const other = datesOf(new Date(noon + shift * 86_400_000).toISOString().slice(0, 10))
    const columns = match.slice(1)
    const pieces = piecesOf(rule).map((piece) => other.get(piece) ?? (piece.startsWith("{") ? (columns.shift() ?? "") : piece))
    return Buffer.from(pieces.join(""), "latin1")
  })
}

/** What a file is called without its directory and its extension: a conversion from wav to mp3 leaves it. */
export function stemOf(path: Buffer): string {
  const text = path.toString("latin1")
  return text.slice(text.lastIndexOf("/") + 1).replace(/\.[A-Za-z0-9]{1,5}$/, "")
}

/** Whether a name is one call's alone: a uuid, or the digits of a moment or a number; not "msg0001". */
export function tellsCalls(stem: string): boolean {
  return /[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}/i.test(stem) || (stem.match(/\d/g)?.length ?? 0) >= 9
}

function piecesOf({ path }: LinkRule): string[] {
  return path.split(/(\{[^{}]*\})/)
}

function datesOf(day: string): ReadonlyMap<string, string> {
  return new Map([
    ["{yyyy}", day.slice(0, 4)],
    ["{MM}", day.slice(5, 7)],
    ["{dd}", day.slice(8, 10)],
  ])
}

// Millions of references have the same few rules and days.
const patterns = new WeakMap<LinkRule, Map<string, RegExp>>()

function pathOf(rule: LinkRule, day: string): RegExp {
  const ofRule = patterns.get(rule) ?? new Map<string, RegExp>()
  patterns.set(rule, ofRule)
  const pattern = ofRule.get(day) ?? patternOf(rule, day)
  ofRule.set(day, pattern)
  return pattern
}

// A column may hold anything, but the dates stand where the rule has them; the root of the rule is gone from paths already.
function patternOf(rule: LinkRule, day: string): RegExp {
  const dates = datesOf(day)
  const pieces = piecesOf(rule).map((piece) => {
    const date = dates.get(piece)
    if (date !== undefined) return date
    return piece.startsWith("{") ? "([^]*?)" : RegExp.escape(piece)
  })
  return new RegExp(`^${pieces.join("")}$`)
}
