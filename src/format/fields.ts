import { z } from "zod"
import { FormatError } from "../errors.ts"
import { isAccountId, isAgentId, isDate, namePattern } from "./names.ts"

/** Field types that several objects share (README §2). */
export const integer = z.int().min(0)
export const name = z.string().regex(namePattern, "expected a name of a-z, 0-9 and dashes")
export const agentId = z.string().refine(isAgentId, "expected an agent's id")
export const id128 = z.string().regex(/^[0-9a-f]{32}$/, "expected 32 lower-case hex characters")
export const accountId = z.string().refine(isAccountId, "expected an account id")
export const date = z.string().refine(isDate, "expected yyyy-mm-dd")
export const time = z.string().regex(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/, "expected an ISO 8601 time in UTC with milliseconds")
export const publicKey = z.string().regex(/^[A-Za-z0-9+/]{43}=$/, "expected a base64 ed25519 public key")
export const recipient = z.string().regex(/^age1[0-9a-z]{40,2100}$/, "expected an age recipient")
/** Nanoseconds since 1970 as a decimal string: they do not fit a JSON integer. */
export const nanoseconds = z.string().regex(/^(?:0|-?[1-9]\d{0,18})$/, "expected decimal nanoseconds")
export const text = z.string().max(1000)
/** "<n>-<hash32>": a trust list, as commits and statements name it. */
export const trustReference = z.string().regex(/^\d{1,9}-[0-9a-f]{32}$/, "expected a trust list's number and hash")
export const criticalFields = z.array(z.string().max(100)).max(100)

/** An unknown field is ignored unless the writer named it in `crit`: then whoever does not know it must refuse the object. */
export function refuseUnknownCritical(crit: readonly string[], known: readonly string[], what: string): void {
  const unknown = crit.filter((field) => !known.includes(field))
  if (unknown.length > 0) {
    throw new FormatError("format/unsupported", `${what}: needs a newer release to read ${unknown.join(", ")}`, {
      hint: "upgrade Holdline",
    })
  }
}
