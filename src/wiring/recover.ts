import { mkdir, readdir, writeFile } from "node:fs/promises"
import { join, resolve } from "node:path"
import { stringify } from "yaml"
import { Catalog } from "../catalog/catalog.ts"
import { ConfigError, errnoOf, JobError, reasonOf } from "../errors.ts"
import { encodeBundle } from "../format/bundle.ts"
import { keyPrefix } from "../format/names.ts"
import { readPatience } from "../limits.ts"
import type { Event } from "../operation/event.ts"
import { inForce, type World } from "../operation/world.ts"
import { openSite } from "../site/open.ts"
import { SiteHealth } from "../vault/health.ts"
import { fetchNamed } from "../vault/named.ts"
import { type RootObjects, readRoot } from "../vault/root.ts"
import { openVault, type Vault, type VaultSite } from "../vault/vault.ts"
import { type Io, untilDisposed } from "./io.ts"
import { openPool } from "./world.ts"

/** A directory that holds what a site kept, by the name it gets here. */
export interface BareSite {
  readonly name: string
  readonly path: string
}

export interface BareOptions {
  readonly sites: readonly BareSite[]
  /** The root's fingerprint, as the escrow sheet has it. */
  readonly root: string
  /** An empty or new directory: configuration, trust file and catalog are written there. */
  readonly out: string
  /** The agent to go on as; absent: the first of the newest trust list. */
  readonly agent?: string | undefined
  readonly io: Io
}

export interface BareSession extends AsyncDisposable {
  readonly world: World
  /** Writes what lets every other command go on from here; returns the configuration's path. */
  writeProject(): Promise<string>
}

/** Opens sites with nothing but their paths and the root's fingerprint: no configuration, no state, no key on this machine. */
export async function openBare({ sites, root, out, agent, io: outer }: BareOptions): Promise<BareSession> {
  await using stack = new AsyncDisposableStack()
  const io = untilDisposed(stack, outer)
  const directory = await emptyDirectory(out)
  const bare = await Promise.all(sites.map((site) => openBareSite(site, io)))
  const plain = openVault({ sites: bare, durable: { copies: 1, providers: 1 }, health: new SiteHealth(io.clock), patience: readPatience })
  const found = await readRoot(plain, root, { signal: io.signal })
  const newest = found.lists.at(-1)
  const vault: Vault = { ...plain, sites: plain.sites.map((site) => ({ ...site, ...(newest?.body.sites[site.name] ?? {}) })) }
  const state = join(directory, "state")
  await mkdir(state, { mode: 0o700 })
  const catalog = stack.use(Catalog.open(join(state, "catalog.sqlite"), () => undefined))
  const { pool, buffers } = openPool(stack)
  const world: World = {
    ...{ catalog, vault, repository: found.repository, trust: found.lists, pool, buffers },
    ...{ clock: io.clock, random: io.random, signal: io.signal, tell: (event: Event) => io.tell(event) },
    tierOf: () => undefined,
  }
  const held = stack.move()
  return {
    world,
    writeProject: () => writeProject(world, found, { directory, sites, root, agent }),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}

async function emptyDirectory(path: string): Promise<string> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 })
    if ((await readdir(path)).length === 0) return resolve(path)
  } catch (cause) {
    throw new JobError("job/target", `${path}: cannot be used: ${errnoOf(cause) ?? reasonOf(cause)}`, {
      cause,
      hint: "name a new directory",
    })
  }
  throw new JobError("job/target", `${path}: is not empty`, { hint: "name a new directory: nothing there is overwritten" })
}

async function openBareSite({ name, path }: BareSite, io: Io): Promise<VaultSite> {
  const settings = { kind: "directory" as const, path: resolve(path), provider: "unknown", region: "unknown" }
  const opened = await openSite({ name, settings, readOnly: true, signal: io.signal }, io)
  return { name, provider: "unknown", region: "unknown", opened, countsAsProvider: true }
}

interface Project {
  readonly directory: string
  readonly sites: readonly BareSite[]
  readonly root: string
  readonly agent: string | undefined
}

async function writeProject(world: World, found: RootObjects, { directory, sites, root, agent: wanted }: Project): Promise<string> {
  const { body } = inForce(world)
  const agent = body.agents.find(({ id }) => id === wanted) ?? body.agents[0]
  if (agent === undefined) throw new ConfigError("config/trust", "the newest trust list names no agent, so there is nothing to go on from")
  const keys = await catalogKeys(world)
  const lists = found.lists.map(({ bytes }) => bytes)
  await writeFile(join(directory, "trust.json"), encodeBundle({ repository: found.repositoryBytes, lists, keys }), { mode: 0o600 })
  const config = {
    version: 1,
    agent: agent.id,
    state: join(directory, "state"),
    trust: { file: join(directory, "trust.json"), root },
    durable: body.durable,
    classes: Object.fromEntries(
      Object.entries(body.classes).map(([name, { days, reuseDays, keyEpoch, tier }]) => [name, { days, reuseDays, keyEpoch, tier }]),
    ),
    sites: Object.fromEntries(
      sites.map(({ name, path }) => {
        const { provider, region, zone } = body.sites[name] ?? { provider: "unknown", region: "unknown", zone: undefined }
        return [name, { kind: "directory", path: resolve(path), provider, region, zone }]
      }),
    ),
  }
  await mkdir(join(directory, "config"), { mode: 0o700 })
  const path = join(directory, "config", "holdline.yaml")
  await writeFile(path, stringify(config, { keepUndefined: false }), { mode: 0o600, flag: "wx" })
  return path
}

/** The catalog's key objects, which every site holds. */
async function catalogKeys(world: World): Promise<{ name: string; bytes: Uint8Array }[]> {
  const names = new Set<string>()
  for (const { opened } of world.vault.sites) {
    for await (const { key } of opened.site.list(`${keyPrefix}catalog/`, { signal: world.signal })) names.add(key)
  }
  return await Promise.all(
    [...names].map(async (name) => ({ name, bytes: (await fetchNamed(world.vault, name, { signal: world.signal })).bytes })),
  )
}
