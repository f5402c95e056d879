import { z } from "zod"
import { SiteError } from "../errors.ts"
import { gcsFailureOf, isMissingBucket } from "./gcs-failure.ts"
import { checkRange } from "./rules.ts"
import type { ByteRange, ObjectInfo } from "./site.ts"

/** What the server says of an object, in our words. */
export function infoOf(site: string, key: string, metadata: unknown): ObjectInfo {
  const parsed = metadataSchema.safeParse(metadata)
  if (!parsed.success) {
    throw new SiteError(site, "site/corrupt", `${key}: what the server says of it is not understood`, { cause: parsed.error })
  }
  const { size, crc32c, md5Hash, timeCreated, generation, retention, retentionExpirationTime } = parsed.data
  const lockedUntil = latest([retention?.retainUntilTime, retentionExpirationTime])
  return {
    key,
    bytes: Number(size),
    ...checksumOf(crc32c, md5Hash),
    storedAt: new Date(timeCreated),
    version: String(generation),
    ...(lockedUntil !== undefined && { lockedUntil }),
  }
}

/** What matters of an object's resource; https://cloud.google.com/storage/docs/json_api/v1/objects#resource */
const metadataSchema = z.object({
  size: z.union([z.string().regex(/^\d{1,15}$/), z.int()]),
  crc32c: z.base64().length(8).optional(),
  md5Hash: z.base64().length(24).optional(),
  timeCreated: z.iso.datetime({ offset: true }),
  generation: z.union([z.string().regex(/^\d+$/), z.int()]),
  retention: z.object({ retainUntilTime: z.iso.datetime({ offset: true }).optional() }).nullish(),
  retentionExpirationTime: z.iso.datetime({ offset: true }).optional(),
})

const headersSchema = z.record(z.string(), z.string())
const nextSchema = z.object({ pageToken: z.string().min(1).optional() }).nullish()
const answerSchema = z.object({ statusCode: z.number(), headers: headersSchema })

export interface Received {
  readonly range: ByteRange | undefined
  readonly received: number
}

// A connection that breaks must not pass for an object that is shorter, nor an answer to another question for ours.
export function checkAnswer(site: string, key: string, answer: unknown, { range, received }: Received): void {
  const { statusCode, headers } = answerSchema.parse(answer)
  const promised = Number(headers["content-length"] ?? received)
  if (range !== undefined) {
    const [, first, , size] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(headers["content-range"] ?? "") ?? []
    if (statusCode !== 206 || Number(first) !== range.offset) {
      throw new SiteError(site, "site/unsupported", `get ${key}: the server does not answer with the range asked for`)
    }
    checkRange(site, key, Number(size), range)
  }
  if (received !== promised || (range !== undefined && received !== range.length)) {
    throw new SiteError(site, "site/unavailable", `get ${key}: the answer ended after ${String(received)} bytes`)
  }
}

/** The headers of an answer, also of one that says that there is no such object. */
export async function headersOf(call: () => Promise<readonly unknown[]>): Promise<Readonly<Record<string, string>>> {
  try {
    const [, response] = await call()
    return z.object({ headers: headersSchema }).parse(response).headers
  } catch (error) {
    const failure = gcsFailureOf(error)
    if (failure?.status !== 404 || isMissingBucket(failure)) throw error
    return failure.headers
  }
}

/** What to ask the next page of a listing with; undefined after the last. */
export function nextPageOf(next: unknown): string | undefined {
  return nextSchema.parse(next)?.pageToken
}

/** Counts the changes of what is said of an object. */
export function metagenerationOf(site: string, key: string, metadata: unknown): string {
  const parsed = z.object({ metageneration: z.union([z.string().regex(/^\d+$/), z.int()]) }).safeParse(metadata)
  if (parsed.success) return String(parsed.data.metageneration)
  throw new SiteError(site, "site/corrupt", `${key}: what the server says of it is not understood`, { cause: parsed.error })
}

/** Whether nobody can shorten the object's own retention. */
export function isObjectLocked(metadata: unknown): boolean {
  return z.object({ retention: z.object({ mode: z.literal("Locked") }) }).safeParse(metadata).success
}

/** Whether the object has a retention of its own that can be shortened. */
export function isObjectUnlocked(metadata: unknown): boolean {
  return z.object({ retention: z.object({ mode: z.literal("Unlocked") }) }).safeParse(metadata).success
}

/** Whether nobody can shorten the retention of the bucket's objects. */
export function isBucketLocked(metadata: unknown): boolean {
  return z.object({ retentionPolicy: z.object({ isLocked: z.literal(true) }) }).safeParse(metadata).success
}

// In a buffer of their own, so that a worker can take it.
export function joined(pieces: readonly Buffer[], length: number): Uint8Array {
  const bytes = Buffer.allocUnsafeSlow(length)
  let filled = 0
  for (const piece of pieces) filled += piece.copy(bytes, filled)
  return bytes
}

/** Composed objects have no MD5, and the CRC is what uploads were checked by: so it comes first. */
function checksumOf(crc32c: string | undefined, md5: string | undefined): Pick<ObjectInfo, "checksum"> {
  if (crc32c !== undefined) return { checksum: { algorithm: "crc32c", value: Buffer.from(crc32c, "base64").toString("hex") } }
  if (md5 !== undefined) return { checksum: { algorithm: "md5", value: Buffer.from(md5, "base64").toString("hex") } }
  return {}
}

function latest(times: readonly (string | undefined)[]): Date | undefined {
  const known = times.flatMap((time) => (time === undefined ? [] : [new Date(time)]))
  return known.sort((a, b) => b.getTime() - a.getTime())[0]
}

/** A CRC-32C as ObjectInfo has it. */
export function hexOf(crc: number): string {
  return crc.toString(16).padStart(8, "0")
}

/** A CRC-32C as the JSON API has it. */
export function base64Of(crc: number): string {
  return Buffer.from(hexOf(crc), "hex").toString("base64")
}
