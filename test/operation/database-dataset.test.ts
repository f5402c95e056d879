import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import type { Database, Snapshot } from "../../src/database/database.ts"
import type { Loader } from "../../src/database/loader.ts"
import { restoreAccount } from "../../src/operation/database-account.ts"
import { type DatabaseTarget, restoreDatabase } from "../../src/operation/database-restore.ts"
import { databaseRestoreText } from "../../src/report/database-restore-text.ts"
import { paintWith } from "../../src/report/paint.ts"
import { bytesItem } from "../../src/source/cdr-pieces.ts"
import { csvPiecePath } from "../../src/source/csv-pieces.ts"
import type { Source } from "../../src/source/source.ts"
import { captureFiles } from "../database/restore-world.ts"
import { type Lab, openLab } from "./lab.ts"
import { sharedPool } from "./lab-pool.ts"

const pool = sharedPool()

/** Calls of one customer, as they are kept. */
function calls(now: Date): Source {
  return {
    description: "calls",
    async *capture() {
      await Promise.resolve()
      const origin = { file: "Master.csv", cut: "20310304T120000Z", origin: "0".repeat(16), description: "0".repeat(16) }
      const path = csvPiecePath({ stableId: "acme", day: "2031-03-04", ...origin, from: 0, to: 12 })
      yield { item: bytesItem(Buffer.from('"100","200"\n'), { stableId: "acme", day: "2031-03-04", path, now }) }
    },
  }
}

const untouched: DatabaseTarget = {
  scratch: "/nonexistent",
  openLoader: () => Promise.reject(new Error("the database was opened")),
  openDatabase: () => Promise.reject(new Error("the database was opened")),
}

/** What becomes of a whole database, and of one account, asked of a dataset. */
function attempts(lab: Lab, dataset: string): (() => Promise<unknown>)[] {
  const request = { dataset, identities: [lab.escrow] }
  const account = { account: "acme", preview: true, onConflict: "stop", withShared: false, triggers: "act", jobs: 1 } as const
  return [
    () => restoreDatabase(request, untouched, { fromAccounts: false, jobs: 1 }, lab.world()),
    () => restoreAccount(request, untouched, account, lab.world()),
  ]
}

test("call records are no database: the command that gives them back is named, and nothing is opened or fetched", async () => {
  await using lab = await openLab({ pool })
  await lab.run({ name: "cdrs", dataset: "cdrs", mode: "archive" }, calls(lab.clock.now()))
  for (const attempt of attempts(lab, "cdrs")) {
    await expect(attempt()).rejects.toMatchObject({
      code: "job/not-found",
      message: "cdrs: holds call detail records, and no database",
      hint: "give them back with `holdline restore cdrs cdrs ACCOUNT --since DAY --until DAY --into DATABASE`",
    })
  }
})

test("neither is an archive of files", async () => {
  await using lab = await openLab({ pool, now: new Date(Date.now() + 3_600_000) })
  const root = join(lab.directory, "files")
  mkdirSync(join(root, "acme"), { recursive: true })
  writeFileSync(join(root, "acme", "call.wav"), "sound")
  const today = lab.clock.now().toISOString().slice(0, 10)
  writeFileSync(join(root, "acme", `${today}.wav`), "sound")
  await lab.run({ name: "media", dataset: "media" }, { kind: "directory", path: root, template: "{account}/{yyyy}-{MM}-{dd}.wav" })
  for (const attempt of attempts(lab, "media")) {
    await expect(attempt()).rejects.toMatchObject({
      code: "job/not-found",
      message: "media: holds files by their days, and no database",
      hint: "bring them back with `holdline restore run media --to DIRECTORY`",
    })
  }
})

/** A database into which everything can be loaded, and that has these tables afterwards. */
function willing(scratch: string, tables: readonly string[]): DatabaseTarget {
  const nothing = () => Promise.reject(new Error("not asked for"))
  const none = () => nothingOf()
  const loader: Loader = {
    ...{ kind: "postgres", description: "postgres pbx at db.example.net", schema: null },
    contents: () => Promise.resolve([]),
    loadWhole: () => Promise.resolve({ leftOut: [] }),
    ...{ loadSchema: nothing, loadRows: nothing, setSequences: nothing, session: nothing },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
  const table = { schema: "public", columns: [], key: [], references: [], rowsEstimate: 5, bytesEstimate: 5, transactional: true }
  const snapshot: Snapshot = {
    notes: [],
    tables: () => Promise.resolve(tables.map((name) => ({ ...table, name }))),
    ...{ sequences: nothing, rows: none, schema: none, whole: none },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
  const database: Database = {
    ...{ kind: "postgres", description: loader.description, about: nothing },
    snapshot: () => Promise.resolve(snapshot),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
  return { scratch, openLoader: () => Promise.resolve(loader), openDatabase: () => Promise.resolve(database) }
}

async function* nothingOf(): AsyncGenerator<Uint8Array> {
  yield* await Promise.resolve([])
}

test("a whole dump of which no table has fingerprints is loaded, not matched, and not of 0 rows", async () => {
  await using lab = await openLab({ pool })
  const description = Buffer.from(JSON.stringify({ v: 1, kind: "postgres", tables: [], sequences: [] }))
  await captureFiles(lab, { "whole.dump": Buffer.from("PGDMP"), "database.json": description })
  const request = { dataset: "account-data", identities: [lab.escrow] }
  const target = willing(lab.directory, ["cdr", "cel"])
  const report = await restoreDatabase(request, target, { fromAccounts: false, jobs: 1 }, lab.world())
  expect(report).toMatchObject({ outcome: "ok", way: "whole", rung: "loaded", rows: null, tables: 0 })
  const text = databaseRestoreText(report, { paint: paintWith({ colour: false }) }).join("\n")
  expect(text).toContain("account-data: the whole dump, its rows not counted")
  expect(text).toContain("no fingerprints are kept of them: public.cdr, public.cel")
})
