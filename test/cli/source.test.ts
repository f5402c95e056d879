import { chmod, mkdir, rm, writeFile } from "node:fs/promises"
import { dirname } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { systemClock, systemSleep } from "../../src/clock.ts"
import { systemRandom } from "../../src/random.ts"
import { loadConfig } from "../../src/wiring/config.ts"
import { uncoveredBeside } from "../../src/wiring/coverage.ts"
import type { Io } from "../../src/wiring/io.ts"
import { loadJob } from "../../src/wiring/jobs.ts"
import {
  type MariadbServer,
  type PostgresServer,
  requireMariadb,
  requirePostgres,
  startMariadb,
  startPostgres,
} from "../database/servers.ts"
import { type Place, place } from "../setup/holdline.ts"

const config = ["--config", "q/config/holdline.yaml"]

/** A quick start whose configuration knows these databases, with these jobs. */
async function host(databases: Readonly<Record<string, object>>, jobs: Readonly<Record<string, object>>, env: Env = {}): Promise<Host> {
  const at = await place()
  const run = (...argv: string[]) => at.run([...config, ...argv], { env })
  expect((await at.run(["--agent", "pbx", "init", "host", "--dir", "q", "--recipients", "x25519"])).exit).toBe(0)
  await put(at, "q/config/conf.d/databases.yaml", JSON.stringify({ databases }))
  for (const [name, { mode = "state", ...source }] of Object.entries<{ mode?: string }>(jobs)) {
    const job = { version: 1, mode, source, class: mode === "state" ? "state-35" : "cdrs-400", sites: ["one", "two", "three"] }
    await put(at, `q/jobs/${name}.yaml`, JSON.stringify(job))
  }
  return { at, run, [Symbol.asyncDispose]: () => at[Symbol.asyncDispose]() }
}

type Env = Readonly<Record<string, string>>

interface Host extends AsyncDisposable {
  readonly at: Place
  run(...argv: string[]): ReturnType<Place["run"]>
}

async function put(at: Place, path: string, text: string): Promise<void> {
  await mkdir(dirname(at.path(path)), { recursive: true })
  await writeFile(at.path(path), text)
}

const profile = `version: 1
platform: tiny
description: A platform for tests
databases:
  tiny:
    accounts: {table: tenants, id: tenant_id, name: tenant_name, columns: [tenant_id]}
    cdrs:
      calls:
        account: tenant_id
        day: {column: started, stored: instant}
    tables:
      tenants: {account: tenant_id}
      extensions: {account: tenant_id}
`

const postgresTables = `
  CREATE TABLE tenants (tenant_id uuid PRIMARY KEY, tenant_name text);
  CREATE TABLE extensions (id int PRIMARY KEY, tenant_id uuid REFERENCES tenants, password text);
  CREATE TABLE calls (id int PRIMARY KEY, tenant_id uuid, started timestamptz, caller_id_number text);`

function quietIo(env: Env): Io {
  return { env, clock: systemClock, random: systemRandom, sleep: systemSleep, signal: new AbortController().signal, tell: () => undefined }
}

