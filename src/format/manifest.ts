import { hash } from "node:crypto"
import { z } from "zod"
import type { Digest } from "../digest.ts"
import { digestSchema } from "../digest-schema.ts"
import { FormatError } from "../errors.ts"
import { pathBytesMax } from "../limits.ts"
import type { Json } from "./canonical.ts"
import { accountId, agentId, id128, integer, name, nanoseconds, text } from "./fields.ts"
import { decodeListing, encodeListing, listingLines, parseWith } from "./lines.ts"

/** README §5. The file list of one account's part of a dataset, encrypted to that account. */
const member = "MANIFEST.jsonl"

const headerSchema = z.object({
  v: z.literal(1),
  repository: id128,
  agent: agentId,
  account: accountId,
  dataset: name,
  partition: text,
  part: integer,
  parts: integer,
  packs: z.array(digestSchema),
})
export type ManifestHeader = z.infer<typeof headerSchema>

const pathSchema = z.union([z.string(), z.strictObject({ b64: z.base64() })])

/** [pack (index into the header's packs), segOff, segLen, frameOff, frameLen, skip, len], in file order. */
const extentSchema = z.tuple([integer, integer, integer, integer, integer, integer, integer])

const entrySchema = z.object({
  path: pathSchema,
  type: z.enum(["file", "directory", "symlink"]),
  size: integer,
  mtime: nanoseconds,
  mode: z.int().min(0).max(0o7777),
  uid: integer,
  gid: integer,
  link: pathSchema.optional(),
  sha256: digestSchema.optional(),
  at: z.array(extentSchema).optional(),
  flags: z.array(z.string().max(40)).max(20).optional(),
  missing: z.object({ reason: z.string().max(40), detail: z.string().max(500) }).optional(),
  gone: z.literal(true).optional(),
})

/** Where a run of a file's bytes is: a segment of a pack, a frame of the segment's plaintext, a range of the frame. */
export interface Extent {
  readonly pack: Digest
  /** Bytes from the start of the pack to the age file. */
  readonly segmentOffset: number
  readonly segmentLength: number
  /** Bytes of the age plaintext. */
  readonly frameOffset: number
  readonly frameLength: number
  /** Bytes of the frame, uncompressed. */
  readonly skip: number
  readonly length: number
}

/** One item of a manifest, in the terms of the program. */
export interface ManifestItem {
  readonly path: Buffer
  readonly type: "file" | "directory" | "symlink"
  readonly size: number
  readonly mtimeNs: bigint
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly link?: Buffer
  /** Of regular files that were captured. */
  readonly sha256?: Digest
  readonly at: readonly Extent[]
  readonly flags: readonly string[]
  /** Asked for and not captured. */
  readonly missing?: { readonly reason: string; readonly detail: string }
  /** It was there in an earlier piece and is no longer. */
  readonly gone?: true
}

export interface Manifest {
  readonly header: ManifestHeader
  readonly items: ManifestItem[]
}

/** Items must come sorted by path bytes, each path once. */
export function encodeManifest(header: Omit<ManifestHeader, "packs" | "v">, items: readonly ManifestItem[]): EncodedManifest {
  const packs = new Map<Digest, number>()
  for (const item of items) for (const extent of item.at) if (!packs.has(extent.pack)) packs.set(extent.pack, packs.size)
  refuseUnsorted(items)
  const digests = [...packs.keys()]
  const first = { ...fieldsOf(header), v: 1, packs: digests }
  parseWith(headerSchema, first, "manifest line 1")
  const { tar, lines } = encodeListing(member, first, readableEntries(items, packs, digests))
  return { tar, sha256: digestSchema.parse(hash("sha256", lines, "hex")) }
}

export interface EncodedManifest {
  /** To be cut into zstd frames and encrypted to the account. */
  readonly tar: Uint8Array
  /** Of the JSON lines: what an inventory line carries. */
  readonly sha256: Digest
}

function fieldsOf(header: Omit<ManifestHeader, "packs" | "v">): { [key: string]: Json } {
  const { repository, agent, account, dataset, partition, part, parts } = header
  return { repository, agent, account, dataset, partition, part, parts }
}

function refuseUnsorted(items: readonly ManifestItem[]): void {
  for (let i = 1; i < items.length; i++) {
    const [before, after] = [items[i - 1], items[i]]
    if (before !== undefined && after !== undefined && Buffer.compare(before.path, after.path) >= 0) {
      throw new FormatError("format/malformed", `manifest: item ${String(i)} is out of order or twice there`)
    }
  }
}

// One after the other: as objects they take several times what they take as lines.
function* readableEntries(items: readonly ManifestItem[], packs: ReadonlyMap<Digest, number>, digests: readonly Digest[]): Generator<Json> {
  for (const [index, item] of items.entries()) yield readableEntryOf(item, packs, digests, `manifest line ${String(index + 2)}`)
}

// What is written must be readable: an item that no reader would take is refused while its file still exists.
function readableEntryOf(item: ManifestItem, packs: ReadonlyMap<Digest, number>, digests: readonly Digest[], what: string): Json {
  const entry = entryOf(item, packs)
  itemOf(parseWith(entrySchema, entry, what), digests, what)
  return entry
}

