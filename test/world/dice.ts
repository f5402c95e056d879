import { createCipheriv, createHash } from "node:crypto"

/** Numbers and bytes that look random and follow from a seed alone (xoshiro128**, AES-CTR for bytes). */
export class Dice {
  readonly #state: Uint32Array
  readonly #bytes: ReturnType<typeof createCipheriv>

  constructor(seed: string) {
    const digest = createHash("sha256").update(seed).digest()
    this.#state = new Uint32Array([0, 4, 8, 12].map((at) => digest.readUInt32LE(at)))
    this.#bytes = createCipheriv("aes-128-ctr", digest.subarray(16), Buffer.alloc(16))
  }

  /** From 0 up to, not including, 1. */
  next(): number {
    const s = this.#state
    const [a = 0, b = 0, c = 0, d = 0] = s
    const result = Math.imul(rotated(Math.imul(b, 5), 7), 9) >>> 0
    const t = b << 9
    const c2 = c ^ a
    const d2 = d ^ b
    s[1] = b ^ c2
    s[0] = a ^ d2
    s[2] = c2 ^ t
    s[3] = rotated(d2, 11)
    return result / 2 ** 32
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1))
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<T>(values: readonly [T, ...T[]]): T {
    return values[this.between(0, values.length - 1)] ?? values[0]
  }

  /** An index, as often as its weight says. */
  weighted(weights: readonly number[]): number {
    let left = this.next() * weights.reduce((sum, weight) => sum + weight, 0)
    for (const [index, weight] of weights.entries()) {
      left -= weight
      if (left < 0) return index
    }
    return weights.length - 1
  }

  lognormal(mu: number, sigma: number): number {
    const normal = Math.sqrt(-2 * Math.log(1 - this.next())) * Math.cos(2 * Math.PI * this.next())
    return Math.exp(mu + sigma * normal)
  }

  /** Incompressible bytes, more than a gigabyte a second. */
  bytes(length: number): Buffer {
    return this.#bytes.update(Buffer.alloc(length))
  }

  uuid(): string {
    const hex = this.bytes(16).toString("hex")
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`
  }
}

function rotated(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by))
}
