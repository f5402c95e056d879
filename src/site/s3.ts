import { sha256 } from "../digest.ts"
import { SiteError } from "../errors.ts"
import { bucketOf, listPair } from "./buckets.ts"
import { checkBytes, checkKey, checkRange } from "./rules.ts"
import { connectS3, type S3Condition, type S3Connection, type S3Name, type S3SiteOptions } from "./s3-client.ts"
import { statusOf } from "./s3-failure.ts"
import { type Look, lookOf, pageOf } from "./s3-object.ts"
import { s3Posture } from "./s3-posture.ts"
import { s3Lock, s3Versions } from "./s3-upkeep.ts"
import type { CallOptions, GetOptions, ObjectInfo, OpenedSite, ProbeOptions, ProbeOutcome, PutOptions, Site } from "./site.ts"
import { refusedS3Tiers } from "./tiers.ts"

/**
 * Two buckets of Amazon S3, or of a server that speaks its protocol, as one site. Nothing is asked of the server before the first
 * call. A put is two requests: the object, and a HEAD that confirms what the server has made of it, with its lock.
 */
export async function s3Site(options: S3SiteOptions): Promise<OpenedSite> {
  const connection = await connectS3(options)
  const site = new S3Site(options, connection)
  const { lock } = options
  return {
    site,
    createOnly: options.createOnly,
    ownClock: true,
    versions: s3Versions(options, connection),
    ...(lock !== undefined && { lock: s3Lock({ ...options, lock }, connection) }),
    replace: (key, bytes, given) => site.replace(key, bytes, given),
    posture: s3Posture(options, connection),
    probe: { upload: (key, bytes, given) => site.probe(key, bytes, given) },
    serverTime: (given) => site.serverTime(given),
  }
}

class S3Site implements Site {
  readonly name: string
  readonly #options: S3SiteOptions
  readonly #connection: S3Connection
  /** Buckets that were there once: only then does a missing object mean no more than that. */
  readonly #seen = new Set<string>()

  constructor(options: S3SiteOptions, connection: S3Connection) {
    this.name = options.name
    this.#options = options
    this.#connection = connection
  }

  async put(key: string, bytes: Uint8Array, options: PutOptions): Promise<ObjectInfo> {
    this.#checkPut(key, bytes, options)
    if (!this.#options.createOnly) {
      const kept = await this.#look(key, options)
      if (kept !== null) return await this.#refuseOthers(kept, bytes, options)
    }
    try {
      await this.#upload(key, bytes, options, this.#options.createOnly ? { IfNoneMatch: "*" } : {})
    } catch (error) {
      if (!(error instanceof SiteError && error.code === "site/conflict")) throw error
      const kept = await this.#look(key, options)
      if (kept !== null) return await this.#refuseOthers(kept, bytes, options)
      throw new SiteError(this.name, "site/unavailable", `put ${key}: taken a moment ago, and now gone`, { cause: error })
    }
    return await this.#confirm(`put ${key}`, key, bytes, options)
  }

