import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { escrowSheetHtml, escrowSheetText } from "../../src/key/escrow.ts"
import { containsIdentity, parseIdentities, readIdentityFile } from "../../src/key/identity-file.ts"
import { generateIdentity } from "../../src/key/recipient.ts"
import { vectorFile, vectorIdentity, vectorIdentityFile } from "./vectors.ts"

let folder = ""
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "holdline-identity-"))
})
afterAll(async () => {
  await rm(folder, { recursive: true })
})

const pq = vectorIdentity("pq")
const x25519 = vectorIdentity("x25519")

function messageOf(text: string): string {
  try {
    parseIdentities(text, "stdin")
  } catch (error) {
    return error instanceof Error ? error.message : "not an error"
  }
  return "none"
}

test("several identities stand in one file, with comments, blank lines and any line ends", () => {
  expect(parseIdentities(vectorIdentityFile("pq"), "stdin")).toEqual([pq])
  const lines = ["# created: 2026-11-21", pq.secret.reveal(), "", "  # other", `\t${x25519.secret.reveal()} `, ""]
  for (const end of ["\n", "\r\n", "\r"]) {
    expect(parseIdentities(lines.join(end), "stdin")).toEqual([pq, x25519])
    expect(parseIdentities(`\ufeff${lines.slice(1).join(end)}`, "stdin")).toEqual([pq, x25519])
  }
})

test("what is wrong is said with its line, and never with its text", () => {
  const secret = x25519.secret.reveal()
  expect(messageOf(`# key\n\n${secret.slice(0, -1)}Q\n`)).toMatch(/^stdin: line 3: identity: its checksum does not fit/)
  expect(messageOf(`${secret}\n${pq.recipient}\n`)).toBe("stdin: line 2: identity: this is a recipient, the public half")
  expect(messageOf(secret.toLowerCase())).toBe("stdin: line 1: identity: it has lower-case letters")
  expect(messageOf("# nothing\n")).toBe("stdin: it holds no identity")
  expect(messageOf(Buffer.from(vectorFile("x25519", 1)).toString("latin1"))).toBe("stdin: it is encrypted itself")
  expect(messageOf("-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n")).toBe("stdin: it is encrypted itself")
})

test("a file is read only where it is its owner's alone", async () => {
  const path = join(folder, "escrow.txt")
  await writeFile(path, vectorIdentityFile("x25519"), { mode: 0o600 })
  expect(await readIdentityFile(path)).toEqual([x25519])
  await chmod(path, 0o400)
  expect(await readIdentityFile(path)).toEqual([x25519])
  await chmod(path, 0o644)
  await expect(readIdentityFile(path)).rejects.toMatchObject({ code: "key/untrusted", hint: `chmod 600 ${path}` })
  await expect(readIdentityFile(join(folder, "none.txt"))).rejects.toMatchObject({ code: "key/missing" })
})

test("an identity is found wherever it was left", () => {
  for (const identity of [pq, x25519, generateIdentity("pq"), generateIdentity("x25519")]) {
    const secret = identity.secret.reveal()
    for (const content of [secret, `key: "${secret}"`, secret.toLowerCase(), Buffer.from(`\0\0${secret}\xff`, "latin1")]) {
      expect(containsIdentity(content)).toBe(true)
    }
    const sheet = { identity, root: "SHA256:x", repository: "r", date: "2026-11-21", opens: "all", sites: [] }
    expect(containsIdentity(escrowSheetText(sheet).reveal())).toBe(true)
    expect(containsIdentity(escrowSheetHtml(sheet).reveal())).toBe(true)
  }
  for (const content of [pq.recipient, x25519.recipient, "identity: AGE-SECRET-KEY-1… or AGE-SECRET-KEY-PQ-1…", "", vectorFile("pq", 1)]) {
    expect(containsIdentity(content)).toBe(false)
  }
})
