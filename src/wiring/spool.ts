import { existsSync } from "node:fs"
import { join } from "node:path"
import type { Random } from "../random.ts"
import { Spool } from "../vault/spool.ts"
import type { Config } from "./schema.ts"

/** Where packs and commits wait that too few sites hold. */
export function openSpool(config: Config, random: Random): Spool {
  return new Spool({ path: join(config.state, "spool"), maxBytes: config.spool.max, random })
}

/** How much waits on this host; a host that never ran a job has no spool, and gets none by being asked. */
export async function waitingHere(config: Config, random: Random): Promise<{ readonly objects: number; readonly bytes: number }> {
  if (!existsSync(join(config.state, "spool"))) return { objects: 0, bytes: 0 }
  const waiting = await openSpool(config, random).waiting()
  return { objects: waiting.length, bytes: waiting.reduce((sum, { bytes }) => sum + bytes, 0) }
}
