import { cp, mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Clock, systemClock } from "../../../src/clock.ts"
import { type StandIn, startServer } from "../server.ts"
import type { Json } from "../store.ts"
import { type GcsOptions, gcsFront } from "./front.ts"

export interface StandInOptions extends GcsOptions {
  readonly clock?: Clock
  /** The directory of another, whose objects this one begins with. */
  readonly copyOf?: string | undefined
}

/** A GCS stand-in on a directory of its own, which goes with it. */
export async function startGcs({ clock = systemClock, copyOf, ...options }: StandInOptions = {}): Promise<StandIn> {
  const directory = await mkdtemp(join(tmpdir(), "holdline-gcs-"))
  if (copyOf !== undefined) await cp(copyOf, directory, { recursive: true })
  const server = await startServer({ directory, clock, front: (world) => gcsFront(world, options) })
  const { stop } = server
  const stopAll = async () => {
    await stop()
    await rm(directory, { recursive: true, force: true })
  }
  // Not copied: the number of its connections changes.
  return Object.assign(server, { stop: stopAll, [Symbol.asyncDispose]: stopAll })
}

/** A bucket as production makes it, soft delete and all. */
export function makeBucket(server: StandIn, name: string, settings: Readonly<Record<string, Json>> = {}): void {
  const effectiveTime = server.store.clock.now().toISOString()
  const softDeletePolicy = { retentionDurationSeconds: "604800", effectiveTime }
  server.store.createBucket(name, { metageneration: 1, location: "EU", storageClass: "STANDARD", softDeletePolicy, ...settings })
}
