import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { chmod, cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import { afterEach, beforeEach, describe, expect, test } from "vitest"

/** Prints what it was given, then waits for the signal if told to. */
const main = `
import { setTimeout as sleep } from "node:timers/promises"
export async function main({ argv, stdout, stderr, stdin, env, signal, clock, random }) {
  const world = { argv, given: [stderr, stdin, env.PATH, clock.now, random.bytes].every((thing) => thing !== undefined) }
  stdout.write(JSON.stringify(world) + "\\n")
  if (argv[0] === "throw") throw new TypeError("a bug")
  if (argv[0] === "die") process.kill(process.pid, "SIGKILL")
  if (argv[0] !== "wait") return 6
  await sleep(60_000, undefined, { signal }).catch(() => undefined)
  stdout.write(signal.reason.name + " " + signal.reason.signal + "\\n")
  if (argv[1] === "stubborn") await sleep(60_000)
  return signal.reason.exitCode
}`

/** Makes this Node say that it is an old one, unless it was started by a launcher. */
const pretendOld = `if (!process.send) Object.defineProperty(process, "version", { value: "v20.20.2" })`

let house: string

beforeEach(async () => {
  house = await mkdtemp(join(tmpdir(), "launcher-"))
  await cp(join(import.meta.dirname, "../../bin"), join(house, "bin"), { recursive: true })
  await writeFile(join(house, "package.json"), '{"type":"module"}')
  await writeFile(join(house, "old.cjs"), pretendOld)
  await furnish("src", "ts")
})

afterEach(async () => {
  await rm(house, { recursive: true })
})

async function furnish(folder: string, extension: string): Promise<void> {
  await mkdir(join(house, folder, "cli"), { recursive: true })
  await writeFile(join(house, folder, `cli/main.${extension}`), main)
  await writeFile(join(house, folder, `clock.${extension}`), "export const systemClock = { now: () => new Date() }")
  await writeFile(join(house, folder, `random.${extension}`), "export const systemRandom = { bytes: (n) => new Uint8Array(n) }")
}

/** What a checkout has after `npm ci`; a script, so that it is another file than the Node that runs this test. */
async function pin(): Promise<void> {
  const node = join(house, "node_modules/.bin/node")
  await mkdir(join(house, "node_modules/.bin"), { recursive: true })
  await writeFile(node, `#!/bin/sh\nexec "${process.execPath}" "$@"\n`)
  await chmod(node, 0o755)
}

interface Ending {
  readonly code: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
}

interface Started {
  readonly child: ChildProcess
  readonly ended: Promise<Ending>
  /** Resolves when `pattern` has been printed. */
  printed(pattern: string): Promise<void>
}

function start(args: readonly string[], options: { readonly old: boolean }): Started {
  const preload = options.old ? ["--require", join(house, "old.cjs")] : []
  const child = spawn(process.execPath, [...preload, join(house, "bin/holdline"), ...args], {
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  })
  let seen = ""
  child.stdout.on("data", (piece: Buffer) => {
    seen += piece.toString()
  })
  async function end(): Promise<Ending> {
    const [[code, signal], stderr] = await Promise.all([once(child, "close"), text(child.stderr)])
    return { code, signal, stdout: seen, stderr }
  }
  return {
    child,
    ended: end(),
    async printed(pattern) {
      while (!seen.includes(pattern)) await once(child.stdout, "data")
    },
  }
}

describe.each([
  ["with a new Node", false],
  ["from an old Node, with the pinned one", true],
])("the launcher, %s,", (_, old) => {
  beforeEach(async () => {
    if (old) await pin()
  })

  test("hands over the world and ends with the code that main returns", async () => {
    const ending = await start(["run", "--all", "a b"], { old }).ended
    expect(ending).toEqual({ code: 6, signal: null, stderr: "", stdout: '{"argv":["run","--all","a b"],"given":true}\n' })
  })

  test("keeps the stack of a bug", async () => {
    const ending = await start(["throw"], { old }).ended
    expect(ending.code).toBe(1)
    expect(ending.stderr).toMatch(/TypeError: a bug\n\s+at .*main\.ts/)
  })

  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("turns %s into an abort whose reason says so, and prints nothing itself", async (signal, code) => {
    const { child, ended, printed } = start(["wait"], { old })
    await printed("argv")
    child.kill(signal)
    expect(await ended).toMatchObject({ code, signal: null, stderr: "", stdout: expect.stringContaining(`\nInterrupted ${signal}\n`) })
  })

  test("takes a signal to the whole process group, as a terminal sends it, for one", async () => {
    const { child, ended, printed } = start(["wait"], { old })
    await printed("argv")
    process.kill(-(child.pid ?? Number.NaN), "SIGINT")
    expect(await ended).toMatchObject({ code: 130, stdout: expect.stringContaining("Interrupted SIGINT") })
  })

  test("ends at once on the second signal", async () => {
    const { child, ended, printed } = start(["wait", "stubborn"], { old })
    await printed("argv")
    child.kill("SIGINT")
    await printed("Interrupted")
    child.kill("SIGTERM")
    expect(await ended).toMatchObject({ code: 143, signal: null })
  })

  test("ends at once on the second signal to the whole process group", async () => {
    const { child, ended, printed } = start(["wait", "stubborn"], { old })
    await printed("argv")
    process.kill(-(child.pid ?? Number.NaN), "SIGINT")
    await printed("Interrupted")
    process.kill(-(child.pid ?? Number.NaN), "SIGINT")
    expect(await ended).toMatchObject({ code: 130, signal: null })
  })

  test("dies of the signal that killed it", async () => {
    expect(await start(["die"], { old }).ended).toMatchObject({ code: null, signal: "SIGKILL" })
  })
})

test("an old Node without a pinned one is told apart in one line", async () => {
  const ending = await start(["run"], { old: true }).ended
  expect(ending).toMatchObject({ code: 1, stdout: "" })
  expect(ending.stderr).toMatch(/^holdline: Node v20\.20\.2 is too old, 24\.15 or newer is needed: .*\n$/)
})

test("an installed package, which has no src/, runs what was compiled to dist/", async () => {
  await furnish("dist/src", "js")
  await rm(join(house, "src"), { recursive: true })
  expect(await start(["run"], { old: false }).ended).toMatchObject({ code: 6, stderr: "" })
})

test("the launcher can be started through a link, as npm installs it", async () => {
  await mkdir(join(house, "elsewhere"))
  await symlink(join(house, "bin/holdline"), join(house, "elsewhere/holdline"))
  const child = spawn(process.execPath, [join(house, "elsewhere/holdline")], { stdio: ["ignore", "ignore", "inherit"] })
  expect(await once(child, "close")).toEqual([6, null])
})
