import { expect, onTestFinished } from "vitest"
import { gcsSite } from "../../../src/site/gcs.ts"
import type { OpenedSite } from "../../../src/site/site.ts"
import type { StandIn } from "../server.ts"
import { makeBucket, type StandInOptions, startGcs } from "./start.ts"

/** A GCS stand-in of one test's own, gone with it; a mistake that it made fails the test. */
export async function gcsStandIn(options: StandInOptions = {}): Promise<StandIn> {
  const server = await startGcs(options)
  onTestFinished(async () => {
    await server.stop()
    expect(server.mistakes).toEqual([])
  })
  return server
}

/** A site over two new buckets of the stand-in. */
export async function siteAt(server: StandIn): Promise<OpenedSite> {
  makeBucket(server, "vault")
  makeBucket(server, "vault-keys")
  return await gcsSite({ name: "gcs", bucket: "vault", keys: "vault-keys", endpoint: server.endpoint })
}
