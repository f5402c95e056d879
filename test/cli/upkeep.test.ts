import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { expect, test } from "vitest"
import { lockState } from "../../src/catalog/lock.ts"
import { type Place, place } from "../setup/holdline.ts"

const config = ["--config", "q/config/holdline.yaml"]

/** A quick start's three directories after one run. */
async function host(): Promise<Place> {
  const at = await place()
  await at.run(["--agent", "pbx", "init", "host", "--dir", "q", "--recipients", "x25519"])
  await mkdir(at.path("etc"))
  await writeFile(at.path("etc/a.xml"), "<a/>".repeat(100))
  const source = { kind: "directory", path: at.path("etc"), account: "platform" }
  const job = { version: 1, mode: "state", source, class: "state-35", sites: ["one", "two", "three"] }
  await writeFile(at.path("q/jobs/switch.yaml"), JSON.stringify(job))
  expect((await at.run([...config, "run", "switch"])).exit).toBe(0)
  return at
}

async function packsAt(at: Place, site: string): Promise<string[]> {
  const root = at.path("q/sites", site)
  const found = await readdir(join(root, "v1"), { recursive: true, withFileTypes: true })
  return found.filter((entry) => entry.name.endsWith(".tar")).map((entry) => join(entry.parentPath, entry.name))
}

test("scrub finds what is missing and rotten, repair says what it would do and does it, and then nothing is left to find", async () => {
  await using at = await host()
  const whole = await at.run([...config, "scrub", "--full"])
  expect(whole).toMatchObject({ exit: 0, stderr: "" })
  expect(whole.stdout).toMatch(/^✓ hashed {2}3 sites/)

  const [lost = ""] = await packsAt(at, "two")
  const [rotten = ""] = await packsAt(at, "three")
  const good = await readFile(rotten)
  await rm(lost)
  await writeFile(rotten, Buffer.concat([good.subarray(0, -1), Buffer.from("x")]))
  const found = await at.run([...config, "scrub", "--full"])
  expect(found.exit).toBe(6)
  expect(found.stdout).toContain("✗ 2 findings")
  expect(found.stdout).toMatch(/present +two: v1\/pbx\/.*: is not there/)
  expect(found.stdout).toMatch(/hashed +three: v1\/pbx\/.*SHA-256/)
  expect(found.stdout).toContain("→ holdline repair --dry-run")

  const would = await at.run([...config, "repair", "--dry-run"])
  expect(would.exit).toBe(0)
  expect(would.stdout).toMatch(/✓ ok {2}2 objects would be repaired/)
  expect(await readFile(rotten)).not.toEqual(good)
  const did = await at.run([...config, "--json", "repair"])
  expect(did.exit).toBe(0)
  const lines = did.stdout
    .trim()
    .split("\n")
    .map((line): unknown => JSON.parse(line))
  expect(lines.at(-1)).toMatchObject({ type: "summary", command: "repair", exit: 0, outcome: "ok", remainingCount: 0 })
  expect(lines).toContainEqual(expect.objectContaining({ type: "site", site: "three", replaced: 1 }))
  expect(await readFile(rotten)).toEqual(good)
  expect((await at.run([...config, "scrub", "--full"])).exit).toBe(0)
  expect((await at.run([...config, "repair"])).stdout).toContain("nothing repaired")
})

test("an empty directory in the place of a site is filled, and gives everything back alone", async () => {
  await using at = await host()
  await rm(at.path("q/sites/three"), { recursive: true })
  await mkdir(at.path("q/sites/three"))
  const filled = await at.run([...config, "repair", "--site", "three"])
  expect(filled.exit, filled.stdout).toBe(0)
  expect((await packsAt(at, "three")).length).toBe((await packsAt(at, "one")).length)
  const identity = ["--identity", "q/keys/escrow.identity"]
  const restored = await at.run([...config, "restore", "run", "switch", "--to", "out", "--from", "three", ...identity])
  expect(restored.exit).toBe(0)
  expect(await readFile(at.path("out/a.xml"), "utf8")).toBe("<a/>".repeat(100))
})

