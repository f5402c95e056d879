/** Bech32 (BIP 173) without its limit of 90 characters, as age writes recipients and identities. */
export const bech32Charset = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
const checksumLength = 6
const charCodes = Buffer.from(bech32Charset, "latin1")
/** By character code; -1 for what is no word. */
const wordsByCode = Int8Array.from({ length: 128 }, (_, code) => bech32Charset.indexOf(String.fromCharCode(code)))
const generators = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3] as const
/** What the five bits that leave the checksum at its top add to the rest. */
const carries = Int32Array.from({ length: 32 }, (_, top) =>
  generators.reduce((sum, generator, bit) => (((top >> bit) & 1) === 1 ? sum ^ generator : sum), 0),
)

/** In lower case. */
export function encodeBech32(prefix: string, bytes: Uint8Array): string {
  const words = wordsOf(bytes)
  const rest = polymod(words, polymod(expand(prefix))) ^ 1
  for (let i = 1; i <= checksumLength; i++) words[words.length - i] = (rest >> (5 * (i - 1))) & 31
  for (let at = 0; at < words.length; at++) words[at] = charCodes[words[at] ?? 0] ?? 0
  return `${prefix}1${words.toString("latin1")}`
}

/** What was read, or what is wrong with it; the problem never repeats any of the text, which may be secret. */
export type Bech32 = { readonly prefix: string; readonly bytes: Uint8Array } | { readonly problem: string }

/** Accepts either case, but not both mixed; the prefix comes back in lower case. */
export function decodeBech32(text: string): Bech32 {
  const lower = text.toLowerCase()
  if (text !== lower && text !== text.toUpperCase()) return { problem: "upper and lower case are mixed" }
  const separator = lower.lastIndexOf("1")
  const start = separator + 1
  if (separator < 1) return { problem: 'the "1" after its prefix is missing' }
  if (lower.length - start < checksumLength) return { problem: "it is too short" }

  const words = new Uint8Array(lower.length - start)
  for (let at = 0; at < words.length; at++) {
    const word = wordsByCode[lower.charCodeAt(start + at)] ?? -1
    if (word < 0) return { problem: `character ${String(start + at + 1)} cannot occur in it` }
    words[at] = word
  }
  const prefix = lower.slice(0, separator)
  if (polymod(words, polymod(expand(prefix))) !== 1)
    return { problem: "its checksum does not fit: a character is wrong, missing or too many" }
  const bytes = bytesOf(words.subarray(0, -checksumLength))
  return bytes === null ? { problem: "its last bits are not zero" } : { prefix, bytes }
}

function expand(prefix: string): Uint8Array {
  const codes = Array.from(prefix, (char) => char.charCodeAt(0))
  return Uint8Array.from([...codes.map((code) => code >> 5), 0, ...codes.map((code) => code & 31)])
}

/** Goes on from `check`. A recipient has two thousand characters, and every account of a run has one. */
function polymod(values: Uint8Array, check = 1): number {
  let rest = check
  for (let at = 0; at < values.length; at++) rest = ((rest & 0x1ffffff) << 5) ^ (values[at] ?? 0) ^ (carries[rest >> 25] ?? 0)
  return rest
}

/** Followed by as many zeros as the checksum will have words. */
function wordsOf(bytes: Uint8Array): Buffer {
  const count = Math.ceil((bytes.length * 8) / 5)
  const words = Buffer.alloc(count + checksumLength)
  let held = 0
  let bits = 0
  let next = 0
  for (let at = 0; at < count; at++) {
    if (bits < 5) {
      held = ((held << 8) | (bytes[next] ?? 0)) & 0xfff
      next += 1
      bits += 8
    }
    bits -= 5
    words[at] = (held >> bits) & 31
  }
  return words
}

/** Null where the bits that fill up the last word are not zero, or are a whole word: another spelling of the same bytes. */
function bytesOf(words: Uint8Array): Uint8Array | null {
  const bytes = new Uint8Array(Math.floor((words.length * 5) / 8))
  let held = 0
  let bits = 0
  let length = 0
  for (let at = 0; at < words.length; at++) {
    held = ((held << 5) | (words[at] ?? 0)) & 0xfff
    bits += 5
    if (bits < 8) continue
    bits -= 8
    bytes[length] = held >> bits
    length += 1
  }
  return bits >= 5 || (held & ((1 << bits) - 1)) !== 0 ? null : bytes
}
