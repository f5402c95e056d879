import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Decrypter, Encrypter } from "age-encryption"
import { describe, expect, test } from "vitest"
import { keyFileText, makeAccountKey, openKeyObject, parseKeyFile, sealKeyObject } from "../../src/key/account.ts"
import { parseIdentities } from "../../src/key/identity-file.ts"
import { generateIdentity } from "../../src/key/recipient.ts"
import { decryptSmall, encryptSmall } from "../../src/key/small.ts"
import { smallObjectBytesMax } from "../../src/limits.ts"
import { requireTool } from "../requires.ts"

const owner = { account: "0123456789abcdef0123456789abcdef", epoch: "2026w47" } as const

describe.each(["pq", "x25519"] as const)("%s key objects", (kind) => {
  const operations = generateIdentity(kind)
  const escrow = generateIdentity(kind)
  const organisation = [operations.recipient, escrow.recipient]

  test("any one organisation identity opens the account's identity, whole and checked", async () => {
    const made = await makeAccountKey({ ...owner, organisation })
    for (const identity of [operations, escrow]) {
      const opened = await openKeyObject(made.object, [generateIdentity(kind), identity], { ...owner, recipient: made.recipient })
      expect(opened).toMatchObject({ ...owner, identity: { kind, recipient: made.recipient } })
      const sealed = await encryptSmall(Buffer.from("theirs alone"), [made.recipient])
      expect(Buffer.from(await decryptSmall(sealed, [opened.identity])).toString()).toBe("theirs alone")
    }
    await expect(openKeyObject(made.object, [generateIdentity(kind)], owner)).rejects.toMatchObject({ code: "key/wrong" })
  })

  test("the key object of another account, epoch or recipient is refused", async () => {
    const { object } = await makeAccountKey({ ...owner, organisation })
    const { recipient } = generateIdentity(kind)
    for (const expected of [
      { ...owner, account: "platform" },
      { ...owner, epoch: "1" },
      { ...owner, recipient },
    ]) {
      await expect(openKeyObject(object, [escrow], expected)).rejects.toMatchObject({ code: "format/foreign" })
    }
  })

  test("a key object is sealed again for new organisation recipients, with the same identity", async () => {
    const made = await makeAccountKey({ ...owner, organisation })
    const next = generateIdentity(kind)
    const key = await openKeyObject(made.object, [escrow], owner)
    const sealedAgain = await sealKeyObject(key, [next.recipient])
    expect(await openKeyObject(sealedAgain, [next], { ...owner, recipient: made.recipient })).toEqual(key)
    await expect(openKeyObject(sealedAgain, [escrow], owner)).rejects.toMatchObject({ code: "key/wrong" })
  })

  test("the plaintext is an identity file that the library and people can use", async () => {
    const { object, recipient } = await makeAccountKey({ ...owner, organisation })
    const decrypter = new Decrypter()
    decrypter.addIdentity(operations.secret.reveal())
    const text = await decrypter.decrypt(object, "text")
    const start = `# account: ${owner.account}\n# epoch: 2026w47\n# recipient: ${recipient}\nAGE-SECRET-KEY-`
    expect(text.startsWith(start)).toBe(true)
    expect(parseIdentities(text, "key object")).toMatchObject([{ kind, recipient }])
  })

  test("a changed or cut key object is refused", async () => {
    const { object } = await makeAccountKey({ ...owner, organisation: [escrow.recipient] })
    for (const at of [0, 100, object.length - 200, object.length - 1]) {
      const changed = Uint8Array.from(object)
      changed[at] = (object[at] ?? 0) ^ 1
      await expect(openKeyObject(changed, [escrow], owner), `byte ${String(at)}`).rejects.toMatchObject({
        name: /^(?:FormatError|KeyError)$/,
      })
      await expect(openKeyObject(object.subarray(0, at), [escrow], owner), `cut at ${String(at)}`).rejects.toMatchObject({
        name: "FormatError",
      })
    }
    await expect(openKeyObject(Buffer.concat([object, Buffer.from("x")]), [escrow], owner)).rejects.toMatchObject({
      code: "format/mismatch",
    })
  })
})

