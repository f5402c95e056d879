/**
 * A failure someone can act on: a stable code for programs, one sentence for people, and a hint where there is something to do.
 * Anything thrown that is not a BackupError is a bug and keeps its stack.
 */
export abstract class BackupError extends Error {
  abstract readonly code: string
  /** What to do about it, as a sentence without full stop. */
  readonly hint?: string

  constructor(message: string, options: ErrorDetails = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined)
    this.name = new.target.name
    if (options.hint !== undefined) this.hint = options.hint
  }
}

export interface ErrorDetails {
  readonly cause?: unknown
  readonly hint?: string
}

export type SiteErrorCode =
  | "site/not-found" // no object under that key
  | "site/conflict" // the key holds other bytes; objects are never overwritten
  | "site/denied" // credentials, permissions or policy refuse the call
  | "site/full" // no space left
  | "site/unsupported" // this provider cannot do what was asked
  | "site/throttled" // slow down, then try again
  | "site/unavailable" // network, timeout, 5xx
  | "site/corrupt" // the bytes that came back are not the bytes that were kept

export interface SiteErrorDetails extends ErrorDetails {
  /** How long the server asks to be left alone. */
  readonly retryAfterMs?: number | undefined
}

/** A site did not do what was asked. The message starts with the site's name. */
export class SiteError extends BackupError {
  readonly site: string
  readonly code: SiteErrorCode
  readonly retryAfterMs?: number

  constructor(site: string, code: SiteErrorCode, message: string, details: SiteErrorDetails = {}) {
    super(`${site}: ${message}`, details)
    this.site = site
    this.code = code
    if (details.retryAfterMs !== undefined) this.retryAfterMs = details.retryAfterMs
  }

  /** Whether trying the same call again can help. This is the only place that decides it. */
  get retryable(): boolean {
    return this.code === "site/throttled" || this.code === "site/unavailable"
  }
}

export type FormatErrorCode =
  | "format/malformed" // not what the specification says
  | "format/too-large" // over a limit of the specification
  | "format/unsupported" // a version or a critical field this release does not know
  | "format/mismatch" // a digest, a signature or an authentication tag does not fit
  | "format/foreign" // belongs to another repository, account, dataset or agent

/** Bytes at rest are not what they must be. */
export class FormatError extends BackupError {
  readonly code: FormatErrorCode

  constructor(code: FormatErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details)
    this.code = code
  }
}

export type ConfigErrorCode =
  | "config/invalid" // not what the schema says
  | "config/not-found" // no such file, job, site or key
  | "config/secret" // a reference to a secret cannot be followed
  | "config/trust" // the configuration differs from, or weakens, the newest trust list
  | "config/usage" // the command line was used wrongly

/** The configuration or the command line cannot be followed. */
export class ConfigError extends BackupError {
  readonly code: ConfigErrorCode

  constructor(code: ConfigErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details)
    this.code = code
  }
}

export type JobErrorCode =
  | "job/source" // the source cannot be read at all
  | "job/command" // an external program failed
  | "job/busy" // another process holds the lock
  | "job/superseded" // another process has taken the lock since
  | "job/time-limit" // it took longer than its job allows
  | "job/clock" // this machine's clock cannot be right
  | "job/not-durable" // fewer copies than promised
  | "job/spool-full" // too few sites answer, and nothing more may wait on this host
  | "job/not-found" // no such snapshot, dataset, account or path
  | "job/target" // the restore target cannot be used
  | "job/unconfined" // a path would leave its target

/** A run, restore or drill cannot go on. */
export class JobError extends BackupError {
  readonly code: JobErrorCode

  constructor(code: JobErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details)
    this.code = code
  }
}

export type KeyErrorCode =
  | "key/malformed" // not an identity, a recipient or a signing key
  | "key/mixed" // post-quantum and X25519 recipients together
  | "key/missing" // an identity or a signing key is needed and was not given
  | "key/wrong" // no identity given opens this
  | "key/untrusted" // not signed by the root, or not in the newest trust list
  | "key/rollback" // a trust list older than one already seen
  | "key/misplaced" // an identity where none may be
  | "key/repeated" // the random number generator gave the same key twice

/** A key is missing, wrong, untrusted or where it must not be. */
export class KeyError extends BackupError {
  readonly code: KeyErrorCode

  constructor(code: KeyErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details)
    this.code = code
  }
}

export type VaultErrorCode =
  | "vault/unreachable" // no site answers
  | "vault/lost" // no site holds good bytes of an object
  | "vault/incomplete" // a listing or a log could not be read whole

/** All sites together cannot do what was asked. */
export class VaultError extends BackupError {
  readonly code: VaultErrorCode

  constructor(code: VaultErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details)
    this.code = code
  }
}

/** The text of whatever was thrown, for a sentence that says why. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The errno code of a failed system call, such as "ENOENT"; undefined for anything else. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined
}

export type AlarmErrorCode =
  | "alarm/unreachable" // the other side did not answer, or asked to be tried later
  | "alarm/refused" // the other side will not take it, however often it is tried

/** A channel did not take a notice. The message starts with the channel's name. */
export class AlarmError extends BackupError {
  readonly code: AlarmErrorCode

  constructor(channel: string, code: AlarmErrorCode, message: string, details: ErrorDetails = {}) {
    super(`${channel}: ${message}`, details)
    this.code = code
  }
}
