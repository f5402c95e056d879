import { mkdir, readdir, utimes, writeFile } from "node:fs/promises"
import { dirname } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { type PostgresServer, requirePostgres, startPostgres } from "../database/servers.ts"
import { type Place, place } from "../setup/holdline.ts"

const config = ["--config", "q/config/holdline.yaml"]
const identity = ["--identity", "q/keys/operations.identity"]
const acme = "6f1dbb1c-58d1-4b2f-9d3e-0c2f6b4d1a11"
const birch = "6f1dbb1c-58d1-4b2f-9d3e-0c2f6b4d1a22"

const schema = `
  CREATE TABLE v_domains (domain_uuid uuid PRIMARY KEY, domain_name text);
  CREATE TABLE v_xml_cdr (xml_cdr_uuid uuid PRIMARY KEY, domain_uuid uuid, start_stamp timestamptz, end_stamp timestamptz,
    caller_id_name text, caller_id_number text, destination_number text, duration int, record_path text, record_name text,
    insert_date timestamptz, update_date timestamptz);
  INSERT INTO v_domains VALUES ('${acme}', 'acme.example'), ('${birch}', 'birch.example');`

function call(n: number, domain: string, at: string, numbers: readonly [from: string, to: string], name: string | null = null): string {
  const uuid = `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`
  const path = name === null ? "NULL" : "'/var/lib/freeswitch/recordings/acme.example/archive/2026/Nov/20'"
  const recording = name === null ? "NULL" : `'${name}'`
  return `INSERT INTO v_xml_cdr VALUES ('${uuid}', '${domain}', '${at}+00', '${at}+00', 'Ada', '${numbers[0]}', '${numbers[1]}', 61,
    ${path}, ${recording}, '${at}+00', NULL);`
}

