import { createHmac, createSecretKey, hkdfSync, timingSafeEqual } from "node:crypto"
import { FormatError, KeyError } from "../errors.ts"
import { headerBytesMax, headerStanzasMax } from "../limits.ts"
import { type Random, systemRandom } from "../random.ts"
import type { Secret } from "../secret.ts"
import { freshKey } from "./fresh.ts"
import { hybridChoice } from "./hybrid.ts"
import { type Identity, type Kind, parseIdentity, parseRecipient, type Recipient, together } from "./recipient.ts"
import { decodeUnpadded, type Stanza, type Unwrap, unpadded, unwrapperOf, type Wrap, wrapperOf } from "./stanza.ts"

/** The header of an age v1 file (C2SP age.md, "Header"). Everything here is synchronous: worker threads make headers in a loop. */
export interface SealedHeader {
  /** Up to and including the line of the MAC; nonce and payload follow it. */
  readonly header: Uint8Array
  /** 16 bytes, for this one file. The caller wipes them. */
  readonly fileKey: Uint8Array
}

/** Recipients whose public keys have been read once, for many headers. */
export interface PreparedRecipient {
  readonly kind: Kind
  readonly recipients: readonly string[]
  /** A new file key and its header. `random` is anything but the system's only in tests. */
  seal(random?: Random): SealedHeader
  /** A file key that somebody else made, for each recipient. */
  wrap(fileKey: Uint8Array): readonly Stanza[]
}

/** An identity whose private key has been read once. */
export interface PreparedIdentity {
  readonly kind: Kind
  readonly recipient: string
  /** As `openHeader` does. */
  open(bytes: Uint8Array): Uint8Array
}

const versionLine = "age-encryption.org/v1"
const columns = 64
const macBytes = 32

/** Makes a new file key and wraps it to every recipient; all are of one kind, or KeyError key/mixed. */
export function sealHeader(recipients: readonly string[], random: Random = systemRandom): SealedHeader {
  return prepareRecipients(recipients).seal(random)
}

/** The file key of an age file that begins with `bytes`; KeyError key/wrong where none of the identities opens it. */
export function openHeader(bytes: Uint8Array, identities: readonly Identity[]): Uint8Array {
  return openWith(parseHeader(bytes), identities.map(unwrapOnce))
}

/** The same text always gives the same, already read recipient while it is among the last few hundred. */
export function prepareRecipient(recipient: string): PreparedRecipient {
  return prepareRecipients([recipient])
}

export function prepareRecipients(recipients: readonly string[]): PreparedRecipient {
  const read = recipients.map(readOnce)
  const [{ kind }] = together(read.map(({ recipient }) => recipient))
  const wrap = (fileKey: Uint8Array) => read.map((each) => each.wrap(fileKey))
  return {
    kind,
    recipients: read.map(({ recipient }) => recipient.text),
    seal(random = systemRandom) {
      const fileKey = freshKey(random, 16)
      return { header: encodeHeader(wrap(fileKey), fileKey), fileKey }
    },
    wrap,
  }
}

export function prepareIdentity(identity: Secret | Identity): PreparedIdentity {
  const parsed = "secret" in identity ? identity : parseIdentity(identity.reveal())
  const unwrap = unwrapOnce(parsed)
  return { kind: parsed.kind, recipient: parsed.recipient, open: (bytes) => openWith(parseHeader(bytes), [unwrap]) }
}

/** Which implementation makes and opens headers in this process: `library` is correct too, but forty times as slow. */
export function nativeStatus(): { readonly hybrid: "native" | "library"; readonly x25519: "native"; readonly reason?: string } {
  const { name, reason } = hybridChoice()
  return { hybrid: name, x25519: "native", ...(reason === undefined ? {} : { reason }) }
}

/** A header as it was read; nothing in it is authenticated yet. */
export interface ParsedHeader {
  /** Bytes of the header, up to and including the line feed after its MAC. */
  readonly length: number
  readonly stanzas: readonly Stanza[]
  readonly mac: Uint8Array
  /** What the MAC is over. */
  readonly covered: Uint8Array
}

/** Reads the header at the start of `bytes`, at most `headerBytesMax` of them, and looks at nothing after it. */
export function parseHeader(bytes: Uint8Array): ParsedHeader {
  const lines = new HeaderLines(bytes)
  if (lines.next() !== versionLine) throw malformed(`its first line is not "${versionLine}"`)
  const stanzas: Stanza[] = []
  for (;;) {
    const start = lines.position
    const line = lines.next()
    if (line.startsWith("--- ")) {
      const mac = decodeUnpadded(line.slice(4))
      if (mac?.length !== macBytes) throw malformed("its MAC is malformed")
      if (stanzas.length === 0) throw malformed("it has no recipient")
      return { length: lines.position, stanzas, mac, covered: bytes.subarray(0, start + 3) }
    }
    if (stanzas.length === headerStanzasMax) {
      throw new FormatError("format/too-large", `age header: more than ${String(headerStanzasMax)} recipients`)
    }
    stanzas.push(parseStanza(line, lines))
  }
}

