import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { hash32, sha256 } from "../../src/digest.ts"
import {
  decodeCommit,
  encodeBackupCommit,
  encodeControlCommit,
  isBackup,
  isControl,
  isKeyRecord,
  lostKeysOf,
  type NewBackupCommit,
  packNameOf,
} from "../../src/format/commit.ts"
import { packKey } from "../../src/format/names.ts"
import { decodeSigned, encodeSigned } from "../../src/format/signed.ts"
import {
  agentKeys,
  decodeRepository,
  decodeTrust,
  encodeRepository,
  encodeTrust,
  type TrustBody,
  verifyTrustChain,
} from "../../src/format/trust.ts"
import { fingerprintOf } from "../../src/signature.ts"
import { requireTool } from "../requires.ts"
import { accepted, cuts, flips } from "./damage.ts"
import { signerOf } from "./signing.ts"

const repository = "1".repeat(32)
const time = "2026-11-21T18:40:00.000Z"
const signer = signerOf("agent")
const shared = { repository, agent: "pbx-1", seq: 7, prev: [sha256("before")], seen: [], trust: `1-${"0".repeat(32)}`, time }
const backup: NewBackupCommit = {
  ...shared,
  packs: [[sha256("pack"), 1024, "recordings-90", "pack", "2026-11-21"]],
  run: "2".repeat(32),
  job: "call-recordings",
  dataset: "call-recordings",
  mode: "archive",
  cut: time,
  complete: true,
  final: false,
  inventory: [[sha256("meta"), 3]],
}
const made = encodeBackupCommit(backup, signer)
const keys = (agent: string): string[] => (agent === "pbx-1" ? [signer.publicKey] : [])
const decode = (bytes: Uint8Array) => decodeCommit(bytes, keys)

describe("a commit", () => {
  test("gives back what was signed, and where its packs are", () => {
    const commit = decode(made)
    expect(commit).toEqual({
      body: { ...backup, v: 1, kind: "backup", crit: [] },
      keyId: expect.stringMatching(/^[0-9a-f]{32}$/),
      sha256: sha256(made),
    })
    expect([isBackup(commit), isControl(commit)]).toEqual([true, false])
    expect(commit.body.packs.map((pack) => packKey(packNameOf(commit.body.agent, pack)))).toEqual([
      `v1/pbx-1/pack/recordings-90/2026-11-21/${sha256("pack")}.tar`,
    ])
  })

  test("of any content is signed once: the same content, the same bytes", () => {
    const digest = fc.uint8Array({ maxLength: 4 }).map((bytes) => sha256(bytes))
    fc.assert(
      fc.property(
        fc.record({
          seq: fc.nat({ max: 999_999_999_999 }),
          complete: fc.boolean(),
          prev: fc.array(digest, { maxLength: 16 }),
          seen: fc.array(digest, { maxLength: 64 }),
        }),
        (part) => {
          const bytes = encodeBackupCommit({ ...backup, ...part }, signer)
          expect(decode(bytes).body).toMatchObject(part)
          expect(Buffer.from(encodeBackupCommit({ ...backup, ...part }, signer)).equals(Buffer.from(bytes))).toBe(true)
        },
      ),
      { numRuns: 50 },
    )
  })

  test("cut anywhere, or with any bit changed, is refused", () => {
    expect(accepted(cuts(made), decode)).toEqual([])
    expect(accepted(flips(made), decode)).toEqual([])
  })

  test("of an agent that has no key is refused, and of one that has several is taken", () => {
    expect(() => decodeCommit(made, () => [])).toThrow(expect.objectContaining({ code: "format/mismatch" }))
    expect(decodeCommit(made, () => [signerOf("older").publicKey, signer.publicKey]).body.seq).toBe(7)
  })

  test("may have records and fields that are not known yet, unless it says that they must be", () => {
    const body = { ...shared, v: 1, kind: "control", packs: [], crit: [] as string[] }
    const record = { type: "weather", wind: 3 }
    const signed = (extra: object) => encodeSigned("commit", { ...body, ...extra }, signer)
    const commit = decode(signed({ records: [record], later: true }))
    expect(isControl(commit) && commit.body.records.map(({ type }) => type)).toEqual(["weather"])
    expect(() => decode(signed({ records: [], later: true, crit: ["later"] }))).toThrow(
      expect.objectContaining({ code: "format/unsupported" }),
    )
    for (const other of [{ v: 2 }, { v: 0 }, { kind: "merge" }]) {
      expect(() => decode(signed({ records: [], ...other }))).toThrow(expect.objectContaining({ code: "format/unsupported" }))
    }
  })

  test("says by whole records only which keys are lost", () => {
    const lost = { type: "key-lost" as const, object: "v1/keys/x" }
    expect([...lostKeysOf([decode(encodeControlCommit({ ...shared, records: [lost] }, signer))])]).toEqual(["v1/keys/x"])
    const bytes = encodeSigned("commit", { ...shared, v: 1, kind: "control", packs: [], crit: [], records: [{ type: "key-lost" }] }, signer)
    expect(() => decode(bytes)).toThrow(expect.objectContaining({ code: "format/malformed" }))
  })

  test("registers keys by whole records only", () => {
    const record = { type: "key" as const, account: "platform", epoch: "1", orgEpoch: 1, object: "v1/keys/x", entry: "YQ==" }
    const commit = decode(encodeControlCommit({ ...shared, records: [record] }, signer))
    expect(isControl(commit) && commit.body.records.filter(isKeyRecord)).toEqual([record])
    for (const field of ["account", "epoch", "orgEpoch", "object", "entry"] as const) {
      const { [field]: _, ...without } = record
      const bytes = encodeSigned("commit", { ...shared, v: 1, kind: "control", packs: [], crit: [], records: [without] }, signer)
      expect(() => decode(bytes), field).toThrow(expect.objectContaining({ code: "format/malformed" }))
    }
  })

  test("is not signed where no reader would take it", () => {
    for (const wrong of [
      { agent: "keys" },
      { agent: "PBX" },
      { seq: -1 },
      { seq: 10 ** 12 },
      { time: "2026-11-21" },
      { trust: "1" },
      { prev: Array.from({ length: 17 }, () => sha256("")) },
    ]) {
      expect(() => encodeBackupCommit({ ...backup, ...wrong }, signer)).toThrow(expect.objectContaining({ code: "format/malformed" }))
    }
    const packs = Array.from({ length: 90_000 }, () => backup.packs).flat()
    expect(() => encodeBackupCommit({ ...backup, packs }, signer)).toThrow(expect.objectContaining({ code: "format/too-large" }))
  })

  test("verifies with openssl, as the break-glass text says", (context) => {
    for (const tool of ["openssl", "sed", "base64"]) {
      const lacking = requireTool(tool)
      if (lacking !== null) context.skip(lacking)
    }
    const scratch = mkdtempSync(join(tmpdir(), "commit-"))
    const readme = readFileSync(join(import.meta.dirname, "../../src/format/README.md"), "utf8")
    const [pem = "", verify = ""] = [
      /`(\(printf [^`]*agent\.pem)`/.exec(readme)?.[1],
      /```\n(sed -n 2p C\.json[\s\S]*?-sigfile sig)/.exec(readme)?.[1],
    ]
    const shell = (command: string, environment: NodeJS.ProcessEnv = {}): string =>
      execFileSync("bash", ["-o", "pipefail", "-ec", command], {
        cwd: scratch,
        env: { ...process.env, ...environment },
        stdio: "pipe",
      }).toString()
    try {
      shell(pem, { KEY: signer.publicKey })
      writeFileSync(join(scratch, "C.json"), made)
      expect(shell(verify)).toContain("Signature Verified Successfully")
      writeFileSync(join(scratch, "C.json"), Buffer.from(made).toString().replace('"seq":7', '"seq":8'))
      expect(() => shell(verify)).toThrow("Command failed")
    } finally {
      rmSync(scratch, { recursive: true })
    }
  })
})

