import { createHmac, createPrivateKey, createPublicKey, createCipheriv, diffieHellman, hkdfSync, hash } from "node:crypto"
import { sha256 } from "../../src/digest.ts"
import { nonceBytes, payloadKey, sealedBytes, sealPayload } from "../../src/format/age.ts"
import { fingerprintOf } from "../../src/signature.ts"
import { encodeBech32 } from "../../src/key/bech32.ts"
import { signerOf } from "../format/signing.ts"

/** Who and where everything in the vectors is. Never change: the vectors are for ever. */
export const repository = "00112233445566778899aabbccddeeff"
export const agent = "pbx-1"
export const account = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
export const dataset = "call-recordings"
export const partition = "2026-11-20"
export const run = "aaaaaaaabbbbbbbbccccccccdddddddd"
export const created = "2026-11-20T12:00:00.000Z"
export const mtimeNs = 1_763_640_000_123_456_789n
export const root = signerOf("root")
export const agentSigner = signerOf("agent")
export const stranger = signerOf("stranger")
export const rootFingerprint = fingerprintOf(root.publicKey)
export const place = { repository, agent, account, dataset, partition }

/** A name that is no UTF-8 and has all that SHA256SUMS must escape. */
export const unusualName = Buffer.concat([Buffer.from("caf"), Buffer.from([0xe9]), Buffer.from(" a\\b\nc\rd.wav")])

const pkcs8Prefix = Buffer.from("302e020100300506032b656e04220420", "hex")
const spkiPrefixBytes = 12

interface ExchangeKey {
  readonly seed: Buffer
  readonly publicKey: Buffer
}

function exchangeKeyOf(word: string): ExchangeKey {
  const seed = Buffer.from(sha256(`holdline test exchange ${word}`), "hex")
  const spki = createPublicKey(privateKeyOf(seed)).export({ format: "der", type: "spki" })
  return { seed, publicKey: spki.subarray(spkiPrefixBytes) }
}

function privateKeyOf(seed: Buffer) {
  return createPrivateKey({ key: Buffer.concat([pkcs8Prefix, seed]), format: "der", type: "pkcs8" })
}

const accountKey = exchangeKeyOf("account")

export const accountIdentity = encodeBech32("age-secret-key-", accountKey.seed).toUpperCase()
export const accountRecipient = encodeBech32("age", accountKey.publicKey)

/** An age file to the account, made of a word instead of randomness: the same word, the same bytes. For vectors only. */
export function sealedTo(word: string, plaintext: Uint8Array): Buffer {
  const fileKey = hash("sha256", `holdline test file key ${word}`, "buffer").subarray(0, 16)
  const nonce = hash("sha256", `holdline test nonce ${word}`, "buffer").subarray(0, nonceBytes)
  const ephemeral = exchangeKeyOf(`ephemeral ${word}`)
  const spki = Buffer.concat([Buffer.from("302a300506032b656e032100", "hex"), accountKey.publicKey])
  const shared = diffieHellman({
    privateKey: privateKeyOf(ephemeral.seed),
    publicKey: createPublicKey({ key: spki, format: "der", type: "spki" }),
  })
  const salt = Buffer.concat([ephemeral.publicKey, accountKey.publicKey])
  const wrapKey = Buffer.from(hkdfSync("sha256", shared, salt, "age-encryption.org/v1/X25519", 32))
  const cipher = createCipheriv("chacha20-poly1305", wrapKey, Buffer.alloc(12), { authTagLength: 16 })
  const body = Buffer.concat([cipher.update(fileKey), cipher.final(), cipher.getAuthTag()])
  const covered = `age-encryption.org/v1\n-> X25519 ${unpadded(ephemeral.publicKey)}\n${unpadded(body)}\n---`
  const macKey = Buffer.from(hkdfSync("sha256", fileKey, Buffer.alloc(0), "header", 32))
  const header = Buffer.from(`${covered} ${unpadded(createHmac("sha256", macKey).update(covered).digest())}\n`)
  const file = Buffer.alloc(sealedBytes(plaintext.length, header.length))
  file.set(header)
  sealPayload(plaintext, payloadKey(fileKey, nonce), file, header.length)
  return file
}

function unpadded(bytes: Buffer): string {
  return bytes.toString("base64").replace(/=+$/, "")
}
