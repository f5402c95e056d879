import { join } from "node:path"
import { rememberedConditions } from "../catalog/conditions.ts"
import { lockState } from "../catalog/lock.ts"
import { retirementText } from "../operation/approvals.ts"
import type { Event } from "../operation/event.ts"
import type { UpkeepWorld } from "../operation/world.ts"
import { SiteHealth } from "../vault/health.ts"
import { openVault } from "../vault/vault.ts"
import type { Loaded } from "./config.ts"
import { type Io, untilDisposed } from "./io.ts"
import { keepingLedger } from "./ledger.ts"
import { knownRetired } from "./retired.ts"
import { openSites, tierOf } from "./sites.ts"
import { prepareState } from "./state.ts"
import { loadTrust } from "./trust.ts"
import { openCatalog, readersCatalog, recoveryScript, rootObjects, trustInForce } from "./world.ts"

/** Who looks after whole sites: no key is needed, and no run is kept waiting. */
export interface KeeperSession extends AsyncDisposable {
  readonly world: UpkeepWorld
}

export interface KeeperOptions {
  readonly io: Io
  /** Whether the sites may be written to, and what is behind their objects be looked at; then no other process repairs meanwhile. */
  readonly write: boolean
}

export async function openKeeper(loaded: Loaded, { io: outer, write }: KeeperOptions): Promise<KeeperSession> {
  const { config, jobs } = loaded
  await using stack = new AsyncDisposableStack()
  const io = keepingLedger(loaded, untilDisposed(stack, outer))
  if (write) {
    await prepareState(config.state)
    // Not the lock of runs: a repair of hours must not stop backups, and neither harms the other.
    stack.use(lockState(join(config.state, "keeper-lock")))
  }
  const catalog = stack.use(write ? openCatalog(config.state, io) : await readersCatalog(config.state))
  const trust = await loadTrust(loaded)
  const retired = await knownRetired(loaded, catalog)
  for (const [site, approval] of retired) {
    if (Object.hasOwn(config.sites, site)) io.tell({ type: "warning", message: `${site}: ${retirementText(approval)}: not looked after` })
  }
  const names = Object.keys(config.sites).filter((name) => !retired.has(name))
  const sites = await openSites(config, names, { io, readOnly: !write, device: null, needed: [], retired: new Map() })
  const vault = openVault({ sites, durable: config.durable, health: new SiteHealth(io.clock, rememberedConditions(catalog)) })
  const lists = await trustInForce(vault, trust, { catalog, root: config.trust.root, signal: io.signal })
  const world: UpkeepWorld = {
    ...{ catalog, vault, repository: trust.repository, trust: lists },
    ...{ clock: io.clock, random: io.random, signal: io.signal, tell: (event: Event) => io.tell(event) },
    tierOf: (site, className) => tierOf(config, site, className),
    rootObjects: [...rootObjects(trust, lists), await recoveryScript()],
    homesOf: (agent, dataset) => {
      if (agent !== config.agent) return null
      const homes = new Set([...jobs.values()].filter((job) => job.dataset === dataset).flatMap((job) => job.sites))
      return homes.size === 0 ? null : [...homes]
    },
  }
  const held = stack.move()
  return { world, [Symbol.asyncDispose]: () => held.disposeAsync() }
}
