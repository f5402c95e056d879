import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import { afterEach, beforeEach, expect, test } from "vitest"

const project = join(import.meta.dirname, "../..")
let root: string

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "reporter-"))
  await symlink(join(project, "node_modules"), join(root, "node_modules"))
  const config = `
    import { ClosingLineReporter } from ${JSON.stringify(join(project, "test/reporter.ts"))}
    export default { test: { include: ["*.test.ts"], reporters: [new ClosingLineReporter()] } }`
  await writeFile(join(root, "vitest.config.ts"), config)
})

afterEach(async () => {
  await rm(root, { recursive: true })
})

/** What vitest prints and ends with for a file with these tests; the lines that the reporter adds. */
async function report(tests: string, args: readonly string[] = []): Promise<{ readonly code: unknown; readonly lines: readonly string[] }> {
  await writeFile(join(root, "a.test.ts"), `import { beforeAll, describe, expect, test } from "vitest"\n${tests}`)
  const vitest = join(project, "node_modules/vitest/vitest.mjs")
  const child = spawn(process.execPath, [vitest, "run", "--root", root, ...args], { stdio: ["ignore", "pipe", "ignore"] })
  const [printed, [code]] = await Promise.all([text(child.stdout), once(child, "close")])
  const lines = printed.split("\n")
  // What is vitest's own ends with its durations, in colours or without.
  return { code, lines: lines.slice(lines.findLastIndex((line) => line.includes("Duration")) + 1).filter((line) => line !== "") }
}

const passing = 'test("passes", () => {})\n'

test("the closing line counts what passed and what was skipped, after the reasons", async () => {
  const { code, lines } = await report(`${passing} test("b", (context) => context.skip("age is not installed")); test.todo("c")`)
  expect(code).toBe(0)
  expect(lines).toEqual([
    "skipped: a.test.ts: b: age is not installed",
    "skipped: a.test.ts: c: no reason given",
    "1 passed, 0 failed, 2 skipped",
  ])
})

test.each([
  ["a failing test", 'test("b", () => { expect(1).toBe(2) })', "1 passed, 1 failed, 0 skipped"],
  ["a file that cannot be loaded", 'await import("./missing.ts")', "0 passed, 1 failed, 0 skipped"],
  [
    "an error outside of any test",
    'setTimeout(() => { throw new Error("late") }); await new Promise((done) => setTimeout(done, 50))',
    "1 passed, 1 failed, 0 skipped",
  ],
  [
    "a failing hook",
    'describe("b", () => { beforeAll(() => { throw new Error("no") }); test("c", () => {}) })',
    "1 passed, 1 failed, 1 skipped",
  ],
])("%s counts as a failure", async (_, tests, line) => {
  const { code, lines } = await report(`${passing}${tests}`)
  expect(code).toBe(1)
  expect(lines.slice(-1)).toEqual([line])
})

test("a run in which nothing passed has failed", async () => {
  const { code, lines } = await report('test("b", (context) => context.skip("not today"))')
  expect(code).toBe(1)
  expect(lines.slice(-1)).toEqual(["0 passed, 0 failed, 1 skipped"])
})

test("tests that a name pattern leaves out are counted, not listed", async () => {
  const { code, lines } = await report(`${passing} test("other", () => {})`, ["-t", "passes"])
  expect(code).toBe(0)
  expect(lines).toEqual(["1 passed, 0 failed, 1 skipped"])
})
