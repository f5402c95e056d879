import { expect, test } from "vitest"
import { addAccounts } from "../../src/catalog/accounts.ts"
import { bareAccounts, jobsThatRan } from "../../src/catalog/bare-accounts.ts"
import { Catalog } from "../../src/catalog/catalog.ts"
import { rememberAccountNames } from "../../src/catalog/memory.ts"
import { beginRun } from "../../src/catalog/runs.ts"
import { type CoverageFacts, type CoveringJob, uncoveredOf } from "../../src/operation/coverage.ts"
import { uncoveredSentences } from "../../src/report/coverage.ts"
import { paintWith } from "../../src/report/paint.ts"
import type { RunReport } from "../../src/report/run.ts"
import { runText } from "../../src/report/run-text.ts"
import { readStoredRun } from "../../src/report/stored-run.ts"

const nothing: CoverageFacts = { jobs: [], servers: [], databases: [], places: [], bareAccounts: [] }

function job(given: Partial<CoveringJob>): CoveringJob {
  return { name: "job", kind: "database", mode: "state", hasRun: true, ...given }
}

function whats(facts: Partial<CoverageFacts>): string[] {
  return uncoveredOf({ ...nothing, ...facts }).map(({ what }) => what)
}

test("a database on the server is covered only by a job that names it, whatever it is called in the configuration", () => {
  const server = {
    server: "postgres at db",
    databases: ["billing", "fusionpbx", "homer"],
    configured: new Map([
      ["fusionpbx", "pbx"],
      ["homer", "traces"],
    ]),
  }
  expect(whats({ servers: [server], jobs: [job({ database: "pbx" })] })).toEqual([
    "database billing, postgres at db",
    "database homer, postgres at db",
  ])
  const [billing, homer] = uncoveredOf({ ...nothing, servers: [server], jobs: [job({ database: "pbx" })] })
  expect(billing?.add).toContain("under `databases`")
  expect(homer?.add).toContain("database: traces")
  expect(homer?.add).not.toContain("under `databases`")
})

test("copies that were restored beside a database are named together, as what they are, and last", () => {
  const server = {
    server: "postgres at db",
    databases: ["billing", "fusionpbx", "fusionpbx_restored", "fusionpbx_restored2", "fusionpbx_restored_20301104", "gone_restored"],
    configured: new Map([
      ["fusionpbx", "pbx"],
      ["fusionpbx_restored", "pbx-new"],
    ]),
  }
  const found = uncoveredOf({ ...nothing, servers: [server], jobs: [job({ database: "pbx" })], bareAccounts: ["acme"] })
  expect(found.map(({ kind, what }) => [kind, what])).toEqual([
    ["database", "database billing, postgres at db"],
    ["database", "database gone_restored, postgres at db"],
    ["account", "account acme"],
    ["restored", "databases fusionpbx_restored, fusionpbx_restored2, fusionpbx_restored_20301104, postgres at db,"],
  ])
  expect(found.at(-1)?.add).toBe("drop what is not needed any more; if the platform uses one now, let the jobs capture that one")
  const many = Array.from({ length: 12 }, (_, n) => `other${String(n)}`)
  const all = uncoveredOf({
    ...nothing,
    servers: [{ ...server, databases: [...many, ...server.databases] }],
    jobs: [job({ database: "pbx" })],
  })
  const sentences = uncoveredSentences(all)
  expect(sentences.filter((sentence) => sentence.includes("fusionpbx_restored"))).toEqual([sentences.at(-1)])
  expect(sentences.at(-1)).toMatch(/^databases fusionpbx_restored, .* were restored beside fusionpbx, and no job captures them$/)
  const used = uncoveredOf({ ...nothing, servers: [server], jobs: [job({ database: "pbx" }), job({ database: "pbx-new" })] })
  expect(used.at(-1)?.what, "captured").toBe("databases fusionpbx_restored2, fusionpbx_restored_20301104, postgres at db,")
})

test("a table that no rule covers is named with the line to add, and comes first", () => {
  const database = {
    ...{ database: "pbx", platform: "fusionpbx", callTables: ["public.v_xml_cdr", "public.v_xml_cdr_json"] },
    unruled: [{ table: "public.v_new", line: "public.v_new: {account: domain_uuid}" }],
    capturedCallTables: ["public.v_xml_cdr"],
  }
  const found = uncoveredOf({ ...nothing, databases: [database], bareAccounts: ["acme"] })
  expect(found.map(({ kind, what }) => `${kind}: ${what}`)).toEqual([
    "table: table public.v_new of pbx",
    "call-records: table public.v_xml_cdr_json of pbx",
    "account: account acme",
  ])
  expect(found[0]?.add).toContain("public.v_new: {account: domain_uuid}")
  expect(found[1]?.add).toContain("{kind: cdrs, database: pbx, profile: fusionpbx}")
})

