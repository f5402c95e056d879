import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { encodeSshKey, parsePublicKeyFile, sshFingerprint } from "../../src/format/ssh-key.ts"
import { decodeSshSignature, unarmour, verifySshSignature } from "../../src/format/sshsig.ts"
import { sshString } from "../../src/signature.ts"
import { requireTool } from "../requires.ts"
import { accepted, cuts, flips } from "./damage.ts"
import { armoured, handOf, sshSign } from "./ssh.ts"

const message = Buffer.from('{"what":"signed"}\n')
const file = handOf("file")
const token = handOf("token", "ssh:")
const refusal = (code: string, words: string) => expect.objectContaining({ code, message: expect.stringContaining(words) })

function verify(blob: Uint8Array, text: Uint8Array = message): unknown {
  const signature = decodeSshSignature(blob, "signature")
  verifySshSignature(signature, text, "signature")
  return signature
}

describe("a signature of SSH", () => {
  test.each(["sha256", "sha512"])("verifies, by a key in a file and by one on a token, over %s", (algorithm) => {
    expect(verify(sshSign(file, message, { algorithm }))).toMatchObject({ key: file.key, namespace: "holdline-approval", hash: algorithm })
    const flags = 0x05
    expect(verify(sshSign(token, message, { algorithm, flags, counter: 0xfffffffe }))).toMatchObject({
      key: token.key,
      token: { flags, counter: 0xfffffffe },
    })
  })

  test("fits one message only", () => {
    for (const hand of [file, token]) {
      const blob = sshSign(hand, message)
      for (const other of [Buffer.from('{"what":"signed"}'), Buffer.from('{"what":"signed"}\r\n'), Buffer.alloc(0)]) {
        expect(() => verify(blob, other)).toThrow(refusal("format/mismatch", "does not fit"))
      }
    }
  })

  test("cut anywhere, with any bit changed, or with bytes after it, is refused", () => {
    for (const hand of [file, token]) {
      const blob = sshSign(hand, message)
      expect(accepted(cuts(blob), (bytes) => verify(bytes))).toEqual([])
      expect(accepted(flips(blob), (bytes) => verify(bytes))).toEqual([])
      expect(() => verify(Buffer.concat([blob, Buffer.from([0])]))).toThrow(refusal("format/malformed", "bytes after its end"))
    }
  })

  test("of a token that nobody touched is refused", () => {
    for (const flags of [0, 0x04]) expect(() => verify(sshSign(token, message, { flags }))).toThrow(refusal("format/mismatch", "touched"))
  })

  test("of a token counts for the application that it was made for, and its flags and counter are signed", () => {
    const blob = sshSign(token, message)
    const other = Buffer.concat([blob.subarray(0, 10), sshString(encodeSshKey({ ...token.key, application: "ssx:" }))])
    const swapped = Buffer.concat([other, blob.subarray(10 + 4 + encodeSshKey(token.key).length)])
    expect(() => verify(swapped)).toThrow(refusal("format/mismatch", "does not fit"))
  })

  test("does not let a key in a file pass for one on a token, nor the other way round", () => {
    const plain = sshSign(file, message)
    const ofToken = sshSign(token, message)
    const inner = (blob: Buffer, key: Buffer) => blob.subarray(10 + 4 + key.length)
    const mixed = [
      Buffer.concat([plain.subarray(0, 10), sshString(encodeSshKey(file.key)), inner(ofToken, encodeSshKey(token.key))]),
      Buffer.concat([plain.subarray(0, 10), sshString(encodeSshKey(token.key)), inner(plain, encodeSshKey(file.key))]),
    ]
    for (const blob of mixed) expect(() => verify(blob)).toThrow(refusal("format/malformed", "by a key of type"))
  })

  test("of another version or with another hash is refused by name, and so is one that says something in its reserved field", () => {
    expect(() => verify(sshSign(file, message, { version: 2 }))).toThrow(refusal("format/unsupported", "version 2"))
    expect(() => verify(sshSign(file, message, { algorithm: "sha1" }))).toThrow(refusal("format/unsupported", 'the hash "sha1"'))
    expect(() => verify(sshSign(file, message, { reserved: "x" }))).toThrow(refusal("format/unsupported", "reserved"))
  })

  test("of any length but its own is refused before it is read", () => {
    expect(() => decodeSshSignature(Buffer.alloc(4097), "signature")).toThrow(refusal("format/too-large", "4097 bytes"))
    expect(() => unarmour("-".repeat(9000), "signature")).toThrow(refusal("format/too-large", "9000 characters"))
    const huge = sshSign(file, message)
    huge.writeUInt32BE(0xffffffff, 10)
    expect(() => decodeSshSignature(huge, "signature")).toThrow(refusal("format/malformed", "cut short"))
  })

  test("is taken out of its armour, and out of nothing else", () => {
    const blob = sshSign(file, message)
    const text = armoured(blob)
    expect(unarmour(text, "signature").equals(blob)).toBe(true)
    expect(unarmour(text.replaceAll("\n", "\r\n"), "signature").equals(blob)).toBe(true)
    for (const wrong of [`x${text}`, `${text}x`, text.replace("SSH", "PGP"), text.replace("U1NI", "U1N "), blob.toString("base64"), ""]) {
      expect(() => unarmour(wrong, "signature")).toThrow(refusal("format/malformed", "not a signature of SSH"))
    }
    expect(() => unarmour(text.replace(/=*\n-----END/, "=\n-----END"), "signature")).toThrow(refusal("format/malformed", "base64"))
  })
})

