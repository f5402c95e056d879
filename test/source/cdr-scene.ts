import { type CdrSourceSettings, cdrSource } from "../../src/source/cdr.ts"
import { type CdrStateRow, cdrState } from "../../src/source/cdr-state.ts"
import type { Profile } from "../../src/source/profile.ts"
import { profileSchema } from "../../src/source/profile.ts"
import type { Source } from "../../src/source/source.ts"
import type { Archive } from "./cdr-archive.ts"
import type { FakeDatabase, FakeRow, FakeTable } from "./cdr-database.ts"
import { stampOf } from "./cdr-database.ts"

export const hour = 3_600_000
export const day = 24 * hour
export const start = Date.parse("2026-11-02T12:00:00Z")

const calls = {
  account: "domain",
  day: { column: "started", stored: "instant" },
  insert: { column: "inserted", stored: "instant" },
  update: { column: "updated", stored: "instant" },
  media: [{ files: "recordings", path: "{record_path}" }],
}

/** A platform with a table of calls that has a key, one that has none, and one a month. */
export const profile: Profile = profileSchema.parse({
  version: 1,
  platform: "testing",
  description: "For tests",
  databases: {
    pbx: {
      cdrs: {
        calls,
        plain: { account: "domain", day: { column: "started", stored: "instant" }, key: [] },
        "{YYYYMM}_r": { account: "domain", day: { column: "started", stored: "instant" } },
      },
    },
  },
  files: { recordings: { mode: "archive", path: "/recordings", template: "{account}/{yyyy}/{MM}/{dd}/{name}" } },
})

export function sourceOf(database: FakeDatabase, more: Partial<CdrSourceSettings> = {}): Source {
  const settings = { name: "pbx", profile, database: "pbx", timezone: "Europe/Berlin", compareMs: day, ...more }
  return cdrSource(settings, () => database.open())
}

const columns = ["id", "domain", "started", "inserted", "updated", "number", "record_path"]

export function callsTable(rows: FakeRow[] = []): FakeTable {
  return { schema: "public", name: "calls", columns: [...columns], key: ["id"], rows }
}

export function plainTable(rows: FakeRow[] = []): FakeTable {
  return { schema: "public", name: "plain", columns: ["domain", "started", "number"], key: [], rows }
}

/** A call that began at `startedMs` and whose row was written when it was over, a minute later. */
export function call(id: string, startedMs: number, more: FakeRow = {}): FakeRow {
  return { id, domain: "acme", started: stampOf(startedMs), inserted: stampOf(startedMs + 60_000), updated: null, number: "100", ...more }
}

/** The rows that a reader of an archive finds: fields by name, without those that are NULL. */
export function readBack(archive: Archive, table = "public.calls"): Record<string, string>[] {
  return [...cdrState(archive.items)].filter((row) => row.table === table).map(fieldsOf)
}

export function fieldsOf({ line, columns: names, times }: CdrStateRow): Record<string, string> {
  const fields = Buffer.from(line, "latin1").toString("utf8").split("\t")
  const entries = names.map((name, index): [string, string] => [name, fields[index] ?? ""]).filter(([, value]) => value !== "\\N")
  return { ...Object.fromEntries(entries), ...(times === 1 ? {} : { times: String(times) }) }
}