test("accounts and the organisation have keys of one kind", async () => {
  const [pq, x25519] = [generateIdentity("pq"), generateIdentity("x25519")]
  const organisation = [pq.recipient, x25519.recipient]
  await expect(makeAccountKey({ ...owner, organisation })).rejects.toMatchObject({ code: "key/mixed" })
  await expect(sealKeyObject({ ...owner, identity: x25519 }, [pq.recipient])).rejects.toMatchObject({ code: "key/mixed" })
})

test("a key file names its owner once, holds one identity, and both fit", () => {
  const key = { ...owner, identity: generateIdentity("x25519") }
  const text = keyFileText(key).reveal()
  const other = generateIdentity("x25519")
  expect(parseKeyFile(text)).toEqual(key)
  expect(parseKeyFile(`# born: 2026-11-21\n${text}`)).toEqual(key)
  for (const [what, changed, code] of [
    ["another identity", text.replace(/AGE-.*/, other.secret.reveal()), "format/mismatch"],
    ["no account", text.replace(/# account.*\n/, ""), "format/malformed"],
    ["two accounts", `${text}# account: platform\n`, "format/malformed"],
    ["two identities", `${text}${other.secret.reveal()}\n`, "format/malformed"],
    ["no identity", text.replace(/AGE-.*\n/, ""), "format/malformed"],
    ["a name as account", text.replace(owner.account, "Example Telecom"), "format/malformed"],
    ["an epoch that is none", text.replace("2026w47", "2026-47"), "format/malformed"],
    ["a mistyped identity", text.replace(/.\n$/, (end) => (end === "Q\n" ? "P\n" : "Q\n")), "key/malformed"],
  ] as const) {
    expect(() => parseKeyFile(changed), what).toThrow(expect.objectContaining({ code }))
  }
  expect(() => keyFileText({ ...key, account: "a\n# account: b" })).toThrow(expect.objectContaining({ code: "format/malformed" }))
})

test("small values have an end, and no passphrase opens one", async () => {
  const identity = generateIdentity("x25519")
  const largest = new Uint8Array(smallObjectBytesMax)
  expect(await decryptSmall(await encryptSmall(largest, [identity.recipient]), [identity])).toHaveLength(smallObjectBytesMax)
  expect(await decryptSmall(await encryptSmall(new Uint8Array(), [identity.recipient]), [identity])).toHaveLength(0)
  await expect(encryptSmall(new Uint8Array(smallObjectBytesMax + 1), [identity.recipient])).rejects.toMatchObject({
    code: "format/too-large",
  })
  const endless = Buffer.concat([await encryptSmall(largest, [identity.recipient]), largest])
  await expect(decryptSmall(endless, [identity])).rejects.toMatchObject({ code: "format/too-large" })

  const encrypter = new Encrypter()
  encrypter.setScryptWorkFactor(10)
  encrypter.setPassphrase("tree-frog")
  await expect(decryptSmall(await encrypter.encrypt("x"), [identity])).rejects.toMatchObject({ code: "format/unsupported" })
})

test("the age program opens a small value, and its files open here", async (context) => {
  const lacking = requireTool("age")
  if (lacking !== null) return context.skip(lacking)
  const identity = generateIdentity("x25519")
  const folder = mkdtempSync(join(tmpdir(), "holdline-small-"))
  try {
    writeFileSync(join(folder, "identity.txt"), identity.secret.reveal())
    const input = await encryptSmall(Buffer.from("small"), [identity.recipient])
    expect(execFileSync("age", ["-d", "-i", join(folder, "identity.txt")], { input }).toString()).toBe("small")
    const file = execFileSync("age", ["-r", identity.recipient], { input: "from age" })
    expect(Buffer.from(await decryptSmall(file, [identity])).toString()).toBe("from age")
  } finally {
    rmSync(folder, { recursive: true })
  }
})
