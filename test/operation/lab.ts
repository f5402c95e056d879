import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Catalog } from "../../src/catalog/catalog.ts"
import { type Clock, timestamp } from "../../src/clock.ts"
import { keyObjectKey, repositoryKey, trustKey } from "../../src/format/names.ts"
import { decodeRepository, decodeTrust, encodeRepository, encodeTrust, type TrustList } from "../../src/format/trust.ts"
import { sealKeyObject } from "../../src/key/account.ts"
import { generateIdentity, type Identity, type Kind } from "../../src/key/recipient.ts"
import { generateSigningKey, type SigningKey } from "../../src/key/signing.ts"
import { packBufferBytes, packBytesMax, packMembersMax } from "../../src/limits.ts"
import { type BackupJob, backup } from "../../src/operation/backup.ts"
import type { Event } from "../../src/operation/event.ts"
import type { AgentWorld, RootObject } from "../../src/operation/world.ts"
import { type Random, randomId, systemRandom } from "../../src/random.ts"
import type { RunReport } from "../../src/report/run.ts"
import { memorySite } from "../../src/site/memory.ts"
import type { OpenedSite } from "../../src/site/site.ts"
import { openSource } from "../../src/source/open.ts"
import type { SourceSettings } from "../../src/source/settings.ts"
import type { Source } from "../../src/source/source.ts"
import { PackBuffers, WorkerPool } from "../../src/stream/pool.ts"
import { SiteHealth } from "../../src/vault/health.ts"
import { Spool } from "../../src/vault/spool.ts"
import { type Durable, openVault, type VaultSite } from "../../src/vault/vault.ts"

/** A clock that stands until it is moved. */
export interface LabClock extends Clock {
  advance(ms: number): void
  set(date: Date): void
}

export function labClock(start: Date): LabClock {
  let now = start.getTime()
  return {
    now: () => new Date(now),
    advance(ms) {
      now += ms
    },
    set(date) {
      now = date.getTime()
    },
  }
}

/** A whole small operator: keys, trust, sites and one agent, with everything real but the places. */
export interface Lab extends AsyncDisposable {
  readonly clock: LabClock
  readonly root: SigningKey
  readonly operations: Identity
  readonly escrow: Identity
  readonly catalogIdentity: Identity
  readonly agentKey: SigningKey
  readonly trust: readonly TrustList[]
  readonly rootObjects: readonly RootObject[]
  readonly directory: string
  readonly events: Event[]
  readonly pool: WorkerPool
  /** A world of the agent; `sites` and `catalog` may be others than the lab's own. */
  world(options?: WorldOptions): AgentWorld
  run(job: Partial<BackupJob>, source: SourceSettings | Source, options?: WorldOptions): Promise<RunReport>
}

export interface WorldOptions {
  readonly sites?: readonly VaultSite[]
  /** All sites of the agent, where they are more than those of the job. */
  readonly everywhere?: readonly VaultSite[]
  readonly catalog?: Catalog
  readonly durable?: Durable
  /** null: as for a reader, nothing waits. */
  readonly spool?: Spool | null
  readonly signal?: AbortSignal
  /** Another agent of the same operator; it has a memory of its own. */
  readonly agent?: "pbx-1" | "pbx-2"
  /** Absent: one that nobody takes. */
  readonly lease?: AgentWorld["lease"]
}

export interface LabOptions {
  readonly kind?: Kind
  readonly now?: Date
  /** Opened sites by name; each its own provider. */
  readonly sites?: Readonly<Record<string, OpenedSite>>
  readonly pool?: WorkerPool
  /** Of each buffer for a pack. Absent: as large as an agent's, which keeps the collector busy where little is packed, but often. */
  readonly bufferBytes?: number
  /** Where the lab's own directory is made; absent: the system's temporary directory. */
  readonly parent?: string
  readonly random?: Random
}