describe("ssh-keygen", () => {
  let directory: string
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "sshsig-"))
  })
  afterAll(() => rmSync(directory, { recursive: true }))
  const at = (name: string): string => join(directory, name)
  const keygen = (args: readonly string[], input = "") =>
    execFileSync("ssh-keygen", args, { input, stdio: ["pipe", "pipe", "pipe"] }).toString()

  test.for(["sha256", "sha512"])("signs with %s what verifies here, with the key that its .pub file says", (algorithm, context) => {
    const lacking = requireTool("ssh-keygen")
    if (lacking !== null) context.skip(lacking)
    const name = `key-${algorithm}`
    keygen(["-q", "-t", "ed25519", "-N", "", "-C", "ada@example.com", "-f", at(name)])
    const signed = keygen(["-Y", "sign", "-O", `hashalg=${algorithm}`, "-n", "holdline-approval", "-f", at(name), "-"], message.toString())
    const signature = decodeSshSignature(unarmour(signed, "signature"), "signature")
    verifySshSignature(signature, message, "signature")
    const key = parsePublicKeyFile(readFileSync(at(`${name}.pub`), "utf8"), "key")
    expect(signature).toMatchObject({ key, hash: algorithm, namespace: "holdline-approval" })
    expect(keygen(["-lf", at(`${name}.pub`)]).split(" ")[1]).toBe(sshFingerprint(key))
    expect(() => parsePublicKeyFile(readFileSync(at(name), "utf8"), "key")).toThrow(refusal("format/malformed", "private key"))
  })

  test("verifies what the tests sign by the protocol, by a key in a file and on a token", (context) => {
    const lacking = requireTool("ssh-keygen")
    if (lacking !== null) context.skip(lacking)
    for (const [name, hand] of Object.entries({ file, token })) {
      const type = name === "file" ? "ssh-ed25519" : "sk-ssh-ed25519@openssh.com"
      const line = `${type} ${encodeSshKey(hand.key).toString("base64")}`
      writeFileSync(at("allowed"), `${name} ${line}\n`)
      writeFileSync(at("sig"), armoured(sshSign(hand, message)))
      const verifyArgs = ["-Y", "verify", "-f", at("allowed"), "-I", name, "-n", "holdline-approval", "-s", at("sig")]
      expect(keygen(verifyArgs, message.toString())).toContain("Good")
      writeFileSync(at("pub"), `${line} somebody\n`)
      expect(parsePublicKeyFile(readFileSync(at("pub"), "utf8"), "key")).toEqual(hand.key)
      expect(keygen(["-lf", at("pub")]).split(" ")[1]).toBe(sshFingerprint(hand.key))
    }
  })

  test.for([
    ["rsa", "1024", "ssh-rsa"],
    ["ecdsa", "256", "ecdsa-sha2-nistp256"],
  ] as const)("makes %s keys, which are refused by name, as keys and as signatures", ([type, bits, name], context) => {
    const lacking = requireTool("ssh-keygen")
    if (lacking !== null) context.skip(lacking)
    keygen(["-q", "-t", type, "-b", bits, "-N", "", "-f", at(type)])
    expect(() => parsePublicKeyFile(readFileSync(at(`${type}.pub`), "utf8"), "key")).toThrow(refusal("format/unsupported", name))
    const signed = keygen(["-Y", "sign", "-n", "holdline-approval", "-f", at(type), "-"], message.toString())
    expect(() => decodeSshSignature(unarmour(signed, "signature"), "signature")).toThrow(refusal("format/unsupported", name))
  })
})

describe("a public key", () => {
  const line = (hand: typeof file, type: string) => `${type} ${encodeSshKey(hand.key).toString("base64")}`

  test("is one line, whatever its comment", () => {
    for (const text of [line(file, "ssh-ed25519"), `${line(file, "ssh-ed25519")} Ada's laptop\r\n`]) {
      expect(parsePublicKeyFile(text, "key")).toEqual(file.key)
    }
  })

  test.each([
    ["nothing", "", "format/malformed"],
    ["two keys", `${line(file, "ssh-ed25519")}\n${line(token, "sk-ssh-ed25519@openssh.com")}\n`, "format/malformed"],
    ["another type than it holds", line(token, "ssh-ed25519"), "format/malformed"],
    ["a certificate", `ssh-ed25519-cert-v01@openssh.com ${Buffer.from("x").toString("base64")}`, "format/unsupported"],
    [
      "a key that is too long",
      `ssh-ed25519 ${Buffer.concat([encodeSshKey(file.key), Buffer.alloc(1)]).toString("base64")}`,
      "format/malformed",
    ],
    ["options before it", `no-touch-required ${line(token, "sk-ssh-ed25519@openssh.com")}`, "format/malformed"],
  ])("with %s is refused", (_, text, code) => {
    expect(() => parsePublicKeyFile(text, "key")).toThrow(expect.objectContaining({ code }))
  })
})
