import { FormatError } from "../errors.ts"
import { keyIdOf, verifySignature } from "../signature.ts"
import { decodeCanonical, decodeUtf8, encodeCanonical, type Json } from "./canonical.ts"

/** Repository, trust and commit objects are two lines: canonical JSON, then an ed25519 signature in the kind's own domain. */
export type SignedKind = "repository" | "trust" | "commit"

export interface Signer {
  /** Base64 of the raw public key. */
  readonly publicKey: string
  sign(message: Uint8Array): Uint8Array
}

export interface SignedObject {
  readonly value: Json
  readonly keyId: string
  /** Whether this key made the signature. */
  signedBy(publicKey: string): boolean
}

function messageOf(kind: SignedKind, line: string): Uint8Array {
  return Buffer.from(`holdline/v1/${kind}\n${line}`)
}

export function encodeSigned(kind: SignedKind, value: Json, signer: Signer): Uint8Array {
  const line = encodeCanonical(value)
  const signature = Buffer.from(signer.sign(messageOf(kind, line))).toString("base64")
  return Buffer.from(`${line}\ned25519 ${keyIdOf(signer.publicKey)} ${signature}\n`)
}

const signatureLine = /^ed25519 ([0-9a-f]{32}) ([A-Za-z0-9+/]{86}==)$/

export function decodeSigned(kind: SignedKind, bytes: Uint8Array, bytesMax: number): SignedObject {
  if (bytes.length > bytesMax) throw new FormatError("format/too-large", `${kind}: ${String(bytes.length)} bytes`)
  const [line, second, rest, ...more] = decodeUtf8(bytes, kind).split("\n", 4)
  const match = second === undefined ? null : signatureLine.exec(second)
  const [, keyId, encoded] = match ?? []
  if (line === undefined || keyId === undefined || encoded === undefined || rest !== "" || more.length > 0) {
    throw new FormatError("format/malformed", `${kind}: not two lines of JSON and signature`)
  }
  const signature = Buffer.from(encoded, "base64")
  if (signature.toString("base64") !== encoded) throw new FormatError("format/malformed", `${kind}: signature is not canonical base64`)
  return {
    value: decodeCanonical(line, kind),
    // A copy: a part of a string keeps the whole, and of a log of many commits that would be all their lines.
    keyId: Buffer.from(keyId, "latin1").toString("latin1"),
    signedBy: (publicKey) => keyIdOf(publicKey) === keyId && verifySignature(publicKey, messageOf(kind, line), signature),
  }
}
