import { z } from "zod"
import { type Digest, sha256 } from "../digest.ts"
import { digestSchema } from "../digest-schema.ts"
import { FormatError } from "../errors.ts"
import { commitBytesMax, holdAccountsMax } from "../limits.ts"
import { keyIdOf } from "../signature.ts"
import { type ApprovalRecord, approvalRecordSchema } from "./approval.ts"
import type { Json } from "./canonical.ts"
import { accountId, agentId, criticalFields, date, id128, integer, name, text, time, trustReference } from "./fields.ts"
import { parseVersioned, parseWith } from "./lines.ts"
import { type PackName, seqMax } from "./names.ts"
import { decodeSigned, encodeSigned, type Signer } from "./signed.ts"

/** README §7. The small signed object, written last, that makes a snapshot true. */
const listedPack = z.tuple([digestSchema, integer, name, z.enum(["pack", "meta"]), date])

const shared = {
  v: z.literal(1),
  repository: id128,
  agent: agentId,
  seq: integer.max(seqMax),
  /** SHA-256 of the heads of this agent's log that it saw at the reachable sites; more than one joins a fork. */
  prev: z.array(digestSchema).max(16),
  /** SHA-256 of the keepers' heads that it saw. */
  seen: z.array(digestSchema).max(64),
  /** "<n>-<hash32>" of the trust list it was written under. */
  trust: trustReference,
  time,
  /** [SHA-256, bytes, class, kind, date] of every pack this commit needs. The same in every kind, for ever. */
  packs: z.array(listedPack),
  crit: criticalFields,
}

const backupSchema = z.object({
  ...shared,
  kind: z.literal("backup"),
  run: id128,
  job: name,
  dataset: name,
  mode: z.enum(["archive", "state"]),
  cut: time,
  complete: z.boolean(),
  final: z.boolean(),
  inventory: z.array(z.tuple([digestSchema, integer])),
})

const keyRecord = z.object({
  type: z.literal("key"),
  account: accountId,
  epoch: z.string().regex(/^[0-9a-z]{1,16}$/),
  orgEpoch: integer,
  object: z.string().max(200),
  /** Base64 of an age file to the catalog and organisation recipients: see registerEntrySchema. */
  entry: z.base64().max(40_000),
})
export type KeyRecord = z.infer<typeof keyRecord>

/** No site has this key object of the agent's own register any more: nothing needs it from here on, and nothing is encrypted to it. */
const keyLostRecord = z.object({ type: z.literal("key-lost"), object: z.string().max(200) })
export type KeyLostRecord = z.infer<typeof keyLostRecord>

/** A run found something that may be damage. What was kept of the dataset before is not expired until a person lifts it. Counts only. */
const anomalyRecord = z.object({
  type: z.literal("anomaly"),
  id: id128,
  dataset: name,
  kind: z.string().regex(/^[a-z][a-z-]{0,39}$/),
  time,
  numbers: z.record(z.string().regex(/^[a-z][A-Za-z]{0,39}$/), integer),
})
export type AnomalyRecord = z.infer<typeof anomalyRecord>

/** A person looked at an anomaly of the same log: what it froze may be expired again. In clear at every site. */
const anomalyLiftedRecord = z.object({
  type: z.literal("anomaly-lifted"),
  id: id128,
  by: z.string().min(1).max(200),
  reason: z.string().min(1).max(1000),
})
export type AnomalyLiftedRecord = z.infer<typeof anomalyLiftedRecord>

/**
 * Whatever it names is not expired until it is lifted in the same log, and no key object of its accounts is erased. What it leaves out
 * narrows nothing. In clear at every site.
 */
const holdRecord = z.object({
  type: z.literal("hold"),
  id: id128,
  time,
  by: z.string().min(1).max(200),
  reason: z.string().min(1).max(1000),
  dataset: name.exactOptional(),
  accounts: z.array(accountId).min(1).max(holdAccountsMax).exactOptional(),
  /** UTC days on which a site stored it. */
  from: date.exactOptional(),
  to: date.exactOptional(),
})
export type HoldRecord = z.infer<typeof holdRecord>

const holdLiftedRecord = z.object({
  type: z.literal("hold-lifted"),
  id: id128,
  by: z.string().min(1).max(200),
  reason: z.string().min(1).max(1000),
})
export type HoldLiftedRecord = z.infer<typeof holdLiftedRecord>

/** The last entry of this host's ledger, and the SHA-256 of its line: nothing before it can be changed unseen from here on. */
const ledgerAnchorRecord = z.object({ type: z.literal("ledger-anchor"), n: integer.min(1), sha256: digestSchema })
export type LedgerAnchorRecord = z.infer<typeof ledgerAnchorRecord>

const knownRecords: readonly string[] = ["key", "key-lost", "approval", "anomaly", "anomaly-lifted", "hold", "hold-lifted", "ledger-anchor"]
// A kind of record this release does not know is kept in the log and left alone; one that it knows must be whole.
const otherRecord = z.object({ type: z.string().max(40) }).refine(({ type }) => !knownRecords.includes(type), "malformed record")

const controlSchema = z.object({
  ...shared,
  kind: z.literal("control"),
  records: z.array(
    z.union([
      keyRecord,
      keyLostRecord,
      approvalRecordSchema,
      anomalyRecord,
      anomalyLiftedRecord,
      holdRecord,
      holdLiftedRecord,
      ledgerAnchorRecord,
      otherRecord,
    ]),
  ),
})

