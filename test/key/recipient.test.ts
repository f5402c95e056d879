import { inspect } from "node:util"
import { identityToRecipient } from "age-encryption"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { KeyError } from "../../src/errors.ts"
import { decodeBech32, encodeBech32 } from "../../src/key/bech32.ts"
import { generateIdentity, kindOf, parseIdentity, parseRecipient, parseRecipients } from "../../src/key/recipient.ts"
import { vectorIdentity, vectorIdentityFile } from "./vectors.ts"

const kinds = ["pq", "x25519"] as const

/** The error of a call that must fail. */
function failure(call: () => unknown): KeyError {
  try {
    call()
  } catch (error) {
    if (error instanceof KeyError) return error
    throw error
  }
  throw new Error("nothing was thrown")
}

describe.each(kinds)("%s keys", (kind) => {
  test("an identity file of age-keygen names the recipient that the identity belongs to", () => {
    expect(vectorIdentityFile(kind)).toContain(`# public key: ${vectorIdentity(kind).recipient}\n`)
  })

  test("a new identity has the recipient that the age library gives it", async () => {
    const identity = generateIdentity(kind)
    expect(await identityToRecipient(identity.secret.reveal())).toBe(identity.recipient)
    expect(parseIdentity(`  ${identity.secret.reveal()}\r\n`)).toEqual(identity)
    expect(parseRecipient(`${identity.recipient}\n`)).toMatchObject({ kind, text: identity.recipient })
    expect([kindOf(identity.recipient), kindOf(identity.secret.reveal())]).toEqual([kind, kind])
  })

  test("one wrong character anywhere is noticed", () => {
    const { recipient, secret } = vectorIdentity(kind)
    for (const [text, parse] of [
      [recipient, parseRecipient],
      [secret.reveal(), parseIdentity],
    ] as const) {
      fc.assert(
        fc.property(fc.nat(text.length - 1), fc.constantFrom(..."qpzry9x8gf2tvdw0s3jn54khce6mua7lbio1-!"), (at, char) => {
          const wanted = text === recipient ? char : char.toUpperCase()
          fc.pre(text[at] !== wanted)
          expect(failure(() => parse(text.slice(0, at) + wanted + text.slice(at + 1))).code).toBe("key/malformed")
        }),
      )
    }
  })

  test("messages and inspected values never show the secret", () => {
    const { secret, recipient, ...rest } = vectorIdentity(kind)
    const text = secret.reveal()
    const errors = [
      failure(() => parseRecipient(text)),
      failure(() => parseRecipient(`  ${text.toLowerCase()}`)),
      failure(() => parseRecipients([recipient, text])),
      failure(() => parseIdentity(text.slice(0, -1))),
      failure(() => parseIdentity(text.toLowerCase())),
      failure(() => parseIdentity(`${text}Q`)),
      failure(() => parseIdentity(`my key is ${text}`)),
    ]
    for (const shown of [...errors, { secret, rest }, vectorIdentity(kind)].map(
      (value) => `${inspect(value, { depth: 9 })} ${JSON.stringify(value)}`,
    )) {
      for (let at = 20; at + 8 <= text.length; at++) expect(shown.toUpperCase()).not.toContain(text.slice(at, at + 8))
    }
  })
})