export async function openLab(options: LabOptions = {}): Promise<Lab> {
  const clock = labClock(options.now ?? new Date("2031-03-04T12:00:00Z"))
  const directory = await mkdtemp(join(options.parent ?? tmpdir(), "lab-"))
  const kind = options.kind ?? "x25519"
  const random = options.random ?? systemRandom
  const identity = () => generateIdentity(kind, random)
  const [operations, escrow, catalogIdentity] = [identity(), identity(), identity()]
  const root = generateSigningKey(random)
  const agentKey = generateSigningKey(random)
  const otherKey = generateSigningKey(random)
  const repositoryId = randomId(random)
  const created = timestamp(clock.now())
  const repositoryBytes = encodeRepository({ id: repositoryId, created, limits: { packBytesMax, packMembersMax } }, root)
  const organisation = [operations.recipient, escrow.recipient]
  const trustBytes = encodeTrust(
    trustBody({
      repositoryId,
      created,
      agents: { "pbx-1": agentKey, "pbx-2": otherKey },
      organisation,
      catalog: catalogIdentity.recipient,
    }),
    root,
  )
  const trust = [decodeTrust(trustBytes, root.fingerprint)]
  const catalogObject = await sealKeyObject({ account: "catalog", epoch: "1", identity: catalogIdentity }, organisation)
  const rootObjects = [
    { key: repositoryKey(repositoryBytes), bytes: repositoryBytes },
    { key: trustKey(1, trustBytes), bytes: trustBytes },
    { key: keyObjectKey({ account: "catalog", epoch: "1", orgEpoch: 1 }, catalogObject), bytes: catalogObject },
  ]
  const sites = vaultSites(options.sites ?? { a: memorySite("a", clock), b: memorySite("b", clock), c: memorySite("c", clock) })
  const pool = options.pool ?? new WorkerPool(2)
  const events: Event[] = []
  const ownCatalog = Catalog.open(join(directory, "catalog.sqlite"), () => undefined)
  const otherCatalog = Catalog.open(":memory:", () => undefined)

  const world = (given: WorldOptions = {}): AgentWorld => ({
    catalog: given.catalog ?? (given.agent === "pbx-2" ? otherCatalog : ownCatalog),
    ...vaults({ ...given, clock, all: sites, spool: given.spool === undefined ? newSpool(directory) : given.spool }),
    repository: decodeRepository(repositoryBytes, root.fingerprint),
    trust,
    pool,
    buffers: new PackBuffers(4, options.bufferBytes ?? packBufferBytes),
    clock,
    random,
    signal: given.signal ?? new AbortController().signal,
    tell: (event) => events.push(event),
    tierOf: () => undefined,
    agent: given.agent === "pbx-2" ? { id: "pbx-2", signer: otherKey } : { id: "pbx-1", signer: agentKey },
    lease: given.lease ?? { fence: 1, check: () => undefined },
    rootObjects,
    scratch: directory,
  })
  return {
    ...{ clock, root, operations, escrow, catalogIdentity, agentKey, trust, rootObjects, directory, events, pool, world },
    async run(job, source, given) {
      const whole = jobOf(job)
      const opened = "capture" in source ? source : openSource(source, whole.mode, { PATH: process.env.PATH ?? "" })
      return await backup(whole, opened, world(given))
    },
    async [Symbol.asyncDispose]() {
      if (options.pool === undefined) await pool[Symbol.asyncDispose]()
      ownCatalog.close()
      otherCatalog.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

interface Vaults extends WorldOptions {
  readonly clock: Clock
  readonly all: readonly VaultSite[]
}

function vaults({ clock, all, sites = all, everywhere = sites, durable = { copies: 2, providers: 2 }, spool = null }: Vaults) {
  const shared = { durable, health: new SiteHealth(clock), ...(spool === null ? {} : { spool }) }
  return { vault: openVault({ ...shared, sites }), everywhere: openVault({ ...shared, sites: everywhere }) }
}

function newSpool(directory: string): Spool {
  return new Spool({ path: join(directory, "spool"), maxBytes: 1024 ** 3, random: systemRandom })
}

export function vaultSites(opened: Readonly<Record<string, OpenedSite>>): VaultSite[] {
  return Object.entries(opened).map(([name, site]) => ({
    name,
    provider: `provider-${name}`,
    region: "r",
    opened: site,
    countsAsProvider: true,
  }))
}

export function jobOf(job: Partial<BackupJob>): BackupJob {
  const mode = job.mode ?? "archive"
  return {
    name: mode === "archive" ? "call-recordings" : "switch-config",
    dataset: job.name ?? (mode === "archive" ? "call-recordings" : "switch-config"),
    mode,
    class: { name: "standard-90", days: 90 },
    mixedClass: "mixed-28",
    afterExpiry: "recapture",
    guard: { shrink: 0.9, change: 0.9 },
    ...job,
  }
}

interface TrustInput {
  readonly repositoryId: string
  readonly created: string
  readonly agents: Readonly<Record<string, SigningKey>>
  readonly organisation: readonly string[]
  readonly catalog: string
}

function trustBody({ repositoryId, created, agents, organisation, catalog }: TrustInput) {
  return {
    repository: repositoryId,
    n: 1,
    created,
    agents: Object.entries(agents).map(([id, { publicKey }]) => ({ id, key: publicKey, role: "agent" as const, from: created })),
    organisation: {
      epoch: 1,
      recipients: organisation.map((recipient, index) => ({ name: index === 0 ? "operations" : "escrow", recipient })),
    },
    catalog: { epoch: 1, recipient: catalog },
    people: [],
    classes: {
      "standard-90": { days: 90, reuseDays: 7, tier: {} },
      "mixed-28": { days: 28, reuseDays: 0, keyEpoch: "week" as const, tier: {} },
    },
    sites: {},
    durable: { copies: 2, providers: 2 },
  }
}