function entryOf(item: ManifestItem, packs: ReadonlyMap<Digest, number>): Json {
  return {
    path: encodePath(item.path),
    type: item.type,
    size: item.size,
    mtime: String(item.mtimeNs),
    mode: item.mode,
    uid: item.uid,
    gid: item.gid,
    link: item.link === undefined ? undefined : encodePath(item.link),
    sha256: item.sha256,
    at: item.at.length === 0 ? undefined : item.at.map((extent) => extentOf(extent, packs)),
    flags: item.flags.length === 0 ? undefined : item.flags,
    missing: item.missing,
    gone: item.gone,
  }
}

function extentOf(e: Extent, packs: ReadonlyMap<Digest, number>): Json {
  return [packs.get(e.pack) ?? 0, e.segmentOffset, e.segmentLength, e.frameOffset, e.frameLength, e.skip, e.length]
}

/** A path as JSON: a string where its bytes are UTF-8, `{"b64": …}` where they are not. */
function encodePath(path: Buffer): string | { readonly b64: string } {
  const string = path.toString("utf8")
  return Buffer.from(string, "utf8").equals(path) ? string : { b64: path.toString("base64") }
}

function decodePath(value: z.infer<typeof pathSchema>, what: string): Buffer {
  const bytes = typeof value === "string" ? Buffer.from(value, "utf8") : Buffer.from(value.b64, "base64")
  if (typeof value !== "string" && (typeof encodePath(bytes) === "string" || bytes.toString("base64") !== value.b64)) {
    throw new FormatError("format/malformed", `${what}: a path in base64 that is UTF-8, or not canonical`)
  }
  if (bytes.length === 0 || bytes.length > pathBytesMax || bytes.includes(0)) throw new FormatError("format/malformed", `${what}: bad path`)
  return bytes
}

/** The manifest in a segment's tar, when it is the one an inventory names by digest and belongs where it says. */
export function decodeManifest(tar: Uint8Array, expected: ManifestExpectation): Manifest {
  const lines = listingLines(member, tar)
  if (hash("sha256", lines, "hex") !== expected.sha256)
    throw new FormatError("format/mismatch", "manifest: not the one the inventory names")
  const { header, entries } = decodeListing(member, lines, { header: headerSchema, entry: entrySchema })
  for (const field of ["repository", "agent", "account", "dataset", "partition"] as const) {
    if (header[field] !== expected[field]) throw new FormatError("format/foreign", `manifest: ${field} is not the inventory's`)
  }
  const items = entries.map((entry, index) => itemOf(entry, header.packs, `manifest line ${String(index + 2)}`))
  refuseUnsorted(items)
  return { header, items }
}

export interface ManifestExpectation {
  readonly sha256: Digest
  readonly repository: string
  readonly agent: string
  readonly account: string
  readonly dataset: string
  readonly partition: string
}

function itemOf(entry: z.infer<typeof entrySchema>, packs: readonly Digest[], what: string): ManifestItem {
  const at = (entry.at ?? []).map((extent) => decodeExtent(extent, packs, what))
  if (entry.type === "file" && entry.missing === undefined && entry.gone === undefined) {
    if (entry.sha256 === undefined) throw new FormatError("format/malformed", `${what}: a file without SHA-256`)
    const kept = at.reduce((sum, extent) => sum + extent.length, 0)
    if (kept !== entry.size) throw new FormatError("format/malformed", `${what}: locations do not add up to the file's size`)
  } else if (at.length > 0) {
    throw new FormatError("format/malformed", `${what}: locations of what is no captured file`)
  }
  const live = entry.missing === undefined && entry.gone === undefined
  if (entry.type === "symlink" ? live && entry.link === undefined : entry.link !== undefined) {
    throw new FormatError("format/malformed", `${what}: a symbolic link without target, or a target without link`)
  }
  return {
    path: decodePath(entry.path, what),
    type: entry.type,
    size: entry.size,
    mtimeNs: BigInt(entry.mtime),
    mode: entry.mode,
    uid: entry.uid,
    gid: entry.gid,
    ...(entry.link === undefined ? {} : { link: decodePath(entry.link, what) }),
    ...(entry.sha256 === undefined ? {} : { sha256: entry.sha256 }),
    at,
    flags: entry.flags ?? [],
    ...(entry.missing === undefined ? {} : { missing: entry.missing }),
    ...(entry.gone === undefined ? {} : { gone: entry.gone }),
  }
}

function decodeExtent(extent: z.infer<typeof extentSchema>, packs: readonly Digest[], what: string): Extent {
  const [pack, segmentOffset, segmentLength, frameOffset, frameLength, skip, length] = extent
  const digest = packs[pack]
  if (digest === undefined) throw new FormatError("format/malformed", `${what}: pack ${String(pack)} is not in the header`)
  return { pack: digest, segmentOffset, segmentLength, frameOffset, frameLength, skip, length }
}
