import { once } from "node:events"
import { createServer, type Socket } from "node:net"
import { inspect } from "node:util"
import { beforeAll, describe, expect, test } from "vitest"
import type { Database } from "../../src/database/database.ts"
import { openDatabase } from "../../src/database/open.ts"
import { checkPostgres } from "../../src/database/postgres/check.ts"
import { postgresGrants } from "../../src/database/postgres/grants.ts"
import { type DatabaseSettings, postgresSettings } from "../../src/database/settings.ts"
import { BackupError } from "../../src/errors.ts"
import { Secret } from "../../src/secret.ts"
import { never, postgresScenes, query, read, reader, rowsOf, type Scene } from "./postgres.ts"
import { certifiedName, freePort } from "./process.ts"
import { requirePostgres } from "./servers.ts"

const scene = postgresScenes({ tls: true })
const password = new Secret("correct horse: battery\\staple")

describe("over TCP", () => {
  let at: Scene
  beforeAll(async () => {
    if (requirePostgres() !== null) return
    at = await scene("CREATE TABLE one (n int); INSERT INTO one VALUES (1)")
    await at.sql(`ALTER ROLE "${reader}" PASSWORD '${password.reveal()}'`)
  })

  function open(settings: object, given: Secret = password, signal: AbortSignal = never): Promise<Database> {
    const parsed: DatabaseSettings = postgresSettings.parse({
      kind: "postgres",
      host: "127.0.0.1",
      port: at.server.port,
      name: at.name,
      user: reader,
      ...settings,
    })
    return openDatabase(parsed, at.access({ password: given, signal }))
  }

  test("a server whose certificate the given authority signed is read, by our client and by pg_dump", async () => {
    const ca = at.server.tls?.ca
    for (const tls of [{ ca }, { ca, serverName: certifiedName }]) {
      await using database = await open({ tls })
      await using snapshot = await database.snapshot({ readers: 1 })
      expect(await read(snapshot.rows(query("one", ["n"]), never))).toBe("1\n")
      expect((await read(snapshot.whole(never))).slice(0, 5)).toBe("PGDMP")
      const encrypted = `SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'holdline' AND NOT ssl`
      expect(await at.sql(encrypted)).toBe("0")
    }
  })

  test("a certificate of an unknown authority, or of another name, is refused with what to do", async () => {
    await expect(open({})).rejects.toMatchObject({ code: "job/source", hint: expect.stringContaining("tls.ca") })
    const tls = { ca: at.server.tls?.ca, serverName: "other.holdline.test" }
    await expect(open({ tls })).rejects.toMatchObject({ code: "job/source", hint: expect.stringContaining("tls.serverName") })
    await expect(open({ tls: { ...tls, serverName: "127.0.0.2" } })).rejects.toMatchObject({
      hint: expect.stringContaining("tls.serverName"),
    })
    await expect(open({ tls: { ca: "/nonexistent/ca.pem" } })).rejects.toThrow(/tls\.ca .nonexistent/)
  })

  test("an abandoned stream over TLS ends its query too", async () => {
    await at.sql("CREATE TABLE IF NOT EXISTS large (f text); INSERT INTO large SELECT repeat('x', 100000) FROM generate_series(1, 300)")
    await using database = await open({ tls: { ca: at.server.tls?.ca } })
    await using snapshot = await database.snapshot({ readers: 1 })
    for await (const _ of snapshot.rows(query("large", ["f"]), never)) break
    await expect.poll(() => at.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%'")).toBe("0")
    expect(await read(snapshot.rows(query("one", ["n"]), never))).toBe("1\n")
  })

  test("a server without TLS is refused, and one that never answers is left when the signal says so", async () => {
    await using plain = await pretendedServer((socket) => void socket.once("data", () => socket.write("N")))
    await expect(open({ port: plain.port })).rejects.toMatchObject({ code: "job/source", hint: expect.stringContaining("ssl = on") })
    const stop = new AbortController()
    await using silent = await pretendedServer(() => stop.abort(new Error("the run was stopped")))
    await expect(open({ port: silent.port }, password, stop.signal)).rejects.toThrow("the run was stopped")
    await expect(open({}, password, stop.signal)).rejects.toThrow("the run was stopped")
  })

  test("TLS can be switched off to this machine and to no other", async () => {
    await using database = await open({ tls: { off: "loopback" } })
    expect((await database.about()).encoding).toBe("UTF8")
    await expect(open({ host: "192.0.2.1", tls: { off: "loopback" } })).rejects.toThrow("192.0.2.1 is 192.0.2.1, which is not this machine")
  })

  test("a wrong password is refused, and stands in nothing that could be printed", async () => {
    const wrong = new Secret("hunter2-hunter2")
    const failure: unknown = await open({ tls: { off: "loopback" } }, wrong).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(BackupError)
    expect(failure).toMatchObject({ code: "job/source", message: expect.stringContaining("password authentication failed") })
    expect(inspect(failure, { depth: 20, showHidden: true })).not.toContain(wrong.reveal())
  })

  test("a server that does not answer as one, and a database that is not there, say what to check", async () => {
    await expect(open({ port: 1, tls: { off: "loopback" } })).rejects.toMatchObject({
      code: "job/source",
      hint: expect.stringContaining("`host` and `port`"),
    })
    await expect(open({ host: "/nonexistent" })).rejects.toMatchObject({ code: "job/source" })
    await expect(open({ name: "absent", tls: { off: "loopback" } })).rejects.toMatchObject({ hint: expect.stringContaining("`name`") })
  })
})

async function pretendedServer(serve: (socket: Socket) => void): Promise<AsyncDisposable & { readonly port: number }> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket.on("error", () => undefined))
    serve(socket)
  })
  server.listen(await freePort(), "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("no port")
  return {
    port: address.port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, "close")
    },
  }
}

