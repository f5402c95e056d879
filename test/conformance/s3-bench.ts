import { createHash, createHmac } from "node:crypto"
import { request as requestPlainly } from "node:http"
import { request as requestSecurely } from "node:https"
import { buffer } from "node:stream/consumers"
import { S3 } from "@aws-sdk/client-s3"
import { SignatureV4 } from "@smithy/signature-v4"
import { expect } from "vitest"
import { z } from "zod"

export interface Access {
  readonly endpoint: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** Lets time pass at the server. */
  wait(ms: number): Promise<void>
}

/** A server under examination, and three buckets there: plain, with versions, with locks. */
export interface Bench extends Access {
  readonly s3: S3
  readonly plain: string
  readonly versioned: string
  readonly locked: string
  client(options: { readonly secretAccessKey?: string; readonly accessKeyId?: string; readonly checksums?: "WHEN_REQUIRED" }): S3
  /** A request that the client would not make, signed all the same. */
  raw(given: RawRequest): Promise<RawAnswer>
  presigned(given: { readonly method: "GET" | "PUT"; readonly path: string; readonly seconds: number }): Promise<string>
  /** A day from now, or so many. */
  day(days: number): Date
}

export interface RawRequest {
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  /** The x-amz-content-sha256 header. */
  readonly payload?: string
  readonly body: Buffer
  /** The connection is cut after so many bytes of the body. */
  readonly cutAfter?: number
}

export interface RawAnswer {
  readonly status: number
  readonly body: string
}

const region = "us-east-1"

export function benchOf(access: Access, suffix: string): Bench {
  const { endpoint, accessKeyId, secretAccessKey } = access
  const signer = new SignatureV4({
    ...{ service: "s3", region, uriEscapePath: false, sha256: Sha256 },
    credentials: { accessKeyId, secretAccessKey },
  })
  const { protocol, hostname, port, host } = new URL(endpoint)
  const address = { protocol, hostname, port: Number(port) }
  const client: Bench["client"] = ({ checksums, ...other }) =>
    new S3({
      ...{ region, endpoint, forcePathStyle: true, maxAttempts: 1, credentials: { accessKeyId, secretAccessKey, ...other } },
      requestHandler: { connectionTimeout: 3000, requestTimeout: 60_000, throwOnRequestTimeout: true },
      ...(checksums !== undefined && { requestChecksumCalculation: checksums }),
    })
  return {
    ...access,
    s3: client({}),
    client,
    ...{ plain: `plain-${suffix}`, versioned: `versioned-${suffix}`, locked: `locked-${suffix}` },
    raw: async ({ path, headers, payload = "UNSIGNED-PAYLOAD", body, cutAfter }) => {
      const given = { host, "x-amz-content-sha256": payload, "content-length": String(body.length), ...headers }
      const signed = await signer.sign({ method: "PUT", ...address, path, query: {}, headers: given })
      return await send(new URL(path, endpoint), signed.headers, body, cutAfter)
    },
    presigned: async ({ method, path, seconds }) => {
      const headers = { host, "x-amz-content-sha256": "UNSIGNED-PAYLOAD" }
      const signed = await signer.presign({ method, ...address, path, query: {}, headers }, { expiresIn: seconds })
      return `${endpoint}${path}?${new URLSearchParams(z.record(z.string(), z.string()).parse(signed.query)).toString()}`
    },
    day: (days) => new Date(Date.now() + days * 86_400_000),
  }
}

async function send(url: URL, headers: Record<string, string>, body: Buffer, cutAfter: number | undefined): Promise<RawAnswer> {
  const request = url.protocol === "https:" ? requestSecurely : requestPlainly
  return await new Promise((resolve, reject) => {
    const outgoing = request(url, { method: "PUT", headers }, (answer) => {
      buffer(answer).then((bytes) => resolve({ status: answer.statusCode ?? 0, body: bytes.toString() }), reject)
    })
    outgoing.on("error", reject)
    if (cutAfter === undefined) outgoing.end(body)
    else outgoing.write(body.subarray(0, cutAfter), () => outgoing.destroy(new Error("cut on purpose")))
  })
}

type Data = string | ArrayBuffer | ArrayBufferView

class Sha256 {
  readonly #hash

  constructor(secret?: Data) {
    this.#hash = secret === undefined ? createHash("sha256") : createHmac("sha256", bufferOf(secret))
  }

  update(data: Data): void {
    this.#hash.update(bufferOf(data))
  }

  async digest(): Promise<Uint8Array> {
    return new Uint8Array(this.#hash.digest())
  }

  reset(): void {
    throw new Error("a digest is made once")
  }
}

function bufferOf(data: Data): Buffer {
  if (typeof data === "string") return Buffer.from(data)
  return ArrayBuffer.isView(data) ? Buffer.from(data.buffer, data.byteOffset, data.byteLength) : Buffer.from(data)
}

/** Refused with this status, and, where the service's word for it matters, with this name. */
export async function refused(call: Promise<unknown>, status: number, name?: string): Promise<void> {
  await expect(call).rejects.toMatchObject({ $metadata: { httpStatusCode: status }, ...(name !== undefined && { name }) })
}

export async function bodyOf(answer: { readonly Body?: { transformToByteArray(): Promise<Uint8Array> } | undefined }): Promise<Buffer> {
  return Buffer.from((await answer.Body?.transformToByteArray()) ?? [])
}

/** One thing that a server of S3 does, by its name. */
export type Checks = Readonly<Record<string, (bench: Bench) => Promise<void>>>
