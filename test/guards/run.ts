import { spawn } from "node:child_process"
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { z } from "zod"
import { type Guard, guards } from "./guards.ts"

/**
 * Takes away each guard in turn, in a copy of the project, and runs the tests that must notice. A guard that no test misses fails the
 * run, and so does one that is no longer where the list says. `npm run guards [-- words]`: only guards whose name has one of the words.
 */
const project = fileURLToPath(new URL("../..", import.meta.url))
const copied = ["bin", "config", "jobs", "src", "test", "package.json", "tsconfig.json", "vitest.config.ts"]
const lanes = 2

interface Verdict {
  readonly guard: Guard
  readonly outcome: "noticed" | "NOT NOTICED" | "NOT FOUND" | "NOT RUN" | "RED BEFORE"
  /** The test that noticed, or what went wrong. */
  readonly detail: string
  readonly seconds: number
}

const resultsSchema = z.object({
  testResults: z.array(
    z.object({ message: z.string(), assertionResults: z.array(z.object({ fullName: z.string(), status: z.string() })) }),
  ),
})

function copyProject(): string {
  const copy = mkdtempSync(join(tmpdir(), "guards-"))
  for (const name of copied) cpSync(join(project, name), join(copy, name), { recursive: true })
  symlinkSync(join(project, "node_modules"), join(copy, "node_modules"))
  return copy
}

async function judge(guard: Guard, copy: string): Promise<Verdict> {
  const started = performance.now()
  const path = join(copy, guard.file)
  const text = readFileSync(path, "utf8")
  const verdict = (outcome: Verdict["outcome"], detail: string): Verdict => {
    return { guard, outcome, detail, seconds: (performance.now() - started) / 1000 }
  }
  if (text.split(guard.find).length !== 2) return verdict("NOT FOUND", `${guard.file} does not have exactly one: ${guard.find}`)
  const before = await runTests(guard, copy)
  if (before.red !== null || before.broken !== null) return verdict("RED BEFORE", before.red ?? before.broken ?? "")
  if (before.green === 0) return verdict("NOT RUN", `no test of ${guard.tests.join(", ")} fits ${guard.only ?? ""}`)
  writeFileSync(
    path,
    text.replace(guard.find, () => guard.replace),
  )
  try {
    const { red, green, broken } = await runTests(guard, copy)
    if (red !== null) return verdict("noticed", red)
    if (broken !== null) return verdict("NOT RUN", broken)
    return verdict("NOT NOTICED", `${String(green)} tests passed without it`)
  } finally {
    writeFileSync(path, text)
  }
}

interface Result {
  /** The first test that failed. */
  readonly red: string | null
  readonly green: number
  /** Why tests could not even be run. */
  readonly broken: string | null
}

// A test that cannot even be loaded notices nothing: only tests that ran and failed count.
async function runTests(guard: Guard, copy: string): Promise<Result> {
  const output = join(copy, "results.json")
  rmSync(output, { force: true })
  const only = guard.only === undefined ? [] : ["-t", guard.only]
  const reporting = ["--reporter=json", `--outputFile=${output}`]
  const vitest = join(project, "node_modules/vitest/vitest.mjs")
  const child = spawn(process.execPath, [vitest, "run", ...guard.tests, ...only, "--bail", "1", ...reporting], {
    cwd: copy,
    stdio: "ignore",
  })
  await new Promise((resolve) => child.once("close", resolve))
  const { testResults } = resultsSchema.parse(JSON.parse(readFileSync(output, "utf8")))
  const tests = testResults.flatMap(({ assertionResults }) => assertionResults)
  return {
    red: tests.find(({ status }) => status === "failed")?.fullName ?? null,
    green: tests.filter(({ status }) => status === "passed").length,
    broken: testResults.find(({ message }) => message !== "")?.message ?? null,
  }
}

async function work(queue: Guard[], verdicts: Verdict[]): Promise<void> {
  const copy = copyProject()
  try {
    for (let guard = queue.shift(); guard !== undefined; guard = queue.shift()) {
      const verdict = await judge(guard, copy)
      verdicts.push(verdict)
      const { outcome, detail, seconds } = verdict
      console.log(
        `${outcome.padEnd(11)}  ${seconds.toFixed(1).padStart(5)} s  ${guard.name}\n${" ".repeat(22)}${detail.split("\n")[0] ?? ""}`,
      )
    }
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

const words = process.argv.slice(2)
const queue = guards.filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)))
const verdicts: Verdict[] = []
await Promise.all(Array.from({ length: lanes }, () => work(queue, verdicts)))
const noticed = verdicts.filter(({ outcome }) => outcome === "noticed").length
console.log(`${String(noticed)} of ${String(verdicts.length)} guards are missed by a test when they are gone`)
if (noticed < verdicts.length || noticed === 0) process.exitCode = 1