const commitSchema = z.discriminatedUnion("kind", [backupSchema, controlSchema])
/** Read first: a kind that this release does not know is no malformed one. */
const anyKind = z.object({ kind: z.string() })

export type BackupCommit = z.infer<typeof backupSchema>
export type ControlCommit = z.infer<typeof controlSchema>
export type CommitBody = z.infer<typeof commitSchema>
export type ListedPack = z.infer<typeof listedPack>

/** What the encrypted entry of a key record says: who the account is to its platform, and to which recipient it is encrypted. */
export const registerEntrySchema = z.object({
  v: z.literal(1),
  platform: text,
  stableId: z.string().min(1).max(1000),
  names: z.array(text),
  recipient: z.string().max(3000),
})
export type RegisterEntry = z.infer<typeof registerEntrySchema>

/** A commit that was read: its body, and the digest by which others name it. */
export interface Commit<Body extends CommitBody = CommitBody> {
  readonly body: Body
  readonly keyId: string
  readonly sha256: Digest
}

export type NewBackupCommit = Omit<BackupCommit, "v" | "kind" | "crit">
export type NewControlCommit = Omit<ControlCommit, "v" | "kind" | "crit" | "packs">

export function encodeBackupCommit(body: NewBackupCommit, signer: Signer): Uint8Array {
  return encodeChecked({ ...body, v: 1, kind: "backup", crit: [] }, signer)
}

export function encodeControlCommit(body: NewControlCommit, signer: Signer): Uint8Array {
  return encodeChecked({ ...body, v: 1, kind: "control", packs: [], crit: [] }, signer)
}

// What is written must be readable: the schema is applied on the way out too.
function encodeChecked(body: Json, signer: Signer): Uint8Array {
  parseWith(commitSchema, body, "commit")
  const bytes = encodeSigned("commit", body, signer)
  if (bytes.length > commitBytesMax) throw new FormatError("format/too-large", `commit of ${String(bytes.length)} bytes`)
  return bytes
}

/**
 * Reads a commit and checks its signature against `publicKeysFor(agent)`; none there means that the agent is not trusted. What is in
 * `named`, because a checked commit of the same agent names it by its hash, was signed with that: only its key must be one of those.
 */
export function decodeCommit(
  bytes: Uint8Array,
  publicKeysFor: (agent: string) => readonly string[],
  named: ReadonlySet<Digest> = new Set(),
): Commit {
  const signed = decodeSigned("commit", bytes, commitBytesMax)
  const { kind } = parseVersioned(anyKind, signed.value, "commit")
  if (kind !== "backup" && kind !== "control") {
    throw new FormatError("format/unsupported", `commit of kind ${JSON.stringify(kind)}`, { hint: "upgrade Holdline" })
  }
  const body = parseWith(commitSchema, signed.value, "commit")
  const commit = { body, keyId: signed.keyId, sha256: sha256(bytes) }
  const keys = publicKeysFor(body.agent)
  if (named.has(commit.sha256) ? !isKeyOf(commit, keys) : !keys.some((key) => signed.signedBy(key))) {
    throw new FormatError("format/mismatch", `commit ${body.agent} ${String(body.seq)}: not signed by a trusted key of that agent`)
  }
  return commit
}

/** Whether one of these public keys is the one that a commit says it was signed with. */
export function isKeyOf({ keyId }: Commit, publicKeys: readonly string[]): boolean {
  return publicKeys.some((key) => keyIdOf(key) === keyId)
}

/** Where a listed pack is kept, and how long it is. */
export function packNameOf(agent: string, [sha, bytes, className, kind, day]: ListedPack): PackName & { readonly bytes: number } {
  return { agent, kind, class: className, date: day, sha256: sha, bytes }
}

export function isBackup(commit: Commit): commit is Commit<BackupCommit> {
  return commit.body.kind === "backup"
}

export function isControl(commit: Commit): commit is Commit<ControlCommit> {
  return commit.body.kind === "control"
}

export type ControlRecord = ControlCommit["records"][number]

export function isKeyRecord(record: ControlRecord): record is KeyRecord {
  return record.type === "key" && "object" in record
}

/** Names of the key objects that these commits, of one agent, say are lost. */
export function lostKeysOf(commits: Iterable<Commit>): ReadonlySet<string> {
  const lost = new Set<string>()
  for (const commit of commits) {
    if (isControl(commit)) for (const { object } of commit.body.records.filter(isKeyLostRecord)) lost.add(object)
  }
  return lost
}

export function isKeyLostRecord(record: ControlRecord): record is KeyLostRecord {
  return record.type === "key-lost" && "object" in record
}

export function isApprovalRecord(record: ControlRecord): record is ApprovalRecord {
  return record.type === "approval" && "statement" in record
}

export function isAnomalyRecord(record: ControlRecord): record is AnomalyRecord {
  return record.type === "anomaly" && "numbers" in record
}

export function isAnomalyLiftedRecord(record: ControlRecord): record is AnomalyLiftedRecord {
  return record.type === "anomaly-lifted" && "reason" in record
}

export function isHoldRecord(record: ControlRecord): record is HoldRecord {
  return record.type === "hold" && "reason" in record
}

export function isHoldLiftedRecord(record: ControlRecord): record is HoldLiftedRecord {
  return record.type === "hold-lifted" && "reason" in record
}

export function isLedgerAnchorRecord(record: ControlRecord): record is LedgerAnchorRecord {
  return record.type === "ledger-anchor" && "sha256" in record
}
