import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises"
import { availableParallelism } from "node:os"
import { join } from "node:path"
import { anyOf } from "../abort.ts"
import { Catalog } from "../catalog/catalog.ts"
import { rememberConditions, rememberedConditions } from "../catalog/conditions.ts"
import { lockState } from "../catalog/lock.ts"
import { rememberTrustLists } from "../catalog/trust-lists.ts"
import { ConfigError, errnoOf } from "../errors.ts"
import { recoveryScriptKey, repositoryKey, trustKey } from "../format/names.ts"
import type { TrustList } from "../format/trust.ts"
import { parseSigningKey } from "../key/signing.ts"
import { inFlightBytesMax, packBufferBytes, readPatience, trustPatienceMs } from "../limits.ts"
import { retirementText } from "../operation/approvals.ts"
import type { BackupJob } from "../operation/backup.ts"
import type { Event } from "../operation/event.ts"
import type { AgentWorld, RootObject, World } from "../operation/world.ts"
import { deviceOf } from "../site/mount.ts"
import type { Source } from "../source/source.ts"
import { PackBuffers, WorkerPool } from "../stream/pool.ts"
import { SiteHealth } from "../vault/health.ts"
import type { ListLogOptions } from "../vault/log.ts"
import { readTrustLists } from "../vault/root.ts"
import { openVault, type Vault } from "../vault/vault.ts"
import type { Loaded } from "./config.ts"
import { uncoveredBeside } from "./coverage.ts"
import { type Io, untilDisposed } from "./io.ts"
import { type Job, loadJob } from "./jobs.ts"
import { anchoredLedger, keepingLedger, tellConfiguration } from "./ledger.ts"
import { guardOf, jobLinks } from "./links.ts"
import { classesOfJob } from "./retention.ts"
import { knownLists, knownRetired } from "./retired.ts"
import type { Config } from "./schema.ts"
import { openSecret } from "./secret.ts"
import { type OpenSitesOptions, openSites, tierOf } from "./sites.ts"
import { jobSource } from "./source.ts"
import { openSpool } from "./spool.ts"
import { prepareState } from "./state.ts"
import { type LoadedTrust, loadTrust, refuseDifferenceFromTrust, requireTrustedAgent } from "./trust.ts"

/** An agent at work on one job: it holds the state directory until it is disposed of. */
export interface AgentSession extends AsyncDisposable {
  readonly world: AgentWorld
  readonly job: BackupJob
  readonly source: Source
}

