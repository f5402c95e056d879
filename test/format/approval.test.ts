import { describe, expect, test } from "vitest"
import { sha256 } from "../../src/digest.ts"
import {
  type ApprovalRecord,
  type Authority,
  approvalRecord,
  approversOf,
  decodeStatement,
  encodeStatement,
  type NewStatement,
  verifyApproval,
} from "../../src/format/approval.ts"
import { decodeCommit, encodeControlCommit, isApprovalRecord, isControl } from "../../src/format/commit.ts"
import { encodeSigned } from "../../src/format/signed.ts"
import { decodeTrust, encodeTrust, type Person, type TrustBody, type TrustList } from "../../src/format/trust.ts"
import { fingerprintOf } from "../../src/signature.ts"
import { accepted, flips } from "./damage.ts"
import { signerOf } from "./signing.ts"
import { type Hand, handOf, type SigningOptions, sshSign } from "./ssh.ts"

const repository = "1".repeat(32)
const created = "2031-03-04T12:00:00.000Z"
const root = signerOf("root")
const [ada, ben, cyd] = [handOf("ada"), handOf("ben", "ssh:"), handOf("cyd")]
const recipient = `age1${"q".repeat(58)}`

function person(name: string, { key }: Hand, roles: string[] = ["retire"]): Person {
  return { name, ...key, roles }
}

const everybody = [person("Ada", ada), person("Ben", ben), person("Cyd", cyd, ["erase"])]

function listOf(more: Partial<TrustBody> = {}): TrustList {
  const body = {
    ...{ repository, n: 1, created, agents: [], classes: {}, durable: { copies: 1, providers: 1 }, people: everybody },
    organisation: { epoch: 1, recipients: [1, 2].map((index) => ({ name: String(index), recipient })) },
    catalog: { epoch: 1, recipient },
    sites: { fra: { provider: "own", region: "fra", zone: "fra-2" }, dub: { provider: "aws", region: "eu-west-1" } },
    ...more,
  }
  return decodeTrust(encodeTrust(body, root), fingerprintOf(root.publicKey))
}

const first = listOf()
const statement: NewStatement = {
  ...{ repository, id: "2".repeat(32), action: "site-retired", reason: "burnt down", created, trust: first.reference },
  subject: { site: "fra", provider: "own", region: "fra", zone: "fra-2" },
  expires: "2031-03-11T12:00:00.000Z",
}

function authority(more: Partial<Authority> = {}): Authority {
  return { repository, lists: [first], inForce: first, at: new Date("2031-03-05T12:00:00Z"), ...more }
}

/** A record of a statement with a signature of each of these hands. */
function signed(hands: readonly Hand[], change: Partial<NewStatement> = {}, options: SigningOptions = {}): ApprovalRecord {
  const text = Buffer.from(encodeStatement({ ...statement, ...change }))
  return approvalRecord(
    text,
    hands.map((hand) => sshSign(hand, text, options)),
  )
}

const refusal = (code: string, words: string) => expect.objectContaining({ code, message: expect.stringContaining(words) })

