import { mkdirSync } from "node:fs"
import { systemClock } from "../../src/clock.ts"
import { classDaysMin, keyLockDays } from "../../src/limits.ts"
import { gcsFront } from "../server/gcs/front.ts"
import { makeBucket } from "../server/gcs/start.ts"
import { accessKey, secretKey } from "../server/s3/connect.ts"
import { s3Front } from "../server/s3/front.ts"
import { type Front, type ServerWorld, type StandIn, startServer } from "../server/server.ts"
import type { Version } from "../server/store.ts"

/** Packs, commits and trust; key objects in a bucket of their own, so that a customer can be forgotten. */
export const buckets = { packs: "acme-vault", keys: "acme-vault-keys" } as const

/** A stand-in for somebody's cloud on loopback, which can go away in the middle of an upload, come back, and rot. */
export class Cloud implements AsyncDisposable {
  readonly #server: StandIn
  readonly #gate: Gate

  private constructor(server: StandIn, gate: Gate) {
    this.#server = server
    this.#gate = gate
  }

  static async open(directory: string, front: (world: ServerWorld) => Front): Promise<Cloud> {
    mkdirSync(directory, { recursive: true })
    const gate: Gate = { uploadsLeft: Number.POSITIVE_INFINITY }
    const server = await startServer({ directory, clock: systemClock, front: (world) => guarded(front(world), gate) })
    return new Cloud(server, gate)
  }

  get server(): StandIn {
    return this.#server
  }

  get endpoint(): string {
    return this.#server.endpoint
  }

  /** After so many more uploads every connection is cut, those for questions too; 0: from now on. */
  dieAfter(uploads: number): void {
    this.#gate.uploadsLeft = uploads
  }

  comeBack(): void {
    this.#gate.uploadsLeft = Number.POSITIVE_INFINITY
  }

  get keys(): string[] {
    return Object.values(buckets).flatMap((name) => [...(this.#server.store.bucket(name)?.keys("v1/") ?? [])])
  }

  /** Newest first: rotten bytes are behind the good ones that took their place. */
  versions(key: string): readonly Version[] {
    return Object.values(buckets).flatMap((name) => [...(this.#server.store.bucket(name)?.versions(key) ?? [])])
  }

  /** The file on the server's own disk that has the bytes of a key. */
  pathOf(key: string): string {
    for (const name of Object.values(buckets)) {
      const bucket = this.#server.store.bucket(name)
      const version = bucket?.latest(key)
      if (bucket !== undefined && version !== undefined) return bucket.pathOf(version)
    }
    throw new Error(`${key}: not at ${this.endpoint}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop()
  }
}

interface Gate {
  uploadsLeft: number
}

function guarded(front: Front, gate: Gate): Front {
  return async (request, response) => {
    const isUpload = request.method === "PUT" || request.method === "POST"
    if (gate.uploadsLeft > 0) {
      if (isUpload) gate.uploadsLeft -= 1
      await front(request, response)
    } else request.socket.destroy()
  }
}

/** An S3 with the buckets that `holdline site policy` describes: versions, and a default lock. */
export async function openS3(directory: string): Promise<Cloud> {
  const cloud = await Cloud.open(directory, s3Front({ credentials: new Map([[accessKey, secretKey]]) }))
  const settings = { lock: true, versioning: "Enabled", defaultMode: "GOVERNANCE", publicAccessBlock }
  cloud.server.store.createBucket(buckets.packs, { ...settings, defaultDays: classDaysMin })
  cloud.server.store.createBucket(buckets.keys, { ...settings, defaultDays: keyLockDays })
  return cloud
}

/** A Google Cloud Storage with the buckets that `holdline site policy` describes: kept for a while, keys without soft delete. */
export async function openGcs(directory: string): Promise<Cloud> {
  const cloud = await Cloud.open(directory, gcsFront)
  const effectiveTime = systemClock.now().toISOString()
  const keptFor = (days: number) => ({ retentionPolicy: { retentionPeriod: String(days * 86_400), effectiveTime } })
  const objectRetention = { mode: "Enabled" }
  makeBucket(cloud.server, buckets.packs, { ...keptFor(classDaysMin), objectRetention })
  const softDeletePolicy = { retentionDurationSeconds: "0", effectiveTime }
  makeBucket(cloud.server, buckets.keys, { ...keptFor(keyLockDays), objectRetention, softDeletePolicy })
  return cloud
}

const publicAccessBlock = `<PublicAccessBlockConfiguration>${[
  "BlockPublicAcls",
  "IgnorePublicAcls",
  "BlockPublicPolicy",
  "RestrictPublicBuckets",
]
  .map((name) => `<${name}>true</${name}>`)
  .join("")}</PublicAccessBlockConfiguration>`
