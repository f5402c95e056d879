import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, onTestFinished, test } from "vitest"
import { JobError } from "../../src/errors.ts"
import { Secret } from "../../src/secret.ts"
import { inSnapshot, never, postgresScenes, read, type Scene } from "./postgres.ts"
import { runProgram } from "./process.ts"

const scene = postgresScenes()

const filled = `
  CREATE TABLE domains (id int PRIMARY KEY, name text); INSERT INTO domains VALUES (1, 'acme');
  CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT 2 * $1';
  CREATE VIEW names AS SELECT name FROM domains;`

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "holdline-dump-"))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

/** Restores an archive into an empty database of the same server. */
async function restored(archive: Buffer, like: Scene): Promise<Scene> {
  const file = join(await folder(), "archive")
  await writeFile(file, archive)
  const at = await scene()
  const { socket, port, environment } = like.server
  const options = ["--no-owner", "--exit-on-error", "-h", socket, "-p", String(port), "-U", "postgres", "-d", at.name]
  await runProgram(["pg_restore", ...options, file], { environment })
  return at
}

test("schema gives everything but rows, and whole gives both, as of the snapshot", async () => {
  const at = await scene(filled)
  const [schema, whole] = await inSnapshot(at, async (snapshot) => {
    await at.sql("INSERT INTO domains VALUES (2, 'too late')")
    return [
      Buffer.from(await read(snapshot.schema(never), "latin1"), "latin1"),
      Buffer.from(await read(snapshot.whole(never), "latin1"), "latin1"),
    ] as const
  })
  expect(schema.subarray(0, 5).toString()).toBe("PGDMP")
  expect(await (await restored(schema, at)).sql("SELECT count(*) FROM names; SELECT twice(4)")).toBe("0\n8")
  expect(await (await restored(whole, at)).sql("SELECT name FROM names")).toBe("acme")
})

test("a dump whose session the server ends in the middle rejects, and never ends as if it were whole", async () => {
  const at = await scene(
    "CREATE TABLE large (f text); ALTER TABLE large ALTER f SET STORAGE plain; INSERT INTO large SELECT repeat('x', 7000) FROM generate_series(1, 8000)",
  )
  await inSnapshot(at, async (snapshot) => {
    const stream = snapshot.whole(never)[Symbol.asyncIterator]()
    await stream.next()
    await at.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${at.name}' AND query LIKE 'COPY%'`)
    await expect(drained(stream)).rejects.toThrow(/pg_dump: ended with status 1/)
  })
})

async function drained(stream: AsyncIterator<Uint8Array>): Promise<void> {
  while ((await stream.next()).done !== true);
}

test("a dump that is aborted or left early ends its program, and leaves no password behind", async () => {
  const at = await scene("CREATE TABLE large (f text); INSERT INTO large SELECT repeat('x', 7000) FROM generate_series(1, 8000)")
  const dumps = `SELECT count(*) FROM pg_stat_activity WHERE datname = '${at.name}' AND query LIKE 'COPY%'`
  await inSnapshot(at, async (snapshot) => {
    for await (const _ of snapshot.whole(never)) break
    const stop = new AbortController()
    const stream = snapshot.whole(stop.signal)[Symbol.asyncIterator]()
    await stream.next()
    stop.abort(new Error("enough"))
    await expect(drained(stream)).rejects.toThrow("enough")
    await expect.poll(() => at.sql(dumps)).toBe("0")
  })
  expect(await readdir(at.access().scratch)).toEqual([])
})

test("a table the role may not read fails the dump by name instead of being left out", async () => {
  const at = await scene(filled)
  await at.sql(`CREATE ROLE half LOGIN; GRANT SELECT ON domains TO half; CREATE TABLE closed (a int)`)
  const { openDatabase } = await import("../../src/database/open.ts")
  await using database = await openDatabase(at.server.settings(at.name, "half"), at.access())
  await using snapshot = await database.snapshot({ readers: 1 })
  await expect(read(snapshot.whole(never))).rejects.toThrow(/pg_dump: ended with status 1.*closed/)
})

/** A pg_dump that says and does what the test wants. */
async function pretended(script: string): Promise<Readonly<Record<string, string>>> {
  const bin = await folder()
  await writeFile(join(bin, "pg_dump"), `#!/bin/sh\n${script}\n`)
  await chmod(join(bin, "pg_dump"), 0o755)
  return { PATH: `${bin}:/usr/bin:/bin`, SHOWN: join(bin, "shown") }
}

const versioned = 'if [ "$1" = --version ]; then echo "pg_dump (PostgreSQL) 99.1 (Debian 99.1-1)"; exit; fi;'

test("a program older than the server, one that is lacking and one that writes no archive are refused with what to do", async () => {
  const at = await scene(filled)
  const failing = async (environment: Readonly<Record<string, string>>): Promise<unknown> => {
    await using database = await at.open({ environment })
    await using snapshot = await database.snapshot({ readers: 1 })
    return await read(snapshot.schema(never)).catch((error: unknown) => error)
  }
  expect(await failing(await pretended("echo 'pg_dump (PostgreSQL) 9.6.24'"))).toMatchObject({
    message: expect.stringContaining("pg_dump 9.6.24 is older than the server"),
    hint: expect.stringContaining("postgresql-client-"),
  })
  expect(await failing({ PATH: "/nonexistent" })).toMatchObject({ code: "job/command", hint: expect.stringContaining("postgresql-client") })
  expect(await failing(await pretended(versioned))).toMatchObject({ message: "pg_dump: what it wrote is no archive" })
  expect(await failing(await pretended(`${versioned} printf PGDMP; exit 3`))).toBeInstanceOf(JobError)
})

test("the password reaches the program in a private file and neither as an argument nor in its environment", async () => {
  const at = await scene(filled)
  const environment = await pretended(
    `${versioned} { echo "$@"; env; stat -c %a "$PGPASSFILE"; cat "$PGPASSFILE"; } > "$SHOWN"; printf PGDMP`,
  )
  await using database = await at.open({ environment, password: new Secret("se:cr\\et") })
  await using snapshot = await database.snapshot({ readers: 1 })
  expect(await read(snapshot.whole(never))).toBe("PGDMP")
  const shown = (await readFile(environment.SHOWN ?? "", "utf8")).split("\n")
  expect(shown.slice(-3)).toEqual(["600", "*:*:*:*:se\\:cr\\\\et", ""])
  expect(shown.slice(0, -3).join("\n")).not.toMatch(/se.?:cr/)
  expect(shown).toContain(`PGDATABASE=${at.name}`)
})
