import { Readable } from "node:stream"
import { describe, expect, test } from "vitest"
import { Bench } from "../../src/cli/bench.ts"
import { sayFailure } from "../../src/cli/failure.ts"
import { systemClock } from "../../src/clock.ts"
import { ConfigError, JobError, SiteError } from "../../src/errors.ts"
import { systemRandom } from "../../src/random.ts"
import { recorder } from "./terminal.ts"

function said(error: unknown, options: { readonly signal?: AbortSignal; readonly json?: boolean } = {}) {
  const { signal = new AbortController().signal, json = false } = options
  const out = recorder(false)
  const err = recorder(false)
  const outer = { argv: [], stdin: Readable.from([]), stdout: out.stream, stderr: err.stream, env: {}, cwd: "/" }
  const bench = new Bench({ ...outer, signal, clock: systemClock, random: systemRandom }, () => ({ json }))
  return { exit: sayFailure(error, bench, { json }), out: out.text(), err: err.text() }
}

function interrupted(): AbortSignal {
  return AbortSignal.abort(Object.assign(new Error("interrupted by SIGINT"), { signal: "SIGINT" }))
}

describe("a failure", () => {
  test("that someone can act on is one sentence and a hint", () => {
    const error = new JobError("job/busy", "/state/lock: another process works here", { hint: "wait for it to end" })
    expect(said(error)).toEqual({ exit: "busy", out: "", err: "holdline: /state/lock: another process works here\n→ wait for it to end\n" })
  })

  test("of the configuration is a line for each problem, which editors can follow", () => {
    expect(said(new ConfigError("config/invalid", "a.yaml:1:2: one\na.yaml:3:4: two")).err).toBe("a.yaml:1:2: one\na.yaml:3:4: two\n")
  })

  test("is one JSON object with --json, without what is not there", () => {
    const { err, exit } = said(new SiteError("fra", "site/denied", "put v1/a: EACCES"), { json: true })
    expect(exit).toBe("denied")
    expect(JSON.parse(err)).toEqual({ type: "error", code: "site/denied", message: "fra: put v1/a: EACCES", exit: 4 })
  })

  test("that names a file from elsewhere cannot move the cursor", () => {
    expect(said(new JobError("job/source", "\u001b[2Jgone")).err).toBe("holdline: \\x1b[2Jgone\n")
  })

  test("that nobody foresaw is a bug: it keeps its stack and asks to be reported", () => {
    const { exit, err } = said(new TypeError("x is undefined"))
    expect(exit).toBe("failed")
    expect(err).toMatch(/^TypeError: x is undefined\n {4}at /)
    expect(err).toContain("→ this is a bug in Holdline")
    expect(JSON.parse(said(new TypeError("x"), { json: true }).err)).toMatchObject({ code: "bug", stack: expect.stringContaining("at ") })
  })

  test("of whatever was interrupted is the interruption, but a bug stays one", () => {
    const site = new SiteError("fra", "site/unavailable", "put v1/a: aborted")
    expect(said(site, { signal: interrupted() })).toMatchObject({ exit: "interrupted", err: expect.stringContaining("→ run it again") })
    expect(said(new TypeError("x"), { signal: interrupted() })).toMatchObject({ exit: "failed", err: expect.stringContaining("bug") })
  })
})
