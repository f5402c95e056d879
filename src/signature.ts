import { createPublicKey, hash, type KeyObject, verify } from "node:crypto"

/** An ed25519 public key as it is written in signed objects: base64 of its 32 raw bytes. */
export function publicKeyOf(raw: string): KeyObject {
  return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: Buffer.from(raw, "base64").toString("base64url") }, format: "jwk" })
}

/** How a signature line names its key: the first 32 hex characters of the SHA-256 of the raw public key. */
export function keyIdOf(raw: string): string {
  return hash("sha256", Buffer.from(raw, "base64"), "hex").slice(0, 32)
}

/** "SHA256:…" as `ssh-keygen -lf` prints it: over the key's SSH wire encoding (RFC 8709). */
export function fingerprintOf(raw: string): string {
  return wireFingerprint(Buffer.concat([sshString("ssh-ed25519"), sshString(Buffer.from(raw, "base64"))]))
}

/** The fingerprint of any public key in its SSH wire encoding. */
export function wireFingerprint(wire: Uint8Array): string {
  return `SHA256:${hash("sha256", wire, "base64").replace(/=+$/, "")}`
}

/** A string of SSH's protocols (RFC 4251): four bytes of length, most significant first, and the bytes. */
export function sshString(content: Uint8Array | string): Buffer {
  const bytes = Buffer.from(content)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}

export function verifySignature(raw: string, message: Uint8Array, signature: Uint8Array): boolean {
  return signature.length === 64 && verify(null, message, publicKeyOf(raw), signature)
}
