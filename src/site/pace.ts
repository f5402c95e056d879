import type { Clock, Sleep } from "../clock.ts"
import type { OpenedSite, Site, Versions } from "./site.ts"

/** Bytes per second that a site may be sent and asked for; absent: as many as the line carries. */
export interface Bandwidth {
  readonly up?: number | undefined
  readonly down?: number | undefined
}

export interface PaceWorld {
  readonly clock: Clock
  readonly sleep: Sleep
}

/**
 * The same site, whose bytes keep within a bandwidth on average: each transfer begins once those before it have had their time. A
 * single object, of 32 MiB at most, travels as fast as the line carries it: to shape a line from moment to moment is the
 * network's part.
 */
export function openedPaced(opened: OpenedSite, { up, down }: Bandwidth, world: PaceWorld): OpenedSite {
  if (up === undefined && down === undefined) return opened
  const pair = { up: new Pace(up, world), down: new Pace(down, world) }
  const { replace, versions } = opened
  return {
    ...opened,
    site: paced(opened.site, pair),
    ...(replace !== undefined && {
      replace: (key, bytes, options) => pair.up.known(bytes.length, options.signal, () => replace(key, bytes, options)),
    }),
    ...(versions !== undefined && { versions: pacedVersions(versions, pair.down) }),
  }
}

interface PacePair {
  readonly up: Pace
  readonly down: Pace
}

function paced(site: Site, { up, down }: PacePair): Site {
  return {
    name: site.name,
    put: (key, bytes, options) => up.known(bytes.length, options.signal, () => site.put(key, bytes, options)),
    get: (key, options) => down.told(options?.signal, () => site.get(key, options)),
    head: (key, options) => site.head(key, options),
    list: (prefix, options) => site.list(prefix, options),
  }
}

function pacedVersions(versions: Versions, down: Pace): Versions {
  return {
    list: (prefix, options) => versions.list(prefix, options),
    get: (key, version, options) => down.told(options?.signal, () => versions.get(key, version, options)),
    remove: (key, version, options) => versions.remove(key, version, options),
  }
}

/** One direction of a line. */
class Pace {
  readonly #bytesPerSecond: number
  readonly #world: PaceWorld
  /** What is still to be waited for, as of then, for the bytes that were let through. */
  #owedMs = 0
  #asOf: number

  constructor(bytesPerSecond = Number.POSITIVE_INFINITY, world: PaceWorld) {
    this.#bytesPerSecond = bytesPerSecond
    this.#world = world
    this.#asOf = world.clock.now().getTime()
  }

  /** A transfer whose size is known before it begins. */
  async known<T>(bytes: number, signal: AbortSignal | undefined, transfer: () => Promise<T>): Promise<T> {
    const owed = this.#owe(bytes)
    if (owed > 0) await this.#world.sleep(owed, { signal })
    return await transfer()
  }

  /** A transfer whose size is known by what came of it. */
  async told(signal: AbortSignal | undefined, transfer: () => Promise<Uint8Array>): Promise<Uint8Array> {
    const owed = this.#owe(0)
    if (owed > 0) await this.#world.sleep(owed, { signal })
    const bytes = await transfer()
    this.#owe(bytes.length)
    return bytes
  }

  /** Resolves to the milliseconds owed before these bytes. A clock that jumps back makes no wait longer. */
  #owe(bytes: number): number {
    const now = this.#world.clock.now().getTime()
    const owed = Math.max(0, this.#owedMs - Math.max(0, now - this.#asOf))
    this.#owedMs = owed + (bytes / this.#bytesPerSecond) * 1000
    this.#asOf = now
    return owed
  }
}
