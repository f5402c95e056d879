import { type Clock, systemClock } from "../../src/clock.ts"
import { gcsSite } from "../../src/site/gcs.ts"
import { s3Site } from "../../src/site/s3.ts"
import type { OpenedSite } from "../../src/site/site.ts"
import type { FaultAction } from "../server/fault-queue.ts"
import { makeBucket, startGcs } from "../server/gcs/start.ts"
import { credentialsFile, type S3StandIn, s3StandIn } from "../server/s3/connect.ts"
import type { StandIn } from "../server/server.ts"
import type { Client } from "./matrix.ts"

const buckets = ["packs", "keys"] as const

export interface ServiceOptions {
  /** The server's own. */
  readonly clock?: Clock
  /** The buckets lock what comes for an hour, or, at S3, a day, and locks can be extended. */
  readonly locked?: boolean
  /** A page of a listing has two entries. */
  readonly shortPages?: boolean
  /** The directory of another of its kind: its buckets and objects. */
  readonly copyOf?: string | undefined
}

/** A stand-in of this kind, with both buckets, which keep versions. */
export async function startService(client: Client, options: ServiceOptions = {}): Promise<StandIn> {
  return client === "s3" ? await startS3(options) : await startGoogle(options)
}

export async function startS3({ clock = systemClock, locked = false, shortPages = false, copyOf }: ServiceOptions): Promise<S3StandIn> {
  const server = await s3StandIn({ clock, vendor: shortPages ? ["short-pages"] : [], copyOf })
  if (copyOf !== undefined) return server
  const lock = locked ? { lock: true, defaultMode: "GOVERNANCE", defaultDays: 1 } : {}
  for (const bucket of buckets) server.store.createBucket(bucket, { versioning: "Enabled", ...lock })
  return server
}

async function startGoogle({ clock = systemClock, locked = false, shortPages = false, copyOf }: ServiceOptions): Promise<StandIn> {
  const server = await startGcs({ clock, shortPages, copyOf })
  if (copyOf !== undefined) return server
  const effectiveTime = clock.now().toISOString()
  const lock = locked ? { objectRetention: { mode: "Enabled" }, retentionPolicy: { retentionPeriod: "3600", effectiveTime } } : {}
  for (const bucket of buckets) makeBucket(server, bucket, { versioning: { enabled: true }, ...lock })
  return server
}

/** The real client of the service at `endpoint`, without retries. */
export async function connect(client: Client, name: string, endpoint: string, locked = false): Promise<OpenedSite> {
  const place = { name, bucket: buckets[0], keys: buckets[1], endpoint, ...(locked && { lock: "governance" as const }) }
  if (client === "gcs") return await gcsSite(place)
  const credentials = { file: credentialsFile }
  return await s3Site({ ...place, region: "us-east-1", pathStyle: true, checksums: "always", createOnly: true, credentials })
}

const statuses: Readonly<Record<Client, Readonly<Record<string, { readonly status: number; readonly code?: string }>>>> = {
  s3: {
    "500": { status: 500 },
    "503": { status: 503, code: "SlowDown" },
    "429": { status: 429, code: "TooManyRequests" },
    "409": { status: 409, code: "ConditionalRequestConflict" },
    "412": { status: 412, code: "PreconditionFailed" },
    denied: { status: 403, code: "InvalidAccessKeyId" },
    quota: { status: 403, code: "QuotaExceeded" },
  },
  gcs: {
    "500": { status: 500 },
    "503": { status: 503 },
    "429": { status: 429, code: "rateLimitExceeded" },
    "409": { status: 409, code: "conflict" },
    "412": { status: 412, code: "conditionNotMet" },
    denied: { status: 401, code: "authError" },
    quota: { status: 403, code: "quotaExceeded" },
  },
}

export const dayMs = 86_400_000

/** What the stand-in of a service does for a fault of the matrix. */
export function actionOf(client: Client, fault: string): FaultAction {
  const applied = fault.endsWith("+")
  const kind = applied ? fault.slice(0, -1) : fault
  const status = statuses[client][kind]
  if (status !== undefined) return { kind: "status", ...status, applied }
  switch (kind) {
    case "reset":
      return { kind: "reset", applied }
    case "late":
      return { kind: "stall", applied }
    case "cut":
      return { kind: "cut-body", after: 20 }
    case "skew":
      return { kind: "clock-skew", ms: dayMs }
    case "up":
      return { kind: "flip-up" }
    case "down":
      return { kind: "flip-down" }
    case "stale":
      return { kind: "stale-list", missing: 1 }
    default:
      throw new Error(`${fault}: no such fault`)
  }
}
