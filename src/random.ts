import { randomBytes } from "node:crypto"

/** Randomness is an input. Only wiring/ passes systemRandom; simulations pass a seeded one. */
export interface Random {
  /** `length` unpredictable bytes. */
  bytes(length: number): Uint8Array
}

export const systemRandom: Random = { bytes: (length) => randomBytes(length) }

/** A new random 128-bit id as 32 lower-case hex characters. */
export function randomId(random: Random): string {
  return Buffer.from(random.bytes(16)).toString("hex")
}
