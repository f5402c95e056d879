import type { IncomingMessage } from "node:http"
import { Refusal } from "./refusal.ts"

export interface S3Request {
  readonly method: string
  /** As sent, before the question mark. */
  readonly rawPath: string
  readonly bucket: string
  readonly key: string
  /** Decoded names and values, in the order sent; a name without a value has an empty one. */
  readonly query: readonly (readonly [name: string, value: string])[]
  readonly headers: Readonly<Record<string, string>>
  parameter(name: string): string | undefined
}

export function parseRequest(message: IncomingMessage): S3Request {
  const url = message.url ?? "/"
  const mark = url.indexOf("?")
  const rawPath = mark === -1 ? url : url.slice(0, mark)
  const query = pairsOf(mark === -1 ? "" : url.slice(mark + 1))
  const [, bucket = "", ...rest] = rawPath.split("/")
  const parameters = new Map(query)
  return {
    ...{ method: message.method ?? "GET", rawPath, query, headers: headersOf(message) },
    bucket: decode(bucket),
    key: rest.map(decode).join("/"),
    parameter: (name) => parameters.get(name),
  }
}

export async function readBody(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks)
}

export interface Decoded {
  readonly bytes: Buffer
  /** Lower-case names. */
  readonly trailers: Readonly<Record<string, string>>
}

/** The bytes within an aws-chunked body, and the trailers behind them. */
export function decodeChunked(body: Buffer, decodedLength: number): Decoded {
  const pieces: Buffer[] = []
  let at = 0
  for (;;) {
    const end = body.indexOf("\r\n", at)
    const size = Number.parseInt(end === -1 ? "" : body.toString("latin1", at, end), 16)
    if (!Number.isSafeInteger(size) || end + 2 + size > body.length) throw new Refusal("IncompleteBody", "the chunks are cut short")
    at = end + 2
    if (size === 0) break
    pieces.push(body.subarray(at, at + size))
    at += size + 2
  }
  const lines = body.toString("latin1", at).split("\r\n")
  const trailers = Object.fromEntries(lines.flatMap((line) => (line.includes(":") ? [trailerOf(line)] : [])))
  const bytes = Buffer.concat(pieces)
  if (bytes.length !== decodedLength) throw new Refusal("IncompleteBody", "the chunks are not as long as x-amz-decoded-content-length says")
  return { bytes, trailers }
}

function trailerOf(line: string): [string, string] {
  const colon = line.indexOf(":")
  return [line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()]
}

function headersOf(message: IncomingMessage): Record<string, string> {
  const all = Object.entries(message.headersDistinct)
  return Object.fromEntries(all.map(([name, values]) => [name, (values ?? []).join(",")]))
}

function pairsOf(text: string): (readonly [string, string])[] {
  const parts = text.split("&").filter((part) => part !== "")
  return parts.map((part) => {
    const equals = part.indexOf("=")
    return equals === -1 ? [decode(part), ""] : [decode(part.slice(0, equals)), decode(part.slice(equals + 1))]
  })
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new Refusal("InvalidArgument", "the address is not well encoded")
  }
}
