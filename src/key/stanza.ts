import { createCipheriv, createDecipheriv, createHmac, createSecretKey, hkdfSync } from "node:crypto"
import { FormatError, KeyError } from "../errors.ts"
import { KeyMemory } from "./fresh.ts"
import { hybridCiphertextBytes, hybridKem } from "./hybrid.ts"
import { abbreviated, type Identity, type Recipient, seedOf } from "./recipient.ts"
import { ephemeralKey, sharedX25519, x25519Private, x25519Public, x25519Raw } from "./x25519.ts"

/** One file key wrapped to one recipient (C2SP age.md, "Recipient stanza"). */
export interface Stanza {
  readonly args: readonly string[]
  readonly body: Uint8Array
}

const fileKeyBytes = 16
const wrappedBytes = fileKeyBytes + 16
const x25519Label = "age-encryption.org/v1/X25519"
const hybridLabel = "age-encryption.org/mlkem768x25519"

/** What OpenSSL's own generator gave; it cannot be asked through `Random`. */
const shares = new KeyMemory()

export type Wrap = (fileKey: Uint8Array) => Stanza
/** Null where the stanza is for another identity. */
export type Unwrap = (stanza: Stanza) => Uint8Array | null

/** Reads the public key once; throws KeyError, at once or when it is first used, where nothing can be encrypted to it. */
export function wrapperOf(recipient: Recipient): Wrap {
  const wrap = usable(recipient, () => (recipient.kind === "pq" ? hybridWrapper(recipient) : x25519Wrapper(recipient)))
  // A public key of small order is only noticed here.
  return (fileKey) => usable(recipient, () => wrap(fileKey))
}

function usable<T>(recipient: Recipient, work: () => T): T {
  try {
    return work()
  } catch (cause) {
    if (cause instanceof KeyError) throw cause
    throw new KeyError("key/malformed", `recipient ${abbreviated(recipient.text)}: it is no usable public key`, { cause })
  }
}

export function unwrapperOf(identity: Identity): Unwrap {
  const seed = seedOf(identity)
  return identity.kind === "pq" ? hybridUnwrapper(seed) : x25519Unwrapper(seed)
}

function x25519Wrapper(recipient: Recipient): Wrap {
  const publicKey = x25519Public(recipient.publicKey)
  return (fileKey) => {
    const { share, privateKey } = ephemeralKey()
    shares.refuseRepeated(share)
    const key = x25519WrapKey(sharedX25519(privateKey, publicKey), share, recipient.publicKey)
    return { args: ["X25519", unpadded(share)], body: seal(fileKey, key, new Uint8Array(12)) }
  }
}

function x25519Unwrapper(seed: Uint8Array): Unwrap {
  const privateKey = x25519Private(seed)
  const publicKey = x25519Raw(privateKey)
  seed.fill(0)
  return (stanza) => {
    const share = shareOf(stanza, "X25519", 32)
    if (share === null) return null
    const shared = orNull(() => sharedX25519(privateKey, x25519Public(share)))
    return shared === null ? null : open(stanza.body, x25519WrapKey(shared, share, publicKey), new Uint8Array(12))
  }
}

function x25519WrapKey(shared: Uint8Array, share: Uint8Array, publicKey: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", createSecretKey(shared), Buffer.concat([share, publicKey]), x25519Label, 32))
}

function hybridWrapper(recipient: Recipient): Wrap {
  const encapsulate = hybridKem().encapsulator(recipient.publicKey)
  return (fileKey) => {
    const { secret, ciphertext } = encapsulate()
    shares.refuseRepeated(ciphertext)
    const { key, nonce } = hpkeContext(secret)
    return { args: ["mlkem768x25519", unpadded(ciphertext)], body: seal(fileKey, key, nonce) }
  }
}

