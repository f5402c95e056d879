/** The same bytes with one bit changed. */
export function flipped(bytes: Uint8Array, at: number, bit: number): Buffer {
  const copy = Buffer.from(bytes)
  copy.writeUInt8(copy.readUInt8(at) ^ bit, at)
  return copy
}

export interface Damage {
  readonly what: string
  readonly bytes: Buffer
}

/** Every cut there is. */
export function* cuts(bytes: Uint8Array): Generator<Damage> {
  for (let length = 0; length < bytes.length; length++) {
    yield { what: `cut at ${String(length)}`, bytes: Buffer.from(bytes.subarray(0, length)) }
  }
}

/** Every byte changed: by the bit that turns upper into lower case, and by another. */
export function* flips(bytes: Uint8Array): Generator<Damage> {
  for (let at = 0; at < bytes.length; at++) {
    for (const bit of [0x20, 1 << (at % 5)])
      yield { what: `bit ${String(bit)} of byte ${String(at)} changed`, bytes: flipped(bytes, at, bit) }
  }
}

/** What a damaged object was taken for, unless it was refused: nothing, where all is well. */
export function accepted(damages: Iterable<Damage>, decode: (bytes: Buffer) => unknown): string[] {
  const found: string[] = []
  for (const { what, bytes } of damages) {
    try {
      decode(bytes)
      found.push(what)
    } catch (error) {
      if (!(error instanceof Error && "code" in error && /^(?:format|key)\//.test(String(error.code)))) {
        throw new Error(`${what}: not refused, but broken by it`, { cause: error })
      }
    }
  }
  return found
}
