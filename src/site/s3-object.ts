import { Readable } from "node:stream"
import { z } from "zod"
import { SiteError } from "../errors.ts"
import { packBytesMax } from "../limits.ts"
import { checkRange, isSegment } from "./rules.ts"
import type { ByteRange, ObjectInfo } from "./site.ts"
import { frozenReason } from "./tiers.ts"

/** What a HEAD says of an object; the rest of the answer does not matter. */
const headSchema = z.object({
  ContentLength: z.int().nonnegative(),
  LastModified: z.date(),
  ETag: z.string().optional(),
  VersionId: z.string().optional(),
  ChecksumSHA256: z.string().optional(),
  ObjectLockMode: z.string().optional(),
  ObjectLockRetainUntilDate: z.date().optional(),
  StorageClass: z.string().optional(),
  /** Where Intelligent-Tiering keeps an object that nobody has asked for in a while. */
  ArchiveStatus: z.string().optional(),
  /** Such as ongoing-request="false", once a copy was thawed. */
  Restore: z.string().optional(),
})

/** An object as a HEAD found it. */
export interface Look {
  readonly info: ObjectInfo
  readonly etag: string | undefined
  readonly lockMode: string | undefined
}

export function lookOf(site: string, key: string, answer: unknown): Look {
  const head = parsed(site, `head ${key}`, headSchema, answer)
  const sha256 = sha256Of(head.ChecksumSHA256)
  const info = {
    key,
    bytes: head.ContentLength,
    ...(sha256 !== undefined && { checksum: { algorithm: "sha256" as const, value: sha256 } }),
    storedAt: head.LastModified,
    ...(head.VersionId !== undefined && head.VersionId !== "null" && { version: head.VersionId }),
    ...(head.ObjectLockRetainUntilDate !== undefined && { lockedUntil: head.ObjectLockRetainUntilDate }),
    ...(head.Restore?.includes('ongoing-request="false"') !== true && frozenAs(head.ArchiveStatus ?? head.StorageClass)),
  }
  return { info, etag: head.ETag, lockMode: head.ObjectLockMode }
}

/** Says of an object found in this storage class that it cannot be read, where that is so. */
export function frozenAs(tier: string | undefined): Pick<ObjectInfo, "frozen"> {
  const frozen = frozenReason(tier)
  return frozen === undefined ? {} : { frozen }
}

// The checksum of an object that came in parts is one of its parts' checksums: it ends in their number, and says nothing of the bytes.
function sha256Of(base64: string | undefined): string | undefined {
  return base64 !== undefined && /^[A-Za-z0-9+/]{43}=$/.test(base64) ? Buffer.from(base64, "base64").toString("hex") : undefined
}

const pageSchema = z.object({
  Contents: z
    .array(z.object({ Key: z.string(), Size: z.int().nonnegative(), LastModified: z.date(), StorageClass: z.string().optional() }))
    .default([]),
  IsTruncated: z.boolean().default(false),
  NextContinuationToken: z.string().min(1).optional(),
})

export interface ListedPage {
  readonly infos: readonly ObjectInfo[]
  /** The next page's; absent: this is the last. */
  readonly next: string | undefined
}

/** One page of a listing, refused where it does not go on from `last`, the key that the page before ended with. */
export function pageOf(site: string, prefix: string, last: string, answer: unknown): ListedPage & { readonly last: string } {
  const { Contents, IsTruncated, NextContinuationToken } = parsed(site, `list ${prefix}`, pageSchema, answer)
  const broken = (why: string) => new SiteError(site, "site/corrupt", `list ${prefix}: ${why}`)
  if (IsTruncated && NextContinuationToken === undefined) throw broken("there is more, but not said where")
  let before = last
  for (const { Key } of Contents) {
    if (Key <= before) throw broken(`${Key} comes after ${before}`)
    if (!Key.startsWith(prefix)) throw broken(`${Key} does not begin like that`)
    before = Key
  }
  // What is no key was not put here by any Holdline, and cannot be asked for.
  const keys = Contents.filter(({ Key }) => Key.split("/").every(isSegment))
  // A HEAD knows whole seconds only, and both shall say the same.
  const infos = keys.map(({ Key, Size, LastModified, StorageClass }) => {
    return { key: Key, bytes: Size, storedAt: new Date(Math.floor(LastModified.getTime() / 1000) * 1000), ...frozenAs(StorageClass) }
  })
  return { infos, next: IsTruncated ? NextContinuationToken : undefined, last: before }
}

const bodySchema = z.object({
  Body: z.instanceof(Readable),
  ContentLength: z.int().nonnegative(),
  ContentRange: z.string().optional(),
})

/** The bytes of an answer: all of them, of the range that was asked for, and never more than an object may have. */
export async function bytesOf(site: string, key: string, answer: unknown, range: ByteRange | undefined, signal: AbortSignal | undefined) {
  const { Body, ContentLength, ContentRange } = parsed(site, `get ${key}`, bodySchema, answer)
  // Once an answer has begun, the client no longer looks at the signal.
  const end = () => Body.destroy()
  signal?.addEventListener("abort", end, { once: true })
  try {
    checkAnswered(site, key, ContentLength, ContentRange, range)
    const bytes = await readWhole(site, key, Body, ContentLength)
    signal?.throwIfAborted()
    return bytes
  } finally {
    signal?.removeEventListener("abort", end)
    Body.destroy()
  }
}

function checkAnswered(site: string, key: string, length: number, contentRange: string | undefined, range: ByteRange | undefined): void {
  if (range === undefined) {
    if (length > packBytesMax) checkRange(site, key, length, { offset: 0, length })
    return
  }
  const [, first, , size] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(contentRange ?? "") ?? []
  if (Number(first) !== range.offset) {
    throw new SiteError(site, "site/unsupported", `get ${key}: the server does not answer with the range asked for`)
  }
  checkRange(site, key, Number(size), range)
  if (length !== range.length) throw new SiteError(site, "site/corrupt", `get ${key}: the answer is not as long as the range`)
}

// In a buffer of their own, so that a worker can take it.
async function readWhole(site: string, key: string, body: Readable, length: number): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafeSlow(length)
  let filled = 0
  for await (const piece of body) {
    const part = z.instanceof(Uint8Array).parse(piece)
    if (filled + part.length > length) throw new SiteError(site, "site/corrupt", `get ${key}: more bytes came than were announced`)
    bytes.set(part, filled)
    filled += part.length
  }
  if (filled === length) return bytes
  throw new SiteError(site, "site/unavailable", `get ${key}: the answer ended after ${String(filled)} of ${String(length)} bytes`)
}

export function parsed<T>(site: string, what: string, schema: z.ZodType<T>, answer: unknown): T {
  const { success, data, error } = schema.safeParse(answer)
  if (success) return data
  throw new SiteError(site, "site/corrupt", `${what}: the answer is not understood`, { cause: error })
}
