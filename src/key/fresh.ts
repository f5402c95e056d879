import { hash } from "node:crypto"
import { KeyError } from "../errors.ts"
import type { Random } from "../random.ts"

/** A stuck generator repeats itself at once; one with a short period within a few thousand keys. More would only cost memory. */
const rememberedMax = 4096

/**
 * Remembers, as hashes, the last keys that came from one generator, and refuses one that comes again: a file key or an ephemeral
 * key used twice would repeat a (key, nonce) pair. The caller must let the failure end the run.
 */
export class KeyMemory {
  readonly #seen = new Set<string>()

  refuseRepeated(bytes: Uint8Array): void {
    const print = hash("sha256", bytes, "base64")
    if (this.#seen.has(print) || bytes.every((byte) => byte === bytes[0])) {
      throw new KeyError("key/repeated", "random numbers: the generator gave the same key twice, so nothing may be encrypted", {
        hint: "restart this machine; where it is a virtual machine, check that its host offers it a random number device",
      })
    }
    this.#seen.add(print)
    if (this.#seen.size > rememberedMax) this.#seen.delete(this.#seen.values().next().value ?? print)
  }
}

// One memory for each generator: two simulations from the same seed may each make the same keys, one of them never twice.
const memories = new WeakMap<Random, KeyMemory>()

/** New secret bytes, never given before by this generator. */
export function freshKey(random: Random, length: 16 | 32): Uint8Array {
  const memory = memories.get(random) ?? new KeyMemory()
  memories.set(random, memory)
  const key = random.bytes(length)
  if (key.length !== length) throw new RangeError(`random numbers: ${String(key.length)} bytes instead of ${String(length)}`)
  memory.refuseRepeated(key)
  return key
}
