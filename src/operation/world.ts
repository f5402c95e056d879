import type { Catalog } from "../catalog/catalog.ts"
import type { Clock } from "../clock.ts"
import type { Signer } from "../format/signed.ts"
import type { Repository, TrustList } from "../format/trust.ts"
import type { LedgerPlace } from "../ledger/entry.ts"
import type { Random } from "../random.ts"
import type { PackBuffers, WorkerPool } from "../stream/pool.ts"
import type { Vault } from "../vault/vault.ts"
import type { Event } from "./event.ts"

/** What upkeep is given: it works on ciphertext and signed commits alone, and nothing here can decrypt. */
export interface KeeperWorld {
  readonly catalog: Catalog
  readonly vault: Vault
  readonly repository: Repository
  /** Every trust list, oldest first; the last one is in force. */
  readonly trust: readonly TrustList[]
  readonly clock: Clock
  readonly random: Random
  readonly signal: AbortSignal
  /** Told of everything as it happens; must not throw. */
  tell(event: Event): void
  /** The provider's storage class for packs of a class at a site; undefined: the bucket's default. */
  tierOf(site: string, className: string): string | undefined
}

/** What looking after whole sites takes besides. */
export interface UpkeepWorld extends KeeperWorld {
  /** What every site must have: objects signed by the root, the catalog's key objects, the script that restores without Holdline. */
  readonly rootObjects: readonly RootObject[]
  /** Names of the sites that this host's jobs keep an agent's dataset at; null where no job here says so. */
  homesOf(agent: string, dataset: string): readonly string[] | null
}

/** What every operation on contents is given: nothing is taken from the air. wiring/ makes it from configuration and environment. */
export interface World extends KeeperWorld {
  readonly pool: WorkerPool
  readonly buffers: PackBuffers
}

/** What only the agent has. */
export interface AgentWorld extends World {
  readonly agent: { readonly id: string; readonly signer: Signer }
  /** The right to write this agent's log, asked for before each commit: who has lost it writes none. */
  readonly lease: { readonly fence: number; check(): void }
  /** All sites of this agent, those of other jobs too: its log, its register and its key objects are kept at every one. */
  readonly everywhere: Vault
  /** What every site must have: objects signed by the root, the catalog's key objects, the script that restores without Holdline. */
  readonly rootObjects: readonly RootObject[]
  /** An empty private directory, removed when the run ends. */
  readonly scratch: string
  /** This host's, to be anchored in the agent's log; absent: there is none. */
  readonly ledger?: AnchoredLedger
}

/** What anchoring asks of a ledger. */
export interface AnchoredLedger {
  head(): LedgerPlace
  /** When the first entry after a place was written; null where there is none. */
  firstAfter(n: number): Date | null
  /** Removes what is older than it is kept for, up to a place that is anchored. */
  prune(anchored: LedgerPlace): void
}

export interface RootObject {
  readonly key: string
  readonly bytes: Uint8Array
}

/** The trust list in force. */
export function inForce(world: Pick<World, "trust">): TrustList {
  const newest = world.trust.at(-1)
  if (newest === undefined) throw new Error("no trust list")
  return newest
}