describe("an approval", () => {
  test("says what two people approved, and who they are", () => {
    expect(verifyApproval(signed([ada, ben]), authority())).toEqual({
      statement: { ...statement, v: 1, crit: [] },
      by: ["Ada", "Ben"],
    })
    expect(verifyApproval(signed([ben, ada], {}, { algorithm: "sha256" }), authority()).by).toEqual(["Ben", "Ada"])
    expect(approversOf(first, "site-retired")).toEqual(["Ada", "Ben"])
  })

  test("with any bit of its statement or its signatures changed is refused", () => {
    const record = signed([ada, ben])
    const judge = (change: Partial<ApprovalRecord>) => verifyApproval({ ...record, ...change }, authority())
    const text = Buffer.from(record.statement)
    expect(accepted(flips(text), (bytes) => judge({ statement: bytes.toString("utf8") }))).toEqual([])
    for (const [index, encoded] of record.signatures.entries()) {
      const blob = Buffer.from(encoded, "base64")
      const changed = (bytes: Buffer) => judge({ signatures: record.signatures.with(index, bytes.toString("base64")) })
      expect(accepted(flips(blob), changed)).toEqual([])
    }
  })

  test("takes two people, and neither two signatures nor two keys make one of them two", () => {
    const alone = refusal("key/untrusted", "approved by Ada alone")
    expect(() => verifyApproval(signed([ada]), authority())).toThrow(alone)
    expect(() => verifyApproval(signed([]), authority())).toThrow(refusal("key/untrusted", "approved by nobody alone"))
    const twice = refusal("key/untrusted", "Ada has signed already")
    expect(() => verifyApproval(signed([ada, ada]), authority())).toThrow(twice)
    const text = Buffer.from(encodeStatement(statement))
    const other = [sshSign(ada, text), sshSign(ada, text, { algorithm: "sha256" })]
    expect(() => verifyApproval(approvalRecord(text, other), authority())).toThrow(twice)
    const spare = listOf({ people: [...everybody, person("Ada", handOf("spare"))] })
    const withSpare = signed([ada, handOf("spare")], { trust: spare.reference })
    expect(() => verifyApproval(withSpare, authority({ lists: [spare], inForce: spare }))).toThrow(twice)
    const shared = listOf({ people: [...everybody, person("Ada too", ada)] })
    const withShared = signed([ada, ada], { trust: shared.reference })
    expect(() => verifyApproval(withShared, authority({ lists: [shared], inForce: shared }))).toThrow(twice)
  })

  test("takes people whose role it is", () => {
    expect(() => verifyApproval(signed([ada, cyd]), authority())).toThrow(refusal("key/untrusted", "Cyd has only erase in trust list 1"))
    expect(() => verifyApproval(signed([ada, handOf("eve")]), authority())).toThrow(refusal("key/untrusted", "gives to nobody"))
    // The key of Ben's token, without the token.
    const bare: Hand = { key: { key: ben.key.key }, sign: ben.sign }
    expect(() => verifyApproval(signed([ada, bare]), authority())).toThrow(refusal("key/untrusted", "gives to nobody"))
  })

  test("is signed for approving, and for nothing else", () => {
    for (const namespace of ["file", "holdline", "", "holdline-approval "]) {
      const record = signed([ada, ben], {}, { namespace })
      expect(() => verifyApproval(record, authority())).toThrow(refusal("format/mismatch", "not for holdline-approval"))
    }
  })

  test("counts in its own repository, for the site that the list has, and in its time", () => {
    expect(() => verifyApproval(signed([ada, ben]), authority({ repository: "9".repeat(32) }))).toThrow(
      refusal("format/foreign", "of another repository"),
    )
    expect(() => verifyApproval(signed([ada, ben]), authority({ at: new Date("2031-03-11T12:00:00.001Z") }))).toThrow(
      refusal("key/untrusted", "expired at 2031-03-11T12:00:00.000Z"),
    )
    for (const subject of [
      { ...statement.subject, provider: "aws" },
      { ...statement.subject, region: "ber" },
      { site: "fra", provider: "own", region: "fra" },
      { site: "constructor", provider: "own", region: "fra" },
    ]) {
      expect(() => verifyApproval(signed([ada, ben], { subject }), authority())).toThrow(refusal("format/foreign", "is not the one of"))
    }
  })

  test("cannot borrow the signatures of another statement", () => {
    const { signatures } = signed([ada, ben])
    for (const change of [{ id: "3".repeat(32) }, { reason: "Burnt down" }, { expires: "2032-03-11T12:00:00.000Z" }]) {
      const record = { ...signed([], change), signatures }
      expect(() => verifyApproval(record, authority())).toThrow(refusal("format/mismatch", "does not fit"))
    }
  })

  test("is judged by the list it names and by the one in force when it was recorded", () => {
    const later = (n: number, prev: TrustList, people: Person[]) => listOf({ n, prev: prev.sha256, people })
    const without = later(2, first, [person("Ada", ada)])
    const record = signed([ada, ben])
    expect(() => verifyApproval(record, authority({ lists: [first, without], inForce: without }))).toThrow(
      refusal("key/untrusted", "which trust list 2 gives to nobody"),
    )
    expect(verifyApproval(record, authority({ lists: [first, without], inForce: first })).by).toEqual(["Ada", "Ben"])
    const demoted = later(2, first, [person("Ada", ada), person("Ben", ben, [])])
    expect(() => verifyApproval(record, authority({ lists: [first, demoted], inForce: demoted }))).toThrow(
      refusal("key/untrusted", "Ben has no role in trust list 2"),
    )
    // Someone who came later did not see what the older list said.
    const joined = later(2, first, [...everybody, person("Dan", handOf("dan"))])
    const early = signed([ada, handOf("dan")])
    expect(() => verifyApproval(early, authority({ lists: [first, joined], inForce: joined }))).toThrow(
      refusal("key/untrusted", "which trust list 1 gives to nobody"),
    )
    const named = signed([ada, handOf("dan")], { trust: joined.reference })
    expect(verifyApproval(named, authority({ lists: [first, joined], inForce: first })).by).toEqual(["Ada", "Dan"])
    expect(() => verifyApproval(named, authority())).toThrow(refusal("key/untrusted", "none of this repository's"))
  })
})

