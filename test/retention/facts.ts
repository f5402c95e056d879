import fc from "fast-check"
import type { ExpiryFacts, KeptCommit, StoredPack } from "../../src/retention/expiry.ts"

export const dayMs = 86_400_000
const start = Date.parse("2031-01-01T00:00:00Z")

export function day(n: number): Date {
  return new Date(start + n * dayMs)
}

/** A commit of pbx-1/switch-config, accepted on a day, that lists packs of one class. */
export function commitOf(id: string, accepted: number, packs: readonly string[], given: Partial<KeptCommit> = {}): KeptCommit {
  return {
    ...{ sha256: id, agent: "pbx-1", dataset: "switch-config", run: `run-${id}`, seq: accepted, complete: true },
    ...{ acceptedAt: day(accepted), claimedAt: day(accepted) },
    packs: packs.map((key) => ({ key, class: "state-35", bytes: 100 })),
    ...given,
  }
}

export function factsOf(now: number, commits: readonly KeptCommit[], given: Partial<ExpiryFacts> = {}): ExpiryFacts {
  const days = new Map([
    ["state-35", 35],
    ["state-100", 100],
    ["mixed-28", 28],
  ])
  return { now: day(now), commits, days, holds: [], frozen: new Set(), proven: [], doubts: [], ...given }
}

const classes = ["state-35", "state-100", "mixed-28", "nobody-signed-this"] as const
const datasets = ["cdrs", "recordings"] as const
const keys = Array.from({ length: 8 }, (_, index) => `pack-${String(index)}`)
// As in names of objects: one pack, one class.
const classOf = (key: string): string => classes[keys.indexOf(key) % classes.length] ?? "state-35"

const listed = fc.subarray(keys).map((some) => some.map((key) => ({ key, class: classOf(key), bytes: 10 })))

const commits = fc
  .array(
    fc.record({
      agent: fc.constantFrom("pbx-1", "pbx-2"),
      dataset: fc.constantFrom(...datasets),
      complete: fc.boolean(),
      accepted: fc.integer({ min: 0, max: 200 }),
      late: fc.integer({ min: -5, max: 60 }),
      packs: listed,
    }),
    { maxLength: 8 },
  )
  .map((some) =>
    some.map(({ accepted, late, ...rest }, index): KeptCommit => {
      const id = `commit-${String(index)}`
      return { ...rest, sha256: id, run: id, seq: index, acceptedAt: day(accepted), claimedAt: day(accepted - late) }
    }),
  )

const dayText = fc
  .option(fc.integer({ min: 0, max: 250 }), { nil: undefined })
  .map((n) => (n === undefined ? undefined : day(n).toISOString().slice(0, 10)))
const hold = fc.record({
  id: fc.constant("0".repeat(32)),
  by: fc.constant("Ada"),
  reason: fc.constant("INC-1"),
  time: fc.constant("2031-01-01T00:00:00.000Z"),
  dataset: fc.option(fc.constantFrom(...datasets), { nil: undefined }),
  from: dayText,
  to: dayText,
})

/** Whatever a keeper may meet, some of it unknown. */
export const anyFacts: fc.Arbitrary<ExpiryFacts> = fc
  .record({
    now: fc.integer({ min: 0, max: 500 }).map(day),
    commits,
    holds: fc.array(hold, { maxLength: 2 }),
    frozen: fc.subarray(["pbx-1/cdrs", "pbx-2/recordings"]).map((some) => new Set(some)),
    proven: fc.array(fc.record({ commit: fc.constantFrom("commit-0", "commit-1"), rung: fc.constantFrom("hashed", "loaded") }), {
      maxLength: 2,
    }),
    doubts: fc.constantFrom([], [], [], ["gcs-bru: its log was not read"]),
  })
  .map((given) => factsOf(0, [], given))

export const anyPacks: fc.Arbitrary<StoredPack[]> = fc.array(
  fc.record({
    key: fc.constantFrom(...keys, "of-no-commit"),
    storedAt: fc.integer({ min: 0, max: 200 }).map(day),
    lockedUntil: fc.option(fc.integer({ min: 0, max: 400 }).map(day), { nil: undefined }),
  }),
  { minLength: 1, maxLength: 10 },
)