/** Everything a run of a job needs; ConfigError or KeyError where the configuration is not what the root signed. */
export async function openAgent(loaded: Loaded, jobName: string, io: Io): Promise<AgentSession> {
  const { config } = loaded
  const job = loadJob(loaded, jobName)
  await using stack = new AsyncDisposableStack()
  const world = await openAgentWorld(stack, loaded, { io, device: await sourceDevice(job, config), needed: job.sites, without: [] })
  const { everywhere } = world
  const ofJob = job.sites.flatMap((name) => everywhere.sites.filter((site) => site.name === name))
  const vault: Vault = { ...everywhere, sites: ofJob, durable: job.durable }
  const source = await jobSource(job, loaded, io)
  const links = await jobLinks(job, loaded)
  const held = stack.move()
  return {
    world: { ...world, vault },
    job: {
      ...backupJob(job, config),
      ...(links !== undefined && { links }),
      uncovered: () => uncoveredBeside(job, loaded, io, world.scratch),
    },
    source,
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}

/** An agent at work on its own log: it holds the state directory until it is disposed of. */
export interface AgentLogSession extends AsyncDisposable {
  readonly world: AgentWorld
}

/** What writing a record takes: no job, and all sites but those named in `without`. */
export async function openAgentLog(loaded: Loaded, io: Io, without: readonly string[]): Promise<AgentLogSession> {
  await using stack = new AsyncDisposableStack()
  const world = await openAgentWorld(stack, loaded, { io, device: null, needed: [], without })
  const held = stack.move()
  return { world, [Symbol.asyncDispose]: () => held.disposeAsync() }
}

interface AgentWorldOptions extends Pick<OpenSitesOptions, "io" | "device" | "needed"> {
  readonly without: readonly string[]
}

async function openAgentWorld(stack: AsyncDisposableStack, loaded: Loaded, options: AgentWorldOptions): Promise<AgentWorld> {
  const { config } = loaded
  const { device, needed, without } = options
  const { signal, ...outer } = options.io
  await prepareState(config.state)
  const lease = stack.use(lockState(join(config.state, "lock")))
  const io = keepingLedger(loaded, untilDisposed(stack, { ...outer, signal: anyOf(signal, lease.lost) }))
  await removeScratch(config.state)
  tellConfiguration(loaded, io)
  const catalog = stack.use(openCatalog(config.state, io))
  const trust = await loadTrust(loaded)
  const signer = await readSigningKey(loaded, io)
  const retired = await knownRetired(loaded, catalog)
  const names = Object.keys(config.sites).filter((name) => !without.includes(name))
  const sites = await openSites(config, names, { io, readOnly: false, device, needed, retired })
  const health = new SiteHealth(io.clock, rememberedConditions(catalog))
  stack.defer(() => rememberConditions(catalog, health.conditions()))
  const spool = openSpool(config, io.random)
  const everywhere = openVault({ sites, durable: config.durable, health, spool })
  const given = { root: config.trust.root, signal: io.signal, patienceMs: trustPatienceMs }
  const lists = await trustInForce(everywhere, trust, { catalog, ...given })
  const newest = lists.at(-1) ?? trust.newest
  refuseDifferenceFromTrust(config, newest.body)
  requireTrustedAgent(config.agent, signer.publicKey, newest.body)
  const scratch = await mkdtemp(join(config.state, "scratch-"))
  stack.defer(() => rm(scratch, { recursive: true, force: true }))
  const { pool, buffers } = openPool(stack)
  return {
    ...{ catalog, vault: everywhere, everywhere, repository: trust.repository, trust: lists, pool, buffers, scratch },
    ...{ clock: io.clock, random: io.random, signal: io.signal, tell: (event: Event) => io.tell(event) },
    tierOf: (site, className) => tierOf(config, site, className),
    agent: { id: config.agent, signer },
    lease,
    rootObjects: [...rootObjects(trust, lists), await recoveryScript()],
    ledger: anchoredLedger(loaded, io),
  }
}

/** A reader of what is kept: nothing at a site is written, no lock is taken, no key is needed to begin. */
export interface ReaderSession extends AsyncDisposable {
  readonly world: World
}

export interface ReaderOptions {
  readonly io: Io
  /** Only these sites; absent: all that are configured. */
  readonly sites?: readonly string[] | undefined
}

export async function openReader(loaded: Loaded, { io: outer, sites: names }: ReaderOptions): Promise<ReaderSession> {
  const { config } = loaded
  await using stack = new AsyncDisposableStack()
  const io = keepingLedger(loaded, untilDisposed(stack, outer))
  const catalog = stack.use(await readersCatalog(config.state))
  const trust = await loadTrust(loaded)
  const retired = await knownRetired(loaded, catalog)
  for (const [site, approval] of names === undefined ? retired : []) {
    if (Object.hasOwn(config.sites, site)) io.tell({ type: "warning", message: `${site}: ${retirementText(approval)}: not asked` })
  }
  // Whoever names a retired site wants to see what is still there.
  const chosen = names ?? Object.keys(config.sites).filter((name) => !retired.has(name))
  const sites = await openSites(config, chosen, { io, readOnly: true, device: null, needed: [], retired: new Map() })
  const vault = openVault({
    sites,
    durable: config.durable,
    health: new SiteHealth(io.clock, rememberedConditions(catalog)),
    patience: readPatience,
  })
  const lists = await trustInForce(vault, trust, { catalog, root: config.trust.root, signal: io.signal })
  const { pool, buffers } = openPool(stack)
  const world: World = {
    ...{ catalog, vault, repository: trust.repository, trust: lists, pool, buffers },
    ...{ clock: io.clock, random: io.random, signal: io.signal, tell: (event: Event) => io.tell(event) },
    tierOf: (site, className) => tierOf(config, site, className),
  }
  const held = stack.move()
  return { world, [Symbol.asyncDispose]: () => held.disposeAsync() }
}

// A run that was killed could not remove the plaintext copies its source had made. Under the lock, no other run has any.
async function removeScratch(state: string): Promise<void> {
  for (const name of await readdir(state)) {
    if (name.startsWith("scratch-")) await rm(join(state, name), { recursive: true, force: true })
  }
}

export function openCatalog(state: string, io: Io): Catalog {
  return Catalog.open(join(state, "catalog.sqlite"), (reason) => {
    io.tell({ type: "warning", message: `the catalog was damaged (${reason}) and put aside; what it remembered is read again` })
  })
}

// A machine that only restores may have no state directory, or one it may not write: then nothing is remembered.
export async function readersCatalog(state: string): Promise<Catalog> {
  try {
    await mkdir(state, { recursive: true, mode: 0o700 })
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
  }
  return Catalog.openToRead(join(state, "catalog.sqlite"))
}

async function readSigningKey({ config, origins }: Loaded, io: Io) {
  const { signingKey } = config
  if (signingKey === undefined) {
    throw new ConfigError("config/not-found", "signingKey: is not configured, but a run has to sign its commits", {
      hint: "make one with `holdline init agent`",
    })
  }
  const secret = await openSecret(signingKey, { key: "signingKey", origin: origins.get("signingKey") ?? { default: true }, env: io.env })
  return parseSigningKey(secret.reveal(), "signingKey")
}

/** The trust list in force: the newest among the file's, those at the sites and those this host has followed before. */
export async function trustInForce(vault: Vault, trust: LoadedTrust, options: TrustOptions): Promise<readonly TrustList[]> {
  const { catalog, root, ...reading } = options
  const lists = knownLists(trust, catalog, root, await listsAtSites(vault, root, reading))
  rememberTrustLists(
    catalog,
    lists.map(({ body, bytes }) => ({ n: body.n, bytes })),
  )
  return lists
}

interface TrustOptions extends ListLogOptions {
  readonly catalog: Catalog
  readonly root: string
}

async function listsAtSites(vault: Vault, root: string, options: ListLogOptions): Promise<readonly TrustList[]> {
  try {
    return await readTrustLists(vault, root, options)
  } catch (error) {
    options.signal.throwIfAborted()
    // No site answers: whatever comes next says so better.
    if (error instanceof Error && "code" in error && error.code === "vault/unreachable") return []
    throw error
  }
}

export function rootObjects(trust: LoadedTrust, lists: readonly TrustList[]): RootObject[] {
  return [
    { key: repositoryKey(trust.repositoryBytes), bytes: trust.repositoryBytes },
    ...lists.map(({ body, bytes }) => ({ key: trustKey(body.n, bytes), bytes })),
    ...trust.bundle.keys.map(({ name, bytes }) => ({ key: name, bytes })),
  ]
}

/** Every site keeps the way home that needs no Holdline. */
export async function recoveryScript(): Promise<RootObject> {
  const bytes = await readFile(
    new URL(import.meta.url.endsWith(".ts") ? "../../bin/recover.sh" : "../../../bin/recover.sh", import.meta.url),
  )
  return { key: recoveryScriptKey(bytes), bytes }
}

async function sourceDevice(job: Job, config: Config): Promise<bigint | null> {
  try {
    return await deviceOf("path" in job.source && job.source.path !== undefined ? job.source.path : config.state)
  } catch {
    return null
  }
}

export function openPool(stack: AsyncDisposableStack): { pool: WorkerPool; buffers: PackBuffers } {
  const workers = Math.max(1, availableParallelism())
  const pool = stack.use(new WorkerPool(workers))
  const count = Math.max(2, Math.min(workers + 2, Math.floor(inFlightBytesMax / packBufferBytes)))
  return { pool, buffers: new PackBuffers(count, packBufferBytes) }
}

function backupJob(job: Job, config: Config): BackupJob {
  const settings = config.classes[job.class]
  if (settings === undefined) throw new ConfigError("config/not-found", `${job.name}: class ${job.class} is not configured`)
  const weekly = Object.entries(config.classes).find(([, { keyEpoch }]) => keyEpoch === "week")
  return {
    name: job.name,
    dataset: job.dataset,
    mode: job.mode,
    class: { name: job.class, days: settings.days },
    mixedClass: weekly?.[0] ?? job.class,
    afterExpiry: job.afterExpiry ?? "recapture",
    guard: guardOf(job),
    ...classesOfJob(job, config),
  }
}
