import { describe, expect, test } from "vitest"
import { isHeld, scopeText } from "../../src/retention/hold.ts"

const at = (text: string, claimed = text) => ({ dataset: "cdrs", acceptedAt: new Date(text), claimedAt: new Date(claimed) })

describe("a hold names", () => {
  test("a dataset, of every agent, and no other", () => {
    expect(isHeld({ dataset: "cdrs" }, at("2031-03-04T00:00:00Z"))).toBe(true)
    expect(isHeld({ dataset: "recordings" }, at("2031-03-04T00:00:00Z"))).toBe(false)
    expect(isHeld({}, at("2031-03-04T00:00:00Z"))).toBe(true)
  })

  test("all that may be of an account, as nobody who does not decrypt can tell", () => {
    expect(isHeld({ accounts: ["0".repeat(32)] }, at("2031-03-04T00:00:00Z"))).toBe(true)
    expect(isHeld({ accounts: ["0".repeat(32)], dataset: "recordings" }, at("2031-03-04T00:00:00Z"))).toBe(false)
  })

  test.each([
    ["2031-02-27T23:59:59Z", false],
    ["2031-02-28T00:00:00Z", true],
    ["2031-03-15T12:00:00Z", true],
    ["2031-04-01T23:59:59Z", true],
    ["2031-04-02T00:00:00Z", false],
  ])("what was stored from 1 to 31 March, and a day on each side: %s is %s", (moment, held) => {
    expect(isHeld({ from: "2031-03-01", to: "2031-03-31" }, at(moment))).toBe(held)
  })

  test("what says that it was made then, though it was stored later", () => {
    expect(isHeld({ from: "2031-03-01", to: "2031-03-31" }, at("2031-05-01T00:00:00Z", "2031-03-20T00:00:00Z"))).toBe(true)
    expect(isHeld({ from: "2031-03-01" }, at("2031-02-01T00:00:00Z"))).toBe(false)
    expect(isHeld({ to: "2031-03-31" }, at("2031-02-01T00:00:00Z"))).toBe(true)
  })

  test("what has no time that can be compared", () => {
    expect(isHeld({ from: "2031-03-01", to: "2031-03-31" }, at("nonsense"))).toBe(true)
    expect(isHeld({ from: "2031-99-99" }, at("2031-02-01T00:00:00Z"))).toBe(true)
  })
})

test.each([
  [{}, "every dataset"],
  [{ dataset: "cdrs", from: "2031-03-01" }, "cdrs, stored from 2031-03-01 on"],
  [{ to: "2031-03-31" }, "every dataset, stored until 2031-03-31"],
  [
    { dataset: "cdrs", accounts: ["5f2c".repeat(8)], from: "2031-03-01", to: "2031-03-31" },
    "cdrs, all that may be of 5f2c5f2c5f2c, stored 2031-03-01 to 2031-03-31",
  ],
])("in words: %j is %s", (scope, text) => {
  expect(scopeText(scope)).toBe(text)
})
