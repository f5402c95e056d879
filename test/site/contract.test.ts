import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { onTestFinished } from "vitest"
import { systemClock, systemSleep } from "../../src/clock.ts"
import { systemRandom } from "../../src/random.ts"
import { counted } from "../../src/site/count.ts"
import { directorySite } from "../../src/site/directory.ts"
import { limited } from "../../src/site/limit.ts"
import { memorySite } from "../../src/site/memory.ts"
import { openSite } from "../../src/site/open.ts"
import { retrying } from "../../src/site/retry.ts"
import type { OpenedSite, Site } from "../../src/site/site.ts"
import { describeSite } from "../contract/site.ts"
import { faultySite } from "../fault/faulty-site.ts"

async function emptyDirectory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "holdline-site-"))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

async function directory(): Promise<OpenedSite> {
  return await directorySite({ name: "d", path: await emptyDirectory() }, systemRandom)
}

function memory(): OpenedSite {
  return memorySite("m", systemClock)
}

/** What is opened, with its object half wrapped; `replace` is left to the suites that do not wrap. */
function wrapped({ site, createOnly, ownClock, serverTime }: OpenedSite, wrap: (site: Site) => Site): OpenedSite {
  return { site: wrap(site), createOnly, ownClock, serverTime }
}

const impatient = { attempts: 4, firstDelayMs: 1, maxDelayMs: 2, callTimeoutMs: 30_000, patienceMs: 3_600_000, retryAfterMaxMs: 60_000 }
const world = { clock: systemClock, sleep: systemSleep, random: systemRandom }

describeSite("memory", async () => memory())
describeSite("directory", directory)
describeSite("limited(directory)", async () => limited(await directory(), 2))
describeSite("counted(memory)", async () => wrapped(memory(), counted))
describeSite("retrying(faulty(memory)), failing before", async () =>
  wrapped(memory(), (site) => retrying(faultySite(site, [1, 2, 4, 7, 8]), impatient, world)),
)
describeSite("retrying(faulty(directory)), losing answers", async () => {
  // Not list: one that breaks off part way is the caller's to resume.
  const faults = (["put", "get", "head"] as const).map((operation) => ({ operation, nth: 1, effect: "applied-then-failed" }) as const)
  return wrapped(await directory(), (site) => retrying(faultySite(site, faults), impatient, world))
})
describeSite("an opened directory", async () => {
  const place = { provider: "own", region: "fra" }
  return await openSite({ name: "d", settings: { kind: "directory", path: await emptyDirectory(), ...place }, readOnly: false }, world)
})
