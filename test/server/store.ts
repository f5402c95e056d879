import { createHash } from "node:crypto"
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { open, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { z } from "zod"
import type { Clock } from "../../src/clock.ts"
import { checksumsOf } from "./checksums.ts"

/**
 * The core of the stand-in for S3 and GCS: buckets of keys, each with an ordered list of versions, on disk below one directory and
 * there again after a restart. It keeps and lists; what a version may become, who may remove it and what a listing shows is decided
 * by the fronts (s3/, gcs/), each as its production does.
 *
 * Every change of a key goes through `change`: a function from the versions that are there to those that shall be, called once and
 * applied in the same turn of the event loop. A precondition is checked inside it, and refused by throwing; nothing then happens.
 */
export class ObjectStore {
  readonly clock: Clock
  readonly #root: string
  readonly #buckets = new Map<string, Bucket>()

  /** Opens what is kept below `root`, an existing directory. */
  constructor(root: string, clock: Clock) {
    this.#root = root
    this.clock = clock
    for (const name of readdirSync(root)) this.#buckets.set(name, new Bucket(join(root, name), name, this.clock))
  }

  bucket(name: string): Bucket | undefined {
    return this.#buckets.get(name)
  }

  /** In the order of their names. */
  buckets(): Bucket[] {
    return [...this.#buckets.values()].sort((a, b) => compareUtf8(a.name, b.name))
  }

  /** The name must be free. */
  createBucket(name: string, settings: Settings): Bucket {
    if (!/^[a-z0-9][a-z0-9._-]{1,220}$/.test(name) || this.#buckets.has(name)) throw new Error(`bucket ${name}: taken, or no name`)
    const path = join(this.#root, name)
    mkdirSync(join(path, "keys"), { recursive: true })
    mkdirSync(join(path, "bytes"))
    writeWhole(join(path, "bucket.json"), JSON.stringify({ createdAt: this.clock.now().toISOString(), settings }))
    const bucket = new Bucket(path, name, this.clock)
    this.#buckets.set(name, bucket)
    return bucket
  }

  deleteBucket(name: string): void {
    if (this.#buckets.delete(name)) rmSync(join(this.#root, name), { recursive: true })
  }
}

const versionSchema = z.strictObject({
  /** S3's version id: "null" where the bucket had no versioning when this came. */
  id: z.string(),
  /** GCS's generation: microseconds, larger than that of any earlier version of the key. */
  generation: z.string(),
  metageneration: z.number().int(),
  createdAt: z.iso.datetime(),
  deleteMarker: z.boolean(),
  size: z.number().int(),
  /** Names the file of the bytes; see `Bucket.pathOf`. A delete marker has none. */
  blob: z.string().nullable(),
  checksums: z.strictObject({ md5: z.string(), sha1: z.string(), sha256: z.string(), crc32: z.string(), crc32c: z.string() }),
  /** Whatever the front wants to remember: content type, user metadata, storage class, … */
  metadata: z.record(z.string(), z.json()),
  /** Mode as the front spells it: GOVERNANCE, COMPLIANCE, Unlocked, Locked. */
  retention: z.strictObject({ mode: z.string(), until: z.iso.datetime() }).nullable(),
  holds: z.strictObject({ legal: z.boolean(), temporary: z.boolean(), event: z.boolean() }),
  /** GCS with versioning: no longer live since then. */
  noncurrentSince: z.iso.datetime().nullable(),
  /** GCS: out of every ordinary listing since then, and restorable. */
  softDeletedAt: z.iso.datetime().nullable(),
})

/** One version of one key; never changed in place. */
export type Version = z.infer<typeof versionSchema>
export type Json = z.infer<ReturnType<typeof z.json>>
export type Settings = Readonly<Record<string, Json>>

/** What a front says of a new version; the store adds id, generation, times, size and checksums. */
export interface NewVersion {
  readonly metadata: Readonly<Record<string, Json>>
  /** "null" for S3 without versioning; absent: a fresh id. */
  readonly id?: string
  readonly retention?: Version["retention"]
  readonly holds?: Version["holds"]
}

const keySchema = z.strictObject({ key: z.string(), versions: z.array(versionSchema) })
const bucketSchema = z.strictObject({ createdAt: z.iso.datetime(), settings: z.record(z.string(), z.json()) })
const noHolds = { legal: false, temporary: false, event: false }
const noChecksums = checksumsOf(new Uint8Array())

export class Bucket {
  readonly name: string
  readonly createdAt: Date
  readonly #path: string
  readonly #clock: Clock
  readonly #keys = new Map<string, readonly Version[]>()
  #settings: Settings
  #sorted: readonly string[] | undefined
  #blobs = 0
  #newest = 0n

  constructor(path: string, name: string, clock: Clock) {
    this.#path = path
    this.name = name
    this.#clock = clock
    const { createdAt, settings } = bucketSchema.parse(JSON.parse(readFileSync(join(path, "bucket.json"), "utf8")))
    this.createdAt = new Date(createdAt)
    this.#settings = settings
    for (const file of readdirSync(join(path, "keys")).filter((file) => file.endsWith(".json"))) {
      const { key, versions } = keySchema.parse(JSON.parse(readFileSync(join(path, "keys", file), "utf8")))
      this.#keys.set(key, versions)
      for (const { generation } of versions) this.#newest = this.#newest > BigInt(generation) ? this.#newest : BigInt(generation)
    }
  }

  /** The front's own: versioning, lock defaults, lifecycle, policy, retention. */
  get settings(): Settings {
    return this.#settings
  }

  /** Sets these settings beside the others; undefined takes one away. */
  configure(changes: Readonly<Record<string, Json | undefined>>): void {
    const merged = Object.entries({ ...this.#settings, ...changes })
    this.#settings = Object.fromEntries(merged.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const])))
    writeWhole(join(this.#path, "bucket.json"), JSON.stringify({ createdAt: this.createdAt.toISOString(), settings: this.#settings }))
  }

  /** Newest first; with delete markers, noncurrent and soft-deleted ones. */
  versions(key: string): readonly Version[] {
    return this.#keys.get(key) ?? []
  }

  /** The newest, whatever it is. */
  latest(key: string): Version | undefined {
    return this.versions(key)[0]
  }

  /**
   * Keeps the bytes as the newest version: first on disk, then in the list, in one step with what `decide` makes of the versions
   * that are there at that moment (it may throw to refuse). `decide` gets the new one and returns all that shall be there.
   */
  async put(key: string, bytes: Uint8Array, given: NewVersion, decide: Decide = (made, there) => [made, ...there]): Promise<Version> {
    const blob = `${String(process.pid)}-${this.#clock.now().getTime().toString(36)}-${String(++this.#blobs)}-${hashOf(key).slice(0, 12)}`
    await writeFile(join(this.#path, "bytes", blob), bytes)
    try {
      const made = { ...this.#version(key, given), size: bytes.length, blob, checksums: checksumsOf(bytes) }
      this.change(key, (there) => decide(made, there))
      return made
    } catch (error) {
      rmSync(join(this.#path, "bytes", blob), { force: true })
      throw error
    }
  }

  /** A version that says that the key is deleted (S3). */
  mark(key: string, given: NewVersion, decide: Decide = (made, there) => [made, ...there]): Version {
    const made = { ...this.#version(key, given), deleteMarker: true }
    this.change(key, (there) => decide(made, there))
    return made
  }

  /** Replaces the list of a key's versions, newest first; an empty one removes the key. Bytes that no version names are removed. */
  change(key: string, decide: (there: readonly Version[]) => readonly Version[]): void {
    const before = this.versions(key)
    const after = decide(before)
    const file = join(this.#path, "keys", `${hashOf(key)}.json`)
    if (after.length === 0) {
      rmSync(file, { force: true })
      this.#keys.delete(key)
    } else {
      writeWhole(file, JSON.stringify({ key, versions: after }))
      this.#keys.set(key, after)
    }
    if (before.length === 0 || after.length === 0) this.#sorted = undefined
    const kept = new Set(after.map(({ blob }) => blob))
    for (const { blob } of before) if (blob !== null && !kept.has(blob)) rmSync(join(this.#path, "bytes", blob), { force: true })
  }

  /** The file of a version's bytes: tests damage it, and the checksums stay what they were. */
  pathOf(version: Version): string {
    if (version.blob === null) throw new Error(`${version.id}: a delete marker has no bytes`)
    return join(this.#path, "bytes", version.blob)
  }

  /** Bytes of a version as they are on disk now. */
  async read(version: Version, range: { readonly offset: number; readonly length: number }): Promise<Buffer> {
    await using file = await open(this.pathOf(version), "r")
    const bytes = Buffer.alloc(range.length)
    const { bytesRead } = await file.read(bytes, 0, range.length, range.offset)
    return bytes.subarray(0, bytesRead)
  }

  /** Every key that starts with `prefix` and comes after `after`, in the order of their UTF-8 bytes. */
  *keys(prefix = "", after = ""): Generator<string> {
    this.#sorted ??= [...this.#keys.keys()].sort(compareUtf8)
    const sorted = this.#sorted
    const from = compareUtf8(prefix, after) > 0 ? prefix : after
    for (let index = firstNotBefore(sorted, from); index < sorted.length; index++) {
      const key = sorted[index] ?? ""
      if (!key.startsWith(prefix)) return
      if (after === "" || key !== after) yield key
    }
  }

  #version(key: string, given: NewVersion): Version {
    const now = this.#clock.now()
    const micros = BigInt(now.getTime()) * 1000n
    this.#newest = this.#newest >= micros ? this.#newest + 1n : micros
    const generation = String(this.#newest)
    return {
      id: given.id ?? hashOf(`${this.name}/${key}#${generation}`).slice(0, 32),
      ...{ generation, metageneration: 1, createdAt: now.toISOString(), deleteMarker: false, size: 0, blob: null },
      ...{ checksums: noChecksums, metadata: { ...given.metadata }, retention: given.retention ?? null },
      ...{ holds: given.holds ?? noHolds, noncurrentSince: null, softDeletedAt: null },
    }
  }
}

export type Decide = (made: Version, there: readonly Version[]) => readonly Version[]

export interface Listing {
  readonly prefix: string
  readonly delimiter: string
  /** Exclusive: a key, or a common prefix that an earlier page ended with. */
  readonly after: string
  readonly limit: number
  /** What of a key is shown, newest first; nothing: the key is left out. */
  show(versions: readonly Version[]): readonly Version[]
  /** Goes on within the versions of the key `after`, behind this one. */
  readonly afterVersion?: string
  /** Keys that are listed at all; absent: every one that has the prefix. */
  readonly within?: (key: string) => boolean
}

export interface Page {
  readonly entries: readonly { readonly key: string; readonly version: Version }[]
  readonly prefixes: readonly string[]
  /** Present where there is more: what to give as `after` and `afterVersion`. */
  readonly next?: { readonly after: string; readonly version: string }
}

/** One page of a listing, entries and common prefixes counted together. */
export function listPage(bucket: Bucket, listing: Listing): Page {
  const { prefix, delimiter, after, limit } = listing
  const entries: { key: string; version: Version }[] = []
  const prefixes: string[] = []
  let last = { after, version: "" }
  for (const { key, version } of shown(bucket, listing)) {
    const end = delimiter === "" ? -1 : key.indexOf(delimiter, prefix.length)
    const common = end === -1 ? undefined : key.slice(0, end + delimiter.length)
    if (common !== undefined && (common === prefixes.at(-1) || common === after)) continue
    if (entries.length + prefixes.length >= limit) return { entries, prefixes, next: last }
    if (common === undefined) entries.push({ key, version })
    else prefixes.push(common)
    last = { after: common ?? key, version: common === undefined ? version.id : "" }
  }
  return { entries, prefixes }
}

function* shown(bucket: Bucket, { prefix, after, afterVersion, show, within }: Listing): Generator<{ key: string; version: Version }> {
  if (afterVersion !== undefined && afterVersion !== "") {
    const versions = show(bucket.versions(after))
    const index = versions.findIndex(({ id }) => id === afterVersion)
    if (index !== -1) for (const version of versions.slice(index + 1)) yield { key: after, version }
  }
  for (const key of bucket.keys(prefix, after)) {
    if (within?.(key) === false) continue
    for (const version of show(bucket.versions(key))) yield { key, version }
  }
}

/** The order of both services: that of the UTF-8 bytes, which is not JavaScript's for characters beyond the first plane. */
export function compareUtf8(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

function firstNotBefore(sorted: readonly string[], key: string): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareUtf8(sorted[middle] ?? "", key) < 0) low = middle + 1
    else high = middle
  }
  return low
}

// Whole or not at all, also for a process that is killed meanwhile; not for a power cut, which no test makes.
function writeWhole(path: string, text: string): void {
  writeFileSync(`${path}.new`, text)
  renameSync(`${path}.new`, path)
}

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex")
}
