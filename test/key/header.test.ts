import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Decrypter, Encrypter } from "age-encryption"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { BackupError } from "../../src/errors.ts"
import { payloadKey, sealedBytes, sealPayload } from "../../src/format/age.ts"
import { encodeBech32 } from "../../src/key/bech32.ts"
import {
  nativeStatus,
  openHeader,
  parseHeader,
  prepareIdentity,
  prepareRecipient,
  prepareRecipients,
  sealHeader,
} from "../../src/key/header.ts"
import { chooseHybrid, libraryKem, nativeKem, testHybrid } from "../../src/key/hybrid.ts"
import { generateIdentity, type Identity, parseRecipient } from "../../src/key/recipient.ts"
import { headerBytesMax, headerStanzasMax } from "../../src/limits.ts"
import { requireTool } from "../requires.ts"
import { vectorFile, vectorIdentity, vectorSizes } from "./vectors.ts"

const kinds = ["pq", "x25519"] as const

/** The file key by the age library alone. */
async function libraryOpens(header: Uint8Array, identity: Identity): Promise<Uint8Array> {
  const decrypter = new Decrypter()
  decrypter.addIdentity(identity.secret.reveal())
  return await decrypter.decryptHeader(header)
}

function codeOf(call: () => unknown): string {
  try {
    call()
  } catch (error) {
    if (error instanceof BackupError) return error.code
    throw error
  }
  return "nothing was thrown"
}

describe.each(kinds)("%s headers", (kind) => {
  test.each(vectorSizes)("the header of a file of %i bytes by age 1.3.2 gives the same file key as by the library", async (size) => {
    const file = vectorFile(kind, size)
    const identity = vectorIdentity(kind)
    const { length, stanzas } = parseHeader(file)
    expect(stanzas).toHaveLength(1)
    expect(Buffer.from(openHeader(file, [identity]))).toEqual(Buffer.from(await libraryOpens(file.subarray(0, length), identity)))
  })

  test("what is sealed here the library opens, for each of several recipients", async () => {
    const identities = [generateIdentity(kind), generateIdentity(kind), generateIdentity(kind)]
    for (let round = 0; round < 10; round++) {
      const { header, fileKey } = sealHeader(identities.map(({ recipient }) => recipient))
      expect(parseHeader(header)).toMatchObject({ length: header.length })
      for (const identity of identities) {
        expect(Buffer.from(await libraryOpens(header, identity))).toEqual(Buffer.from(fileKey))
        expect(Buffer.from(prepareIdentity(identity.secret).open(header))).toEqual(Buffer.from(fileKey))
      }
    }
  })

  test("what the library seals opens here, and nothing after the header is looked at", async () => {
    const [identity, other] = [generateIdentity(kind), generateIdentity(kind)]
    const encrypter = new Encrypter()
    encrypter.addRecipient(other.recipient)
    encrypter.addRecipient(identity.recipient)
    const file = await encrypter.encrypt("plain")
    const fileKey = await libraryOpens(file.subarray(0, parseHeader(file).length), identity)
    expect(Buffer.from(openHeader(file, [generateIdentity(kind), identity]))).toEqual(Buffer.from(fileKey))
  })

  test("a prepared recipient makes a new key and a new header every time", () => {
    const prepared = prepareRecipient(generateIdentity(kind).recipient)
    const sealed = Array.from({ length: 20 }, () => prepared.seal())
    expect(new Set(sealed.map(({ fileKey }) => Buffer.from(fileKey).toString("hex"))).size).toBe(20)
    expect(new Set(sealed.map(({ header }) => Buffer.from(header).toString("latin1").split("\n")[1])).size).toBe(20)
  })

  test("an identity that it is not for is told so, with a hint", () => {
    const { header } = sealHeader([generateIdentity(kind).recipient])
    const strangers = kinds.map((other) => generateIdentity(other))
    expect(() => openHeader(header, strangers)).toThrow(
      expect.objectContaining({ code: "key/wrong", hint: expect.stringContaining("identity") }),
    )
    expect(codeOf(() => openHeader(header, []))).toBe("key/missing")
  })

  test("cut at any length it is refused", () => {
    const identity = generateIdentity(kind)
    const { header } = sealHeader([identity.recipient])
    for (let length = 0; length < header.length; length++) {
      expect(
        codeOf(() => openHeader(header.subarray(0, length), [identity])),
        `cut at ${String(length)}`,
      ).toBe("format/malformed")
    }
  })

  test("with any bit of any byte changed it is refused", () => {
    const identity = prepareIdentity(generateIdentity(kind))
    const { header } = sealHeader([identity.recipient, generateIdentity(kind).recipient])
    for (let at = 0; at < header.length; at++) {
      const changed = Uint8Array.from(header)
      changed[at] = (header[at] ?? 0) ^ (1 << (at % 8))
      expect(
        codeOf(() => identity.open(changed)),
        `byte ${String(at)}`,
      ).toMatch(/^(?:format\/(?:malformed|mismatch|unsupported)|key\/wrong)$/)
    }
  })

  test("recipients can neither be added, taken away nor put in another order", () => {
    const identity = generateIdentity(kind)
    const { header } = sealHeader([identity.recipient, generateIdentity(kind).recipient])
    const text = Buffer.from(header).toString("latin1")
    const [start = "", first = "", rest = ""] = text.split("-> ")
    const [second = "", mac = ""] = rest.split("--- ")
    expect(`${start}-> ${first}-> ${second}--- ${mac}`).toBe(text)
    for (const changed of [
      `${start}-> ${first}--- ${mac}`,
      `${start}-> ${second}-> ${first}--- ${mac}`,
      `${start}-> ${first}-> ${second}-> ${second}--- ${mac}`,
    ]) {
      expect(codeOf(() => openHeader(Buffer.from(changed), [identity]))).toBe("format/mismatch")
    }
  })
})

