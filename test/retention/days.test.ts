import fc from "fast-check"
import { expect, test } from "vitest"
import { keepDays } from "../../src/retention/days.ts"

const own = { name: "cdrs-400", days: 400 }

test.each([
  ["the class alone", { class: own }, { days: 400, by: "class", reason: "class cdrs-400" }],
  [
    "one account, for longer",
    { class: own, override: { name: "cdrs-1825", days: 1825, because: "16 CFR 310.5" } },
    { days: 1825, by: "override", reason: "class cdrs-1825, for this account (16 CFR 310.5)" },
  ],
  [
    "one account, for shorter",
    { class: own, override: { name: "cdrs-28", days: 28 } },
    { days: 28, by: "override", reason: "class cdrs-28, for this account" },
  ],
  [
    "a maximum wins over an account",
    { class: own, override: { name: "cdrs-1825", days: 1825 }, bounds: [{ max: 730, because: "2002/58/EC" }] },
    { days: 730, by: "maximum", reason: "at most 730 days (2002/58/EC)" },
  ],
  [
    "a minimum wins over an account",
    { class: own, override: { name: "cdrs-28", days: 28 }, bounds: [{ min: 550, because: "47 CFR 42.6" }] },
    { days: 550, by: "minimum", reason: "at least 550 days (47 CFR 42.6)" },
  ],
  [
    "a minimum wins over a maximum that somebody else sets",
    { class: own, bounds: [{ max: 90 }, { min: 550 }] },
    { days: 550, by: "minimum", reason: "at least 550 days" },
  ],
  [
    "what is within its bounds stays",
    { class: own, bounds: [{ min: 28, max: 400 }] },
    { days: 400, by: "class", reason: "class cdrs-400" },
  ],
  ["what is as short as it may be stays", { class: own, bounds: [{ min: 400 }] }, { days: 400, by: "class", reason: "class cdrs-400" }],
])("%s", (_, rules, expected) => {
  expect(keepDays(rules)).toEqual(expected)
})

test("never below a minimum, and above a maximum only for a minimum", () => {
  const days = fc.integer({ min: 28, max: 4000 })
  const bounds = fc.array(fc.record({ min: fc.option(days, { nil: undefined }), max: fc.option(days, { nil: undefined }) }), {
    maxLength: 3,
  })
  fc.assert(
    fc.property(days, fc.option(days, { nil: undefined }), bounds, (classDays, account, some) => {
      const override = account === undefined ? undefined : { name: "b", days: account }
      const { days: kept, by } = keepDays({ class: { name: "a", days: classDays }, override, bounds: some })
      const least = Math.max(0, ...some.map(({ min }) => min ?? 0))
      expect(kept).toBeGreaterThanOrEqual(least)
      if (some.some(({ max }) => max !== undefined && kept > max)) expect([by, kept]).toEqual(["minimum", least])
      if (by === "class" || by === "override") expect(kept).toBe(account ?? classDays)
    }),
  )
})
