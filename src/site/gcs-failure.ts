import { z } from "zod"
import { BackupError, reasonOf, SiteError, type SiteErrorCode } from "../errors.ts"
import { retryAfterMsOf, saysDamaged } from "./answer.ts"

const codeByStatus: Readonly<Record<number, SiteErrorCode>> = {
  400: "site/unsupported",
  401: "site/denied",
  403: "site/denied",
  404: "site/not-found",
  405: "site/unsupported",
  408: "site/unavailable",
  409: "site/unavailable", // a concurrent change of the same object; Google asks for a retry
  410: "site/unavailable",
  411: "site/unsupported",
  412: "site/conflict",
  413: "site/unsupported",
  416: "site/corrupt", // the range is not within the object
  429: "site/throttled",
}

/** What the JSON API says in `errors[].reason` is more exact than its status. */
const codeByReason: Readonly<Record<string, SiteErrorCode>> = {
  rateLimitExceeded: "site/throttled",
  userRateLimitExceeded: "site/throttled",
  quotaExceeded: "site/throttled",
  dailyLimitExceeded: "site/throttled",
  accountDisabled: "site/denied",
  retentionPolicyNotMet: "site/denied",
  forbidden: "site/denied",
}

/** Names that node, its TLS and the client's own HTTP library give to a connection that can never come about. */
const deniedByTls = /^(?:CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_CERT_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE)/

/** What the client throws, as far as it matters: an answer of the JSON API, of the token server, or a failed connection. */
const failureSchema = z.object({
  code: z.union([z.string(), z.number()]).optional().catch(undefined),
  status: z.number().optional().catch(undefined),
  errors: z
    .array(z.object({ reason: z.string().optional(), message: z.string().optional() }))
    .optional()
    .catch(undefined),
  message: z.string().catch(""),
  response: z
    .object({
      statusCode: z.number().optional().catch(undefined),
      status: z.number().optional().catch(undefined),
      headers: z.record(z.string(), z.string()).optional().catch(undefined),
    })
    .optional()
    .catch(undefined),
})

export interface GcsFailure {
  /** Of the HTTP answer; undefined where there was none. */
  readonly status: number | undefined
  /** The JSON API's word for it, such as "retentionPolicyNotMet". */
  readonly reason: string | undefined
  /** The errno of a connection that failed. */
  readonly errno: string | undefined
  readonly message: string
  readonly headers: Readonly<Record<string, string>>
}

/** Null for what the client did not throw because of an answer or a connection: a bug of ours, or its own. */
export function gcsFailureOf(error: unknown): GcsFailure | null {
  const parsed = error instanceof Error ? failureSchema.safeParse(error) : null
  if (!parsed?.success) return null
  const { code, status, errors, response, message } = parsed.data
  const text = typeof code === "string" && !/^\d{3}$/.test(code) ? code : undefined
  const said = errors?.[0]
  const fromBody = bodyOf(message)
  return {
    status: response?.statusCode ?? response?.status ?? status ?? (text === undefined && code !== undefined ? Number(code) : undefined),
    reason: said?.reason ?? fromBody?.reason,
    errno: text,
    message: (said?.message ?? fromBody?.message ?? message).replace(/\s+/g, " ").trim(),
    headers: response?.headers ?? {},
  }
}

/** What a failed call means for a site. A SiteError stays as it is, and so does a bug. */
export function gcsErrorOf(site: string, what: string, error: unknown): unknown {
  const failure = gcsFailureOf(error)
  if (error instanceof BackupError || failure === null) return error
  const { status, reason, errno, message } = failure
  const retryAfterMs = retryAfterMsOf(failure.headers)
  const fail = (code: SiteErrorCode, why: string, hint?: string) =>
    new SiteError(site, code, `${what}: ${why}`, { cause: error, retryAfterMs, ...(hint !== undefined && { hint }) })
  if (isMissingBucket(failure)) return fail("site/denied", "no such bucket", "create the bucket, or correct its name")
  // The answer was good as far as it came.
  if (status !== undefined && status < 300) return fail("site/unavailable", message)
  if (status !== undefined) {
    const code = codeOf(status, reason, message)
    return fail(code, `${String(status)} ${reason ?? ""}: ${message}`.replace(" :", ":"), hintOf(code, reason))
  }
  if (errno !== undefined && deniedByTls.test(errno)) {
    return fail("site/denied", `${errno}: ${message}`, "let NODE_EXTRA_CA_CERTS name the authority's certificate, if it is a private one")
  }
  if (/default credentials|refresh token|private key|keyfile|credential/i.test(message)) {
    return fail("site/denied", message, "let credentials.file name a service account's key or a workload identity's file")
  }
  return isOfConnection(error, errno) ? fail("site/unavailable", reasonOf(error)) : error
}

/** A bucket that is not there is answered as an object that is not there, but for the words. */
export function isMissingBucket({ status, message }: GcsFailure): boolean {
  return status === 404 && /bucket does not exist/i.test(message)
}

function codeOf(status: number, reason: string | undefined, message: string): SiteErrorCode {
  const byReason = status === 403 && reason !== undefined ? codeByReason[reason] : undefined
  if (byReason !== undefined) return byReason
  if (saysDamaged(status, message)) return "site/unavailable"
  return codeByStatus[status] ?? (status >= 500 ? "site/unavailable" : "site/unsupported")
}

function hintOf(code: SiteErrorCode, reason: string | undefined): string | undefined {
  if (reason === "retentionPolicyNotMet") return "the object is kept until its retention ends"
  return code === "site/denied" ? "check the credentials and their roles at the bucket" : undefined
}

// A failed download carries its answer's body as its message.
function bodyOf(message: string): { reason?: string | undefined; message?: string | undefined } | undefined {
  if (!message.startsWith("{")) return undefined
  try {
    const body = z.object({ error: z.object({ errors: z.array(z.object({ reason: z.string(), message: z.string() })) }) })
    return body.parse(JSON.parse(message)).error.errors[0]
  } catch {
    // Not the API's own: the text is all there is.
    return undefined
  }
}

function isOfConnection(error: unknown, errno: string | undefined): boolean {
  if (errno !== undefined && /^(?:E[A-Z_]+|ERR_[A-Z_]+|HPE_[A-Z_]+|UND_[A-Z_]+)$/.test(errno)) return true
  const name = error instanceof Error ? error.name : ""
  return name === "FetchError" || name === "AbortError" || /premature close|socket hang up|invalid json/i.test(reasonOf(error))
}
