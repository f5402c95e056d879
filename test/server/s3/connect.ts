import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Clock, systemClock } from "../../../src/clock.ts"
import { type StandIn, startServer } from "../server.ts"
import type { VendorMode } from "./call.ts"
import { s3Front } from "./front.ts"

export const accessKey = "STANDINKEY"
export const secretKey = "stand-in-secret"

export interface S3StandIn extends StandIn {
  readonly credentials: Map<string, string>
  readonly directory: string
}

/** A stand-in for S3 on a directory of its own, which goes with it. */
export async function s3StandIn(options: { readonly clock?: Clock; readonly vendor?: readonly VendorMode[] } = {}): Promise<S3StandIn> {
  const directory = await mkdtemp(join(tmpdir(), "stand-in-s3-"))
  const credentials = new Map([[accessKey, secretKey]])
  const front = s3Front({ credentials, vendor: new Set(options.vendor) })
  const server = await startServer({ directory, clock: options.clock ?? systemClock, front })
  const { stop } = server
  const stopAll = async () => {
    await stop()
    await rm(directory, { recursive: true, force: true })
  }
  // Not copied: the number of its connections changes.
  return Object.assign(server, { credentials, directory, stop: stopAll, [Symbol.asyncDispose]: stopAll })
}