test("what is spelled well and is no public key is refused, however often it is given", () => {
  const { publicKey } = parseRecipient(generateIdentity("pq").recipient)
  const beyond = Uint8Array.from(publicKey).fill(0xff, 0, 3)
  const ofSmallOrder = Uint8Array.from(publicKey).fill(0, -32)
  for (const [prefix, bytes] of [
    ["age1pq", beyond],
    ["age1pq", ofSmallOrder],
    ["age", new Uint8Array(32)],
  ] as const) {
    const recipient = encodeBech32(prefix, bytes)
    for (let round = 0; round < 2; round++) {
      expect(() => sealHeader([recipient])).toThrow(
        expect.objectContaining({ code: "key/malformed", message: expect.stringContaining("no usable public key") }),
      )
    }
  }
})

test("kinds are not mixed in one header", () => {
  const recipients = kinds.map((kind) => generateIdentity(kind).recipient)
  expect(codeOf(() => sealHeader(recipients))).toBe("key/mixed")
  expect(codeOf(() => prepareRecipients([...recipients].reverse()))).toBe("key/mixed")
})

test("the age program opens a file whose header was made here, and its files open here", (context) => {
  const lacking = requireTool("age")
  if (lacking !== null) return context.skip(lacking)
  const [identity, other] = [generateIdentity("x25519"), generateIdentity("x25519")]
  const folder = mkdtempSync(join(tmpdir(), "holdline-header-"))
  try {
    const path = (name: string) => join(folder, name)
    writeFileSync(path("identity.txt"), identity.secret.reveal(), { mode: 0o600 })
    const plaintext = Buffer.from("hold the line")
    const { header, fileKey } = sealHeader([other.recipient, identity.recipient])
    const file = Buffer.alloc(sealedBytes(plaintext.length, header.length))
    file.set(header)
    sealPayload(plaintext, payloadKey(fileKey, randomBytes(16)), file, header.length)
    writeFileSync(path("here.age"), file)
    expect(execFileSync("age", ["-d", "-i", path("identity.txt"), path("here.age")])).toEqual(plaintext)

    execFileSync("age", ["-r", other.recipient, "-r", identity.recipient, "-o", path("there.age"), path("here.age")])
    expect(openHeader(readFileSync(path("there.age")), [identity])).toHaveLength(16)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

describe("the parser", () => {
  const valid = Buffer.from(sealHeader([generateIdentity("x25519").recipient]).header).toString("latin1")
  const stanza = /-> X25519.*\n.*\n/.exec(valid)?.[0] ?? ""
  const parsed = (text: string) => codeOf(() => parseHeader(Buffer.from(text, "latin1")))

  test("refuses every other spelling", () => {
    expect(parsed(valid)).toBe("nothing was thrown")
    expect(parsed(`${valid}anything`)).toBe("nothing was thrown")
    for (const [what, text] of Object.entries({
      "another version": valid.replace("v1", "v2"),
      "an armoured file": "-----BEGIN AGE ENCRYPTED FILE-----\n",
      "carriage returns": valid.replaceAll("\n", "\r\n"),
      "no recipient": valid.replace(stanza, ""),
      "two spaces": valid.replace("-> X25519 ", "-> X25519  "),
      "a space at the end of the line": valid.replace(/(-> .*)\n/, "$1 \n"),
      "padding of the body": valid.replace(/(->.*\n.*)\n/, "$1=\n"),
      "a body that does not end in a short line": valid.replace(/(->.*\n).*\n/, `$1${"A".repeat(64)}\n`),
      "a long line": valid.replace(/(->.*\n).*\n/, `$1${"A".repeat(68)}\nAAAA\n`),
      "a MAC with bits left over": valid.replace(/.\n$/, "B\n"),
      "a short MAC": valid.replace(/--- .*\n$/, "--- AAAA\n"),
      "no MAC": valid.replace(/--- .*\n$/, "---\n"),
      "a byte that is not ASCII": valid.replace("-> X25519", "-> X25519é"),
    })) {
      expect(text, what).not.toBe(valid)
      expect(parsed(text), what).toBe("format/malformed")
    }
  })

  test("refuses a stanza of a known kind that is not whole, whomever it is for", () => {
    const identities = kinds.map((kind) => generateIdentity(kind))
    for (const { recipient } of identities) {
      const text = Buffer.from(sealHeader([recipient]).header).toString("latin1")
      for (const [what, changed] of Object.entries({
        "another argument": text.replace(/(-> \S+ \S+)\n/, "$1 more\n"),
        "no share": text.replace(/(-> \S+) \S+\n/, "$1\n"),
        "a share cut short": text.replace(/(-> \S+ \S+)\S{4}\n/, "$1\n"),
        "a longer body": text.replace(/(-> .*\n)/, "$1AAAA"),
        "no body": text.replace(/(-> .*\n).*\n/, "$1\n"),
      })) {
        expect(changed, what).not.toBe(text)
        expect(
          codeOf(() => openHeader(Buffer.from(changed), identities)),
          what,
        ).toBe("format/malformed")
      }
    }
  })

  test("refuses passphrases, too many recipients and a header without end, in bounded work", () => {
    expect(parsed(valid.replace(/-> X25519 \S+/, "-> scrypt c2FsdA 18"))).toBe("format/unsupported")
    expect(parsed(valid.replace(stanza, stanza.repeat(headerStanzasMax)))).toBe("nothing was thrown")
    expect(parsed(valid.replace(stanza, stanza.repeat(headerStanzasMax + 1)))).toBe("format/too-large")
    expect(parsed(`age-encryption.org/v1\n-> X25519 ${"A".repeat(2 * headerBytesMax)}`)).toBe("format/too-large")
    expect(parsed(`age-encryption.org/v1\n-> a\n${`${"A".repeat(64)}\n`.repeat(2000)}`)).toBe("format/too-large")
  })

  test("leaves stanzas alone that it does not know", async () => {
    const identity = vectorIdentity("x25519")
    const encrypter = new Encrypter()
    const { Stanza } = await import("age-encryption")
    encrypter.addRecipient({ wrapFileKey: () => [new Stanza(["example.com/grease", "x"], new Uint8Array(96))] })
    encrypter.addRecipient(identity.recipient)
    const file = await encrypter.encrypt("")
    expect(parseHeader(file).stanzas[0]).toMatchObject({ args: ["example.com/grease", "x"], body: Buffer.alloc(96) })
    expect(openHeader(file, [identity])).toHaveLength(16)
  })

  test("throws nothing but typed errors, whatever it is given", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constantFrom("age-encryption.org/v1\n", "-> ", "--- ", "\n", "X25519 ", stanza), fc.string())),
        (parts) => {
          expect(codeOf(() => parseHeader(Buffer.from(`age-encryption.org/v1\n${parts.join("")}`)))).toMatch(/^(?:format\/|nothing)/)
        },
      ),
    )
  })
})

