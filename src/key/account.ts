import { FormatError, KeyError } from "../errors.ts"
import { type Random, systemRandom } from "../random.ts"
import { Secret } from "../secret.ts"
import { generateIdentity, type Identity, parseIdentity, parseRecipients } from "./recipient.ts"
import { decryptSmall, encryptSmall } from "./small.ts"

/** Whose identity, and of which key epoch. */
export interface KeyOwner {
  /** 128 random bits in hex, or a reserved account. */
  readonly account: string
  readonly epoch: string
}

/** What a key object holds. */
export interface AccountKey extends KeyOwner {
  readonly identity: Identity
}

/** A key object as it was made: the private half is in `object` only, for the organisation's identities to open. */
export interface NewAccountKey extends KeyOwner {
  readonly recipient: string
  readonly object: Uint8Array
}

const accountPattern = /^(?:[0-9a-f]{32}|platform|mixed|catalog)$/
const epochPattern = /^[0-9a-z]{1,16}$/

/** Makes an account's identity, of the organisation's kind, and its key object. No private key is needed to make one. */
export async function makeAccountKey(options: MakeAccountKey): Promise<NewAccountKey> {
  const { account, epoch, organisation, random = systemRandom } = options
  const [{ kind }] = parseRecipients(organisation)
  const identity = generateIdentity(kind, random)
  const object = await sealKeyObject({ account, epoch, identity }, organisation)
  return { account, epoch, recipient: identity.recipient, object }
}

export interface MakeAccountKey extends KeyOwner {
  /** The organisation recipients of its epoch: every one of them will open the key object. */
  readonly organisation: readonly string[]
  readonly random?: Random
}

/** The key object of an identity that exists already: a rotation seals it again, to the new organisation recipients. */
export async function sealKeyObject(key: AccountKey, organisation: readonly string[]): Promise<Uint8Array> {
  const [{ kind }] = parseRecipients(organisation)
  if (kind !== key.identity.kind) {
    throw new KeyError("key/mixed", `key of account ${key.account}: its identity and the organisation recipients are of different kinds`)
  }
  return await encryptSmall(Buffer.from(keyFileText(key).reveal()), organisation)
}

/**
 * Opens a key object and checks that it is what its name and the register say; FormatError format/foreign where it is another's.
 * `expected.recipient` is the one the register lists, where the caller has it.
 */
export async function openKeyObject(
  object: Uint8Array,
  identities: readonly Identity[],
  expected: KeyOwner & { readonly recipient?: string },
): Promise<AccountKey> {
  const plaintext = await decryptSmall(object, identities)
  const key = parseKeyFile(Buffer.from(plaintext.buffer, plaintext.byteOffset, plaintext.byteLength).toString("latin1"))
  plaintext.fill(0)
  for (const [name, actual, wanted] of [
    ["account", key.account, expected.account],
    ["epoch", key.epoch, expected.epoch],
    ["recipient", key.identity.recipient, expected.recipient ?? key.identity.recipient],
  ] as const) {
    if (actual === wanted) continue
    throw new FormatError("format/foreign", `key object of account ${expected.account}, epoch ${expected.epoch}: it holds another ${name}`)
  }
  return key
}

/** An age identity file that says whose it is, so that it can be used by hand: `age -d -i account.key`. */
export function keyFileText(key: AccountKey): Secret {
  if (!accountPattern.test(key.account) || !epochPattern.test(key.epoch)) {
    throw new FormatError("format/malformed", `key of account ${JSON.stringify(key.account)}: bad account or epoch`)
  }
  const { recipient, secret } = key.identity
  return new Secret(`# account: ${key.account}\n# epoch: ${key.epoch}\n# recipient: ${recipient}\n${secret.reveal()}\n`)
}

/** The inverse of `keyFileText`; comments it does not know are left alone. */
export function parseKeyFile(text: string): AccountKey {
  const lines = text.split("\n")
  const account = onlyComment(lines, "account")
  const epoch = onlyComment(lines, "epoch")
  const recipient = onlyComment(lines, "recipient")
  if (!accountPattern.test(account) || !epochPattern.test(epoch)) throw malformed("bad account or epoch")
  const [line, ...more] = lines.filter((other) => !other.startsWith("#") && other !== "")
  if (line === undefined || more.length > 0) throw malformed("it does not hold exactly one identity")
  const identity = parseIdentity(line)
  if (identity.recipient !== recipient) {
    throw new FormatError("format/mismatch", `key object of account ${account}: its identity does not belong to the recipient it names`)
  }
  return { account, epoch, identity }
}

function onlyComment(lines: readonly string[], name: string): string {
  const start = `# ${name}: `
  const [line, ...more] = lines.filter((other) => other.startsWith(start))
  if (line === undefined || more.length > 0) throw malformed(`it does not name exactly one ${name}`)
  return line.slice(start.length)
}

function malformed(problem: string): FormatError {
  return new FormatError("format/malformed", `key object: ${problem}`)
}
