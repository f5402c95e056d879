import fc from "fast-check"
import { expect, test } from "vitest"
import { parse, stringify } from "yaml"
import { configProblems, designArchiveJob, designConfig, designStateJob, jobProblems } from "./project.ts"

const documents = [
  { name: "configuration", text: designConfig, problems: configProblems },
  { name: "archive job", text: designArchiveJob, problems: jobProblems },
  { name: "state job", text: designStateJob, problems: jobProblems },
] as const

function mapsOf(value: unknown): object[] {
  if (typeof value !== "object" || value === null) return []
  return [...(Array.isArray(value) ? [] : [value]), ...Object.values(value).flatMap(mapsOf)]
}

test.each(documents)("an unknown key in any map of a $name is refused", async ({ text, problems }) => {
  const before: unknown = parse(text)
  expect(await problems(stringify(before))).toEqual([])
  const maps = mapsOf(before).length
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: maps - 1 }), fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,20}$/), async (index, key) => {
      const value: unknown = parse(text)
      const map = mapsOf(value)[index] ?? {}
      fc.pre(!Object.hasOwn(map, key) && !optional.has(key))
      Object.defineProperty(map, key, { value: { x: 1 }, enumerable: true })
      expect(await problems(stringify(value))).not.toEqual([])
    }),
    {
      numRuns: 300,
      examples: [
        [0, "__proto__"],
        [1, "constructor"],
        [1, "toString"],
      ],
    },
  )
})

// Known keys that the plan's documents leave out somewhere; a map is a wrong value for each, so they need no care beyond this list.
const optional = new Set(["dataset"])
