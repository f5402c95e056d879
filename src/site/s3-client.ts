import { readFile } from "node:fs/promises"
import { getCACertificates } from "node:tls"
import type { S3Client, S3ClientConfig } from "@aws-sdk/client-s3"
import { z } from "zod"
import { reasonOf, SiteError } from "../errors.ts"
import { s3ConnectionTimeoutMs, s3Retry } from "../limits.ts"
import type { BucketPair } from "./buckets.ts"
import { checkEndpoint, isLoopback } from "./endpoint.ts"
import { readCredentials } from "./s3-credentials.ts"
import { s3ErrorOf } from "./s3-failure.ts"
import { bytesOf, parsed } from "./s3-object.ts"
import type { GetOptions, PutOptions } from "./site.ts"

export interface S3SiteOptions extends BucketPair {
  readonly name: string
  /** What requests are signed for. */
  readonly region: string
  /** Absent: AWS. */
  readonly endpoint?: string | undefined
  /** Bucket names in the path rather than in the host's name. */
  readonly pathStyle: boolean
  /**
   * "required": no checksum beyond those this site needs, for older stores. "signed": none at all but the SHA-256 that the signature
   * holds, for stores that refuse every checksum header.
   */
  readonly checksums: "always" | "required" | "signed"
  /** False for a store that knows no conditional writes. */
  readonly createOnly: boolean
  /** What objects must be found locked with, once they are stored; absent: nothing. */
  readonly lock?: "governance" | "compliance" | undefined
  /** Absent: the usual chain of environment, profile and instance role. */
  readonly credentials?: { readonly profile: string } | { readonly file: string } | undefined
  /** A file of PEM certificates to trust beside the system's. */
  readonly ca?: string | undefined
  readonly proxy?: string | undefined
}

type Sdk = typeof import("@aws-sdk/client-s3")
type Signal = AbortSignal | undefined

export interface S3Name {
  readonly bucket: string
  readonly key: string
  /** Absent: the newest. */
  readonly version?: string | undefined
}

/** What must be at the key for an upload to happen: nothing, or what has this ETag. */
export interface S3Condition {
  readonly IfNoneMatch?: string
  readonly IfMatch?: string
}

/** Where the next page of versions begins. */
export interface S3Marker {
  readonly key?: string | undefined
  readonly version?: string | undefined
}

/** What can be asked of a bucket, without changing it. */
export type S3Setting = "versioning" | "lock" | "publicAccess" | "encryption" | "lifecycle" | "replication"

/** A bucket that is there. */
interface FoundBucket {
  /** The Date header of the answer. */
  readonly date: string | undefined
  readonly region: string | undefined
}

/** The requests that a site makes, one each, with the answers as they came and every failure translated. */
export class S3Connection {
  readonly #site: string
  readonly #sdk: Sdk
  readonly #client: S3Client

  readonly #namesChecksums: boolean

  constructor({ name, checksums }: S3SiteOptions, sdk: Sdk, client: S3Client) {
    this.#site = name
    this.#namesChecksums = checksums !== "signed"
    this.#sdk = sdk
    this.#client = client
  }

  async upload({ bucket, key }: S3Name, bytes: Uint8Array, options: PutOptions, condition: S3Condition): Promise<void> {
    const command = new this.#sdk.PutObjectCommand({
      ...{ Bucket: bucket, Key: key, Body: bytes, ContentLength: bytes.length },
      ContentType: "application/octet-stream",
      // Both: some servers overlook a checksum whose algorithm is not named.
      ...(this.#namesChecksums && {
        ChecksumAlgorithm: "SHA256",
        ChecksumSHA256: Buffer.from(options.sha256, "hex").toString("base64"),
      }),
      ...(options.tier !== undefined && { StorageClass: tierSchema(this.#sdk).parse(options.tier) }),
      ...condition,
    })
    await this.#call(`put ${key}`, options.signal, (abortSignal) => this.#client.send(command, { abortSignal }))
  }

