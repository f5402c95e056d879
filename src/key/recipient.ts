import { KeyError } from "../errors.ts"
import { type Random, systemRandom } from "../random.ts"
import { Secret } from "../secret.ts"
import { decodeBech32, encodeBech32 } from "./bech32.ts"
import { freshKey } from "./fresh.ts"
import { hybridKem, hybridPublicBytes } from "./hybrid.ts"
import { x25519Private, x25519Raw } from "./x25519.ts"

/** What a key can withstand: `pq` is post-quantum (ML-KEM-768 with X25519), `x25519` is what age had before 1.3. */
export type Kind = "pq" | "x25519"

/** The public half: what is encrypted to. */
export interface Recipient {
  readonly kind: Kind
  /** As it is written: `age1…` or `age1pq1…`. */
  readonly text: string
  readonly publicKey: Uint8Array
}

/** The private half, with the recipient it belongs to. */
export interface Identity {
  readonly kind: Kind
  readonly recipient: string
  /** `AGE-SECRET-KEY-1…` or `AGE-SECRET-KEY-PQ-1…`. */
  readonly secret: Secret
}

interface Spelling {
  readonly kind: Kind
  readonly prefix: string
  readonly bytes: number
}

const recipientSpellings: readonly Spelling[] = [
  { kind: "pq", prefix: "age1pq", bytes: hybridPublicBytes },
  { kind: "x25519", prefix: "age", bytes: 32 },
]
const identitySpellings: readonly Spelling[] = [
  { kind: "pq", prefix: "age-secret-key-pq-", bytes: 32 },
  { kind: "x25519", prefix: "age-secret-key-", bytes: 32 },
]
const pluginMark = /^age1(?!pq1)[a-z0-9]+1/i
const secretMark = /age-secret-key|age-plugin-[a-z0-9-]*-1/i

/** Throws KeyError key/malformed, saying exactly what is wrong; white space around the text is ignored. */
export function parseRecipient(text: string): Recipient {
  const trimmed = text.trim()
  // First of all, so that no message below can repeat a secret.
  if (secretMark.test(trimmed)) {
    throw new KeyError("key/malformed", "recipient: this is an identity, the secret half of a key", {
      hint: "give the recipient that belongs to it, age1…, and treat the identity as exposed if anybody could read it here",
    })
  }
  const spelling = recipientSpellings.find(({ prefix }) => trimmed.toLowerCase().startsWith(`${prefix}1`))
  if (spelling === undefined || pluginMark.test(trimmed)) throw unknownRecipient(trimmed)
  const name = `recipient ${abbreviated(trimmed)}`
  if (/[A-Z]/.test(trimmed)) throw malformed(name, "it has capitals", "a recipient is written in lower case")
  return { kind: spelling.kind, text: trimmed, publicKey: decoded(name, trimmed, spelling) }
}

/** Throws KeyError key/malformed, saying exactly what is wrong, but never repeating any of the text; white space around it is ignored. */
export function parseIdentity(text: string): Identity {
  const trimmed = text.trim()
  const spelling = identitySpellings.find(({ prefix }) => trimmed.toLowerCase().startsWith(`${prefix}1`))
  if (spelling === undefined) throw unknownIdentity(trimmed)
  if (/[a-z]/.test(trimmed)) throw malformed("identity", "it has lower-case letters", "an identity is written in capitals")
  return identityOf(spelling.kind, decoded("identity", trimmed, spelling))
}

/** The kind of a recipient or an identity, of which only the beginning is looked at. */
export function kindOf(text: string): Kind {
  return /^\s*(?:age1pq1|age-secret-key-pq-1)/i.test(text) ? "pq" : "x25519"
}

export function parseRecipients(texts: readonly string[]): readonly [Recipient, ...Recipient[]] {
  return together(texts.map(parseRecipient))
}

/** Throws KeyError key/mixed where one recipient would make the others' protection worthless, and key/missing where there is none. */
export function together(recipients: readonly Recipient[]): readonly [Recipient, ...Recipient[]] {
  const [first, ...rest] = recipients
  if (first === undefined) throw new KeyError("key/missing", "recipients: none was given, so nobody could open what is encrypted")
  const other = rest.find(({ kind }) => kind !== first.kind)
  if (other !== undefined) {
    throw new KeyError("key/mixed", `recipients: ${abbreviated(first.text)} and ${abbreviated(other.text)} are of different kinds`, {
      hint: "use post-quantum recipients (age1pq1…) only, or X25519 recipients only: together they are as weak as the weaker",
    })
  }
  const repeated = recipients.find(({ text }, index) => recipients.findIndex((earlier) => earlier.text === text) !== index)
  if (repeated !== undefined) throw malformed(`recipient ${abbreviated(repeated.text)}`, "it was given twice")
  return [first, ...rest]
}

/** Makes a new identity. `random` is anything but the system's only in simulations. */
export function generateIdentity(kind: Kind, random: Random = systemRandom): Identity {
  const seed = freshKey(random, 32)
  const identity = identityOf(kind, seed)
  seed.fill(0)
  return identity
}

/** The 32 bytes of an identity; the caller wipes them. */
export function seedOf(identity: Identity): Uint8Array {
  const decodedText = decodeBech32(identity.secret.reveal())
  if ("problem" in decodedText) throw malformed("identity", decodedText.problem)
  return decodedText.bytes
}

/** The first characters of a recipient, as lists and messages show it. */
export function abbreviated(recipient: string): string {
  return recipient.length <= 20 ? recipient : `${recipient.slice(0, 16)}…`
}

function identityOf(kind: Kind, seed: Uint8Array): Identity {
  const [recipient, secret] =
    kind === "pq"
      ? [encodeBech32("age1pq", hybridKem().publicKey(seed)), encodeBech32("age-secret-key-pq-", seed)]
      : [encodeBech32("age", x25519Raw(x25519Private(seed))), encodeBech32("age-secret-key-", seed)]
  return { kind, recipient, secret: new Secret(secret.toUpperCase()) }
}

function decoded(name: string, text: string, spelling: Spelling): Uint8Array {
  const result = decodeBech32(text)
  if ("problem" in result) throw malformed(name, result.problem, "copy it again, whole")
  if (result.prefix !== spelling.prefix || result.bytes.length !== spelling.bytes) {
    throw malformed(name, `it holds ${String(result.bytes.length)} bytes instead of ${String(spelling.bytes)}`)
  }
  return result.bytes
}

function unknownRecipient(text: string): KeyError {
  if (pluginMark.test(text)) {
    const problem = 'it has another "1": recipients of plugins and tokens cannot be used'
    return malformed(`recipient ${abbreviated(text)}`, problem, "use age1pq1… (post-quantum) or age1… (X25519)")
  }
  if (/^ssh-/.test(text)) return malformed("recipient", "this is an SSH key", "make an age identity: holdline key --help")
  return malformed("recipient", 'it does not begin with "age1"', "a recipient is age1pq1… (post-quantum) or age1… (X25519)")
}

function unknownIdentity(text: string): KeyError {
  if (/^age1/i.test(text)) return malformed("identity", "this is a recipient, the public half", "give the identity, AGE-SECRET-KEY-…")
  if (/^age-plugin-/i.test(text)) {
    return malformed("identity", "identities of plugins cannot be used here", "open with age and its plugin, as the escrow sheet says")
  }
  return malformed("identity", 'it does not begin with "AGE-SECRET-KEY-"', "a line of an identity file that is no comment is an identity")
}

function malformed(name: string, problem: string, hint?: string): KeyError {
  return new KeyError("key/malformed", `${name}: ${problem}`, hint === undefined ? {} : { hint })
}
