import { z } from "zod"
import { FormatError } from "../errors.ts"
import { listingBytesMax } from "../limits.ts"
import { decodeCanonical, decodeUtf8, encodeCanonical, type Json } from "./canonical.ts"
import { criticalFields, refuseUnknownCritical } from "./fields.ts"
import { paddingOf, readTar, tarHeader, trailer } from "./tar.ts"

/**
 * A listing is a tar with one member of JSON lines: line 1 says what it lists, each further line is one entry. Manifests and
 * inventories are listings. Data segments only have members below d/ and p/, so no captured file can pass for one.
 */
export function encodeListing(
  member: string,
  header: Json,
  entries: Iterable<Json>,
): { readonly tar: Uint8Array; readonly lines: Uint8Array } {
  const text: string[] = [encodeCanonical(header), "\n"]
  for (const entry of entries) text.push(encodeCanonical(entry), "\n")
  const lines = Buffer.from(text.join(""))
  if (lines.length > listingBytesMax) throw new FormatError("format/too-large", `${member}: ${String(lines.length)} bytes`)
  const head = tarHeader({ name: Buffer.from(member), size: lines.length, mode: 0o600, mtime: 0 })
  return { tar: Buffer.concat([head, lines, new Uint8Array(paddingOf(lines.length)), trailer]), lines }
}

/** The JSON lines of a listing's tar. */
export function listingLines(member: string, tar: Uint8Array): Uint8Array {
  const [entry] = readTar(tar, { what: member, membersMax: 1 })
  if (entry === undefined || Buffer.from(entry.name).toString("latin1") !== member) {
    throw new FormatError("format/malformed", `${member}: not the only member of its segment`)
  }
  if (entry.mode !== 0o600 || entry.mtime !== 0) throw new FormatError("format/malformed", `${member}: unexpected tar header`)
  return tar.subarray(entry.offset, entry.offset + entry.size)
}

export interface ListingSchemas<H extends z.ZodType, E extends z.ZodType> {
  readonly header: H
  readonly entry: E
}

export function decodeListing<H extends z.ZodType, E extends z.ZodType>(
  member: string,
  lines: Uint8Array,
  schemas: ListingSchemas<H, E>,
): { readonly header: z.infer<H>; readonly entries: z.infer<E>[] } {
  if (lines.length > listingBytesMax) throw new FormatError("format/too-large", `${member}: ${String(lines.length)} bytes`)
  const text = decodeUtf8(lines, member)
  if (!text.endsWith("\n")) throw new FormatError("format/malformed", `${member}: last line is cut`)
  const headerEnd = text.indexOf("\n")
  const header = parseVersioned(schemas.header, decodeCanonical(text.slice(0, headerEnd), member), `${member} line 1`)
  const entries: z.infer<E>[] = []
  // One line after the other, not split at once: 32 MiB of empty lines must not become 32 million strings.
  for (let start = headerEnd + 1; start < text.length; ) {
    const end = text.indexOf("\n", start)
    const what = `${member} line ${String(entries.length + 2)}`
    entries.push(parseWith(schemas.entry, decodeCanonical(text.slice(start, end), what), what))
    start = end + 1
  }
  return { header, entries }
}

const versioned = z.object({ v: z.int(), crit: criticalFields.optional() })

/** Parses an object of this version; refuses another version, and fields that whoever does not know them must not ignore (README §15). */
export function parseVersioned<S extends z.ZodType>(schema: S, value: Json, what: string): z.infer<S> {
  const { v, crit } = parseWith(versioned, value, what)
  if (v !== 1) throw new FormatError("format/unsupported", `${what}: format version ${String(v)}`, { hint: "upgrade Holdline" })
  refuseUnknownCritical(crit ?? [], [], what)
  return parseWith(schema, value, what)
}

/** Parses with a schema and turns its complaint into a FormatError. */
export function parseWith<S extends z.ZodType>(schema: S, value: unknown, what: string): z.infer<S> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  throw new FormatError("format/malformed", `${what}: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "invalid"}`)
}
