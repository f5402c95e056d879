import { type Crc32c, loadCrc32c } from "../crc32c.ts"
import { SiteError } from "../errors.ts"
import { type BucketPair, bucketOf } from "./buckets.ts"
import { connectGcs, type GcsConnection, type GcsSiteOptions } from "./gcs-client.ts"
import { gcsFailureOf } from "./gcs-failure.ts"
import { hexOf, infoOf, isBucketLocked, isObjectLocked } from "./gcs-object.ts"
import { gcsPosture } from "./gcs-posture.ts"
import { gcsLock, gcsVersions } from "./gcs-upkeep.ts"
import { checkBytes, checkKey, checkRange } from "./rules.ts"
import type { CallOptions, GetOptions, ObjectInfo, OpenedSite, ProbeOptions, ProbeOutcome, PutOptions, Site } from "./site.ts"
import { gcsTiers, refusedGcsTiers } from "./tiers.ts"

const tiers: ReadonlySet<string> = new Set(gcsTiers)

/**
 * Two buckets of Google Cloud Storage, or of a server that speaks its JSON API, as one site. Nothing is asked of the server before
 * the first call. Every call is one request, but for a put that finds its key taken, which compares what is there.
 */
export async function gcsSite(options: GcsSiteOptions): Promise<OpenedSite> {
  const [connection, crc32c] = await Promise.all([connectGcs(options), loadCrc32c()])
  const site = new GcsSite(options, connection, crc32c)
  return {
    site,
    createOnly: true,
    ownClock: true,
    replace: (key, bytes, given) => site.replace(key, bytes, given),
    versions: gcsVersions(connection),
    ...(options.lock !== undefined && { lock: gcsLock(connection, options.lock) }),
    posture: gcsPosture(options.name, options, (bucket, signal) => connection.describeBucket(bucket, signal)),
    probe: { upload: (key, bytes, given) => site.probe(key, bytes, given) },
    serverTime: (given) => connection.serverTime(given),
  }
}

class GcsSite implements Site {
  readonly name: string
  readonly #pair: BucketPair
  readonly #connection: GcsConnection
  readonly #crc32c: Crc32c
  readonly #lock: GcsSiteOptions["lock"]
  /** Buckets whose retention policy was found locked: they stay so. */
  readonly #lockedBuckets = new Set<string>()

  constructor({ name, bucket, keys, lock }: GcsSiteOptions, connection: GcsConnection, crc32c: Crc32c) {
    this.name = name
    this.#pair = { bucket, keys }
    this.#lock = lock
    this.#connection = connection
    this.#crc32c = crc32c
  }

  async put(key: string, bytes: Uint8Array, options: PutOptions): Promise<ObjectInfo> {
    this.#checkPut(key, bytes, options)
    try {
      return await this.#upload(key, bytes, "0", options)
    } catch (error) {
      if (!(error instanceof SiteError && error.code === "site/conflict")) throw error
      const metadata = await this.#connection.look(key, options.signal)
      if (metadata === null) throw new SiteError(this.name, "site/unavailable", `put ${key}: taken, but not found a moment later`)
      if (await this.#holds(infoOf(this.name, key, metadata), bytes, options)) {
        return await this.#requireLock(`put ${key}`, key, metadata, options.signal)
      }
      throw new SiteError(this.name, "site/conflict", `put ${key}: other bytes are kept under this key`, { cause: error })
    }
  }

