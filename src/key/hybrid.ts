import { createPrivateKey, createPublicKey, decapsulate, encapsulate, hash, type KeyObject } from "node:crypto"
import { createRequire } from "node:module"
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
  publicKey: (seed) => library().getPublicKey(seed),
  encapsulator(publicKey) {
    library().encapsulate(publicKey)
    return () => {
      const { sharedSecret, cipherText } = library().encapsulate(publicKey)
      return { secret: sharedSecret, ciphertext: cipherText }
    }
  },
  decapsulator: (seed) => (ciphertext) => library().decapsulate(ciphertext, seed),
}

const require = createRequire(import.meta.url)

// Loaded where it is needed: that alone takes each thread longer than all it encrypts in a short run.
function library(): Library {
  const { ml_kem768_x25519: kem }: typeof import("@noble/post-quantum/hybrid.js") = require("@noble/post-quantum/hybrid.js")
  return kem
}

type Library = typeof import("@noble/post-quantum/hybrid.js").ml_kem768_x25519

// The first test vector of the draft. What it stands for cannot be opened by anybody else, since nothing is encrypted to it.
const vector = {
  seed: "7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26",
  publicKeySha256: "2e816deebcd76c5c80d0cd2d174478871658e8e2ff42bc9d4a6e486372e856bb",
  ciphertext:
    "uDqoKNTWK5qDzv/h09O7HvMSZGQ8BwxXmJJ+QfsHkUonP4+W54Js1TdaKD19qIUwTF3gUWoPBlQkPcW5f4v+uDH2glEhmqvdcjvGUSBBrLrvivRCZVJJQrkC" +
    "5o/9IyIc2nCxtV13apLRFD6joMR19j7miQFXxxFtrj9iv3L2Cs0ruMwxziug3jZPUrjtOMedcZcVljpd04QtjotDq3BOR1m1MnvwJ8Y8j6hXxJCNWop7iKx/" +
    "K+OU2Tw3Bt3U5pjMbONwEB9NAhMlQji0ouiCG25BShzyD2wSRLaZBG9aAcqgoaVVFjALQNIEjHfMc6+6ea/uqdLAEYvfKtuIcNwyjFUWzEWxogWBQQOeLJCh" +
    "EKnhazGN+1O9SaEm1rc/IVeHUXuJF8wByr0QfQaFmFTui0+YYcIm03ZMhzOasWw2Z9L0k4TlVFbdQEFLcKavhBWF9MkMaHJdV3BO6O585uL5vlgtvumF4Dj/" +
    "w0br+04iFYtshDdKmrSkTh+R3lqsUZf4m8XlRC9R+aWTexAro76uv24cWDgKSl/tzkpOUCb4j1KPWf/S20F1Kzo9kO+r5GOJm31AhwxTDIhB6HErczZo7QM6" +
    "2/r7LUnTekTUBk5YY+sK8KCNR7PMiINzvAX3ozuEG8JYfFfraVVOijdnt1BpF7a3BJhyfxbqwaNuyNjPr3UVSfInfbJ36KVamlEGsjoCBrRyH6mzBIVSxb1b" +
    "WU1uJH84wYxZGup/ViSccs57EXr8w6hiFYL5z3F4fhg97gk2eXbphAmtkhekl9+IgEI4TXcHprePX3+4QJ47U1F1NzRht3YALXmcutYoYL5wVz7L4Tskbg2n" +
    "6TpSFo4Ptql1a4le9/AUeg3IG/pkSwiKkigWDA+azxN5opQc0owG68gOROF6ovgXcBCv14qXzgho0WKeuylMUVGBLFg9rriGhSIPTakRgRLgcEH8wk1VZKmf" +
    "294ohp/gciOH16mk0W4cyFVZF+CZRKpeuqrsLPYmk6+tQqP1GPzmfSc8xsn7VHKzgOhXPsfeBqO6L9X5MdcltJMCbLCsvT/mLQDkx5DZZdegOjwLQiK6jCqa" +
    "FuKsZY9XKuDnRur8T+ugI1dvCJQieKBB+4KnClldW6y/KXziApiYpx5cOw0cYii0hbGt5QmzX7yn7Kl7ITLny2vEZTdRRrfc6slpMIrAwqyJ54Y+uJQwFbJD" +
    "FMr7nHwOhf5UPVZljCE2Mlme+r/B7EndjIhUe7LMQMnTjL0wmbRUeEBWBTHQGIzR6cI6Dr7goD1Vd9ZrHSvLS6ryHMf+8eA4BsqWKZ3w37xW4bK0Pk/CDDf4" +
    "NMSvYhJ+fa6Gw8JaL2lqyLWJ3scdWVv76Ute1LwH2ACzMHlv2ontt3vgKUE2E5NU64zTdZFXj5xgDdm+jsYhn91Qet8zl+1NaHB7jROyTOTNj7IoUb/p1jJA" +
    "fzHtb3yxYA3lbxdXZ0DOKjL8UUUDAUXPuX5j4OQdNUJ0oHnT5vsuFQ==",
  secret: "d2df0522128f09dd8e2c92b1e905c793d8f57a54c3da25861f10bf4ca613e384",
} as const

/** Throws unless the implementation agrees with the draft's vector, and what it seals is opened by what agreed with it. */
export function testHybrid(kem: HybridKem): void {
  const seed = Buffer.from(vector.seed, "hex")
  const publicKey = kem.publicKey(seed)
  expectEqual("public key", hash("sha256", publicKey, "buffer"), Buffer.from(vector.publicKeySha256, "hex"))

  const open = kem.decapsulator(seed)
  expectEqual("published vector", open(Buffer.from(vector.ciphertext, "base64")), Buffer.from(vector.secret, "hex"))

  const seal = kem.encapsulator(publicKey)
  const [first, second] = [seal(), seal()]
  expectEqual("secret opened", first.secret, open(first.ciphertext))
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

/** Chosen once in each process and thread, when it is first needed. */
export function hybridChoice(): HybridChoice {
  chosen ??= chooseHybrid(nativeKem)
  return chosen
}

export function hybridKem(): HybridKem {
  return hybridChoice().kem
}
