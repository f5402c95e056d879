import { FormatError } from "../errors.ts"
import { jsonDepthMax } from "../limits.ts"

/** What canonical JSON can hold: no floats, no undefined. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined }

const asciiKey = /^[\x20-\x7e]+$/

/**
 * Canonical JSON (README §2): sorted ASCII keys, no white space, integers below 2^53, no duplicate keys. A member that is
 * undefined is left out.
 */
export function encodeCanonical(value: Json): string {
  return encode(value, 0)
}

function encode(value: Json, depth: number): string {
  if (depth > jsonDepthMax) throw new FormatError("format/too-large", `JSON nested deeper than ${String(jsonDepthMax)}`)
  if (value === null || typeof value === "boolean") return String(value)
  if (typeof value === "number") return encodeInteger(value)
  if (typeof value === "string") return encodeString(value)
  if (isArray(value)) return `[${value.map((element) => encode(element, depth + 1)).join(",")}]`
  const members: string[] = []
  for (const key of Object.keys(value).sort()) {
    const member = value[key]
    if (member === undefined) continue
    if (!asciiKey.test(key)) throw new FormatError("format/malformed", `JSON key ${JSON.stringify(key)}: expected printable ASCII`)
    members.push(`${JSON.stringify(key)}:${encode(member, depth + 1)}`)
  }
  return `{${members.join(",")}}`
}

function isArray(value: Json): value is readonly Json[] {
  return Array.isArray(value)
}

function encodeInteger(value: number): string {
  if (!Number.isSafeInteger(value) || Object.is(value, -0)) {
    throw new FormatError("format/malformed", `JSON number ${String(value)}: expected an integer below 2^53`)
  }
  return String(value)
}

function encodeString(value: string): string {
  if (!value.isWellFormed()) throw new FormatError("format/malformed", "JSON string with a lone surrogate")
  return JSON.stringify(value)
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** Strict UTF-8; `what` names the object in the error. */
export function decodeUtf8(bytes: Uint8Array, what: string): string {
  try {
    return utf8.decode(bytes)
  } catch (cause) {
    throw new FormatError("format/malformed", `${what}: not UTF-8`, { cause })
  }
}

/** Reads canonical JSON and refuses any other: decode∘encode is the identity, so duplicate keys, floats and white space cannot hide. */
export function decodeCanonical(text: string, what: string): Json {
  let value: Json
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new FormatError("format/malformed", `${what}: not JSON`, { cause })
  }
  if (encodeCanonical(value) !== text) throw new FormatError("format/malformed", `${what}: not canonical JSON`)
  return value
}
