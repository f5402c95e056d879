import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { Catalog } from "../../src/catalog/catalog.ts"
import { approvalRecord, encodeStatement, type NewStatement } from "../../src/format/approval.ts"
import { decodeCommit, encodeControlCommit } from "../../src/format/commit.ts"
import { commitKey } from "../../src/format/names.ts"
import { decodeTrust, encodeTrust, type Person, type TrustList } from "../../src/format/trust.ts"
import { approvalsIn, retiredInMemory, retiredSites } from "../../src/operation/approvals.ts"
import type { Event } from "../../src/operation/event.ts"
import { fingerprintOf } from "../../src/signature.ts"
import type { LoggedCommit } from "../../src/vault/log.ts"
import { signerOf } from "../format/signing.ts"
import { type Hand, handOf, sshSign } from "../format/ssh.ts"

const repository = { id: "1".repeat(32) }
const root = signerOf("root")
const agent = signerOf("agent")
const [ada, ben] = [handOf("ada"), handOf("ben")]
const people = [
  { name: "Ada", ...ada.key, roles: ["retire"] },
  { name: "Ben", ...ben.key, roles: ["retire"] },
]
const recipient = `age1${"q".repeat(58)}`
const hourMs = 3_600_000

function listOf(n: number, created: string, given: Person[], previous?: TrustList): TrustList {
  const body = {
    ...{ repository: repository.id, n, created, agents: [], classes: {}, durable: { copies: 1, providers: 1 }, people: given },
    organisation: { epoch: 1, recipients: [1, 2].map((index) => ({ name: String(index), recipient })) },
    ...{ catalog: { epoch: 1, recipient }, sites: { fra: { provider: "own", region: "fra" }, dub: { provider: "aws", region: "dub" } } },
    ...(previous === undefined ? {} : { prev: previous.sha256 }),
  }
  return decodeTrust(encodeTrust(body, root), fingerprintOf(root.publicKey))
}

const first = listOf(1, "2031-03-01T00:00:00.000Z", people)
const second = listOf(2, "2031-03-10T00:00:00.000Z", people.slice(0, 1), first)

const statement: NewStatement = {
  ...{ repository: repository.id, id: "2".repeat(32), action: "site-retired", reason: "burnt down", trust: first.reference },
  ...{ subject: { site: "fra", provider: "own", region: "fra" } },
  ...{ created: "2031-03-04T12:00:00.000Z", expires: "2031-03-20T12:00:00.000Z" },
}

/** A commit of an agent that records this, at a site since `storedAt`. */
function logged(hands: readonly Hand[], storedAt: Date, change: Partial<NewStatement> = {}): LoggedCommit {
  const text = Buffer.from(encodeStatement({ ...statement, ...change }))
  const record = approvalRecord(
    text,
    hands.map((hand) => sshSign(hand, text)),
  )
  const shared = { repository: repository.id, agent: "pbx-1", seq: 1, prev: [], seen: [], trust: first.reference }
  const bytes = encodeControlCommit({ ...shared, time: "2031-03-04T12:00:00.000Z", records: [record] }, agent)
  const commit = decodeCommit(bytes, () => [agent.publicKey])
  return { commit, entry: { key: commitKey("pbx-1", 1, bytes), agent: "pbx-1", seq: 1, sites: ["dub"], storedAt } }
}

let catalog: Catalog
beforeEach(() => {
  catalog = Catalog.open(":memory:", () => undefined)
})
afterEach(() => catalog.close())

/** The retired sites by what these commits say, to a reader who knows these lists; and what it was told. */
function read(commits: readonly LoggedCommit[], trust: readonly TrustList[] = [first]) {
  const told: Event[] = []
  const world = { catalog, repository, trust, tell: (event: Event) => told.push(event) }
  const retired = retiredSites({ approvals: approvalsIn(world, commits) })
  const inMemory = retiredInMemory({ catalog, repository, trust })
  return { retired: [...retired.keys()], inMemory: [...inMemory.keys()], told: told.map((event) => JSON.stringify(event)) }
}

const soon = new Date("2031-03-04T13:00:00Z")

describe("an approval in a log", () => {
  test("retires its site, and is remembered for whoever asks before the logs are read", () => {
    expect(read([logged([ada, ben], soon)])).toEqual({ retired: ["fra"], inMemory: ["fra"], told: [] })
    const [approval] = retiredInMemory({ catalog, repository, trust: [first] }).values()
    expect(approval).toMatchObject({ by: ["Ada", "Ben"], storedAt: soon })
  })

  test("is worth nothing where only the agent vouches for it: the signatures are the reader's to verify", () => {
    for (const hands of [
      [ada, handOf("eve")],
      [ada, ada],
      [handOf("eve"), handOf("mallory")],
    ]) {
      const { retired, inMemory, told } = read([logged(hands, soon)])
      expect([retired, inMemory]).toEqual([[], []])
      expect(told).toEqual([expect.stringContaining("an approval is not believed")])
    }
  })

  test("does not count once one of its people had been removed when a site stored it, but for what was on its way", () => {
    const removal = Date.parse(second.body.created)
    const before = logged([ada, ben], new Date(removal + 23 * hourMs))
    const after = logged([ada, ben], new Date(removal + 25 * hourMs))
    expect(read([after], [first, second])).toMatchObject({ retired: [], inMemory: [] })
    expect(read([before], [first, second])).toMatchObject({ retired: ["fra"], inMemory: ["fra"] })
  })

  test("does not count where a site stored it after it had lapsed", () => {
    const expires = Date.parse(statement.expires)
    expect(read([logged([ada, ben], new Date(expires + 25 * hourMs))]).retired).toEqual([])
    expect(read([logged([ada, ben], new Date(expires + 23 * hourMs))]).retired).toEqual(["fra"])
  })

  test("from a memory that was tampered with is verified again", () => {
    read([logged([ada, ben], soon)])
    catalog.run("UPDATE approval SET statement = replace(statement, 'fra', 'dub')")
    expect([...retiredInMemory({ catalog, repository, trust: [first] }).keys()]).toEqual([])
  })

  test("does not hide another that holds, and of two for one site the older one counts", () => {
    const older = logged([ada, ben], soon)
    const newer = logged([ben, ada], new Date(soon.getTime() + hourMs), { id: "3".repeat(32), reason: "again" })
    const dub = { site: "dub", provider: "aws", region: "dub" }
    const other = logged([ada, ben], soon, { id: "4".repeat(32), subject: dub })
    expect(read([newer, logged([ada, handOf("eve")], soon), other, older]).retired.toSorted()).toEqual(["dub", "fra"])
    expect(retiredInMemory({ catalog, repository, trust: [first] }).get("fra")?.statement.reason).toBe("burnt down")
  })
})
