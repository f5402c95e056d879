import { systemClock, systemSleep } from "../../src/clock.ts"
import { systemRandom } from "../../src/random.ts"
import { openSite } from "../../src/site/open.ts"
import { describeSite } from "../contract/site.ts"
import { gcsStandIn, siteAt } from "../server/gcs/stand-in.ts"
import { makeBucket } from "../server/gcs/start.ts"

describeSite("gcs", async () => siteAt(await gcsStandIn()))
describeSite("an opened gcs site", async () => {
  const server = await gcsStandIn()
  for (const bucket of ["vault", "vault-keys"]) makeBucket(server, bucket)
  const settings = {
    kind: "gcs",
    bucket: "vault",
    keys: "vault-keys",
    provider: "google",
    region: "here",
    endpoint: server.endpoint,
  } as const
  return await openSite({ name: "gcs", settings, readOnly: false }, { clock: systemClock, sleep: systemSleep, random: systemRandom })
})
