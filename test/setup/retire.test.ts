import { execFileSync } from "node:child_process"
import { createPublicKey } from "node:crypto"
import { copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises"
import { describe, expect, it, type TestContext } from "vitest"
import { decodeBundle } from "../../src/format/bundle.ts"
import { trustKey } from "../../src/format/names.ts"
import { requireTool } from "../requires.ts"
import { type Place, place } from "./holdline.ts"

const config = ["--config", "q/config/holdline.yaml"]
const root = "q/keys/root.key"

/** A quick start of three sites with a job that has run, and people who can sign, as far as they are `trusted`. */
async function operator(context: TestContext, { trusted = ["ada", "ben"] } = {}): Promise<Place> {
  const lacking = requireTool("ssh-keygen")
  if (lacking !== null) context.skip(lacking)
  const at = await place()
  await done(at, ["--agent", "pbx", "init", "host", "--dir", "q", "--recipients", "x25519"])
  for (const name of ["ada", "ben", "eve"]) {
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", at.path(name)], { stdio: "pipe" })
  }
  if (trusted.length > 0) await trust(at, ["--person", ...trusted.map((name) => `${name}=${name}.pub`)])
  await mkdir(at.path("etc"))
  await writeFile(at.path("etc/vars.xml"), "<include/>")
  const job = ["init", "job", "switch", "--mode", "state", "--source", "directory", "--path", at.path("etc")]
  await done(at, [...config, ...job, "--account", "platform", "--class", "state-35"])
  await done(at, [...config, "run", "switch"])
  return at
}

/** Signs a trust list and puts it in its place, without asking. */
async function trust(at: Place, options: readonly string[]): Promise<void> {
  await done(at, [...config, "key", "trust", "--root", root, "--yes", ...options])
  await copyFile(at.path("q/keys/trust.json"), at.path("q/trust.json"))
}

async function done(at: Place, argv: readonly string[]) {
  const ended = await at.run(argv)
  expect(ended, argv.join(" ")).toMatchObject({ exit: 0 })
  return ended
}

/** Has someone sign the statement, as the command said; returns the signature's path. */
function sign(at: Place, who: string, { namespace = "holdline-approval", file = "two.json" } = {}): string {
  const bytes = execFileSync("ssh-keygen", ["-Y", "sign", "-n", namespace, "-f", at.path(who), "-"], {
    input: execFileSync("cat", [at.path(file)]),
    stdio: ["pipe", "pipe", "pipe"],
  })
  const path = `${who}-${namespace}.sig`
  execFileSync("tee", [at.path(path)], { input: bytes, stdio: "pipe" })
  return path
}

const retire = [...config, "site", "retire", "two", "--statement", "two.json"]

async function ask(at: Place): Promise<void> {
  expect(await at.run([...retire, "--reason", "the data centre burnt down"])).toMatchObject({ exit: 7 })
}

async function record(at: Place, ...signatures: readonly string[]) {
  return await at.run([...retire, ...signatures.flatMap((path) => ["--signature", path])])
}

describe("site retire", () => {
  it("is no site that upkeep waits for, or misses anything at", async (context) => {
    await using at = await operator(context)
    await rename(at.path("q/sites/two"), at.path("lost"))
    expect(await at.run([...config, "repair"])).toMatchObject({ exit: 3 })
    await ask(at)
    expect(await record(at, sign(at, "ada"), sign(at, "ben"))).toMatchObject({ exit: 0 })
    for (const memory of ["with the memory of a host", "with none"]) {
      const scrubbed = await at.run([...config, "scrub", "--full"])
      expect(scrubbed, memory).toMatchObject({ exit: 0, stdout: expect.stringMatching(/hashed {2}2 sites/) })
      const repaired = await at.run([...config, "repair"])
      expect(repaired, memory).toMatchObject({ exit: 0, stderr: expect.stringContaining("two: retired on") })
      await rm(at.path("q/state/catalog.sqlite"), { force: true })
    }
  })

  it("takes a lost site out of the count: runs go on without it, every command that reads leaves it out", async (context) => {
    await using at = await operator(context)
    await rename(at.path("q/sites/two"), at.path("lost"))
    const asked = await at.run([...retire, "--reason", "the data centre burnt down"])
    expect(asked).toMatchObject({ exit: 7 })
    expect(asked.stdout).toContain("  ssh-keygen -Y sign -n holdline-approval -f ~/.ssh/id_ed25519 two.json\n")
    expect(asked.stdout).toContain("two of ada, ben must sign two.json")
    expect(JSON.parse(await readFile(at.path("two.json"), "utf8"))).toMatchObject({
      action: "site-retired",
      subject: { site: "two", provider: "own", region: "here", zone: "two" },
      reason: "the data centre burnt down",
    })
    const recorded = await record(at, sign(at, "ada"), sign(at, "ben"))
    expect(recorded).toMatchObject({ exit: 0, stdout: "✓ retired  two: approved by ada and ben, recorded at one, three\n" })

    const text = expect.stringContaining("two: retired on")
    const run = await done(at, [...config, "run", "switch"])
    expect(run.stdout).toContain("2 of 2 sites")
    expect(run.stdout).toMatch(/two: retired on .* by ada and ben \(the data centre burnt down\): nothing is written there/)
    expect(run.stderr.match(/two: retired/g)).toHaveLength(1)
    expect(run.stderr).not.toContain("two left out")
    expect((await done(at, [...config, "site", "list"])).stdout).toEqual(text)
    const listed = await done(at, [...config, "snapshots", "list"])
    expect(listed.stderr).toEqual(text)
    expect(listed.stderr).not.toContain("two left out")
    const doctor = await at.run([...config, "doctor"])
    expect(doctor.stdout).toMatch(/site two +retired on .*, and still in the configuration and in switch/)
    expect(await readdir(at.path("q/sites"))).not.toContain("two")
  })

  it("is believed by whoever reads the log, with no memory of this host's", async (context) => {
    await using at = await operator(context)
    await ask(at)
    expect(await record(at, sign(at, "ada"), sign(at, "ben"))).toMatchObject({ exit: 0 })
    await rename(at.path("q/state"), at.path("forgotten"))
    const before = await readdir(at.path("q/sites/two"), { recursive: true })
    expect((await done(at, [...config, "run", "switch"])).stdout).toContain("2 of 2 sites")
    expect(await readdir(at.path("q/sites/two"), { recursive: true })).toEqual(before)
    await rename(at.path("q/state"), at.path("forgotten too"))
    const identity = ["--identity", "q/keys/operations.identity"]
    const restored = await done(at, [...config, "restore", "run", "switch", "--to", "out", ...identity])
    expect(restored.stderr).toContain("two: retired on")
    expect(await readFile(at.path("out/vars.xml"), "utf8")).toBe("<include/>")
  })

  it("leaves a site unheard that is there all the same: it may not say any more whom to believe", async (context) => {
    await using at = await operator(context)
    await ask(at)
    expect(await record(at, sign(at, "ada"), sign(at, "ben"))).toMatchObject({ exit: 0 })
    await done(at, [...config, "key", "trust", "--root", root, "--yes", "--remove-person", "ben"])
    const newest = decodeBundle(await readFile(at.path("q/keys/trust.json")), "trust").lists.at(-1) ?? Buffer.of()
    await writeFile(at.path("q/sites/two", trustKey(4, newest)), newest)
    await done(at, [...config, "run", "switch"])
    await done(at, [...config, "snapshots", "list"])
    expect(await readdir(at.path("q/sites/one/v1/trust"))).toHaveLength(3)
    expect((await done(at, [...config, "snapshots", "list", "--from", "two"])).stdout).toContain("switch")
    await done(at, [...config, "run", "switch"])
    // Asked by name, it was heard, and this host has followed its list since.
    expect(await readdir(at.path("q/sites/one/v1/trust"))).toHaveLength(4)
  })

  it("is recorded once, however often it is asked for", async (context) => {
    await using at = await operator(context)
    await ask(at)
    const signatures = [sign(at, "ada"), sign(at, "ben")]
    expect((await record(at, ...signatures)).stdout).toContain("✓ retired  two")
    const commits = await readdir(at.path("q/sites/one/v1/pbx/log"))
    expect(await record(at, ...signatures)).toMatchObject({ exit: 0, stdout: expect.stringContaining("✓ retired already  two") })
    expect(await readdir(at.path("q/sites/one/v1/pbx/log"))).toEqual(commits)
    const again = await at.run([...config, "site", "retire", "two", "--statement", "more.json", "--reason", "again"])
    expect(again).toMatchObject({ exit: 0, stdout: expect.stringContaining("two: retired on") })
  })
})

describe("site retire where it must not be", () => {
  const refusals: readonly (readonly [string, (at: Place) => Promise<readonly string[]> | readonly string[], string, number])[] = [
    ["one signature", (at) => [sign(at, "ada")], "approved by ada alone, two people are needed", 4],
    ["two of one person", (at) => [sign(at, "ada"), sign(at, "ada")], "ada has signed already", 4],
    ["one of somebody unknown", (at) => [sign(at, "ada"), sign(at, "eve")], "which trust list 3 gives to nobody", 4],
    ["one for something else", (at) => [sign(at, "ada"), sign(at, "ben", { namespace: "file" })], 'made for "file", not for', 1],
    [
      "those of a statement that was changed since",
      async (at) => {
        const signatures = [sign(at, "ada"), sign(at, "ben")]
        const text = await readFile(at.path("two.json"), "utf8")
        await writeFile(at.path("two.json"), text.replace("burnt down", "was moved"))
        return signatures
      },
      "what was signed is not this",
      1,
    ],
    ["none but a file that is no signature", () => ["ada.pub", "ada.pub"], "not a signature of SSH", 1],
  ]

  it(`is refused with ${refusals.map(([what]) => what).join("; with ")}; and nothing is recorded`, async (context) => {
    await using at = await operator(context)
    await ask(at)
    const commits = await readdir(at.path("q/sites/one/v1/pbx/log"))
    for (const [what, signatures, words, exit] of refusals) {
      const refused = await record(at, ...(await signatures(at)))
      expect(refused, what).toMatchObject({ exit, stderr: expect.stringContaining(words) })
    }
    expect(await readdir(at.path("q/sites/one/v1/pbx/log"))).toEqual(commits)
  })

  it("is refused before anybody is asked, where it could not be meant or not be approved", async (context) => {
    await using at = await operator(context, { trusted: ["ada"] })
    const asking = (site: string, ...more: readonly string[]) =>
      at.run([...config, "site", "retire", site, "--statement", "s.json", "--reason", "gone", ...more])
    expect(await asking("two")).toMatchObject({
      exit: 4,
      stderr: expect.stringContaining("two people must approve this, and trust list 3 names only ada with the role retire"),
    })
    expect(await asking("twa")).toMatchObject({ exit: 5, stderr: expect.stringContaining("no site of trust list 3") })
    const unreasoned = await at.run([...config, "site", "retire", "two", "--statement", "s.json"])
    expect(unreasoned).toMatchObject({ exit: 2, stderr: expect.stringContaining("--reason is missing") })

    await trust(at, ["--person", "ben=ben.pub"])
    await writeFile(at.path("s.json"), "already")
    expect(await asking("two")).toMatchObject({ exit: 2, stderr: expect.stringContaining("may be what somebody signed") })
    expect(await readFile(at.path("s.json"), "utf8")).toBe("already")
  })

  it("of a site that the others cannot do without is refused, for the repository and for each job", async (context) => {
    await using at = await operator(context)
    await ask(at)
    const signatures = [sign(at, "ada"), sign(at, "ben")]
    const job = at.path("q/jobs/switch.yaml")
    await writeFile(job, (await readFile(job, "utf8")).replace("sites: [one, two, three]", "sites: [one, two]"))
    const words = "two cannot be retired: job switch asks for 2 copies at 1 provider, the other sites make 1 at 1"
    expect(await record(at, ...signatures)).toMatchObject({ exit: 2, stderr: expect.stringContaining(words) })
    await writeFile(job, (await readFile(job, "utf8")).replace("sites: [one, two]", "sites: [one, three, two]"))
    expect(await record(at, ...signatures)).toMatchObject({ exit: 0 })

    const last = await at.run([...config, "site", "retire", "three", "--statement", "three.json", "--reason", "gone"])
    expect(last).toMatchObject({ exit: 2, stderr: expect.stringContaining("trust list 3 asks for 2 copies at 1 provider") })
  })

  it("lapses, and is worth nothing once one of its people may approve no longer", async (context) => {
    await using at = await operator(context)
    await ask(at)
    const signatures = ["--signature", sign(at, "ada"), "--signature", sign(at, "ben")]
    const later = new Date(Date.parse(JSON.parse(await readFile(at.path("two.json"), "utf8")).expires) + 1)
    const late = await at.run([...retire, ...signatures], { now: later })
    expect(late).toMatchObject({ exit: 4, stderr: expect.stringContaining("expired at") })
    await trust(at, ["--remove-person", "ben"])
    const without = await at.run([...retire, ...signatures])
    expect(without).toMatchObject({ exit: 4, stderr: expect.stringContaining("which trust list 4 gives to nobody") })
  })
})

describe("people in a trust list", () => {
  it("are added, changed and removed with the keys they sign with, and shown", async (context) => {
    await using at = await operator(context, { trusted: [] })
    const fingerprint = (name: string) =>
      execFileSync("ssh-keygen", ["-lf", at.path(`${name}.pub`)])
        .toString()
        .split(" ")[1] ?? ""
    const added = await done(at, [...config, "key", "trust", "--root", root, "--yes", "--person", "Ada L.=ada.pub", "ben=ben.pub"])
    expect(added.stdout).toContain(`+  person Ada L.  ssh-ed25519 ${fingerprint("ada")}, may approve retire`)
    const changed = await done(at, [...config, "key", "trust", "--root", root, "--yes", "--person", "ben=eve.pub"])
    expect(changed.stdout).toContain(`~  person ben: ssh-ed25519  ${fingerprint("ben")} → ${fingerprint("eve")}`)
    const removed = await done(at, [...config, "key", "trust", "--root", root, "--yes", "--remove-person", "ben"])
    expect(removed.stdout).toContain("-  person ben")
    await copyFile(at.path("q/keys/trust.json"), at.path("q/trust.json"))
    const listed = await done(at, [...config, "key", "list"])
    expect(listed.stdout).toMatch(new RegExp(`^person +Ada L\\. \\(retire\\) +${fingerprint("ada").replaceAll("+", "\\+")}$`, "m"))
    expect(listed.stdout).not.toContain("ben")
  })

  const refusals: readonly (readonly [string, readonly string[], string])[] = [
    ["two of them with one key", ["--person", "ada=ada.pub", "ben=ada.pub"], "person ben: this key is ada's"],
    ["a private key", ["--person", "ada=ada"], "this is a private key"],
    ["no file", ["--person", "ada"], "expected a name and a file, such as Ada=ada.pub"],
    ["a file that is not there", ["--person", "ada=gone.pub"], "no such file"],
    ["a role that nothing knows", ["--person", "ada=ada.pub", "--role", "restore"], "role restore: expected one of retire"],
    ["a name that could hide something", ["--person", "a\u202eda=ada.pub"], "expected a name of letters"],
    ["somebody to remove who is not there", ["--remove-person", "cyd"], "does not name them"],
    ["the key of an agent", ["--person", "pbx=agent.pub"], "this key is the root's or an agent's"],
  ]

  it(`are not signed with ${refusals.map(([what]) => what).join("; with ")}`, async (context) => {
    await using at = await operator(context, { trusted: [] })
    const der = createPublicKey(await readFile(at.path("q/agent.key"), "utf8")).export({ format: "der", type: "spki" })
    const wire = Buffer.concat([Buffer.from("0000000b7373682d6564323535313900000020", "hex"), der.subarray(-32)])
    await writeFile(at.path("agent.pub"), `ssh-ed25519 ${wire.toString("base64")} pbx\n`)
    for (const [what, options, words] of refusals) {
      const refused = await at.run([...config, "key", "trust", "--root", root, "--yes", ...options])
      expect(refused.stderr, what).toContain(words)
      expect(refused.exit).toBeGreaterThan(0)
    }
  })
})
