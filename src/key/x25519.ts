import { createPrivateKey, createPublicKey, diffieHellman, generateKeyPairSync, type KeyObject } from "node:crypto"
import { importPublic } from "./raw-key.ts"

/** X25519 (RFC 7748) on raw 32-byte keys. */
export function x25519Private(scalar: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.from(scalar), format: "raw-private", asymmetricKeyType: "x25519" })
}

export function x25519Public(raw: Uint8Array): KeyObject {
  return importPublic("x25519", raw)
}

/** The raw public key of a private or public one. */
export function x25519Raw(key: KeyObject): Uint8Array {
  return (key.type === "private" ? createPublicKey(key) : key).export({ format: "raw-public" })
}

/** Throws where the result would be zero, as the specification of age demands: the public key then was one of the few bad ones. */
export function sharedX25519(privateKey: KeyObject, publicKey: KeyObject): Uint8Array {
  return diffieHellman({ privateKey, publicKey })
}

/** A key pair for one exchange. */
export function ephemeralKey(): { readonly share: Uint8Array; readonly privateKey: KeyObject } {
  const { privateKey, publicKey } = generateKeyPairSync("x25519")
  return { share: x25519Raw(publicKey), privateKey }
}
