import { once } from "node:events"
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises"
import { createServer, type Server } from "node:http"
import { text } from "node:stream/consumers"
import { afterEach, expect, test } from "vitest"
import { type Place, place } from "../setup/holdline.ts"

const config = ["--config", "q/config/holdline.yaml"]
const minute = 60_000

let server: Server | undefined
afterEach(() => {
  server?.closeAllConnections()
  server?.close()
})

/** A webhook that takes everything but what is posted to /broken; the address, and the subjects by path. */
async function receiver(): Promise<{ readonly address: string; readonly taken: string[] }> {
  const taken: string[] = []
  const started = createServer((request, response) => {
    void text(request).then((body) => {
      const broken = request.url === "/broken"
      if (!broken) taken.push(`${request.url ?? ""} ${body === "" ? "asked" : JSON.parse(body).subject}`)
      response.writeHead(broken ? 500 : 200).end()
    })
  })
  server = started
  started.listen(0, "127.0.0.1")
  await once(started, "listening")
  const address = started.address()
  if (address === null || typeof address === "string") throw new Error("no port")
  return { address: `http://127.0.0.1:${String(address.port)}`, taken }
}

/** A quick start with a job whose objective is an hour, and people who are told. */
async function host(address: string, notify: Readonly<Record<string, string>> = {}): Promise<Place> {
  const at = await place()
  await at.run(["--agent", "pbx", "init", "host", "--dir", "q", "--recipients", "x25519"])
  await mkdir(at.path("etc"))
  await writeFile(at.path("etc/a.xml"), "<a/>")
  const source = { kind: "directory", path: at.path("etc"), account: "platform" }
  const job = { version: 1, mode: "state", source, class: "state-35", sites: ["one", "two", "three"], objective: { rpo: "1h", rto: "1h" } }
  await writeFile(at.path("q/jobs/switch.yaml"), JSON.stringify(job))
  const channel = async (name: string): Promise<[string, object]> => {
    await writeFile(at.path(`${name}.url`), `${address}/${notify[name] ?? name}\n`)
    await chmod(at.path(`${name}.url`), 0o600)
    return [name, { kind: "webhook", url: { file: at.path(`${name}.url`) } }]
  }
  const channels = Object.fromEntries([await channel("ops"), await channel("boss")])
  const settings = { channels, critical: ["ops"], warning: ["ops"], escalate: [{ after: "30m", to: ["boss"] }] }
  await mkdir(at.path("q/config/conf.d"), { recursive: true })
  await writeFile(at.path("q/config/conf.d/notify.yaml"), JSON.stringify({ notify: settings }))
  return at
}

test("a job that is late is told once, goes up while nobody takes it, and its end is told to whoever heard of it", async () => {
  const { address, taken } = await receiver()
  await using at = await host(address)
  const start = Date.now()
  const look = async (minutes: number) => (await at.run([...config, "alarm", "look"], { now: new Date(start + minutes * minute) })).exit
  expect(await look(0)).toBe(6)
  expect(await look(1)).toBe(6)
  expect(taken).toEqual(["/ops [holdline pbx] CRITICAL: switch: has never run on this host"])
  expect(await look(31)).toBe(6)
  expect(taken.slice(1)).toEqual(["/boss [holdline pbx] CRITICAL, and nobody has taken it: switch: has never run on this host"])
  const listed = await at.run([...config, "alarm", "list"])
  expect(listed.stdout).toMatch(/job-late switch +\S+ \S+ +✗ switch: has never run on this host/)
  expect((await at.run([...config, "alarm", "take", "job-late"], { env: { USER: "ada" } })).stdout).toContain("by ada")
  expect((await at.run([...config, "alarm", "take", "nothing"], { env: { USER: "ada" } })).exit).toBe(5)
  expect((await at.run([...config, "run", "switch"], { now: new Date(start + 40 * minute) })).exit).toBe(0)
  expect(await look(41)).toBe(6)
  expect(await look(52)).toBe(0)
  expect(taken.slice(2)).toEqual([
    "/ops [holdline pbx] over: switch: has never run on this host",
    "/boss [holdline pbx] over: switch: has never run on this host",
  ])
  expect(await readFile(at.path("q/state/alarms.json"), "utf8")).not.toContain("job-late")
})

test("alarms that one way does not take go another, and that it is silent is an alarm itself", async () => {
  const { address, taken } = await receiver()
  await using at = await host(address, { ops: "broken" })
  const start = Date.now()
  const looked = await at.run([...config, "alarm", "look"], { now: new Date(start) })
  expect(looked).toMatchObject({ exit: 6, stderr: expect.stringContaining("alarms cannot be sent by ops: answered 500") })
  expect(taken).toEqual(["/boss [holdline pbx] CRITICAL: switch: has never run on this host"])
  await at.run([...config, "alarm", "look"], { now: new Date(start + minute) })
  expect(taken[1]).toMatch(/boss .*alarms cannot be sent by ops: answered 500/)
  expect((await at.run([...config, "alarm", "list"])).stdout).toContain("✗ silent  ops")
  await writeFile(at.path("ops.url"), `${address}/mended\n`)
  await at.run([...config, "alarm", "look"], { now: new Date(start + 10 * minute) })
  expect(taken.filter((line) => line.startsWith("/mended")).toSorted()).toMatchObject([
    expect.stringContaining("alarms cannot be sent by ops"),
    expect.stringContaining("switch: has never run"),
  ])
})

test("a test goes by every channel and fails where one does not take it", async () => {
  const { address, taken } = await receiver()
  await using at = await host(address, { boss: "broken" })
  const all = await at.run([...config, "notify", "test"])
  expect(all).toMatchObject({
    exit: 1,
    stdout: expect.stringContaining("✓ taken  ops"),
    stderr: expect.stringContaining("boss: answered 500"),
  })
  expect(taken).toEqual(["/ops [holdline pbx] test: alarms of this host arrive here"])
  expect((await at.run([...config, "notify", "test", "ops"])).exit).toBe(0)
  expect((await at.run([...config, "notify", "test", "nobody"])).exit).toBe(5)
})

test("an address without TLS that is not this host's is refused, and never shown", async () => {
  await using at = await host("http://hooks.example.net/very-secret")
  const refused = await at.run([...config, "notify", "test", "ops"])
  expect(refused).toMatchObject({ exit: 2, stderr: expect.stringContaining("without TLS") })
  expect(refused.stderr).not.toContain("very-secret")
})

test("a host that tells nobody says so", async () => {
  await using at = await place()
  await at.run(["--agent", "pbx", "init", "host", "--dir", "q", "--recipients", "x25519"])
  expect(await at.run([...config, "alarm", "look"])).toMatchObject({ exit: 2, stderr: expect.stringContaining("tells nobody") })
  expect((await at.run([...config, "alarm", "list"])).exit).toBe(0)
})
