import { createHash, createPrivateKey, createPublicKey, sign } from "node:crypto"
import type { Signer } from "../../src/format/signed.ts"

/** The PKCS #8 encoding of an ed25519 private key up to its 32 bytes (RFC 8410). */
const pkcs8Prefix = Buffer.from("302e020100300506032b657004220420", "hex")

/** A signing key made of a word: the same word, the same key. */
export function signerOf(word: string): Signer {
  const seed = createHash("sha256").update(`holdline test key ${word}`).digest()
  const key = createPrivateKey({ key: Buffer.concat([pkcs8Prefix, seed]), format: "der", type: "pkcs8" })
  const { x } = createPublicKey(key).export({ format: "jwk" })
  if (x === undefined) throw new Error("an ed25519 key without public half")
  return { publicKey: Buffer.from(x, "base64url").toString("base64"), sign: (message) => sign(null, message, key) }
}