test("a directory is covered by the job of its entry, or by one of the same mode above it, and not by one that shares its root", () => {
  const place = (files: string, path: string, mode: "archive" | "state") => ({
    platform: "fusionpbx",
    kind: "directory" as const,
    files,
    path,
    mode,
  })
  const recordings = place("recordings", "/var/lib/recordings", "archive")
  const prompts = place("prompts", "/var/lib/recordings", "state")
  const places = [recordings, prompts]
  const of = (given: Partial<CoveringJob>) => whats({ places, jobs: [job({ kind: "directory", ...given })] })
  expect(of({ platform: "fusionpbx", files: "recordings", mode: "archive", path: "/mnt/elsewhere" })).toEqual([
    "directory /var/lib/recordings",
  ])
  expect(of({ path: "/var/lib/recordings/", mode: "archive" })).toHaveLength(1)
  expect(of({ path: "/var/lib", mode: "state" })).toHaveLength(1)
  expect(of({ path: "/var/lib/rec", mode: "archive" })).toHaveLength(2)
  expect(of({ platform: "asterisk", files: "recordings", mode: "archive" })).toHaveLength(2)
  expect(of({ kind: "csv", path: "/", mode: "state" })).toHaveLength(2)
})

test("files of call records are covered by a job of CSV files", () => {
  const places = [{ platform: "asterisk", kind: "csv" as const, files: "cdr-csv", path: "/var/log/cdr-csv", mode: "archive" as const }]
  expect(whats({ places })).toEqual(["files of call records in /var/log/cdr-csv"])
  expect(whats({ places, jobs: [job({ kind: "csv", platform: "asterisk", files: "cdr-csv", mode: "archive" })] })).toEqual([])
})

test("a job that never ran is named where that is known", () => {
  const jobs = [job({ name: "a", hasRun: false }), job({ name: "b" }), job({ name: "c", hasRun: null })]
  expect(whats({ jobs })).toEqual(["job a"])
})

test("a run's report names a few and counts the rest, and names no account", () => {
  const servers = [{ server: "mariadb at db", databases: Array.from({ length: 14 }, (_, n) => `db${String(n)}`), configured: new Map() }]
  const found = uncoveredOf({ ...nothing, servers, bareAccounts: ["acme", "birch"], jobs: [job({ name: "idle", hasRun: false })] })
  const sentences = uncoveredSentences(found)
  expect(sentences).toHaveLength(11)
  expect(sentences.at(-1)).toBe("and 5 more: holdline doctor")
  expect(uncoveredSentences(found.filter(({ kind }) => kind !== "database"))).toEqual([
    "of 2 of the platform's accounts nothing was ever captured",
  ])
  expect(sentences.join()).not.toMatch(/acme|birch|idle/)
})

test("an account is bare until something was captured under its id or under a name of it", () => {
  using catalog = Catalog.open(":memory:", () => undefined)
  rememberAccountNames(catalog, "id-1", ["acme.example"])
  rememberAccountNames(catalog, "id-2", ["birch.example", "birch.test"])
  rememberAccountNames(catalog, "id-3", ["cedar.example"])
  rememberAccountNames(catalog, "mixed", ["strange"])
  expect(bareAccounts(catalog)).toEqual(["id-1", "id-2", "id-3"])
  const known = { epoch: "1", recipient: "r", keyBytes: null, registered: true }
  addAccounts(catalog, [
    { ...known, stableId: "id-1", account: "a1", keyName: "k1" },
    { ...known, stableId: "birch.test", account: "a2", keyName: "k2" },
  ])
  expect(bareAccounts(catalog)).toEqual(["id-3"])
})

test("a job that ran is remembered by the catalog, however it ended", () => {
  using catalog = Catalog.open(":memory:", () => undefined)
  beginRun(catalog, { id: "1", job: "cdrs", started: "2031-03-04T12:00:00.000Z", fence: 1 })
  expect(jobsThatRan(catalog, ["cdrs", "recordings"])).toEqual(new Set(["cdrs"]))
})

test("what a run's report says is left out is said with what to do", () => {
  const report: RunReport = {
    ...{ job: "account-data", dataset: "account-data", mode: "state", run: "ab".repeat(16), outcome: "ok" },
    ...{ started: "2031-03-04T12:00:00.000Z", ended: "2031-03-04T12:00:01.000Z", seconds: 1, source: "database pbx" },
    ...{ captured: { files: 1, bytes: 1 }, unchanged: { files: 0, bytes: 0 }, accounts: 1, missed: [], notes: {} },
    ...{ stored: { packs: 1, bytes: 1 }, commits: [], sites: [], born: 0, warnings: [] },
    uncovered: ["database billing is captured by no job"],
  }
  const text = runText(report, { paint: paintWith({ colour: false }), paths: false }).join("\n")
  expect(text).toMatch(/left out +database billing is captured by no job\n +→ holdline doctor/)
  expect(readStoredRun(JSON.stringify(report))).toEqual(report)
})
