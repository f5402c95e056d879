import { hash } from "node:crypto"
import type { z } from "zod"

/** Lower-case hex SHA-256. */
export type Digest = string & z.core.$brand<"Digest">

export const digestPattern: RegExp = /^[0-9a-f]{64}$/

function isDigest(text: string): text is Digest {
  return digestPattern.test(text)
}

/** A digest as this process made it, or kept it: text that is none is a bug. What others wrote goes through `digestSchema`. */
export function digestOf(text: string): Digest {
  if (!isDigest(text)) throw new TypeError(`not a digest: ${text.slice(0, 80)}`)
  return text
}

export function sha256(bytes: Uint8Array | string): Digest {
  return digestOf(hash("sha256", bytes, "hex"))
}

/** The first 32 hex characters of a SHA-256: how names of immutable objects carry their hash. */
export function hash32(bytes: Uint8Array | string): string {
  return sha256(bytes).slice(0, 32)
}