function hybridUnwrapper(seed: Uint8Array): Unwrap {
  const decapsulate = hybridKem().decapsulator(seed)
  return (stanza) => {
    const ciphertext = shareOf(stanza, "mlkem768x25519", hybridCiphertextBytes)
    if (ciphertext === null) return null
    const secret = orNull(() => decapsulate(ciphertext))
    if (secret === null) return null
    const { key, nonce } = hpkeContext(secret)
    return open(stanza.body, key, nonce)
  }
}

/** The key schedule of HPKE (RFC 9180, base mode) for one message: MLKEM768-X25519, HKDF-SHA-256, ChaCha20-Poly1305. */
function hpkeContext(secret: Uint8Array): { readonly key: Uint8Array; readonly nonce: Uint8Array } {
  const prk = hmac(secret, secretInput)
  return { key: hmac(prk, keyInput), nonce: hmac(prk, nonceInput).subarray(0, nonceBytes) }
}

const suite = Buffer.concat([Buffer.from("HPKE"), Buffer.from([0x64, 0x7a, 0x00, 0x01, 0x00, 0x03])])
const keyBytes = 32
const nonceBytes = 12
const noSalt = new Uint8Array(32)
const baseMode = 0
const schedule = Buffer.concat([
  Buffer.from([baseMode]),
  hmac(noSalt, labeled("psk_id_hash", "")),
  hmac(noSalt, labeled("info_hash", hybridLabel)),
])
const secretInput = labeled("secret", "")
const keyInput = expandInput("key", keyBytes)
const nonceInput = expandInput("base_nonce", nonceBytes)

function labeled(label: string, input: string | Uint8Array): Buffer {
  return Buffer.concat([Buffer.from("HPKE-v1"), suite, Buffer.from(label), Buffer.from(input)])
}

// At most 32 bytes are ever asked for: one block of HKDF-Expand.
function expandInput(label: string, length: number): Buffer {
  return Buffer.concat([Buffer.from([0, length]), labeled(label, schedule), Buffer.from([1])])
}

// Keys go to node:crypto as key objects: of plain bytes it asks first, by way of an exception, whether they are one.
function hmac(key: Uint8Array, message: Uint8Array): Buffer {
  return createHmac("sha256", createSecretKey(key)).update(message).digest()
}

function seal(fileKey: Uint8Array, key: Uint8Array, nonce: Uint8Array): Uint8Array {
  const cipher = createCipheriv("chacha20-poly1305", createSecretKey(key), nonce, { authTagLength: 16 })
  const sealed = Buffer.concat([cipher.update(fileKey), cipher.final(), cipher.getAuthTag()])
  key.fill(0)
  return sealed
}

function open(body: Uint8Array, key: Uint8Array, nonce: Uint8Array): Uint8Array | null {
  const decipher = createDecipheriv("chacha20-poly1305", createSecretKey(key), nonce, { authTagLength: 16 })
  decipher.setAuthTag(body.subarray(fileKeyBytes))
  const fileKey = decipher.update(body.subarray(0, fileKeyBytes))
  key.fill(0)
  return orNull(() => decipher.final()) === null ? null : fileKey
}

/** The share of a stanza of that type, null for another type. A stanza of a known type has to be whole, whomever it is for. */
function shareOf(stanza: Stanza, type: string, bytes: number): Uint8Array | null {
  const [actual, text, ...more] = stanza.args
  if (actual !== type) return null
  const share = text === undefined || more.length > 0 ? null : decodeUnpadded(text)
  if (share?.length !== bytes || stanza.body.length !== wrappedBytes) {
    throw new FormatError("format/malformed", `age header: its ${type} stanza is malformed`)
  }
  return share
}

/** For what fails by throwing when the bytes are another's. */
function orNull<T>(attempt: () => T): T | null {
  try {
    return attempt()
  } catch {
    return null
  }
}

/** Base64 without padding, as headers have it. */
export function unpadded(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64")
  return text.slice(0, Math.ceil((bytes.length * 4) / 3))
}

/** Null for anything but the one canonical spelling. */
export function decodeUnpadded(text: string): Uint8Array | null {
  const bytes = Buffer.from(text, "base64")
  return unpadded(bytes) === text ? bytes : null
}
