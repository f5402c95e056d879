import { FormatError } from "../errors.ts"
import { headerBytesMax, smallObjectBytesMax } from "../limits.ts"
import { KeyMemory } from "./fresh.ts"
import { openHeader, parseHeader, prepareRecipients } from "./header.ts"
import type { Identity } from "./recipient.ts"

const fileKeys = new KeyMemory()
/** Nonce and tags of a payload of that size. */
const overheadBytes = 1024

/** A whole age file around a small value: a register entry, a key object. Segments take the native road instead. */
export async function encryptSmall(plaintext: Uint8Array, recipients: readonly string[]): Promise<Uint8Array> {
  if (plaintext.length > smallObjectBytesMax) throw tooLarge(plaintext.length)
  const prepared = prepareRecipients(recipients)
  const { Encrypter, Stanza } = await library()
  const encrypter = new Encrypter()
  encrypter.addRecipient({
    wrapFileKey(fileKey) {
      fileKeys.refuseRepeated(fileKey)
      return prepared.wrap(fileKey).map(({ args, body }) => new Stanza([...args], body))
    },
  })
  return await encrypter.encrypt(plaintext)
}

/** The plaintext of a whole age file; KeyError key/wrong where no identity opens it, FormatError where it was changed. */
export async function decryptSmall(bytes: Uint8Array, identities: readonly Identity[]): Promise<Uint8Array> {
  if (bytes.length > smallObjectBytesMax + headerBytesMax + overheadBytes) throw tooLarge(bytes.length)
  // Our own reader goes first: it is strict and bounded, and knows the identities.
  const { length } = parseHeader(bytes)
  const fileKey = openHeader(bytes, identities)
  const { Decrypter } = await library()
  const decrypter = new Decrypter()
  decrypter.addIdentity({ unwrapFileKey: () => fileKey })
  try {
    return await decrypter.decrypt(bytes)
  } catch (cause) {
    const problem = `age file of ${String(bytes.length - length)} bytes after its header: it was changed or cut short`
    throw new FormatError("format/mismatch", problem, { cause })
  } finally {
    fileKey.fill(0)
  }
}

// Loaded when first needed: it takes longer than most commands.
async function library(): Promise<typeof import("age-encryption")> {
  return await import("age-encryption")
}

function tooLarge(length: number): FormatError {
  return new FormatError("format/too-large", `small object: ${String(length)} bytes, more than ${String(smallObjectBytesMax)}`)
}
