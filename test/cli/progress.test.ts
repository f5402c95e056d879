import { Readable } from "node:stream"
import { describe, expect, test } from "vitest"
import { Bench } from "../../src/cli/bench.ts"
import { rendererFor } from "../../src/cli/progress.ts"
import type { Event } from "../../src/operation/event.ts"
import { systemRandom } from "../../src/random.ts"
import { recorder } from "./terminal.ts"

const events: Event[] = [
  { type: "run-started", job: "cdrs", run: "3f9a0c21aa00bb11cc22dd33ee44ff55", source: "directory /var/cdr", sites: ["fra", "gcs-bru"] },
  { type: "missed", path: "acme.example/+15551234.csv", reason: "unreadable", detail: "EACCES" },
  { type: "site-missed", site: "fra", message: "fra: timeout" },
  { type: "site-missed", site: "fra", message: "fra: timeout" },
  { type: "progress", progress: { phase: "capturing", files: 1234, bytes: 19_293_798, unchanged: 7 } },
  { type: "failover", key: "v1/a", site: "fra", message: "fra: get v1/a: timeout", next: "gcs-bru" },
  { type: "warning", message: "the clock\nis wrong" },
  { type: "committed", seq: 12, held: ["gcs-bru"], durable: true },
]

/** What the events look like, with two minutes between each. */
function drawn(flags: object, options: { readonly tty?: boolean; readonly signal?: AbortSignal } = {}) {
  const out = recorder(options.tty ?? false)
  const err = recorder(options.tty ?? false)
  let now = Date.parse("2026-11-21T18:40:00.000Z")
  const bench = new Bench(
    {
      ...{ argv: [], stdin: Readable.from([]), stdout: out.stream, stderr: err.stream, env: {}, random: systemRandom, cwd: "/" },
      ...{ signal: options.signal ?? new AbortController().signal, clock: { now: () => new Date(now) } },
    },
    () => flags,
  )
  const renderer = rendererFor(bench, "cdrs")
  for (const event of events) {
    renderer.tell(event)
    now += 120_000
  }
  renderer.end()
  return { out: out.text(), err: err.text() }
}

describe("what happens, while it happens", () => {
  test("is lines with time, job and run in a log, each said once, without a path or a line break from elsewhere", () => {
    const { out, err } = drawn({})
    expect(out).toBe("")
    expect(err.split("\n")).toEqual([
      "2026-11-21T18:40:00.000Z cdrs 3f9a0c21aa00 started: directory /var/cdr, to fra, gcs-bru",
      "2026-11-21T18:44:00.000Z cdrs 3f9a0c21aa00 fra left out: fra: timeout",
      "2026-11-21T18:48:00.000Z cdrs 3f9a0c21aa00 capturing  1,234 files, 18.4 MiB, 7 unchanged",
      "2026-11-21T18:50:00.000Z cdrs 3f9a0c21aa00 fra: get v1/a: timeout; trying gcs-bru",
      "2026-11-21T18:52:00.000Z cdrs 3f9a0c21aa00 the clock\\x0ais wrong",
      "2026-11-21T18:54:00.000Z cdrs 3f9a0c21aa00 commit 12 held by gcs-bru",
      "",
    ])
  })

  test("is only what somebody should know with --quiet", () => {
    const { err } = drawn({ quiet: true })
    expect(err).not.toMatch(/started|capturing|commit 12/)
    expect(err).toContain("fra left out: fra: timeout")
  })

  test("is typed lines on stdout with --json, without a path", () => {
    const { out, err } = drawn({ json: true })
    expect(err).toBe("")
    const types = out
      .trimEnd()
      .split("\n")
      .map((line) => /^\{"type":"([a-z-]+)","time":"2026-/.exec(line)?.[1])
    expect(types).toEqual(["run-started", "missed", "site-missed", "site-missed", "progress", "failover", "warning", "committed"])
    expect(out).not.toContain("acme")
  })

  test("is one line on a terminal, written over, and notices above it", () => {
    const { err } = drawn({}, { tty: true })
    expect(err).toContain("\r\u001b[Kcdrs  capturing  1,234 files, 18.4 MiB, 7 unchanged  8m 00s\r\u001b[K")
    expect(err).not.toContain("acme")
    expect(err.endsWith("\n")).toBe(true)
  })
})