describe("a statement", () => {
  const text = encodeStatement(statement)

  test("is one line of canonical JSON", () => {
    expect(decodeStatement(Buffer.from(text), "statement")).toEqual({ ...statement, v: 1, crit: [] })
    for (const wrong of [text.trimEnd(), `${text}\n`, ` ${text}`, text.replace(/\n$/, "\r\n"), `${text}${text}`, "\n", ""]) {
      expect(() => decodeStatement(Buffer.from(wrong), "statement"), JSON.stringify(wrong)).toThrow(
        expect.objectContaining({ code: "format/malformed" }),
      )
    }
    expect(() => decodeStatement(Buffer.alloc(9000, 32), "statement")).toThrow(refusal("format/too-large", "9000 bytes"))
  })

  test.each([
    ["of another version", '"v":1', '"v":2'],
    ["of an action that is not known", '"site-retired"', '"site-retirex"'],
    ["with a field that must be known", '"crit":[]', '"crit":["quorum"]'],
  ])("%s is refused as one for a newer release", (_, from, to) => {
    expect(() => decodeStatement(Buffer.from(text.replace(from, to)), "statement")).toThrow(
      expect.objectContaining({ code: "format/unsupported" }),
    )
  })

  test("needs a reason, an id and times", () => {
    for (const wrong of [
      { reason: "" },
      { id: "2" },
      { expires: "tomorrow" },
      { created: "2031-03-04" },
      { trust: "1" },
      { repository: "x" },
    ]) {
      expect(() => encodeStatement({ ...statement, ...wrong })).toThrow(expect.objectContaining({ code: "format/malformed" }))
    }
  })
})

describe("a commit", () => {
  const signer = signerOf("agent")
  const body = { repository, agent: "pbx-1", seq: 7, prev: [sha256("x")], seen: [], trust: first.reference, time: created }

  test("records an approval whole, or is refused", () => {
    const record = signed([ada, ben])
    const commit = decodeCommit(encodeControlCommit({ ...body, records: [record] }, signer), () => [signer.publicKey])
    expect(isControl(commit) && commit.body.records.filter(isApprovalRecord)).toEqual([record])
    for (const broken of [
      { ...record, signatures: record.signatures.slice(1) },
      { ...record, signatures: undefined },
      { type: "approval" },
    ]) {
      const { signatures, ...rest } = { signatures: undefined, ...broken }
      const written = signatures === undefined ? rest : { ...rest, signatures }
      const bytes = encodeSigned("commit", { ...body, v: 1, kind: "control", packs: [], crit: [], records: [written] }, signer)
      expect(() => decodeCommit(bytes, () => [signer.publicKey])).toThrow(expect.objectContaining({ code: "format/malformed" }))
    }
  })
})
