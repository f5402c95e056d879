import { createServer } from "node:http"
import { expect, test } from "vitest"
import { type HealthOptions, serveHealth } from "../../src/wiring/health.ts"
import { isLoopbackAddress, listenSchema } from "../../src/wiring/listen.ts"
import { holdline } from "../cli/terminal.ts"
import { configProblems, designConfig, project } from "../config/project.ts"

const start = Date.parse("2026-11-21T12:00:00Z")

/** The server of a host that is ready and is measured by counting how often. */
async function server(given: Partial<HealthOptions> = {}) {
  const seen = { measured: 0, now: start }
  const served = await serveHealth({
    listen: { host: "127.0.0.1", port: 0 },
    clock: { now: () => new Date(seen.now) },
    whyNotReady: () => null,
    metrics() {
      seen.measured += 1
      return Promise.resolve(`measured ${String(seen.measured)}\n`)
    },
    failed: () => undefined,
    ...given,
  })
  const ask = async (path: string, method = "GET"): Promise<string> => {
    const response = await fetch(`http://127.0.0.1:${String(served.port)}${path}`, { method })
    return `${String(response.status)} ${await response.text()}`
  }
  return { ...served, seen, ask }
}

test("it says that it lives, whether it is ready and why not, and how everything stands", async () => {
  let why: string | null = null
  await using at = await server({ whyNotReady: () => why })
  expect(await at.ask("/healthz")).toBe("200 ok\n")
  expect(await at.ask("/readyz?verbose")).toBe("200 ready\n")
  expect(await at.ask("/metrics")).toBe("200 measured 1\n")
  why = "it is being ended"
  expect(await at.ask("/readyz")).toBe("503 not ready: it is being ended\n")
  expect(await at.ask("/healthz")).toBe("200 ok\n")
})

test("nothing else is there, and nothing is changed by asking", async () => {
  await using at = await server()
  expect(await at.ask("/")).toMatch(/^404 /)
  expect(await at.ask("/constructor")).toMatch(/^404 /)
  expect(await at.ask("/metrics/../etc/passwd")).toMatch(/^404 /)
  expect(await at.ask("/metrics", "POST")).toBe("405 only GET is answered\n")
  expect(await at.ask("/metrics", "HEAD")).toBe("200 ")
})

test("many that ask within seconds cost one measurement; a clock that was set back does not hold the old one", async () => {
  await using at = await server()
  expect(await Promise.all([at.ask("/metrics"), at.ask("/metrics")])).toEqual(["200 measured 1\n", "200 measured 1\n"])
  at.seen.now = start + 11_000
  expect(await at.ask("/metrics")).toBe("200 measured 2\n")
  at.seen.now = start - 3_600_000
  expect(await at.ask("/metrics")).toBe("200 measured 3\n")
})

test("what cannot be measured is told to the service, not to whoever asked, and measured again", async () => {
  const failed: unknown[] = []
  const broken = new Error("account 4711 is odd")
  let works = false
  await using at = await server({
    metrics: () => (works ? Promise.resolve("fine\n") : Promise.reject(broken)),
    failed: (error) => failed.push(error),
  })
  expect(await at.ask("/metrics")).toBe("500 cannot be measured: see the log of the service\n")
  expect(failed).toEqual([broken])
  expect(await at.ask("/healthz")).toBe("200 ok\n")
  works = true
  expect(await at.ask("/metrics")).toBe("200 fine\n")
})

test("an address that another process holds is said so at the start", async () => {
  await using at = await server()
  await expect(server({ listen: { host: "127.0.0.1", port: at.port } })).rejects.toMatchObject({
    code: "job/target",
    message: `listen: 127.0.0.1:${String(at.port)} cannot be used: EADDRINUSE`,
  })
})

test("once it is disposed of, the address is free", async () => {
  const at = await server()
  await at.ask("/healthz")
  await at[Symbol.asyncDispose]()
  const next = createServer()
  await new Promise<void>((resolve, reject) => next.once("error", reject).listen(at.port, "127.0.0.1", resolve))
  await new Promise((resolve) => next.close(resolve))
})

test.each([
  ["127.0.0.1:9327", { host: "127.0.0.1", port: 9327 }, true],
  ["[::1]:9327", { host: "::1", port: 9327 }, true],
  ["0.0.0.0:9327", { host: "0.0.0.0", port: 9327 }, false],
  ["[::]:9327", { host: "::", port: 9327 }, false],
  ["10.0.0.7:1", { host: "10.0.0.7", port: 1 }, false],
])("listen: %s", (text, address, loopback) => {
  expect(listenSchema.parse(text)).toEqual(address)
  expect(isLoopbackAddress(address)).toBe(loopback)
})

test.each([
  "9327",
  ":9327",
  "localhost:9327",
  "*:9327",
  "127.0.0.1:0",
  "127.0.0.1:65536",
  "1270.0.0.1:80",
  "256.0.0.1:80",
  "[127.0.0.1]:80",
  "::1:9327",
])("listen: %s is refused: a network is only opened by naming it", async (text) => {
  expect(await configProblems(`${designConfig}listen: "${text}"\n`)).toEqual([
    expect.stringContaining('expected an address and a port, such as "127.0.0.1:9327"'),
  ])
})

test("without `listen` nothing listens", async () => {
  await using made = await project({ "config/holdline.yaml": designConfig })
  expect((await made.load()).config.listen).toBeUndefined()
})

test("a host that never ran anything is measured, too", async () => {
  await using made = await project({ "config/holdline.yaml": designConfig.replace("/var/lib/holdline", "state") })
  await made.write("jobs/typo.yaml", "version: 2\n")
  const { exit, out, err } = await holdline(["metrics"], { cwd: made.root })
  expect([exit, err]).toEqual([0, ""])
  expect(out).toContain("holdline_jobs_wrong 1\n")
  expect(out).toContain('holdline_site_failing{site="s3-dub"} 0\n')
  expect(out).toContain("# TYPE holdline_ledger_entries gauge\n# HELP")
  const json = await holdline(["--json", "metrics"], { cwd: made.root })
  const lines = json.out.trim().split("\n")
  expect(lines).toContain('{"type":"sample","name":"holdline_jobs_wrong","labels":{},"value":1}')
  expect(lines.at(-1)).toContain('"type":"summary"')
})
