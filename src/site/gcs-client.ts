import { EventEmitter } from "node:events"
import type { File, FileMetadata, Storage } from "@google-cloud/storage"
import { z } from "zod"
import { reasonOf, SiteError } from "../errors.ts"
import { packBytesMax } from "../limits.ts"
import { type BucketPair, bucketOf, listPair } from "./buckets.ts"
import { checkEndpoint, isLoopback } from "./endpoint.ts"
import { gcsErrorOf } from "./gcs-failure.ts"
import { base64Of, checkAnswer, headersOf, infoOf, joined, nextPageOf } from "./gcs-object.ts"
import type { GcsCalls, Retention } from "./gcs-upkeep.ts"
import { releasing } from "./release.ts"
import { isSegment } from "./rules.ts"
import type { ByteRange, CallOptions, ObjectInfo } from "./site.ts"

export interface GcsSiteOptions extends BucketPair {
  readonly name: string
  /** Absent: Google. */
  readonly endpoint?: string | undefined
  /** A service account's key or a workload identity's file; absent: the usual chain. */
  readonly credentialsFile?: string | undefined
  /** What objects must be found locked with, once they are stored; absent: nothing. */
  readonly lock?: "governance" | "compliance" | undefined
}

/** Connects to nothing yet: the first call does. */
export async function connectGcs(options: GcsSiteOptions): Promise<GcsConnection> {
  const endpoint = options.endpoint === undefined ? undefined : checkEndpoint(options.name, options.endpoint)
  // Loaded when a site of this kind is opened: it would cost every other command a tenth of a second.
  const { Storage } = await import("@google-cloud/storage")
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
  return new GcsConnection(options, storage)
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

/** What goes with an upload. */
export interface Saving {
  readonly crc32c: number
  /** What must be at the name; "0": nothing. */
  readonly generation: string
  readonly signal: AbortSignal | undefined
  readonly tier?: string | undefined
}

/** The requests that a site makes, one each, with the answers as they came and every failure translated. */
export class GcsConnection implements GcsCalls {
  readonly name: string
  readonly #pair: BucketPair
  readonly #storage: Storage

  constructor({ name, bucket, keys }: GcsSiteOptions, storage: Storage) {
    this.name = name
    this.#pair = { bucket, keys }
    this.#storage = storage
  }

  /** Resolves to what the server says of the new object. */
  async insert(key: string, bytes: Uint8Array, { crc32c, generation, signal, tier }: Saving): Promise<FileMetadata> {
    const file = this.#file(key)
    await this.#call(`put ${key}`, signal, () =>
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
    return file.metadata
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

  async describeBucket(name: string, signal: AbortSignal | undefined): Promise<unknown> {
    const [metadata] = await this.#call(`look at bucket ${name}`, signal, () => this.#storage.bucket(name).getMetadata())
    return metadata
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

  list(prefix: string, signal: AbortSignal | undefined): AsyncIterable<ObjectInfo> {
    return listPair(this.name, this.#pair, prefix, (bucket, start) => this.#listBucket(bucket, start, signal))
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

interface Asked {
  readonly prefix: string
  readonly versions?: boolean
}

interface ListedPage {
  readonly files: readonly File[]
  readonly next: string | undefined
}