test("a site that is away makes a repair partial and a scrub find something; what cannot be followed is refused", async () => {
  await using at = await host()
  await rm(at.path("q/sites/two"), { recursive: true })
  const partial = await at.run([...config, "repair"])
  expect(partial.exit).toBe(3)
  expect(partial.stdout).toMatch(/site +two not reached: two: .*no such directory/)
  const scrubbed = await at.run([...config, "scrub"])
  expect(scrubbed.exit).toBe(6)
  expect(scrubbed.stdout).toMatch(/two +! unreadable/)
  expect((await at.run([...config, "repair", "--site", "twwo"])).exit).toBe(5)
  expect((await at.run([...config, "scrub", "--site", "twwo"])).exit).toBe(5)
  for (const wrong of [
    ["--sample", "0%"],
    ["--sample", "5"],
    ["--sample", "101%"],
    ["--days", "0"],
    ["--days", "soon"],
  ]) {
    expect((await at.run([...config, "scrub", ...wrong])).exit, wrong.join(" ")).toBe(2)
  }
})

test("a key object that no site has any more: a run says how to go on, and so it does", async () => {
  await using at = await host()
  const [lost = ""] = (await readdir(at.path("q/sites/one/v1/keys/platform"))).map((name) => `v1/keys/platform/${name}`)
  const bytes = await readFile(at.path("q/sites/one", lost))
  for (const site of ["one", "two", "three"]) await rm(at.path("q/sites", site, lost))
  await writeFile(at.path("etc/b.xml"), "<b/>")
  const stopped = await at.run([...config, "run", "switch"])
  expect(stopped.exit).toBe(1)
  expect(stopped.stdout).toContain(`no site has the key object ${lost}`)
  expect(stopped.stdout).toContain(`holdline key lost ${lost}`)
  const repaired = await at.run([...config, "repair"])
  expect(repaired.exit).toBe(1)
  expect(repaired.stdout).toMatch(new RegExp(`lost +${lost}: no site has good bytes`))

  expect((await at.run([...config, "key", "lost", "v1/keys/platform/1-e1-00.age"])).exit).toBe(5)
  expect((await at.run([...config, "key", "lost", lost])).exit).toBe(0)
  expect((await at.run([...config, "key", "lost", lost])).exit).toBe(5)
  const ran = await at.run([...config, "run", "switch"])
  expect(ran.exit, ran.stdout).toBe(0)
  expect((await at.run([...config, "scrub", "--full"])).exit).toBe(0)
  expect((await at.run([...config, "repair"])).exit).toBe(0)
  const identity = ["--identity", "q/keys/escrow.identity"]
  expect((await at.run([...config, "verify", "switch@latest", ...identity])).exit).toBe(0)
  const restored = await at.run([...config, "restore", "run", "switch", "--to", "out", ...identity])
  expect(restored.exit, restored.stdout).toBe(0)
  expect(await readFile(at.path("out/a.xml"), "utf8")).toBe("<a/>".repeat(100))
  expect(await readFile(at.path("out/b.xml"), "utf8")).toBe("<b/>")

  // Found after all, at one site: it is brought to the others, and opens what it opened before.
  await writeFile(at.path("q/sites/two", lost), bytes)
  expect((await at.run([...config, "repair"])).exit).toBe(0)
  expect(await readFile(at.path("q/sites/three", lost))).toEqual(bytes)
})

test("a key object that some site has is not declared lost", async () => {
  await using at = await host()
  const [there = ""] = (await readdir(at.path("q/sites/one/v1/keys/platform"))).map((name) => `v1/keys/platform/${name}`)
  for (const site of ["one", "two"]) await rm(at.path("q/sites", site, there))
  const refused = await at.run([...config, "key", "lost", there])
  expect(refused.exit).toBe(5)
  expect(refused.stderr).toMatch(/is not lost: three has good bytes/)
  await rm(at.path("q/sites/three"), { recursive: true })
  const unsure = await at.run([...config, "key", "lost", there])
  expect(unsure.exit).toBe(1)
  expect(unsure.stderr).toMatch(/three: cannot be read/)
})

test("two repairs at once: the second ends as busy, and a run is not kept waiting", async () => {
  await using at = await host()
  using _ = lockState(at.path("q/state/keeper-lock"))
  expect((await at.run([...config, "repair"])).exit).toBe(75)
  expect((await at.run([...config, "run", "switch"])).exit).toBe(0)
})
