import { describe, expect, test } from "vitest"
import { addAccounts } from "../../src/catalog/accounts.ts"
import { rememberProof } from "../../src/catalog/proofs.ts"
import { timestamp } from "../../src/clock.ts"
import { sha256 } from "../../src/digest.ts"
import { SiteError } from "../../src/errors.ts"
import { type Commit, decodeCommit, encodeControlCommit, type HoldRecord } from "../../src/format/commit.ts"
import { commitKey } from "../../src/format/names.ts"
import { decodeTrust, encodeTrust } from "../../src/format/trust.ts"
import { accountToHold, holdsIn, holdToLift, liftHold, ownHolds, placeHold, readHolds, refuseNoScope } from "../../src/operation/hold.ts"
import { readRetention } from "../../src/operation/retention.ts"
import { Expiry } from "../../src/retention/expiry.ts"
import { memorySite } from "../../src/site/memory.ts"
import type { Site } from "../../src/site/site.ts"
import { signerOf } from "../format/signing.ts"
import { type Lab, openLab, vaultSites } from "../operation/lab.ts"
import { sharedPool } from "../operation/lab-pool.ts"

const pool = sharedPool()
const dayMs = 86_400_000

/** A site that takes nothing. */
function refusing(site: Site): Site {
  return {
    name: site.name,
    put: async () => await Promise.reject(new SiteError(site.name, "site/unavailable", `${site.name}: away`)),
    get: (key, options) => site.get(key, options),
    head: (key, options) => site.head(key, options),
    list: (prefix, options) => site.list(prefix, options),
  }
}

/** A site that lists nothing. */
function silent(site: Site): Site {
  return {
    ...refusing(site),
    async *list() {
      yield* await Promise.reject<never[]>(new SiteError(site.name, "site/unavailable", `${site.name}: away`))
    },
  }
}

async function place(lab: Lab, scope: Omit<Parameters<typeof placeHold>[2], "by" | "reason">): Promise<string> {
  const world = lab.world()
  const { log } = await ownHolds(world)
  return (await placeHold(world, log, { ...scope, by: "Ada", reason: " case 4711 " })).id
}

async function lift(lab: Lab, id: string, agent: "pbx-1" | "pbx-2" = "pbx-1"): Promise<void> {
  const world = lab.world({ agent })
  const { log, holds } = await ownHolds(world)
  await liftHold(world, log, { id: holdToLift(holds, id, world.agent.id).id, by: "Ben", reason: "closed" })
}

describe("a hold", () => {
  test("is read by every host from any site, also when the one that placed it is gone, until it is lifted", async () => {
    await using lab = await openLab({ pool })
    const id = await place(lab, { dataset: "cdrs", from: "2031-03-01" })
    const other = () => readHolds(lab.world({ agent: "pbx-2" }))
    const hold = {
      id,
      agent: "pbx-1",
      by: "Ada",
      reason: "case 4711",
      time: "2031-03-04T12:00:00.000Z",
      dataset: "cdrs",
      from: "2031-03-01",
    }
    expect(await other()).toEqual([hold])
    expect((await readRetention(lab.world())).holds).toEqual([hold])
    lab.clock.advance(dayMs)
    await lift(lab, id.slice(0, 8))
    expect(await other()).toEqual([{ ...hold, lifted: { by: "Ben", reason: "closed", time: "2031-03-05T12:00:00.000Z" } }])
    expect((await readRetention(lab.world())).holds).toEqual([])
    await expect(lift(lab, id)).rejects.toMatchObject({ code: "job/not-found", message: expect.stringContaining("by Ben") })
  })

  test("is lifted only by the log that placed it", async () => {
    await using lab = await openLab({ pool })
    const id = await place(lab, { dataset: "cdrs" })
    const holds = await readHolds(lab.world())
    expect(() => holdToLift(holds, id, "pbx-2")).toThrow("is in the log of pbx-1, and only that log can lift it")
    const world = lab.world({ agent: "pbx-2" })
    const { log } = await ownHolds(world)
    await liftHold(world, log, { id, by: "Eve", reason: "I say so" })
    expect((await readHolds(lab.world()))[0]).not.toHaveProperty("lifted")
  })

  test("is an error where too few sites take it, and comes to the others later", async () => {
    const clock = { now: () => new Date("2031-03-04T12:00:00Z") }
    const sites = vaultSites({ a: memorySite("a", clock), b: memorySite("b", clock) })
    await using lab = await openLab({ pool })
    const [a, b] = sites
    if (a === undefined || b === undefined) throw new Error("two sites")
    const broken = { ...b, opened: { ...b.opened, site: refusing(b.opened.site) } }
    const world = lab.world({ sites: [a, broken] })
    const { log } = await ownHolds(world)
    await expect(placeHold(world, log, { dataset: "cdrs", by: "Ada", reason: "x" })).rejects.toMatchObject({ code: "job/not-durable" })
    await ownHolds(lab.world({ sites }))
    expect(await readHolds(lab.world({ sites: [b] }))).toHaveLength(1)
  })
})

