import { copyFile, mkdir, readdir, readFile, rename, stat, writeFile } from "node:fs/promises"
import { describe, expect, it } from "vitest"
import { place } from "./holdline.ts"

const quick = ["--agent", "pbx", "init", "host", "--dir", "q", "--recipients", "x25519"]
const config = ["--config", "q/config/holdline.yaml"]

describe("init host", () => {
  it("leads to a durable run, whose keys the escrow identity opens, with nothing else but a job", async () => {
    await using at = await place()
    const made = await at.run(quick)
    expect(made.exit).toBe(0)
    expect((await stat(at.path("q"))).mode & 0o777).toBe(0o700)
    expect((await stat(at.path("q/agent.key"))).mode & 0o777).toBe(0o600)
    expect((await at.run([...config, "config", "validate"])).exit).toBe(0)
    await mkdir(at.path("etc"))
    await writeFile(at.path("etc/a.xml"), "<a/>")
    const answers = ["switch", "directory", "state", at.path("etc"), "platform", "state-35", "15 * * * *", ""].join("\n")
    const written = await at.run([...config, "init", "job"], { typed: answers })
    expect(written.exit).toBe(0)
    expect(written.stderr).toContain("Where data is read (directory, sqlite, command, database, cdrs, csv) [directory]: ")
    expect(await readFile(at.path("q/jobs/switch.yaml"), "utf8")).toBe(`# What each key means: holdline config explain job.KEY

version: 1
mode: state
source:
  kind: directory
  path: ${at.path("etc")}
  account: platform
class: state-35
sites: [one, two, three]
schedule: 15 * * * *
`)
    expect((await at.run([...config, "run", "switch"])).exit).toBe(0)
    const checked = await at.run([...config, "key", "check", "--identity", "q/keys/escrow.identity"])
    expect(checked).toMatchObject({ exit: 0, stdout: "✓ opened  3 key objects of 2 accounts\n" })
    const agents = await at.run([...config, "key", "list"])
    expect(agents.stdout).toMatch(/^agent {9}pbx {9}SHA256:/m)
    expect(at.said()).not.toMatch(/AGE-SECRET-KEY|PRIVATE KEY/)
  })

  it("works with every identity moved away: runs go on, restores say where an identity belongs, doctor names one that is left", async () => {
    await using at = await place()
    await at.run(quick)
    await mkdir(at.path("etc"))
    await writeFile(at.path("etc/a.xml"), "<a/>")
    const source = { kind: "directory", path: at.path("etc"), account: "platform" }
    const job = { version: 1, mode: "state", source, class: "state-35", sites: ["one", "two", "three"] }
    await writeFile(at.path("q/jobs/switch.yaml"), JSON.stringify(job))
    await rename(at.path("q/keys"), at.path("stick"))
    expect((await at.run([...config, "run", "switch"])).exit).toBe(0)
    expect((await at.run([...config, "doctor"])).exit).toBe(0)

    const refused = await at.run([...config, "restore", "run", "switch", "--to", "out"])
    expect(refused.exit).toBe(4)
    expect(refused.stderr).toContain("no identity was given")
    expect(refused.stderr).toContain("give --identity FILE")
    const brought = await at.run([...config, "restore", "run", "switch", "--to", "out", "--identity", "stick/escrow.identity"])
    expect(brought.exit).toBe(0)
    expect(await readFile(at.path("out/a.xml"), "utf8")).toBe("<a/>")

    await copyFile(at.path("stick/operations.identity"), at.path("q/jobs/forgotten.txt"))
    const found = await at.run([...config, "doctor"])
    expect(found.exit).toBe(6)
    expect(found.stdout).toContain(at.path("q/jobs/forgotten.txt"))
  })

  it("lists exactly the files that no backup host may keep", async () => {
    await using at = await place()
    const { stdout } = await at.run([...quick, "--json"])
    const summary: unknown = JSON.parse(stdout)
    const kept = ["trust.json"]
    const files = (await readdir(at.path("q/keys"))).filter((name) => !kept.includes(name)).map((name) => at.path("q/keys", name))
    expect(summary).toMatchObject({ type: "summary", agent: "pbx", move: expect.arrayContaining(files) })
    expect(files).toHaveLength(6)
  })

  it("takes sites that exist, and refuses before it makes a key", async () => {
    await using at = await place()
    await mkdir(at.path("nas"))
    const site = (text: string) => at.run([...quick, "--site", text])
    expect((await site("nas=relative:own")).stderr).toContain("--site nas=relative:own: expected NAME=PATH:PROVIDER")
    expect((await site(`nas=${at.path("gone")}:own`)).stderr).toContain(`--site nas: ${at.path("gone")} is no directory`)
    expect(await readdir(at.root)).toEqual(["nas"])
    const made = await at.run([...quick, "--site", `nas=${at.path("nas")}:own`])
    expect(made.exit).toBe(0)
    expect(await readFile(at.path("q/config/holdline.yaml"), "utf8")).toContain("durable: {copies: 1, providers: 1}")
  })

  it("overwrites nothing", async () => {
    await using at = await place()
    await at.run(quick)
    const root = await readFile(at.path("q/keys/root.key"))
    const again = await at.run(quick)
    expect(again.exit).toBe(2)
    expect(again.stderr).toContain("is there already, and a quick start overwrites nothing")
    expect(await readFile(at.path("q/keys/root.key"))).toEqual(root)
  })
})

