import { SiteError } from "../errors.ts"
import { infoOf, isObjectLocked, isObjectUnlocked, metagenerationOf } from "./gcs-object.ts"
import { checkKey, isSegment } from "./rules.ts"
import type { ByteRange, GetOptions, ObjectInfo, ObjectLock, ObjectVersion, Versions } from "./site.ts"

/** What upkeep asks of a bucket's client, one request each. */
export interface GcsCalls {
  readonly name: string
  /** Every generation of every object, in the order of the names, and of a name the oldest first. */
  generations(prefix: string, signal: AbortSignal | undefined): AsyncIterable<{ readonly key: string; readonly metadata: unknown }>
  download(key: string, range: ByteRange | undefined, signal: AbortSignal | undefined, generation: string): Promise<Uint8Array>
  /** Null where that generation is not there. */
  look(key: string, signal: AbortSignal | undefined, generation: string): Promise<unknown>
  remove(key: string, signal: AbortSignal | undefined, generation: string): Promise<void>
  retain(key: string, signal: AbortSignal | undefined, generation: string, retention: Retention): Promise<unknown>
}

export interface Retention {
  readonly mode: "Locked" | "Unlocked"
  readonly until: Date
  /** The object's state that this was decided on. */
  readonly metageneration: string
  /** What could be undone until now becomes what cannot: a right of its own, which whoever has it could shorten retentions with. */
  readonly overrides: boolean
}

export function gcsVersions(calls: GcsCalls): Versions {
  const { name } = calls
  return {
    list: (prefix, options) => newestFirst(calls, prefix, options?.signal),
    get: async (key: string, version: string, { range, signal }: GetOptions = {}) => {
      checkKey(name, key)
      return await calls.download(key, range, signal, version)
    },
    remove: async (key, version, options) => {
      checkKey(name, key)
      await calls.remove(key, options?.signal, version)
    },
  }
}

async function* newestFirst(calls: GcsCalls, prefix: string, signal: AbortSignal | undefined): AsyncGenerator<ObjectVersion> {
  let same: ObjectVersion[] = []
  for await (const { key, metadata } of calls.generations(prefix, signal)) {
    if (!key.split("/").every(isSegment)) continue
    if (same[0] !== undefined && same[0].key !== key) {
      yield* same.reverse()
      same = []
    }
    same.push(versionOf(infoOf(calls.name, key, metadata), metadata))
  }
  yield* same.reverse()
}

// Google keeps no markers of what was deleted: a noncurrent generation says when it ceased to be the one.
function versionOf(info: ObjectInfo, metadata: unknown): ObjectVersion {
  const latest = !(typeof metadata === "object" && metadata !== null && "timeDeleted" in metadata)
  return { ...info, version: info.version ?? "", latest, deleteMarker: false }
}

export function gcsLock(calls: GcsCalls, lock: "governance" | "compliance"): ObjectLock {
  const { name } = calls
  return {
    extend: async (key, version, until, options) => {
      checkKey(name, key)
      const what = `lock ${key}`
      const found = await calls.look(key, options?.signal, version)
      if (found === null) throw new SiteError(name, "site/not-found", `${what}: no such version`)
      const { lockedUntil } = infoOf(name, key, found)
      const locked = isObjectLocked(found)
      if (lockedUntil !== undefined && lockedUntil >= until && (locked || lock === "governance")) return lockedUntil
      // Never to be undone is asked for only where the configuration says so; what is that already stays so.
      const mode = locked || lock === "compliance" ? "Locked" : "Unlocked"
      const later = lockedUntil !== undefined && lockedUntil > until ? lockedUntil : until
      const metageneration = metagenerationOf(name, key, found)
      const overrides = mode === "Locked" && isObjectUnlocked(found)
      const after = await calls.retain(key, options?.signal, version, { mode, until: later, metageneration, overrides })
      const ends = infoOf(name, key, after).lockedUntil
      if (ends === undefined || ends < until) throw new SiteError(name, "site/unsupported", `${what}: the server took it, and forgot it`)
      return ends
    },
  }
}
