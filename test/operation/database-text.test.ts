import { expect, test } from "vitest"
import type { AccountRestoreReport, CdrRestoreReport, DatabaseRestoreReport } from "../../src/report/database-restore.ts"
import { accountRestoreText, cdrRestoreText, databaseRestoreText } from "../../src/report/database-restore-text.ts"
import { paintWith } from "../../src/report/paint.ts"

const options = { paint: paintWith({ colour: false }) }
const times = { started: "2026-11-22T04:00:00Z", ended: "2026-11-22T04:00:02Z", seconds: 2 }

const whole: DatabaseRestoreReport = {
  ...{ dataset: "account-data", into: "postgres pbx at db", outcome: "ok", rung: "matched", way: "accounts", ...times, files: null },
  ...{ tables: 60, rows: 12_345, sequences: 3, differences: [], differenceCount: 0, leftOut: ["owners and grants"], warnings: [] },
}

test("a restored database is called what was shown of it, and nothing more", () => {
  expect(databaseRestoreText(whole, options)).toEqual([
    expect.stringContaining("matched  account-data: 12,345 rows, 2.0 s"),
    "   into      postgres pbx at db",
    "   how       from the rows of its accounts: 60 tables, 3 counters",
    "   proof     matched: rows and their sums, read back, are those taken from the source",
    "   left out  owners and grants",
  ])
  const loaded = databaseRestoreText({ ...whole, rung: "loaded" }, options).join("\n")
  expect(loaded).toContain("that they are equal to the source's is not shown")
  expect(loaded).not.toContain("matched")
  const failed = databaseRestoreText({ ...whole, outcome: "failed", rung: null, failure: "the server went\naway" }, options).join("\n")
  expect(failed).toContain("failed    the server went\\x0aaway")
  expect(failed).toContain("empty the database before the next try")
  expect(failed).not.toMatch(/loaded:|matched/)
})

test("differences are tables and counts of rows", () => {
  const differences = [
    { table: "public.cdr", account: null, rowsKept: 5, rowsThere: 4 },
    { table: "public.cdr", account: "acme", rowsKept: 5, rowsThere: 5 },
  ]
  const text = databaseRestoreText({ ...whole, outcome: "partial", rung: "loaded", differences, differenceCount: 12 }, options).join("\n")
  expect(text).toContain("public.cdr: 4 rows, and not the 5 captured")
  expect(text).toContain("public.cdr of acme: 5 rows, and others than captured")
  expect(text).toContain("and 10 more; --json lists up to 100")
})

const counts = { kept: 20, new: 1, equal: 18, different: 1, foreign: 0, clashes: [], shared: 0, onlyThere: 2, inserted: 0, replaced: 0 }
const account: AccountRestoreReport = {
  ...{
    dataset: "account-data",
    account: "acme",
    into: "postgres pbx at db",
    outcome: "failed",
    rung: null,
    preview: false,
    changed: false,
  },
  ...{ onConflict: "stop", ...times, files: null, stops: ["public.v_extensions: 1 row with other values under the same key"] },
  ...{ tables: [{ table: "public.v_extensions", ...counts }], triggers: ["public.v_devices: shout"], triggersAct: true, advanced: [] },
  ...{ dangling: [{ table: "t", columns: ["p"], toTable: "public.v_dialplans", rows: 6, keptAsShared: true }] },
  ...{ differences: [], differenceCount: 0, warnings: [] },
}

test("an account's restore says table by table what would come, what stops it, and what helps", () => {
  const text = accountRestoreText(account, options)
  expect(text[0]).toContain("account acme: nothing changed")
  expect(text.join("\n")).toContain("stops     public.v_extensions: 1 row with other values under the same key")
  expect(text.join("\n")).toContain("--with-shared brings those that are needed")
  expect(text.join("\n")).toContain("act on what comes: public.v_devices: shout")
  expect(text.at(-1)).toMatch(/^public\.v_extensions +20 +1 +18 +1 +0 +0 +2$/)
  expect(text.join("\n")).toContain("--on-conflict keep leaves such rows as they are, replace gives them the snapshot's values")
  expect(accountRestoreText({ ...account, preview: true, outcome: "ok" }, options)[0]).toContain("preview, nothing changed")
})

test("tables where all is there already and equal are counted, not listed", () => {
  const equal = { ...counts, new: 0, equal: 20, different: 0, onlyThere: 0 }
  const text = accountRestoreText({ ...account, tables: [...account.tables, { table: "public.v_devices", ...equal }] }, options)
  expect(text.join("\n")).not.toMatch(/^public\.v_devices/m)
  expect(text.at(-1)).toBe("there already and equal: 20 rows of 1 table")
})

test("records say where they went, and how many were there already", () => {
  const report: CdrRestoreReport = {
    ...{ dataset: "cdrs", account: "acme", since: "2026-11-01", until: "2026-11-30", outcome: "ok", ...times, files: null, form: "table" },
    ...{
      to: "postgres pbx at db, table public.cdr",
      created: true,
      rows: 4,
      new: 3,
      equal: 1,
      different: 0,
      inserted: 3,
      onConflict: "stop",
      stops: [],
      warnings: [],
    },
  }
  expect(cdrRestoreText(report, options).join("\n")).toMatch(
    /records of acme: 3 rows added, 1 there already and equal\n.*public\.cdr\n.*2026-11-01 to 2026-11-30/,
  )
})
