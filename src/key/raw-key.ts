import { createPublicKey, type KeyObject } from "node:crypto"

/**
 * Reads a raw public key; throws where it is none. Node first asks four times, by way of exceptions, whether it was given a key object:
 * to trace the stack of each would take longer than to read the key.
 */
export function importPublic(type: "x25519" | "ml-kem-768", raw: Uint8Array): KeyObject {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    return createPublicKey({ key: Buffer.from(raw), format: "raw-public", asymmetricKeyType: type })
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}
