import { hash } from "node:crypto"
import { FormatError } from "../errors.ts"
import { sshSignatureBytesMax } from "../limits.ts"
import { sshString, verifySignature } from "../signature.ts"
import { decodeBase64, decodeSshKey, type SshKey, sshKeyType, WireReader } from "./ssh-key.ts"

/** README §8. OpenSSH's signature of a file (PROTOCOL.sshsig), as `ssh-keygen -Y sign` writes it. */
export interface SshSignature {
  readonly key: SshKey
  /** What the signer said the signature is for. */
  readonly namespace: string
  /** How the message was hashed before it was signed. */
  readonly hash: "sha256" | "sha512"
  /** 64 bytes of ed25519. */
  readonly signature: Uint8Array
  /** What a hardware token adds, and signs with the rest (PROTOCOL.u2f); absent where the key is in a file. */
  readonly token?: { readonly flags: number; readonly counter: number }
}

const magic = Buffer.from("SSHSIG")
const armour = /^-----BEGIN SSH SIGNATURE-----\r?\n((?:[A-Za-z0-9+/=]{1,100}\r?\n)+)-----END SSH SIGNATURE-----\r?\n?$/
/** The bit of a token's flags that says: somebody touched it. */
const userPresent = 0x01

/** The bytes of an armoured signature. */
export function unarmour(text: string, what: string): Buffer {
  if (text.length > 2 * sshSignatureBytesMax) throw new FormatError("format/too-large", `${what}: ${String(text.length)} characters`)
  const lines = armour.exec(text)?.[1]
  if (lines === undefined) {
    throw new FormatError("format/malformed", `${what}: not a signature of SSH`, {
      hint: "give the .sig file that `ssh-keygen -Y sign` wrote",
    })
  }
  return decodeBase64(lines.replace(/\r?\n/g, ""), what)
}

/** Takes a signature apart. What it is worth, `verifySshSignature` says. */
export function decodeSshSignature(blob: Uint8Array, what: string): SshSignature {
  if (blob.length > sshSignatureBytesMax) throw new FormatError("format/too-large", `${what}: ${String(blob.length)} bytes`)
  const reader = new WireReader(blob, what)
  if (!reader.bytes(magic.length).equals(magic)) throw new FormatError("format/malformed", `${what}: not a signature of SSH`)
  const version = reader.uint32()
  if (version !== 1) throw new FormatError("format/unsupported", `${what}: version ${String(version)} of SSH's signatures`)
  const key = decodeSshKey(reader.string(), what)
  const namespace = reader.text()
  if (reader.string().length > 0) throw new FormatError("format/unsupported", `${what}: its reserved field is not empty`)
  const algorithm = reader.text()
  if (algorithm !== "sha256" && algorithm !== "sha512") {
    throw new FormatError("format/unsupported", `${what}: the hash ${JSON.stringify(algorithm)} is not taken, only sha256 and sha512`)
  }
  const inner = reader.string()
  reader.end()
  return { key, namespace, hash: algorithm, ...decodeInner(inner, key, what) }
}

function decodeInner(inner: Uint8Array, key: SshKey, what: string): Pick<SshSignature, "signature" | "token"> {
  const reader = new WireReader(inner, what)
  const type = reader.text()
  if (type !== sshKeyType(key)) {
    throw new FormatError("format/malformed", `${what}: a signature of type ${JSON.stringify(type)} by a key of type ${sshKeyType(key)}`)
  }
  const signature = reader.string()
  if (signature.length !== 64) throw new FormatError("format/malformed", `${what}: ${String(signature.length)} bytes of signature`)
  const token = key.application === undefined ? undefined : { flags: reader.bytes(1).readUInt8(), counter: reader.uint32() }
  reader.end()
  return { signature, ...(token === undefined ? {} : { token }) }
}

/** FormatError format/mismatch unless the key made this signature of these bytes and, on a token, somebody touched it. */
export function verifySshSignature(signed: SshSignature, message: Uint8Array, what: string): void {
  const { key, token, signature } = signed
  const text = Buffer.concat([
    magic,
    sshString(signed.namespace),
    sshString(""),
    sshString(signed.hash),
    sshString(hash(signed.hash, message, "buffer")),
  ])
  if (!verifySignature(key.key, token === undefined ? text : tokenMessage(key.application ?? "", token, text), signature)) {
    throw new FormatError("format/mismatch", `${what}: does not fit: what was signed is not this, or the signature was changed`)
  }
  if (token !== undefined && (token.flags & userPresent) === 0) {
    throw new FormatError("format/mismatch", `${what}: the token signed without being touched`, {
      hint: "sign with a key that was not made with no-touch-required",
    })
  }
}

function tokenMessage(application: string, { flags, counter }: { readonly flags: number; readonly counter: number }, text: Buffer): Buffer {
  const own = Buffer.alloc(5)
  own.writeUInt8(flags)
  own.writeUInt32BE(counter, 1)
  return Buffer.concat([hash("sha256", application, "buffer"), own, hash("sha256", text, "buffer")])
}