const secured = `
  CREATE TABLE hidden (domain text, n int); INSERT INTO hidden VALUES ('a', 1), ('b', 2);
  ALTER TABLE hidden ENABLE ROW LEVEL SECURITY; CREATE POLICY half ON hidden USING (domain = 'a');`

test("a table with row security is refused, not read in part, until the role may see all of it", async () => {
  const at = await scene(secured)
  await expect(rowsOf(at, query("hidden", ["n"]))).rejects.toMatchObject({ code: "job/source", hint: expect.stringContaining("BYPASSRLS") })
  await at.sql(`ALTER ROLE "${reader}" BYPASSRLS`)
  expect(await rowsOf(at, query("hidden", ["n"]))).toBe("1\n2\n")
  await at.sql(`ALTER ROLE "${reader}" NOBYPASSRLS`)
})

describe("the check", () => {
  test("a role made by the grants lacks nothing and has nothing beyond", async () => {
    const at = await scene("CREATE SCHEMA other; CREATE TABLE other.t (id serial)")
    const { findings, grants } = await checkPostgres({ ...at.server.settings(at.name, reader) }, at.access(), "database")
    expect(findings).toEqual([])
    expect(grants.join("\n")).toContain(`GRANT pg_read_all_data TO "${reader}";`)
  })

  test("what a role lacks is named with the statement that gives it, and running these leaves nothing to name", async () => {
    const at = await scene(`${secured} CREATE SCHEMA other; CREATE TABLE other.t (id serial); CREATE ROLE bare LOGIN`)
    const settings = at.server.settings(at.name, "bare")
    const { findings } = await checkPostgres(settings, at.access(), "database")
    expect(findings.map(({ finding }) => finding)).toEqual([
      "schema other cannot be looked into",
      "table other.t cannot be read",
      "sequence other.t_id_seq cannot be read",
      "table public.hidden cannot be read",
      "table public.hidden has row security, which would hide rows from the role",
    ])
    await at.sql(findings.map(({ remedy }) => remedy ?? "").join("\n"))
    expect((await checkPostgres(settings, at.access(), "database")).findings).toEqual([])
  })

  test("a superuser, a role that may write, and large objects are told", async () => {
    const at = await scene(
      "CREATE TABLE t (a int); SELECT lo_create(0); CREATE ROLE writer LOGIN; GRANT pg_read_all_data TO writer; GRANT INSERT ON t TO writer",
    )
    const found = async (user: string): Promise<string[]> =>
      (await checkPostgres(at.server.settings(at.name, user), at.access(), "database")).findings.map(
        ({ kind, finding }) => `${kind}: ${finding}`,
      )
    const objects = "note: the database has 1 large objects: only a whole dump holds them, and each must be granted to the role"
    expect(await found("postgres")).toEqual([expect.stringContaining('excess: role "postgres" is a superuser'), objects])
    expect(await found("writer")).toEqual([expect.stringContaining('excess: role "writer" may change rows'), objects])
  })
})

test("a table the role may not read, or not reach in its schema, hinders nothing but itself", async () => {
  const at = await scene(
    "CREATE SCHEMA shut; CREATE TABLE shut.t (n int); CREATE TABLE open (n int); CREATE TABLE closed (n int); CREATE ROLE partial LOGIN",
  )
  await at.sql("GRANT SELECT ON open, shut.t TO partial")
  await using database = await openDatabase(at.server.settings(at.name, "partial"), at.access())
  await using snapshot = await database.snapshot({ readers: 1 })
  expect((await snapshot.tables()).map(({ schema, name }) => `${schema}.${name}`)).toEqual(["public.closed", "public.open", "shut.t"])
  const denied = { code: "job/source", message: expect.stringContaining("permission denied") }
  await expect(read(snapshot.rows(query("closed", ["n"]), never))).rejects.toMatchObject(denied)
  await expect(read(snapshot.rows({ ...query("t", ["n"]), table: { schema: "shut", name: "t" } }, never))).rejects.toMatchObject(denied)
  expect(await read(snapshot.rows(query("open", ["n"]), never))).toBe("")
})

test("grants for some tables, and those for servers before 14, let the role read exactly these", async () => {
  const at = await scene(
    "CREATE SCHEMA calls; CREATE TABLE calls.cdr (n int); INSERT INTO calls.cdr VALUES (1); CREATE TABLE calls.private (n int)",
  )
  const reads = [{ schema: "calls", name: "cdr" }]
  const wanted = { database: at.name, user: "cdr only", major: 15, schemas: ["calls", "public"], rowSecurity: false }
  await at.sql(postgresGrants({ ...wanted, reads }).join("\n"))
  await using database = await openDatabase(at.server.settings(at.name, "cdr only"), at.access())
  await using snapshot = await database.snapshot({ readers: 1 })
  expect(await read(snapshot.rows({ table: { schema: "calls", name: "cdr" }, lead: [], columns: ["n"] }, never))).toBe("1\n")
  await expect(read(snapshot.rows({ table: { schema: "calls", name: "private" }, lead: [], columns: ["n"] }, never))).rejects.toMatchObject(
    {
      message: expect.stringContaining("permission denied for table private"),
      hint: expect.stringContaining("holdline source check"),
    },
  )
  const older = { ...wanted, user: "older", major: 13, reads: "database" } as const
  await at.sql(postgresGrants(older).join("\n"))
  await at.sql("CREATE TABLE calls.tomorrow (id serial)")
  expect((await checkPostgres(at.server.settings(at.name, "older"), at.access(), "database")).findings).toEqual([])
})
