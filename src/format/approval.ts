import { z } from "zod"
import { FormatError, KeyError } from "../errors.ts"
import { approvalSignaturesMax, sshSignatureBytesMax, statementBytesMax } from "../limits.ts"
import { decodeCanonical, decodeUtf8, encodeCanonical } from "./canonical.ts"
import { criticalFields, id128, name, text, time, trustReference } from "./fields.ts"
import { parseVersioned, parseWith } from "./lines.ts"
import { decodeBase64, isSameSshKey, type SshKey, sshFingerprint } from "./ssh-key.ts"
import { decodeSshSignature, verifySshSignature } from "./sshsig.ts"
import type { Person, TrustList } from "./trust.ts"

/** README §8. What people say with `ssh-keygen -Y sign -n`: a signature for anything else never passes for an approval. */
export const approvalNamespace = "holdline-approval"

const shared = {
  v: z.literal(1),
  repository: id128,
  /** Of this one decision: a statement that was recorded is never recorded as another. */
  id: id128,
  reason: text.min(1, "expected a reason"),
  created: time,
  /** After this it can no longer be recorded. */
  expires: time,
  /** The trust list that was in force when it was written. */
  trust: trustReference,
  crit: criticalFields,
}

const siteRetired = z.object({
  ...shared,
  action: z.literal("site-retired"),
  subject: z.object({ site: name, provider: name, region: text, zone: text.optional() }),
})

const statementSchema = z.discriminatedUnion("action", [siteRetired])
/** What people approve, as they read and sign it. */
export type Statement = z.infer<typeof statementSchema>
export type NewStatement = Omit<Statement, "v" | "crit">

/** The role in the trust list that may approve an action. */
export const roleFor: Readonly<Record<Statement["action"], string>> = { "site-retired": "retire" }

/** README §7. A statement and who approved it, as a control commit records it. */
export const approvalRecordSchema = z.object({
  type: z.literal("approval"),
  /** The statement's line, without its line end. */
  statement: z.string().max(statementBytesMax),
  /** Base64 of signatures of SSH over the line and its line end. */
  signatures: z
    .array(z.base64().max(2 * sshSignatureBytesMax))
    .min(2)
    .max(approvalSignaturesMax),
})
export type ApprovalRecord = z.infer<typeof approvalRecordSchema>

/** One line that people sign as a file, bytes and line end as they are. */
export function encodeStatement(statement: NewStatement): string {
  const value = { ...statement, v: 1 as const, crit: [] }
  parseWith(statementSchema, value, "statement")
  return `${encodeCanonical(value)}\n`
}

export function decodeStatement(bytes: Uint8Array, what: string): Statement {
  if (bytes.length > statementBytesMax) throw new FormatError("format/too-large", `${what}: ${String(bytes.length)} bytes`)
  const [line = "", rest, ...more] = decodeUtf8(bytes, what).split("\n")
  if (rest !== "" || more.length > 0) throw new FormatError("format/malformed", `${what}: not one line of JSON`)
  const value = decodeCanonical(line, what)
  const { action } = parseVersioned(z.object({ action: z.string().max(40) }), value, what)
  if (!Object.hasOwn(roleFor, action)) {
    throw new FormatError("format/unsupported", `${what}: approves ${JSON.stringify(action)}`, { hint: "upgrade Holdline" })
  }
  return parseWith(statementSchema, value, what)
}

/** A statement and its signatures, to be recorded. Whether it is an approval, `verifyApproval` says. */
export function approvalRecord(statement: Uint8Array, signatures: readonly Uint8Array[]): ApprovalRecord {
  return {
    type: "approval",
    statement: Buffer.from(statement).toString("utf8").replace(/\n$/, ""),
    signatures: signatures.map((signature) => Buffer.from(signature).toString("base64")),
  }
}

/** By what an approval is judged. */
export interface Authority {
  /** The id of the repository. */
  readonly repository: string
  /** Every trust list, oldest first. */
  readonly lists: readonly TrustList[]
  /** The list that was in force when the approval was recorded. */
  readonly inForce: TrustList
  /** When it was recorded. */
  readonly at: Date
}

/** What two people have approved. */
export interface Approval {
  readonly statement: Statement
  /** The names of the people who signed, two at least. */
  readonly by: readonly string[]
}