const lacking = requirePostgres()
describe.skipIf(lacking !== null)(`a trace request${lacking === null ? "" : `: ${lacking}`}`, () => {
  let server: PostgresServer
  let at: Place
  beforeAll(async () => {
    server = await startPostgres()
    await server.createDatabase("fusionpbx")
    await server.sql(
      [
        schema,
        call(1, acme, "2026-11-20 14:05:00", ["+4930123456", "1001"], "one.mp3"),
        call(2, acme, "2026-11-20 23:59:30", ["1001", "004930123456"], "two.mp3"),
        call(3, birch, "2026-11-19 09:00:00", ["030 123456", "1002"]),
        call(4, birch, "2026-11-20 09:00:00", ["+4930999999", "1002"]),
      ].join("\n"),
      "fusionpbx",
    )
    at = await place()
    expect((await at.run(["--agent", "pbx", "init", "host", "--dir", "q", "--recipients", "x25519"])).exit).toBe(0)
    const { kind, host, port, name } = server.settings("fusionpbx")
    await put("q/config/conf.d/databases.yaml", { databases: { fusionpbx: { kind, host, port, name, user: "postgres" } } })
    await record("acme.example/archive/2026/Nov/20/one.mp3")
    const template = "{account}/archive/{yyyy}/{Mon}/{dd}/{name}"
    await job("cdrs", { kind: "cdrs", database: "fusionpbx", profile: "fusionpbx" })
    await job("account-data", { kind: "database", database: "fusionpbx", profile: "fusionpbx" }, "state")
    await job("recordings", { kind: "directory", path: at.path("rec"), template, settle: "0s" })
    const ran = await at.run([...config, "run", "account-data", "cdrs", "recordings"], { env: server.environment })
    expect(ran).toMatchObject({ exit: 0 })
  }, 120_000)
  afterAll(async () => {
    await at[Symbol.asyncDispose]()
    await server.stop()
  })

  async function put(path: string, value: unknown): Promise<void> {
    await mkdir(dirname(at.path(path)), { recursive: true })
    await writeFile(at.path(path), typeof value === "string" ? value : JSON.stringify(value))
  }

  async function record(path: string): Promise<void> {
    await put(`rec/${path}`, "sound")
    const then = new Date("2026-11-20T14:07:00Z")
    await utimes(at.path("rec", path), then, then)
  }

  async function job(name: string, source: object, mode: "archive" | "state" = "archive"): Promise<void> {
    const kept = mode === "state" ? "state-35" : "cdrs-400"
    await put(`q/jobs/${name}.yaml`, { version: 1, mode, source, class: kept, sites: ["one", "two", "three"] })
  }

  async function find(...argv: readonly string[]) {
    const ended = await at.run([...config, "--json", "find", ...argv, ...identity])
    const lines = ended.stdout
      .trim()
      .split("\n")
      .map((line): unknown => JSON.parse(line))
    return { ...ended, lines, summary: lines.at(-1) }
  }

  test("is answered by number, with the recordings and where both are, and leaves nothing behind", async () => {
    const { exit, lines, summary, stderr } = await find("--number", "+49 30 123456")
    expect(exit).toBe(0)
    expect(lines.filter((line) => JSON.stringify(line).startsWith(`{"type":"call"`))).toHaveLength(3)
    expect(lines).toContainEqual(
      expect.objectContaining({
        ...{ type: "call", stableId: acme, from: "+4930123456", to: "1001", time: "2026-11-20T14:05:00.000Z", seconds: 61 },
        recordings: [
          expect.objectContaining({
            state: "kept",
            dataset: "recordings",
            kept: expect.objectContaining({ sites: ["one", "two", "three"], path: "acme.example/archive/2026/Nov/20/one.mp3" }),
          }),
        ],
      }),
    )
    expect(lines).toContainEqual(
      expect.objectContaining({ to: "004930123456", recordings: [expect.objectContaining({ state: "not-kept" })] }),
    )
    expect(lines).toContainEqual(expect.objectContaining({ stableId: birch, from: "030 123456" }))
    expect(summary).toMatchObject({ type: "summary", command: "find", exit: 0, calls: 3, recordings: { kept: 1, others: 1 } })
    expect(stderr).not.toMatch(/123456|acme|birch|6f1dbb1c/)
    expect((await readdir(at.path("q/state"))).filter((name) => name.startsWith("reading-"))).toEqual([])
  })

  test("is narrowed by account and by the minute, in the zone that --timezone names", async () => {
    const hour = ["--since", "2026-11-20T15:00", "--until", "2026-11-20T15:10", "--timezone", "Europe/Berlin"]
    const narrow = await find("--calls", "--account", acme, ...hour)
    expect(narrow.summary).toMatchObject({ calls: 1 })
    expect((await find("--calls", "--account", birch, ...hour)).exit).toBe(5)
    const day = await find("--number", "030123456", "--since", "2026-11-19", "--until", "2026-11-19")
    expect(day.summary).toMatchObject({ calls: 1 })
  })

  test("is a table for people, on standard output only", async () => {
    const { exit, stdout, stderr } = await at.run([...config, "find", "--number", "030123456", ...identity])
    expect(exit).toBe(0)
    expect(stdout).toMatch(/TIME +ACCOUNT +FROM +TO +DURATION +TABLE +SNAPSHOT +KEPT AT/)
    expect(stdout).toMatch(/2026-11-20 14:05:00Z +6f1dbb1c\S+ +\+4930123456 +1001 +1m 01s +public\.v_xml_cdr +\w{12} +one, two, three/)
    expect(stdout).toMatch(/recording kept: recordings \w{12} acme\.example\/archive\/2026\/Nov\/20\/one\.mp3 at one, two, three, 5 B/)
    expect(stdout).toContain("looked at public.v_xml_cdr: caller_id_number, destination_number")
    expect(stderr).not.toMatch(/123456|acme/)
  })

  test("says so where nothing is found, where no identity is given and where it cannot be followed", async () => {
    expect((await find("--number", "5550100")).exit).toBe(5)
    expect((await at.run([...config, "find", "--number", "5550100"])).exit).toBe(4)
    const wrong = await at.run([...config, "find", "--number", "Ada Lovelace", ...identity])
    expect(wrong).toMatchObject({ exit: 2 })
    expect(wrong.stderr).not.toContain("Ada")
    expect((await at.run([...config, "find", "**/*.mp3", "--number", "5550100", ...identity])).exit).toBe(2)
    expect((await at.run([...config, "find", ...identity])).exit).toBe(2)
  })

  test("files are found as before", async () => {
    const { exit, summary } = await find("**/*.mp3")
    expect(exit).toBe(0)
    expect(summary).toMatchObject({ command: "find", items: 1 })
  })
})
