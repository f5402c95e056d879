import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, statSync } from "node:fs"
import { chmod, mkdir, open, readdir, readFile, truncate, utimes, writeFile } from "node:fs/promises"
import { DatabaseSync } from "node:sqlite"
import { describe, expect, test } from "vitest"
import type { SourceItem } from "../../src/source/source.ts"
import { sqliteSource } from "../../src/source/sqlite.ts"
import { databaseDigest } from "../world/database.ts"
import { buildWorld } from "../world/world.ts"
import { type Captured, captured, scratchDirectories, signal, text } from "./captured.ts"

const directory = scratchDirectories()

async function capture(path: string, stop: AbortSignal = signal, busyMs = 30_000): Promise<Captured & { scratch: string }> {
  const scratch = await directory()
  const source = sqliteSource({ kind: "sqlite", path, account: "mixed" }, busyMs)
  return { ...(await captured(source, { now: new Date(), scratch, signal: stop })), scratch }
}

/** The path of the copy an item is to be read from. */
function copyOf(items: readonly SourceItem[]): string {
  const content = items[0]?.content
  if (content?.kind !== "file") throw new Error("no file")
  return text(content.path)
}

function make(path: string, ...statements: string[]): void {
  const database = new DatabaseSync(path)
  for (const statement of statements) database.exec(statement)
  database.close()
}

function rows(path: string, query: string): unknown[] {
  const database = new DatabaseSync(path, { readOnly: true, timeout: 10_000 })
  try {
    return database.prepare(query).all()
  } finally {
    database.close()
  }
}

const pages =
  "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO t SELECT i, hex(randomblob(200)) FROM n"

test("a copy holds the same rows, and looks like the original from outside", async () => {
  const world = await buildWorld(await directory(), {
    seed: "db",
    now: new Date("2026-11-20T12:00:00Z"),
    accounts: 5,
    recordings: 1,
    bytes: 1000,
    days: 1,
  })

  const { items, misses, notes } = await capture(world.database)

  expect(databaseDigest(copyOf(items))).toBe(world.databaseDigest())
  const original = statSync(world.database, { bigint: true })
  expect(items).toMatchObject([
    {
      stableId: "mixed",
      day: "",
      path: Buffer.from("voicemail_default.db"),
      type: "file",
      mode: 0o640,
      compressible: true,
      mtimeNs: original.mtimeNs,
    },
  ])
  expect(items[0]?.size).toBe(statSync(copyOf(items)).size)
  expect([...misses, ...notes]).toEqual([])
})

test("rows that stand in the write-ahead log only are in the copy, and its time is the log's", async () => {
  const path = `${await directory()}/wal.db`
  const writer = new DatabaseSync(path)
  writer.exec("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (x); INSERT INTO t VALUES ('in the log')")
  await utimes(path, 1_000_000_000, 1_000_000_000)
  try {
    expect((await readFile(path)).includes("in the log"), "not yet in the database itself").toBe(false)
    const { items, scratch } = await capture(path)
    expect(await readdir(scratch), "nothing is left beside the copy").toHaveLength(1)
    expect(rows(copyOf(items), "SELECT x FROM t")).toMatchObject([{ x: "in the log" }])
    expect(items[0]?.mtimeNs).toBe(statSync(`${path}-wal`, { bigint: true }).mtimeNs)
  } finally {
    writer.close()
  }
})

describe.each(["WAL", "DELETE"])("while another process writes (%s)", (journal) => {
  test("each copy holds whole transactions, and the writer goes on", async () => {
    const path = `${await directory()}/busy.db`
    make(path, `PRAGMA journal_mode = ${journal}`, "CREATE TABLE debit (n)", "CREATE TABLE credit (n)", "CREATE TABLE t (i, x)", pages)
    const writer = startWriter(path)
    await once(writer, "spawn")
    try {
      let seen = -1
      for (let round = 0; round < 5; round++) {
        while (count(path, "debit") <= seen) await new Promise((resolve) => setTimeout(resolve, 10))
        const copy = copyOf((await capture(path)).items)
        expect(rows(copy, "SELECT (SELECT count(*) FROM debit) - (SELECT count(*) FROM credit) AS difference")).toMatchObject([
          { difference: 0 },
        ])
        seen = count(copy, "debit")
      }
      expect(seen).toBeGreaterThan(0)
    } finally {
      const ended = once(writer, "close")
      writer.kill("SIGKILL")
      await ended
    }
  })
})

function count(path: string, table: string): number {
  const [row] = rows(path, `SELECT count(*) AS n FROM ${table}`)
  return typeof row === "object" && row !== null && "n" in row ? Number(row.n) : -1
}

function startWriter(path: string): ChildProcess {
  const script = `
    const { DatabaseSync } = require("node:sqlite")
    const database = new DatabaseSync(process.argv[1], { timeout: 60000 })
    for (;;) {
      database.exec("BEGIN IMMEDIATE; INSERT INTO debit VALUES (1); INSERT INTO credit VALUES (1); UPDATE t SET x = hex(randomblob(200)) WHERE i % 50 = 0; COMMIT")
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2)
    }`
  return spawn(process.execPath, ["-e", script, path], { stdio: "ignore" })
}

