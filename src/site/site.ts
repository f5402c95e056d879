import type { SitePosture } from "./posture.ts"

/**
 * A Site is one place that keeps encrypted objects: an S3 bucket, a GCS bucket, a directory. It is deliberately dumb: no retries,
 * no caching, no knowledge of packs or commits. Those live in wrappers (retry.ts, limit.ts) and in vault/.
 *
 * What every Site promises, and test/contract/site.ts checks:
 *  - Atomic: no caller ever sees part of an object, from get or from list.
 *  - Durable: when put resolves, the object survives a crash of the site.
 *  - Read-after-write: a put that resolved is visible to get, head and list.
 *  - Idempotent: put of the same bytes again succeeds, so a retried put is safe.
 *  - Typed failure: every rejection is a SiteError or the signal's reason.
 *  - Bounded: no object is larger than packBytesMax (limits.ts); put refuses more, and get never returns more.
 *
 * Keys are segments of letters, digits, ".", "_", "=" and "-" with "/" between them, none starting with a dot (rules.ts).
 */
export interface Site {
  /** The name from the configuration; it appears in logs, reports and the ledger. */
  readonly name: string
  /**
   * Keeps `bytes` under `key`, after checking that they are what `options.sha256` says. The caller leaves the bytes as they are,
   * even after a failure: a call that timed out may still be reading them.
   */
  put(key: string, bytes: Uint8Array, options: PutOptions): Promise<ObjectInfo>
  /** Reads the object, or exactly `range.length` bytes of it; a range that reaches past the end is refused. */
  get(key: string, options?: GetOptions): Promise<Uint8Array>
  /** Resolves to null, rather than rejecting, when there is no such object. */
  head(key: string, options?: CallOptions): Promise<ObjectInfo | null>
  /** Yields every object whose key starts with `prefix`, in key order (UTF-8 bytes). A listing that cannot be whole rejects. */
  list(prefix: string, options?: CallOptions): AsyncIterable<ObjectInfo>
}

/** Every operation of a Site, for counting and for planning faults. */
export type SiteOperation = "put" | "get" | "head" | "list"

export interface CallOptions {
  readonly signal?: AbortSignal | undefined
}

export interface PutOptions extends CallOptions {
  /** Lower-case hex SHA-256 of the bytes, checked by the server where it can and by the client where it cannot. */
  readonly sha256: string
  /** The provider's storage class for this object, such as STANDARD_IA; absent: the bucket's default. */
  readonly tier?: string | undefined
}

export interface GetOptions extends CallOptions {
  readonly range?: ByteRange | undefined
  /** Whether the caller releases the bytes (memory.ts) when done with them: they may then lie in memory that is used again. */
  readonly released?: boolean | undefined
}

export interface ByteRange {
  /** Bytes from the start of the object. */
  readonly offset: number
  readonly length: number
}

export interface ObjectInfo {
  readonly key: string
  readonly bytes: number
  /** As the server computed it, where it does. */
  readonly checksum?: Checksum
  /** By the server's clock. */
  readonly storedAt: Date
  readonly version?: string
  readonly lockedUntil?: Date
  /** Why the bytes cannot be had now although they are kept: their storage class has to be thawed first. Absent: they can. */
  readonly frozen?: string
}

export interface Checksum {
  readonly algorithm: "sha256" | "crc32c" | "md5"
  /** Lower-case hex. */
  readonly value: string
}

/** What a site can do beyond keeping objects; each is absent where the provider or the credentials cannot. */
export interface OpenedSite {
  readonly site: Site
  /** Other bytes under a taken name fail with "site/conflict". */
  readonly createOnly: boolean
  /** Whether the site has a clock of its own, so that its times count for retention. A directory has not. */
  readonly ownClock: boolean
  /**
   * Where a rotten copy can be put aside, so that good bytes may take its name. Does nothing where the good bytes are there
   * already. The keeper's, never the agent's.
   */
  readonly replace?: (key: string, bytes: Uint8Array, options: PutOptions) => Promise<ObjectInfo>
  /** The older bytes behind each name. The keeper's, never the agent's. */
  readonly versions?: Versions
  readonly lock?: ObjectLock
  /** What is set at the buckets now, without changing anything. */
  readonly posture?: (options?: CallOptions) => Promise<SitePosture>
  /** Only for finding out what the server itself refuses. */
  readonly probe?: Probe
  serverTime(options?: CallOptions): Promise<Date>
}

export interface Versions {
  /** Every version of every object whose key starts with `prefix`, in key order, the newest of a key first; delete markers too. */
  list(prefix: string, options?: CallOptions): AsyncIterable<ObjectVersion>
  get(key: string, version: string, options?: GetOptions): Promise<Uint8Array>
  /** Removes one version for good; "site/denied" while it is locked. Does nothing where it is gone already. */
  remove(key: string, version: string, options?: CallOptions): Promise<void>
}

export interface ObjectVersion extends ObjectInfo {
  readonly version: string
  /** The one that get and head see. */
  readonly latest: boolean
  /** Not bytes, but that the object was deleted. */
  readonly deleteMarker: boolean
}

export interface Probe {
  /** One upload on condition that the name is free, checked by nobody but the server. */
  upload(key: string, bytes: Uint8Array, options: ProbeOptions): Promise<ProbeOutcome>
}

/** What the server did with an upload: it took it, said that the name is not free, or refused the bytes for their checksum. */
export type ProbeOutcome = "taken" | "not-free" | "refused"

export interface ProbeOptions extends CallOptions {
  readonly checksum: "right" | "wrong"
}

export interface ObjectLock {
  /** Locks a version until then, never shorter than it is locked already; resolves to when the lock ends, as the server says it. */
  extend(key: string, version: string, until: Date, options?: CallOptions): Promise<Date>
}
