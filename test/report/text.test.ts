import { describe, expect, test } from "vitest"
import { paintWith } from "../../src/report/paint.ts"
import type { RunReport } from "../../src/report/run.ts"
import { runText } from "../../src/report/run-text.ts"
import { type StatusJob, statusText } from "../../src/report/status.ts"
import { readStoredRun } from "../../src/report/stored-run.ts"
import { table } from "../../src/report/table.ts"
import { visible } from "../../src/report/visible.ts"

const plain = paintWith({ colour: false })

const good: RunReport = {
  ...{ job: "call-recordings", dataset: "call-recordings", mode: "archive", run: "3f9a0c21aa00bb11cc22dd33ee44ff55", outcome: "ok" },
  ...{ started: "2026-11-21T18:40:00.000Z", ended: "2026-11-21T18:40:01.200Z", seconds: 1.2, source: "directory /var/recordings" },
  ...{ captured: { files: 2, bytes: 19_000_000 }, unchanged: { files: 0, bytes: 0 }, accounts: 1, missed: [], notes: {} },
  stored: { packs: 2, bytes: 19_293_798 },
  commits: [{ seq: 12, sha256: "ab".repeat(32), held: ["fra", "s3-dub", "gcs-bru"], durable: true, waits: false }],
  sites: ["fra", "s3-dub", "gcs-bru"].map((name) => ({ name, provider: name, zone: name, held: true, sameDevice: false })),
  ...{ born: 0, warnings: [] },
}

const missed = [{ reason: "unreadable", count: 3, examples: [{ path: "acme.example/+15551234.wav", detail: "EACCES" }] }]

describe("what a run did", () => {
  test("is one line where all is well", () => {
    expect(runText(good, { paint: plain, paths: false })).toEqual([
      "✓ ok  call-recordings: 2 files, 18.4 MiB stored, 3 of 3 sites, present, 1.2 s",
    ])
  })

  test("names no path unless a person asked, and then says which and what to do", () => {
    const report: RunReport = { ...good, outcome: "partial", missed }
    const logged = runText(report, { paint: plain, paths: false }).join("\n")
    expect(logged).toContain("! partial")
    expect(logged).toContain("missed  3 items unreadable")
    expect(logged).toContain("holdline runs show 3f9a0c21aa00")
    expect(logged).not.toContain("acme")
    const shown = runText(report, { paint: plain, paths: true }).join("\n")
    expect(shown).toContain("acme.example/+15551234.wav: EACCES")
    expect(shown).toContain("→ let the agent's user read these files, then run the job again")
    expect(shown).toContain("kept    snapshot 3f9a0c21aa00 at fra, s3-dub, gcs-bru")
  })

  test("that failed says why, what to do, and what is kept", () => {
    const failure = { code: "job/source", message: "directory /var/recordings: no such directory", hint: "mount it" }
    const text = runText(
      { ...good, outcome: "failed", commits: [], stored: { packs: 0, bytes: 0 }, failure },
      { paint: plain, paths: false },
    )
    expect(text[0]).toBe("✗ failed  call-recordings: 2 files, 0 B stored, 1.2 s")
    expect(text.join("\n")).toMatch(
      /why +directory \/var\/recordings: no such directory\n +→ mount it\n +kept +nothing new; earlier snapshots/,
    )
  })

  test("names each site that does not hold it, and each that is lost with the source", () => {
    const sites = good.sites.map((site, index) =>
      index === 2 ? { ...site, held: false, reason: "gcs-bru: timeout" } : { ...site, sameDevice: index === 0 },
    )
    const text = runText({ ...good, sites }, { paint: plain, paths: false }).join("\n")
    expect(text).toContain("2 of 3 sites")
    expect(text).toContain("gcs-bru does not hold it: gcs-bru: timeout")
    expect(text).toContain("→ holdline site check gcs-bru")
    expect(text).toContain("fra: on the source's own device")
  })

  test("comes back from the catalog as it was; what is none is none", () => {
    const failure = { code: "job/source", message: "gone" }
    for (const report of [good, { ...good, missed, failure }]) expect(readStoredRun(JSON.stringify(report))).toEqual(report)
    expect(readStoredRun("{")).toBe(null)
    expect(readStoredRun('{"job":"a"}')).toBe(null)
  })
})

