import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { stripVTControlCharacters } from "node:util"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { holdline } from "./terminal.ts"

// Everything here runs against one host that has been set up as the quick start says.
let root = ""
const launcher = join(import.meta.dirname, "../../bin/holdline")

beforeAll(async () => {
  root = join(await mkdtemp(join(tmpdir(), "cli-")), "try")
  const { exit, err } = await holdline(["--agent", "pbx-1", "init", "host", "--dir", root, "--recipients", "x25519"], { cwd: "/" })
  expect(exit, err).toBe(0)
  await job("hello", ["/bin/echo", "hello"])
  await job("slow", ["/bin/sleep", "60"])
  await job("broken", ["/bin/false"])
  await job("grown", ["/bin/sh", "-c", "head -c 1000000 /dev/urandom"])
})

afterAll(() => rm(join(root, ".."), { recursive: true, force: true }))

async function job(name: string, command: readonly string[]): Promise<void> {
  const source = `{kind: command, command: ${JSON.stringify(command)}, account: platform, name: out.txt}`
  await writeFile(join(root, "jobs", `${name}.yaml`), `version: 1\nmode: state\nsource: ${source}\nclass: state-35\nsites: [one, two]\n`)
}

function start(args: readonly string[]) {
  const child = spawn(process.execPath, [launcher, ...args], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env.PATH },
  })
  const text = { out: "", err: "" }
  child.stdout.on("data", (chunk: Buffer) => {
    text.out += chunk.toString()
  })
  child.stderr.on("data", (chunk: Buffer) => {
    text.err += chunk.toString()
  })
  const said = async (what: string): Promise<void> => {
    while (!text.err.includes(what)) await once(child.stderr, "data")
  }
  return { child, text, said, ended: once(child, "close").then(([code]: unknown[]) => code) }
}

describe("a run that is asked to end", () => {
  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("by %s ends with %i, says so and what to do, and leaves a report", async (signal, code) => {
    const { child, text, said, ended } = start(["run", "slow"])
    await said("started")
    child.kill(signal)
    expect(await ended, text.err).toBe(code)
    expect(text.err).toContain("finishing what is under way; press again to stop now")
    expect(text.out).toContain("✗ failed  slow:")
    expect(text.out).toContain("→ run it again")
    const { out } = await holdline(["runs", "show", "slow@latest"], { cwd: root })
    expect(out).toContain("interrupted")
  })

  test("by --timeout ends with 124", async () => {
    const { exit, out, err } = await holdline(["run", "slow", "--timeout", "500ms"], { cwd: root })
    expect(exit, out + err).toBe(124)
    expect(err).toContain("time limit reached")
  })

  test("by --timeout before the first job begins ends with 124 too, and says so", async () => {
    const { exit, out, err } = await holdline(["run", "hello", "--timeout", "1ms"], { cwd: root })
    expect(exit, out + err).toBe(124)
    expect(out + err).toMatch(/time limit|--timeout/)
  })

  test("starts no further job", async () => {
    const { exit, out } = await holdline(["run", "slow", "hello", "--timeout", "500ms"], { cwd: root })
    expect(exit).toBe(124)
    expect(out).not.toContain("hello:")
  })
})

test("a second run beside the first is busy, and says who is at work", async () => {
  const { child, said, ended } = start(["run", "slow"])
  await said("started")
  const { exit, err } = await holdline(["run", "hello"], { cwd: root })
  child.kill("SIGINT")
  await ended
  expect(exit).toBe(75)
  expect(err).toContain("another process works with this state directory")
})

test("of several jobs the worst outcome decides, and the others are done", async () => {
  const { exit, out } = await holdline(["run", "broken", "hello"], { cwd: root })
  expect(out).toMatch(/^✗ failed {2}broken:|^! partial {2}broken:/m)
  expect(out).toMatch(/^✓ ok {2}hello:/m)
  expect(exit).toBeGreaterThan(0)
})

test("a job that does not exist fails alone", async () => {
  const { exit, out, err } = await holdline(["run", "helo", "hello"], { cwd: root })
  expect(exit).toBe(5)
  expect(err).toContain("did you mean hello?")
  expect(out).toContain("✓ ok  hello:")
})

describe("with --json", () => {
  test.each([
    ["jobs"],
    ["status"],
    ["runs list"],
    ["site list"],
    ["site check"],
    ["config validate"],
    ["config show"],
    ["config explain durable"],
    ["snapshots list"],
    ["run hello"],
    ["verify hello@latest"],
  ])("%s writes typed lines, the last one the summary, and nothing else", async (line) => {
    if (line.startsWith("verify")) await holdline(["run", "hello"], { cwd: root })
    const { exit, out, err } = await holdline([...line.split(" "), "--json"], { cwd: root })
    expect({ exit, err }).toEqual({ exit: 0, err: "" })
    const types = out
      .trimEnd()
      .split("\n")
      .map((each) => typeOf(each))
    expect(types.at(-1)).toBe("summary")
    expect(types.filter((type) => type === "summary")).toHaveLength(1)
  })

  test("a fatal error is one object on stderr, with its code and exit code", async () => {
    const { exit, out, err } = await holdline(["--json", "restore", "plan", "hello"], { cwd: root })
    expect({ exit, out }).toEqual({ exit: 4, out: "" })
    expect(JSON.parse(err)).toMatchObject({ type: "error", code: "key/missing", exit: 4, hint: expect.stringContaining("--identity") })
  })
})

function typeOf(line: string): unknown {
  const value: unknown = JSON.parse(line)
  return typeof value === "object" && value !== null && "type" in value ? value.type : undefined
}

describe("output", () => {
  test("that nobody reads any more ends nothing and says nothing", async () => {
    const { child, text, ended } = start(["run", "hello", "grown"])
    child.stdout.destroy()
    expect(await ended, text.err).toBe(0)
    expect(text.err).not.toContain("EPIPE")
  })

  test("that could not be written is a failure at the end, not a crash in the middle", async () => {
    const child = spawn("/bin/sh", ["-c", `"$0" "$@" > /dev/full`, process.execPath, launcher, "run", "hello", "grown"], { cwd: root })
    let err = ""
    child.stderr.on("data", (chunk: Buffer) => {
      err += chunk.toString()
    })
    const [code]: unknown[] = await once(child, "close")
    expect(code, err).toBe(1)
    expect(err).toContain("standard output: ENOSPC")
    expect(err).not.toContain("    at ")
  })

  test("on a terminal has colour and one live line, which is gone at the end", async () => {
    const { out, err } = await holdline(["run", "grown"], { cwd: root, tty: true })
    expect(out).toContain("\u001b[32m✓ ok")
    expect(err).toContain("\r\u001b[K")
    const lastLine = err.slice(0, err.indexOf("→")).split("\r\u001b[K").at(-1) ?? ""
    expect(stripVTControlCharacters(lastLine)).toBe("")
  })

  test.each([
    ["NO_COLOR", { NO_COLOR: "1" }, []],
    ["--no-color", {}, ["--no-color"]],
    ["TERM=dumb", { TERM: "dumb" }, []],
  ])("has no colour with %s", async (_, env, flags) => {
    const { out } = await holdline(["status", ...flags], { cwd: root, tty: true, env })
    expect(out).not.toContain("\u001b[")
    expect(out).toContain("✓ ok")
  })

  test("with --quiet is the result alone", async () => {
    const { out, err } = await holdline(["run", "hello", "--quiet"], { cwd: root })
    expect(out).toContain("✓ ok  hello:")
    expect(err).toBe("")
  })
})
