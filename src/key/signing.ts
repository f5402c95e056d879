import { createPrivateKey, createPublicKey, type KeyObject, sign } from "node:crypto"
import { KeyError } from "../errors.ts"
import { type Random, systemRandom } from "../random.ts"
import type { Secret } from "../secret.ts"
import { fingerprintOf, keyIdOf, publicKeyOf } from "../signature.ts"
import { freshKey } from "./fresh.ts"
import { readPrivateFile, writePrivateFile } from "./private-file.ts"

const opensslHint = "make one with: openssl genpkey -algorithm ed25519"

/** An ed25519 key that signs: an agent's, a keeper's, a person's or the root's. Verifying is signature.ts's. */
export class SigningKey {
  /** Base64 of the 32 raw bytes. */
  readonly publicKey: string
  /** How a signature line names the key. */
  readonly keyId: string
  /** "SHA256:…", as `ssh-keygen -lf` prints it. */
  readonly fingerprint: string
  readonly #key: KeyObject

  constructor(key: KeyObject) {
    this.#key = key
    this.publicKey = createPublicKey(key).export({ format: "raw-public" }).toString("base64")
    this.keyId = keyIdOf(this.publicKey)
    this.fingerprint = fingerprintOf(this.publicKey)
  }

  /** 64 bytes. */
  sign(message: Uint8Array): Uint8Array {
    return sign(null, message, this.#key)
  }

  /** The private half as PKCS#8 PEM. The caller writes it where only its owner can read it. */
  exportPrivate(): string {
    return this.#key.export({ format: "pem", type: "pkcs8" }).toString()
  }
}

/** `random` is anything but the system's only in simulations. */
export function generateSigningKey(random: Random = systemRandom): SigningKey {
  const seed = Buffer.from(freshKey(random, 32))
  const key = createPrivateKey({ key: seed, format: "raw-private", asymmetricKeyType: "ed25519" })
  seed.fill(0)
  return new SigningKey(key)
}

/** Reads a PEM as `writeSigningKey` and `openssl genpkey -algorithm ed25519` write it; `name` begins every message. */
export function parseSigningKey(pem: string, name: string, passphrase?: Secret): SigningKey {
  if (/-----BEGIN (?:[A-Z]+ )*PUBLIC KEY-----/.test(pem)) throw malformed(name, "this is a public key, not the private one that signs")
  if (pem.includes("-----BEGIN OPENSSH PRIVATE KEY-----")) {
    throw malformed(name, "this is an OpenSSH key, not PKCS#8", opensslHint)
  }
  const key = privateKeyOf(pem, name, passphrase)
  if (key.asymmetricKeyType !== "ed25519")
    throw malformed(name, `this is a key for ${key.asymmetricKeyType ?? "something else"}, not ed25519`)
  return new SigningKey(key)
}

/** Reads a signing key that only its owner can read. A passphrase is needed where the PEM is encrypted, as the root's may be. */
export async function readSigningKey(path: string, passphrase?: Secret): Promise<SigningKey> {
  return parseSigningKey(await readPrivateFile(path, "signing key"), `signing key ${path}`, passphrase)
}

/** Writes a new file with mode 0600; fails where the path exists. */
export async function writeSigningKey(path: string, key: SigningKey): Promise<void> {
  await writePrivateFile(path, key.exportPrivate())
}

/** A public key as PEM, for `openssl pkeyutl -verify -pubin`. */
export function publicPemOf(publicKey: string): string {
  return publicKeyOf(publicKey).export({ format: "pem", type: "spki" }).toString()
}

function privateKeyOf(pem: string, name: string, passphrase: Secret | undefined): KeyObject {
  try {
    return createPrivateKey(passphrase === undefined ? pem : { key: pem, passphrase: passphrase.reveal() })
  } catch (cause) {
    if (pem.includes("-----BEGIN ENCRYPTED PRIVATE KEY-----")) {
      if (passphrase === undefined) throw new KeyError("key/missing", `${name}: it is encrypted and no passphrase was given`, { cause })
      throw new KeyError("key/wrong", `${name}: the passphrase does not open it`, { cause })
    }
    throw new KeyError("key/malformed", `${name}: it is no private key in PEM`, { hint: opensslHint, cause })
  }
}

function malformed(name: string, problem: string, hint?: string): KeyError {
  return new KeyError("key/malformed", `${name}: ${problem}`, hint === undefined ? {} : { hint })
}
