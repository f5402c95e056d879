import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { z } from "zod"

const project = join(import.meta.dirname, "../..")
const packageSchema = z.object({ optionalDependencies: z.record(z.string(), z.string()) })

test("tests run on the pinned Node, whatever the system has", (context) => {
  const name = `node-${process.platform}-${process.arch}`
  const pinned = packageSchema.parse(JSON.parse(readFileSync(join(project, "package.json"), "utf8"))).optionalDependencies[name]
  if (pinned === undefined) context.skip(`no Node is pinned for ${process.platform} on ${process.arch}`)
  expect(existsSync(join(project, "node_modules/.bin/node"))).toBe(true)
  expect(process.version).toBe(`v${String(pinned)}`)
})

test("the lock names no place that only one machine can reach", () => {
  expect(readFileSync(join(project, "package-lock.json"), "utf8")).not.toMatch(/"resolved"/)
})
