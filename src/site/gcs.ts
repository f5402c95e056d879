import { EventEmitter } from "node:events"
import type { File, FileMetadata, Storage } from "@google-cloud/storage"
import { z } from "zod"
import { type Crc32c, loadCrc32c } from "../crc32c.ts"
import { reasonOf, SiteError } from "../errors.ts"
import { packBytesMax } from "../limits.ts"
import { type BucketPair, bucketOf, listPair } from "./buckets.ts"
import { checkEndpoint, isLoopback } from "./endpoint.ts"
import { gcsErrorOf, gcsFailureOf } from "./gcs-failure.ts"
import { base64Of, checkAnswer, headersOf, hexOf, infoOf, isBucketLocked, isObjectLocked, joined, nextPageOf } from "./gcs-object.ts"
import { gcsPosture } from "./gcs-posture.ts"
import { type GcsCalls, gcsLock, gcsVersions, type Retention } from "./gcs-upkeep.ts"
import { releasing } from "./release.ts"
import { checkBytes, checkKey, checkRange, isSegment } from "./rules.ts"
import type { ByteRange, CallOptions, GetOptions, ObjectInfo, OpenedSite, ProbeOptions, ProbeOutcome, PutOptions, Site } from "./site.ts"
import { gcsTiers, refusedGcsTiers } from "./tiers.ts"

export interface GcsSiteOptions extends BucketPair {
  readonly name: string
  /** Absent: Google. */
  readonly endpoint?: string | undefined
  /** A service account's key or a workload identity's file; absent: the usual chain. */
  readonly credentialsFile?: string | undefined
  /** What objects must be found locked with, once they are stored; absent: nothing. */
  readonly lock?: "governance" | "compliance" | undefined
}

const tiers: ReadonlySet<string> = new Set(gcsTiers)

/**
 * Two buckets of Google Cloud Storage, or of a server that speaks its JSON API, as one site. Nothing is asked of the server before
 * the first call. Every call is one request, but for a put that finds its key taken, which compares what is there.
 */
export async function gcsSite(options: GcsSiteOptions): Promise<OpenedSite> {
  const endpoint = options.endpoint === undefined ? undefined : checkEndpoint(options.name, options.endpoint)
  // Loaded when a site of this kind is opened: it would cost every other command a tenth of a second.
  const [{ Storage }, crc32c] = await Promise.all([import("@google-cloud/storage"), loadCrc32c()])
  const anonymous = endpoint !== undefined && isLoopback(endpoint) && options.credentialsFile === undefined
  const storage = new Storage({
    // Not maxRetries: 0, which counts as unset: there is one loop that repeats calls, and it is ours.
    retryOptions: { autoRetry: false },
    useAuthWithCustomEndpoint: !anonymous,
    ...(endpoint !== undefined && { apiEndpoint: endpoint.origin }),
  })
  const expected = endpoint?.origin ?? "https://storage.googleapis.com"
  // STORAGE_EMULATOR_HOST in the environment would send everything elsewhere, and without credentials.
  if (storage.baseUrl !== `${expected}/storage/v1`) {
    throw new SiteError(options.name, "site/unsupported", `the environment sends requests to ${storage.baseUrl}, not to ${expected}`, {
      hint: "unset STORAGE_EMULATOR_HOST, or set the site's endpoint",
    })
  }
  if (options.credentialsFile !== undefined) await readCredentials(options.name, storage, options.credentialsFile)
  const site = new GcsSite(options, storage, crc32c)
  return {
    site,
    createOnly: true,
    ownClock: true,
    replace: (key, bytes, given) => site.replace(key, bytes, given),
    versions: gcsVersions(site),
    ...(options.lock !== undefined && { lock: gcsLock(site, options.lock) }),
    posture: gcsPosture(options.name, options, (bucket, signal) => site.describeBucket(bucket, signal)),
    probe: { upload: (key, bytes, given) => site.probe(key, bytes, given) },
    serverTime: (given) => site.serverTime(given),
  }
}

