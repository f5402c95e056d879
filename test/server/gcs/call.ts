import type { IncomingMessage } from "node:http"
import type { z } from "zod"
import type { Clock } from "../../../src/clock.ts"
import type { Bucket, ObjectStore } from "../store.ts"
import { invalid, Refusal } from "./refusal.ts"

/** One request on its way through the front. */
export interface Call {
  readonly method: string
  /** Decoded segments of the path behind /storage/v1 or /upload/storage/v1. */
  readonly path: readonly string[]
  readonly upload: boolean
  readonly query: URLSearchParams
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  readonly store: ObjectStore
  readonly clock: Clock
  /** Such as http://127.0.0.1:40123, as the client calls the server. */
  readonly origin: string
  /** How many of the newest objects a listing does not show yet. */
  readonly missing: number
  /** Entries of one page of a listing. */
  readonly pageMax: number
}

export interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
}

export function json(value: unknown): Answer {
  return { status: 200, headers: { "content-type": "application/json; charset=UTF-8" }, body: JSON.stringify(value) }
}

export function bucketOf(call: Call, name: string): Bucket {
  const bucket = call.store.bucket(name)
  if (bucket === undefined) throw new Refusal(404, "notFound", "The specified bucket does not exist.")
  return bucket
}

/** The JSON of a body; an empty one says nothing. */
export function parsed<T>(schema: z.ZodType<T>, body: Buffer): T {
  try {
    return schema.parse(body.length === 0 ? {} : JSON.parse(body.toString("utf8")))
  } catch (error) {
    throw invalid(`Parse Error: ${String(error)}`)
  }
}

export interface Parts {
  readonly metadata: Buffer
  readonly contentType: string
  readonly bytes: Buffer
}

/** Both parts of a multipart/related body: the resource as JSON, then the bytes. */
export function partsOf(body: Buffer, contentType: string): Parts {
  const boundary = /boundary="?([^";]+)"?/.exec(contentType)?.[1]
  if (boundary === undefined) throw invalid("Malformed multipart body: no boundary")
  const [first, second] = [partAt(body, boundary, 0), partAt(body, boundary, 1)]
  return { metadata: first.bytes, contentType: second.headers["content-type"] ?? "application/octet-stream", bytes: second.bytes }
}

function partAt(body: Buffer, boundary: string, index: number): { headers: Record<string, string>; bytes: Buffer } {
  const mark = Buffer.from(`\r\n--${boundary}`)
  // The first mark has no line before it.
  let start = mark.length - 2
  if (body.subarray(0, start).toString() !== `--${boundary}`) throw invalid("Malformed multipart body")
  for (let passed = 0; passed < index; passed++) {
    const next = body.indexOf(mark, start)
    if (next === -1) throw invalid("Malformed multipart body: too few parts")
    start = next + mark.length
  }
  const head = body.indexOf("\r\n\r\n", start)
  const end = body.indexOf(mark, head + 2)
  if (head === -1 || end === -1) throw invalid("Malformed multipart body: cut short")
  const lines = body.toString("latin1", start, head).split("\r\n")
  const headers = lines.flatMap((line) => {
    const colon = line.indexOf(":")
    return colon === -1 ? [] : [[line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const]
  })
  return { headers: Object.fromEntries(headers), bytes: body.subarray(Math.min(head + 4, end), end) }
}

export interface Received {
  readonly body: Buffer
  /** The connection broke before the body was whole. */
  readonly broken: boolean
}

export async function readBody(message: IncomingMessage): Promise<Received> {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of message) chunks.push(Buffer.from(chunk))
    return { body: Buffer.concat(chunks), broken: false }
  } catch {
    return { body: Buffer.concat(chunks), broken: true }
  }
}
