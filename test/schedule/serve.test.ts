import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { createServer } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { text } from "node:stream/consumers"
import { afterAll, beforeAll, expect, test, vi } from "vitest"
import { z } from "zod"
import { Catalog } from "../../src/catalog/catalog.ts"
import { beginSchedule, missedSince } from "../../src/catalog/schedule.ts"
import { holdline } from "../cli/terminal.ts"

let root = ""
const launcher = join(import.meta.dirname, "../../bin/holdline")
const hourMs = 3_600_000
// Three full hours before this one, so that nothing is due while the tests run.
const nightly = `0 ${[1, 2, 3].map((ago) => String(new Date(Date.now() - ago * hourMs).getUTCHours())).join(",")} * * *`

beforeAll(async () => {
  root = join(await mkdtemp(join(tmpdir(), "serve-")), "try")
  const { exit, err } = await holdline(["--agent", "pbx-1", "init", "host", "--dir", root, "--recipients", "x25519"], { cwd: "/" })
  expect(exit, err).toBe(0)
  await mkdir(join(root, "state"), { recursive: true })
})

afterAll(() => rm(join(root, ".."), { recursive: true, force: true }))

async function job(name: string, command: readonly string[], rest: string): Promise<void> {
  const source = `{kind: command, command: ${JSON.stringify(command)}, account: platform, name: out.txt}`
  const text = `version: 1\nmode: state\nsource: ${source}\nclass: state-35\nsites: [one, two]\n${rest}\n`
  await writeFile(join(root, "jobs", `${name}.yaml`), text)
}

/** As after a night in which the machine was off. */
function wasOff(...jobs: readonly string[]): void {
  using catalog = Catalog.open(join(root, "state", "catalog.sqlite"), () => undefined)
  for (const name of jobs) beginSchedule(catalog, name, { schedule: `${nightly} UTC`, handled: Date.now() - 5 * hourMs })
}

function serve() {
  const child = spawn(process.execPath, [launcher, "serve", "--json"], {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
    env: { PATH: process.env.PATH },
  })
  const lines: { readonly [key: string]: unknown; readonly type: string }[] = []
  const reader = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  /** The next line of that type; those before it are kept. */
  const said = async (type: string) => {
    for (;;) {
      const { value, done } = await reader.next()
      if (done === true) throw new Error(`it ended before it said ${type}: ${JSON.stringify(lines)}`)
      const line = z.looseObject({ type: z.string() }).parse(JSON.parse(z.string().parse(value)))
      lines.push(line)
      if (line.type === type) return line
    }
  }
  return { child, lines, said, ended: once(child, "close").then(([code]: unknown[]) => code) }
}

test("the daemon tells whom it concerns that a job is late, and a dead man's switch that it looks", async () => {
  const asked: string[] = []
  const receiver = createServer((request, response) => {
    void text(request).then((body) => asked.push(`${request.method ?? ""} ${body}`))
    response.end()
  }).listen(0, "127.0.0.1")
  await once(receiver, "listening")
  const address = receiver.address()
  if (address === null || typeof address === "string") throw new Error("no port")
  await writeFile(join(root, "hook.url"), `http://127.0.0.1:${String(address.port)}/`, { mode: 0o600 })
  const url = { file: join(root, "hook.url") }
  const notify = { channels: { hook: { kind: "webhook", url } }, critical: ["hook"], warning: ["hook"], deadman: { url } }
  await mkdir(join(root, "config/conf.d"), { recursive: true })
  await writeFile(join(root, "config/conf.d/notify.yaml"), JSON.stringify({ notify }))
  await job("promised", ["/bin/echo", "x"], "objective: {rpo: 1h, rto: 1h}")
  const daemon = serve()
  try {
    await daemon.said("serving")
    await vi.waitFor(() => expect(asked).toHaveLength(2), { timeout: 30_000 })
    expect(asked[0]).toContain("CRITICAL: promised: has never run on this host")
    expect(asked[1]).toBe("GET ")
  } finally {
    daemon.child.kill("SIGTERM")
    await daemon.ended
    receiver.close()
    await rm(join(root, "config/conf.d/notify.yaml"))
    await rm(join(root, "jobs/promised.yaml"))
  }
})

test("the daemon runs what was missed in the right order, reads its configuration again, and stops when it is asked to", async () => {
  await job("media", ["/bin/echo", "media"], `schedule: {cron: "${nightly}", after: [database], priority: 90}`)
  await job("database", ["/bin/echo", "database"], `schedule: "${nightly}"`)
  await job("by-hand", ["/bin/echo", "by hand"], "")
  wasOff("media", "database")

  const daemon = serve()
  expect(await daemon.said("serving")).toMatchObject({ jobs: 2 })
  expect(await daemon.said("missed")).toMatchObject({ reason: "down" })
  expect(await daemon.said("ended")).toMatchObject({ job: "database", outcome: "ok" })
  expect(await daemon.said("ended")).toMatchObject({ job: "media", outcome: "ok" })
  expect(daemon.lines.filter(({ type }) => type === "started").map((line) => line.job)).toEqual(["database", "media"])

  const second = await holdline(["serve"], { cwd: root })
  expect(second.exit, second.err).toBe(75)
  expect((await holdline(["jobs"], { cwd: root })).out).toMatch(/^database .*✓ ok/m)

  await job("broken", ["/bin/echo"], 'schedule: "61 * * * *"')
  daemon.child.kill("SIGHUP")
  expect(await daemon.said("reload-refused")).toMatchObject({ code: "config/invalid", message: expect.stringContaining("broken.yaml") })
  await rm(join(root, "jobs/broken.yaml"))
  await rm(join(root, "jobs/media.yaml"))
  await job("new", ["/bin/echo", "new"], 'schedule: "0 3 * * *"')
  await job("database", ["/bin/echo", "database"], 'schedule: "30 * * * *"')
  daemon.child.kill("SIGHUP")
  expect(await daemon.said("reloaded")).toMatchObject({
    configuration: "unchanged",
    added: ["new"],
    removed: ["media"],
    changed: ["database"],
  })

  daemon.child.kill("SIGTERM")
  expect(await daemon.said("stopped")).toBeTruthy()
  expect(await daemon.ended).toBe(0)
  using catalog = Catalog.open(join(root, "state", "catalog.sqlite"), () => undefined)
  expect(missedSince(catalog, "media", 0)).toMatchObject([{ count: 2, reason: "down" }])
})

test("a daemon that is killed while a run is under way begins that run again, and the lease is free", async () => {
  await job("slow", ["/bin/sleep", "60"], `schedule: "${nightly}"`)
  wasOff("slow")
  const killed = serve()
  expect(await killed.said("started")).toMatchObject({ job: "slow", attempts: 1 })
  killed.child.kill("SIGKILL")
  await killed.ended

  const next = serve()
  const started = await next.said("started")
  expect(started).toMatchObject({ job: "slow", attempts: 2 })
  next.child.kill("SIGTERM")
  await next.said("stopping")
  next.child.kill("SIGTERM")
  expect(await next.ended).toBe(143)
})