describe("what a hold names must be something", () => {
  test.each([
    [{}, "what is held?"],
    [{ dataset: "cdrs", from: "2031-3-1" }, "--since 2031-3-1: expected a day"],
    [{ to: "2031-02-99" }, "--until 2031-02-99: expected a day"],
    [{ from: "2031-03-02", to: "2031-03-01" }, "--until 2031-03-01: expected a day from 2031-03-02 on"],
    [{ accounts: Array.from({ length: 65 }, () => "0".repeat(32)) }, "at most 64 accounts"],
  ])("%#: it is refused", (scope, sentence) => {
    expect(() => refuseNoScope(scope)).toThrow(sentence)
  })

  test("an account is one by its own id, by the platform's where that is known here, and else none", async () => {
    await using lab = await openLab({ pool })
    const world = lab.world()
    const account = "5f2c".repeat(8)
    const known = { stableId: "maple.example", epoch: "1", account, recipient: "age1x", keyName: "k", keyBytes: null, registered: true }
    addAccounts(world.catalog, [known])
    expect([account, "maple.example", "0".repeat(32), "platform"].map((text) => accountToHold(world, text))).toEqual([
      ...[account, account, "0".repeat(32), "platform"],
    ])
    expect(() => accountToHold(world, "oak.example")).toThrow("no account oak.example is known to this host")
  })
})

describe("of what logs say", () => {
  const signer = signerOf("hold")
  const base = {
    repository: "0".repeat(32),
    agent: "pbx-1",
    prev: [],
    seen: [],
    trust: `1-${"0".repeat(32)}`,
    time: "2031-03-04T12:00:00.000Z",
  }
  const hold: HoldRecord = { type: "hold", id: "1".repeat(32), time: base.time, by: "Ada", reason: "r" }
  const commit = (seq: number, records: Parameters<typeof encodeControlCommit>[0]["records"], agent = "pbx-1"): Commit =>
    decodeCommit(encodeControlCommit({ ...base, agent, seq, records }, signer), () => [signer.publicKey])

  test("the first record of an id counts, and another agent's hold of the same id is another hold", () => {
    const holds = holdsIn([
      commit(1, [hold]),
      commit(2, [{ ...hold, dataset: "narrower" }]),
      commit(1, [{ ...hold, by: "Ben" }], "pbx-2"),
      commit(2, [{ type: "hold-lifted", id: hold.id, by: "Ben", reason: "over" }], "pbx-2"),
    ])
    expect(holds).toMatchObject([
      { agent: "pbx-1", by: "Ada" },
      { agent: "pbx-2", lifted: { by: "Ben" } },
    ])
    expect(holds[0]).not.toHaveProperty("dataset")
    expect(holds[0]).not.toHaveProperty("lifted")
  })

  test.each([
    ["without a reason", { ...hold, reason: "" }],
    ["of an account that is none", { ...hold, accounts: ["maple.example"] }],
    ["of no account", { ...hold, accounts: [] }],
    ["from a day that is none", { ...hold, from: "yesterday" }],
  ])("a hold %s is malformed, and with it its commit", (_, record) => {
    expect(() => commit(1, [record])).toThrow()
  })
})

