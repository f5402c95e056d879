import { tmpdir } from "node:os"
import { setTimeout as sleep } from "node:timers/promises"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { expect, onTestFinished, test } from "vitest"
import { openDatabase } from "../../src/database/open.ts"
import { connectPostgres, type PostgresConnection } from "../../src/database/postgres/connect.ts"
import { postgresGrants } from "../../src/database/postgres/grants.ts"
import { beginSnapshot, type SnapshotHost } from "../../src/database/postgres/snapshot.ts"
import { JobError } from "../../src/errors.ts"
import { inSnapshot, never, postgresScenes, query, read, reader, type Scene, tableNamed } from "./postgres.ts"
import { startPostgres } from "./servers.ts"

setFlagsFromString("--expose-gc")
const collectGarbage: unknown = runInNewContext("gc")

const scene = postgresScenes({ settings: { max_connections: "30" } })

/** About 60 MB, more than any buffer on the way: a stream of it that nobody reads has to wait. */
const large =
  "CREATE TABLE large (id int PRIMARY KEY, filler text); INSERT INTO large SELECT n, repeat('x', 100000) FROM generate_series(1, 600) n;"
const waiting = query("large", ["id", "filler"])

test("all readers see one moment while a writer moves rows from table to table", async () => {
  const tables = ["one", "two", "three"]
  const at = await scene(tables.map((name) => `CREATE TABLE ${name} (n int)`).join("; "))
  await at.sql("INSERT INTO one SELECT generate_series(1, 300)")
  let moving = true
  const mover = (async () => {
    for (let turn = 0; moving; turn++) {
      const [from, to] = [tables[turn % 3], tables[(turn + 1) % 3]]
      await at.sql(`WITH gone AS (DELETE FROM ${from} RETURNING n) INSERT INTO ${to} SELECT n FROM gone`)
    }
  })()
  try {
    for (let round = 0; round < 3; round++) {
      await inSnapshot(at, async (snapshot) => {
        const readAll = (): Promise<string>[] => tables.map((name) => read(snapshot.rows(query(name, ["n"]), never)))
        // One reader joins the snapshot before this row is written, the others after it.
        await read(snapshot.rows(query("one", ["n"]), never))
        await at.sql("INSERT INTO one VALUES (1000)")
        const numbers = (await Promise.all([...readAll(), ...readAll()])).join("").trim().split("\n").map(Number)
        const before = [...Array.from({ length: 300 }, (_, index) => index + 1), ...Array.from({ length: round }, () => 1000)]
        expect(numbers.toSorted((one, other) => one - other)).toEqual(before.flatMap((n) => [n, n]))
      })
    }
  } finally {
    moving = false
    await mover
  }
})

test("a table cannot be emptied or altered while a snapshot covers it: a TRUNCATE would be seen by it", async () => {
  const at = await scene("CREATE TABLE kept (id int PRIMARY KEY); INSERT INTO kept VALUES (1)")
  await inSnapshot(at, async (snapshot) => {
    for (const statement of ["TRUNCATE kept", "ALTER TABLE kept ADD more int", "DROP TABLE kept"])
      await expect(at.sql(`SET lock_timeout = '50ms'; ${statement}`)).rejects.toThrow(/lock timeout/)
    expect(await read(snapshot.rows(query("kept", ["id"]), never))).toBe("1\n")
  })
  await at.sql("TRUNCATE kept")
})

test("more queries than readers wait for their turn, and all are answered", async () => {
  const at = await scene("CREATE TABLE one (n int); INSERT INTO one VALUES (1)")
  await using database = await at.open()
  await using snapshot = await database.snapshot({ readers: 2 })
  const texts = await Promise.all(Array.from({ length: 7 }, () => read(snapshot.rows(query("one", ["n"]), never))))
  expect(texts).toEqual(Array.from({ length: 7 }, () => "1\n"))
  const sessions = `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'holdline' AND datname = '${at.name}'`
  expect(await at.sql(sessions)).toBe("3")
})

test("a stream that is left early ends the server's query, and its reader's place serves the next", async () => {
  const at = await scene(large)
  await using database = await at.open()
  await using snapshot = await database.snapshot({ readers: 1 })
  for (let round = 0; round < 3; round++) for await (const _ of snapshot.rows(waiting, never)) break
  await expect.poll(() => at.sql(active(at.name))).toBe("0")
  expect((await read(snapshot.rows(waiting, never))).length).toBeGreaterThan(60_000_000)
})

