import { readFileSync } from "node:fs"
import { describe, expect, test } from "vitest"
import { exitCodes, exitOfAbort, exitOfError, TimeLimitReached, worse } from "../../src/cli/exit.ts"

describe("exit codes", () => {
  test("are the numbers that scripts rely on, for ever", () => {
    expect(Object.fromEntries(Object.entries(exitCodes).map(([name, { code }]) => [name, code]))).toEqual({
      ...{ done: 0, failed: 1, usage: 2, partial: 3, denied: 4, notFound: 5, findings: 6, waiting: 7 },
      ...{ busy: 75, timeout: 124, interrupted: 130, terminated: 143 },
    })
  })

  test.each([
    ["config/usage", "usage"],
    ["config/invalid", "usage"],
    ["config/secret", "usage"],
    ["config/not-found", "notFound"],
    ["job/not-found", "notFound"],
    ["job/busy", "busy"],
    ["job/not-durable", "failed"],
    ["key/missing", "denied"],
    ["key/untrusted", "denied"],
    ["key/rollback", "denied"],
    ["site/denied", "denied"],
    ["site/unavailable", "failed"],
    ["vault/lost", "failed"],
    ["some/code-of-tomorrow", "failed"],
  ])("%s ends as %s", (code, exit) => {
    expect(exitOfError({ code })).toBe(exit)
  })

  test("exist for every error code there is", () => {
    const errors = readFileSync(new URL("../../src/errors.ts", import.meta.url), "utf8")
    const codes = [...errors.matchAll(/\| "([a-z]+\/[a-z-]+)"/g)].map(([, code]) => code)
    const table = readFileSync(new URL("../../src/cli/exit.ts", import.meta.url), "utf8")
    expect(codes.length).toBeGreaterThan(30)
    expect(codes.filter((code) => !table.includes(`"${code ?? ""}":`))).toEqual([])
  })

  test("of several things done, the worst one counts, whatever the order", () => {
    expect(worse("done", "partial")).toBe("partial")
    expect(worse("partial", "done")).toBe("partial")
    expect(worse("failed", "partial")).toBe("failed")
    expect(worse("failed", "interrupted")).toBe("interrupted")
  })

  test("tell Ctrl-C, SIGTERM and a time limit apart", () => {
    expect(exitOfAbort(Object.assign(new Error("interrupted by SIGINT"), { signal: "SIGINT" }))).toBe("interrupted")
    expect(exitOfAbort(Object.assign(new Error("interrupted by SIGTERM"), { signal: "SIGTERM" }))).toBe("terminated")
    expect(exitOfAbort(new TimeLimitReached("2h"))).toBe("timeout")
  })
})