function parseStanza(line: string, lines: HeaderLines): Stanza {
  const args = line.startsWith("-> ") ? line.slice(3).split(" ") : []
  if (args.length === 0 || args.some((arg) => arg === "")) throw malformed("a recipient stanza begins badly")
  if (args[0] === "scrypt") {
    throw new FormatError("format/unsupported", "age header: it is encrypted with a passphrase, which no file in a repository is")
  }
  const parts: Uint8Array[] = []
  for (;;) {
    const text = lines.next()
    const part = text.length > columns ? null : decodeUnpadded(text)
    if (part === null) throw malformed("a recipient stanza is malformed")
    parts.push(part)
    if (text.length < columns) return { args, body: Buffer.concat(parts) }
  }
}

/** Lines of printable ASCII, each ended by one line feed. */
class HeaderLines {
  readonly #bytes: Uint8Array
  position = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes.subarray(0, headerBytesMax)
  }

  next(): string {
    const end = this.#bytes.indexOf(0x0a, this.position)
    if (end < 0 && this.#bytes.length === headerBytesMax) {
      throw new FormatError("format/too-large", `age header: no end within ${String(headerBytesMax)} bytes`)
    }
    if (end < 0) throw malformed("cut short")
    const line = Buffer.from(this.#bytes.subarray(this.position, end)).toString("latin1")
    if (!/^[\x20-\x7e]*$/.test(line)) throw malformed("it holds a byte that is not printable ASCII")
    this.position = end + 1
    return line
  }
}

function encodeHeader(stanzas: readonly Stanza[], fileKey: Uint8Array): Uint8Array {
  const covered = Buffer.from(`${versionLine}\n${stanzas.map(encodeStanza).join("")}---`, "latin1")
  return Buffer.concat([covered, Buffer.from(` ${unpadded(macOf(covered, fileKey))}\n`, "latin1")])
}

function encodeStanza({ args, body }: Stanza): string {
  const text = unpadded(body)
  const lines = Array.from({ length: Math.floor(text.length / columns) + 1 }, (_, i) => text.slice(i * columns, (i + 1) * columns))
  return `-> ${args.join(" ")}\n${lines.join("\n")}\n`
}

function openWith(header: ParsedHeader, unwraps: readonly Unwrap[]): Uint8Array {
  if (unwraps.length === 0) throw new KeyError("key/missing", "age header: no identity was given to open it with")
  for (const unwrap of unwraps) {
    for (const stanza of header.stanzas) {
      const fileKey = unwrap(stanza)
      if (fileKey === null) continue
      if (!timingSafeEqual(macOf(header.covered, fileKey), header.mac)) {
        throw new FormatError("format/mismatch", "age header: its MAC does not fit, somebody changed it")
      }
      return fileKey
    }
  }
  const types = [...new Set(header.stanzas.map(({ args }) => args[0] ?? ""))].join(", ")
  throw new KeyError("key/wrong", `age header: no identity given opens it (it is for ${types})`, {
    hint: "give an identity of the account, or of an organisation recipient of its epoch",
  })
}

function macOf(covered: Uint8Array, fileKey: Uint8Array): Uint8Array {
  const key = new Uint8Array(hkdfSync("sha256", createSecretKey(fileKey), "", "header", 32))
  return createHmac("sha256", createSecretKey(key)).update(covered).digest()
}

/** Enough for the accounts of one run's working set; reading a post-quantum recipient takes as long as five headers. */
const preparedMax = 512
const readRecipients = new Map<string, ReadRecipient>()
const unwraps = new WeakMap<Secret, Unwrap>()

interface ReadRecipient {
  readonly recipient: Recipient
  readonly wrap: Wrap
}

function readOnce(text: string): ReadRecipient {
  const read = readRecipients.get(text) ?? readRecipient(text)
  // Taken out and put back, so that the first in the map is the one longest unused.
  readRecipients.delete(text)
  readRecipients.set(text, read)
  const [oldest] = readRecipients.keys()
  if (readRecipients.size > preparedMax && oldest !== undefined) readRecipients.delete(oldest)
  return read
}

function readRecipient(text: string): ReadRecipient {
  const recipient = parseRecipient(text)
  return { recipient, wrap: wrapperOf(recipient) }
}

function unwrapOnce(identity: Identity): Unwrap {
  const unwrap = unwraps.get(identity.secret) ?? unwrapperOf(identity)
  unwraps.set(identity.secret, unwrap)
  return unwrap
}

function malformed(problem: string): FormatError {
  return new FormatError("format/malformed", `age header: ${problem}`)
}
