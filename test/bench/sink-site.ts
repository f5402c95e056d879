import { setTimeout } from "node:timers/promises"
import { sha256 } from "../../src/digest.ts"
import { SiteError } from "../../src/errors.ts"
import { checkRange, compareKeys } from "../../src/site/rules.ts"
import type { ObjectInfo, OpenedSite, Site } from "../../src/site/site.ts"

/** Larger objects are forgotten: packs. What a next run reads again (trust, keys, commits) is smaller. */
const rememberedBytesMax = 1024 * 1024

interface Sunk {
  readonly info: ObjectInfo
  readonly bytes: Uint8Array | null
}

export interface SinkOptions {
  /** Whether it hashes what it is given; a server far away would do that with a processor of its own. Absent: yes. */
  readonly checks?: boolean
  /** How long each call takes besides, in milliseconds. */
  readonly latencyMs?: number
}

/** A site that checks what it is given, remembers each object's key and size, and throws the bytes of large ones away. */
export function sinkSite(name: string, clock: { now(): Date }, { checks = true, latencyMs = 0 }: SinkOptions = {}): OpenedSite {
  const objects = new Map<string, Sunk>()
  const far = async (): Promise<void> => {
    if (latencyMs > 0) await setTimeout(latencyMs)
  }
  const site: Site = {
    name,
    async put(key, bytes, options) {
      await far()
      options.signal?.throwIfAborted()
      if (checks && sha256(bytes) !== options.sha256) throw new SiteError(name, "site/corrupt", `put ${key}: other bytes than announced`)
      const known = objects.get(key)
      if (known !== undefined) return known.info
      const info = { key, bytes: bytes.length, storedAt: clock.now() }
      // A copy: the caller uses its buffer again.
      objects.set(key, { info, bytes: bytes.length > rememberedBytesMax ? null : Uint8Array.from(bytes) })
      return info
    },
    async get(key, options = {}) {
      await far()
      const bytes = objects.get(key)?.bytes ?? null
      if (bytes === null) throw new SiteError(name, "site/not-found", `get ${key}: no such object, or too large to be remembered`)
      const { offset, length } = checkRange(name, key, bytes.length, options.range)
      return bytes.slice(offset, offset + length)
    },
    async head(key) {
      await far()
      return objects.get(key)?.info ?? null
    },
    async *list(prefix) {
      await far()
      const found = [...objects.values()].map(({ info }) => info).filter(({ key }) => key.startsWith(prefix))
      yield* found.sort((a, b) => compareKeys(a.key, b.key))
    },
  }
  return { site, createOnly: true, ownClock: true, serverTime: async () => clock.now() }
}
