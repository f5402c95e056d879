import type { Clock } from "../clock.ts"
import { SiteError } from "../errors.ts"
import { checkBytes, checkKey, checkPrefix, checkRange, compareKeys } from "./rules.ts"
import type { CallOptions, GetOptions, ObjectInfo, OpenedSite, PutOptions, Site } from "./site.ts"

/** What a memory site keeps. Tests and simulations damage, age and inspect it directly. */
export type MemoryObjects = Map<string, MemoryObject>

export interface MemoryObject {
  readonly bytes: Uint8Array
  /** As computed when the bytes came in; bytes that rot do not change it, as at a real provider. */
  readonly sha256: string
  readonly storedAt: Date
}

/** A site that forgets everything with its process: for tests, simulations and the demo. Its clock is the one given. */
export function memorySite(name: string, clock: Clock, objects: MemoryObjects = new Map()): OpenedSite {
  const site = new MemorySite(name, clock, objects)
  return {
    site,
    createOnly: true,
    ownClock: true,
    replace: (key, bytes, options) => site.replace(key, bytes, options),
    serverTime: async (options) => {
      options?.signal?.throwIfAborted()
      return clock.now()
    },
  }
}

class MemorySite implements Site {
  readonly name: string
  readonly #clock: Clock
  readonly #objects: MemoryObjects

  constructor(name: string, clock: Clock, objects: MemoryObjects) {
    this.name = name
    this.#clock = clock
    this.#objects = objects
  }

  async put(key: string, bytes: Uint8Array, options: PutOptions): Promise<ObjectInfo> {
    this.#checkPut(key, bytes, options)
    const kept = this.#objects.get(key)
    if (kept !== undefined && Buffer.compare(kept.bytes, bytes) !== 0) {
      throw new SiteError(this.name, "site/conflict", `put ${key}: other bytes are kept under this key`)
    }
    return infoOf(key, kept ?? this.#keep(key, bytes, options.sha256))
  }

  async replace(key: string, bytes: Uint8Array, options: PutOptions): Promise<ObjectInfo> {
    this.#checkPut(key, bytes, options)
    const kept = this.#objects.get(key)
    if (kept !== undefined && Buffer.compare(kept.bytes, bytes) === 0) return infoOf(key, kept)
    return infoOf(key, this.#keep(key, bytes, options.sha256))
  }

  async get(key: string, options: GetOptions = {}): Promise<Uint8Array> {
    options.signal?.throwIfAborted()
    checkKey(this.name, key)
    const kept = this.#objects.get(key)
    if (kept === undefined) throw new SiteError(this.name, "site/not-found", `get ${key}: no such object`)
    const { offset, length } = checkRange(this.name, key, kept.bytes.length, options.range)
    return kept.bytes.slice(offset, offset + length)
  }

  async head(key: string, options: CallOptions = {}): Promise<ObjectInfo | null> {
    options.signal?.throwIfAborted()
    checkKey(this.name, key)
    const kept = this.#objects.get(key)
    return kept === undefined ? null : infoOf(key, kept)
  }

  async *list(prefix: string, options: CallOptions = {}): AsyncGenerator<ObjectInfo> {
    options.signal?.throwIfAborted()
    checkPrefix(this.name, prefix)
    const keys: string[] = []
    for (const key of this.#objects.keys()) if (key.startsWith(prefix)) keys.push(key)
    for (const key of keys.sort(compareKeys)) {
      options.signal?.throwIfAborted()
      const kept = this.#objects.get(key)
      if (kept !== undefined) yield infoOf(key, kept)
    }
  }

  #checkPut(key: string, bytes: Uint8Array, options: PutOptions): void {
    options.signal?.throwIfAborted()
    checkKey(this.name, key)
    checkBytes(this.name, key, bytes, options.sha256)
  }

  #keep(key: string, bytes: Uint8Array, sha256: string): MemoryObject {
    const kept = { bytes: Uint8Array.from(bytes), sha256, storedAt: this.#clock.now() }
    this.#objects.set(key, kept)
    return kept
  }
}

function infoOf(key: string, { bytes, sha256, storedAt }: MemoryObject): ObjectInfo {
  return { key, bytes: bytes.length, checksum: { algorithm: "sha256", value: sha256 }, storedAt }
}
