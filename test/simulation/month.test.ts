import { tmpdir } from "node:os"
import { expect, test } from "vitest"
import { simulate } from "./month.ts"

// `npm run simulate` makes a month of it; here every kind of fault is met at least once.
test("two bad days of hourly runs are never wrong, and converge", async () => {
  const { runs, faults } = await simulate({ seed: "thursday", days: 2, accounts: 20, parent: tmpdir() })
  expect(faults.filter(({ planned, met }) => planned === 0 || met !== planned)).toEqual([])
  expect(Math.min(...Object.values(runs))).toBeGreaterThan(0)
})
