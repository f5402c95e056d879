import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { guards } from "../guards/guards.ts"

const project = join(import.meta.dirname, "../..")

test("every guard of the list stands once where the list says, and the tests that must notice are there", () => {
  const astray = guards.flatMap(({ name, file, find, replace, tests }) => {
    const times = readFileSync(join(project, file), "utf8").split(find).length - 1
    const absent = tests.filter((test) => !existsSync(join(project, test)))
    return times === 1 && absent.length === 0 && find !== replace
      ? []
      : [`${name}: ${String(times)} times in ${file}; absent: ${absent.join(", ")}`]
  })
  expect(astray).toEqual([])
  expect(new Set(guards.map(({ name }) => name)).size).toBe(guards.length)
})
