import { type Digest, hash32, sha256 } from "../digest.ts"
import { digestSchema } from "../digest-schema.ts"
import { FormatError } from "../errors.ts"

/** README §1. Every object's key carries the hash of its bytes, so the same bytes may be written again and other bytes never fit. */
export const namePattern = /^[a-z0-9][a-z0-9-]{0,62}$/
/** What fits the twelve digits of a commit's name. */
export const seqMax = 999_999_999_999
const datePattern = /^\d{4}-\d{2}-\d{2}$/

/** An agent's id is a folder below v1/, beside `keys`, `trust` and the repository objects: it must not be taken for one of them. */
export function isAgentId(text: string): boolean {
  return namePattern.test(text) && text !== "keys" && text !== "trust" && !text.startsWith("repository-")
}

/** Where a pack is kept; `kind` tells data from manifests and inventories. */
export interface PackName {
  readonly agent: string
  readonly kind: "pack" | "meta"
  readonly class: string
  /** UTC day of the agent when it was made, yyyy-mm-dd. */
  readonly date: string
  readonly sha256: Digest
}

/** Whether the bytes are those the key was made from: what lies under a name is believed for its hash alone. */
export function fitsName(key: string, bytes: Uint8Array): boolean {
  const hash = hashInName(key)
  return hash !== null && sha256(bytes).startsWith(hash)
}

/** The hash that a key carries: the whole SHA-256 of a pack, the beginning of it in any other name; null where it carries none. */
export function hashInName(key: string): string | null {
  const [, pack, other] = /(?:\/([0-9a-f]{64})\.tar|-([0-9a-f]{32})\.(?:json|age|sh))$/.exec(key) ?? []
  return pack ?? other ?? null
}

export function packKey(name: PackName): string {
  return `${packPrefix(name)}${name.sha256}.tar`
}

/** The folder of packs of one agent, kind, class and day: what a listing asks for. */
export function packPrefix(name: Omit<PackName, "sha256">): string {
  return `v1/${name.agent}/${name.kind}/${name.class}/${name.date}/`
}

export function parsePackKey(key: string): PackName | null {
  const match = /^v1\/([^/]+)\/(pack|meta)\/([^/]+)\/(\d{4}-\d{2}-\d{2})\/([0-9a-f]{64})\.tar$/.exec(key)
  const [, agent, kind, className, date, sha256] = match ?? []
  if (agent === undefined || className === undefined || date === undefined || sha256 === undefined) return null
  if (!isAgentId(agent) || !namePattern.test(className)) return null
  return { agent, kind: kind === "meta" ? "meta" : "pack", class: className, date, sha256: digestSchema.parse(sha256) }
}

export function isDate(text: string): boolean {
  return datePattern.test(text)
}

export const repositoryPrefix = "v1/repository-"
export const trustPrefix = "v1/trust/"
export const keyPrefix = "v1/keys/"

export function repositoryKey(bytes: Uint8Array): string {
  return `${repositoryPrefix}${hash32(bytes)}.json`
}

/** The script that restores without Holdline, kept at every site beside what it restores. */
export function recoveryScriptKey(bytes: Uint8Array): string {
  return `v1/recover-${hash32(bytes)}.sh`
}

export function trustKey(n: number, bytes: Uint8Array): string {
  return `${trustPrefix}${String(n)}-${hash32(bytes)}.json`
}

export function logPrefix(agent: string): string {
  return `v1/${agent}/log/`
}

export function commitKey(agent: string, seq: number, bytes: Uint8Array): string {
  return `${logPrefix(agent)}${String(seq).padStart(12, "0")}-${hash32(bytes)}.json`
}

export interface CommitName {
  readonly agent: string
  readonly seq: number
  readonly hash32: string
}

export function parseCommitKey(key: string): CommitName | null {
  const match = /^v1\/([^/]+)\/log\/(\d{12})-([0-9a-f]{32})\.json$/.exec(key)
  const [, agent, seq, hash] = match ?? []
  if (agent === undefined || seq === undefined || hash === undefined || !isAgentId(agent)) return null
  return { agent, seq: Number(seq), hash32: hash }
}

/** A key object: one account's identity of one key epoch, encrypted to the organisation recipients of epoch `orgEpoch`. */
export interface KeyName {
  readonly account: string
  readonly epoch: string
  readonly orgEpoch: number
}

const accountPattern = /^(?:[0-9a-f]{32}|platform|mixed|catalog)$/
const epochPattern = /^[0-9a-z]{1,16}$/

export function isAccountId(text: string): boolean {
  return accountPattern.test(text)
}

export function keyObjectKey(name: KeyName, bytes: Uint8Array): string {
  if (!accountPattern.test(name.account) || !epochPattern.test(name.epoch)) {
    throw new FormatError("format/malformed", `key object of ${name.account}: bad account or epoch`)
  }
  return `${keyPrefix}${name.account}/${name.epoch}-e${String(name.orgEpoch)}-${hash32(bytes)}.age`
}

export function parseKeyObjectKey(key: string): (KeyName & { readonly hash32: string }) | null {
  const match = /^v1\/keys\/([^/]+)\/([0-9a-z]{1,16})-e(0|[1-9]\d{0,5})-([0-9a-f]{32})\.age$/.exec(key)
  const [, account, epoch, orgEpoch, hash] = match ?? []
  if (account === undefined || epoch === undefined || hash === undefined || !accountPattern.test(account)) return null
  return { account, epoch, orgEpoch: Number(orgEpoch), hash32: hash }
}