/**
 * The only way to believe an approval: two different people, whom the list that the statement names and the one in force let approve
 * this, signed these very bytes for this repository in time. `names` are what the signatures are called in errors.
 */
export function verifyApproval(record: ApprovalRecord, authority: Authority, names: readonly string[] = []): Approval {
  const message = Buffer.from(`${record.statement}\n`)
  const statement = decodeStatement(message, "statement")
  const named = listFor(statement, authority)
  const { inForce } = authority
  const lists = inForce.body.n > named.body.n ? [named, inForce] : [named]
  const signers: Person[] = []
  for (const [index, encoded] of record.signatures.entries()) {
    const what = names[index] ?? `signature ${String(index + 1)}`
    const person = signerOf(encoded, message, { what, statement, lists })
    // A key is the first person's whom the list names with it, so people of different names have different keys.
    if (signers.some((other) => other.name === person.name)) {
      throw new KeyError("key/untrusted", `${what}: ${person.name} has signed already, and one person approves once`, {
        hint: "have another person sign the same file",
      })
    }
    signers.push(person)
  }
  if (signers.length < 2) {
    const who = signers[0]?.name ?? "nobody"
    throw new KeyError("key/untrusted", `statement ${statement.id}: approved by ${who} alone, two people are needed`, {
      hint: "have another person sign the same file",
    })
  }
  return { statement, by: signers.map((signer) => signer.name) }
}

/** The list that the statement names, once the rest of what it says is right. */
function listFor(statement: Statement, { repository, lists, at }: Authority): TrustList {
  const { id, expires, trust, subject } = statement
  const what = `statement ${id}`
  if (statement.repository !== repository)
    throw new FormatError("format/foreign", `${what}: of another repository, ${statement.repository}`)
  if (at.getTime() > Date.parse(expires)) {
    throw new KeyError("key/untrusted", `${what}: expired at ${expires}`, { hint: "write a new statement and have it signed" })
  }
  const named = lists.find(({ reference }) => reference === trust)
  if (named === undefined) throw new KeyError("key/untrusted", `${what}: names the trust list ${trust}, which is none of this repository's`)
  const { provider, region, zone } = new Map(Object.entries(named.body.sites)).get(subject.site) ?? {}
  if (provider !== subject.provider || region !== subject.region || zone !== subject.zone) {
    throw new FormatError("format/foreign", `${what}: the site ${subject.site} it speaks of is not the one of trust list ${trust}`)
  }
  return named
}

interface Signing {
  readonly what: string
  readonly statement: Statement
  /** Each of them must let the signer approve it: the older one what was asked, the newer one whoever was removed since. */
  readonly lists: readonly TrustList[]
}

function signerOf(encoded: string, message: Uint8Array, { what, statement, lists }: Signing): Person {
  const signed = decodeSshSignature(decodeBase64(encoded, what), what)
  if (signed.namespace !== approvalNamespace) {
    throw new FormatError("format/mismatch", `${what}: made for ${JSON.stringify(signed.namespace)}, not for ${approvalNamespace}`, {
      hint: `sign with: ssh-keygen -Y sign -n ${approvalNamespace}`,
    })
  }
  verifySshSignature(signed, message, what)
  const [person] = lists.map((list) => approverIn(list, signed.key, { what, statement }))
  if (person === undefined) throw new Error("no trust list to look for the signer in")
  return person
}

function approverIn({ body }: TrustList, key: SshKey, { what, statement }: Pick<Signing, "what" | "statement">): Person {
  const list = `trust list ${String(body.n)}`
  const person = body.people.find((each) => isSameSshKey(each, key))
  if (person === undefined) {
    throw new KeyError("key/untrusted", `${what}: by the key ${sshFingerprint(key)}, which ${list} gives to nobody`, {
      hint: "`holdline key list` shows the people and their keys; `holdline key trust --person` adds one",
    })
  }
  const role = roleFor[statement.action]
  if (person.roles.includes(role)) return person
  const roles = person.roles.length === 0 ? "no role" : `only ${person.roles.join(", ")}`
  throw new KeyError("key/untrusted", `${what}: ${person.name} has ${roles} in ${list}, and approving ${statement.action} takes ${role}`)
}

/** Who may approve an action, each once. */
export function approversOf({ body }: TrustList, action: Statement["action"]): readonly string[] {
  return [...new Set(body.people.filter(({ roles }) => roles.includes(roleFor[action])).map((person) => person.name))]
}
