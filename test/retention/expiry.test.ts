import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { Expiry, type ExpiryFacts, type KeptCommit, type Reason } from "../../src/retention/expiry.ts"
import type { Hold } from "../../src/retention/hold.ts"
import { anyFacts, anyPacks, commitOf, day, dayMs, factsOf } from "./facts.ts"

const old = { key: "p", storedAt: day(0) }
/** A newer snapshot of the same dataset, so that the older one is not the newest. */
const newer = commitOf("newer", 300, ["q"])

function kinds(reasons: readonly Reason[]): string[] {
  return reasons.map(({ kind }) => kind)
}

function verdictOf(facts: ExpiryFacts, pack: { key: string; storedAt: Date; lockedUntil?: Date } = old) {
  return new Expiry(facts).pack(pack)
}

describe("a pack that a snapshot lists", () => {
  const commit = commitOf("c", 0, ["p"])

  test("is kept for the days of its class and two of grace, to the millisecond", () => {
    const at = (now: Date) => verdictOf({ ...factsOf(0, [commit, newer]), now })
    expect(at(new Date(day(37).getTime() - 1))).toEqual({
      verdict: "keep",
      until: day(37),
      reasons: [{ kind: "class", text: "the snapshot that lists it is kept 35 days from 2031-01-01 and 2 of grace, until 2031-02-07" }],
    })
    expect(at(day(37))).toEqual({
      verdict: "drop",
      until: day(37),
      reasons: [{ kind: "passed", text: "its time passed on 2031-02-07, and nothing else keeps it" }],
    })
  })

  test("is kept for the last of the snapshots that list it, of whichever agent", () => {
    const again = commitOf("again", 20, ["p"], { agent: "pbx-2", dataset: "other" })
    const facts = factsOf(40, [commit, again, newer, commitOf("newest", 30, [], { agent: "pbx-2", dataset: "other" })])
    expect(verdictOf(facts)).toMatchObject({
      verdict: "keep",
      until: day(57),
      reasons: [{ text: expect.stringContaining("the last of 2 snapshots") }],
    })
  })

  test("is kept by its own class: a snapshot that is kept for longer lets its shorter part go, and itself stays", () => {
    const both = commitOf("both", 0, [], {
      packs: [
        { key: "p", class: "mixed-28", bytes: 1 },
        { key: "long", class: "state-100", bytes: 1 },
      ],
    })
    const expiry = new Expiry(factsOf(40, [both, newer]))
    expect(expiry.pack(old).verdict).toBe("drop")
    expect(expiry.pack({ ...old, key: "long" })).toMatchObject({ verdict: "keep", until: day(102) })
    expect(expiry.commit(both)).toMatchObject({ verdict: "keep", until: day(102) })
  })

  test("is kept while the site locks it", () => {
    const locked = verdictOf(factsOf(40, [commit, newer]), { ...old, lockedUntil: day(44) })
    expect(locked).toMatchObject({
      verdict: "keep",
      until: day(44),
      reasons: [{ kind: "lock", text: "locked at the site until 2031-02-14" }],
    })
    expect(verdictOf(factsOf(44, [commit, newer]), { ...old, lockedUntil: day(44) }).verdict).toBe("drop")
    expect(verdictOf(factsOf(400, [commit, newer]), { ...old, lockedUntil: new Date(Number.NaN) }).verdict).toBe("keep")
  })

  test("is never dropped earlier than the quarantine ends, whatever a list says of its class", () => {
    const days = new Map([["state-35", 1]])
    expect(verdictOf(factsOf(29, [commit, newer], { days })).verdict).toBe("keep")
    expect(verdictOf(factsOf(30, [commit, newer], { days })).verdict).toBe("drop")
  })

  test("is kept where no trust list names its class", () => {
    const stranger = commitOf("s", 0, [], { packs: [{ key: "p", class: "secret-1", bytes: 1 }] })
    expect(verdictOf(factsOf(3000, [stranger, newer]))).toEqual({
      verdict: "keep",
      until: null,
      reasons: [{ kind: "unsigned-class", text: "no trust list names the class secret-1: nothing says how long it is kept" }],
    })
    expect(new Expiry(factsOf(3000, [stranger, newer])).commit(stranger).verdict).toBe("keep")
  })
})