function active(name: string): string {
  return `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'holdline' AND datname = '${name}' AND state = 'active'`
}

/** Turning a value of its type into text takes the server a minute, in which it sends nothing and would not notice that nobody listens. */
const slow = `
  CREATE TYPE slow AS (n int);
  CREATE FUNCTION slowly(slow) RETURNS text LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN $1.n; END';
  CREATE CAST (slow AS text) WITH FUNCTION slowly(slow);
  CREATE TABLE sleepy (id int PRIMARY KEY, n slow);
  INSERT INTO sleepy VALUES (1, ROW(1));`

test("an aborted read rejects with the signal's reason, also while the server is silent or a reader is waited for, and poisons nothing", async () => {
  const at = await scene(slow)
  await using database = await at.open()
  await using snapshot = await database.snapshot({ readers: 1 })
  const [working, queued] = [new AbortController(), new AbortController()]
  const worked = read(snapshot.rows(query("sleepy", ["id"], { lead: [{ kind: "value", column: "n", via: [] }] }), working.signal))
  const workedFails = expect(worked).rejects.toThrow("enough of working")
  await expect.poll(() => at.sql(active(at.name))).toBe("1")
  const waits = read(snapshot.rows(query("sleepy", ["id"]), queued.signal))
  const waitsFails = expect(waits).rejects.toThrow("enough of waiting")
  queued.abort(new Error("enough of waiting"))
  await waitsFails
  working.abort(new Error("enough of working"))
  await workedFails
  await expect.poll(() => at.sql(active(at.name)), { timeout: 10_000 }).toBe("0")
  expect(await read(snapshot.rows(query("sleepy", ["id"]), never))).toBe("1\n")
})

test("one row of 100 MB that is read slowly is held neither whole nor in part", async () => {
  const at = await scene("CREATE TABLE huge (a text, b text); INSERT INTO huge SELECT repeat('y', 50000000), repeat('z', 50000000)")
  await inSnapshot(at, async (snapshot) => {
    const before = held()
    let [bytes, measured] = [0, 0]
    for await (const chunk of snapshot.rows(query("huge", ["a", "b"]), never)) {
      bytes += chunk.length
      if (bytes - measured < 20_000_000 && measured > 0) continue
      await sleep(100)
      // What nobody refers to any more may take the collector a second time.
      await expect.poll(() => held() - before).toBeLessThan(4_000_000)
      measured = bytes
    }
    expect(bytes).toBe(100_000_002)
  })
})

/** Bytes of buffers that somebody still refers to. */
function held(): number {
  if (typeof collectGarbage === "function") collectGarbage()
  return process.memoryUsage().arrayBuffers
}

test("a time limit that the role has for its statements does not cut a long read", async () => {
  const at = await scene(large)
  await at.sql(`ALTER ROLE "${reader}" SET statement_timeout TO '400ms'`)
  onTestFinished(async () => void (await at.sql(`ALTER ROLE "${reader}" RESET statement_timeout`)))
  await inSnapshot(at, async (snapshot) => {
    const stream = snapshot.rows(waiting, never)[Symbol.asyncIterator]()
    await stream.next()
    await sleep(600)
    expect(await drain(stream)).toBe("ended as if complete")
  })
})

test("a server process that is ended in the middle of a table rejects the stream, and the snapshot's others go on", async () => {
  const at = await scene(large)
  await inSnapshot(at, async (snapshot) => {
    const stream = snapshot.rows(waiting, never)[Symbol.asyncIterator]()
    await stream.next()
    await at.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY%' AND datname = '${at.name}'`)
    const failure = await drain(stream)
    expect(failure).toBeInstanceOf(JobError)
    expect(failure).toMatchObject({ code: "job/source", message: expect.stringContaining("public.large") })
    expect(await read(snapshot.rows({ ...waiting, columns: ["id"] }, never))).toContain("600\n")
  })
})

async function drain(stream: AsyncIterator<Uint8Array>): Promise<unknown> {
  try {
    while ((await stream.next()).done !== true);
    return "ended as if complete"
  } catch (error) {
    return error
  }
}