describe("what the logs say of retention", () => {
  const nothing = (lab: Lab) => ({ kind: "directory" as const, path: lab.directory, account: "platform", exclude: ["**/*"] })

  test("a site that cannot be read is a doubt, and nothing may go", async () => {
    await using lab = await openLab({ pool })
    await lab.run({ mode: "state" }, nothing(lab))
    const facts = await readRetention(lab.world())
    expect(facts).toMatchObject({ doubts: [], commits: [{ agent: "pbx-1", dataset: "switch-config", complete: true }] })
    const [first, ...others] = lab.world().vault.sites
    if (first === undefined) throw new Error("no site")
    const away = { ...first, opened: { ...first.opened, site: silent(first.opened.site) } }
    const doubtful = await readRetention(lab.world({ sites: [away, ...others] }))
    expect(doubtful.doubts).toEqual([
      expect.stringContaining("the log of pbx-1 was not read whole"),
      expect.stringContaining("the log of pbx-2 was not read whole"),
    ])
    const late = { ...doubtful, now: new Date("2099-01-01T00:00:00Z") }
    expect(late.commits.map((commit) => new Expiry(late).commit(commit).verdict)).toEqual(["keep"])
  })

  test("so is an object in a log that is not understood, and a place in it that no commit has", async () => {
    const clock = { now: () => new Date("2031-03-04T12:00:00Z") }
    const objects = new Map()
    await using lab = await openLab({ pool, sites: { a: memorySite("a", clock, objects) } })
    const one = { durable: { copies: 1, providers: 1 } }
    for (const _ of [1, 2]) await lab.run({ mode: "state" }, nothing(lab), one)
    const doubts = async () => (await readRetention(lab.world(one))).doubts
    expect(await doubts()).toEqual([])
    const bytes = Buffer.from("of another release")
    objects.set(commitKey("pbx-1", 3, bytes), { bytes, sha256: sha256(bytes), storedAt: clock.now() })
    expect(await doubts()).toEqual([expect.stringMatching(/^v1\/pbx-1\/log\/000000000003-.*: not believed: /)])
    objects.delete(commitKey("pbx-1", 3, bytes))
    objects.delete([...objects.keys()].find((key) => key.startsWith("v1/pbx-1/log/000000000001")))
    expect(await doubts()).toEqual(["log of pbx-1: 1 commit not at the sites asked: they are at other sites, or lost"])
  })

  test("a class counts as long as its longest definition, and a proof only where nothing was found wrong", async () => {
    await using lab = await openLab({ pool })
    const [list] = lab.trust
    if (list === undefined) throw new Error("no trust list")
    const shorter = { ...list, body: { ...list.body, n: 2, classes: { "standard-90": { days: 30, reuseDays: 0, tier: {} } } } }
    const proof = { dataset: "cdrs", time: "2031-03-04T12:00:00.000Z", rung: "hashed", commit: "a" }
    const world = lab.world()
    rememberProof(world.catalog, { ...proof, outcome: "ok" })
    rememberProof(world.catalog, { ...proof, outcome: "findings", commit: "b" })
    const facts = await readRetention({ ...world, trust: [list, shorter] })
    expect(facts.days).toEqual(
      new Map([
        ["mixed-28", 28],
        ["standard-90", 90],
      ]),
    )
    expect(facts.proven).toEqual([{ commit: "a", rung: "hashed" }])
  })

  test("what an agent writes once the root has removed it holds nothing and keeps nothing, and stops everything", async () => {
    await using lab = await openLab({ pool })
    const [list] = lab.trust
    if (list === undefined) throw new Error("no trust list")
    const agents = list.body.agents.filter(({ id }) => id === "pbx-1")
    const removal = encodeTrust({ ...list.body, n: 2, prev: list.sha256, created: timestamp(lab.clock.now()), agents }, lab.root)
    const reader = { ...lab.world(), trust: [list, decodeTrust(removal, lab.root.fingerprint)] }
    lab.clock.advance(2 * dayMs)
    const world = lab.world({ agent: "pbx-2" })
    const { log } = await ownHolds(world)
    await placeHold(world, log, { dataset: "cdrs", by: "Eve", reason: "trust me" })
    await lab.run({ mode: "state" }, nothing(lab), { agent: "pbx-2" })
    expect(await readHolds(lab.world())).toHaveLength(1)
    expect(await readHolds(reader)).toEqual([])
    const facts = await readRetention(reader)
    expect(facts).toMatchObject({ holds: [], commits: [] })
    expect(facts.doubts.length).toBeGreaterThan(0)
  })
})
