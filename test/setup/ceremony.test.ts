import { createPrivateKey } from "node:crypto"
import { copyFile, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises"
import { describe, expect, it } from "vitest"
import { decodeBundle, encodeBundle } from "../../src/format/bundle.ts"
import { decodeTrust } from "../../src/format/trust.ts"
import { readIdentityFile } from "../../src/key/identity-file.ts"
import { readSigningKey } from "../../src/key/signing.ts"
import { decryptSmall } from "../../src/key/small.ts"
import { verifyBundle } from "../../src/operation/trust-bundle.ts"
import { configuration, fingerprintAfter, noon, type Place, place } from "./holdline.ts"

const secret = /AGE-SECRET-KEY|PRIVATE KEY/

/** Keys on the operator's machine, trust file and configuration on the backup host. */
async function prepared(at: Place): Promise<string> {
  await mkdir(at.path("host"), { recursive: true })
  await mkdir(at.path("sites/one"), { recursive: true })
  await mkdir(at.path("sites/two"), { recursive: true })
  await mkdir(at.path("config"), { recursive: true })
  const { exit, stdout } = await at.run(["init", "keys", "--out", "ceremony", "--recipients", "x25519"], { now: noon })
  expect(exit).toBe(0)
  const fingerprint = fingerprintAfter("root", stdout)
  await copyFile(at.path("ceremony/trust.json"), at.path("host/trust.json"))
  await configure(at, { fingerprint })
  return fingerprint
}

async function configure(at: Place, own: Parameters<typeof configuration>[1]): Promise<void> {
  await writeFile(at.path("config/holdline.yaml"), configuration(at, own))
}

async function newestList(path: string, fingerprint: string) {
  const bytes = decodeBundle(await readFile(path), path).lists.at(-1)
  if (bytes === undefined) throw new Error("no list")
  return decodeTrust(bytes, fingerprint).body
}

const signAll = ["key", "trust", "host/pbx-fra-1.request.json", "--root", "ceremony/root.key", "--yes"]

describe("init keys", () => {
  it("makes files that only their owner can read, and says nothing of what is in them", async () => {
    await using at = await place()
    const { stdout, stderr } = await at.run(["init", "keys", "--out", "ceremony"], { now: noon })
    expect((await stat(at.path("ceremony"))).mode & 0o777).toBe(0o700)
    const modes = new Map<string, number>()
    for (const name of await readdir(at.path("ceremony"))) modes.set(name, (await stat(at.path("ceremony", name))).mode & 0o777)
    expect(Object.fromEntries(modes)).toEqual({
      "root.key": 0o600,
      "operations.identity": 0o600,
      "escrow.identity": 0o600,
      "catalog.identity": 0o600,
      "escrow-sheet.txt": 0o600,
      "escrow-sheet.html": 0o600,
      "trust.json": 0o644,
    })
    expect(stdout + stderr).not.toMatch(secret)
    for (const name of modes.keys()) expect(stdout).toContain(name)
    expect(stderr).toContain("holdline key escrow check TYPED --trust")
    const root = await readSigningKey(at.path("ceremony/root.key"))
    expect(fingerprintAfter("root", stdout)).toBe(root.fingerprint)
    expect(await readFile(at.path("ceremony/escrow-sheet.txt"), "utf8")).toContain(root.fingerprint)
  })

  it("is post-quantum unless told otherwise, and never mixed", async () => {
    await using at = await place()
    await at.run(["init", "keys", "--out", "a"])
    await at.run(["init", "keys", "--out", "b", "--recipients", "x25519"])
    for (const [folder, kind] of [
      ["a", "pq"],
      ["b", "x25519"],
    ] as const) {
      for (const name of ["operations", "escrow", "catalog"]) {
        const [identity] = await readIdentityFile(at.path(folder, `${name}.identity`))
        expect(identity.kind).toBe(kind)
      }
    }
  })

  it("seals the tombstone key to both organisation identities, as the specification says", async () => {
    await using at = await place()
    await at.run(["init", "keys", "--out", "ceremony", "--recipients", "x25519"])
    const bundle = decodeBundle(await readFile(at.path("ceremony/trust.json")), "trust.json")
    const tombstone = bundle.keys.find(({ name }) => name.startsWith("v1/keys/catalog/tombstone-e1-"))
    if (tombstone === undefined) throw new Error("no tombstone key")
    const texts: string[] = []
    for (const name of ["operations", "escrow"]) {
      const plain = await decryptSmall(tombstone.bytes, await readIdentityFile(at.path("ceremony", `${name}.identity`)))
      texts.push(Buffer.from(plain).toString())
    }
    expect(texts[0]).toMatch(/^# account: catalog\n# epoch: tombstone\n[0-9a-f]{64}\n$/)
    expect(texts[1]).toBe(texts[0])
    const catalog = await readIdentityFile(at.path("ceremony/catalog.identity"))
    await expect(decryptSmall(tombstone.bytes, catalog)).rejects.toMatchObject({ code: "key/wrong" })
  })

  it("never overwrites keys", async () => {
    await using at = await place()
    await at.run(["init", "keys", "--out", "ceremony", "--recipients", "x25519"])
    const before = await readFile(at.path("ceremony/root.key"))
    const { exit, stderr } = await at.run(["init", "keys", "--out", "ceremony", "--recipients", "x25519"])
    expect(exit).toBe(2)
    expect(stderr).toContain(`holdline: ${at.path("ceremony")}: it has keys already, and keys are never overwritten\n`)
    expect(await readFile(at.path("ceremony/root.key"))).toEqual(before)
  })

  it("does not go on where an earlier attempt ended, and leaves that one's files alone", async () => {
    await using at = await place()
    await mkdir(at.path("ceremony"), { mode: 0o700 })
    await writeFile(at.path("ceremony/root.key"), "half", { mode: 0o600 })
    const { exit, stderr } = await at.run(["init", "keys", "--out", "ceremony"])
    expect(exit).toBe(2)
    expect(stderr).toContain("root.key of an earlier attempt that did not finish")
    expect(await readFile(at.path("ceremony/root.key"), "utf8")).toBe("half")
  })
})

describe("key escrow check", () => {
  it("knows the sheet of this repository, as it is printed and as a person types it", async () => {
    await using at = await place()
    await at.run(["init", "keys", "--out", "ceremony"])
    const check = ["key", "escrow", "check", "ceremony/escrow-sheet.txt", "--trust", "ceremony/trust.json"]
    expect((await at.run(check)).stdout).toContain("✓ right  this sheet opens every backup of repository ")
    const lines = (await readFile(at.path("ceremony/escrow-sheet.txt"), "utf8")).split("\n")
    const start = lines.findIndex((line) => line.trim() === "AGE-SECRET-KEY-PQ-1")
    const typed = lines
      .slice(start, start + 5)
      .join("\n")
      .toLowerCase()
    const byHand = await at.run(["key", "escrow", "check", "-", "--trust", "ceremony/trust.json"], { piped: typed })
    expect(byHand.exit).toBe(0)
    expect(at.said()).not.toMatch(secret)
  })

  it("tells a typing error from a sheet of another repository", async () => {
    await using at = await place()
    await at.run(["init", "keys", "--out", "a"])
    await at.run(["init", "keys", "--out", "b"])
    const foreign = await at.run(["key", "escrow", "check", "a/escrow-sheet.txt", "--trust", "b/trust.json"])
    expect(foreign.exit).toBe(4)
    expect(foreign.stderr).toContain("escrow sheet: every line is typed right, but it opens nothing of this repository")
    const sheet = await readFile(at.path("a/escrow-sheet.txt"), "utf8")
    const mistyped = sheet.replace(/^( {4}2 {3})(\S)/m, (_, lead: string, first: string) => lead + (first === "Q" ? "P" : "Q"))
    expect(mistyped).not.toBe(sheet)
    await writeFile(at.path("typed"), mistyped, { mode: 0o600 })
    const wrong = await at.run(["key", "escrow", "check", "typed", "--trust", "a/trust.json"])
    expect(wrong.exit).toBe(2)
    expect(wrong.stderr).toContain("escrow sheet: line 2 is mistyped: its check does not fit")
  })

  it("is not content with another organisation identity", async () => {
    await using at = await place()
    await at.run(["init", "keys", "--out", "a"])
    const { secret: text } = (await readIdentityFile(at.path("a/operations.identity")))[0]
    const data = text.reveal().slice("AGE-SECRET-KEY-PQ-1".length)
    expect(data).toHaveLength(58)
    const { exit } = await at.run(["key", "escrow", "check", "a/operations.identity", "--trust", "a/trust.json"])
    expect(exit).toBe(2)
  })
})

describe("the ceremony", () => {
  it("goes from keys over an agent's request to a trust list that the agent follows", async () => {
    await using at = await place()
    const fingerprint = await prepared(at)
    const refused = await at.run(["doctor"])
    expect(refused.stdout).toContain("signed settings  durable.copies: the configuration says 2, trust list 1 says 0")

    const agent = await at.run(["init", "agent"], { now: noon })
    expect(agent.exit).toBe(0)
    expect((await stat(at.path("host/agent.key"))).mode & 0o777).toBe(0o600)
    expect(await readdir(at.path("host"))).toEqual(["agent.key", "pbx-fra-1.request.json", "trust.json"])
    const key = await readSigningKey(at.path("host/agent.key"))
    expect(fingerprintAfter("key", agent.stdout)).toBe(key.fingerprint)

    const signed = await at.run(signAll)
    expect(signed.exit).toBe(0)
    expect(signed.stdout).toContain(`agent pbx-fra-1`)
    expect(signed.stdout).toContain(key.fingerprint)
    const list = await newestList(at.path("ceremony/trust.json"), fingerprint)
    expect(list).toMatchObject({
      n: 2,
      agents: [{ id: "pbx-fra-1", key: key.publicKey, role: "agent" }],
      classes: {
        "state-35": { days: 35, reuseDays: 7, tier: {} },
        "mixed-28": { days: 28, keyEpoch: "week", tier: { s3: "STANDARD_IA" } },
      },
      sites: { one: { provider: "own", region: "here", zone: "z-1" }, two: { provider: "colo", region: "there" } },
      durable: { copies: 2, providers: 1 },
    })
    await copyFile(at.path("ceremony/trust.json"), at.path("host/trust.json"))
    const doctor = await at.run(["doctor"])
    expect(doctor.stdout).toContain(`agent            pbx-fra-1: key ${key.fingerprint} is trusted`)
    expect(doctor.stdout).toContain("classes, sites and copies are as the root signed them")
    expect(doctor.exit).toBe(0)
    expect(at.said()).not.toMatch(secret)
  })

  it("needs no configuration on the host yet", async () => {
    await using at = await place()
    const fingerprint = await prepared(at)
    const argv = ["--agent", "new", "init", "agent", "--trust", "host/trust.json", "--key", "keys/a.key", "--fingerprint", fingerprint]
    expect((await at.run(argv)).exit).toBe(0)
    expect(await readdir(at.path("keys"))).toEqual(["a.key", "new.request.json"])
  })
})

describe("init agent", () => {
  it("keeps a key that is there and writes the request again", async () => {
    await using at = await place()
    await prepared(at)
    await at.run(["init", "agent"], { now: noon })
    const key = await readFile(at.path("host/agent.key"))
    const request = await readFile(at.path("host/pbx-fra-1.request.json"))
    const again = await at.run(["init", "agent"], { now: noon })
    expect(again.stdout).toContain("✓ kept  signing key of agent pbx-fra-1")
    expect(await readFile(at.path("host/agent.key"))).toEqual(key)
    expect(await readFile(at.path("host/pbx-fra-1.request.json"))).toEqual(request)
  })

  it("refuses the trust file of another root", async () => {
    await using at = await place()
    await prepared(at)
    await at.run(["init", "keys", "--out", "other", "--recipients", "x25519"])
    await copyFile(at.path("other/trust.json"), at.path("host/trust.json"))
    const { exit, stderr } = await at.run(["init", "agent"])
    expect(exit).toBe(4)
    expect(stderr).toContain("repository: signed by root SHA256:")
    expect(await readdir(at.path("host"))).toEqual(["trust.json"])
  })

  it("refuses to work while the root is the placeholder, with the line it stands on", async () => {
    await using at = await place()
    await prepared(at)
    await configure(at, {})
    const { exit, stderr } = await at.run(["init", "agent"])
    expect(exit).toBe(2)
    expect(stderr).toContain("config/holdline.yaml:4:")
    expect(stderr).toContain("trust.root is still the placeholder, which fits no key, so nothing is trusted")
  })

  it.each(["operations.identity", "escrow-sheet.txt", "escrow-sheet.html", "root.key"])(
    "makes no key where %s is left beside it",
    async (name) => {
      await using at = await place()
      await prepared(at)
      await mkdir(at.path("host/old/deep"), { recursive: true })
      await copyFile(at.path("ceremony", name), at.path("host/old/deep/x"))
      const { exit, stderr } = await at.run(["init", "agent"])
      expect(exit).toBe(4)
      expect(stderr).toContain(at.path("host/old/deep/x"))
      expect(stderr).not.toMatch(secret)
      expect(await readdir(at.path("host"))).toEqual(["old", "trust.json"])
    },
  )

  it("refuses a trust file that somebody pasted an identity into", async () => {
    await using at = await place()
    await prepared(at)
    const identity = await readFile(at.path("ceremony/operations.identity"), "utf8")
    await writeFile(at.path("given.json"), (await readFile(at.path("host/trust.json"), "utf8")) + identity)
    const { exit, stderr } = await at.run(["init", "agent", "--trust", "given.json"])
    expect(exit).toBe(4)
    expect(stderr).toContain("given.json: an identity stands in it")
    expect(stderr).not.toMatch(secret)
  })
})

describe("key trust", () => {
  it.each([
    ["agent", (text: string) => text.replace("pbx-fra-1", "pbx-fra-2")],
    ["created", (text: string) => text.replace("12:00:00.000Z", "12:00:00.001Z")],
    ["key", (text: string) => text.replace(/"key": "[^"]+"/, `"key": "${Buffer.alloc(32, 7).toString("base64")}"`)],
    ["proof", (text: string) => text.replace(/("proof": ")(.)/, (_, lead: string, first: string) => lead + (first === "A" ? "B" : "A"))],
  ])("refuses a request whose %s was changed on its way", async (_, change) => {
    await using at = await place()
    await prepared(at)
    await at.run(["init", "agent"], { now: noon })
    const before = await readFile(at.path("ceremony/trust.json"))
    const request = await readFile(at.path("host/pbx-fra-1.request.json"), "utf8")
    expect(change(request)).not.toBe(request)
    await writeFile(at.path("host/pbx-fra-1.request.json"), change(request))
    const { exit, stderr } = await at.run(signAll)
    expect(exit).toBe(4)
    expect(stderr).toContain("its proof does not fit")
    expect(await readFile(at.path("ceremony/trust.json"))).toEqual(before)
  })

  it("asks on a terminal, and signs nothing for another answer than the list's number", async () => {
    await using at = await place()
    await prepared(at)
    await at.run(["init", "agent"])
    const argv = signAll.filter((word) => word !== "--yes")
    const before = await readFile(at.path("ceremony/trust.json"))
    expect(await at.run(argv)).toMatchObject({ exit: 2 })
    expect(await at.run(argv, { typed: "yes\n" })).toMatchObject({ exit: 2 })
    expect(await readFile(at.path("ceremony/trust.json"))).toEqual(before)
    const agreed = await at.run(argv, { typed: "2\n" })
    expect(agreed.exit).toBe(0)
    expect(agreed.stderr).toContain("Sign trust list 2? Type its number to sign it: ")
  })

  it("says nothing new where nothing changed", async () => {
    await using at = await place()
    const fingerprint = await prepared(at)
    await at.run(["init", "agent"])
    await at.run(signAll)
    const again = await at.run(signAll)
    expect(again).toMatchObject({ exit: 0, stdout: "✓ unchanged  trust list 2 says all this already\n" })
    expect((await newestList(at.path("ceremony/trust.json"), fingerprint)).n).toBe(2)
  })

  it("never promises less without being told to", async () => {
    await using at = await place()
    const fingerprint = await prepared(at)
    await at.run(["init", "agent"])
    await at.run(signAll)
    await configure(at, { fingerprint, days: 30, copies: 1 })
    const refused = await at.run(signAll)
    expect(refused.exit).toBe(2)
    expect(refused.stdout).toMatch(/^ {2}~ {2}class state-35: days {2}35 → 30 {2}! weaker$/m)
    expect(refused.stdout).toMatch(/^ {2}~ {2}durable: copies {7}2 → 1 {4}! weaker$/m)
    expect(refused.stderr).toContain(
      "trust list 3 would promise less than the ones before it: class state-35: days: 30 instead of 35; durable: copies: 1 instead of 2",
    )
    expect((await newestList(at.path("ceremony/trust.json"), fingerprint)).n).toBe(2)
    expect((await at.run([...signAll, "--allow-weaker"])).exit).toBe(0)
    expect(await newestList(at.path("ceremony/trust.json"), fingerprint)).toMatchObject({ n: 3, durable: { copies: 1 } })
  })

  it("remembers what a class promised while it was out of the list", async () => {
    await using at = await place()
    const fingerprint = await prepared(at)
    await at.run(["init", "agent"])
    await at.run(signAll)
    const text = configuration(at, { fingerprint, days: 30 })
    await writeFile(at.path("config/holdline.yaml"), text.replace(/^ {2}state-35.*\n/m, ""))
    expect((await at.run(signAll)).exit).toBe(0)
    await writeFile(at.path("config/holdline.yaml"), text)
    const { exit, stdout } = await at.run(signAll)
    expect(exit).toBe(2)
    expect(stdout).toMatch(/\+ {2}class state-35 .*weaker/)
  })
})

describe("keys that are replaced, foreign, or of another time", () => {
  it("gives an agent a new key, keeps every list, and refuses one key for two agents", async () => {
    await using at = await place()
    const fingerprint = await prepared(at)
    await at.run(["init", "agent"])
    await at.run(signAll)
    const other = ["--agent", "pbx-fra-2", "init", "agent"]
    await at.run(other)
    const twice = await at.run(["key", "trust", "host/pbx-fra-2.request.json", "--root", "ceremony/root.key", "--yes"])
    expect(twice.exit).toBe(4)
    expect(twice.stderr).toContain("request of pbx-fra-2: its key is agent pbx-fra-1's")

    const first = await newestList(at.path("ceremony/trust.json"), fingerprint)
    await at.run(["init", "agent", "--key", "new/agent.key", "--request", "host/pbx-fra-1.request.json"])
    const replaced = await at.run(signAll)
    expect(replaced.stdout).toMatch(/~ {2}agent pbx-fra-1: key {2}SHA256:\S+ → SHA256:\S+/)
    const bundle = decodeBundle(await readFile(at.path("ceremony/trust.json")), "trust.json")
    expect(bundle.lists).toHaveLength(3)
    expect((await newestList(at.path("ceremony/trust.json"), fingerprint)).agents).not.toEqual(first.agents)
    const removed = await at.run(["key", "trust", "--root", "ceremony/root.key", "--yes", "--remove", "pbx-fra-1"])
    expect(removed.stdout).toMatch(/- {2}agent pbx-fra-1/)
    expect((await newestList(at.path("ceremony/trust.json"), fingerprint)).agents).toEqual([])
  })

  it("refuses another repository's root key, a chain with a gap and a clock that runs behind", async () => {
    await using at = await place()
    await prepared(at)
    await at.run(["init", "agent"])
    await at.run(["init", "keys", "--out", "other", "--recipients", "x25519"])
    const foreign = await at.run(["key", "trust", "--root", "other/root.key", "--trust", "ceremony/trust.json", "--yes"])
    expect(foreign.exit).toBe(4)
    const pinned = await at.run(["key", "trust", "--root", "other/root.key", "--yes"])
    expect(pinned.stderr).toContain("but the configuration trusts SHA256:")
    const early = await at.run(signAll, { now: new Date("2020-01-01T00:00:00Z") })
    expect(early.stderr).toContain("this machine's clock says 2020-01-01T00:00:00.000Z, but trust list 1 is of 2026-11-21T12:00:00.000Z")

    await at.run(signAll)
    const bundle = decodeBundle(await readFile(at.path("ceremony/trust.json")), "trust.json")
    await writeFile(at.path("ceremony/trust.json"), encodeBundle({ ...bundle, lists: bundle.lists.slice(1) }))
    const gap = await at.run(signAll)
    expect(gap.exit).toBe(4)
    expect(gap.stderr).toContain("the lists before it are missing")
  })

  it("refuses a trust file that was rolled back, and a number that was signed twice", async () => {
    await using at = await place()
    const fingerprint = await prepared(at)
    await at.run(["init", "agent"])
    await at.run(signAll)
    const older = decodeBundle(await readFile(at.path("host/trust.json")), "older")
    const newer = verifyBundle(decodeBundle(await readFile(at.path("ceremony/trust.json")), "newer"), fingerprint)
    const seen = { n: 2, sha256: newer.newest.sha256 }
    expect(verifyBundle(newer.bundle, fingerprint, seen).newest.body.n).toBe(2)
    expect(() => verifyBundle(older, fingerprint, seen)).toThrow(expect.objectContaining({ code: "key/rollback" }))

    await configure(at, { fingerprint, days: 100 })
    await at.run([...signAll, "--trust", "host/trust.json"])
    const forked = decodeBundle(await readFile(at.path("host/trust.json")), "forked")
    const both = { ...newer.bundle, lists: [...newer.bundle.lists, ...forked.lists] }
    expect(() => verifyBundle(both, fingerprint)).toThrow(expect.objectContaining({ code: "key/untrusted" }))
  })

  it("opens a root key that is encrypted, with its passphrase only", async () => {
    await using at = await place()
    await prepared(at)
    const key = createPrivateKey(await readFile(at.path("ceremony/root.key")))
    const encrypted = key.export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "correct horse" })
    await writeFile(at.path("ceremony/root.key"), encrypted)
    await writeFile(at.path("right"), "correct horse\n", { mode: 0o600 })
    await writeFile(at.path("wrong"), "battery staple\n", { mode: 0o600 })
    await at.run(["init", "agent"])
    expect((await at.run(signAll)).stderr).toContain("it is encrypted and no passphrase was given")
    expect((await at.run([...signAll, "--passphrase-file", "wrong"])).exit).toBe(4)
    expect((await at.run([...signAll, "--passphrase-file", "right"])).exit).toBe(0)
    expect(at.said()).not.toMatch(/horse|battery/)
  })
})