test("each way of being wrong is told apart", () => {
  const { recipient, secret } = vectorIdentity("x25519")
  const pq = vectorIdentity("pq").recipient
  const said = (call: () => unknown) => {
    const { code, message, hint } = failure(call)
    expect(code).toBe("key/malformed")
    return `${message}${hint === undefined ? "" : ` (${hint})`}`
  }
  expect(said(() => parseRecipient(secret.reveal()))).toContain("this is an identity, the secret half")
  expect(said(() => parseIdentity(recipient))).toContain("this is a recipient, the public half")
  expect(said(() => parseRecipient(`${recipient.slice(0, -1)}q`))).toMatch(/^recipient age1mjcymx6e6tcy…: its checksum does not fit/)
  expect(said(() => parseRecipient(pq.slice(0, -1)))).toContain("its checksum does not fit")
  expect(said(() => parseRecipient(recipient.toUpperCase()))).toContain("lower case")
  expect(said(() => parseIdentity(secret.reveal().toLowerCase()))).toContain("capitals")
  expect(said(() => parseRecipient(recipient.replace("age1mj", "age1mb")))).toContain("character 6 cannot occur")
  expect(said(() => parseRecipient("age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t"))).toContain(
    "plugins and tokens",
  )
  expect(said(() => parseIdentity("AGE-PLUGIN-YUBIKEY-1QQQQ"))).toContain("plugins")
  expect(said(() => parseRecipient("ssh-ed25519 AAAA"))).toContain("SSH key")
  expect(said(() => parseRecipient("bob@example.com"))).toBe(
    'recipient: it does not begin with "age1" (a recipient is age1pq1… (post-quantum) or age1… (X25519))',
  )
  expect(said(() => parseRecipients([recipient, `${recipient}\n`]))).toContain("given twice")
  expect(said(() => parseRecipient(encodeBech32("age", new Uint8Array(31))))).toContain("31 bytes instead of 32")
})

test("recipients of different kinds are never mixed, and there is at least one", () => {
  const [pq, x25519] = [generateIdentity("pq"), generateIdentity("x25519")]
  const other = generateIdentity("pq")
  expect(failure(() => parseRecipients([pq.recipient, other.recipient, x25519.recipient]))).toMatchObject({ code: "key/mixed" })
  expect(failure(() => parseRecipients([x25519.recipient, pq.recipient])).hint).toContain("only")
  expect(failure(() => parseRecipients([]))).toMatchObject({ code: "key/missing" })
  expect(parseRecipients([pq.recipient, other.recipient]).map(({ kind }) => kind)).toEqual(["pq", "pq"])
})

test("a generator that is stuck makes no second identity", () => {
  const stuck = { bytes: (length: number) => Uint8Array.from({ length }, (_, i) => i) }
  expect(generateIdentity("x25519", stuck).recipient).toMatch(/^age1/)
  expect(failure(() => generateIdentity("x25519", stuck)).code).toBe("key/repeated")
  expect(failure(() => generateIdentity("x25519", { bytes: (length) => new Uint8Array(length) })).code).toBe("key/repeated")
})

test("bech32 gives back any bytes, and only one spelling of them", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom("age", "age1pq", "age-secret-key-"), (bytes, prefix) => {
      const text = encodeBech32(prefix, bytes)
      expect(decodeBech32(text)).toEqual({ prefix, bytes })
      expect(decodeBech32(text.toUpperCase())).toEqual({ prefix, bytes })
    }),
  )
  // As age-keygen wrote it: 1,216 bytes.
  const { recipient } = vectorIdentity("pq")
  const { publicKey } = parseRecipient(recipient)
  expect(publicKey).toHaveLength(1216)
  expect(encodeBech32("age1pq", publicKey)).toBe(recipient)
  // From BIP 173.
  expect(decodeBech32("A12UEL5L")).toEqual({ prefix: "a", bytes: new Uint8Array() })
  for (const bad of ["A12uEL5L", "1qzzfhee", "10a06t8", "de1lg7wt", "A1G7SGD8", "li1dgmt3", "x1b4n0q5v", "pzry9x0s0muk"]) {
    expect(decodeBech32(bad), bad).toHaveProperty("problem")
  }
  // BIP 173 again, right but for the padding: it does not stand for whole bytes.
  expect(decodeBech32("abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw")).toEqual({
    prefix: "abcdef",
    bytes: Uint8Array.from(Buffer.from("00443214c74254b635cf84653a56d7c675be77df", "hex")),
  })
  // The same zero byte with a bit of its padding set, and with a word too many; both checksums are right.
  expect(decodeBech32("age1qqpexly5")).toEqual({ prefix: "age", bytes: new Uint8Array(1) })
  for (const bad of ["age1qpu0j2ex", "age1qqqyst3gn"]) expect(decodeBech32(bad), bad).toEqual({ problem: "its last bits are not zero" })
})