describe("what is kept beyond its time", () => {
  const commit = commitOf("c", 0, ["p"])
  const hold: Hold = { id: "ab".repeat(16), by: "Ada", reason: "LEG-7", time: "2031-01-02T00:00:00.000Z", dataset: "switch-config" }

  test.each<[string, Partial<ExpiryFacts>, string]>([
    ["by a hold", { holds: [hold] }, "held by Ada (abababababab): LEG-7"],
    ["by an open anomaly", { frozen: new Set(["pbx-1/switch-config"]) }, "an anomaly of switch-config of pbx-1 is open"],
    ["by a proof", { proven: [{ commit: "c", rung: "loaded" }] }, "the newest snapshot that was loaded of switch-config of pbx-1"],
    ["by a doubt", { doubts: ["gcs-bru: its log was not read"] }, "gcs-bru: its log was not read"],
  ])("%s says so, of the pack and of the snapshot", (_, given, text) => {
    const expiry = new Expiry(factsOf(100, [commit, newer], given))
    for (const verdict of [expiry.pack(old), expiry.commit(commit)]) {
      expect(verdict).toMatchObject({ verdict: "keep", until: day(37), reasons: [{ text }] })
    }
  })

  test("all of it is said", () => {
    const facts = factsOf(10, [commit], { holds: [hold], frozen: new Set(["pbx-1/switch-config"]), doubts: ["who knows"] })
    expect(kinds(verdictOf(facts).reasons)).toEqual(["doubt", "hold", "anomaly", "newest", "class"])
  })

  test("an anomaly and a hold of another dataset keep nothing here", () => {
    const facts = factsOf(100, [commit, newer], { holds: [{ ...hold, dataset: "cdrs" }], frozen: new Set(["pbx-2/switch-config"]) })
    expect(verdictOf(facts).verdict).toBe("drop")
  })

  test("of a job that no longer runs, the newest snapshot stays, and the newest whole one", () => {
    const partial = commitOf("partial", 5, ["r"], { complete: false })
    const expiry = new Expiry(factsOf(1000, [commitOf("older", -5, ["o"]), commit, partial]))
    expect(expiry.pack({ ...old, key: "o" }).verdict).toBe("drop")
    expect(expiry.pack(old).reasons).toEqual([{ kind: "newest", text: "the newest whole snapshot of switch-config of pbx-1" }])
    expect(expiry.pack({ ...old, key: "r" }).reasons).toEqual([{ kind: "newest", text: "the newest snapshot of switch-config of pbx-1" }])
  })

  test("the newest is the one that a site had last, and of several at once the last of the log", () => {
    const early = commitOf("early", 9, ["p"], { acceptedAt: day(1) })
    const late = commitOf("late", 3, ["q"], { acceptedAt: day(2) })
    const last = commitOf("last", 5, ["r"], { acceptedAt: day(2) })
    const expiry = new Expiry(factsOf(1000, [last, late, early]))
    expect(["p", "q", "r"].map((key) => expiry.pack({ ...old, key }).verdict)).toEqual(["drop", "drop", "keep"])
  })

  test("the newest snapshot is all commits of its run", () => {
    const parts = [commitOf("a", 0, ["p"], { run: "long" }), commitOf("b", 1, ["q"], { run: "long" })]
    const expiry = new Expiry(factsOf(1000, parts))
    expect(expiry.pack(old).verdict).toBe("keep")
    expect(expiry.pack({ ...old, key: "q" }).verdict).toBe("keep")
  })

  test("a commit that came later than its class lasts does not take the place of the newest", () => {
    const forged = commitOf("forged", 400, ["x"], { claimedAt: day(300) })
    const expiry = new Expiry(factsOf(1000, [commit, forged]))
    expect(expiry.pack(old)).toMatchObject({ verdict: "keep", reasons: [{ kind: "newest" }] })
    expect(expiry.pack({ ...old, key: "x" }).verdict).toBe("drop")
    expect(new Expiry(factsOf(1000, [forged])).pack({ ...old, key: "x" }).verdict, "nothing else is there").toBe("keep")
  })
})

describe("a pack that no snapshot lists", () => {
  test("is kept as long as the quarantine, and as a lock says", () => {
    expect(verdictOf(factsOf(27, [newer]))).toMatchObject({ verdict: "keep", until: day(28), reasons: [{ kind: "quarantine" }] })
    expect(verdictOf(factsOf(28, [newer]))).toMatchObject({
      verdict: "drop",
      reasons: [{ text: "no snapshot lists it, and it was stored more than 28 days ago, on 2031-01-01" }],
    })
    expect(verdictOf(factsOf(28, [newer]), { ...old, lockedUntil: day(30) }).verdict).toBe("keep")
    expect(verdictOf(factsOf(28, [newer], { doubts: ["a log was not read"] })).verdict).toBe("keep")
    expect(verdictOf(factsOf(28, [newer]), { ...old, storedAt: new Date(Number.NaN) }).verdict).toBe("keep")
  })
})

test("a snapshot that lists nothing says so for as long as any other is kept", () => {
  const empty = commitOf("empty", 0, [])
  expect(new Expiry(factsOf(101, [empty, newer])).commit(empty)).toMatchObject({ verdict: "keep", until: day(102) })
  expect(new Expiry(factsOf(102, [empty, newer])).commit(empty).verdict).toBe("drop")
})

test("a clock that says nothing drops nothing", () => {
  const facts = { ...factsOf(0, [commitOf("c", 0, ["p"]), newer]), now: new Date(Number.NaN) }
  expect(verdictOf(facts).reasons[0]).toEqual({ kind: "doubt", text: "nobody knows what time it is" })
  const timeless = commitOf("c", 0, ["p"], { acceptedAt: new Date(Number.NaN) })
  expect(verdictOf(factsOf(9000, [timeless, commitOf("d", 0, ["p"]), newer]))).toMatchObject({ verdict: "keep", until: null })
})

