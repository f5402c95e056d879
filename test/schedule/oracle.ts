import fc from "fast-check"

export const minuteMs = 60_000

/** Zones that change their clocks by an hour, by half an hour, or never, with moments shortly before each kind of change. */
export const zones = {
  "Europe/Berlin": ["2026-03-28T00:00Z", "2026-10-24T00:00Z"],
  "America/New_York": ["2026-03-07T00:00Z", "2026-10-31T00:00Z"],
  "Australia/Lord_Howe": ["2026-10-03T00:00Z", "2026-04-04T00:00Z"],
  UTC: ["2028-02-28T00:00Z", "2026-12-31T00:00Z"],
  "Asia/Kathmandu": ["2028-02-28T00:00Z", "2026-12-31T00:00Z"],
} as const

interface Wall {
  readonly minute: number
  readonly hour: number
  readonly day: number
  readonly month: number
  readonly weekday: number
}

interface Minute {
  readonly ms: number
  /** The clock on the wall, as milliseconds as if it were in UTC. */
  readonly local: number
}

/** Every minute of so many days, with the clock on the wall. */
export function minutesOf(from: string, days: number, timezone: string): Minute[] {
  const format = new Intl.DateTimeFormat("sv-SE", { timeZone: timezone, dateStyle: "short", timeStyle: "short" })
  const start = Date.parse(from)
  return Array.from({ length: days * 1440 }, (_, index) => {
    const ms = start + index * minuteMs
    return { ms, local: Date.parse(`${format.format(ms).replace(" ", "T")}Z`) }
  })
}

export function wallOf(local: number): Wall {
  const date = new Date(local)
  return {
    minute: date.getUTCMinutes(),
    hour: date.getUTCHours(),
    day: date.getUTCDate(),
    month: date.getUTCMonth() + 1,
    weekday: date.getUTCDay(),
  }
}

/** The due times among minutes that follow one another, found by looking at each: the rule of the documentation, word by word. */
export function dueAmong(minutes: readonly Minute[], cron: string): number[] {
  const [minute = "", hour = ""] = cron.split(" ")
  const byInterval = /[*/]/.test(minute + hour)
  const seen = new Set<number>()
  const due: number[] = []
  minutes.forEach(({ ms, local }, index) => {
    const before = minutes[index - 1]?.local ?? local - minuteMs
    const skipped: number[] = []
    for (let left = before + minuteMs; left < local; left += minuteMs) skipped.push(left)
    const comesAgain = seen.has(local)
    seen.add(local)
    const now = fits(cron, wallOf(local)) && (byInterval || !comesAgain)
    const madeUp = !byInterval && skipped.some((each) => fits(cron, wallOf(each)))
    if (now || madeUp) due.push(ms)
  })
  return due
}

function fits(cron: string, wall: Wall): boolean {
  const [minute = "*", hour = "*", day = "*", month = "*", weekday = "*"] = cron.split(" ")
  const [byDay, byWeekday] = [has(day, wall.day, 1, 31), has(weekday, wall.weekday, 0, 6)]
  const dayFits = day !== "*" && weekday !== "*" ? byDay || byWeekday : byDay && byWeekday
  return has(minute, wall.minute, 0, 59) && has(hour, wall.hour, 0, 23) && has(month, wall.month, 1, 12) && dayFits
}

function has(field: string, value: number, low: number, high: number): boolean {
  return field.split(",").some((part) => {
    const [range = "", step = "1"] = part.split("/")
    const [from = "", to = from] = range === "*" ? [String(low), String(high)] : range.split("-")
    return value >= Number(from) && value <= Number(to) && (value - Number(from)) % Number(step) === 0
  })
}

const number = (low: number, high: number) => fc.integer({ min: low, max: high }).map(String)

function field(low: number, high: number, steps: readonly number[]) {
  const range = fc.tuple(fc.integer({ min: low, max: high }), fc.integer({ min: low, max: high })).map(([a, b]) => {
    return `${String(Math.min(a, b))}-${String(Math.max(a, b))}`
  })
  const list = fc.uniqueArray(number(low, high), { minLength: 1, maxLength: 3 }).map((each) => each.join(","))
  return fc.oneof(
    fc.constant("*"),
    number(low, high),
    list,
    range,
    fc.constantFrom(...steps).map((step) => `*/${String(step)}`),
  )
}

/** Cron fields that are due often enough to meet the hours in which clocks change. */
export const crons = fc
  .tuple(
    field(0, 59, [5, 15, 20, 30]),
    fc.oneof({ weight: 2, arbitrary: field(0, 4, [1, 2, 3]) }, field(0, 23, [2, 6])),
    fc.oneof({ weight: 4, arbitrary: fc.constant("*") }, field(1, 31, [2])),
    fc.oneof({ weight: 6, arbitrary: fc.constant("*") }, field(1, 12, [2])),
    fc.oneof({ weight: 4, arbitrary: fc.constant("*") }, field(0, 6, [2])),
  )
  .map((fields) => fields.join(" "))