const lackingPostgres = requirePostgres()
describe.skipIf(lackingPostgres !== null)(`a source in Postgres${lackingPostgres === null ? "" : `: ${lackingPostgres}`}`, () => {
  let server: PostgresServer
  beforeAll(async () => {
    server = await startPostgres()
    await server.createDatabase("tiny")
    await server.createDatabase("other")
    await server.sql(postgresTables, "tiny")
  }, 60_000)
  afterAll(() => server.stop())

  const jobs = (at: Place) => ({
    "account-data": { kind: "database", database: "pbx", like: "tiny", profile: at.path("tiny.yaml") },
    cdrs: { mode: "archive", kind: "cdrs", database: "pbx", like: "tiny", profile: at.path("tiny.yaml") },
  })

  async function tiny(user: string): Promise<Host> {
    const first = await place()
    await put(first, "tiny.yaml", profile)
    const { kind, host: at, port, name } = server.settings("tiny", user)
    const made = await host({ pbx: { kind, host: at, port, name, user } }, jobs(first), server.environment)
    return {
      ...made,
      [Symbol.asyncDispose]: async () => void (await Promise.all([made, first].map((each) => each[Symbol.asyncDispose]()))),
    }
  }

  test("the SQL it prints makes a role that lacks nothing, and a role that lacks something is told what", async () => {
    await using its = await tiny("holdline")
    const before = await its.run("source", "check", "account-data")
    expect(before.exit).toBe(6)
    expect(before.stdout).toContain("CREATE ROLE")
    const printed = before.stdout.split("\n").filter((line) => /^ {2}(?:CREATE|ALTER|GRANT) /.test(line))
    expect(printed.length).toBeGreaterThan(2)
    await server.sql(printed.join("\n"), "tiny")
    const after = await its.run("source", "check", "account-data")
    expect(after.stdout).toMatch(/ok +connection +postgres tiny at .*, over a socket of this machine/)
    expect(after.stdout).toMatch(/ok +role +the role may read all that is needed/)
    expect(after.stdout).toMatch(/ok +tenancy +2 tables, 2 of them by account, 1 of call detail records/)
    expect(after.stdout).toMatch(/ok +programs +server 15\.\d+, client programs 15\.\d+/)
    expect(after.stdout).not.toContain("CREATE ROLE")
    expect(after.exit).toBe(0)

    await server.sql(
      "REVOKE pg_read_all_data FROM holdline; GRANT USAGE ON SCHEMA public TO holdline; GRANT SELECT ON tenants, calls TO holdline",
      "tiny",
    )
    const less = await its.run("source", "check", "account-data")
    expect(less.exit).toBe(6)
    expect(less.stdout).toContain("table public.extensions cannot be read")
    expect(less.stdout).toContain('GRANT SELECT ON TABLE "public"."extensions" TO "holdline";')
    const calls = await its.run("source", "check", "cdrs")
    expect(calls.stdout).toMatch(/ok +call records +public\.calls: by id, day of started/)
    expect(calls.stdout).not.toContain("GRANT")
    expect(calls.stdout).not.toContain("extensions")
    expect(calls.exit).toBe(0)
    expect((await its.run("--json", "source", "check", "cdrs")).stdout).toContain('GRANT SELECT ON TABLE \\"public\\".\\"calls\\" TO')
  }, 60_000)

  test("a table in no line of the map is a finding with the line to add, in text and as data", async () => {
    await using its = await tiny("postgres")
    await server.sql("CREATE TABLE voicemails (id int PRIMARY KEY, tenant_id uuid)", "tiny")
    try {
      const text = await its.run("source", "check", "account-data")
      expect(text.exit).toBe(6)
      expect(text.stdout).toContain("to add to the tenancy map, under `tables`:\n  public.voicemails: {account: tenant_id}")
      expect(text.stdout).toContain("is a superuser")
      const json = await its.run("--json", "source", "check", "account-data")
      const [checked, summary] = json.stdout
        .trim()
        .split("\n")
        .map((line): unknown => JSON.parse(line))
      expect(checked).toMatchObject({ type: "source", job: "account-data", lines: ["public.voicemails: {account: tenant_id}"] })
      expect(summary).toMatchObject({ type: "summary", command: "source check", exit: 6 })

      const doctor = await its.run("doctor")
      expect(doctor.exit).toBe(6)
      expect(doctor.stdout).toMatch(/finding +coverage +table public\.voicemails of pbx is in no line of the tenancy map/)
      expect(doctor.stdout).toMatch(/note +coverage +database other, postgres at .* is captured by no job/)
    } finally {
      await server.sql("DROP TABLE voicemails", "tiny")
    }
  }, 60_000)

  test("a run's report says what is beside what its job reads and nobody captures, and nothing where that cannot be asked", async () => {
    await using its = await tiny("postgres")
    const beside = async (name: string): Promise<readonly string[]> => {
      const loaded = await loadConfig({ env: {}, cwd: its.at.root, flags: { config: its.at.path("q/config/holdline.yaml") } })
      return await uncoveredBeside(loadJob(loaded, name), loaded, quietIo(server.environment), its.at.root)
    }
    const other = expect.stringMatching(/^database other, postgres at .* is captured by no job$/)
    expect(await beside("account-data")).toEqual([other])
    expect(await beside("cdrs")).toEqual([other])
    // A second entry for the same database, as a restore has it, with another role: it is captured all the same.
    const { tls: _, ...entry } = server.settings("tiny")
    await put(its.at, "q/config/conf.d/more.yaml", JSON.stringify({ databases: { restored: entry } }))
    expect(await beside("account-data")).toEqual([other])
    await rm(its.at.path("q/config/conf.d/more.yaml"))
    await put(its.at, "q/jobs/cdrs.yaml", "version: 1\n")
    expect(await beside("account-data")).toEqual(["table public.calls of pbx holds call detail records, which no job captures", other])
    const nowhere = { pbx: { ...server.settings("tiny"), tls: undefined, host: "/nowhere" } }
    await put(its.at, "q/config/conf.d/databases.yaml", JSON.stringify({ databases: nowhere }))
    expect(await beside("account-data")).toEqual([])
  }, 60_000)

  test("calls that no job captures are a finding of doctor", async () => {
    await using its = await tiny("postgres")
    const both = await its.run("doctor")
    expect(both.stdout).not.toContain("call detail records, which no job captures")
    await writeFile(its.at.path("q/jobs/cdrs.yaml"), "version: 1\n")
    const without = await its.run("doctor")
    expect(without.stdout).toMatch(/finding +coverage +table public\.calls of pbx holds call detail records, which no job captures/)
  }, 60_000)
})