describe("a signed object", () => {
  test("of one kind never passes for another", () => {
    const kinds = ["repository", "trust", "commit"] as const
    for (const kind of kinds) {
      for (const other of kinds) {
        const signed = decodeSigned(other, encodeSigned(kind, { a: 1 }, signer), 1000)
        expect(signed.signedBy(signer.publicKey), `${kind} as ${other}`).toBe(kind === other)
      }
    }
  })

  test("is nobody else's, and above its limit is not read", () => {
    const bytes = encodeSigned("trust", { a: 1 }, signer)
    expect(decodeSigned("trust", bytes, bytes.length).signedBy(signerOf("else").publicKey)).toBe(false)
    expect(() => decodeSigned("trust", bytes, bytes.length - 1)).toThrow(expect.objectContaining({ code: "format/too-large" }))
  })

  test("has a fingerprint that ssh-keygen prints too", (context) => {
    const lacking = requireTool("ssh-keygen")
    if (lacking !== null) context.skip(lacking)
    const wire = Buffer.concat([
      Buffer.from("0000000b", "hex"),
      Buffer.from("ssh-ed25519"),
      Buffer.from("00000020", "hex"),
      Buffer.from(signer.publicKey, "base64"),
    ])
    const printed = execFileSync("ssh-keygen", ["-lf", "-"], { input: `ssh-ed25519 ${wire.toString("base64")} x\n` }).toString()
    expect(printed.split(" ")[1]).toBe(fingerprintOf(signer.publicKey))
  })
})

const root = signerOf("root")
const fingerprint = fingerprintOf(root.publicKey)
const recipient = `age1${"q".repeat(58)}`
type NewTrust = Omit<TrustBody, "v" | "crit" | "root">

function trustOf(n: number, more: Partial<NewTrust> = {}, by = root): Uint8Array {
  const list: NewTrust = {
    repository,
    n,
    created: time,
    agents: [{ id: "pbx-1", key: signer.publicKey, role: "agent", from: time }],
    organisation: { epoch: 1, recipients: [1, 2].map((index) => ({ name: String(index), recipient })) },
    catalog: { epoch: 1, recipient },
    people: [],
    classes: {},
    sites: {},
    durable: { copies: 2, providers: 2 },
    ...more,
  }
  return encodeTrust(list, by)
}

