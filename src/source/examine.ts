import { DatabaseSync } from "node:sqlite"
import { parentPort, workerData } from "node:worker_threads"
import type { DatabaseExamination } from "./examination.ts"

// The body of a thread: examines the database whose path it was started with, and says what it found.
const database = new DatabaseSync(String(workerData))
const integrity = database.prepare("PRAGMA integrity_check").all()
const tables = database.prepare("SELECT count(*) AS tables FROM sqlite_schema WHERE type = 'table'").get()
let brokenReferences = 0
for (const _ of database.prepare("PRAGMA foreign_key_check").iterate()) brokenReferences += 1
database.close()
const examination: DatabaseExamination = {
  integrity: integrity.map((row) => String(row.integrity_check)),
  tables: Number(tables?.tables ?? 0),
  brokenReferences,
}
parentPort?.postMessage(examination)