describe("init job", () => {
  it("asks nothing where there is no terminal, and says which flag is missing", async () => {
    await using at = await place()
    await at.run(quick)
    const { exit, stderr } = await at.run([...config, "init", "job", "cdrs", "--source", "sqlite", "--path", "/var/db"])
    expect(exit).toBe(2)
    expect(stderr).toContain("not given, and there is no terminal to ask on")
    expect(stderr).toContain("→ give it with --account")
    expect(await readdir(at.path("q/jobs"))).toEqual([])
  })

  it("writes jobs of databases, call detail records, CSV files and a profile's directories", async () => {
    await using at = await place()
    await at.run(quick)
    const init = (name: string, ...args: readonly string[]) => at.run([...config, "init", "job", name, ...args])
    const database = ["--database", "pbx", "--profile", "fusionpbx"]
    const refused = await init("data", "--source", "database", ...database, "--class", "state-35")
    expect(refused.stderr).toContain("the configuration has no database")
    await mkdir(at.path("q/config/conf.d"))
    const pbx = "databases: {pbx: {kind: postgres, host: /run/postgresql, name: fusionpbx, user: holdline}}\n"
    await writeFile(at.path("q/config/conf.d/databases.yaml"), pbx)

    const whole = await init("data", "--source", "database", ...database, "--capture", "accounts", "whole", "--class", "state-35")
    expect(whole).toMatchObject({ exit: 0 })
    const written = "  kind: database\n  database: pbx\n  profile: fusionpbx\n  capture: [accounts, whole]\n"
    expect(await readFile(at.path("q/jobs/data.yaml"), "utf8")).toContain(written)
    expect(await init("cdrs", "--source", "cdrs", ...database, "--class", "recordings-90")).toMatchObject({ exit: 0 })
    expect(await readFile(at.path("q/jobs/cdrs.yaml"), "utf8")).toContain("mode: archive\nsource:\n  kind: cdrs\n")
    const files = ["--profile", "freepbx", "--class", "recordings-90"]
    expect(await init("csv", "--source", "csv", "--files", "cdr-csv", ...files)).toMatchObject({ exit: 0 })
    const recordings = ["--source", "directory", "--mode", "archive", "--files", "recordings", "--account", "maple", ...files]
    expect(await init("recordings", ...recordings)).toMatchObject({ exit: 0 })
    expect((await at.run([...config, "config", "validate"])).exit).toBe(0)
    const wrong = await init("typo", "--source", "csv", "--files", "cdr-scv", ...files)
    expect(wrong.stderr).toContain('did you mean "cdr-csv"?')
  })

  it("writes no job that is wrong, and overwrites none", async () => {
    await using at = await place()
    await at.run(quick)
    const recordings = [
      "init",
      "job",
      "recordings",
      "--source",
      "directory",
      "--mode",
      "archive",
      "--path",
      "/var/rec",
      "--class",
      "recordings-90",
    ]
    const wrong = await at.run([...config, ...recordings, "--template", "{account}/{name}"])
    expect(wrong.exit).toBe(2)
    expect(wrong.stderr).toContain("expected a template with {account} and a date")
    expect(await readdir(at.path("q/jobs"))).toEqual([])
    const right = [...config, ...recordings, "--template", "{account}/{yyyy}/{MM}/{dd}/{name}", "--rpo", "6h", "--rto", "72h"]
    expect((await at.run(right)).exit).toBe(0)
    const text = await readFile(at.path("q/jobs/recordings.yaml"), "utf8")
    expect(text).toContain('template: "{account}/{yyyy}/{MM}/{dd}/{name}"')
    const again = await at.run([...right, "--settle", "10m"])
    expect(again.exit).toBe(2)
    expect(again.stderr).toContain("there is such a job already, and no file is overwritten")
    expect(await readFile(at.path("q/jobs/recordings.yaml"), "utf8")).toBe(text)
  })
})
