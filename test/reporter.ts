import type { SerializedError } from "vitest"
import { DefaultReporter, type TestCase, type TestModule, type TestRunEndReason, type TestSuite, type Vitest } from "vitest/node"

interface Tally {
  passed: number
  failed: number
  readonly skipped: Skip[]
}

interface Skip {
  readonly where: string
  readonly reason: string
}

/**
 * Vitest's own report, then every skipped test with its reason, then the closing line `N passed, N failed, N skipped`.
 * A file that cannot be loaded, a failing hook and an error outside of any test count as one failure each. The process fails
 * when anything failed, when a test did not get its turn, and when no test passed: silence is no success.
 */
export class ClosingLineReporter extends DefaultReporter {
  #vitest: Vitest | undefined

  override onInit(vitest: Vitest): void {
    this.#vitest = vitest
    super.onInit(vitest)
  }

  override onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[], reason: TestRunEndReason): void {
    super.onTestRunEnd(modules, errors, reason)
    const tally: Tally = { passed: 0, failed: errors.length, skipped: [] }
    for (const module of modules) countModule(module, tally)
    // `vitest -t NAME` leaves the other tests out on purpose; listing them would bury the ones that matter.
    const filtered = this.#vitest?.config.testNamePattern !== undefined
    const listed = filtered ? tally.skipped.filter((skip) => skip.reason !== unexplained) : tally.skipped
    for (const skip of listed) process.stdout.write(`skipped: ${skip.where}: ${skip.reason}\n`)
    process.stdout.write(`${String(tally.passed)} passed, ${String(tally.failed)} failed, ${String(tally.skipped.length)} skipped\n`)
    if (reason !== "passed" || tally.failed > 0 || tally.passed === 0) process.exitCode = 1
  }
}

const unexplained = "no reason given"

function countModule(module: TestModule, tally: Tally): void {
  if (module.errors().length > 0) tally.failed += 1
  for (const suite of module.children.allSuites()) if (suite.errors().length > 0) tally.failed += 1
  for (const test of module.children.allTests()) countTest(test, tally)
}

function countTest(test: TestCase, tally: Tally): void {
  const result = test.result()
  if (result.state === "passed") {
    tally.passed += 1
  } else if (result.state === "failed") {
    tally.failed += 1
  } else if (result.state === "skipped") {
    tally.skipped.push({ where: whereIs(test), reason: result.note ?? (hookFailed(test) ? "a hook before it failed" : unexplained) })
  } else {
    // Neither run nor skipped: the run was interrupted, and nobody knows how this test would have ended.
    tally.failed += 1
  }
}

function hookFailed(test: TestCase): boolean {
  let parent: TestSuite | TestModule = test.parent
  while (parent.errors().length === 0) {
    if (parent.type === "module") return false
    parent = parent.parent
  }
  return true
}

function whereIs(test: TestCase): string {
  return `${test.module.relativeModuleId}: ${test.fullName}`
}
