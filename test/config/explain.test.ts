import { describe, expect, test } from "vitest"
import { explain, explanationText } from "../../src/wiring/explain.ts"

test("a key is explained with its type, default and an example", () => {
  expect(explain("durable.copies")).toEqual({
    key: "durable.copies",
    type: "whole number from 1 to 16",
    description: ["how many sites must hold a commit and all it needs"],
    required: false,
    default: 2,
    examples: [2],
    children: [],
  })
  expect(explain("job.objective.rpo")).toMatchObject({ type: "duration", required: true, examples: ["6h"] })
})

test("any name stands for a name", () => {
  const { key: _, ...byStar } = explain("sites.*.provider")
  const { key: __, ...byName } = explain("sites.fra.provider")
  expect(byName).toEqual(byStar)
  expect(byStar.required).toBe(true)
})

test("a key of some kinds only says of which", () => {
  expect(explain("job.source.template").description.join()).toMatch(/^directory: archive mode/)
  expect(explain("sites.*.kind").type).toBe('"directory" or "s3" or "gcs"')
})

test("a map lists the keys below it, the whole configuration too", () => {
  expect(explain("").children.map(({ key }) => key)).toEqual([
    "version",
    "agent",
    "state",
    "trust",
    "signingKey",
    "spool",
    "ledger",
    "durable",
    "classes",
    "retention",
    "sites",
    "databases",
    "notify",
    "listen",
    "witness",
  ])
  expect(explain("job.objective").children.map(({ key }) => key)).toEqual(["rpo", "rto"])
  expect(explain("classes").children).toEqual([{ key: "*", description: "one class, by its name" }])
})

test("the text for a terminal", () => {
  expect(explanationText(explain("classes.state-35.days"))).toBe(
    [
      "classes.state-35.days",
      "  how many days a snapshot is kept after it was accepted; at least 28, the quarantine of the data bucket",
      "  type:     whole number from 28 to 36500",
      "  required: yes",
      "  example:  90",
    ].join("\n"),
  )
})

describe("a key that does not exist is answered with the nearest", () => {
  test.each([
    ["sits", "did you mean sites?"],
    ["job.sorce", "did you mean job.source?"],
    ["jb", "did you mean job?"],
    ["durable.copeis", "did you mean durable.copies?"],
    ["durable.copies.x", "durable.copies has no keys below it"],
    ["trust.x", "there are trust.file, trust.root"],
  ])("%s", (key, hint) => {
    expect(() => explain(key)).toThrow(expect.objectContaining({ code: "config/not-found", message: `no such key: ${key}`, hint }))
  })
})
