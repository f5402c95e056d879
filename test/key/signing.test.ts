import { execFileSync } from "node:child_process"
import { chmod, mkdtemp, rm, stat, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { inspect } from "node:util"
import { afterAll, beforeAll, expect, test } from "vitest"
import { generateSigningKey, parseSigningKey, publicPemOf, readSigningKey, writeSigningKey } from "../../src/key/signing.ts"
import { Secret } from "../../src/secret.ts"
import { verifySignature } from "../../src/signature.ts"
import { requireTool } from "../requires.ts"

let folder = ""
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "holdline-signing-"))
})
afterAll(async () => {
  await rm(folder, { recursive: true })
})

const message = Buffer.from("holdline/v1/commit\n{}")

test("a signature is valid for its message and its key only", () => {
  const key = generateSigningKey()
  const signature = key.sign(message)
  expect(signature).toHaveLength(64)
  expect(verifySignature(key.publicKey, message, signature)).toBe(true)
  expect(verifySignature(key.publicKey, Buffer.from("holdline/v1/trust\n{}"), signature)).toBe(false)
  expect(verifySignature(generateSigningKey().publicKey, message, signature)).toBe(false)
})

test("a key is written for its owner's eyes, once, and read back", async () => {
  const path = join(folder, "agent.key")
  const key = generateSigningKey()
  await writeSigningKey(path, key)
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  const read = await readSigningKey(path)
  expect(read).toMatchObject({ publicKey: key.publicKey, keyId: key.keyId, fingerprint: key.fingerprint })
  expect(Buffer.from(read.sign(message))).toEqual(Buffer.from(key.sign(message)))
  await expect(writeSigningKey(path, generateSigningKey())).rejects.toMatchObject({ code: "EEXIST" })
})

test("a key that others may use is refused, through a link too, with what to do", async () => {
  const path = join(folder, "open.key")
  await writeSigningKey(path, generateSigningKey())
  await symlink(path, join(folder, "link.key"))
  expect((await readSigningKey(join(folder, "link.key"))).keyId).toMatch(/^[0-9a-f]{32}$/)
  for (const mode of [0o640, 0o604, 0o620, 0o602, 0o611]) {
    await chmod(path, mode)
    for (const name of ["open.key", "link.key"]) {
      const expected = { code: "key/untrusted", hint: `chmod 600 ${join(folder, name)}` }
      await expect(readSigningKey(join(folder, name)), mode.toString(8)).rejects.toMatchObject(expected)
    }
  }
  await expect(readSigningKey(join(folder, "none.key"))).rejects.toMatchObject({ code: "key/missing" })
  await expect(readSigningKey(folder)).rejects.toMatchObject({ name: "KeyError" })
})

test("what is no ed25519 key is told apart", async () => {
  const key = generateSigningKey()
  const said = (pem: string, passphrase?: Secret) => {
    try {
      return parseSigningKey(pem, "agent.key", passphrase).keyId
    } catch (error) {
      return error instanceof Error ? error.message : "not an error"
    }
  }
  expect(said(key.exportPrivate())).toBe(key.keyId)
  expect(said(publicPemOf(key.publicKey))).toBe("agent.key: this is a public key, not the private one that signs")
  expect(said("")).toBe("agent.key: it is no private key in PEM")
  expect(said(key.exportPrivate().slice(0, 80))).toBe("agent.key: it is no private key in PEM")
  expect(said("-----BEGIN OPENSSH PRIVATE KEY-----\n")).toBe("agent.key: this is an OpenSSH key, not PKCS#8")
  const path = join(folder, "huge.key")
  await writeFile(path, Buffer.alloc(100_000), { mode: 0o600 })
  await expect(readSigningKey(path)).rejects.toMatchObject({ code: "key/malformed" })
})

test("the private half does not show", () => {
  const key = generateSigningKey()
  const body = key.exportPrivate().split("\n")[1] ?? ""
  expect(body).toHaveLength(64)
  const shown = inspect(key, { depth: 9, showHidden: true }) + JSON.stringify(key)
  expect(shown).toContain(key.keyId)
  expect(shown).not.toContain(body.slice(-32))
})

test("ssh-keygen prints the same fingerprint", async (context) => {
  const lacking = requireTool("ssh-keygen")
  if (lacking !== null) return context.skip(lacking)
  const { publicKey, fingerprint } = generateSigningKey()
  const wire = Buffer.concat([Buffer.from("0000000b7373682d6564323535313900000020", "hex"), Buffer.from(publicKey, "base64")])
  const path = join(folder, "root.pub")
  await writeFile(path, `ssh-ed25519 ${wire.toString("base64")} root\n`)
  expect(execFileSync("ssh-keygen", ["-lf", path]).toString()).toBe(`256 ${fingerprint} root (ED25519)\n`)
})

test("openssl verifies a signature, and its keys can sign here", async (context) => {
  const lacking = requireTool("openssl")
  if (lacking !== null) return context.skip(lacking)
  const path = (name: string) => join(folder, name)
  execFileSync("openssl", ["genpkey", "-algorithm", "ed25519", "-out", path("made.key")])
  await chmod(path("made.key"), 0o600)
  const key = await readSigningKey(path("made.key"))
  expect(execFileSync("openssl", ["pkey", "-in", path("made.key"), "-pubout"]).toString()).toBe(publicPemOf(key.publicKey))

  await writeFile(path("key.pem"), publicPemOf(key.publicKey))
  await writeFile(path("message"), message)
  await writeFile(path("signature"), key.sign(message))
  const verify = [
    "pkeyutl",
    "-verify",
    "-pubin",
    "-inkey",
    path("key.pem"),
    "-rawin",
    "-in",
    path("message"),
    "-sigfile",
    path("signature"),
  ]
  expect(execFileSync("openssl", verify).toString()).toContain("Signature Verified Successfully")
  await writeFile(path("message"), "another")
  expect(() => execFileSync("openssl", verify, { stdio: "pipe" })).toThrow()
})

test("a root key with a passphrase needs it", async (context) => {
  const lacking = requireTool("openssl")
  if (lacking !== null) return context.skip(lacking)
  const path = join(folder, "root.key")
  execFileSync("openssl", ["genpkey", "-algorithm", "ed25519", "-aes-256-cbc", "-pass", "pass:tree-frog", "-out", path])
  await chmod(path, 0o600)
  expect((await readSigningKey(path, new Secret("tree-frog"))).fingerprint).toMatch(/^SHA256:[A-Za-z0-9+/]{43}$/)
  await expect(readSigningKey(path)).rejects.toMatchObject({ code: "key/missing" })
  await expect(readSigningKey(path, new Secret("tree-toad"))).rejects.toMatchObject({ code: "key/wrong" })

  execFileSync("openssl", ["genpkey", "-algorithm", "x25519", "-out", join(folder, "x25519.key")])
  await chmod(join(folder, "x25519.key"), 0o600)
  await expect(readSigningKey(join(folder, "x25519.key"))).rejects.toThrow("this is a key for x25519, not ed25519")
})
