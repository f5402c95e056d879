import { createHash } from "node:crypto"
import { copyFile, mkdir, writeFile } from "node:fs/promises"
import { DatabaseSync } from "node:sqlite"
import { expect, test } from "vitest"
import { type Place, place } from "../setup/holdline.ts"

const config = ["--config", "q/config/holdline.yaml"]
const ada = { env: { USER: "root", SUDO_USER: "ada" } }

/** A quick start with a job that ran. */
async function ran(): Promise<Place> {
  const at = await place()
  await at.run(["--agent", "pbx", "init", "host", "--dir", "q", "--recipients", "x25519"])
  await mkdir(at.path("etc"))
  await writeFile(at.path("etc/a.xml"), "<a/>")
  const source = { kind: "directory", path: at.path("etc"), account: "platform" }
  const job = { version: 1, mode: "state", source, class: "state-35", sites: ["one", "two", "three"] }
  await writeFile(at.path("q/jobs/switch.yaml"), JSON.stringify(job))
  expect((await at.run([...config, "run", "switch"], ada)).exit).toBe(0)
  return at
}

async function lines(at: Place): Promise<string[]> {
  return (await at.run([...config, "ledger", "export"])).stdout.trim().split("\n")
}

test("the ledger says who ran what, and which configuration was in use, and an auditor follows the chain by hand", async () => {
  await using at = await ran()
  await at.run([...config, "run", "switch"], ada)
  const shown = await at.run([...config, "ledger", "show"])
  expect(shown.stdout).toMatch(
    /N +TIME +WHO +WHAT +SUBJECT +OUTCOME +DETAILS\n1 .* ada +configuration +pbx +✓ ok .*\n2 .* ada +run +switch +✓ ok .*\n3 .* run /,
  )
  expect((await at.run([...config, "ledger", "show", "--what", "run", "--limit", "1"])).stdout).toMatch(/^N.*\n3 .*\n$/)
  const [first = "", second = ""] = await lines(at)
  expect(JSON.parse(second)).toMatchObject({ prev: createHash("sha256").update(first).digest("hex"), details: { dataset: "switch" } })
})

test("whoever reads something back is in the ledger, with the identity that opened it and what came of it", async () => {
  await using at = await ran()
  const identity = ["--identity", at.path("q/keys/escrow.identity")]
  const restored = await at.run([...config, "restore", "run", "switch@latest", "--to", at.path("out"), ...identity], ada)
  expect(restored.exit, restored.stderr).toBe(0)
  await at.run([...config, "verify", "switch@latest", ...identity], ada)
  const entries = (await lines(at)).map((line) => JSON.parse(line)).slice(2)
  expect(entries.map(({ what, who, outcome }) => [what, who, outcome])).toEqual([
    ["key-use", "ada", "ok"],
    ["restore", "ada", "ok"],
    ["key-use", "ada", "ok"],
    ["verify", "ada", "ok"],
  ])
  expect(entries[1]).toMatchObject({ subject: "switch", details: { files: 1, bytes: 4 } })
  expect(entries[0].subject).toMatch(/^[0-9a-f]{12}$/)
})

test("another configuration is an entry of its own, and the same one is not", async () => {
  await using at = await ran()
  await at.run([...config, "run", "switch"], ada)
  await copyFile(at.path("q/jobs/switch.yaml"), at.path("q/jobs/other.yaml"))
  await at.run([...config, "run", "switch"], ada)
  const kinds = (await lines(at)).map((line) => /"what":"([a-z-]+)"/.exec(line)?.[1])
  expect(kinds).toEqual(["configuration", "run", "run", "configuration", "run"])
})

test("an entry that was changed is found, and the sites' anchors find who made the rest fit", async () => {
  await using at = await ran()
  const tomorrow = new Date(Date.now() + 86_400_000)
  await at.run([...config, "run", "switch"], { ...ada, now: tomorrow })
  const whole = await at.run([...config, "ledger", "verify"])
  expect(whole).toMatchObject({ exit: 0, stdout: expect.stringMatching(/✓ unbroken {2}3 entries, 1 to 3; compared with 1 signed anchor/) })
  using database = new DatabaseSync(at.path("q/state/ledger.sqlite"))
  database.exec(`UPDATE entry SET line = replace(line, '"ada"', '"eve"') WHERE n = 1`)
  expect(await at.run([...config, "ledger", "verify"])).toMatchObject({
    exit: 6,
    stdout: expect.stringMatching(/✗ \S+ {2}entry 1 is not the one/),
  })
  database.exec("DELETE FROM entry")
  expect(await at.run([...config, "ledger", "verify"])).toMatchObject({
    exit: 6,
    stdout: expect.stringContaining("the ledger ends before entry"),
  })
})

test("a host without a ledger says so", async () => {
  await using at = await place()
  await at.run(["--agent", "pbx", "init", "host", "--dir", "q", "--recipients", "x25519"])
  expect(await at.run([...config, "ledger", "show"])).toMatchObject({
    exit: 5,
    stderr: expect.stringContaining("it begins with the first run"),
  })
  expect((await at.run([...config, "ledger", "show", "--what", "nothing"])).exit).toBe(2)
})
