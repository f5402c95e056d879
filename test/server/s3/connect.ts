import { cp, mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Clock, systemClock } from "../../../src/clock.ts"
import { type StandIn, startServer } from "../server.ts"
import type { S3Authority } from "./authority.ts"
import type { VendorMode } from "./call.ts"
import { s3Front } from "./front.ts"

export const accessKey = "STANDINKEY"
export const secretKey = "stand-in-secret"
/** The same two in a file, as a site's `credentials.file` wants them. */
export const credentialsFile = join(import.meta.dirname, "credentials")

export interface S3StandIn extends StandIn {
  readonly credentials: Map<string, string>
}

export interface S3Options {
  readonly clock?: Clock
  readonly vendor?: readonly VendorMode[]
  /** Holds every request to a policy; absent: every key has every right. */
  readonly authority?: S3Authority
  /** The directory of another, whose objects this one begins with. */
  readonly copyOf?: string | undefined
}

/** A stand-in for S3 on a directory of its own, which goes with it. */
export async function s3StandIn(options: S3Options = {}): Promise<S3StandIn> {
  const directory = await mkdtemp(join(tmpdir(), "stand-in-s3-"))
  if (options.copyOf !== undefined) await cp(options.copyOf, directory, { recursive: true })
  const credentials = new Map([[accessKey, secretKey]])
  const front = s3Front({ credentials, vendor: new Set(options.vendor), authority: options.authority })
  const server = await startServer({ directory, clock: options.clock ?? systemClock, front })
  const { stop } = server
  const stopAll = async () => {
    await stop()
    await rm(directory, { recursive: true, force: true })
  }
  // Not copied: the number of its connections changes.
  return Object.assign(server, { credentials, stop: stopAll, [Symbol.asyncDispose]: stopAll })
}