  async head({ bucket, key, version }: S3Name, signal: Signal): Promise<unknown> {
    const command = new this.#sdk.HeadObjectCommand({ Bucket: bucket, Key: key, VersionId: version, ...this.#asksChecksum })
    return await this.#call(`head ${key}`, signal, (abortSignal) => this.#client.send(command, { abortSignal }))
  }

  get #asksChecksum() {
    return this.#namesChecksums ? ({ ChecksumMode: "ENABLED" } as const) : {}
  }

  async download({ bucket, key, version }: S3Name, { range, signal }: GetOptions): Promise<Uint8Array> {
    const part = range === undefined ? {} : { Range: `bytes=${String(range.offset)}-${String(range.offset + range.length - 1)}` }
    const command = new this.#sdk.GetObjectCommand({ Bucket: bucket, Key: key, VersionId: version, ...part })
    return await this.#call(`get ${key}`, signal, async (abortSignal) => {
      return await bytesOf(this.#site, key, await this.#client.send(command, { abortSignal }), range, signal)
    })
  }

  async page(bucket: string, prefix: string, token: string | undefined, signal: Signal): Promise<unknown> {
    const command = new this.#sdk.ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, ContinuationToken: token })
    return await this.#call(`list ${prefix}`, signal, (abortSignal) => this.#client.send(command, { abortSignal }))
  }

  async versionsPage(bucket: string, prefix: string, { key, version }: S3Marker, signal: Signal): Promise<unknown> {
    const from = { KeyMarker: key, VersionIdMarker: version }
    const command = new this.#sdk.ListObjectVersionsCommand({ Bucket: bucket, Prefix: prefix, ...from })
    return await this.#call(`versions ${prefix}`, signal, (abortSignal) => this.#client.send(command, { abortSignal }))
  }

  async removeVersion({ bucket, key, version }: Required<S3Name>, signal: Signal): Promise<void> {
    const command = new this.#sdk.DeleteObjectCommand({ Bucket: bucket, Key: key, VersionId: version })
    await this.#call(`remove ${key}`, signal, (abortSignal) => this.#client.send(command, { abortSignal }))
  }

  async setting(setting: S3Setting, bucket: string, signal: Signal): Promise<unknown> {
    const [sdk, client, input] = [this.#sdk, this.#client, { Bucket: bucket }]
    const ask: Readonly<Record<S3Setting, (abort: { readonly abortSignal: AbortSignal }) => Promise<unknown>>> = {
      versioning: (abort) => client.send(new sdk.GetBucketVersioningCommand(input), abort),
      lock: (abort) => client.send(new sdk.GetObjectLockConfigurationCommand(input), abort),
      publicAccess: (abort) => client.send(new sdk.GetPublicAccessBlockCommand(input), abort),
      encryption: (abort) => client.send(new sdk.GetBucketEncryptionCommand(input), abort),
      lifecycle: (abort) => client.send(new sdk.GetBucketLifecycleConfigurationCommand(input), abort),
      replication: (abort) => client.send(new sdk.GetBucketReplicationCommand(input), abort),
    }
    return await this.#call(`${setting} of ${bucket}`, signal, (abortSignal) => ask[setting]({ abortSignal }))
  }

  async retain({ bucket, key, version }: Required<S3Name>, mode: "GOVERNANCE" | "COMPLIANCE", until: Date, signal: Signal): Promise<void> {
    const Retention = { Mode: mode, RetainUntilDate: until }
    const command = new this.#sdk.PutObjectRetentionCommand({ Bucket: bucket, Key: key, VersionId: version, Retention })
    await this.#call(`lock ${key}`, signal, (abortSignal) => this.#client.send(command, { abortSignal }))
  }

  /** Rejects where there is no such bucket. */
  async headBucket(bucket: string, signal: Signal): Promise<FoundBucket> {
    const command = new this.#sdk.HeadBucketCommand({ Bucket: bucket })
    let date: string | undefined
    command.middlewareStack.add(
      (next) => async (args) => {
        const result = await next(args)
        date = parsed(this.#site, `bucket ${bucket}`, answerSchema, result.response).headers.date
        return result
      },
      { step: "deserialize", name: "dateOfAnswer" },
    )
    const answer = await this.#call(`bucket ${bucket}`, signal, (abortSignal) => this.#client.send(command, { abortSignal }))
    return { date, region: answer.BucketRegion }
  }

  async #call<T>(what: string, signal: AbortSignal | undefined, call: (abort: AbortSignal) => Promise<T>): Promise<T> {
    signal?.throwIfAborted()
    try {
      return await call(signal ?? new AbortController().signal)
    } catch (error) {
      signal?.throwIfAborted()
      throw s3ErrorOf(this.#site, what, error)
    }
  }
}

const answerSchema = z.object({ headers: z.object({ date: z.string().optional() }) })

// The client's type knows AWS's classes; other stores have their own, and every one is sent as it is.
function tierSchema(sdk: Sdk) {
  return z.custom<keyof Sdk["StorageClass"]>(
    (value) => typeof value === "string" && (value in sdk.StorageClass || /^[\w-]{1,64}$/.test(value)),
  )
}

/** Connects to nothing yet: the first call does. */
export async function connectS3(options: S3SiteOptions): Promise<S3Connection> {
  if (options.endpoint !== undefined) checkEndpoint(options.name, options.endpoint)
  // Loaded when a site of this kind is opened: it would cost every other command a tenth of a second.
  const sdk = await import("@aws-sdk/client-s3")
  const client = new sdk.S3Client(await configOf(options))
  refusePlainHttp(options.name, client)
  return new S3Connection(options, sdk, client)
}

async function configOf(options: S3SiteOptions): Promise<S3ClientConfig> {
  const { name, region, endpoint, pathStyle, checksums, credentials } = options
  const mode = checksums === "always" ? "WHEN_SUPPORTED" : "WHEN_REQUIRED"
  return {
    ...{ region, forcePathStyle: pathStyle, requestChecksumCalculation: mode, responseChecksumValidation: mode },
    // There is one loop that repeats calls, and it is ours.
    maxAttempts: 1,
    requestHandler: {
      connectionTimeout: s3ConnectionTimeoutMs,
      requestTimeout: s3Retry.callTimeoutMs,
      // Without it, a request that takes too long is only written about.
      throwOnRequestTimeout: true,
      httpsAgent: { keepAlive: true, ...(await agentOptions(options)) },
    },
    ...(endpoint !== undefined && { endpoint }),
    ...(credentials !== undefined && "profile" in credentials && { profile: credentials.profile }),
    ...(credentials !== undefined && "file" in credentials && { credentials: () => readCredentials(name, credentials.file) }),
  }
}

async function agentOptions({ name, ca, proxy }: S3SiteOptions) {
  const certificates =
    ca === undefined
      ? undefined
      : await readFile(ca, "utf8").catch((cause: unknown) => {
          throw new SiteError(name, "site/denied", `ca: ${reasonOf(cause)}`, { cause })
        })
  return {
    ...(certificates !== undefined && { ca: [...getCACertificates("default"), certificates] }),
    ...(proxy !== undefined && { proxyEnv: { HTTPS_PROXY: proxy } }),
  }
}

const destinationSchema = z.object({ protocol: z.string(), hostname: z.string() })

// Of every request, because the environment and the profile can name another endpoint than the configuration.
function refusePlainHttp(name: string, client: S3Client): void {
  client.middlewareStack.add(
    (next) => async (args) => {
      const { protocol, hostname } = destinationSchema.parse(args.request)
      if (protocol !== "https:" && !isLoopback(new URL(`${protocol}//${hostname}`))) {
        throw new SiteError(name, "site/unsupported", `${hostname}: without TLS only servers on this host are spoken to`)
      }
      return await next(args)
    },
    { step: "finalizeRequest", name: "refusePlainHttp" },
  )
}
