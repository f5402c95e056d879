import { createPrivateKey, createPublicKey, decapsulate, encapsulate, hash, type KeyObject } from "node:crypto"
import { ml_kem768_x25519 as library } from "@noble/post-quantum/hybrid.js"
import { reasonOf } from "../errors.ts"
import { importPublic } from "./raw-key.ts"
import { ephemeralKey, sharedX25519, x25519Private, x25519Public } from "./x25519.ts"

/**
 * MLKEM768-X25519, the post-quantum key encapsulation of age (draft-connolly-cfrg-xwing-kem): ML-KEM-768 and X25519, both of which
 * an attacker has to break. Two implementations with the same results; the native one is forty times as fast.
 */
export interface HybridKem {
  /** The 1,216-byte public key of a 32-byte seed. */
  publicKey(seed: Uint8Array): Uint8Array
  /** Reads the public key once, and throws where it is none; every call then makes a new shared secret. */
  encapsulator(publicKey: Uint8Array): () => Encapsulated
  /** Reads the seed once. A ciphertext for another key gives another secret, or throws; it never tells which. */
  decapsulator(seed: Uint8Array): (ciphertext: Uint8Array) => Uint8Array
}

export interface Encapsulated {
  /** 32 bytes. */
  readonly secret: Uint8Array
  /** 1,120 bytes. */
  readonly ciphertext: Uint8Array
}

export const hybridPublicBytes = 1216
export const hybridCiphertextBytes = 1120
const mlKemPublicBytes = 1184
const mlKemCiphertextBytes = 1088
const mlKemSeedBytes = 64
// The draft's label: an X-Wing in ASCII.
const label = Buffer.from("\\.//^\\")

/** By OpenSSL 3.5, through node:crypto. */
export const nativeKem: HybridKem = {
  publicKey: (seed) => keysOf(seed).publicKey,
  encapsulator(publicKey) {
    const mlKem = importPublic("ml-kem-768", publicKey.subarray(0, mlKemPublicBytes))
    const raw = publicKey.subarray(mlKemPublicBytes)
    const x25519 = x25519Public(raw)
    return () => {
      const { sharedKey, ciphertext } = encapsulate(mlKem)
      const { share, privateKey } = ephemeralKey()
      const secret = combine(sharedKey, sharedX25519(privateKey, x25519), share, raw)
      return { secret, ciphertext: Buffer.concat([ciphertext, share]) }
    }
  },
  decapsulator(seed) {
    const keys = keysOf(seed)
    const raw = keys.publicKey.subarray(mlKemPublicBytes)
    return (ciphertext) => {
      const share = ciphertext.subarray(mlKemCiphertextBytes)
      const sharedKey = decapsulate(keys.mlKem, ciphertext.subarray(0, mlKemCiphertextBytes))
      return combine(sharedKey, sharedX25519(keys.x25519, x25519Public(share)), share, raw)
    }
  },
}

interface HybridKeys {
  readonly mlKem: KeyObject
  readonly x25519: KeyObject
  readonly publicKey: Uint8Array
}

function keysOf(seed: Uint8Array): HybridKeys {
  const expanded = hash("shake256", seed, { outputEncoding: "buffer", outputLength: mlKemSeedBytes + 32 })
  const mlKem = createPrivateKey({ key: expanded.subarray(0, mlKemSeedBytes), format: "raw-seed", asymmetricKeyType: "ml-kem-768" })
  const x25519 = x25519Private(expanded.subarray(mlKemSeedBytes))
  expanded.fill(0)
  const publicKey = Buffer.concat([mlKem, x25519].map((key) => createPublicKey(key).export({ format: "raw-public" })))
  return { mlKem, x25519, publicKey }
}

function combine(mlKem: Uint8Array, x25519: Uint8Array, share: Uint8Array, publicKey: Uint8Array): Uint8Array {
  const secret = hash("sha3-256", Buffer.concat([mlKem, x25519, share, publicKey, label]), "buffer")
  mlKem.fill(0)
  x25519.fill(0)
  return secret
}

/** By the library under age-encryption, in JavaScript: for a Node whose OpenSSL has no ML-KEM, or fails the test below. */
export const libraryKem: HybridKem = {
  publicKey: (seed) => library.getPublicKey(seed),
  encapsulator(publicKey) {
    library.encapsulate(publicKey)
    return () => {
      const { sharedSecret, cipherText } = library.encapsulate(publicKey)
      return { secret: sharedSecret, ciphertext: cipherText }
    }
  },
  decapsulator: (seed) => (ciphertext) => library.decapsulate(ciphertext, seed),
}

// The first test vector of the draft. What it stands for cannot be opened by anybody else, since nothing is encrypted to it.
const vector = {
  seed: "7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26",
  randomness:
    "3cb1eea988004b93103cfb0aeefd2a686e01fa4a58e8a3639ca8a1e3f9ae57e2" + "35b8cc873c23dc62b8d260169afa2f75ab916a58d974918835d25e6a435085b2",
  secret: "d2df0522128f09dd8e2c92b1e905c793d8f57a54c3da25861f10bf4ca613e384",
} as const

/** Throws unless the implementation agrees with the draft's vector and, in both directions, with the library. */
export function testHybrid(kem: HybridKem): void {
  const seed = Buffer.from(vector.seed, "hex")
  const publicKey = kem.publicKey(seed)
  expectEqual("public key", publicKey, library.getPublicKey(seed))

  const published = library.encapsulate(publicKey, Buffer.from(vector.randomness, "hex"))
  const open = kem.decapsulator(seed)
  expectEqual("published vector", open(published.cipherText), Buffer.from(vector.secret, "hex"))

  const seal = kem.encapsulator(publicKey)
  const [first, second] = [seal(), seal()]
  expectEqual("secret opened by the library", first.secret, library.decapsulate(first.ciphertext, seed))
  expectEqual("secret opened again", second.secret, open(second.ciphertext))
  if (Buffer.compare(first.ciphertext, second.ciphertext) === 0) throw new Error("two encapsulations are the same")
}

function expectEqual(what: string, actual: Uint8Array, expected: Uint8Array): void {
  if (Buffer.compare(actual, expected) !== 0) throw new Error(`${what} differs`)
}

export interface HybridChoice {
  readonly kem: HybridKem
  readonly name: "native" | "library"
  /** Why it is not the native one. */
  readonly reason?: string
}

/** The first of the two that passes the test. */
export function chooseHybrid(native: HybridKem): HybridChoice {
  try {
    testHybrid(native)
    return { kem: native, name: "native" }
  } catch (error) {
    testHybrid(libraryKem)
    return { kem: libraryKem, name: "library", reason: reasonOf(error) }
  }
}

let chosen: HybridChoice | undefined

/** Chosen once in each process and thread, when it is first needed: about 40 ms. */
export function hybridChoice(): HybridChoice {
  chosen ??= chooseHybrid(nativeKem)
  return chosen
}

export function hybridKem(): HybridKem {
  return hybridChoice().kem
}