describe("random numbers", () => {
  test("a generator that gives a file key twice ends everything", () => {
    const prepared = prepareRecipient(generateIdentity("x25519").recipient)
    const keys = [1, 2, 3, 1].map((seed) => Uint8Array.from({ length: 16 }, (_, i) => seed * i))
    const repeating = { bytes: () => keys.shift() ?? new Uint8Array(16) }
    for (let round = 0; round < 3; round++) expect(prepared.seal(repeating).fileKey).toHaveLength(16)
    expect(codeOf(() => prepared.seal(repeating))).toBe("key/repeated")
    expect(codeOf(() => prepared.seal({ bytes: (length) => new Uint8Array(length).fill(255) }))).toBe("key/repeated")
  })
})

describe("two implementations of the post-quantum half", () => {
  test("this machine uses the native one", () => {
    expect(nativeStatus()).toEqual({ hybrid: "native", x25519: "native" })
  })

  test("both pass the test of the published vector and of each other", () => {
    testHybrid(nativeKem)
    testHybrid(libraryKem)
  })

  test("each opens what the other sealed", () => {
    const seed = new Uint8Array(32).fill(7)
    expect(Buffer.from(nativeKem.publicKey(seed)).equals(libraryKem.publicKey(seed))).toBe(true)
    for (const [one, other] of [
      [nativeKem, libraryKem],
      [libraryKem, nativeKem],
    ] as const) {
      const { secret, ciphertext } = one.encapsulator(other.publicKey(seed))()
      expect(Buffer.from(other.decapsulator(seed)(ciphertext)).equals(secret)).toBe(true)
    }
  })

  test("the library takes over, with the reason, wherever the native one is wrong or missing", () => {
    const wrongSecret = (secret: Uint8Array) => Uint8Array.from(secret, (byte, i) => (i === 31 ? byte ^ 1 : byte))
    const broken = {
      "public key differs": { ...nativeKem, publicKey: (seed: Uint8Array) => wrongSecret(nativeKem.publicKey(seed)) },
      "published vector differs": {
        ...nativeKem,
        decapsulator: (seed: Uint8Array) => (ciphertext: Uint8Array) => wrongSecret(nativeKem.decapsulator(seed)(ciphertext)),
      },
      "secret opened differs": {
        ...nativeKem,
        encapsulator: (key: Uint8Array) => () => {
          const { secret, ciphertext } = nativeKem.encapsulator(key)()
          return { secret: wrongSecret(secret), ciphertext }
        },
      },
      "two encapsulations are the same": {
        ...nativeKem,
        encapsulator: (key: Uint8Array) => {
          const same = nativeKem.encapsulator(key)()
          return () => same
        },
      },
      "no ML-KEM": {
        ...nativeKem,
        publicKey: () => {
          throw new Error("no ML-KEM")
        },
      },
    }
    for (const [reason, kem] of Object.entries(broken)) {
      expect(chooseHybrid(kem)).toEqual({ kem: libraryKem, name: "library", reason })
    }
    expect(chooseHybrid(nativeKem)).toEqual({ kem: nativeKem, name: "native" })
  })
})
