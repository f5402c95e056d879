import { once } from "node:events"
import type { BigIntStats } from "node:fs"
import { chmod, rm, stat } from "node:fs/promises"
import { basename, join } from "node:path"
import { backup, DatabaseSync } from "node:sqlite"
import { setTimeout as sleep } from "node:timers/promises"
import { Worker } from "node:worker_threads"
import { errnoOf, JobError, reasonOf } from "../errors.ts"
import { isMissing } from "../files.ts"
import { sqliteStepBytes } from "../limits.ts"
import { count } from "../units.ts"
import { type DatabaseExamination, databaseExamination } from "./examination.ts"
import type { SqliteSettings } from "./settings.ts"
import type { CaptureOptions, Found, Source } from "./source.ts"

/**
 * One SQLite database, while others use it: a copy made by SQLite's online backup from one read transaction, which holds what was
 * committed when the copy began, and which must pass an integrity check before it counts. Rejects with a JobError where the database
 * is missing, locked for longer than `busyMs`, damaged or none: a file copied behind SQLite's back would look like a backup and be none.
 */
export function sqliteSource(settings: SqliteSettings, busyMs: number): Source {
  return { description: `sqlite ${settings.path}`, capture: (options) => capture(settings, busyMs, options) }
}

async function* capture(settings: SqliteSettings, busyMs: number, options: CaptureOptions): AsyncGenerator<Found> {
  const { path } = settings
  const name = Buffer.from(settings.name ?? basename(path))
  const original = await statOf(path)
  const copy = join(options.scratch, "database.sqlite")
  const mtimeNs = await copyDatabase(path, original, copy, { signal: options.signal, busyMs })
  const { brokenReferences, tables } = await checkCopy(path, copy, options.signal)

  const stats = await stat(copy, { bigint: true })
  if (brokenReferences > 0)
    yield { note: { kind: "foreign-keys", path: name, detail: `${count(brokenReferences, "row")} refer to rows that are not there` } }
  if (tables === 0) yield { note: { kind: "empty", path: name, detail: "the database holds no table" } }
  yield {
    item: {
      stableId: settings.account,
      day: "",
      path: name,
      type: "file",
      size: Number(stats.size),
      mtimeNs,
      mode: Number(original.mode & 0o7777n),
      uid: Number(original.uid),
      gid: Number(original.gid),
      compressible: true,
      flags: [],
      content: { kind: "file", path: Buffer.from(copy) },
    },
  }
}

async function statOf(path: string): Promise<BigIntStats> {
  try {
    const stats = await stat(path, { bigint: true })
    if (stats.isFile()) return stats
  } catch (cause) {
    throw unusable(path, isMissing(cause) ? "does not exist" : (errnoOf(cause) ?? reasonOf(cause)), cause)
  }
  throw unusable(path, "not a file")
}

/** Copies what was committed when it began; gives the time of the last change it can hold. */
async function copyDatabase(path: string, original: BigIntStats, copy: string, options: CopyOptions): Promise<bigint> {
  let source: DatabaseSync | undefined
  try {
    source = new DatabaseSync(path, { readOnly: true })
    await pinVersion(source, options)
    const mtimeNs = await lastChange(path, original)
    await backup(source, copy, {
      rate: Math.max(1, Math.floor(sqliteStepBytes / pageBytes(source))),
      progress: () => options.signal.throwIfAborted(),
    })
    await chmod(copy, 0o600)
    return mtimeNs
  } catch (cause) {
    await rm(copy, { force: true })
    options.signal.throwIfAborted()
    throw unusable(path, reasonOf(cause), cause)
  } finally {
    source?.close()
  }
}

interface CopyOptions {
  readonly signal: AbortSignal
  readonly busyMs: number
}

/**
 * Opens a read transaction that stays: without it each write of the telephone system would start the copy over again. A lock is waited
 * for here and not by SQLite, whose waiting would stop the whole process.
 */
async function pinVersion(source: DatabaseSync, { signal, busyMs }: CopyOptions): Promise<void> {
  for (let waitedMs = 0; ; waitedMs += busyPollMs) {
    try {
      source.exec("BEGIN")
      source.prepare("SELECT count(*) FROM sqlite_schema").get()
      return
    } catch (error) {
      if (!isBusy(error) || waitedMs >= busyMs) throw error
      if (source.isTransaction) source.exec("ROLLBACK")
      await sleep(busyPollMs, undefined, { signal })
    }
  }
}

// Short enough to find the gap between two transactions of a program that writes all the time.
const busyPollMs = 20

function isBusy(error: unknown): boolean {
  return error instanceof Error && "errcode" in error && typeof error.errcode === "number" && [5, 6].includes(error.errcode & 0xff)
}

function pageBytes(database: DatabaseSync): number {
  return Number(database.prepare("PRAGMA page_size").get()?.page_size ?? 4096)
}

// In WAL mode the newest rows stand beside the database for a while, and only that file's time moves.
async function lastChange(path: string, original: BigIntStats): Promise<bigint> {
  try {
    const { mtimeNs } = await stat(`${path}-wal`, { bigint: true })
    return mtimeNs > original.mtimeNs ? mtimeNs : original.mtimeNs
  } catch (error) {
    if (isMissing(error)) return original.mtimeNs
    throw error
  }
}

/** Rejects a copy that is damaged. */
async function checkCopy(path: string, copy: string, signal: AbortSignal): Promise<DatabaseExamination> {
  const examination = await examine(copy, signal).catch((cause: unknown) => {
    signal.throwIfAborted()
    throw unusable(path, reasonOf(cause), cause)
  })
  const { integrity } = examination
  if (integrity.length !== 1 || integrity[0] !== "ok") throw unusable(path, `integrity check: ${integrity[0] ?? "no answer"}`)
  return examination
}

// In a thread of its own: reading every page of a large database takes minutes, in which uploads and timers must go on.
async function examine(copy: string, signal: AbortSignal): Promise<DatabaseExamination> {
  const worker = new Worker(new URL("./examine.ts", import.meta.url), { workerData: copy })
  try {
    const [message]: unknown[] = await once(worker, "message", { signal })
    return databaseExamination.parse(message)
  } finally {
    await worker.terminate()
  }
}

function unusable(path: string, why: string, cause?: unknown): JobError {
  const hint = hints.find(([pattern]) => pattern.test(why))?.[1]
  return new JobError("job/source", `sqlite ${path}: ${why}`, {
    ...(cause === undefined ? {} : { cause }),
    ...(hint === undefined ? {} : { hint }),
  })
}

const hints = [
  [/locked|busy/, "another program keeps the database locked; run at another time, or find it with fuser"],
  [/integrity|malformed/, 'the database is damaged: see what sqlite3 ".recover" saves, and restore the last good snapshot'],
  [/not a database/, "the file is no SQLite database, or an encrypted one"],
  [/does not exist/, "check the path, and whether its disk is mounted"],
] as const
