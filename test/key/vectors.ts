import { readFileSync } from "node:fs"
import { type Identity, type Kind, parseIdentity } from "../../src/key/recipient.ts"

const folder = new URL("../vectors/age/", import.meta.url)
const names: Readonly<Record<Kind, string>> = { pq: "hybrid", x25519: "x25519" }

/** Plaintext bytes of the vectors: every border of a payload's chunks. */
export const vectorSizes = [0, 1, 65535, 65536, 65537, 131072, 200000] as const

export function vectorFile(kind: Kind, size: number): Uint8Array {
  return readFileSync(new URL(`${names[kind]}-${String(size)}.age`, folder))
}

export function vectorIdentityFile(kind: Kind): string {
  return readFileSync(new URL(`${names[kind]}.txt`, folder), "utf8")
}

/** An identity that is public and protects nothing. */
export function vectorIdentity(kind: Kind): Identity {
  const line = vectorIdentityFile(kind)
    .split("\n")
    .find((other) => other.startsWith("AGE-SECRET-KEY-"))
  return parseIdentity(line ?? "")
}