const lackingMariadb = requireMariadb()
describe.skipIf(lackingMariadb !== null)(`a source in MariaDB${lackingMariadb === null ? "" : `: ${lackingMariadb}`}`, () => {
  let server: MariadbServer
  beforeAll(async () => {
    server = await startMariadb()
    await server.createDatabase("tiny")
    await server.sql("CREATE TABLE cdr (calldate datetime, src varchar(80)) ENGINE=MyISAM", "tiny")
  }, 60_000)
  afterAll(() => server.stop())

  test("the SQL it prints makes a role that lacks nothing but what is optional; tables that no snapshot covers are noted", async () => {
    const { kind, host: socket, name } = server.settings("tiny")
    const source = { kind: "database", database: "pbx", like: "asterisk", profile: "freepbx" }
    await using its = await host({ pbx: { kind, host: socket, name, user: "holdline" } }, { config: source }, server.environment)
    const before = await its.run("source", "check")
    expect(before.exit).toBe(6)
    const printed = before.stdout.split("\n").filter((line) => /^ {2}(?:CREATE|GRANT) /.test(line) && !line.includes("RELOAD"))
    await server.sql(printed.join("\n").replace("<password>", ""))
    const after = await its.run("source", "check")
    expect(after.stdout).toMatch(/ok +role +the role may read all that is needed/)
    expect(after.stdout).toMatch(/note +role +RELOAD is not granted/)
    expect(after.stdout).toMatch(/note +tenancy +no snapshot covers cdr/)
    expect(after.stdout).toMatch(/note +tenancy +nothing tells whose the rows are: all are kept under `mixed`\n.*`single`/)
    expect(after.exit).toBe(0)
  }, 60_000)
})

describe("a source of files", () => {
  const template = "{account}/archive/{yyyy}/{Mon}/{dd}/{name}"

  async function recordings(files: readonly string[]): Promise<Host> {
    const at = await place()
    for (const file of files) await put(at, `rec/${file}`, "sound")
    await mkdir(at.path("rec"), { recursive: true })
    const made = await host({}, { recordings: { mode: "archive", kind: "directory", path: at.path("rec"), template, settle: "0s" } })
    return {
      ...made,
      at,
      [Symbol.asyncDispose]: async () => void (await Promise.all([made, at].map((each) => each[Symbol.asyncDispose]()))),
    }
  }

  test("is right where all can be read and fit the template", async () => {
    await using its = await recordings(["acme/archive/2026/Nov/20/a.mp3", "birch/archive/2026/Nov/20/b.mp3"])
    const { exit, stdout } = await its.run("source", "check")
    expect(stdout).toMatch(/ok +files +2 files readable, of 2 accounts/)
    expect(exit).toBe(0)
  })

  test("names what does not fit, and a directory that is not there", async () => {
    await using its = await recordings(["acme/archive/2026/Nov/20/a.mp3", "acme/greeting.mp3"])
    const { exit, stdout } = await its.run("source", "check", "recordings")
    expect(exit).toBe(6)
    expect(stdout).toContain("1 of 2 files do not fit the template, such as acme/greeting.mp3")
    await using gone = await recordings([])
    expect((await gone.run("source", "check")).stdout).toContain("nothing is there to capture")
  })

  test("names what cannot be read", async (context) => {
    if (process.getuid?.() === 0) context.skip("root may read everything")
    await using its = await recordings(["acme/archive/2026/Nov/20/a.mp3"])
    await chmod(its.at.path("rec/acme/archive/2026/Nov/20/a.mp3"), 0)
    expect((await its.run("source", "check")).stdout).toContain("1 file cannot be read, such as acme/archive/2026/Nov/20/a.mp3 (EACCES)")
  })

  test("a directory and files of call records that the profile knows, and no job captures, are notes of doctor", async () => {
    await using at = await place()
    await put(at, "rec/acme/archive/2026/Nov/20/a.mp3", "sound")
    await put(at, "log/Master.csv", "x")
    await put(at, "log/other.txt", "x")
    const places = `files:
  recordings: {mode: archive, path: ${at.path("rec")}, template: "${template}"}
  prompts: {mode: state, path: ${at.path("rec")}, account: mixed}
  faxes: {mode: state, path: ${at.path("nothing")}, account: mixed}
csv:
  cdr-csv: {path: ${at.path("log")}, files: ["*.csv"], columns: [when], day: {column: when, stored: local}}
`
    await put(at, "tiny.yaml", profile + places)
    const source = { mode: "archive", kind: "directory", profile: at.path("tiny.yaml"), files: "recordings" }
    await using its = await host({}, { recordings: source })
    const { stdout } = await its.run("doctor")
    const coverage = stdout.split("\n").filter((line) => line.includes(" coverage "))
    expect(coverage).toEqual([
      expect.stringMatching(/note .* directory \S+\/rec is known to tiny as prompts, and no job captures it/),
      expect.stringMatching(/finding .* files of call records in \S+\/log is known to tiny as cdr-csv/),
    ])
  })

  test("a job that does not exist is not found", async () => {
    await using its = await recordings([])
    expect((await its.run("source", "check", "recording")).exit).toBe(5)
  })
})
