import { JobError, SiteError, VaultError } from "../errors.ts"
import { unanswered } from "../vault/fetch.ts"
import { findGood } from "../vault/heal.ts"
import { heldAt } from "../vault/presence.ts"
import { commitRecords, type Recorded } from "./control.ts"
import { OwnLog } from "./own-log.ts"
import type { AgentWorld } from "./world.ts"

/**
 * Says in this agent's log that key objects of its register are lost, once every site has said that it has no good bytes of them, in
 * front or behind. What was encrypted to them cannot be opened again; from here on no commit needs them, and the next run captures
 * what the source still holds under a new key. Should one be found after all, it opens what it opened before.
 */
export async function declareLost(world: AgentWorld, objects: readonly string[]): Promise<Recorded> {
  const log = await OwnLog.read(world)
  if (log.unreadable.length > 0) {
    const sites = log.unreadable.join(", ")
    throw new JobError("job/not-durable", `${sites}: cannot be read, so that nobody knows what is lost`, {
      hint: `bring ${sites} back, or take it out of the count with \`holdline site retire\``,
    })
  }
  const registered = new Set(log.registeredKeys())
  for (const object of objects) {
    if (!registered.has(object)) {
      throw new JobError("job/not-found", `${object}: no key object of this agent's register, or one that was said to be lost before`)
    }
    const site = await holderOf(world, object)
    if (site === null) continue
    throw new JobError("job/not-found", `${object}: is not lost: ${site} has good bytes of it`, {
      hint: "bring it to the others with `holdline repair`",
    })
  }
  const recorded = await commitRecords(
    world,
    log,
    objects.map((object) => ({ type: "key-lost" as const, object })),
  )
  if (recorded.durable) return recorded
  const reason = recorded.missed[0]?.message ?? "no reason given"
  throw new JobError("job/not-durable", `too few sites took the record: ${reason}`, { hint: "bring the sites back, then say it again" })
}

/** A site that has good bytes of an object, in front or behind; null where every site said that it has none. */
async function holderOf(world: AgentWorld, object: string): Promise<string | null> {
  try {
    const { from } = await findGood(world.everywhere, object, { signal: world.signal, exclude: [] })
    return from
  } catch (error) {
    if (!(error instanceof VaultError) || unanswered(error).length > 0) throw error
    return null
  }
}

/**
 * Where no site takes a commit of this agent any more, because key objects of its register are at none of them: says so, and how to go on.
 * Does nothing where it is something else, or where a site that does not answer may have them.
 */
export async function refuseLostKeys(world: AgentWorld, log: OwnLog): Promise<void> {
  const lacking = new Set(log.registeredKeys())
  try {
    for (const { opened } of world.everywhere.sites) {
      const { present } = await heldAt(opened.site, lacking, { signal: world.signal })
      for (const key of present.keys()) lacking.delete(key)
    }
  } catch (error) {
    if (error instanceof SiteError) return
    throw error
  }
  const [first] = lacking
  if (first === undefined) return
  const names = lacking.size === 1 ? first : `${first} and ${String(lacking.size - 1)} more`
  throw new JobError("job/not-durable", `no site has the key object ${names}: without it no commit is whole`, {
    hint: `\`holdline repair\` looks for it in older versions too; if it is lost, \`holdline key lost ${first}\` lets runs go on`,
  })
}