describe("the status", () => {
  const now = new Date("2026-11-21T19:13:00.000Z")
  const ok: StatusJob = {
    ...{ name: "call-recordings", lastGood: "2026-11-21T18:40:00.000Z", ageSeconds: 1980, rpoSeconds: 21_600 },
    ...{
      sites: [
        { name: "fra", held: true },
        { name: "s3-dub", held: true },
      ],
      proven: { rung: "linked", ageSeconds: 5 * 86_400 },
    },
    ...{ anomalies: [], state: "ok", why: null, next: null },
  }
  const options = { paint: plain, now, moment: (time: Date | string) => new Date(time).toISOString().slice(11, 16) }

  test("names what was found and nobody has lifted, and what stands still for it", () => {
    const numbers = { files: 3, bytes: 0, filesBefore: 40, bytesBefore: 2048 }
    const anomaly = { id: "3f9a0c21aa00bb11cc22dd33ee44ff55", dataset: "pbx", kind: "shrunk", time: "2026-11-21T18:40:00.000Z", numbers }
    const job = { ...ok, anomalies: [anomaly, { ...anomaly, kind: "of-another-release", numbers: { things: 2 } }] }
    const text = statusText({ jobs: [job], wrong: [], next: null }, options).join("\n")
    expect(text).toContain("anomaly  3f9a0c21aa00  pbx, 18:40: the source holds 3 files with 0 B, and held 40 files with 2.00 KiB; nothing")
    expect(text).toContain("of-another-release (things 2); nothing of it expires")
  })

  test("answers first whether everything is safe", () => {
    const next = { job: "cdrs", at: new Date("2026-11-21T19:17:00.000Z") }
    const [first, , heading, row] = statusText({ jobs: [ok], wrong: [], next }, options)
    expect(first).toBe("✓ SAFE  1 of 1 job within objective · next: cdrs in 4m 00s (19:17)")
    expect(heading).toMatch(/^JOB +LAST GOOD +AGE +RPO +SITES +PROVEN +STATE$/)
    expect(row).toMatch(/^call-recordings +18:40 +33m 00s +6h 00m +fra s3-dub +linked, 5d 0h ago +✓ ok$/)
  })

  test.each<[StatusJob["state"], boolean]>([
    ["ok", true],
    ["degraded", true],
    ["late", false],
    ["never", false],
  ])("a job that is %s leaves it safe: %s", (state, isSafe) => {
    const [first] = statusText({ jobs: [ok, { ...ok, name: "cdrs", state, why: "for a reason" }], wrong: [], next: null }, options)
    expect(first?.startsWith("✓ SAFE")).toBe(isSafe)
    expect(first?.startsWith("✗ AT RISK")).toBe(!isSafe)
  })

  test("a job whose file is wrong is not safe, and nothing configured is not either", () => {
    expect(statusText({ jobs: [ok], wrong: ["typo"], next: null }, options)[0]).toContain("AT RISK  1 of 2 jobs")
    expect(statusText({ jobs: [], wrong: [], next: null }, options)[0]).toContain("nothing is backed up")
  })
})

describe("a table", () => {
  test("is as wide as its widest cells, numbers to the right, without trailing space", () => {
    expect(
      table(
        ["NAME", ">FILES", "STATE"],
        [
          ["cdrs", "1,204", "ok"],
          ["call-recordings", "7", ""],
        ],
      ),
    ).toEqual(["NAME             FILES  STATE", "cdrs             1,204  ok", "call-recordings      7"])
  })

  test("is not bent by colour", () => {
    const [, row = ""] = table(["STATE", "WHY"], [[paintWith({ colour: true }).status("good", "ok"), "x"]])
    expect(row.replaceAll("\u001b[32m", "").replaceAll("\u001b[39m", "")).toBe("✓ ok   x")
  })
})

test("a name from elsewhere cannot move the cursor or hide its end", () => {
  expect(visible("a\nb\r\u001b[2Kc\u202etxt.exe\u2028")).toBe("a\\x0ab\\x0d\\x1b[2Kc\\u{202e}txt.exe\\u{2028}")
  expect(visible("Zürich/通話 1.wav")).toBe("Zürich/通話 1.wav")
})
