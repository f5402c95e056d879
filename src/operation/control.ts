import { rememberedCommits } from "../catalog/commits.ts"
import { timestamp } from "../clock.ts"
import { type ControlRecord, decodeCommit, encodeControlCommit, isKeyLostRecord, isKeyRecord } from "../format/commit.ts"
import { commitKey } from "../format/names.ts"
import { placeCommit } from "../vault/commit.ts"
import type { Placement } from "../vault/place.ts"
import { isDurable } from "../vault/vault.ts"
import type { OwnLog } from "./own-log.ts"
import { type AgentWorld, inForce } from "./world.ts"

export interface Recorded extends Placement {
  /** The place of the commit in this agent's log. */
  readonly seq: number
  /** Whether enough sites hold it: before that, nothing may rely on what it says. */
  readonly durable: boolean
}

/**
 * Writes records into this agent's log: one control commit, at all of its sites. A key object that a record registers must be placed
 * before, and is brought to each site that lacks it before the commit is.
 */
export async function commitRecords(world: AgentWorld, log: OwnLog, records: readonly ControlRecord[]): Promise<Recorded> {
  const { agent, everywhere, signal, tierOf, lease } = world
  const bytes = encodeControlCommit(
    {
      ...{ repository: world.repository.id, agent: agent.id, ...log.next(), seen: [], trust: inForce(world).reference },
      ...{ time: timestamp(world.clock.now()), records: [...records] },
    },
    agent.signer,
  )
  const commit = decodeCommit(bytes, () => [agent.signer.publicKey])
  const { seq } = commit.body
  const key = commitKey(agent.id, seq, bytes)
  const lost = new Set(records.filter(isKeyLostRecord).map(({ object }) => object))
  const keys = new Set([...log.register(), ...records.filter(isKeyRecord).map(({ object }) => object)]).difference(lost)
  const { held, missed } = await placeCommit(
    everywhere,
    { key, bytes, packs: [], keys: [...keys] },
    { signal, tierOf, durable: everywhere.durable, guard: () => lease.check() },
  )
  if (held.length > 0) {
    rememberedCommits(world.catalog).remember(key, bytes)
    log.append({ entry: { key, agent: agent.id, seq, sites: held, storedAt: world.clock.now() }, commit })
  }
  return { seq, held, missed, durable: isDurable(held, everywhere) }
}
