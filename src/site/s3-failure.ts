import { STATUS_CODES } from "node:http"
import { z } from "zod"
import { BackupError, errnoOf, reasonOf, SiteError, type SiteErrorCode } from "../errors.ts"
import { retryAfterMsOf, saysDamaged } from "./answer.ts"

/** The service's own word is more exact than its status. */
const codeByName: Readonly<Record<string, SiteErrorCode>> = {
  NoSuchKey: "site/not-found",
  NoSuchVersion: "site/not-found",
  NotFound: "site/not-found",
  NoSuchBucket: "site/denied", // a name in the configuration is wrong: not the same as an object that is missing
  InvalidObjectState: "site/unsupported", // in a tier that must be thawed first
  PreconditionFailed: "site/conflict",
  ConditionalRequestConflict: "site/throttled", // a concurrent conditional write; S3 asks for a retry
  OperationAborted: "site/throttled",
  SlowDown: "site/throttled",
  RequestLimitExceeded: "site/throttled",
  Throttling: "site/throttled",
  ThrottlingException: "site/throttled",
  TooManyRequestsException: "site/throttled",
  // Sent whole and arrived damaged: what was sent had just been checked, so that sending it again helps.
  BadDigest: "site/unavailable",
  IncompleteBody: "site/unavailable",
  XAmzContentSHA256Mismatch: "site/unavailable",
  XAmzContentChecksumMismatch: "site/unavailable",
  RequestTimeout: "site/unavailable",
  InternalError: "site/unavailable",
  ServiceUnavailable: "site/unavailable",
  RequestTimeTooSkewed: "site/unavailable",
  QuotaExceeded: "site/full",
  XMinioStorageFull: "site/full",
  EntityTooLarge: "site/unsupported",
  InvalidStorageClass: "site/unsupported",
  NotImplemented: "site/unsupported",
  MissingContentLength: "site/unsupported",
  InvalidRange: "site/corrupt",
  TimeoutError: "site/unavailable",
  CredentialsProviderError: "site/denied",
}

const codeByStatus: Readonly<Record<number, SiteErrorCode>> = {
  301: "site/unsupported",
  307: "site/unavailable",
  401: "site/denied",
  403: "site/denied",
  404: "site/not-found",
  408: "site/unavailable",
  409: "site/throttled",
  412: "site/conflict",
  416: "site/corrupt",
  429: "site/throttled",
  503: "site/throttled",
  507: "site/full",
}

const hintByName: Readonly<Record<string, string>> = {
  NoSuchBucket: "create the bucket, or correct its name",
  PermanentRedirect: "set region to the bucket's own",
  AuthorizationHeaderMalformed: "set region, or signingRegion, to what the store expects",
  RequestTimeTooSkewed: "set this host's clock, best with NTP",
  NotImplemented: "a store that knows no conditional writes needs `createOnly: false`, an older one `checksums: required`",
  MissingContentLength: "an older store needs `checksums: required`",
  InvalidArgument: "a store that refuses checksum headers needs `checksums: signed`",
  InvalidObjectState: "its storage class must be thawed first: take back what moved it there, and thaw it",
  CredentialsProviderError: "set credentials, or give the host a role",
}

/** Names that node and its TLS give to a connection that can never come about. */
const deniedByTls = /^(?:CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_CERT_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE)/
const ofConnection = /^(?:E[A-Z]+|EAI_[A-Z]+|ERR_[A-Z_]+|HPE_[A-Z_]+)$/

const failureSchema = z.object({
  name: z.string(),
  $metadata: z
    .object({
      httpStatusCode: z.int().optional(),
      // The client has learnt from this answer that this host's clock differs, and signs the next request by the server's.
      clockSkewCorrected: z.boolean().optional(),
    })
    .optional()
    .catch(undefined),
  $response: z
    .object({ headers: z.record(z.string(), z.string()) })
    .optional()
    .catch(undefined),
})

/** The status of the answer that an error carries; undefined where there was none. */
export function statusOf(error: unknown): number | undefined {
  return failureSchema.safeParse(error).data?.$metadata?.httpStatusCode
}

/** What a failed call means for a site. A SiteError stays as it is, and so does a bug. */
export function s3ErrorOf(site: string, what: string, error: unknown): unknown {
  const failure = error instanceof Error ? failureSchema.safeParse(error).data : undefined
  if (error instanceof BackupError || failure === undefined) return error
  const { name } = failure
  const status = failure.$metadata?.httpStatusCode
  const errno = errnoOf(error)
  const retryAfterMs = retryAfterMsOf(failure.$response?.headers ?? {})
  const fail = (code: SiteErrorCode, why: string, hint?: string) =>
    new SiteError(site, code, `${what}: ${why}`, { cause: error, retryAfterMs, ...(hint !== undefined && { hint }) })
  const said = [name === "Error" ? "" : name, reasonOf(error)].filter((part) => part !== "").join(": ")
  if (status === 403 && failure.$metadata?.clockSkewCorrected === true)
    return fail("site/unavailable", said, hintByName.RequestTimeTooSkewed)
  const known = codeByName[name]
  if (known !== undefined) return fail(known, said, hintOf(known, name))
  if (/^checksum mismatch/i.test(reasonOf(error))) return fail("site/corrupt", said)
  if (saysDamaged(status, said)) return fail("site/unavailable", said)
  if (status !== undefined && status >= 300) {
    const code = codeOf(status)
    // The answer to a HEAD has no body that could say more.
    const why = /^Unknown/.test(name) ? (STATUS_CODES[status] ?? said) : said
    return fail(code, `${String(status)} ${why}`, hintOf(code, name))
  }
  if (errno !== undefined && deniedByTls.test(errno))
    return fail("site/denied", said, "let `ca` name the authority's certificate, if it is a private one")
  if (errno !== undefined && ofConnection.test(errno)) return fail("site/unavailable", said)
  return /aborted|socket hang up|premature close|deserialization error/i.test(said) ? fail("site/unavailable", said) : error
}

function codeOf(status: number): SiteErrorCode {
  return codeByStatus[status] ?? (status === 500 || status > 501 ? "site/unavailable" : "site/unsupported")
}

function hintOf(code: SiteErrorCode, name: string): string | undefined {
  return hintByName[name] ?? (code === "site/denied" ? "check the credentials and the policy that they have at the bucket" : undefined)
}