describe("no copy is made of", () => {
  test("a database that is not there", async () => {
    await expect(capture(`${await directory()}/gone.db`)).rejects.toMatchObject({
      code: "job/source",
      message: expect.stringContaining("does not exist"),
    })
  })

  test("a directory", async () => {
    await expect(capture(await directory())).rejects.toMatchObject({ code: "job/source", message: expect.stringContaining("not a file") })
  })

  test("something that is no database", async () => {
    const path = `${await directory()}/x.db`
    await writeFile(path, "this is a text of more than a hundred bytes".repeat(100))
    await expect(capture(path)).rejects.toMatchObject({ code: "job/source", message: expect.stringContaining("not a database") })
  })

  test("a database others have locked for longer than the source waits", async () => {
    const path = `${await directory()}/locked.db`
    make(path, "CREATE TABLE t (x)")
    const other = new DatabaseSync(path)
    other.exec("BEGIN EXCLUSIVE")
    try {
      await expect(capture(path, signal, 200)).rejects.toMatchObject({
        code: "job/source",
        message: expect.stringContaining("locked"),
        hint: expect.stringContaining("locked"),
      })
    } finally {
      other.close()
    }
  })

  test("a damaged database, wherever the damage is, unless no row or index knows of it", async () => {
    const folder = await directory()
    const whole = `${folder}/whole.db`
    make(whole, "CREATE TABLE t (i INTEGER PRIMARY KEY, x)", "CREATE INDEX by_x ON t (x)", pages)
    const { size } = statSync(whole)
    let refused = 0
    for (let page = 1; page < size / 4096; page += 20) {
      const path = `${folder}/damaged-${String(page)}.db`
      await writeFile(path, await readFile(whole))
      await using file = await open(path, "r+")
      await file.write(Buffer.alloc(64, 0xa5), 0, 64, page * 4096)
      const outcome = await capture(path).then(
        () => "copied",
        (error: unknown) => error,
      )
      expect(outcome, `page ${String(page)}`).toMatchObject({ code: "job/source" })
      refused += 1
    }
    expect(refused).toBeGreaterThan(5)
  })

  test("a database cut short", async () => {
    const path = `${await directory()}/cut.db`
    make(path, "CREATE TABLE t (i, x)", pages)
    await truncate(path, Math.floor(statSync(path).size / 8192) * 4096)
    await expect(capture(path)).rejects.toMatchObject({ code: "job/source" })
  })

  test("anything once the run was stopped", async () => {
    const path = `${await directory()}/x.db`
    make(path, "CREATE TABLE t (i, x)", pages)
    await expect(capture(path, AbortSignal.abort(new Error("interrupted")))).rejects.toThrow("interrupted")
  })
})

test("a lock that goes is waited for", async () => {
  const path = `${await directory()}/locked.db`
  make(path, "CREATE TABLE t (x)")
  const other = new DatabaseSync(path)
  other.exec("BEGIN EXCLUSIVE")
  setTimeout(() => other.close(), 120)
  expect((await capture(path)).items).toHaveLength(1)
})

test("references that lead nowhere are a note: the copy is as good as the original", async () => {
  const path = `${await directory()}/x.db`
  make(
    path,
    "PRAGMA foreign_keys = OFF",
    "CREATE TABLE a (id INTEGER PRIMARY KEY)",
    "CREATE TABLE b (a REFERENCES a (id))",
    "INSERT INTO b VALUES (1), (2)",
  )
  const { items, notes } = await capture(path)
  expect(items).toHaveLength(1)
  expect(notes).toMatchObject([{ kind: "foreign-keys", detail: expect.stringContaining("2 rows") }])
})

test("a database of no bytes is valid, and noted as empty", async () => {
  const path = `${await directory()}/x.db`
  await writeFile(path, "")
  const { notes } = await capture(path)
  expect(notes).toMatchObject([{ kind: "empty" }])
})

test("the original is only read: its bytes and its time stay, and nothing appears beside it", async () => {
  const folder = await directory()
  const path = `${folder}/x.db`
  make(path, "CREATE TABLE t (i, x)", pages)
  await chmod(path, 0o440)
  const before = { bytes: await readFile(path), mtimeNs: statSync(path, { bigint: true }).mtimeNs }
  await capture(path)
  expect(await readFile(path)).toEqual(before.bytes)
  expect(statSync(path, { bigint: true }).mtimeNs).toBe(before.mtimeNs)
  expect(await readdir(folder)).toEqual(["x.db"])
})

test("a name with what means something in a URI is a name", async () => {
  const folder = `${await directory()}/a?mode=rw#b%20`
  await mkdir(folder)
  make(`${folder}/x?y.db`, "CREATE TABLE t (x)")
  const { items } = await capture(`${folder}/x?y.db`)
  expect(items).toMatchObject([{ path: Buffer.from("x?y.db") }])
  expect(existsSync(copyOf(items))).toBe(true)
})
