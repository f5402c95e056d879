import { BackupError, JobError, type JobErrorCode } from "../../errors.ts"

/**
 * What went wrong with the server `where`, as a JobError with what to do about it. A BackupError stays what it is. The message is the
 * server's first line alone: its details may quote rows.
 */
export function postgresFailure(where: string, error: unknown, code: JobErrorCode = "job/source"): BackupError {
  if (error instanceof BackupError) return error
  const [failure, reason] = [codeOf(error), printable(messageOf(error))]
  const hint = hints.find(([codes, pattern]) => codes.includes(failure) && pattern.test(reason))?.[2]
  return new JobError(code, `${where}: ${reason}`, { cause: error, ...(hint === undefined ? {} : { hint }) })
}

/** The SQLSTATE or the system's code of an error; empty where it has none. */
export function codeOf(error: unknown): string {
  return typeof error === "object" && error !== null && "code" in error && typeof error.code === "string" ? error.code : ""
}

function messageOf(error: unknown): string {
  // Where a name has several addresses and none answers, the error of all has a code and no message.
  if (error instanceof Error && error.message !== "") return error.message
  return codeOf(error) || "failed without a reason"
}

function printable(text: string): string {
  return text.replace(/\p{Cc}+/gu, " ").slice(0, messageMax)
}

/** A sentence of a report, not a dump. */
const messageMax = 300

const any = /(?:)/
const untrusted = [
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
]

const hints: readonly (readonly [codes: readonly string[], message: RegExp, hint: string])[] = [
  [["28P01"], any, "check the password the configuration refers to"],
  [["28000"], any, "let the role in: see pg_hba.conf on the server"],
  [["3D000"], any, "check `name`: the server has no database of that name"],
  [["42501"], /row-level security/, "give the role BYPASSRLS: without it only a part of the rows would be read"],
  [["42501"], any, "`holdline source check` prints the grants the role needs"],
  [["53200"], any, "raise max_locks_per_transaction on the server: each table needs one lock"],
  [["53300"], any, "raise max_connections on the server, or use fewer readers"],
  [["55P03"], any, "another session keeps a table locked: see pg_locks on the server"],
  [["40001"], /recovery/, "a standby removes rows that are being read: set hot_standby_feedback there, or read from the primary"],
  [["42704", "22023"], /time zone/, "use a name of the server's pg_timezone_names"],
  [untrusted, any, "name the file of the authority's certificate as `tls.ca`"],
  [["ERR_TLS_CERT_ALTNAME_INVALID"], any, "give the name in the server's certificate as `tls.serverName`"],
  [["CERT_HAS_EXPIRED"], any, "renew the server's certificate"],
  [["ECONNREFUSED", "ENOENT", "ETIMEDOUT", "EHOSTUNREACH"], any, "check `host` and `port`, and whether the server runs"],
  [["ENOTFOUND", "EAI_AGAIN"], any, "check `host`: its name has no address"],
  [[""], /does not support SSL/, "switch TLS on at the server (`ssl = on`), or reach it over its socket"],
]