  /** A new version, the rotten one becoming an older one: so only where the bucket keeps versions. */
  async replace(key: string, bytes: Uint8Array, options: PutOptions): Promise<ObjectInfo> {
    this.#checkPut(key, bytes, options)
    const kept = await this.#look(key, options)
    if (kept !== null && (await this.#holds(kept, bytes, options))) return kept.info
    if (kept !== null && kept.info.version === undefined) {
      throw new SiteError(this.name, "site/unsupported", `replace ${key}: the bucket keeps no versions, so that nothing can be put aside`, {
        hint: "turn on versioning",
      })
    }
    const found = kept?.etag === undefined ? { IfNoneMatch: "*" } : { IfMatch: kept.etag }
    // What was looked at, so that nobody's newer object is put aside.
    await this.#upload(key, bytes, options, this.#options.createOnly ? found : {})
    return await this.#confirm(`replace ${key}`, key, bytes, options)
  }

  async probe(key: string, bytes: Uint8Array, { checksum, signal }: ProbeOptions): Promise<ProbeOutcome> {
    signal?.throwIfAborted()
    checkKey(this.name, key)
    const named = checksum === "right" ? bytes : Buffer.concat([bytes, Buffer.from("other bytes")])
    try {
      await this.#connection.upload(this.#nameOf(key), bytes, { sha256: sha256(named), signal }, { IfNoneMatch: "*" })
      return "taken"
    } catch (error) {
      if (!(error instanceof SiteError)) throw error
      if (error.code === "site/conflict") return "not-free"
      if (checksum === "wrong" && statusOf(error.cause) === 400) return "refused"
      throw error
    }
  }

  async get(key: string, options: GetOptions = {}): Promise<Uint8Array> {
    const { range, signal } = options
    signal?.throwIfAborted()
    checkKey(this.name, key)
    if (range !== undefined) checkRange(this.name, key, Number.MAX_SAFE_INTEGER, range)
    if (range?.length !== 0) return await this.#download(key, options)
    // No HTTP range is empty: what is left to find out is whether the object reaches so far.
    const kept = await this.#look(key, options)
    if (kept === null) throw new SiteError(this.name, "site/not-found", `get ${key}: no such object`)
    checkRange(this.name, key, kept.info.bytes, range)
    return new Uint8Array()
  }

  async head(key: string, options: CallOptions = {}): Promise<ObjectInfo | null> {
    options.signal?.throwIfAborted()
    checkKey(this.name, key)
    return (await this.#look(key, options))?.info ?? null
  }

  list(prefix: string, options: CallOptions = {}): AsyncIterable<ObjectInfo> {
    return listPair(this.name, this.#options, prefix, (bucket, start) => this.#listBucket(bucket, start, options))
  }

  async serverTime({ signal }: CallOptions = {}): Promise<Date> {
    const { date } = await this.#connection.headBucket(this.#options.bucket, signal)
    const time = new Date(date ?? "")
    if (Number.isNaN(time.getTime())) throw new SiteError(this.name, "site/unsupported", "time: the answer has no date")
    return time
  }

  #checkPut(key: string, bytes: Uint8Array, { signal, tier, sha256 }: PutOptions): void {
    signal?.throwIfAborted()
    checkKey(this.name, key)
    checkBytes(this.name, key, bytes, sha256)
    // Other stores have other classes, and name them as they like.
    const reason = tier === undefined ? undefined : refusedS3Tiers[tier]
    if (reason !== undefined) throw new SiteError(this.name, "site/unsupported", `put ${key}: storage class ${tier ?? ""}: ${reason}`)
  }

  async #upload(key: string, bytes: Uint8Array, options: PutOptions, condition: S3Condition): Promise<void> {
    const name = this.#nameOf(key)
    await this.#connection.upload(name, bytes, options, condition)
    this.#seen.add(name.bucket)
  }

  async #confirm(what: string, key: string, bytes: Uint8Array, options: PutOptions): Promise<ObjectInfo> {
    const kept = await this.#look(key, options)
    if (kept === null) throw new SiteError(this.name, "site/unavailable", `${what}: taken, but not found a moment later`)
    const { bytes: size, checksum } = kept.info
    if (size !== bytes.length || (checksum !== undefined && checksum.value !== options.sha256)) {
      throw new SiteError(this.name, "site/corrupt", `${what}: the server says that it keeps other bytes than it was given`)
    }
    return this.#requireLock(what, kept)
  }

  async #refuseOthers(kept: Look, bytes: Uint8Array, options: PutOptions): Promise<ObjectInfo> {
    const what = `put ${kept.info.key}`
    if (await this.#holds(kept, bytes, options)) return this.#requireLock(what, kept)
    throw new SiteError(this.name, "site/conflict", `${what}: other bytes are kept under this key`)
  }

  // A server may accept a lock, or be thought to set one, and have none.
  #requireLock(what: string, { info, lockMode }: Look): ObjectInfo {
    const { lock } = this.#options
    if (lock === undefined || (info.lockedUntil !== undefined && lockMode === (lockMode === "COMPLIANCE" ? lockMode : lock.toUpperCase())))
      return info
    throw new SiteError(this.name, "site/unsupported", `${what}: kept, but not locked for ${lock}, as the configuration says`, {
      hint: "give the bucket a default retention, and the credentials the right to see it (s3:GetObjectRetention)",
    })
  }

  // A checksum of the server's tells what it was given once, not what it would give back: so the bytes themselves are read.
  async #holds({ info }: Look, bytes: Uint8Array, options: PutOptions): Promise<boolean> {
    if (info.bytes !== bytes.length || (info.checksum !== undefined && info.checksum.value !== options.sha256)) return false
    try {
      return Buffer.compare(await this.#download(info.key, { signal: options.signal }), bytes) === 0
    } catch (error) {
      // What comes back damaged is not the same.
      if (error instanceof SiteError && error.code === "site/corrupt") return false
      throw error
    }
  }

  async #look(key: string, { signal }: CallOptions): Promise<Look | null> {
    const name = this.#nameOf(key)
    try {
      const answer = await this.#connection.head(name, signal)
      this.#seen.add(name.bucket)
      return lookOf(this.name, key, answer)
    } catch (error) {
      if (!(error instanceof SiteError && error.code === "site/not-found")) throw error
      await this.#requireBucket(name.bucket, signal)
      return null
    }
  }

  // A HEAD has no body that could say whether it is the object or the bucket that is missing.
  async #requireBucket(bucket: string, signal: AbortSignal | undefined): Promise<void> {
    if (this.#seen.has(bucket)) return
    await this.#connection.headBucket(bucket, signal).catch((error: unknown) => {
      if (!(error instanceof SiteError && statusOf(error.cause) === 404)) throw error
      throw new SiteError(this.name, "site/denied", `${bucket}: no such bucket`, {
        cause: error,
        hint: "create the bucket, or correct its name",
      })
    })
    this.#seen.add(bucket)
  }

  async #download(key: string, options: GetOptions): Promise<Uint8Array> {
    return await this.#connection.download(this.#nameOf(key), options)
  }

  async *#listBucket(bucket: string, prefix: string, { signal }: CallOptions): AsyncGenerator<ObjectInfo> {
    signal?.throwIfAborted()
    let last = ""
    let token: string | undefined
    do {
      const answer = await this.#connection.page(bucket, prefix, token, signal)
      const page = pageOf(this.name, prefix, last, answer)
      for (const info of page.infos) {
        signal?.throwIfAborted()
        yield info
      }
      if (page.next !== undefined && page.next === token) {
        throw new SiteError(this.name, "site/corrupt", `list ${prefix}: the next page is the same again`)
      }
      last = page.last
      token = page.next
    } while (token !== undefined)
  }

  #nameOf(key: string): S3Name {
    return { bucket: bucketOf(this.#options, key), key }
  }
}