describe("whatever there is", () => {
  const runs = { numRuns: 400 }

  test("no pack goes that a snapshot lists whose days for it are not over, or that is kept whatever its time", () => {
    fc.assert(
      fc.property(anyFacts, anyPacks, (facts, packs) => {
        const expiry = new Expiry(facts)
        for (const pack of packs.filter((each) => expiry.pack(each).verdict === "drop")) {
          for (const commit of facts.commits.filter(({ packs: listed }) => listed.some(({ key }) => key === pack.key))) {
            expect(isNeeded(commit, pack.key, facts)).toBe(false)
            const reasons = kinds(expiry.commit(commit).reasons)
            // Only time: that of another class of the same snapshot.
            expect(reasons.filter((kind) => !["class", "passed", "unsigned-class"].includes(kind))).toEqual([])
          }
        }
      }),
      runs,
    )
  })

  test("what goes today goes tomorrow as well", () => {
    fc.assert(
      fc.property(anyFacts, anyPacks, fc.integer({ min: 0, max: 900 }), (facts, packs, days) => {
        const [today, tomorrow] = [new Expiry(facts), new Expiry({ ...facts, now: new Date(facts.now.getTime() + days * dayMs) })]
        for (const pack of packs) if (today.pack(pack).verdict === "drop") expect(tomorrow.pack(pack).verdict).toBe("drop")
        for (const commit of facts.commits)
          if (today.commit(commit).verdict === "drop") expect(tomorrow.commit(commit).verdict).toBe("drop")
      }),
      runs,
    )
  })

  test("one doubt is enough for nothing to go, and each other keeper for what it names", () => {
    fc.assert(
      fc.property(anyFacts, anyPacks, (facts, packs) => {
        const doubtful = new Expiry({ ...facts, doubts: [...facts.doubts, "a commit was not understood"] })
        for (const pack of packs) expect(doubtful.pack(pack).verdict).toBe("keep")
        for (const commit of facts.commits) {
          expect(doubtful.commit(commit).verdict).toBe("keep")
          const frozen = new Expiry({ ...facts, frozen: new Set([`${commit.agent}/${commit.dataset}`]) })
          expect(frozen.commit(commit).verdict).toBe("keep")
          for (const { key } of commit.packs) expect(frozen.pack({ key, storedAt: day(0) }).verdict).toBe("keep")
        }
      }),
      runs,
    )
  })

  test("one more commit, hold, anomaly or proof never lets a pack go that commits list", () => {
    fc.assert(
      fc.property(anyFacts, anyFacts, anyPacks, (facts, more, packs) => {
        const others = more.commits.map((commit) => ({ ...commit, sha256: `x${commit.sha256}`, run: `x${commit.run}`, agent: "pbx-3" }))
        const known = new Set(facts.commits.flatMap((commit) => commit.packs.map(({ key }) => key)))
        const [less, all] = [
          new Expiry(facts),
          new Expiry({
            ...facts,
            commits: [...facts.commits, ...others],
            holds: [...facts.holds, ...more.holds],
            frozen: facts.frozen.union(more.frozen),
          }),
        ]
        for (const pack of packs.filter(({ key }) => known.has(key))) {
          if (less.pack(pack).verdict === "keep") expect(all.pack(pack).verdict).toBe("keep")
        }
      }),
      runs,
    )
  })

  test("every verdict has its reasons, and what is kept for time alone goes when that has passed", () => {
    fc.assert(
      fc.property(anyFacts, anyPacks, (facts, packs) => {
        const expiry = new Expiry(facts)
        const judged = [...packs.map((pack) => expiry.pack(pack)), ...facts.commits.map((commit) => expiry.commit(commit))]
        for (const { verdict, reasons, until } of judged) {
          expect(reasons.length).toBeGreaterThan(0)
          expect(reasons.every(({ kind, text }) => (kind === "passed") === (verdict === "drop") && text.length > 10)).toBe(true)
          expect(until === null).toBe(kinds(reasons).includes("unsigned-class"))
        }
        for (const pack of packs) {
          const { until, reasons } = expiry.pack(pack)
          const isTime = kinds(reasons).every((kind) => ["class", "lock", "quarantine", "passed"].includes(kind))
          if (isTime && until !== null) expect(new Expiry({ ...facts, now: until }).pack(pack).verdict).toBe("drop")
        }
      }),
      runs,
    )
  })
})

function isNeeded({ packs, acceptedAt }: KeptCommit, pack: string, { days, now }: ExpiryFacts): boolean {
  const className = packs.find(({ key }) => key === pack)?.class ?? ""
  const signed = days.get(className)
  return signed === undefined || now.getTime() < acceptedAt.getTime() + (signed + 2) * dayMs
}
