import { once } from "node:events"
import { chmod, readFile, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { Readable } from "node:stream"
import { expect, test } from "vitest"
import { Catalog } from "../../src/catalog/catalog.ts"
import { Bench } from "../../src/cli/bench.ts"
import { type WatchedOptions, watched } from "../../src/cli/watched.ts"
import { systemClock } from "../../src/clock.ts"
import { systemRandom } from "../../src/random.ts"
import { recorder } from "../cli/terminal.ts"
import { designConfig, project } from "../config/project.ts"

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  server.close()
  await once(server, "close")
  if (address === null || typeof address === "string") throw new Error("no port")
  return address.port
}

/** A host whose service manager is a script that writes down what it hears, and whose daemon is asked to end by `end`. */
async function host({ script = "", listens = true } = {}) {
  const port = await freePort()
  const listen = listens ? `listen: 127.0.0.1:${String(port)}\n` : ""
  const made = await project({ "config/holdline.yaml": `${designConfig.replace("/var/lib/holdline", "state")}${listen}` })
  const heard = made.path("heard")
  await made.write("bin/systemd-notify", `#!/bin/sh\n${script}\necho "$1" >> '${heard}'\n`)
  await chmod(made.path("bin/systemd-notify"), 0o755)
  await writeFile(heard, "")
  const end = new AbortController()
  const bench = new Bench(
    {
      ...{ argv: [], stdin: Readable.from([]), stdout: recorder(false).stream, stderr: recorder(false).stream },
      ...{ env: { PATH: made.path("bin"), NOTIFY_SOCKET: "/run/x" }, signal: end.signal, clock: systemClock, random: systemRandom },
    },
    () => ({}),
  )
  const loaded = await made.load()
  const failures: { readonly code: string; readonly message: string }[] = []
  const catalog = Catalog.open(":memory:", () => undefined)
  const options: WatchedOptions = {
    ...{ bench, catalog, loaded: () => loaded, signal: end.signal },
    failed: (failure) => failures.push(failure),
  }
  return {
    ...{ options, end, failures, catalog },
    heard: async () => (await readFile(heard, "utf8")).split("\n").filter((line) => line !== ""),
    ask: async (path: string) => await fetch(`http://127.0.0.1:${String(port)}${path}`),
    async [Symbol.asyncDispose]() {
      catalog.close()
      await made[Symbol.asyncDispose]()
    },
  }
}

test("a daemon says that it is ready, that it reads anew, and that it ends; and answers meanwhile", async () => {
  await using at = await host()
  const daemon = await watched(at.options)
  expect(await at.heard()).toEqual(["READY=1"])
  expect(await (await at.ask("/metrics")).text()).toContain('holdline_build_info{version="')
  expect((await at.ask("/readyz")).status).toBe(200)
  let during: string[] = []
  await daemon.reloading(async () => {
    during = await at.heard()
  })
  expect(during).toEqual(["READY=1", "RELOADING=1"])
  at.end.abort()
  expect((await at.ask("/readyz")).status).toBe(503)
  await expect.poll(at.heard, { timeout: 30_000 }).toEqual(["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"])
  await daemon[Symbol.asyncDispose]()
  await expect(at.ask("/healthz")).rejects.toThrow("fetch failed")
  expect(at.failures).toEqual([])
})

test("a reload happens although the service manager cannot be told, and that is said", async () => {
  await using at = await host({ script: '[ "$1" = READY=1 ] || exit 3' })
  await using daemon = await watched(at.options)
  let done = false
  await daemon.reloading(() => {
    done = true
    return Promise.resolve()
  })
  expect(done).toBe(true)
  expect(at.failures).toEqual([
    { code: "job/command", message: "the service manager was not told RELOADING=1: systemd-notify: ended with status 3" },
  ])
})

test("a daemon that cannot say that it started does not start, and leaves its address", async () => {
  await using at = await host({ script: "exit 3" })
  await expect(watched(at.options)).rejects.toMatchObject({ code: "job/command" })
  await expect(at.ask("/healthz")).rejects.toThrow("fetch failed")
})

test("nothing listens where the configuration does not say so", async () => {
  await using at = await host({ listens: false })
  await using _ = await watched(at.options)
  await expect(at.ask("/healthz")).rejects.toThrow("fetch failed")
})

test("what cannot be measured is said with its stack, and the daemon goes on", async () => {
  await using at = await host()
  await using _ = await watched({ ...at.options, loaded: brokenAfterwards(at.options.loaded) })
  expect((await at.ask("/metrics")).status).toBe(500)
  expect(at.failures).toEqual([{ code: "bug", message: expect.stringMatching(/^Error: no configuration\n +at /) }])
  expect((await at.ask("/healthz")).status).toBe(200)
})

/** The configuration once, and nothing after that. */
function brokenAfterwards(loaded: WatchedOptions["loaded"]): WatchedOptions["loaded"] {
  let asked = false
  return () => {
    if (asked) throw new Error("no configuration")
    asked = true
    return loaded()
  }
}
