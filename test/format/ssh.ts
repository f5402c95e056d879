import { createHash, createPrivateKey, createPublicKey, hash, sign } from "node:crypto"
import { encodeSshKey, type SshKey, sshKeyType } from "../../src/format/ssh-key.ts"
import { sshString } from "../../src/signature.ts"

/** A person's SSH key, made of a word: in a file, or on a token where `application` is given. */
export interface Hand {
  readonly key: SshKey
  sign(message: Uint8Array): Buffer
}

const pkcs8Prefix = Buffer.from("302e020100300506032b657004220420", "hex")

export function handOf(word: string, application?: string): Hand {
  const seed = createHash("sha256").update(`holdline test hand ${word}`).digest()
  const privateKey = createPrivateKey({ key: Buffer.concat([pkcs8Prefix, seed]), format: "der", type: "pkcs8" })
  const { x } = createPublicKey(privateKey).export({ format: "jwk" })
  if (x === undefined) throw new Error("an ed25519 key without public half")
  const key = { key: Buffer.from(x, "base64url").toString("base64"), ...(application === undefined ? {} : { application }) }
  return { key, sign: (message) => sign(null, message, privateKey) }
}

export interface SigningOptions {
  readonly namespace?: string
  readonly algorithm?: string
  readonly reserved?: string
  readonly version?: number
  readonly flags?: number
  readonly counter?: number
}

/** A signature as PROTOCOL.sshsig and, for tokens, PROTOCOL.u2f say it: written from the protocol, and not with the code under test. */
export function sshSign(hand: Hand, message: Uint8Array, options: SigningOptions = {}): Buffer {
  const { namespace = "holdline-approval", algorithm = "sha512", reserved = "", version = 1, flags = 1, counter = 7 } = options
  const fields = [sshString(namespace), sshString(reserved), sshString(algorithm)]
  const digest = hash(algorithm === "sha256" ? "sha256" : "sha512", message, "buffer")
  const text = Buffer.concat([Buffer.from("SSHSIG"), ...fields, sshString(digest)])
  const own = Buffer.alloc(5)
  own.writeUInt8(flags)
  own.writeUInt32BE(counter, 1)
  const { application } = hand.key
  const isToken = application !== undefined
  const signed = isToken ? Buffer.concat([hash("sha256", application, "buffer"), own, hash("sha256", text, "buffer")]) : text
  const inner = [sshString(sshKeyType(hand.key)), sshString(hand.sign(signed)), ...(isToken ? [own] : [])]
  const head = Buffer.alloc(10)
  head.write("SSHSIG")
  head.writeUInt32BE(version, 6)
  return Buffer.concat([head, sshString(encodeSshKey(hand.key)), ...fields, sshString(Buffer.concat(inner))])
}

export function armoured(blob: Uint8Array): string {
  const lines =
    Buffer.from(blob)
      .toString("base64")
      .match(/.{1,70}/g) ?? []
  return ["-----BEGIN SSH SIGNATURE-----", ...lines, "-----END SSH SIGNATURE-----", ""].join("\n")
}
