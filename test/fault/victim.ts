import { readFileSync } from "node:fs"
import { z } from "zod"
import { Catalog } from "../../src/catalog/catalog.ts"
import { systemClock } from "../../src/clock.ts"
import { decodeRepository, decodeTrust } from "../../src/format/trust.ts"
import { parseSigningKey } from "../../src/key/signing.ts"
import { packBufferBytes } from "../../src/limits.ts"
import { backup } from "../../src/operation/backup.ts"
import { systemRandom } from "../../src/random.ts"
import { directorySite } from "../../src/site/directory.ts"
import { openSource } from "../../src/source/open.ts"
import { PackBuffers, WorkerPool } from "../../src/stream/pool.ts"
import { SiteHealth } from "../../src/vault/health.ts"
import { openVault } from "../../src/vault/vault.ts"
import { jobOf, vaultSites } from "../operation/lab.ts"

/** What a process of its own needs to run a backup: `node victim.ts <file with this as JSON>`. */
const ordersSchema = z.object({
  root: z.string(),
  signingKey: z.string(),
  /** Base64 of the objects the root signed; the repository first, then the only trust list. */
  rootObjects: z.array(z.object({ key: z.string(), bytes: z.string() })).min(2),
  source: z.object({ kind: z.literal("directory"), path: z.string(), account: z.string() }),
  sites: z.record(z.string(), z.string()),
  catalog: z.string(),
  scratch: z.string(),
})
export type VictimOrders = z.infer<typeof ordersSchema>

async function main(orders: VictimOrders): Promise<void> {
  const rootObjects = orders.rootObjects.map(({ key, bytes }) => ({ key, bytes: Buffer.from(bytes, "base64") }))
  const [repository, trust] = rootObjects
  if (repository === undefined || trust === undefined) throw new Error("no root objects")
  const opened = await Promise.all(
    Object.entries(orders.sites).map(async ([name, path]) => [name, await directorySite({ name, path }, systemRandom)] as const),
  )
  const sites = vaultSites(Object.fromEntries(opened))
  const vault = openVault({ sites, durable: { copies: 2, providers: 2 }, health: new SiteHealth(systemClock) })
  using catalog = Catalog.open(orders.catalog, (reason) => {
    throw new Error(`the catalog did not survive: ${reason}`)
  })
  await using pool = new WorkerPool(2)
  process.stdout.write("begun\n")
  const report = await backup(jobOf({ mode: "state" }), openSource(orders.source, "state", {}), {
    catalog,
    pool,
    vault,
    everywhere: vault,
    repository: decodeRepository(repository.bytes, orders.root),
    trust: [decodeTrust(trust.bytes, orders.root)],
    buffers: new PackBuffers(4, packBufferBytes),
    clock: systemClock,
    random: systemRandom,
    signal: new AbortController().signal,
    tell: () => undefined,
    tierOf: () => undefined,
    agent: { id: "pbx-1", signer: parseSigningKey(orders.signingKey, "the test's signing key") },
    lease: { fence: 1, check: () => undefined },
    rootObjects,
    scratch: orders.scratch,
  })
  process.stdout.write(`${report.outcome}\n`)
}

await main(ordersSchema.parse(JSON.parse(readFileSync(process.argv[2] ?? "", "utf8"))))
