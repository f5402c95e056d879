import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, onTestFinished } from "vitest"
import { type Clock, systemClock } from "../../../src/clock.ts"
import { gcsSite } from "../../../src/site/gcs.ts"
import type { OpenedSite } from "../../../src/site/site.ts"
import { type StandIn, startServer } from "../server.ts"
import type { Json } from "../store.ts"
import { type GcsOptions, gcsFront } from "./front.ts"

export interface StandInOptions extends GcsOptions {
  readonly clock?: Clock
}

/** A GCS stand-in of one test's own, gone with it; a mistake that it made fails the test. */
export async function gcsStandIn({ clock = systemClock, ...options }: StandInOptions = {}): Promise<StandIn> {
  const directory = await mkdtemp(join(tmpdir(), "holdline-gcs-"))
  const server = await startServer({
    directory,
    clock,
    front: (world) => gcsFront(world, options),
  })
  onTestFinished(async () => {
    await server.stop()
    await rm(directory, { recursive: true, force: true })
    expect(server.mistakes).toEqual([])
  })
  return server
}

/** A bucket as production makes it, soft delete and all. */
export function makeBucket(server: StandIn, name: string, settings: Readonly<Record<string, Json>> = {}): void {
  const effectiveTime = server.store.clock.now().toISOString()
  const softDeletePolicy = { retentionDurationSeconds: "604800", effectiveTime }
  server.store.createBucket(name, { metageneration: 1, location: "EU", storageClass: "STANDARD", softDeletePolicy, ...settings })
}

/** A site over two new buckets of the stand-in. */
export async function siteAt(server: StandIn): Promise<OpenedSite> {
  makeBucket(server, "vault")
  makeBucket(server, "vault-keys")
  return await gcsSite({ name: "gcs", bucket: "vault", keys: "vault-keys", endpoint: server.endpoint })
}
