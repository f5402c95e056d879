/** Bech32 (BIP 173) without its limit of 90 characters, as age writes recipients and identities. */
export const bech32Charset = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
const checksumLength = 6
/** By character code; -1 for what is no word. */
const wordsByCode = Int8Array.from({ length: 128 }, (_, code) => bech32Charset.indexOf(String.fromCharCode(code)))
const generators = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3] as const

/** In lower case. */
export function encodeBech32(prefix: string, bytes: Uint8Array): string {
  const words = wordsOf(bytes)
  return `${prefix}1${[...words, ...checksumOf(prefix, words)].map((word) => bech32Charset.charAt(word)).join("")}`
}

/** What was read, or what is wrong with it; the problem never repeats any of the text, which may be secret. */
export type Bech32 = { readonly prefix: string; readonly bytes: Uint8Array } | { readonly problem: string }

/** Accepts either case, but not both mixed; the prefix comes back in lower case. */
export function decodeBech32(text: string): Bech32 {
  const lower = text.toLowerCase()
  if (text !== lower && text !== text.toUpperCase()) return { problem: "upper and lower case are mixed" }
  const separator = lower.lastIndexOf("1")
  const data = lower.slice(separator + 1)
  if (separator < 1) return { problem: 'the "1" after its prefix is missing' }
  if (data.length < checksumLength) return { problem: "it is too short" }

  const words = new Uint8Array(data.length)
  for (let at = 0; at < data.length; at++) {
    const word = wordsByCode[data.charCodeAt(at)] ?? -1
    if (word < 0) return { problem: `character ${String(separator + at + 2)} cannot occur in it` }
    words[at] = word
  }
  const prefix = lower.slice(0, separator)
  if (polymod(words, polymod(expand(prefix))) !== 1)
    return { problem: "its checksum does not fit: a character is wrong, missing or too many" }
  const bytes = bytesOf(words.subarray(0, -checksumLength))
  return bytes === null ? { problem: "its last bits are not zero" } : { prefix, bytes }
}

function checksumOf(prefix: string, words: readonly number[]): number[] {
  const rest = polymod([...words, 0, 0, 0, 0, 0, 0], polymod(expand(prefix))) ^ 1
  return Array.from({ length: checksumLength }, (_, i) => (rest >> (5 * (checksumLength - 1 - i))) & 31)
}

function expand(prefix: string): number[] {
  const codes = Array.from(prefix, (char) => char.charCodeAt(0))
  return [...codes.map((code) => code >> 5), 0, ...codes.map((code) => code & 31)]
}

/** Goes on from `check`. A recipient has two thousand characters, and every account of a run has one. */
function polymod(values: ArrayLike<number>, check = 1): number {
  let rest = check
  for (let at = 0; at < values.length; at++) {
    const top = rest >> 25
    rest = ((rest & 0x1ffffff) << 5) ^ (values[at] ?? 0)
    for (let bit = 0; bit < generators.length; bit++) if (((top >> bit) & 1) === 1) rest ^= generators[bit] ?? 0
  }
  return rest
}

function wordsOf(bytes: Uint8Array): number[] {
  const words: number[] = []
  let held = 0
  let bits = 0
  for (const byte of bytes) {
    held = ((held << 8) | byte) & 0xfff
    bits += 8
    while (bits >= 5) {
      bits -= 5
      words.push((held >> bits) & 31)
    }
  }
  if (bits > 0) words.push((held << (5 - bits)) & 31)
  return words
}

/** Null where the bits that fill up the last word are not zero, or are a whole word: another spelling of the same bytes. */
function bytesOf(words: Uint8Array): Uint8Array | null {
  const bytes = new Uint8Array(Math.floor((words.length * 5) / 8))
  let held = 0
  let bits = 0
  let length = 0
  for (const word of words) {
    held = ((held << 5) | word) & 0xfff
    bits += 5
    if (bits < 8) continue
    bits -= 8
    bytes[length] = held >> bits
    length += 1
  }
  return bits >= 5 || (held & ((1 << bits) - 1)) !== 0 ? null : bytes
}
