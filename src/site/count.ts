import type { Site, SiteOperation } from "./site.ts"

export interface SiteCounts {
  readonly calls: Readonly<Record<SiteOperation, number>>
  /** Of calls that succeeded. */
  readonly bytesPut: number
  readonly bytesGot: number
}

export interface CountedSite extends Site {
  /** So far; a copy that does not change. */
  readonly counts: SiteCounts
}

/** The same site, counting calls and bytes. Inside retrying() it counts attempts, outside it counts what was asked for. */
export function counted(site: Site): CountedSite {
  const calls = { put: 0, get: 0, head: 0, list: 0 }
  let bytesPut = 0
  let bytesGot = 0
  return {
    name: site.name,
    get counts() {
      return { calls: { ...calls }, bytesPut, bytesGot }
    },
    put: async (key, bytes, options) => {
      calls.put += 1
      const info = await site.put(key, bytes, options)
      bytesPut += bytes.length
      return info
    },
    get: async (key, options) => {
      calls.get += 1
      const bytes = await site.get(key, options)
      bytesGot += bytes.length
      return bytes
    },
    head: async (key, options) => {
      calls.head += 1
      return await site.head(key, options)
    },
    list: (prefix, options) => {
      calls.list += 1
      return site.list(prefix, options)
    },
  }
}