describe("trust", () => {
  const first = trustOf(1)
  const second = trustOf(2, { prev: sha256(first), agents: [{ id: "pbx-1", key: signerOf("newer").publicKey, role: "agent", from: time }] })
  const third = trustOf(3, { prev: sha256(second) })
  const read = (...lists: Uint8Array[]) => lists.map((bytes) => decodeTrust(bytes, fingerprint))
  const refusal = (code: string, words: string) => expect.objectContaining({ code, message: expect.stringContaining(words) })

  test("is a chain, in whatever order and however often its lists are found", () => {
    const chain = verifyTrustChain(read(third, first, second, first), repository)
    expect(chain.map(({ reference }) => reference)).toEqual(
      [first, second, third].map((bytes, index) => `${String(index + 1)}-${hash32(bytes)}`),
    )
  })

  test("keeps an agent's older keys, for what they signed then", () => {
    expect(agentKeys(read(first, second), "pbx-1")).toEqual([signer.publicKey, signerOf("newer").publicKey])
    expect(agentKeys(read(first, second), "pbx-2")).toEqual([])
  })

  test("with a gap, or without its beginning, is refused", () => {
    expect(() => verifyTrustChain(read(first, third), repository)).toThrow(refusal("key/untrusted", "does not follow list 1"))
    expect(() => verifyTrustChain(read(second, third), repository)).toThrow(refusal("key/untrusted", "lists before it are missing"))
    expect(() => verifyTrustChain([], repository)).toThrow(refusal("key/untrusted", "no trust list found"))
  })

  test("that forks is refused, also at its beginning", () => {
    const other = trustOf(2, { prev: sha256(first), created: "2027-01-01T00:00:00.000Z" })
    expect(() => verifyTrustChain(read(first, second, other), repository)).toThrow(refusal("key/untrusted", "does not follow"))
    expect(() => verifyTrustChain(read(first, trustOf(1, { created: "2027-01-01T00:00:00.000Z" })), repository)).toThrow(
      refusal("key/untrusted", "does not follow"),
    )
    expect(() => verifyTrustChain(read(first, other, third), repository)).toThrow(refusal("key/untrusted", "does not follow list 2"))
    expect(() => verifyTrustChain(read(trustOf(1, { prev: sha256("x") })), repository)).toThrow(refusal("key/untrusted", "missing"))
  })

  test("that was rolled back, or forked away from the list once followed, is refused", () => {
    const [seen] = read(second)
    if (seen === undefined) throw new Error("no list")
    const remembered = { sha256: seen.sha256, n: seen.body.n }
    expect(verifyTrustChain(read(first, second, third), repository, remembered)).toHaveLength(3)
    expect(() => verifyTrustChain(read(first), repository, remembered)).toThrow(refusal("key/rollback", "list 2"))
    const other = trustOf(2, { prev: sha256(first), created: "2027-01-01T00:00:00.000Z" })
    expect(() => verifyTrustChain(read(first, other), repository, remembered)).toThrow(refusal("key/rollback", "list 2"))
  })

  test("of another repository or another root is refused", () => {
    expect(() => verifyTrustChain(read(first), "9".repeat(32))).toThrow(refusal("format/foreign", "another repository"))
    expect(() => decodeTrust(trustOf(1, {}, signer), fingerprint)).toThrow(refusal("key/untrusted", "signed by root"))
    const claimed = encodeSigned("trust", { ...read(first)[0]?.body, root: root.publicKey }, signer)
    expect(() => decodeTrust(claimed, fingerprint)).toThrow(refusal("key/untrusted", "signature is not the root's"))
  })

  test("cut anywhere, or with any bit changed, is refused", () => {
    const damaged = (bytes: Uint8Array): unknown => decodeTrust(bytes, fingerprint)
    expect(accepted(cuts(first), damaged)).toEqual([])
    expect(accepted(flips(first), damaged)).toEqual([])
  })

  test("names no agent whose folder would be that of something else", () => {
    for (const id of ["keys", "trust", "repository-1"]) {
      const agents = [{ id, key: signer.publicKey, role: "agent" as const, from: time }]
      expect(() => trustOf(1, { agents })).toThrow(refusal("format/malformed", "expected an agent's id"))
    }
  })

  test("begins with the repository object, which only the pinned root can have signed", () => {
    const body = { id: repository, created: time, limits: { packBytesMax: 33_554_432, packMembersMax: 4096 } }
    const object = encodeRepository(body, root)
    expect(decodeRepository(object, fingerprint)).toMatchObject(body)
    expect(() => decodeRepository(object, fingerprintOf(signer.publicKey))).toThrow(refusal("key/untrusted", "signed by root"))
    expect(accepted(cuts(object), (bytes) => decodeRepository(bytes, fingerprint))).toEqual([])
    expect(accepted(flips(object), (bytes) => decodeRepository(bytes, fingerprint))).toEqual([])
  })
})