test("nothing counts as complete once the session that holds the snapshot, and its locks, is gone", async () => {
  const at = await scene(large)
  await inSnapshot(at, async (snapshot) => {
    const stream = snapshot.rows(waiting, never)[Symbol.asyncIterator]()
    await stream.next()
    await at.sql(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query NOT LIKE 'COPY%' AND application_name = 'holdline' AND datname = '${at.name}'`,
    )
    expect(await drain(stream)).toMatchObject({ code: "job/source" })
    await expect(read(snapshot.rows(query("large", ["id"]), never))).rejects.toThrow(JobError)
  })
})

test("a server that is killed rejects everything that is under way, and what comes after", async () => {
  await using server = await startPostgres()
  const grants = postgresGrants({ database: "postgres", user: reader, major: 15, reads: "database", schemas: [], rowSecurity: false })
  await server.sql([...grants, large].join("\n"))
  const access = { password: undefined, environment: server.environment, scratch: tmpdir(), signal: never }
  await using database = await openDatabase(server.settings("postgres", reader), access)
  await using snapshot = await database.snapshot({ readers: 2 })
  const streams = [snapshot.rows(waiting, never), snapshot.whole(never)].map((stream) => stream[Symbol.asyncIterator]())
  for (const stream of streams) await stream.next()
  await server.kill()
  for (const stream of streams) expect(await drain(stream)).toBeInstanceOf(JobError)
  await expect(snapshot.sequences()).rejects.toThrow(JobError)
  await expect(read(snapshot.rows(waiting, never))).rejects.toThrow(JobError)
})

test("tables that come and go while a snapshot begins are covered, or it begins again", async () => {
  const at = await scene("CREATE TABLE leaves (n int)")
  const changes = ["DROP TABLE leaves", "CREATE TABLE comes (n int); INSERT INTO comes VALUES (1)"]
  const host = hostOf(at, (connection) => ({
    ...connection,
    execute: async (text) => {
      if (text.startsWith("BEGIN") && changes.length > 0) await at.sql(changes.shift() ?? "")
      await connection.execute(text)
    },
  }))
  await using snapshot = await beginSnapshot(host, 1)
  expect(changes).toEqual([])
  expect((await snapshot.tables()).map(({ name }) => name)).toEqual(["comes"])
  await expect(at.sql("SET lock_timeout = '50ms'; TRUNCATE comes")).rejects.toThrow(/lock timeout/)
  expect(await read(snapshot.rows(query("comes", ["n"]), never))).toBe("1\n")
})

test("a pooler that hands each transaction to another process is refused: the session's settings would not hold", async () => {
  const at = await scene()
  const host = hostOf(at, (connection) => ({ ...connection, pid: connection.pid + 1 }))
  await expect(beginSnapshot(host, 1)).rejects.toMatchObject({ code: "job/source", message: expect.stringContaining("pooler") })
})

/** The scene's database, with each connection changed by the test. */
function hostOf(at: Scene, changed: (connection: PostgresConnection) => PostgresConnection): SnapshotHost {
  const route = { host: at.server.socket, port: at.server.port, tls: undefined }
  const target = { route, database: at.name, user: reader, password: undefined, description: "test" }
  return {
    description: "test",
    encoding: "UTF8",
    signal: never,
    connect: async (signal) => changed(await connectPostgres(target, signal)),
    dump: () => {
      throw new Error("not asked for")
    },
  }
}

test("the signal given to open ends a snapshot's readers", async () => {
  const at = await scene(large)
  const stop = new AbortController()
  await using database = await at.open({ signal: stop.signal })
  await using snapshot = await database.snapshot({ readers: 1 })
  const stream = snapshot.rows(waiting, never)[Symbol.asyncIterator]()
  await stream.next()
  stop.abort(new Error("the run was stopped"))
  expect(await drain(stream)).toMatchObject({ message: "the run was stopped" })
})

test("tables are listed with what they hold themselves, their keys, references and columns", async () => {
  const at = await scene(`
    CREATE SCHEMA other;
    CREATE TABLE other.domains (id uuid PRIMARY KEY, name varchar(80) NOT NULL);
    CREATE UNLOGGED TABLE users (a int NOT NULL, b int NOT NULL, domain uuid REFERENCES other.domains, lower text GENERATED ALWAYS AS ('x'::text) STORED,
      n int GENERATED BY DEFAULT AS IDENTITY, UNIQUE (b, a));
    CREATE TABLE maybe (a int UNIQUE, b int NOT NULL); CREATE UNIQUE INDEX ON maybe (b) WHERE b > 0;
    CREATE TABLE deferred (a int NOT NULL UNIQUE DEFERRABLE);
    CREATE TABLE gone (a int, b int); ALTER TABLE gone DROP a;
    CREATE FOREIGN DATA WRAPPER away; CREATE SERVER away FOREIGN DATA WRAPPER away; CREATE FOREIGN TABLE distant (a int) SERVER away;
    CREATE TABLE partly (a int) PARTITION BY LIST (a); CREATE FOREIGN TABLE partly_away PARTITION OF partly DEFAULT SERVER away;
    CREATE VIEW seen AS SELECT 1; CREATE MATERIALIZED VIEW kept AS SELECT 1;
    INSERT INTO gone SELECT generate_series(1, 500); ANALYZE gone;`)
  await inSnapshot(at, async (snapshot) => {
    const tables = await snapshot.tables()
    expect(tables.map(({ schema, name }) => `${schema}.${name}`)).toEqual([
      "other.domains",
      "public.deferred",
      "public.gone",
      "public.maybe",
      "public.partly",
      "public.users",
    ])
    expect(await tableNamed(snapshot, "users")).toMatchObject({
      columns: [
        { name: "a", type: "integer", nullable: false, generated: false },
        { name: "b", type: "integer", nullable: false, generated: false },
        { name: "domain", type: "uuid", nullable: true, generated: false },
        { name: "lower", type: "text", nullable: true, generated: true },
        { name: "n", type: "integer", nullable: false, generated: false },
      ],
      key: ["b", "a"],
      references: [{ columns: ["domain"], schema: "other", table: "domains", toColumns: ["id"] }],
      transactional: true,
    })
    expect(await tableNamed(snapshot, "domains", "other")).toMatchObject({ key: ["id"], columns: [{}, { type: "character varying(80)" }] })
    expect(await tableNamed(snapshot, "maybe")).toMatchObject({ key: [], rowsEstimate: -1 })
    expect(await tableNamed(snapshot, "partly")).toMatchObject({ transactional: false })
    expect(await tableNamed(snapshot, "deferred")).toMatchObject({ key: [] })
    expect(await tableNamed(snapshot, "gone")).toMatchObject({ columns: [{ name: "b" }], rowsEstimate: 500 })
    expect((await tableNamed(snapshot, "gone")).bytesEstimate).toBeGreaterThan(0)
  })
})

test("sequences give their value and whether it was used, also when it was set and not used", async () => {
  const at = await scene(`
    CREATE SEQUENCE fresh START 7; CREATE SEQUENCE used; CREATE SEQUENCE "a set.one" MAXVALUE 9223372036854775807;
    SELECT nextval('used'), nextval('used'); SELECT setval('"a set.one"', 9223372036854775806, false);
    CREATE TABLE identity (id int GENERATED ALWAYS AS IDENTITY); INSERT INTO identity DEFAULT VALUES;`)
  await inSnapshot(at, async (snapshot) => {
    expect(await snapshot.sequences()).toEqual([
      { name: "public.a set.one", value: 9223372036854775806n, called: false },
      { name: "public.fresh", value: 7n, called: false },
      { name: "public.identity_id_seq", value: 1n, called: true },
      { name: "public.used", value: 2n, called: true },
    ])
  })
})

test("about says what the server and the dump program are", async () => {
  const at = await scene("CREATE SCHEMA extra")
  await using database = await at.open()
  expect(database.description).toBe(`postgres ${at.name} at ${at.server.socket}`)
  const version = await at.sql("SELECT split_part(current_setting('server_version'), ' ', 1)")
  expect(await database.about()).toEqual({
    serverVersion: version,
    clientVersion: version,
    encoding: "UTF8",
    extensions: [["plpgsql", "1.0"]],
    largeObjects: 0,
  })
})
