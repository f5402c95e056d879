import { copyFile, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises"
import { describe, expect, it } from "vitest"
import { findIdentities } from "../../src/operation/doctor-identities.ts"
import { type Place, place } from "./holdline.ts"

const config = ["--config", "q/config/holdline.yaml"]

/** A quick start with its keys moved away, a source and a job: nothing is left to find. */
async function healthy(at: Place): Promise<void> {
  expect((await at.run(["--agent", "pbx", "init", "host", "--dir", "q", "--recipients", "x25519"])).exit).toBe(0)
  await rename(at.path("q/keys"), at.path("away"))
  await mkdir(at.path("etc"))
  await writeFile(at.path("etc/vars.xml"), "<include/>")
  const job = ["init", "job", "switch", "--mode", "state", "--source", "directory", "--path", at.path("etc")]
  expect((await at.run([...config, ...job, "--account", "platform", "--class", "state-35"])).exit).toBe(0)
}

async function doctor(at: Place, ...more: string[]) {
  return await at.run([...config, ...more, "doctor"])
}

describe("doctor", () => {
  it("finds nothing on a host that is as it should be, before and after the first run", async () => {
    await using at = await place()
    await healthy(at)
    const before = await doctor(at)
    expect(before.stdout.trimEnd().split("\n").at(-1)).toBe("✓ nothing found")
    expect(before.exit).toBe(0)
    expect(before.stdout).toContain("state: not there yet; the first run makes it")
    expect((await at.run([...config, "run", "switch"])).exit).toBe(0)
    const after = await doctor(at)
    expect(after).toMatchObject({ exit: 0 })
    expect(after.stdout).toContain(`catalog          ${at.path("q/state/catalog.sqlite")}`)
    expect(after.stdout).toMatch(/site two {9}answers; this repository; clocks .* apart/)
  })

  it("leaves nothing behind at the sites", async () => {
    await using at = await place()
    await healthy(at)
    await doctor(at)
    for (const site of ["one", "two", "three"]) {
      const visible = (await readdir(at.path("q/sites", site), { recursive: true })).filter((name) => !name.startsWith(".holdline-tmp"))
      expect(visible).toEqual([])
    }
  })

  it("names every key that is left on a backup host, and says what it is", async () => {
    await using at = await place()
    await healthy(at)
    await mkdir(at.path("q/state/deep/down"), { recursive: true })
    await mkdir(at.path(".config/age"), { recursive: true })
    await copyFile(at.path("away/operations.identity"), at.path("q/state/deep/down/notes.txt"))
    await copyFile(at.path("away/escrow-sheet.txt"), at.path(".config/age/keys.txt"))
    await copyFile(at.path("away/root.key"), at.path("q/jobs/old.pem"))
    const { exit, stdout } = await doctor(at)
    expect(exit).toBe(6)
    for (const name of ["q/state/deep/down/notes.txt", ".config/age/keys.txt"]) {
      expect(stdout).toContain(`${at.path(name)}: an identity, which opens what is kept, is on this backup host\n`)
    }
    expect(stdout).toContain(`${at.path("q/jobs/old.pem")}: the root key, which decides whom everybody believes, is on this backup host\n`)
    expect(stdout).not.toMatch(/AGE-SECRET-KEY-1\w|PRIVATE KEY/)
    expect(stdout.trimEnd()).toMatch(/✗ 4 findings$/)
  })

  it("complains of the keys of a quick start until they are moved off", async () => {
    await using at = await place()
    await healthy(at)
    await rename(at.path("away"), at.path("q/keys"))
    const { exit, stdout } = await doctor(at)
    expect(exit).toBe(6)
    for (const name of [
      "root.key",
      "operations.identity",
      "escrow.identity",
      "catalog.identity",
      "escrow-sheet.txt",
      "escrow-sheet.html",
    ]) {
      expect(stdout).toContain(at.path("q/keys", name))
    }
  })
})

describe("a doctor's finding", () => {
  it("says that the configuration is broken and goes on with what needs none", async () => {
    await using at = await place()
    await healthy(at)
    const text = await readFile(at.path("q/config/holdline.yaml"), "utf8")
    await writeFile(at.path("q/config/holdline.yaml"), text.replace("copies: 2", "copys: 2"))
    const { exit, stdout } = await doctor(at)
    expect(exit).toBe(6)
    expect(stdout).toContain("✗ finding  configuration    q/config/holdline.yaml:")
    expect(stdout).toContain("break-glass")
    expect((await at.run(["--config", "gone.yaml", "doctor"])).exit).toBe(6)
  })

  it("finds what was changed without a signature, a broken job, a site, a source and a key that are away", async () => {
    await using at = await place()
    await healthy(at)
    await writeFile(at.path("q/jobs/broken.yaml"), "version: 1\n")
    const text = await readFile(at.path("q/config/holdline.yaml"), "utf8")
    await writeFile(at.path("q/config/holdline.yaml"), text.replace("days: 90", "days: 60"))
    await rm(at.path("q/sites/two"), { recursive: true })
    await rm(at.path("etc"), { recursive: true })
    await rm(at.path("q/agent.key"))
    const { exit, stdout } = await doctor(at)
    expect(exit).toBe(6)
    expect(stdout).toContain("signed settings  classes.recordings-90.days: the configuration says 60, trust list 2 says 90")
    expect(stdout).toContain("job broken       q/jobs/broken.yaml:1:1: ")
    expect(stdout).toContain(`✗ finding  site two         two: ${at.path("q/sites/two")}: no such directory`)
    expect(stdout).toContain(`✗ finding  job switch       ${at.path("etc")} cannot be read: ENOENT`)
    expect(stdout).toContain(`agent            signing key ${at.path("q/agent.key")}: there is no such file`)
    expect(stdout).toContain("make it with `holdline init agent`")
  })

  it("finds a signing key that others can read", async () => {
    await using at = await place()
    await healthy(at)
    const key = await readFile(at.path("q/agent.key"))
    await rm(at.path("q/agent.key"))
    await writeFile(at.path("q/agent.key"), key, { mode: 0o644 })
    const { exit, stdout } = await doctor(at)
    expect(exit).toBe(6)
    expect(stdout).toContain("others than its owner may use it (mode 0644)")
    expect(stdout).toContain(`→ chmod 600 ${at.path("q/agent.key")}`)
  })

  it("finds that the trust file does not name this agent, or not its key", async () => {
    await using at = await place()
    await healthy(at)
    const stranger = await doctor(at, "--agent", "pbx-2")
    expect(stranger.stdout).toContain("agent pbx-2: trust list 2 does not name it")
    await rm(at.path("q/agent.key"))
    await at.run([...config, "init", "agent"])
    const other = await doctor(at)
    expect(other.stdout).toMatch(/agent pbx: trust list 2 has another key for it: SHA256:\S+ instead of SHA256:\S+/)
  })

  it("finds a site whose clock is far off, and another repository at it", async () => {
    await using at = await place()
    await healthy(at)
    const late = await at.run([...config, "doctor"], { now: new Date(Date.now() + 20 * 60_000) })
    expect(late.stdout).toMatch(/✗ finding {2}site one {9}its clock is 1?[29]m \d\ds behind this host's/)
    await at.run(["--agent", "pbx", "init", "host", "--dir", "other", "--recipients", "x25519"])
    await mkdir(at.path("q/sites/one/v1"), { recursive: true })
    await writeFile(at.path("q/sites/one/v1/repository-00000000000000000000000000000000.json"), "{}")
    const shared = await doctor(at)
    expect(shared.stdout).toContain("site one         1 other repository is kept here too")
  })

  it("speaks JSON: a line for each check, then the summary", async () => {
    await using at = await place()
    await healthy(at)
    const { exit, stdout } = await at.run([...config, "--json", "doctor"])
    const lines = stdout
      .trimEnd()
      .split("\n")
      .map((line): unknown => JSON.parse(line))
    expect(exit).toBe(0)
    expect(lines.at(-1)).toEqual({ type: "summary", command: "doctor", exit: 0, findings: 0 })
    expect(lines).toContainEqual(expect.objectContaining({ type: "check", check: "job switch", state: "right" }))
  })
})

describe("the search for identities", () => {
  it("follows no link, out of a directory or in place of one, and does not look below what it shall leave out", async () => {
    await using at = await place()
    await at.run(["init", "keys", "--out", "ceremony", "--recipients", "x25519"])
    await mkdir(at.path("host/sites"), { recursive: true })
    await symlink(at.path("ceremony"), at.path("host/linked"))
    await symlink(at.path("ceremony/escrow.identity"), at.path("host/file"))
    await copyFile(at.path("ceremony/escrow.identity"), at.path("host/sites/x"))
    const places = [at.path("host"), at.path("host/linked"), at.path("not-there")]
    expect(await findIdentities(places, { exclude: [at.path("host/sites")] })).toEqual({ found: [], unread: [], isCut: false })
    const { found } = await findIdentities(places, { exclude: [] })
    expect(found).toEqual([{ path: at.path("host/sites/x"), kind: "identity" }])
  })
})