  async replace(key: string, bytes: Uint8Array, options: PutOptions): Promise<ObjectInfo> {
    this.#checkPut(key, bytes, options)
    const kept = await this.head(key, options)
    if (kept !== null && (await this.#holds(kept, bytes, options))) return kept
    // The generation that was looked at, so that nobody's newer object is put aside.
    return await this.#upload(key, bytes, kept?.version ?? "0", options)
  }

  async get(key: string, options: GetOptions = {}): Promise<Uint8Array> {
    const { range, signal } = options
    signal?.throwIfAborted()
    checkKey(this.name, key)
    if (range === undefined) return await this.#connection.download(key, range, signal)
    checkRange(this.name, key, Number.MAX_SAFE_INTEGER, range)
    if (range.length > 0) return await this.#connection.download(key, range, signal)
    // No HTTP range is empty: what is left to find out is whether the object reaches so far.
    const kept = await this.head(key, options)
    if (kept === null) throw new SiteError(this.name, "site/not-found", `get ${key}: no such object`)
    checkRange(this.name, key, kept.bytes, range)
    return new Uint8Array()
  }

  async head(key: string, options: CallOptions = {}): Promise<ObjectInfo | null> {
    options.signal?.throwIfAborted()
    checkKey(this.name, key)
    const metadata = await this.#connection.look(key, options.signal)
    return metadata === null ? null : infoOf(this.name, key, metadata)
  }

  list(prefix: string, options: CallOptions = {}): AsyncIterable<ObjectInfo> {
    return this.#connection.list(prefix, options.signal)
  }

  #checkPut(key: string, bytes: Uint8Array, { signal, tier, sha256 }: PutOptions): void {
    signal?.throwIfAborted()
    checkKey(this.name, key)
    checkBytes(this.name, key, bytes, sha256)
    if (tier === undefined || tiers.has(tier)) return
    const reason = refusedGcsTiers[tier] ?? `it is none of ${[...tiers].join(", ")}`
    throw new SiteError(this.name, "site/unsupported", `put ${key}: storage class ${tier}: ${reason}`)
  }

  // One request, with all that makes it safe: the generation that must be there, and the checksum that the server refuses by.
  async #upload(key: string, bytes: Uint8Array, generation: string, { signal, tier }: PutOptions): Promise<ObjectInfo> {
    const what = `put ${key}`
    const crc32c = this.#crc32c(bytes)
    const metadata = await this.#connection.insert(key, bytes, { crc32c, generation, signal, tier })
    const info = infoOf(this.name, key, metadata)
    if (info.bytes !== bytes.length || info.checksum?.value !== hexOf(crc32c)) {
      throw new SiteError(this.name, "site/corrupt", `${what}: the server says that it keeps other bytes than it was given`)
    }
    return await this.#requireLock(what, key, metadata, signal)
  }

  async probe(key: string, bytes: Uint8Array, { checksum, signal }: ProbeOptions): Promise<ProbeOutcome> {
    signal?.throwIfAborted()
    checkKey(this.name, key)
    const right = this.#crc32c(bytes)
    const crc32c = checksum === "right" ? right : (right ^ 1) >>> 0
    try {
      await this.#connection.insert(key, bytes, { crc32c, generation: "0", signal })
      return "taken"
    } catch (error) {
      if (!(error instanceof SiteError)) throw error
      if (error.code === "site/conflict") return "not-free"
      if (checksum === "wrong" && gcsFailureOf(error.cause)?.status === 400) return "refused"
      throw error
    }
  }

  // A bucket whose policy is missing, or not locked yet, takes every object without a word.
  async #requireLock(what: string, key: string, metadata: unknown, signal: AbortSignal | undefined): Promise<ObjectInfo> {
    const info = infoOf(this.name, key, metadata)
    if (this.#lock === undefined) return info
    const locked = info.lockedUntil !== undefined
    if (locked && (this.#lock === "governance" || isObjectLocked(metadata) || (await this.#isBucketLocked(key, signal)))) return info
    throw new SiteError(this.name, "site/unsupported", `${what}: kept, but not locked for ${this.#lock}, as the configuration says`, {
      hint: locked ? "lock the bucket's retention policy" : "give the bucket a retention policy",
    })
  }

  async #isBucketLocked(key: string, signal: AbortSignal | undefined): Promise<boolean> {
    const name = bucketOf(this.#pair, key)
    if (this.#lockedBuckets.has(name)) return true
    if (isBucketLocked(await this.#connection.describeBucket(name, signal))) this.#lockedBuckets.add(name)
    return this.#lockedBuckets.has(name)
  }

  async #holds(kept: ObjectInfo, bytes: Uint8Array, { signal }: PutOptions): Promise<boolean> {
    if (kept.bytes !== bytes.length) return false
    if (kept.checksum?.algorithm === "crc32c" && kept.checksum.value !== hexOf(this.#crc32c(bytes))) return false
    return Buffer.compare(await this.#connection.download(kept.key, undefined, signal), bytes) === 0
  }
}
