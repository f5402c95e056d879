import PQueue from "p-queue"
import type { Site } from "./site.ts"

/** The same site, with at most `concurrency` calls in flight. A call that is aborted while it waits never starts. */
export function limited(site: Site, concurrency: number): Site {
  const queue = new PQueue({ concurrency })
  return {
    name: site.name,
    put: async (key, bytes, options) => await queue.add(() => site.put(key, bytes, options), { signal: options.signal }),
    get: async (key, options) => await queue.add(() => site.get(key, options), { signal: options?.signal }),
    head: async (key, options) => await queue.add(() => site.head(key, options), { signal: options?.signal }),
    // A listing takes as long as its reader does: it must not keep others waiting.
    list: (prefix, options) => site.list(prefix, options),
  }
}
