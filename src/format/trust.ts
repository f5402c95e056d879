import { z } from "zod"
import { type Digest, hash32, sha256 } from "../digest.ts"
import { digestSchema } from "../digest-schema.ts"
import { FormatError, KeyError } from "../errors.ts"
import { smallObjectBytesMax } from "../limits.ts"
import { fingerprintOf } from "../signature.ts"
import { agentId, criticalFields, id128, integer, name, publicKey, recipient, text, time } from "./fields.ts"
import { parseVersioned, parseWith } from "./lines.ts"
import { decodeSigned, encodeSigned, type Signer } from "./signed.ts"

/** README §8. What the root says is true: whose signatures count, to whom everything is encrypted, how long classes keep. */
const repositorySchema = z.object({
  v: z.literal(1),
  id: id128,
  created: time,
  root: publicKey,
  limits: z.object({ packBytesMax: integer, packMembersMax: integer }),
  crit: criticalFields,
})
export type Repository = z.infer<typeof repositorySchema>

const classSchema = z.object({
  days: integer,
  reuseDays: integer,
  keyEpoch: z.enum(["week"]).optional(),
  tier: z.record(z.string(), z.string()),
})
export type TrustedClass = z.infer<typeof classSchema>

const personSchema = z.object({
  name: text,
  key: publicKey,
  /** Only of a key on a hardware token: see SshKey. */
  application: z
    .string()
    .regex(/^[\x20-\x7e]{0,200}$/, "expected printable ASCII")
    .optional(),
  roles: z.array(text),
})
/** Someone who may approve what a role allows, and the SSH key that signs for it. */
export type Person = z.infer<typeof personSchema>

const trustSchema = z.object({
  v: z.literal(1),
  repository: id128,
  n: integer,
  /** SHA-256 of list n-1; absent in the first. */
  prev: digestSchema.optional(),
  created: time,
  root: publicKey,
  agents: z.array(z.object({ id: agentId, key: publicKey, role: z.enum(["agent", "keeper"]), from: time })),
  organisation: z.object({ epoch: integer, recipients: z.array(z.object({ name: text, recipient })).min(2) }),
  catalog: z.object({ epoch: integer, recipient }),
  people: z.array(personSchema),
  classes: z.record(name, classSchema),
  sites: z.record(name, z.object({ provider: name, region: text, zone: text.optional() })),
  durable: z.object({ copies: integer, providers: integer }),
  crit: criticalFields,
})
export type TrustBody = z.infer<typeof trustSchema>

export interface TrustList {
  readonly body: TrustBody
  readonly bytes: Uint8Array
  readonly sha256: Digest
  /** "<n>-<hash32>": how commits name it. */
  readonly reference: string
}

export function encodeRepository(body: Omit<Repository, "v" | "crit" | "root">, root: Signer): Uint8Array {
  const value = { ...body, v: 1 as const, crit: [], root: root.publicKey }
  parseWith(repositorySchema, value, "repository")
  return encodeSigned("repository", value, root)
}

/** Reads the repository object when the root with this fingerprint signed it. */
export function decodeRepository(bytes: Uint8Array, rootFingerprint: string): Repository {
  const signed = decodeSigned("repository", bytes, smallObjectBytesMax)
  const body = parseVersioned(repositorySchema, signed.value, "repository")
  refuseOtherRoot(body.root, rootFingerprint, "repository")
  if (!signed.signedBy(body.root)) throw new KeyError("key/untrusted", "repository: signature is not the root's")
  return body
}

export function encodeTrust(body: Omit<TrustBody, "v" | "crit" | "root">, root: Signer): Uint8Array {
  const value = { ...body, v: 1 as const, crit: [], root: root.publicKey }
  parseWith(trustSchema, value, "trust list")
  return encodeSigned("trust", value, root)
}

/** Reads one trust list when the root with this fingerprint signed it. */
export function decodeTrust(bytes: Uint8Array, rootFingerprint: string): TrustList {
  const signed = decodeSigned("trust", bytes, smallObjectBytesMax)
  const body = parseVersioned(trustSchema, signed.value, "trust list")
  refuseOtherRoot(body.root, rootFingerprint, "trust list")
  if (!signed.signedBy(body.root)) throw new KeyError("key/untrusted", `trust list ${String(body.n)}: signature is not the root's`)
  return { body, bytes, sha256: sha256(bytes), reference: `${String(body.n)}-${hash32(bytes)}` }
}

function refuseOtherRoot(root: string, fingerprint: string, what: string): void {
  if (fingerprintOf(root) !== fingerprint) {
    throw new KeyError("key/untrusted", `${what}: signed by root ${fingerprintOf(root)}, not by ${fingerprint}`, {
      hint: "compare the fingerprint with the escrow sheet",
    })
  }
}

/** The newest trust list that someone remembers to have followed. */
export type SeenTrust = Pick<TrustList, "sha256"> & { readonly n: number }

/**
 * A chain of trust lists, oldest first, each naming the hash of the one before, all of one repository. Two different lists with one
 * number are refused: the root signs each number once. So is a chain that does not hold the list `seen`: it was rolled back.
 */
export function verifyTrustChain(lists: readonly TrustList[], repository: string, seen?: SeenTrust): readonly TrustList[] {
  const sorted = [...new Map(lists.map((list) => [list.sha256, list])).values()].sort((a, b) => a.body.n - b.body.n)
  let previous: TrustList | undefined
  for (const list of sorted) {
    const what = `trust list ${String(list.body.n)}`
    if (list.body.repository !== repository) throw new FormatError("format/foreign", `${what}: of another repository`)
    if (previous === undefined) {
      if (list.body.n !== 1 || list.body.prev !== undefined) throw new KeyError("key/untrusted", `${what}: the lists before it are missing`)
    } else if (list.body.n !== previous.body.n + 1 || list.body.prev !== previous.sha256) {
      throw new KeyError("key/untrusted", `${what}: does not follow list ${String(previous.body.n)}`)
    }
    previous = list
  }
  if (previous === undefined) throw new KeyError("key/untrusted", "no trust list found")
  if (seen !== undefined && !sorted.some((list) => list.sha256 === seen.sha256)) {
    throw new KeyError(
      "key/rollback",
      `trust list ${String(previous.body.n)}: list ${String(seen.n)}, followed before, is not among those before it`,
    )
  }
  return sorted
}

/** Every key an agent has ever had in these lists: a commit signed before a key was replaced stays valid. */
export function agentKeys(lists: readonly TrustList[], agent: string): string[] {
  return [...new Set(lists.flatMap((list) => list.body.agents.filter(({ id }) => id === agent).map(({ key }) => key)))]
}
