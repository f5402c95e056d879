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
import type { Source } from "../../src/source/source.ts"
import { PackBuffers, WorkerPool } from "../../src/stream/pool.ts"
import { SiteHealth } from "../../src/vault/health.ts"
import { openVault } from "../../src/vault/vault.ts"
import { jobOf, vaultSites } from "../operation/lab.ts"
import { dataset, killedSource } from "./killed-world.ts"

/** What a process of its own needs to back a database up: `node killed-child.ts <file with this as JSON>`. */
const ordersSchema = z.object({
  root: z.string(),
  signingKey: z.string(),
  /** Base64 of the objects the root signed; the repository first, then the only trust list. */
  rootObjects: z.array(z.object({ key: z.string(), bytes: z.string() })).min(2),
  settings: z.object({
    kind: z.literal("postgres"),
    host: z.string(),
    port: z.int(),
    name: z.string(),
    user: z.string(),
    tls: z.record(z.string(), z.never()),
  }),
  environment: z.record(z.string(), z.string()),
  sites: z.record(z.string(), z.string()),
  catalog: z.string(),
  scratch: z.string(),
})
export type ChildOrders = z.infer<typeof ordersSchema>

/** Says "within" with the first that it finds. */
function telling(source: Source): Source {
  return {
    description: source.description,
    async *capture(options) {
      for await (const found of source.capture(options)) {
        if ("item" in found) process.stdout.write("within\n")
        yield found
      }
    },
  }
}

async function main(orders: ChildOrders): Promise<void> {
  const rootObjects = orders.rootObjects.map(({ key, bytes }) => ({ key, bytes: Buffer.from(bytes, "base64") }))
  const [repository, trust] = rootObjects
  if (repository === undefined || trust === undefined) throw new Error("no root objects")
  const opened = await Promise.all(
    Object.entries(orders.sites).map(async ([name, path]) => [name, await directorySite({ name, path }, systemRandom)] as const),
  )
  const vault = openVault({
    sites: vaultSites(Object.fromEntries(opened)),
    durable: { copies: 2, providers: 2 },
    health: new SiteHealth(systemClock),
  })
  using catalog = Catalog.open(orders.catalog, (reason) => {
    throw new Error(`the catalog did not survive: ${reason}`)
  })
  await using pool = new WorkerPool(2)
  process.stdout.write("before\n")
  const report = await backup(jobOf({ mode: "state", name: dataset }), telling(killedSource(orders.settings, orders.environment)), {
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
  process.stdout.write(`after ${report.outcome}\n`)
}

await main(ordersSchema.parse(JSON.parse(readFileSync(process.argv[2] ?? "", "utf8"))))