// As the library itself reads what GOOGLE_APPLICATION_CREDENTIALS names; its option for a file warns on everybody's terminal that
// a file may come from strangers, which the configuration's may not.
async function readCredentials(name: string, storage: Storage, file: string): Promise<void> {
  try {
    await storage.authClient._getApplicationCredentialsFromFilePath(file)
  } catch (error) {
    throw new SiteError(name, "site/denied", `credentials ${file}: ${reasonOf(error)}`, {
      cause: error,
      hint: "let credentials.file name a service account's key or a workload identity's file",
    })
  }
}

class GcsSite implements Site, GcsCalls {
  readonly name: string
  readonly #pair: BucketPair
  readonly #storage: Storage
  readonly #crc32c: Crc32c
  readonly #lock: GcsSiteOptions["lock"]
  /** Buckets whose retention policy was found locked: they stay so. */
  readonly #lockedBuckets = new Set<string>()

  constructor({ name, bucket, keys, lock }: GcsSiteOptions, storage: Storage, crc32c: Crc32c) {
    this.name = name
    this.#pair = { bucket, keys }
    this.#lock = lock
    this.#storage = storage
    this.#crc32c = crc32c
  }

  async put(key: string, bytes: Uint8Array, options: PutOptions): Promise<ObjectInfo> {
    this.#checkPut(key, bytes, options)
    try {
      return await this.#upload(key, bytes, "0", options)
    } catch (error) {
      if (!(error instanceof SiteError && error.code === "site/conflict")) throw error
      const metadata = await this.look(key, options.signal)
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
    if (range === undefined) return await this.download(key, range, signal)
    checkRange(this.name, key, Number.MAX_SAFE_INTEGER, range)
    if (range.length > 0) return await this.download(key, range, signal)
    // No HTTP range is empty: what is left to find out is whether the object reaches so far.
    const kept = await this.head(key, options)
    if (kept === null) throw new SiteError(this.name, "site/not-found", `get ${key}: no such object`)
    checkRange(this.name, key, kept.bytes, range)
    return new Uint8Array()
  }

  async head(key: string, options: CallOptions = {}): Promise<ObjectInfo | null> {
    options.signal?.throwIfAborted()
    checkKey(this.name, key)
    const metadata = await this.look(key, options.signal)
    return metadata === null ? null : infoOf(this.name, key, metadata)
  }

  async look(key: string, signal: AbortSignal | undefined, generation?: string): Promise<FileMetadata | null> {
    try {
      const [metadata] = await this.#call(`head ${key}`, signal, () => this.#file(key, generation).getMetadata())
      return metadata
    } catch (error) {
      if (error instanceof SiteError && error.code === "site/not-found") return null
      throw error
    }
  }

  list(prefix: string, options: CallOptions = {}): AsyncIterable<ObjectInfo> {
    return listPair(this.name, this.#pair, prefix, (bucket, start) => this.#listBucket(bucket, start, options.signal))
  }

  /** From the answer's Date header; that there is no such object does not matter. */
  async serverTime({ signal }: CallOptions = {}): Promise<Date> {
    const what = "time"
    const file = this.#storage.bucket(this.#pair.bucket).file("v1/time")
    const headers = await releasing(signal, () => headersOf(() => file.getMetadata())).catch((error: unknown) => {
      signal?.throwIfAborted()
      throw gcsErrorOf(this.name, what, error)
    })
    const time = new Date(headers.date ?? "")
    if (Number.isNaN(time.getTime())) throw new SiteError(this.name, "site/unsupported", `${what}: the answer has no date`)
    return time
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
    const file = this.#file(key)
    const crc32c = this.#crc32c(bytes)
    await this.#save(file, bytes, { crc32c, generation, signal, tier })
    const info = infoOf(this.name, key, file.metadata)
    if (info.bytes !== bytes.length || info.checksum?.value !== hexOf(crc32c)) {
      throw new SiteError(this.name, "site/corrupt", `${what}: the server says that it keeps other bytes than it was given`)
    }
    return await this.#requireLock(what, key, file.metadata, signal)
  }

  async probe(key: string, bytes: Uint8Array, { checksum, signal }: ProbeOptions): Promise<ProbeOutcome> {
    signal?.throwIfAborted()
    checkKey(this.name, key)
    const right = this.#crc32c(bytes)
    const crc32c = checksum === "right" ? right : (right ^ 1) >>> 0
    try {
      await this.#save(this.#file(key), bytes, { crc32c, generation: "0", signal })
      return "taken"
    } catch (error) {
      if (!(error instanceof SiteError)) throw error
      if (error.code === "site/conflict") return "not-free"
      if (checksum === "wrong" && gcsFailureOf(error.cause)?.status === 400) return "refused"
      throw error
    }
  }

  async #save(file: File, bytes: Uint8Array, { crc32c, generation, signal, tier }: Saving): Promise<void> {
    await this.#call(`put ${file.name}`, signal, () =>
      file.save(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), {
        resumable: false,
        // Without it, one save turns the client's retries off for good; with it, what is there is never overwritten.
        preconditionOpts: { ifGenerationMatch: generation },
        // The client's own check comes after the fact, and deletes what it does not like: neither may nor shall it.
        validation: false,
        metadata: {
          contentType: "application/octet-stream",
          crc32c: base64Of(crc32c),
          ...(tier !== undefined && { storageClass: tier }),
        },
      }),
    )
  }

  // A bucket whose policy is missing, or not locked yet, takes every object without a word.
  async #requireLock(what: string, key: string, metadata: FileMetadata, signal: AbortSignal | undefined): Promise<ObjectInfo> {
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
    if (isBucketLocked(await this.describeBucket(name, signal))) this.#lockedBuckets.add(name)
    return this.#lockedBuckets.has(name)
  }

  async describeBucket(name: string, signal: AbortSignal | undefined): Promise<unknown> {
    const [metadata] = await this.#call(`look at bucket ${name}`, signal, () => this.#storage.bucket(name).getMetadata())
    return metadata
  }

  async #holds(kept: ObjectInfo, bytes: Uint8Array, { signal }: PutOptions): Promise<boolean> {
    if (kept.bytes !== bytes.length) return false
    if (kept.checksum?.algorithm === "crc32c" && kept.checksum.value !== hexOf(this.#crc32c(bytes))) return false
    return Buffer.compare(await this.download(kept.key, undefined, signal), bytes) === 0
  }

  async download(key: string, range: ByteRange | undefined, signal?: AbortSignal, generation?: string): Promise<Uint8Array> {
    return await this.#call(`get ${key}`, signal, async () => {
      const { name } = this
      const part = range === undefined ? {} : { start: range.offset, end: range.offset + range.length - 1 }
      // The caller knows the hash: the client's check depends on a header, and never covers a range.
      const stream = this.#file(key, generation).createReadStream({ ...part, validation: false, decompress: false })
      let answer: unknown
      stream.on("response", (response: unknown) => {
        if (response instanceof EventEmitter) {
          // The client listens to its own answer eleven times, which Node would call a leak on everybody's terminal.
          response.setMaxListeners(0)
          // Where a download breaks off, it would close every connection of the process, those of other sites too: releasing()
          // closes this one.
          Object.assign(response, { request: {} })
        }
        answer = response
      })
      const pieces: Buffer[] = []
      let received = 0
      for await (const piece of stream) {
        const bytes = z.instanceof(Buffer).parse(piece)
        received += bytes.length
        if (received > packBytesMax) throw new SiteError(name, "site/corrupt", `get ${key}: more bytes than the largest object has`)
        pieces.push(bytes)
      }
      checkAnswer(name, key, answer, { range, received })
      return joined(pieces, received)
    })
  }

  async *#listBucket(bucket: string, prefix: string, signal: AbortSignal | undefined): AsyncGenerator<ObjectInfo> {
    let last = ""
    let token: string | undefined
    do {
      const { files, next } = await this.#page(bucket, { prefix }, token, signal)
      for (const { name, metadata } of files) {
        // What is no key was not put here by any Holdline, and cannot be asked for.
        if (!name.split("/").every(isSegment)) continue
        if (name <= last) throw this.#brokenListing(prefix, `${name} comes after ${last}`)
        last = name
        signal?.throwIfAborted()
        yield infoOf(this.name, name, metadata)
      }
      if (next !== undefined && next === token) throw this.#brokenListing(prefix, "the next page is the same again")
      token = next
    } while (token !== undefined)
  }

  async #page(bucket: string, asked: Asked, token: string | undefined, signal: AbortSignal | undefined): Promise<ListedPage> {
    const query = { ...asked, autoPaginate: false, ...(token !== undefined && { pageToken: token }) }
    const [files, next] = await this.#call(`list ${asked.prefix}`, signal, () => this.#storage.bucket(bucket).getFiles(query))
    return { files, next: nextPageOf(next) }
  }

  #brokenListing(prefix: string, why: string): SiteError {
    return new SiteError(this.name, "site/corrupt", `list ${prefix}: ${why}`)
  }

  async *generations(prefix: string, signal: AbortSignal | undefined): AsyncGenerator<{ key: string; metadata: FileMetadata }> {
    const list = (bucket: string, start: string) => this.#generationsOf(bucket, start, signal)
    yield* listPair(this.name, this.#pair, prefix, list)
  }

  async *#generationsOf(bucket: string, prefix: string, signal: AbortSignal | undefined) {
    let token: string | undefined
    do {
      const { files, next } = await this.#page(bucket, { prefix, versions: true }, token, signal)
      for (const { name, metadata } of files) yield { key: name, metadata }
      if (next !== undefined && next === token) throw this.#brokenListing(prefix, "the next page is the same again")
      token = next
    } while (token !== undefined)
  }

  async remove(key: string, signal: AbortSignal | undefined, generation: string): Promise<void> {
    await this.#call(`remove ${key}`, signal, () => this.#file(key, generation).delete({ ignoreNotFound: true }))
  }

  async retain(key: string, signal: AbortSignal | undefined, generation: string, retention: Retention): Promise<FileMetadata> {
    const { mode, until, metageneration, overrides } = retention
    const given = { retention: { mode, retainUntilTime: until.toISOString() } }
    // Whoever decided has seen that nothing shrinks, in the state that must still be.
    const conditions = { ifMetagenerationMatch: metageneration, ...(overrides && { overrideUnlockedRetention: true }) }
    const what = `lock ${key}`
    try {
      const [metadata] = await this.#call(what, signal, () => this.#file(key, generation).setMetadata(given, conditions))
      return metadata
    } catch (error) {
      if (!(error instanceof SiteError && error.code === "site/conflict")) throw error
      throw new SiteError(this.name, "site/unavailable", `${what}: it was changed at the same time`, { cause: error })
    }
  }

  #file(key: string, generation?: string): File {
    return this.#storage.bucket(bucketOf(this.#pair, key)).file(key, generation === undefined ? {} : { generation })
  }

  async #call<T>(what: string, signal: AbortSignal | undefined, call: () => Promise<T>): Promise<T> {
    try {
      return await releasing(signal, call)
    } catch (error) {
      signal?.throwIfAborted()
      throw gcsErrorOf(this.name, what, error)
    }
  }
}

interface Saving {
  readonly crc32c: number
  /** What must be at the name; "0": nothing. */
  readonly generation: string
  readonly signal: AbortSignal | undefined
  readonly tier?: string | undefined
}

interface Asked {
  readonly prefix: string
  readonly versions?: boolean
}

interface ListedPage {
  readonly files: readonly File[]
  readonly next: string | undefined
}
