import { FormatError } from "../errors.ts"
import { sshString, wireFingerprint } from "../signature.ts"

/** README §8. A person's SSH key: ed25519, in a file or on a hardware token. */
export interface SshKey {
  /** Base64 of the 32 raw bytes. */
  readonly key: string
  /** Of a key on a token (`sk-ssh-ed25519@openssh.com`): the application it was made for, `ssh:` unless its owner named another. */
  readonly application?: string | undefined
}

const fileKeyType = "ssh-ed25519"
const tokenKeyType = "sk-ssh-ed25519@openssh.com"

export function sshKeyType({ application }: SshKey): string {
  return application === undefined ? fileKeyType : tokenKeyType
}

/** The wire encoding, which base64 shows in `.pub` files. */
export function encodeSshKey(key: SshKey): Buffer {
  const own = [sshString(sshKeyType(key)), sshString(Buffer.from(key.key, "base64"))]
  return Buffer.concat(key.application === undefined ? own : [...own, sshString(key.application)])
}

export function decodeSshKey(wire: Uint8Array, what: string): SshKey {
  const reader = new WireReader(wire, what)
  const type = reader.text()
  if (type !== fileKeyType && type !== tokenKeyType) throw unsupportedKey(type, what)
  const raw = reader.string()
  if (raw.length !== 32) throw new FormatError("format/malformed", `${what}: an ed25519 key of ${String(raw.length)} bytes`)
  const application = type === tokenKeyType ? reader.text() : undefined
  reader.end()
  return { key: raw.toString("base64"), ...(application === undefined ? {} : { application }) }
}

/** Reads a `.pub` file as ssh-keygen writes it: one line of type, key and, if its owner likes, a comment. */
export function parsePublicKeyFile(text: string, what: string): SshKey {
  const hint = "give the .pub file that ssh-keygen wrote beside the private key"
  if (text.includes("PRIVATE KEY-----"))
    throw new FormatError("format/malformed", `${what}: this is a private key, not the public one`, { hint })
  const [line = "", ...more] = text.trim().split(/\r?\n/)
  const [, type = "", encoded = ""] = /^(\S+)[ \t]+([A-Za-z0-9+/]+={0,2})(?:[ \t].*)?$/.exec(line) ?? []
  if (type === "" || more.length > 0) throw new FormatError("format/malformed", `${what}: not one public key of SSH`, { hint })
  if (type !== fileKeyType && type !== tokenKeyType) throw unsupportedKey(type, what)
  const key = decodeSshKey(decodeBase64(encoded, what), what)
  if (sshKeyType(key) !== type) throw new FormatError("format/malformed", `${what}: says ${type} and holds ${sshKeyType(key)}`, { hint })
  return key
}

/** "SHA256:…", as `ssh-keygen -lf` prints it. */
export function sshFingerprint(key: SshKey): string {
  return wireFingerprint(encodeSshKey(key))
}

export function isSameSshKey(a: SshKey, b: SshKey): boolean {
  return a.key === b.key && a.application === b.application
}

/** Base64 in the standard alphabet, padded, with unused bits zero: one text for the same bytes. */
export function decodeBase64(text: string, what: string): Buffer {
  const bytes = Buffer.from(text, "base64")
  if (bytes.toString("base64") !== text) throw new FormatError("format/malformed", `${what}: not canonical base64`)
  return bytes
}

function unsupportedKey(type: string, what: string): FormatError {
  const shown = JSON.stringify(type.slice(0, 60))
  return new FormatError("format/unsupported", `${what}: a key of type ${shown} is not taken, only ${fileKeyType} and ${tokenKeyType}`, {
    hint: "make one with `ssh-keygen -t ed25519`, or on a hardware token with `ssh-keygen -t ed25519-sk`",
  })
}

/** Reads SSH's binary encoding from left to right; whatever is cut, or left over at the end, is refused. */
export class WireReader {
  readonly #bytes: Buffer
  readonly #what: string
  #at = 0

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#what = what
  }

  bytes(length: number): Buffer {
    if (length > this.#bytes.length - this.#at) throw new FormatError("format/malformed", `${this.#what}: cut short`)
    const part = this.#bytes.subarray(this.#at, this.#at + length)
    this.#at += length
    return part
  }

  uint32(): number {
    return this.bytes(4).readUInt32BE()
  }

  string(): Buffer {
    return this.bytes(this.uint32())
  }

  /** A string of printable ASCII, as all names in it are. */
  text(): string {
    const text = this.string().toString("latin1")
    if (!/^[\x20-\x7e]{0,200}$/.test(text)) throw new FormatError("format/malformed", `${this.#what}: a name that is not one`)
    return text
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw new FormatError("format/malformed", `${this.#what}: bytes after its end`)
  }
}
